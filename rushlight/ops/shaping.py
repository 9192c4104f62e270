"""Ops that rearrange elements into new memory: flips, rolls, triangles, diagonals, repeats."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np

from rushlight import formats
from rushlight.core.device_array import constant_on
from rushlight.core.native import LEAST, kernels
from rushlight.core.op import Op, packed

FORWARD, BACKWARD = slice(None), slice(None, None, -1)


class Flip(Op):
    """The order of the elements reversed along ``dims``."""

    keeps_order = True

    def eager(self, xp, input, *, dims):
        if input.size >= LEAST and dims and kernels.on:
            found = kernels.loop("reverse", input, dims)
            if found is not None:
                return found
        index = [FORWARD] * input.ndim
        for d in dims:
            index[d] = BACKWARD
        return input[tuple(index)].copy("C" if 0 in input.strides else "K")

    def grad(self, g, dims):
        return Flip.bind(g, dims=dims)


class Roll(Op):
    """Elements moved ``shifts`` places along ``dims``; what leaves at one end enters the other."""

    def eager(self, xp, input, *, shifts, dims):
        if len(dims) == 1:
            out = formats.empty(input.shape, input.dtype, input)
            x, y = (input, out) if dims == (0,) else [a.swapaxes(0, dims[0]) for a in (input, out)]
            n = len(x)
            at = shifts[0] % n if n else 0
            y[at:], y[:at] = x[: n - at], x[n - at :]
            return out
        total = dict[int, int]()
        for shift, dim in zip(shifts, dims, strict=True):
            total[dim] = total.get(dim, 0) + shift
        parts = []  # of each dim, where they go and where they are
        for dim, n in enumerate(input.shape):
            at = total.get(dim, 0) % n if n else 0
            whole = (slice(at, None), slice(0, n - at))
            parts.append([whole, (slice(0, at), slice(n - at, None))] if at else [whole])
        out = formats.empty(input.shape, input.dtype, input)
        for places in itertools.product(*parts):
            to, start = zip(*places, strict=True) if places else ((), ())
            out[to] = input[start]
        return out

    def grad(self, g, shifts, dims):
        return Roll.bind(g, shifts=tuple([-s for s in shifts]), dims=dims)


@functools.lru_cache(maxsize=16)
def triangle(rows: int, columns: int, diagonal: int, lower: bool, itemsize: int) -> Any:
    """All bits where a triangle is, none elsewhere; not to be written to."""
    mask = np.tri(rows, columns, diagonal if lower else diagonal - 1, bool)
    return np.negative(mask if lower else ~mask, dtype=f"i{itemsize}")


WORDS = {n: np.dtype(f"i{n}") for n in (1, 2, 4, 8)}  # by their bytes


def keep_triangle(x: Any, diagonal: int, lower: bool) -> Any:
    """x with zeros outside of a triangle of its last two dims."""
    shape, size, edge = x.shape, x.size, diagonal + lower
    rows, columns = shape[-2:]
    if not -rows <= edge <= columns:
        edge = -rows if edge < 0 else columns
    d = WORDS.get(x.itemsize)
    if d is not None and size and x.flags.carray:
        run = kernels.runner("lower kept" if lower else "upper kept", d, 2, size)
        if run is not None:
            out = np.empty(shape, x.dtype)
            run(x, out, rows, columns, edge, size // (rows * columns))
            return out
    if rows * columns <= 2**18 and x.itemsize <= 8:
        bits = triangle(rows, columns, diagonal, lower, x.itemsize)
        return packed(np.bitwise_and(x.view(bits.dtype), bits).view(x.dtype))
    out = np.zeros(shape, x.dtype)
    for i in range(rows):
        edge = max(i + diagonal + lower, 0)
        where = slice(0, edge) if lower else slice(edge, None)
        out[..., i, where] = x[..., i, where]
    return out


class Tril(Op):
    """The lower triangle of the last two dims up to ``diagonal``; the rest is zero."""

    def eager(self, xp, input, *, diagonal):
        return keep_triangle(input, diagonal, True)

    def grad(self, g, diagonal):
        return Tril.bind(g, diagonal=diagonal)


class Triu(Op):
    """The upper triangle of the last two dims from ``diagonal``; the rest is zero."""

    def eager(self, xp, input, *, diagonal):
        return keep_triangle(input, diagonal, False)

    def grad(self, g, diagonal):
        return Triu.bind(g, diagonal=diagonal)


class DiagEmbed(Op):
    """Matrices (in dims ``dim1`` and ``dim2``) with the last dim of the input on a diagonal."""

    def eager(self, xp, input, *, offset, dim1, dim2):
        n = input.shape[-1] + abs(offset)
        out = np.zeros((*input.shape[:-1], n * n), input.dtype)
        start = offset if offset >= 0 else -offset * n
        out[..., start :: n + 1][..., : input.shape[-1]] = input
        out = out.reshape(*input.shape[:-1], n, n)
        if (dim1, dim2) == (input.ndim - 1, input.ndim):
            return out
        return packed(np.moveaxis(out, (-2, -1), (dim1, dim2)))

    def grad(self, g, offset, dim1, dim2):
        return g.diagonal(offset, dim1, dim2)


class RepeatInterleave(Op):
    """Slice i of ``dim`` repeated ``repeats[i]`` times in a row."""

    label = "IndexSelect"

    def eager(self, xp, input, *, repeats, dim):
        return np.repeat(input, repeats, dim)

    def grad(self, g, input_spec, repeats, dim):
        index = np.repeat(np.arange(input_spec[0][dim]), repeats)
        return g.new_zeros(input_spec[0]).index_add(dim, constant_on(g, index), g)


class Repeat(Op):
    """The whole tensor repeated ``repeats`` times along each dim; leading dims may be added."""

    def eager(self, xp, input, *, repeats):
        return np.tile(input, repeats) if repeats else input.copy()

    def grad(self, g, input_spec, repeats):
        shape = (1,) * (len(repeats) - len(input_spec[0])) + input_spec[0]
        if not g.numel():
            return g.new_zeros(input_spec[0])
        pairs = [n for pair in zip(repeats, shape, strict=True) for n in pair]
        return g.reshape(pairs).sum(tuple(range(0, len(pairs), 2))).reshape(input_spec[0])
