"""Memory exchanged under a tensor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import dtypes, formats
from rushlight.core.sparse import SparseArray
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor, bump
from rushlight.core.window import packed_strides
from rushlight.errors import DTypeError, GraphError
from rushlight.ops.sparse.pattern import Coordinates, empty_pattern
from rushlight.ops.sparse.rules import is_sparse
from rushlight.tensor_api._common import method, resize, shape_of
from rushlight.tensor_api.storage import tensor_on

__all__: list[str] = []


@method
def resize_(self: Tensor, *sizes: Any, size: Any = None, memory_format: Any = None) -> Tensor:
    """Another shape in the same memory, or in new memory where that is too small; new elements are
    uninitialised.

    Args:
        memory_format: how the elements then lie, in rows by default.
    """
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    shape = shape_of(sizes if size is None else (size,), "resize_")
    if shape and (min(shape) < 0 or math.prod(shape) * self._array.itemsize >= 2**63):
        raise RuntimeError(f"resize_: there is no tensor of shape {shape}.")
    if shape != self._array.shape:
        resize(self, shape)
        bump(self)
    if memory_format in formats.CHANNELS_LAST and not formats.is_in(self._array, memory_format):
        resize(self, tuple([shape[d] for d in (0, *range(2, len(shape)), 1)]))
        self._array = self._array.transpose((0, len(shape) - 1, *range(1, len(shape) - 1)))
    return self


@method
def resize_as_(input: Tensor, the_template: Tensor, memory_format: Any = None) -> Tensor:
    """``resize_`` to the shape of another tensor; ``sparse_resize_`` if both are sparse."""
    if is_sparse(input) and is_sparse(the_template):
        return resize_as_sparse_(input, the_template)
    if memory_format is formats.preserve_format:
        memory_format = formats.suggested(the_template._array)
    return resize_(input, *the_template._array.shape, memory_format=memory_format)


@method
def sparse_resize_(self: Tensor, size: Any, sparse_dim: int, dense_dim: int) -> Tensor:
    """Another shape for a sparse tensor; its entries stay where they are.

    Args:
        size: the new shape. While there are entries, sparse dims may only get longer, and dense
            ones keep their size.
        sparse_dim, dense_dim: how many leading dims are sparse, and how many are dense then.

    Example:
        >>> import rushlight as torch
        >>> x = torch.sparse_coo_tensor([[0, 1]], torch.ones(2), (2,))
        >>> x.sparse_resize_((3,), 1, 0).to_dense()
        tensor([1., 1., 0.])
    """
    shape, array = coordinates_of("sparse_resize_", self, size, sparse_dim, dense_dim)
    old = array.pattern
    if old.count:
        grown = len(old.shape) == sparse_dim and shape[sparse_dim:] == array.values.shape[1:]
        if not grown or any(n < m for n, m in zip(shape, old.shape, strict=False)):
            raise RuntimeError(
                f"sparse_resize_: a tensor with {old.count} entries, {len(old.shape)} sparse dims "
                f"and the shape {array.shape} cannot have {sparse_dim} sparse dims and the shape "
                f"{shape}: sparse dims may only get longer, and dense ones have to stay. Make "
                "another tensor, or drop the entries with sparse_resize_and_clear_."
            )
        pattern = Coordinates(old.coordinates, shape[:sparse_dim], old.coalesced)
        array.become(SparseArray(pattern, array.values))
        bump(self)
        return self
    return sparse_resize_and_clear_(self, size, sparse_dim, dense_dim)


@method
def sparse_resize_and_clear_(self: Tensor, size: Any, sparse_dim: int, dense_dim: int) -> Tensor:
    """``sparse_resize_`` to any shape, as the entries are dropped."""
    name = "sparse_resize_and_clear_"
    shape, array = coordinates_of(name, self, size, sparse_dim, dense_dim)
    values = np.zeros((0, *shape[sparse_dim:]), array.dtype)
    array.become(SparseArray(empty_pattern(shape[:sparse_dim]), values))
    bump(self)
    return self


@method
def resize_as_sparse_(self: Tensor, the_template: Tensor) -> Tensor:
    """``sparse_resize_`` to the shape of another sparse tensor, with as many sparse dims."""
    if not is_sparse(the_template):
        raise RuntimeError("resize_as_sparse_: the template must be sparse, too.")
    shape, dims = tuple(the_template._array.shape), len(the_template._array.pattern.shape)
    return sparse_resize_(self, shape, dims, len(shape) - dims)


def coordinates_of(
    name: str, x: Tensor, size: Any, sparse_dim: int, dense_dim: int
) -> tuple[tuple[int, ...], Any]:
    """The new shape and the array of x. RuntimeError unless x is a sparse leaf of coordinates."""
    shape = shape_of((size,), name)
    if not is_sparse(x) or x._array.pattern.layout is not formats.sparse_coo:
        raise RuntimeError(f"{name}: expected a tensor with the layout sparse_coo.")
    if x.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    if len(shape) != sparse_dim + dense_dim:
        raise RuntimeError(
            f"{name}: the number of dims must be sparse_dim ({sparse_dim}) + dense_dim "
            f"({dense_dim}), but the size is {shape}."
        )
    return shape, x._array


@method
def set_(
    self: Tensor, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None
) -> Tensor:
    """Use the memory of ``source``: a tensor, or a storage. Offset, size and stride count elements;
    without a size, it is that of the source.
    """
    kind = self._array.dtype
    if source is None:
        array = np.empty(0, kind)
    else:
        if getattr(source, "dtype", dtypes.of[kind]) != dtypes.of[kind]:
            raise DTypeError(
                f"set_: the elements of a {source.dtype} tensor or storage cannot be those of a "
                f"{dtypes.of[kind]} tensor."
            )
        if isinstance(source, Tensor) and size is None:
            array = source._array
        else:
            memory = source.untyped_storage() if isinstance(source, Tensor) else source.untyped()
            shape = (memory.nbytes() // kind.itemsize,) if size is None else tuple(size)
            steps = [s // kind.itemsize for s in packed_strides(shape, kind.itemsize)]
            array = tensor_on(memory, kind, storage_offset, shape, stride or tuple(steps))._array
    if modes.grad and self._wants_grad:
        raise GraphError(
            "a leaf Variable that requires grad is being used in an in-place operation: set_ it "
            "within no_grad()."
        )
    self._array = array
    bump(self)
    return self
