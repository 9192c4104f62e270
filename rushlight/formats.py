"""Names for the order of elements in memory, as torch spells them. Tensors are strided; only the
order of dims can be asked for.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class memory_format:
    """An order of a tensor's elements in memory."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name


class layout:
    """How a tensor stores its elements."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last, channels_last_3d = memory_format("channels_last"), memory_format("channels_last_3d")
strided, sparse_coo, sparse_csr = layout("strided"), layout("sparse_coo"), layout("sparse_csr")
sparse_csc, jagged = layout("sparse_csc"), layout("jagged")
# no tensor has these; programs name them to compare with
sparse_bsr, sparse_bsc = layout("sparse_bsr"), layout("sparse_bsc")
CHANNELS_LAST = {channels_last: 4, channels_last_3d: 5}


def channels_order(x: Any, wanted: memory_format) -> tuple[int, ...]:
    """The order of dims, outermost first, that a channels-last format asks for. RuntimeError for
    another rank.
    """
    n = CHANNELS_LAST[wanted]
    if x.ndim != n:
        raise RuntimeError(
            f"required rank {n} tensor to use {wanted.name} format, but the tensor has {x.ndim} "
            "dims."
        )
    return (0, *range(2, n), 1)


def is_in(x: Any, wanted: memory_format | None) -> bool:
    """Whether array x's elements lie in memory in the wanted order."""
    if wanted in CHANNELS_LAST:
        return bool(
            x.ndim == CHANNELS_LAST[wanted]
            and x.transpose(channels_order(x, wanted)).flags.c_contiguous
        )
    return bool(x.flags.c_contiguous)


def suggested(x: Any) -> memory_format | None:
    """The channels-last format whose order the strides of array x follow, gaps or not; or None."""
    strides, least = x.strides, 1
    n = len(strides)
    if n not in (4, 5) or strides[-1] < strides[1] or strides[0] <= strides[1]:
        return None
    for d in (1, *range(n - 1, 1, -1), 0):
        if strides[d] < least or (d == 0 and least == strides[1]):
            return None
        least = strides[d] * max(x.shape[d], 1)
    return channels_last if n == 4 else channels_last_3d


def empty(shape: tuple[int, ...], dtype: Any, like: Any) -> Any:
    """New memory for an array, whose channels are last in it if those of array ``like`` are."""
    n = len(shape)
    wanted = suggested(like) if n > 3 else None
    if wanted is None:
        return np.empty(shape, dtype)
    inner = np.empty([shape[d] for d in channels_order(like, wanted)], dtype)
    return inner.transpose(0, n - 1, *range(1, n - 1))


def expanded(x: Any) -> bool:
    """Whether several elements share a place. A stride of 0 over a dim of size 1 means nothing."""
    if 0 not in x.strides:
        return False
    return any([s == 0 and n > 1 for s, n in zip(x.strides, x.shape, strict=True)])


def copy_in(x: Any, wanted: memory_format | None) -> Any:
    """A copy of array x in the wanted order; None and preserve_format keep that of dense arrays."""
    if wanted in CHANNELS_LAST:
        order = channels_order(x, wanted)
        return np.array(x.transpose(order), order="C").transpose(np.argsort(order))
    if wanted is contiguous_format:
        return np.array(x, order="C")
    return x.copy(order="C" if x.flags.c_contiguous or expanded(x) else "K")
