"""How results lie in memory, where that is not row by row."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.core import sampling
from rushlight.core.inplace import has_self_overlap


class Spread:
    """How a result has its dims turned back, if at all, and lies in memory with gaps."""

    def __init__(self, like: Any, back: tuple[int, ...] | None) -> None:
        self.back, self.strides = back, like.strides
        ends = [(n - 1) * s for n, s in zip(like.shape, like.strides, strict=True)]
        self.count = sum(ends) // like.itemsize + 1

    def array(self, x: Any) -> Any:
        """A result's elements in memory of their own."""
        x = x if self.back is None else x.transpose(self.back)
        memory = np.empty(self.count, x.dtype)
        out = np.lib.stride_tricks.as_strided(memory, x.shape, self.strides)
        out[...] = x
        return out


Turn = tuple[int, ...] | Spread | None


def has_gaps(x: Any) -> bool:
    """Whether there is memory between an array's elements, each of which has a place of its own."""
    if x.__class__ is not np.ndarray or x.flags.forc or not x.size or has_self_overlap(x):
        return False
    order = order_in_memory(x)
    dense = order is not None and x.transpose(order).flags.c_contiguous
    return not dense and all([s > 0 and s % x.itemsize == 0 for s in x.strides])


def order_in_memory(x: Any) -> tuple[int, ...] | None:
    """The dims of an array from the outermost in memory to the innermost; None for rows in order,
    with gaps or not, and for memory that is expanded.
    """
    if x.flags.c_contiguous or has_self_overlap(x):
        return None
    order = tuple(sampling.memory_order(x))
    return None if order == tuple(range(x.ndim)) else order
