"""How tensors are pickled and deep-copied: a storage, and how the tensor lies on it.

The ``_rebuild_*`` functions have the names and arguments that PyTorch's files use.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np

from rushlight import dtypes, formats
from rushlight.core.meta import MetaArray
from rushlight.core.size import make_size
from rushlight.core.sparse import SparseArray
from rushlight.core.tensor import Tensor, instance, wrap
from rushlight.core.wrapped import WrappedArray, wrapper
from rushlight.dtypes import dtype
from rushlight.errors import GraphError, warn_user
from rushlight.tensor_api.layouts import TITLES
from rushlight.tensor_api.sparse_tensors import sparse_compressed_tensor, sparse_coo_tensor
from rushlight.tensor_api.storage import UntypedStorage, offset_in, storage_of, tensor_on
from rushlight.tensor_api.typed_storage import NAME_OF, TypedStorage

__all__: list[str] = []

AnyStorage = TypedStorage | UntypedStorage


def user_state(t: Tensor) -> dict[str, Any]:
    """The attributes that a user hung on the tensor."""
    return {name: value for name, value in vars(t).items() if not hasattr(Tensor, name)}


def set_user_state(t: Tensor, state: Any) -> None:
    """Hang attributes on the tensor; those that tensors have themselves are refused."""
    parts = state if isinstance(state, tuple) else (state,)
    for name, value in (item for part in parts if part for item in part.items()):
        if hasattr(Tensor, name):
            raise ValueError(f"a pickled tensor cannot set the attribute {name!r}")
        setattr(t, name, value)


def layout(t: Tensor) -> tuple[UntypedStorage, int, tuple[int, ...], tuple[int, ...]]:
    """Storage, offset, size and stride of a tensor, in elements."""
    array = t._array
    memory = storage_of(array)
    if not array.size:  # NumPy gives it strides 0
        return memory, 0, array.shape, _dense(array.shape)
    size = array.itemsize
    offset = offset_in(memory, array)
    if offset % size or any(s % size or s < 0 for s in array.strides):  # as of a record's field
        return layout(wrap(array.copy()))
    return memory, offset // size, array.shape, tuple([s // size for s in array.strides])


def _dense(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a contiguous tensor."""
    steps, step = [], 1
    for n in reversed(shape):
        steps.append(step)
        step *= max(n, 1)
    return tuple(reversed(steps))


def on_same_class(t: Tensor, cls: type[Tensor]) -> Any:
    """The tensor ``t``, fresh from `tensor_on`, as an instance of ``cls``."""
    if cls is Tensor:
        return t
    made = instance(cls, t._array)
    made._wants_grad, made._tracked = t._wants_grad, t._tracked
    made.__dict__.update(t.__dict__)
    return made


# Note [One memory, two dtypes]
# In a file the storage class says the dtype of the tensors on it, and a storage has one class. A
# tensor of another dtype on the same memory is written in the form (v3) that names its own dtype.
def reduced(self: Tensor, class_of: Callable[[UntypedStorage], Any]) -> tuple[Any, ...]:
    """How to rebuild a tensor: a function and its arguments, the first of which is a storage.

    ``class_of`` gives the dtype under which a storage is known already; None when it is not.
    """
    args: tuple[Any, ...]
    if self._array.__class__ is SparseArray:
        return reduced_sparse(self)
    if self._array.__class__ is MetaArray:
        d = dtypes.of[self._array.dtype]
        steps = tuple([s // self._array.itemsize for s in self._array.strides])
        args = (d, tuple(self._array.shape), steps, self.requires_grad)
        return finished(self, _rebuild_meta_tensor_no_storage, args)
    memory, *rest = layout(self)
    d = dtypes.of[self._array.dtype]
    known = class_of(memory)
    if self._hooks:
        warn_user(f"backward hooks on a tensor are not saved with it: {list(self._hooks.values())}")
    args = (*rest, self.requires_grad, OrderedDict())
    if d.name in NAME_OF and known in (None, d):
        rebuild: Any = _rebuild_tensor_v2
        args = (TypedStorage(wrap_storage=memory, dtype=d), *args)
    else:
        rebuild = _rebuild_tensor_v3
        whole = (
            TypedStorage(wrap_storage=memory, dtype=known) if isinstance(known, dtype) else memory
        )
        args = (whole, *args, d)
    return finished(self, rebuild, args)


def finished(t: Tensor, rebuild: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """``rebuild(*args)``, and what t has besides: its class and attributes."""
    state = user_state(t)
    if type(t) is Tensor and not state:
        return rebuild, args
    return _rebuild_from_type_v2, (rebuild, type(t), args, state)


def _reduce_ex(self: Tensor, proto: Any) -> tuple[Any, ...]:
    return reduced(self, lambda memory: None)


def _rebuild(
    storage: AnyStorage, d: dtype, offset: int, size: Any, stride: Any, grad: Any, metadata: Any
) -> Tensor:
    t = tensor_on(storage.untyped(), d.numpy, offset, size, stride)
    if metadata and metadata.get("conj"):  # a file can say "the conjugate of this memory"
        t = wrap(np.conj(t._array))
    if metadata and metadata.get("neg"):
        t = wrap(np.negative(t._array))
    return t.requires_grad_() if grad else t


def _dtype_of(storage: AnyStorage) -> dtype:
    return storage.dtype if isinstance(storage, TypedStorage) else dtypes.by_name["uint8"]


def _rebuild_tensor(storage: AnyStorage, storage_offset: int, size: Any, stride: Any) -> Tensor:
    return _rebuild(storage, _dtype_of(storage), storage_offset, size, stride, False, None)


def _rebuild_tensor_v2(
    storage: AnyStorage,
    storage_offset: int,
    size: Any,
    stride: Any,
    requires_grad: bool,
    backward_hooks: Any,
    metadata: Any = None,
) -> Tensor:
    d = _dtype_of(storage)
    return _rebuild(storage, d, storage_offset, size, stride, requires_grad, metadata)


def _rebuild_tensor_v3(
    storage: AnyStorage,
    storage_offset: int,
    size: Any,
    stride: Any,
    requires_grad: bool,
    backward_hooks: Any,
    dtype: dtype,
    metadata: Any = None,
) -> Tensor:
    return _rebuild(storage, dtype, storage_offset, size, stride, requires_grad, metadata)


def _rebuild_meta_tensor_no_storage(
    dtype: dtype, size: Any, stride: Any, requires_grad: bool
) -> Tensor:
    strides = tuple([s * dtype.numpy.itemsize for s in stride])
    t = wrap(MetaArray(size, dtype.numpy, strides))
    return t.requires_grad_() if requires_grad else t


REBUILDING: Any = (
    _rebuild_tensor, _rebuild_tensor_v2, _rebuild_tensor_v3, _rebuild_meta_tensor_no_storage,
)  # fmt: skip


def _rebuild_from_type_v2(func: Any, new_type: Any, args: Any, state: Any) -> Tensor:
    if func not in REBUILDING:
        raise ValueError(f"a pickled tensor cannot be rebuilt by {func!r}")
    if not (isinstance(new_type, type) and issubclass(new_type, Tensor)):
        raise ValueError(f"a pickled tensor cannot become a {new_type!r}")
    t = on_same_class(func(*args), new_type)
    set_user_state(t, state)
    return t  # type: ignore[no-any-return]


def reduced_sparse(t: Tensor) -> tuple[Any, ...]:
    """How to rebuild a sparse tensor: its layout, indices, values and size."""
    x = t._array
    pattern, values, size = x.pattern, wrap(x.values), make_size(x.shape)
    if pattern.layout is formats.sparse_coo:
        parts = (wrap(pattern.coordinates), values, size, pattern.coalesced)
    else:
        parts = (wrap(pattern.starts), wrap(pattern.others), values, size)
    return _rebuild_sparse_tensor, (pattern.layout, parts)


def _get_layout(name: str) -> Any:
    found = {str(known): known for known in TITLES}
    if name not in found:
        raise ValueError(f"a pickled layout is unknown: {name!r}")
    return found[name]


def _rebuild_sparse_tensor(layout: Any, data: Any) -> Tensor:
    if layout is formats.sparse_coo:
        indices, values, size, *known = data
        out = sparse_coo_tensor(indices, values, size, is_coalesced=bool(known and known[0]))
        return out.coalesce() if known and known[0] else out
    return sparse_compressed_tensor(*data, layout=layout)


def copy_memory(memory: UntypedStorage, memo: dict[int, Any]) -> UntypedStorage:
    """The storage's copy of this deepcopy; made by the first tensor on it that asks."""
    made = memo.get(id(memory))
    if made is None:
        made = memo[id(memory)] = memory._copied()
        memo.setdefault(id(memo), []).append(memory)  # so that its id stays its own
    return made  # type: ignore[no-any-return]


def _deepcopy(self: Tensor, memo: dict[int, Any]) -> Tensor:
    """A copy with the same strides; tensors that share memory have copies that share memory."""
    if id(self) in memo:
        return memo[id(self)]  # type: ignore[no-any-return]
    if not self.is_leaf:
        raise GraphError(
            "deepcopy: only tensors created by the user (graph leaves) can be deep-copied, but "
            f"this one was computed by {self.grad_fn}. Use .detach().clone() for its values."
        )
    if self._array.__class__ is SparseArray:
        return copied_sparse(self, memo)
    if self._array.__class__ is MetaArray:
        out = memo[id(self)] = instance(type(self), self._array)
        return out.requires_grad_() if self.requires_grad else out  # type: ignore[no-any-return]
    if self._array.__class__ is WrappedArray:
        return copied_wrapper(self, memo)
    memory, offset, size, stride = layout(self)
    copied = copy_memory(memory, memo)
    out = on_same_class(tensor_on(copied, self._array.dtype, offset, size, stride), type(self))
    copied._settle()  # an empty tensor does not make it by itself
    memo[id(self)] = out
    if self.requires_grad:
        out.requires_grad_()
    if self._grad is not None:
        out._grad = deepcopy(self._grad, memo)
    for name, value in user_state(self).items():
        setattr(out, name, deepcopy(value, memo))
    return out  # type: ignore[no-any-return]


def copied_wrapper(t: Tensor, memo: dict[int, Any]) -> Tensor:
    """A copy of a wrapper tensor: of its attributes."""
    x = t._array
    out = memo[id(t)] = wrapper(WrappedArray(x.kind, x.shape, x.dtype, x.strides))
    for name, value in x.attributes.items():
        setattr(out, name, deepcopy(value, memo))
    out.__class__ = type(t)  # which may be a parameter, too
    return out.requires_grad_() if t.requires_grad else out


def copied_sparse(t: Tensor, memo: dict[int, Any]) -> Tensor:
    """A sparse leaf with values of its own."""
    x = t._array
    out = memo[id(t)] = instance(type(t), SparseArray(x.pattern, x.values.copy()))
    out.requires_grad_(t.requires_grad)
    if t._grad is not None:
        out._grad = deepcopy(t._grad, memo)
    return out  # type: ignore[no-any-return]


Tensor.__reduce_ex__ = _reduce_ex  # type: ignore[method-assign, assignment]
Tensor.__deepcopy__ = _deepcopy  # type: ignore[attr-defined]
