"""Ops that rearrange elements into new memory: flips, rolls, triangles, diagonals, repeats."""

from __future__ import annotations

import numpy as np

from rushlight.core.op import Op, packed
from rushlight.core.tensor import wrap


class Flip(Op):
    """The order of the elements reversed along ``dims``."""

    def eager(self, xp, input, *, dims):
        return np.array(np.flip(input, dims) if dims else input, order="C")  # always a copy

    def grad(self, g, dims):
        return Flip.bind(g, dims=dims)


class Roll(Op):
    """Elements moved ``shifts`` places along ``dims``; what leaves at one end enters the other."""

    def eager(self, xp, input, *, shifts, dims):
        return packed(np.roll(input, shifts, dims))

    def grad(self, g, shifts, dims):
        return Roll.bind(g, shifts=tuple([-s for s in shifts]), dims=dims)


class Tril(Op):
    """The lower triangle of the last two dims up to ``diagonal``; the rest is zero."""

    def eager(self, xp, input, *, diagonal):
        return packed(
            np.where(
                np.tri(*input.shape[-2:], k=diagonal, dtype=bool), input, np.zeros((), input.dtype)
            )
        )

    def grad(self, g, diagonal):
        return Tril.bind(g, diagonal=diagonal)


class Triu(Op):
    """The upper triangle of the last two dims from ``diagonal``; the rest is zero."""

    def eager(self, xp, input, *, diagonal):
        return packed(
            np.where(
                np.tri(*input.shape[-2:], k=diagonal - 1, dtype=bool),
                np.zeros((), input.dtype),
                input,
            )
        )

    def grad(self, g, diagonal):
        return Triu.bind(g, diagonal=diagonal)


class DiagEmbed(Op):
    """Matrices (in dims ``dim1`` and ``dim2``) with the last dim of the input on a diagonal."""

    def eager(self, xp, input, *, offset, dim1, dim2):
        n = input.shape[-1] + abs(offset)
        out = np.zeros((*input.shape[:-1], n, n), input.dtype)
        i = np.arange(input.shape[-1])
        out[..., i + max(-offset, 0), i + max(offset, 0)] = input
        return packed(np.moveaxis(out, (-2, -1), (dim1, dim2)))

    def grad(self, g, offset, dim1, dim2):
        return g.diagonal(offset, dim1, dim2)


class RepeatInterleave(Op):
    """Slice i of ``dim`` repeated ``repeats[i]`` times in a row."""

    def eager(self, xp, input, *, repeats, dim):
        return np.repeat(input, repeats, dim)

    def grad(self, g, input_spec, repeats, dim):
        index = np.repeat(np.arange(input_spec[0][dim]), repeats)
        return g.new_zeros(input_spec[0]).index_add(dim, wrap(index), g)


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
