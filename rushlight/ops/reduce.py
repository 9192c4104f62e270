"""Reductions over dims. ``dim`` is None (all) or a tuple of dims >= 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.op import Reduction, packed
from rushlight.core.tensor import Tensor


def kept(g: Tensor, shape: tuple[int, ...], dim: Any, keepdim: bool) -> Tensor:
    """g with the reduced dims of ``shape`` put back as size 1."""
    if keepdim or not shape:
        return g
    if dim is None:
        return g.reshape((1,) * len(shape))
    return g.reshape(tuple([1 if i in dim else n for i, n in enumerate(shape)]))


class Sum(Reduction):
    """Sum over ``dim``; integers and bool add up as int64."""

    reducer = np.add.reduce

    def eager(self, xp, input, *, dim, keepdim):
        d = input.dtype
        if d in dtypes.HALVES:
            return packed(xp.add.reduce(input.astype(dtypes.float32), dim, None, None, keepdim).astype(d))
        return packed(xp.add.reduce(input, dim, None if d in dtypes.DIFFERENTIABLE else np.int64, None, keepdim))

    def backward_name(self, params):
        return "SumBackward0" if params and params["dim"] is None else "SumBackward1"

    def grad(self, g, input_spec, dim, keepdim):
        shape = input_spec[0]
        return kept(g, shape, dim, keepdim).expand(shape)


def sum_to(g: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Reduce g, whose shape broadcasting made from ``shape``, to ``shape``."""
    have = g._array.shape
    extra = len(have) - len(shape)
    inner = [i + extra for i, n in enumerate(shape) if n == 1 and have[i + extra] != 1]
    if not inner:
        return Sum.bind(g, tuple(range(extra)), False)  # type: ignore[no-any-return]
    g = Sum.bind(g, (*range(extra), *inner), True)
    return g.reshape(shape) if extra else g
