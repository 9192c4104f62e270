"""Images read at places between their pixels."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from rushlight import dtypes, tensor_api as T
from rushlight.core.autograd import known_as
from rushlight.core.device_array import constant_on, driver_of, unseen
from rushlight.core.state import state
from rushlight.core.tensor import Tensor, no_tensor, wrap
from rushlight.errors import NotSupportedError, ShapeError, warn_user
from rushlight.ops.grid import GridSample, sampled
from rushlight.ops.matmul import same_dtype
from rushlight.ops.resample import TakeEach
from rushlight.tensor_api.casting import in_float32_on_cpu

__all__ = ["affine_grid", "grid_sample"]


def corners_warning(name: str) -> None:
    """torch's warning when align_corners is not given."""
    warn_user(
        f"Default {name} and affine_grid behavior has changed to align_corners=False since 1.3.0."
        " Please specify align_corners=True if the old behavior is desired. See the documentation"
        f" of {name} for details."
    )


def affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Tensor:
    """Places to read for an affine map of an image, for ``grid_sample``.

    Args:
        theta: the maps, ``(N, 2, 3)`` or ``(N, 3, 4)``.
        size: the result's, ``(N, C, H, W)`` or ``(N, C, D, H, W)``.
        align_corners: whether -1 and 1 are the centres of the corner pixels, or their outer edges.

    Shape: ``(N, H, W, 2)`` or ``(N, D, H, W, 3)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> theta = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])  # stays as it is
        >>> F.affine_grid(theta, (1, 1, 2, 2), align_corners=True)
        tensor([[[[-1., -1.],
                  [ 1., -1.]],
        <BLANKLINE>
                 [[-1.,  1.],
                  [ 1.,  1.]]]])
    """
    if align_corners is None:
        corners_warning("grid_sample")
        align_corners = False
    if theta._array.dtype not in dtypes.FLOATING_TYPES:
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    size = tuple(int(n) for n in size)
    rank = len(size) - 2
    if rank not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms,"
            f" respectively. Got size {size}."
        )
    if tuple(theta._array.shape[-2:]) != (rank, rank + 1) or theta._array.ndim != 3:
        raise ValueError(
            f"Expected a batch of {rank}D affine matrices of shape Nx{rank}x{rank + 1} for size"
            f" {size}. Got {tuple(theta._array.shape)}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    if align_corners and 1 in size[2:]:
        warn_user(
            "affine_grid: with align_corners=True, places along a dim of size 1 are those of its"
            " centre. See the documentation of affine_grid for details."
        )
    base = centres(size[2:], align_corners, theta._array.dtype)
    places = T.matmul(constant_on(theta, base), theta.transpose(1, 2))
    out = places.reshape(size[0], *size[2:], rank)
    return known_as("AffineGridGeneratorBackward0", out)


@functools.lru_cache(maxsize=16)
def centres(space: tuple[int, ...], align_corners: bool, d: Any) -> np.ndarray:
    """The places of all pixels, x first, and a one behind them: (1, pixels, rank + 1), not to be
    written to.
    """
    axes = [line(n, align_corners, d) for n in space]
    mesh = np.meshgrid(*axes, indexing="ij")[::-1]
    return np.stack([*mesh, np.ones(space, d)], -1).reshape(1, -1, len(space) + 1)


def line(n: int, align_corners: bool, d: Any) -> np.ndarray:
    """Places from -1 to 1, rounded as PyTorch does: an identity reads from centres of pixels."""
    if n == 1:
        return np.zeros(1, d)
    places: np.ndarray = T.linspace(-1, 1, n, dtype=dtypes.of[d])._array
    return places if align_corners else places * d.type(n - 1) / d.type(n)


@in_float32_on_cpu
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """The input at places given by a grid of numbers from -1 to 1.

    Args:
        input: ``(N, C, H, W)`` or ``(N, C, D, H, W)``.
        grid: places, x first: ``(N, H', W', 2)`` or ``(N, D', H', W', 3)``.
        mode: "bilinear" (for volumes trilinear), "nearest", or "bicubic" (images only).
        padding_mode: what lies outside: "zeros", "border" (the edge's value) or "reflection".
        align_corners: whether -1 and 1 are the centres of the corner pixels, or their outer edges.

    Shape: ``(N, C, H', W')`` or ``(N, C, D', H', W')``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x = torch.tensor([[[[0.0, 2.0], [4.0, 6.0]]]])
        >>> middle, corner = [0.0, 0.0], [1.0, 1.0]
        >>> F.grid_sample(x, torch.tensor([[[middle, corner]]]), align_corners=True)
        tensor([[[[3., 6.]]]])
    """
    if align_corners is None:
        corners_warning("grid_sample")
        align_corners = False
    try:
        x, places = input._array, grid._array
    except AttributeError:
        raise no_tensor("grid_sample", input, grid) from None
    d = x.dtype
    if d not in dtypes.FLOATING_TYPES:
        raise NotSupportedError(
            f"grid_sample: not implemented for {dtypes.of[d].name}; convert both with .float()."
        )
    if places.dtype is not d:
        same_dtype("grid_sample", x, places)
    by_formula = check_sampling(x.shape, places.shape, mode, padding_mode, align_corners)
    if by_formula or state.busy or d not in dtypes.FLOATS or driver_of(input) is not None:
        return sample(input, grid, mode, padding_mode, align_corners)
    if not (input._tracked or grid._tracked):
        found = sampled(x, places, mode, padding_mode, align_corners)
        if found is not None:
            return wrap(found)
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    out = GridSample.bind(input, grid, formula=sample, **options)
    return out if x.ndim == 4 else known_as("GridSampler3DBackward0", out)


@functools.lru_cache(maxsize=256)
def check_sampling(
    x: tuple[int, ...], places: tuple[int, ...], mode: str, padding_mode: str, align_corners: bool
) -> bool:
    """Refuse shapes and options that do not fit. Whether only the formula samples so."""
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic',"
            f" but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or"
            f" 'reflection', but got: '{padding_mode}'"
        )
    rank = len(x) - 2
    if rank not in (2, 3) or len(places) != len(x) or places[-1] != rank or places[0] != x[0]:
        raise ShapeError(
            "grid_sampler(): expected grid and input to have same batch size and number of dims,"
            f" and grid to have size {rank} in the last dimension, but got input of shape"
            f" {tuple(x)} and grid of shape {tuple(places)}."
        )
    if mode == "bicubic" and rank == 3:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    if 0 in x[2:]:
        raise ShapeError(
            "grid_sampler(): expected input to have non-empty spatial dimensions, but input has"
            f" sizes {tuple(x)}."
        )
    return padding_mode == "reflection" and align_corners and 1 in x[2:]


def sample(
    input: Tensor, grid: Tensor, mode: str, padding_mode: str, align_corners: bool
) -> Tensor:
    """``grid_sample`` as a formula."""
    x, rank = input._array.shape, input._array.ndim - 2
    axes = [  # slowest dim first
        unnormalised(grid.select(-1, rank - 1 - i), x[2 + i], align_corners) for i in range(rank)
    ]
    if mode == "bicubic":
        return bicubic_sample(input, axes, padding_mode, align_corners)
    axes = [outside(a, x[2 + i], padding_mode, align_corners) for i, a in enumerate(axes)]
    if mode == "nearest":
        ones = axes[0].clone().fill_(1) if grid.requires_grad else None  # of gradient 0
        return weighted(input, [a.round().long() for a in axes], ones)
    return linear_sample(input, axes)


def unnormalised(a: Tensor, n: int, align_corners: bool) -> Tensor:
    """Numbers from -1 to 1 as places in pixels."""
    return (a + 1) * ((n - 1) / 2) if align_corners else ((a + 1) * n - 1) / 2


def outside(a: Tensor, n: int, padding_mode: str, align_corners: bool) -> Tensor:
    """Places moved into the input, by the padding mode."""
    if padding_mode == "zeros":
        return a
    if padding_mode == "reflection":
        a = reflect(a, 0, 2 * (n - 1)) if align_corners else reflect(a, -1, 2 * n - 1)
    within = (a > 0) & (a < n - 1)  # at the edge itself too, the gradient is 0
    return T.where(within, a, a.detach().clamp(0, n - 1))


def reflect(a: Tensor, low: int, high: int) -> Tensor:
    """Places mirrored between two bounds, given as twice their value."""
    if low == high:
        return a * 0
    start, span = low / 2, (high - low) / 2
    moved = a - start
    sign = T.where(moved < 0, -1.0, 1.0).to(a.dtype)
    moved = moved * sign
    flips = (moved.detach() / span).floor()
    rest = moved - flips * span
    return T.where(flips % 2 == 0, rest + start, span - rest + start)


def read(input: Tensor, index: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Input (N, C, *space) at integer places (N, *out), and which of these are inside."""
    shape = input._array.shape
    flat: Any = 0
    valid: Any = True
    for a, n in zip(index, shape[2:], strict=True):
        valid = valid & (a >= 0) & (a < n)
        flat = flat * n + a.clamp(0, n - 1)
    out = flat.shape[1:]
    values = TakeEach.bind(input.reshape(*shape[:2], -1), flat.reshape(shape[0], -1))
    return values.reshape(*shape[:2], *out), valid


def weighted(input: Tensor, index: list[Tensor], weight: Tensor | None) -> Tensor:
    """``read`` times a weight (N, *out); zero outside."""
    values, valid = read(input, index)
    if not unseen(valid) and valid._array.all():
        return values if weight is None else values * weight.unsqueeze(1)
    inside = valid.to(input.dtype)
    return values * (inside if weight is None else weight * inside).unsqueeze(1)


def linear_sample(input: Tensor, axes: list[Tensor]) -> Tensor:
    """Weighted means of the neighbours of each place."""
    lows = [a.detach().floor() for a in axes]
    shares = [a - low for a, low in zip(axes, lows, strict=True)]
    whole = [low.long() for low in lows]
    ends = [(1 - share, share) for share in shares]
    total: Any = None
    for corner in np.ndindex(*(2,) * len(axes)):
        weight: Any = None
        for pair, c in zip(ends, corner, strict=True):
            weight = pair[c] if weight is None else weight * pair[c]
        part = weighted(
            input, [w + c if c else w for w, c in zip(whole, corner, strict=True)], weight
        )
        total = part if total is None else total + part
    return total  # type: ignore[no-any-return]


def bicubic_sample(
    input: Tensor, axes: list[Tensor], padding_mode: str, align_corners: bool
) -> Tensor:
    """Cubic interpolation over the 4 by 4 neighbours of each place."""
    lows = [a.detach().floor() for a in axes]
    weights = [cubic_weights(a - low) for a, low in zip(axes, lows, strict=True)]
    total: Any = None
    for taps in np.ndindex(4, 4):
        places = [
            outside(low + (t - 1), n, padding_mode, align_corners)
            for low, t, n in zip(lows, taps, input._array.shape[2:], strict=True)
        ]
        index = [p.long() for p in places]
        part = weighted(input, index, weights[0][taps[0]] * weights[1][taps[1]])
        total = part if total is None else total + part
    return total  # type: ignore[no-any-return]


def cubic_weights(t: Tensor) -> list[Tensor]:
    """Keys' weights of the four neighbours of a place at a share t past the second."""
    a = -0.75

    def near(x: Tensor) -> Tensor:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Tensor) -> Tensor:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]
