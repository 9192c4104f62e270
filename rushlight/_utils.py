"""torch._utils: lists of tensors as one, which programs that send gradients use, and what rebuilds
saved tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.nn.parameter import _rebuild_parameter as _rebuild_parameter
from rushlight.nn.parameter import _rebuild_parameter_with_state as _rebuild_parameter_with_state
from rushlight.tensor_api.pickling import _rebuild_sparse_tensor as _rebuild_sparse_tensor
from rushlight.tensor_api.pickling import _rebuild_tensor as _rebuild_tensor
from rushlight.tensor_api.pickling import _rebuild_tensor_v2 as _rebuild_tensor_v2


def _element_size(dtype: T.dtype) -> int:
    """Bytes of an element."""
    return dtype.itemsize


def _flatten_dense_tensors(tensors: Sequence[Tensor]) -> Tensor:
    """The elements of all tensors, of one dtype, in one dim."""
    return T.cat([t.reshape(-1) for t in tensors])


def _unflatten_dense_tensors(flat: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Views of ``flat``, of the shapes of ``tensors``: undoes `_flatten_dense_tensors`."""
    parts = flat.split([t.numel() for t in tensors])
    return tuple([part.view(t.shape) for part, t in zip(parts, tensors, strict=True)])


def _take_tensors(tensors: Sequence[Tensor], size_limit: int) -> Iterator[list[Tensor]]:
    """Lists of tensors of one dtype, each of some ``size_limit`` bytes: a list is given when the
    next tensor would exceed it, and what remains of each dtype at the end.
    """
    waiting: dict[T.dtype, list[Tensor]] = {}
    held: dict[T.dtype, int] = {}
    for t in tensors:
        size = t.numel() * t.element_size()
        if held.get(t.dtype, 0) + size > size_limit and held.get(t.dtype, 0):
            yield waiting[t.dtype]
            waiting[t.dtype], held[t.dtype] = [], 0
        waiting.setdefault(t.dtype, []).append(t)
        held[t.dtype] = held.get(t.dtype, 0) + size
    yield from waiting.values()
