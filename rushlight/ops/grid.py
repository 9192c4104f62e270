"""Images sampled at the places of a grid, and the gradients, by one op.

``nn.functional`` has the same as a formula of several ops, which is captured, and differentiated
any number of times. Computing all corners of all places at once needs a fraction of the calls.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core import engine
from rushlight.core.device_array import driver_of
from rushlight.core.native import kernels
from rushlight.core.op import Op
from rushlight.core.state import enable_grad, modes
from rushlight.core.tensor import alias, edge, wrap
from rushlight.ops.places import are_arrays


def place(a: Any, n: int, padding_mode: str, align_corners: bool) -> tuple[Any, Any]:
    """Numbers from -1 to 1 as places in pixels along a dim of size n, and their derivatives."""
    if align_corners:
        at, slope = (a + 1) * ((n - 1) / 2), (n - 1) / 2
    else:
        at, slope = ((a + 1) * n - 1) / 2, n / 2
    if padding_mode == "zeros":
        return at, slope
    if padding_mode == "reflection":
        start, span = (0, n - 1) if align_corners else (-0.5, n)
        at -= start
        sign = np.copysign(at.dtype.type(1), at)
        at *= sign
        flips = np.floor(at / span)
        at -= flips * span
        odd = flips % 2 == 1
        np.subtract(span, at, at, where=odd)
        at += start
        slope = slope * sign
        np.negative(slope, slope, where=odd)
    within = (at > 0) & (at < n - 1)  # at the edge itself too, places outside have the edge's value
    return np.minimum(np.maximum(at, 0), n - 1), slope * within


def cell(at: Any, n: int, nearest: bool) -> tuple[Any, Any, Any]:
    """The neighbours of places along a dim of size n, each of shape (K, *): their index, limited to
    what is inside; their weight, 0 outside; the derivative of the weight.
    """
    if nearest:
        index = np.rint(at).astype(np.int64)[None]
        near = np.minimum(np.maximum(index, 0), n - 1)
        weight = (near == index).astype(at.dtype)
        return near, weight, np.zeros_like(weight)
    low = np.floor(at)
    index = np.empty((2, *at.shape), np.int64)
    index[0] = low
    np.add(index[0], 1, index[1])
    weight = np.empty(index.shape, at.dtype)
    np.subtract(at, low, weight[1])
    np.subtract(1, weight[1], weight[0])
    near = np.minimum(np.maximum(index, 0), n - 1)
    inside = near == index
    slope = inside.astype(at.dtype)
    np.negative(slope[0], slope[0])
    weight *= inside
    return near, weight, slope


def combined(parts: Any) -> Any:
    """Products of all combinations: arrays of (2, *) each to (K, *)."""
    out = parts[0]
    for part in parts[1:]:
        out = (out[:, None] * part).reshape(-1, *out.shape[1:])
    return out


class Cells:
    """What a grid reads from an input: at K corners around each of P places in N samples.

    Fields: places in the flattened input, (K, N, C, P); weights, by dim, (2, N, P) each; weight,
    their products (K, N, P); slopes, derivatives of the weights and of the places in pixels.
    """

    def __init__(
        self, input: Any, grid: Any, mode: str, padding_mode: str, align_corners: bool
    ) -> None:
        samples, channels, *space = input.shape
        flat: Any = None
        self.weights, self.slopes = list[Any](), list[Any]()
        for i, n in enumerate(space):
            a = grid[..., len(space) - 1 - i].reshape(samples, -1)  # (N, P)
            at, by_grid = place(a, n, padding_mode, align_corners)
            near, weight, slope = cell(at, n, mode == "nearest")
            flat = near if flat is None else (flat[:, None] * n + near).reshape(-1, *at.shape)
            self.weights.append(weight)
            self.slopes.append((slope, by_grid))
        self.weight = combined(self.weights)
        starts = np.arange(samples * channels) * math.prod(space)
        self.places = flat[:, :, None] + starts.reshape(samples, channels, 1)


class GridSample(Op):
    """Input (N, C, *space) at the places of a grid (N, *out, rank) of numbers from -1 to 1.

    ``formula(input, grid, **options)`` computes the same as Tensors.
    """

    label = "GridSampler2D"

    def eager(self, xp, input, grid, *, formula, **options):
        out = sampled(input, grid, **options)
        if out is not None:
            return out
        if options["mode"] == "bicubic":
            return formula(wrap(input), wrap(grid), **options)._array
        cells = Cells(input, grid, **options)
        values = input.reshape(-1).take(cells.places)
        values *= cells.weight[:, :, None]
        return np.add.reduce(values, 0).reshape(*input.shape[:2], *grid.shape[1:-1])

    def grads(self, g, needs, input, grid, params):
        options = {k: v for k, v in params.items() if k != "formula"}
        if options["mode"] == "bicubic" or any(
            [modes.grad, modes.trace is not None, driver_of(input) is not None]
        ):
            formula = functools.partial(params["formula"], **options)
            return gradients_of_formula(formula, (input, grid), g, needs)
        x, where, gy = input._array, grid._array, g._array
        found = slopes(x, where, gy, **options)
        if found is not None:
            return [wrap(a) if need else None for a, need in zip(found, needs, strict=True)]
        cells = Cells(x, where, **options)
        gy = gy.reshape(*gy.shape[:2], -1)  # (N, C, P)
        gx = ggrid = None
        if needs[0]:
            parts = gy * cells.weight[:, :, None]
            total = np.bincount(cells.places.reshape(-1), parts.reshape(-1), x.size)
            gx = wrap(total.reshape(x.shape).astype(x.dtype))
        if needs[1] and options["mode"] == "nearest":
            ggrid = wrap(np.zeros_like(where))
        elif needs[1]:
            values = x.reshape(-1).take(cells.places)
            ggrid = wrap(by_places(cells, values, gy).reshape(where.shape))
        return [gx, ggrid]


KINDS = {2: "grid", 3: "volume grid"}  # by rank
NAMES = {
    (rank, mode, padding, corners): f"{kind} {mode} {padding} {corners}"
    for rank, kind in KINDS.items()
    for mode in ("bilinear", "nearest", "bicubic")
    for padding in ("zeros", "border", "reflection")
    for corners in (False, True)
}
LARGE = 1 << 22  # sizes up to which halves of them are exact in float32


def sampled(input: Any, grid: Any, mode: str, padding_mode: str, align_corners: bool) -> Any:
    """The samples of images or volumes by a loop, see backends/llvm/grids.py; or None."""
    rank = input.ndim - 2
    loop = loop_for(NAMES.get((rank, mode, padding_mode, align_corners)), 3, input, grid)
    if loop is None:
        return None
    shape, samples = input.shape, input.shape[0]
    out = np.empty(shape[:2] + grid.shape[1:-1], input.dtype)
    x = input if input.flags.c_contiguous else np.ascontiguousarray(input)
    at = grid if grid.flags.c_contiguous else np.ascontiguousarray(grid)
    loop(x, at, out, *shape[1:], grid.size // (rank * samples), samples)
    return out


def slopes(input: Any, grid: Any, g: Any, mode: str, padding_mode: str, align_corners: bool) -> Any:
    """The gradients of ``sampled`` by input and grid, by a loop; or None."""
    name = NAMES.get((input.ndim - 2, mode, padding_mode, bool(align_corners)))
    known = name is not None and g.dtype is input.dtype
    loop = loop_for(f"{name} gradient", 5, input, grid) if known else None
    if loop is None:
        return None
    samples, *sizes = input.shape
    x, at, g = [np.ascontiguousarray(a) for a in (input, grid, g)]
    by_input, by_grid = np.zeros(x.shape, x.dtype), np.empty(at.shape, at.dtype)
    loop(x, at, g, by_input, by_grid, *sizes, math.prod(grid.shape[1:-1]), samples)
    if mode == "nearest":
        by_grid[...] = 0  # also where the image is infinite
    return by_input, by_grid


def loop_for(name: str | None, arrays: int, input: Any, grid: Any) -> Any:
    """A loop for images or volumes and a grid, or None."""
    d, size, rank = input.dtype, input.size, input.ndim - 2
    if name is None or d not in dtypes.FLOATS or d is not grid.dtype or not size:
        return None
    places = grid.size // rank * input.shape[1]
    if not places or (size > LARGE and max(input.shape[1:]) > LARGE):
        return None
    if not are_arrays(input, grid):
        return None
    exact = "bicubic" not in name  # the formula adds up in another order
    return kernels.runner(name, d, arrays, places, exact)


def by_places(cells: Cells, values: Any, g: Any) -> Any:
    """The gradient by the grid, (N, P, rank), for values (K, N, C, P) and g (N, C, P)."""
    along = np.add.reduce(values * g, 2)  # (K, N, P)
    rank = len(cells.weights)
    out = np.empty((*along.shape[1:], rank), g.dtype)
    for i, (slope, by_grid) in enumerate(cells.slopes):
        weight = combined([*cells.weights[:i], slope, *cells.weights[i + 1 :]])
        out[..., rank - 1 - i] = np.add.reduce(along * weight, 0) * by_grid
    return out


def gradients_of_formula(formula: Any, inputs: Any, g: Any, needs: Any) -> list[Any]:
    """The gradients of ``formula(*inputs)``, recorded if grad mode is on."""
    record = modes.grad
    leaves = inputs if record else [alias(t).requires_grad_() for t in inputs]
    with enable_grad():
        out = formula(*leaves)
    wanted = [t for t, need in zip(leaves, needs, strict=True) if need]
    roots, gs = engine.start([out], [g])
    edges = [edge(t) for t in wanted]
    found = engine.run_backward(roots, gs, True, record, edges)
    grads = iter([found[e] for e in edges])
    return [next(grads) if need else None for need in needs]
