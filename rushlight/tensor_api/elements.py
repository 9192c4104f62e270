"""Elements as Python numbers and NumPy arrays, and functions of Python applied to them."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.device_array import DeviceArray, host
from rushlight.core.meta import MetaArray
from rushlight.core.sparse import SparseArray
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, value_needed, value_pinned, wrap
from rushlight.core.wrapped import WrappedArray
from rushlight.errors import GraphError, ShapeError
from rushlight.tensor_api._common import method, methods, warn_of_lost_gradient
from rushlight.tensor_api.conversion import LEGACY, copy_

__all__ = ["is_nonzero"]


SHORT = 16  # elements that a trace follows into a list one by one
LONG = 1024  # those that it follows together
REALS = dtypes.FLOATS | dtypes.INTEGER_TYPES | {dtypes.bool_}


@method
def item(self: Tensor) -> Any:
    """The only element as a Python number. RuntimeError when there are more.

    Example:
        >>> import rushlight as torch
        >>> torch.tensor([2.5]).item()
        2.5
    """
    x = self._array
    if x.size != 1:
        raise RuntimeError(
            f"a Tensor with {x.size} elements cannot be converted to Scalar; reduce it first, or "
            "use tolist()."
        )
    if state.busy and modes.trace is not None and not modes.trace.is_fixed(self):
        return modes.trace.read(self)
    return number_of(x)


def number_of(x: Any) -> Any:
    """The only element of an array as a Python number."""
    x = x.fetch() if x.__class__ is DeviceArray else x
    if x.dtype in dtypes.FOREIGN and x.__class__ is np.ndarray:
        return float(x.reshape(()))
    return x.item()


def _fixed_item(self: Tensor, what: str) -> Any:
    """The only element, for code of Python's own that needs its value at once."""
    if self._array.size != 1:
        raise ValueError(
            "only one element tensors can be converted to Python scalars, but this one has shape "
            f"{self._array.shape}."
        )
    x = self._array
    if what == "int(tensor)" and modes.trace is not None and x.dtype not in dtypes.COMPLEX_TYPES:
        value_pinned(what, self if x.dtype.kind in "iub" else self.detach().trunc())
    else:
        value_needed(f"{what}, other than item(),", self)
    return number_of(x)


def real_number(value: Any) -> Any:
    """A number that is not complex. RuntimeError where an imaginary part would be lost."""
    if not isinstance(value, complex):
        return value
    if value.imag:
        raise RuntimeError(f"{value} cannot be converted to a real number; take its .real first.")
    return value.real


def _converted(kind: Any) -> Any:
    """A method: the only element as a Python float, int or complex."""

    def convert(self: Tensor) -> Any:
        x = self._array
        if x.__class__ is np.ndarray and x.size == 1 and x.dtype in REALS:
            if not (self._tracked or state.busy):
                return kind(x.item())
        number = _fixed_item(self, f"{kind.__name__}(tensor)")
        if kind is not int:  # as PyTorch
            warn_of_lost_gradient(self)
        return kind(number if kind is complex else real_number(number))

    return convert


@method
def tolist(self: Tensor) -> Any:
    """Nested lists of Python numbers; a number for a 0-dim tensor."""
    x = self._array
    traced = state.busy and modes.trace is not None and not modes.trace.is_fixed(self)
    if traced and x.size <= SHORT:
        return [tolist(v) for v in self] if x.ndim else item(self)
    if traced and x.dtype.kind in "fiu" and x.size <= LONG:
        return modes.trace.listed(self)
    value_needed("tolist()", self)
    x = host(self)
    return (x.astype(np.float32) if x.dtype in dtypes.FOREIGN else x).tolist()


@method
def numpy(self: Tensor, *, force: bool = False) -> np.ndarray[Any, Any]:
    """The elements as a NumPy array on the same memory.

    Args:
        force: also for tensors that require grad: detach first.

    Raises:
        RuntimeError: the tensor requires grad, and grad mode is on.
    """
    if self.requires_grad and modes.grad and not force:
        raise GraphError(
            "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
        )
    if self._array.__class__ is MetaArray:
        raise TypeError(
            "can't convert meta device type tensor to numpy: it has no elements; make it on the "
            "CPU."
        )
    if self._array.__class__ is WrappedArray:
        raise RuntimeError(
            f"numpy() is not supported for tensor subclasses such as {self._array.kind.__name__}: "
            "ask the tensors that it wraps."
        )
    if self._array.__class__ is DeviceArray:
        if force:
            return numpy(self.detach().cpu(), force=True)
        raise TypeError(
            f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy "
            "the tensor to host memory first."
        )
    if self._array.__class__ is SparseArray:
        raise TypeError(
            "can't convert a sparse tensor to numpy. Use Tensor.to_dense() first, or take its "
            "indices() and values()."
        )
    if self._array.dtype in dtypes.FOREIGN and not force:
        name = LEGACY[dtypes.of[self._array.dtype].name]
        raise TypeError(
            f"Got unsupported ScalarType {name}: NumPy has no such type; convert with .float() "
            "first."
        )
    return modes.trace.lend(self) if state.busy and modes.trace is not None else self._array


def _array(self: Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
    value_needed("a NumPy array of a tensor", self)
    a = numpy(self)
    a = self._array if state.busy else a
    if dtype is None or a.dtype == dtype:
        return a.copy() if copy else a
    return a.astype(dtype)


def _truth(self: Tensor) -> bool:
    x = self._array
    if x.size == 1:
        if x.__class__ is np.ndarray and not state.busy and x.dtype in REALS:
            return bool(x.item())
        if x.__class__ is WrappedArray:
            return bool(x.item())
        outcome = bool(host(self).reshape(())[()])
        if state.busy and modes.trace is not None and not modes.trace.is_fixed(self):
            modes.trace.assume(lambda: self.detach().reshape(()) != 0, outcome)
        return outcome
    if not x.size:
        raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
    raise RuntimeError(
        f"Boolean value of Tensor with more than one value is ambiguous: it has {x.size}; use "
        ".any() or .all()."
    )


@method
def is_nonzero(input: Tensor) -> bool:
    """Whether a tensor of one element is not zero.

    Raises:
        RuntimeError: there are several elements, or none.

    Example:
        >>> import rushlight as torch
        >>> torch.is_nonzero(torch.tensor([2.0]))
        True
    """
    return _truth(input)


def _index(self: Tensor) -> int:
    x = self._array
    if x.size != 1 or (x.dtype not in dtypes.INTEGER_TYPES and x.dtype != np.bool_):
        raise TypeError("only integer tensors of a single element can be converted to an index")
    value_pinned("a tensor used as a Python index", self)
    return int(number_of(x))


def _length(self: Tensor) -> int:
    if not self._array.ndim:
        raise TypeError("len() of a 0-d tensor")
    return len(self._array)


def _iterate(self: Tensor) -> Any:
    if not self._array.ndim:
        raise TypeError("iteration over a 0-d tensor")
    return iter(self.unbind(0))


def _contains(self: Tensor, element: Any) -> bool:
    if isinstance(element, Tensor):
        element = host(element)
    elif not isinstance(element, (int, float, complex, np.generic)):
        raise RuntimeError(
            "Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
            f"{element.__class__}."
        )
    value_needed("'in' a tensor", self)
    try:
        return bool((host(self) == element).any())
    except ValueError as error:
        raise ShapeError(
            f"in: {tuple(element.shape)} and {tuple(self.shape)} cannot be broadcast; an element "
            "has no dims, and a row as many as the tensor's last."
        ) from error


def _apply_(self: Tensor, callable: Any) -> Tensor:
    """Replace each element by ``callable(element)``: slow, for a few elements."""
    return _element_by_element("apply_", callable, self)


def _map_(self: Tensor, other: Tensor, callable: Any) -> Tensor:
    """Replace each element by ``callable(element, the other tensor's element)``."""
    return _element_by_element("map_", callable, self, other)


def _map2_(self: Tensor, x: Tensor, y: Tensor, callable: Any) -> Tensor:
    """Replace each element by ``callable(element, those of x and y)``."""
    return _element_by_element("map2_", callable, self, x, y)


def _element_by_element(name: str, call: Any, self: Tensor, *others: Tensor) -> Tensor:
    value_needed(f"{name}()")
    if self.requires_grad or any([t.requires_grad for t in others]):
        raise GraphError(
            f"Can't call {name}() on Variable that requires grad; its gradient is not known. "
            f"Use x.detach().{name}(), or tensor functions."
        )
    kind = self._array.dtype
    for t in others:
        if t._array.dtype != kind:
            raise TypeError(f"{name}: expected tensors of {kind}, but got one of {t.dtype}.")
    arrays = [host(self), *[host(t.expand(self._array.shape)) for t in others]]
    rows = zip(*[a.reshape(-1).tolist() for a in arrays], strict=True)
    changed = [call(*row) for row in rows]
    for v in changed:
        if isinstance(v, (str, bytes)) or not hasattr(v, "__float__"):
            if not isinstance(v, complex):
                raise TypeError(f"{name}: the function has to return numbers, but returned {v!r}.")
    return copy_(self, wrap(np.asarray(changed).astype(kind).reshape(self._array.shape)))


methods(
    is_nonzero=_truth,
    apply_=_apply_,
    map_=_map_,
    map2_=_map2_,
    __reversed__=lambda self: self.flip(0) if self._array.ndim else self,
    __array__=_array,
    __bool__=_truth,
    __index__=_index,
    __len__=_length,
    __iter__=_iterate,
    __contains__=_contains,
    __int__=_converted(int),
    __float__=_converted(float),
    __complex__=_converted(complex),
)
