"""Tensors of what is there: numbers, lists, arrays, buffers."""

from __future__ import annotations

import functools
from array import array
from collections import deque
from typing import Any

import numpy as np

from rushlight import devices, dtypes
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, fixed_number, moving_number, wrap
from rushlight.errors import warn_user
from rushlight.ops.copy import Cast, Clone, cast_array, expect_fit, filler
from rushlight.ops.device import moved
from rushlight.tensor_api._common import (
    check_factory,
    finish,
    numpy_dtype,
    warn_of_lost_gradient,
    warn_once,
)
from rushlight.tensor_api.dlpack import from_dlpack

__all__ = [
    "as_tensor",
    "asarray",
    "from_numpy",
    "frombuffer",
    "tensor",
]

NUMBERS = frozenset([bool, int, float, complex])
UINT64 = dtypes.by_name["uint64"].numpy


def as_it_is(data: Any) -> Any:
    """``data``; of what stands for a NumPy array while a call is traced, the array."""
    return modes.trace.real(data) if state.busy and modes.trace is not None else data


def traced_tensor(data: Any, dtype: Any = None) -> Tensor | None:
    """A tensor on the memory of what stands for a NumPy array while a call is traced, or one of the
    numbers in a sequence that may be others in later calls; None for anything else. Where it is of
    another NumPy dtype than ``dtype``, it is a copy.
    """
    there: Tensor | None = modes.trace.on(data) if state.busy and modes.trace is not None else None
    if there is None:
        return None
    if dtype is None and isinstance(data, (list, tuple, deque)):
        of_numpy = [isinstance(v, (np.ndarray, np.generic)) for v in leaves(data)]
        found = [
            dtypes.from_numpy(v.dtype).numpy if own else dtypes.of_number(v)
            for v, own in zip(leaves(data), of_numpy, strict=True)
        ]
        dtype = functools.reduce(dtypes.promote, found)
    return there if dtype in (None, there._array.dtype) else copied(there, dtype)


def array_from(data: Any, dtype: Any = None) -> np.ndarray[Any, Any]:
    """A new array from numbers, nested sequences or arrays, of NumPy dtype ``dtype`` or the
    inferred one.
    """
    data = as_it_is(data)
    if isinstance(data, np.ndarray):
        data = np.asarray(data)  # subclasses, as masked arrays, stay outside
        own = dtypes.from_numpy(data.dtype).numpy
        d = dtype or own
        return cast_array(data, d) if data.dtype != d else data.astype(d, order="C")
    if isinstance(data, np.generic):
        dtypes.from_numpy(data.dtype)  # refuses those without one of ours
        return np.asarray(data) if dtype is None else held(np.asarray(data), dtype)
    if isinstance(data, (bool, int, float, complex)):
        d = dtype or dtypes.of_number(data)
        if d is dtypes.int64 and isinstance(data, int):
            try:
                return np.asarray(int(data), d)
            except OverflowError:
                raise too_large(data) from None
        if isinstance(data, complex):
            expect_complex(d)
        number = d not in dtypes.INTEGER_TYPES
        return cast_array(np.asarray(data), d) if number else filler(d, data)
    if isinstance(data, bytes):
        raise TypeError("new(): invalid data type 'bytes'; see torch.frombuffer.")
    sequence = hasattr(data, "__len__") and hasattr(data, "__getitem__")  # a set is none
    sequence = sequence and not isinstance(data, dict)
    if isinstance(data, (list, tuple)) or sequence or hasattr(data, "__array__"):
        return from_sequence(data, dtype)
    raise RuntimeError(
        f"Could not infer dtype of {type(data).__name__}; tensors are made of numbers, "
        "sequences, arrays and tensors."
    )


def from_sequence(data: Any, dtype: Any) -> np.ndarray[Any, Any]:
    """An array from a nested sequence, with torch's rule for its dtype."""
    if hasattr(data, "__array__") and not isinstance(data, (list, tuple)):
        return array_from(np.asarray(data), dtype)
    kinds: set[Any] = set()
    plain = unwrap(data, kinds)
    try:
        a = np.array(plain)
    except ValueError as error:
        raise ragged(plain) from error
    if not kinds and a.dtype.kind in "ufO":
        a = wide(a, plain, dtype)
    if a.dtype == object:
        raise type_error(plain)
    if a.dtype.kind in "US":
        first = first_of(data)
        deep = first is not data and isinstance(first, (str, bytes))  # a sequence, too, to torch
        kind = ValueError if deep else TypeError
        raise kind(f"new(): invalid data type {type(first).__name__!r}; tensors hold numbers.")
    d = dtype or inferred(a, kinds, data)
    if a.dtype == d:
        return a
    if a.dtype.kind == "c" and not kinds:
        expect_complex(d)
    return held(a, d)


def wide(a: np.ndarray[Any, Any], plain: Any, dtype: Any) -> np.ndarray[Any, Any]:
    """``a``; of Python's ints that need more than 63 bits, which NumPy makes floats or objects of,
    an array of ``dtype``.
    """
    if a.dtype.kind == "f" and type(first_of(plain)) is not int:
        return a
    if a.dtype.kind != "O" and not np.abs(a).max() >= 2**63:
        return a
    if not all(type(v) is int for v in leaves(plain)):
        return a
    if dtype is None or dtype is dtypes.int64:
        raise too_large(max(leaves(plain), key=abs))
    return np.array(plain, dtype if dtype is UINT64 or dtype is dtypes.bool_ else np.float64)


def held(a: np.ndarray[Any, Any], d: Any) -> np.ndarray[Any, Any]:
    """Numbers in ``a`` as dtype d, which has to hold them if it is one of integers."""
    if d in dtypes.INTEGER_TYPES and a.dtype.kind in "iuf" and a.size:
        for extreme in (a.min(), a.max()):
            expect_fit(extreme.item(), d)
    return cast_array(a, d)  # type: ignore[no-any-return]


def expect_complex(d: Any) -> None:
    """Refuse a dtype that would lose the imaginary part of complex numbers."""
    if d not in dtypes.COMPLEX_TYPES and d is not dtypes.bool_:
        raise TypeError(
            f"must be real number, not complex: the dtype is {dtypes.of[d].name}; take .real."
        )


def too_large(value: int) -> ValueError:
    """Why an int is not among int64's."""
    return ValueError(
        f"Overflow when unpacking long long: {value} does not fit into int64; pass another dtype, "
        "as torch.float64."
    )


def inferred(a: np.ndarray[Any, Any], kinds: set[Any], data: Any) -> np.dtype[Any]:
    """The dtype of a nested sequence ``data``, in which there are tensors, arrays and NumPy's
    numbers of dtypes ``kinds``.
    """
    if not a.size:
        return dtypes.default.float
    if kinds:
        numbers = {*map(type, leaves(data))} & NUMBERS
        return functools.reduce(dtypes.promote, [*kinds, *[dtypes.of_number(k()) for k in numbers]])
    if a.dtype.kind in "fc":
        return dtypes.default.float if a.dtype.kind == "f" else dtypes.default.complex
    return dtypes.from_numpy(a.dtype).numpy


def type_error(plain: Any) -> Exception:
    """Why a nested sequence is no array."""
    strange = [v for v in leaves(plain) if not isinstance(v, (int, float, complex, np.generic))]
    strange = [v for v in strange if not isinstance(v, (str, bytes))]
    if strange:
        return RuntimeError(
            f"Could not infer dtype of {type(strange[0]).__name__}: sequences must hold numbers."
        )
    return ragged(plain)


def ragged(plain: Any) -> Exception:
    """Why a nested sequence has no shape."""
    level, depth = [plain], 0
    while all([isinstance(v, (list, tuple)) for v in level]):
        other = next((v for v in level if len(v) != len(level[0])), None)
        if other is not None:
            return ValueError(
                f"expected sequence of length {len(level[0])} at dim {depth} (got {len(other)}); "
                "pad the shorter ones (nn.utils.rnn.pad_sequence), or keep a list of tensors."
            )
        level, depth = [item for v in level for item in v], depth + 1
    kinds = ", ".join(dict.fromkeys([type(v).__name__ for v in level]))
    return TypeError(f"can't make a tensor of a sequence that holds, at dim {depth}, {kinds}.")


def first_of(data: Any) -> Any:
    """The first item of a nested sequence, or an empty one that stands there."""
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return data


def leaves(data: Any) -> Any:
    """The items of a nested sequence."""
    for v in data:
        if isinstance(v, (list, tuple)):
            yield from leaves(v)
        else:
            yield v


def unwrap(data: Any, kinds: set[Any]) -> Any:
    """Nested sequences with tensors replaced by numbers; notes in ``kinds`` the dtypes of tensors,
    arrays and NumPy's numbers.
    """
    if NUMBERS.issuperset(map(type, data)):
        return list(data)
    out = []
    for item in data:
        if isinstance(item, Tensor):
            kinds.add(item._array.dtype)
            out.append(number_in(item))
        elif isinstance(item, (list, tuple)):
            out.append(unwrap(item, kinds))
        else:
            if isinstance(item, (np.ndarray, np.generic)):
                kinds.add(dtypes.from_numpy(item.dtype).numpy)
            out.append(item)
    return out


def number_in(item: Tensor) -> Any:
    """The value of a tensor in a sequence, where it stands for a number, whatever its shape."""
    if item._array.size != 1:
        raise ValueError(
            "only one element tensors can be converted to Python scalars: a sequence that a tensor "
            f"is made of has a tensor of shape {item._array.shape}. torch.stack joins tensors."
        )
    warn_of_lost_gradient(item)
    return item.item()


def tensor(
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A new tensor with a copy of ``data``.

    Args:
        data: a number, a nested sequence of numbers, an array, or a tensor.
        dtype: element type; inferred by default (Python floats become the default dtype, ints
            int64).
        device: where to put it.
        requires_grad: whether autograd records operations on it.

    Example:
        >>> import rushlight as torch
        >>> torch.tensor([[1, 2], [3, 4]])
        tensor([[1, 2],
                [3, 4]])
    """
    place = check_factory(device)
    if isinstance(data, Tensor):
        warn_user(
            "To copy construct from a tensor, it is recommended to use "
            "sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than "
            "torch.tensor(sourceTensor)."
        )
        source = data.detach() if device is None else data.detach().to(device)
        return copied(source, numpy_dtype(dtype), requires_grad)
    there = traced_tensor(data, numpy_dtype(dtype))
    if there is not None:
        return copied(moved(there, place), None, requires_grad)
    if isinstance(data, (int, float)) and place is not devices.META and not requires_grad:
        moving = moving_number(data, numpy_dtype(dtype, dtypes.of_number(data)))
        if moving is not None:
            return moved(moving, place).clone()  # type: ignore[no-any-return]
    return finish(array_from(fixed_number(data), numpy_dtype(dtype)), requires_grad, place)


def copied(x: Tensor, d: Any, requires_grad: bool = False) -> Tensor:
    """A copy of a tensor, of NumPy dtype ``d`` or of its own."""
    copy = Clone.bind(x) if d is None or x._array.dtype == d else Cast.bind(x, dtype=d)
    return copy.requires_grad_() if requires_grad else copy


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """``data`` as a tensor, sharing memory with a tensor or array of the right dtype.

    Example:
        >>> import rushlight as torch
        >>> x = torch.ones(2)
        >>> torch.as_tensor(x) is x, torch.as_tensor([1, 2])
        (True, tensor([1, 2]))
    """
    place = check_factory(device)
    d = numpy_dtype(dtype)
    there = traced_tensor(data, d)
    data = data if there is None else there
    if isinstance(data, Tensor):
        data = data if device is None else data.to(device)
        return data if d is None or data._array.dtype == d else Cast.bind(data, dtype=d)
    if isinstance(data, np.ndarray) and (d is None or data.dtype == d) and place is None:
        return from_numpy(data)
    if state.busy and isinstance(data, (int, float)):
        return tensor(data, dtype=dtype, device=device)
    if hasattr(data, "__cuda_array_interface__"):
        return as_tensor(from_dlpack(data), dtype, device)
    return finish(array_from(data, d), place=place)


def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool | None = None,
) -> Tensor:
    """``obj`` as a tensor; ``copy`` True copies, False refuses to, None does what is needed.
    Tensors, arrays, buffers and capsules of DLPack share their memory. What is computed
    leaves the graph if ``requires_grad`` is False; leaves are set to it.

    The bytes of a buffer are those of elements of ``dtype``, by default the floating-point one.
    """
    there: Tensor = array_of(obj, dtype, copy)
    if device is not None or devices.current.chosen is not None:
        there = there.to(devices.check(device))
    if requires_grad is None:
        return there
    if not requires_grad and not there.is_leaf:
        there = there.detach()
    return there.requires_grad_(requires_grad)


def array_of(obj: Any, dtype: Any, copy: bool | None) -> Tensor:
    """``asarray`` where ``obj`` is."""
    d = numpy_dtype(dtype)
    there = traced_tensor(obj, d)
    obj = obj if there is None else there
    if type(obj).__name__ == "PyCapsule":
        obj = from_dlpack(obj)
    shares = isinstance(obj, (Tensor, np.ndarray)) and (
        d is None or (obj._array if isinstance(obj, Tensor) else obj).dtype == d
    )
    if copy is False and isinstance(obj, np.generic):
        raise RuntimeError("can't alias NumPy scalars; remove copy=False.")
    if isinstance(obj, (bytes, bytearray, memoryview, array)):
        seen = frombuffer(obj, dtype=dtype or dtypes.get_default_dtype())
        return seen.clone() if copy else seen
    if copy is False and not shares:
        raise ValueError(
            f"can't alias {type(obj).__name__} with dtype {dtype}; allow a copy with copy=None."
        )
    if copy or not shares:
        return tensor_of(obj, d)
    return obj if isinstance(obj, Tensor) else from_numpy(obj)


def tensor_of(obj: Any, d: Any) -> Tensor:
    """A copy of ``obj``."""
    return copied(obj, d) if isinstance(obj, Tensor) else wrap(array_from(obj, d))


def from_numpy(ndarray: Any) -> Tensor:
    """A tensor on the memory of a NumPy array: writes to one are seen in the other.

    Example:
        >>> import numpy as np, rushlight as torch
        >>> a = np.zeros(2, dtype=np.float32)
        >>> torch.from_numpy(a).fill_(7)
        tensor([7., 7.])
        >>> a
        array([7., 7.], dtype=float32)
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    if ndarray.__class__ is np.ndarray and ndarray.base is None and not state.busy:
        found = dtypes.of.get(ndarray.dtype)
        if found is not None and found.numpy is ndarray.dtype and ndarray.flags.carray:
            return wrap(ndarray)
    there = traced_tensor(ndarray)
    if there is not None:
        return there
    ndarray = np.asarray(as_it_is(ndarray))
    d = dtypes.from_numpy(ndarray.dtype).numpy
    if any([s % d.itemsize for s in ndarray.strides]):
        raise ValueError(
            f"The NumPy array's strides, {ndarray.strides} bytes, are no multiples of its elements'"
            f" size, {d.itemsize}, as those of one field of records; copy it: array.copy()."
        )
    if any([s < 0 for s in ndarray.strides]):
        raise ValueError(
            "At least one stride in the given numpy array is negative, which is not supported; "
            "copy it: array.copy()."
        )
    if not ndarray.flags.writeable:
        warn_once(
            "The given NumPy array is not writable; writing to the tensor will fail. Copy the "
            "array to avoid this."
        )
    return wrap(
        ndarray
        if ndarray.dtype is d
        else ndarray.astype(d)
        if ndarray.dtype != d
        else ndarray.view(d)
    )


def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A vector on the memory of a buffer (bytes, bytearray, memoryview). ``offset`` in bytes,
    ``count`` in elements.

    Example:
        >>> import rushlight as torch
        >>> torch.frombuffer(bytearray([1, 2, 3]), dtype=torch.uint8)
        tensor([1, 2, 3], dtype=torch.uint8)
    """
    d = numpy_dtype(dtype)
    try:
        size = memoryview(buffer).nbytes
    except TypeError:
        raise ValueError(
            f"frombuffer: a {type(buffer).__name__} does not implement Python's buffer protocol."
        ) from None
    if not size or not count:
        raise ValueError(f"both buffer length ({size}) and count ({count}) must not be 0")
    if not 0 <= offset < max(size, 1):
        raise ValueError(
            f"offset must be non-negative and no greater than buffer length ({size}), but got "
            f"{offset}."
        )
    count = max(count, -1)
    if count < 0 and (size - offset) % d.itemsize:
        raise ValueError(
            f"buffer size ({size - offset} bytes after the offset) must be a multiple of element "
            f"size ({d.itemsize})."
        )
    if count > 0 and offset + count * d.itemsize > size:
        raise ValueError(
            f"requested buffer length ({count * d.itemsize} bytes) after offset ({offset}) "
            f"exceeds the buffer's ({size})."
        )
    a = np.frombuffer(buffer, d, count, offset)
    if not a.flags.writeable:
        warn_once("The given buffer is not writable; writing to the tensor will fail.")
    return finish(a, requires_grad)
