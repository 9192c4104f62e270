"""Tensor methods that few programs use: from before PyTorch 0.4, or hooks for subclasses."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight import devices, dtypes
from rushlight.absent import Absent
from rushlight.core.binds import with_array
from rushlight.core.device_array import beside, host
from rushlight.core.overrides import AskNoArguments, AskNobody, dispatch, meet, overrides
from rushlight.core.state import modes
from rushlight.core.tensor import KNOWN_KINDS, Tensor, instance, wrap
from rushlight.core.wrapped import WrappedArray, as_wrapper, wrapper
from rushlight.errors import NotSupportedError, warn_user
from rushlight.ops.statistics import Hash
from rushlight.tensor_api._common import (
    expect_tensor,
    finish,
    methods,
    numpy_dtype,
    stored_exactly,
    wrap_dims,
)
from rushlight.tensor_api.pieces import apart, split_with_sizes
from rushlight.tensor_api.storage import bytes_of_file
from rushlight.tensor_api.views import view_as

__all__ = ["from_file", "hash_tensor", "unsafe_split_with_sizes"]


def hash_tensor(
    input: Tensor,
    dim: Any = (),
    *,
    keepdim: bool = False,
    mode: int = 0,
    out: Tensor | None = None,
) -> Tensor:
    """Exclusive or of the bits of all elements, as float64 or int64: what differs in one element
    differs in this.

    Args:
        input: real, or integers.
        dim: one or several to reduce; none means all.
        mode: 0, the only one.

    Returns:
        uint64.

    Example:
        >>> import rushlight as torch
        >>> torch.hash_tensor(torch.tensor([1, 2, 4]))
        tensor(7, dtype=torch.uint64)
    """
    if mode != 0:
        raise RuntimeError(f"hash_tensor: Unknown hash_tensor mode: {mode}; there is 0, xor.")
    d = expect_tensor(input, "hash_tensor")._array.dtype
    if d in dtypes.COMPLEX_TYPES:
        raise NotImplementedError(
            f'hash_tensor: "xor_sum_cpu" not implemented for {input.dtype}; hash view_as_real().'
        )
    dims = wrap_dims(dim, input._array.ndim)
    if dims is None and not input._array.size:
        raise RuntimeError(
            "hash_tensor: Expected reduction dim to be specified for input.numel() == 0. Specify "
            "the reduction dim with the 'dim' argument."
        )
    empty = [d for d in dims or () if not input._array.shape[d]]
    if empty:
        raise IndexError(
            f"hash_tensor: Expected reduction dim {empty[0]} to have non-zero size; the shape is "
            f"{tuple(input._array.shape)}."
        )
    return stored_exactly(Hash.bind(input, dim=dims, keepdim=keepdim), out)


def _assert(condition: Any, message: str) -> Any:
    """AssertionError with ``message`` unless ``condition``."""
    if overrides(type(condition)):
        return dispatch(_assert, [condition], (condition, message), {})
    if not condition:
        raise AssertionError(message)


def _assert_async(input: Tensor, assert_msg: str = "the condition is zero") -> None:
    """RuntimeError with ``assert_msg`` where the only element of ``input`` is zero."""
    if not input:
        raise RuntimeError(assert_msg)


def _check(cond: bool, message: Callable[[], str] | str | None = None) -> None:
    """RuntimeError with ``message``, or what it returns, unless ``cond``."""
    _check_with(RuntimeError, cond, message)


def _check_with(
    error_type: Any, cond: bool, message: Callable[[], str] | str | None = None
) -> None:
    """An error of a type with ``message``, or what it returns, unless ``cond``."""
    if not isinstance(cond, bool):
        raise TypeError(f"_check: cond is a {type(cond).__name__}; pass a bool.")
    if not cond:
        text = message() if callable(message) else message
        raise error_type(text or "_check: the condition is False.")


def _check_index(cond: bool, message: Callable[[], str] | None = None) -> None:
    """IndexError unless ``cond``."""
    _check_with(IndexError, cond, message)


def _check_value(cond: bool, message: Callable[[], str] | None = None) -> None:
    """ValueError unless ``cond``."""
    _check_with(ValueError, cond, message)


def _check_type(cond: bool, message: Callable[[], str] | None = None) -> None:
    """TypeError unless ``cond``."""
    _check_with(TypeError, cond, message)


def _check_not_implemented(cond: bool, message: Callable[[], str] | None = None) -> None:
    """NotImplementedError unless ``cond``."""
    _check_with(NotImplementedError, cond, message)


def _check_is_size(i: int, message: Callable[[], str] | None = None, *, max: Any = None) -> None:
    """RuntimeError unless ``i`` is a size, in [0, max]."""
    _check(i >= 0 and (max is None or i <= max), message or f"{i} is not a size.")


def _check_tensor_all(cond: Tensor, message: Callable[[], str] | None = None) -> None:
    """RuntimeError unless all elements of ``cond`` are True."""
    if not isinstance(cond, Tensor) or cond._array.dtype != np.bool_:
        raise TypeError("_check_tensor_all: cond must be a tensor of dtype bool.")
    _check(bool(cond.all()), message)


def _shape_as_tensor(input: Tensor) -> Tensor:
    """The sizes of ``input``, int64, (dims)."""
    return wrap(np.array(input._array.shape, np.int64))


def _convert_indices_from_coo_to_csr(
    input: Tensor, size: int, *, out_int32: bool = False
) -> Tensor:
    """Where the entries of each of ``size`` rows begin, and the end, of their rows in order."""
    starts = np.searchsorted(host(input), np.arange(size + 1))
    return beside(input, starts.astype(np.int32 if out_int32 else np.int64))


def _convert_indices_from_csr_to_coo(
    crow_indices: Tensor, col_indices: Tensor, *, out_int32: bool = False, transpose: bool = False
) -> Tensor:
    """The row and the column of each entry, (2, entries); the column first with ``transpose``."""
    counts = np.diff(host(crow_indices))
    pair = [np.repeat(np.arange(counts.size), counts), host(col_indices)]
    return beside(
        crow_indices,
        np.stack(pair[::-1] if transpose else pair, dtype=np.int32 if out_int32 else np.int64),
    )


def _softmax_backward_data(
    grad_output: Tensor, output: Tensor, dim: int, input_dtype: Any
) -> Tensor:
    """The gradient of a softmax's input, of the gradient of its result and the result."""
    product: Any = grad_output * output
    grad = product - output * product.sum(dim, keepdim=True)
    return grad.to(input_dtype)


unsafe_split_with_sizes = apart(split_with_sizes)


def from_file(
    filename: str,
    shared: bool | None = None,
    size: int | None = 0,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor on the memory of a file.

    Args:
        filename: raw elements in the machine's byte order.
        shared: whether writes reach the file, which is then made or grown as needed; otherwise
            they stay in this process.
        size: how many elements.
        dtype: their type; the default dtype unless given.
    """
    d = np.dtype(numpy_dtype(dtype, dtypes.default.float))
    memory = bytes_of_file(filename, bool(shared), (size or 0) * d.itemsize)
    return finish(memory.view(d), requires_grad)


def _make_subclass(cls: Any, data: Any, require_grad: bool = False, *args: Any) -> Any:
    """The memory of ``data`` as a leaf that is an instance of ``cls``."""
    with AskNobody():
        t = data.detach().as_subclass(cls)
        return t.requires_grad_() if require_grad else t


def _make_wrapper_subclass(
    cls: Any,
    size: Any,
    strides: Any = None,
    storage_offset: Any = None,
    memory_format: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    **policies: Any,
) -> Any:
    """A tensor without elements, an instance of ``cls``, whose ``__torch_dispatch__`` does what
    operations on it do: see Note [Wrapper tensors] in ``core.wrapped``.

    Args:
        cls: the class; it defines ``__torch_dispatch__(cls, func, types, args, kwargs)``.
        size, strides: what the tensor shows, in elements.
        dtype: the default float unless given.
        device: the CPU.
        requires_grad: whether the tensor is a leaf that gets a gradient.

    Raises:
        TypeError: the class has no ``__torch_dispatch__``.
    """
    if not hasattr(cls, "__torch_dispatch__"):
        raise TypeError(f"{cls.__name__} must define __torch_dispatch__ to wrap tensors.")
    if devices.check(device).type != "cpu":
        raise NotSupportedError(f"wrapper tensors are on the CPU only, but device is {device}.")
    d = numpy_dtype(dtype, dtypes.default.float)
    steps = None if strides is None else tuple([s * d.itemsize for s in strides])
    t = wrapper(WrappedArray(cls, size, d, steps))
    return t.requires_grad_() if requires_grad else t


def _as_subclass(self: Tensor, cls: Any) -> Any:
    """The same memory and graph position as an instance of ``cls``."""
    if cls not in KNOWN_KINDS:
        meet(cls)
    if self._array.__class__ is WrappedArray:
        return self if isinstance(self, cls) else as_wrapper(self)
    if not may_become(self, cls):
        raise NotSupportedError(
            f"{cls.__name__} defines __torch_dispatch__, which is asked only for tensors that wrap "
            "others: make its tensors with Tensor._make_wrapper_subclass."
        )
    with AskNobody():
        t = view_as(self, self)
    try:
        t.__class__ = cls
    except TypeError:  # a class with slots
        t, plain = instance(cls, t._array), t
        for name in Tensor.__slots__:
            if name != "__weakref__":
                setattr(t, name, getattr(plain, name))
    return t


def _resize(self: Tensor, *sizes: Any) -> Tensor:
    """Old name of ``reshape`` to the same number of elements."""
    warn_user("non-inplace resize is deprecated; use reshape.")
    return self.reshape(*sizes)


def _resize_as(self: Tensor, tensor: Tensor) -> Tensor:
    """Old name of ``reshape_as``."""
    warn_user("non-inplace resize_as is deprecated; use reshape_as.")
    return self.reshape(tensor.shape)


def _module_load(self: Tensor, other: Tensor, assign: bool = False) -> Tensor:
    """What a module's ``load_state_dict`` keeps of ``other`` when it swaps tensors."""
    return other.detach() if assign else self.copy_(other).detach()


def _reinforce(self: Tensor, reward: Any) -> None:
    """Raises: gone since PyTorch 0.4."""
    raise RuntimeError(
        "reinforce() was removed in PyTorch 0.4; use torch.distributions and -log_prob * reward."
    )


def _index(self: Tensor, positions: Any, dims: Any) -> Tensor:
    """Raises: dims as objects are not supported."""
    raise NotSupportedError("Tensor.index: first-class dims are not supported; use x[...].")


def _volatile(self: Tensor) -> bool:
    warn_user("volatile was removed in PyTorch 0.4; use no_grad().")
    return False


def _array_wrap(self: Tensor, array: Any, context: Any = None, return_scalar: Any = False) -> Any:
    """A NumPy function's result for a tensor, as a tensor; truths as uint8, as in PyTorch."""
    array = np.asarray(array)
    return wrap(array.astype(np.uint8) if array.dtype == np.bool_ else array)


OPERATORS: dict[Any, Any] = {
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: operator.mul,
    np.divide: operator.truediv,
    np.floor_divide: operator.floordiv,
    np.remainder: operator.mod,
    np.power: operator.pow,
    np.matmul: operator.matmul,
    np.equal: operator.eq,
    np.not_equal: operator.ne,
    np.less: operator.lt,
    np.less_equal: operator.le,
    np.greater: operator.gt,
    np.greater_equal: operator.ge,
    np.bitwise_and: operator.and_,
    np.bitwise_or: operator.or_,
    np.bitwise_xor: operator.xor,
}


def _array_ufunc(self: Tensor, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """NumPy's functions on tensors give tensors; ``array + tensor`` is the tensor's own addition,
    so that gradients flow.
    """
    if method == "__call__" and ufunc in OPERATORS and not options:
        a, b = inputs
        if isinstance(b, np.ndarray):
            a, b = with_array(a, b)
        elif isinstance(a, np.ndarray):
            b, a = with_array(b, a)
        a, b = [x.item() if isinstance(x, np.generic) else x for x in (a, b)]
        return OPERATORS[ufunc](a, b)
    if any([isinstance(x, Tensor) for x in options.get("out", ())]):
        raise TypeError(f"{ufunc.__name__}: out must be an array, not a Tensor; use torch's own.")
    arrays = [np.asarray(x) if isinstance(x, Tensor) else x for x in inputs]
    result = getattr(ufunc, method)(*arrays, **options)
    if method != "__call__" or "out" in options:
        return result
    if isinstance(result, tuple):
        return tuple([_array_wrap(self, r) for r in result])
    return _array_wrap(self, result)


def _torch_function(
    cls: Any, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
) -> Any:
    """What subclasses do by default: tensors that ``func`` returns are of the class ``cls``."""
    if not all([issubclass(cls, t) for t in types]):
        return NotImplemented
    if cls is Tensor and not modes.asks_arguments:  # asked again: by PyTorch, of its own function
        return NotImplemented
    with AskNoArguments():
        result = func(*args, **(kwargs or {}))
        if cls is Tensor or func in (Tensor.grad.__get__, Tensor._base.__get__):
            return result
        return _converted(result, cls)


def may_become(t: Tensor, cls: Any) -> bool:
    """Whether a tensor can be of a class: wrapper tensors are made, not converted."""
    return t._array.__class__ is WrappedArray or not hasattr(cls, "__torch_dispatch__")


def _converted(result: Any, cls: Any) -> Any:
    """The tensors in a function's result as ``cls``."""
    if isinstance(result, Tensor):
        if isinstance(result, cls) or not may_become(result, cls):
            return result
        return result.as_subclass(cls)
    if isinstance(result, (tuple, list)) and any([isinstance(r, Tensor) for r in result]):
        parts = [_converted(r, cls) for r in result]
        return type(result)(*parts) if hasattr(result, "_fields") else type(result)(parts)
    return result


ABSENT = """
    chalf dequantize int_repr q_per_channel_axis q_per_channel_scales q_per_channel_zero_points
    q_scale q_zero_point qscheme sspaddmm to_mkldnn to_padded_tensor to_sparse_bsc to_sparse_bsr
"""


methods(
    hash_tensor=hash_tensor,
    as_subclass=_as_subclass,
    _make_subclass=staticmethod(_make_subclass),
    _make_wrapper_subclass=staticmethod(_make_wrapper_subclass),
    const_data_ptr=lambda self: self.data_ptr(),
    grad_dtype=property(lambda self: self.dtype, doc="The dtype of gradients: the tensor's."),
    index=_index,
    module_load=_module_load,
    reinforce=_reinforce,
    resize=_resize,
    resize_as=_resize_as,
    unsafe_split_with_sizes=unsafe_split_with_sizes,
    volatile=property(_volatile, doc="Always False: gone since PyTorch 0.4."),
    __array_ufunc__=_array_ufunc,
    __array_wrap__=_array_wrap,
    __torch_function__=classmethod(_torch_function),
    **{name: Absent(name) for name in ABSENT.split()},
)
