"""Functions that make tensors from sizes, numbers and data."""

from __future__ import annotations

import builtins
import functools
import math
from array import array
from typing import Any

import numpy as np

from rushlight import devices, dtypes, formats
from rushlight.core.meta import MetaArray
from rushlight.core.sparse import SparseArray
from rushlight.core.tensor import Tensor, constant, fixed_number, wrap
from rushlight.errors import DTypeError, warn_user
from rushlight.ops.copy import Cast, Clone, cast_array, filler
from rushlight.ops.create import Complex
from rushlight.tensor_api._common import (
    check_factory,
    expect_tensor,
    finish,
    method,
    methods,
    numpy_dtype,
    shape_of,
    store_out,
    warn_of_lost_gradient,
)

__all__ = [
    "arange",
    "as_tensor",
    "asarray",
    "complex",
    "empty",
    "empty_like",
    "empty_strided",
    "eye",
    "from_numpy",
    "frombuffer",
    "full",
    "full_like",
    "linspace",
    "logspace",
    "ones",
    "ones_like",
    "polar",
    "range",
    "scalar_tensor",
    "tensor",
    "zeros",
    "zeros_like",
]


def array_from(data: Any, dtype: Any = None) -> np.ndarray[Any, Any]:
    """A new array from numbers, nested sequences or arrays, of NumPy dtype ``dtype`` or the
    inferred one.
    """
    if isinstance(data, np.ndarray):
        d = dtype or dtypes.from_numpy(data.dtype).numpy
        return cast_array(data, d) if data.dtype != d else data.astype(d, order="C")
    if isinstance(data, np.generic):
        return np.asarray(data, dtype or data.dtype)
    if isinstance(data, (bool, int, float, complex_type)):
        d = dtype or dtypes.of_number(data)
        return (
            cast_array(np.asarray(data), d)
            if d not in dtypes.INTEGER_TYPES
            else np.asarray(int(data.real), d)
        )
    if isinstance(data, bytes):
        raise TypeError("new(): invalid data type 'bytes'; see torch.frombuffer.")
    sequence = hasattr(data, "__len__") and hasattr(data, "__getitem__")  # a set is none
    if isinstance(data, (list, tuple)) or sequence or hasattr(data, "__array__"):
        return from_sequence(data, dtype)
    raise RuntimeError(
        f"Could not infer dtype of {type(data).__name__}; tensors are made of numbers, "
        "sequences, arrays and tensors."
    )


complex_type = complex
NUMBERS = frozenset([bool, int, float, complex])


def from_sequence(data: Any, dtype: Any) -> np.ndarray[Any, Any]:
    """An array from a nested sequence, with torch's rule for its dtype."""
    if hasattr(data, "__array__") and not isinstance(data, (list, tuple)):
        return array_from(np.asarray(data), dtype)
    kinds: set[Any] = set()
    plain = unwrap(data, kinds)
    try:
        a = np.array(plain)
    except ValueError as error:
        raise ValueError(f"expected sequences of equal length at every depth: {error}") from None
    except OverflowError as error:
        raise RuntimeError(f"Overflow when unpacking long: {error}") from None
    if a.dtype == object:
        raise type_error(plain)
    if a.dtype.kind in "US":
        kind = TypeError if isinstance(data, (str, bytes)) else ValueError
        raise kind(f"new(): invalid data type {a.dtype.type.__name__!r}; tensors hold numbers.")
    d = dtype or inferred(a, kinds, data)
    return cast_array(a, d) if a.dtype != d else a


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
    if any(isinstance(v, int) and not -(2**63) <= v < 2**64 for v in leaves(plain)):
        return RuntimeError("Overflow when unpacking long: an int does not fit into 64 bits.")
    bad = next(
        (v for v in leaves(plain) if not isinstance(v, (int, float, complex_type, np.generic))),
        None,
    )
    return TypeError(
        f"can't make a tensor of {type(bad).__name__!r}; sequences must hold numbers and have "
        "equal lengths at every depth."
    )


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
    meta = check_factory(device)
    if isinstance(data, Tensor):
        warn_user(
            "To copy construct from a tensor, it is recommended to use "
            "sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than "
            "torch.tensor(sourceTensor)."
        )
        source = data.detach().to(devices.META) if meta else data.detach()
        return copied(source, numpy_dtype(dtype), requires_grad)
    return finish(array_from(fixed_number(data), numpy_dtype(dtype)), requires_grad, meta)


def copied(x: Tensor, d: Any, requires_grad: bool = False) -> Tensor:
    """A copy of a tensor, of NumPy dtype ``d`` or of its own."""
    copy = Clone.bind(x) if d is None or x._array.dtype == d else Cast.bind(x, dtype=d)
    return copy.requires_grad_() if requires_grad else copy


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """``data`` as a tensor, sharing memory with a tensor or array of the right dtype."""
    meta = check_factory(device)
    d = numpy_dtype(dtype)
    if isinstance(data, Tensor):
        data = data if device is None else data.to(device)
        return data if d is None or data._array.dtype == d else Cast.bind(data, dtype=d)
    if isinstance(data, np.ndarray) and (d is None or data.dtype == d) and not meta:
        return from_numpy(data)
    return finish(array_from(data, d), meta=meta)


def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """``obj`` as a tensor; ``copy`` True copies, False refuses to, None does what is needed.

    The bytes of a buffer are those of elements of ``dtype``, by default the floating-point one.
    """
    d = numpy_dtype(dtype)
    shares = isinstance(obj, (Tensor, np.ndarray)) and (
        d is None or (obj._array if isinstance(obj, Tensor) else obj).dtype == d
    )
    if copy is False and isinstance(obj, np.generic):
        raise RuntimeError("can't alias NumPy scalars; remove copy=False.")
    if isinstance(obj, (bytes, bytearray, memoryview, array)):
        seen = frombuffer(obj, dtype=dtype or dtypes.get_default_dtype())
        return (seen.clone() if copy else seen).requires_grad_(requires_grad)  # type: ignore[no-any-return]
    if copy is False and not shares:
        raise ValueError(
            f"can't alias {type(obj).__name__} with dtype {dtype}; allow a copy with copy=None."
        )
    out = tensor_of(obj, d) if copy or not shares else as_tensor(obj)
    return out.requires_grad_() if requires_grad else out


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
    if any([s < 0 for s in ndarray.strides]):
        raise ValueError(
            "At least one stride in the given numpy array is negative, which is not supported; "
            "copy it: array.copy()."
        )
    d = dtypes.from_numpy(ndarray.dtype).numpy
    if not ndarray.flags.writeable:
        warn_user(
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
        warn_user("The given buffer is not writable; writing to the tensor will fail.")
    return finish(a, requires_grad)


def _sizes(size: tuple[Any, ...], name: str) -> tuple[int, ...]:
    shape = shape_of(size, name)
    if shape and min(shape) < 0:
        raise RuntimeError(f"{name}: Trying to create tensor with negative dimension in {shape}.")
    return shape


def _maker(name: str, make: Any, doc: str) -> Any:
    def factory(
        *size: Any,
        out: Any = None,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
        memory_format: Any = None,
    ) -> Tensor:
        meta = False
        if device is not None or layout is not None or devices.current.chosen is not None:
            meta = check_factory(device, layout)
        shape = _sizes(size, name)
        if out is not None:
            return store_out(out, wrap(made_by(make, shape, numpy_dtype(dtype, out._array.dtype))))
        if meta:
            return finish(MetaArray(shape, numpy_dtype(dtype, dtypes.default.float)), requires_grad)
        made = made_by(make, shape, numpy_dtype(dtype, dtypes.default.float))
        if memory_format in formats.CHANNELS_LAST:
            made = formats.copy_in(made, memory_format)
        return finish(made, requires_grad)

    def with_size(*size: Any, **options: Any) -> Tensor:
        if not options and devices.current.chosen is None:
            return constant(made_by(make, _sizes(size, name), dtypes.default.float))
        if "size" in options:
            size = (options.pop("size"),)
        return factory(*size, **options)

    with_size.__name__ = with_size.__qualname__ = name
    with_size.__doc__ = doc
    return with_size


def made_by(make: Any, shape: tuple[int, ...], d: Any) -> Any:
    """``make(shape, d)``. RuntimeError where no memory can be that large."""
    try:
        return make(shape, d)
    except ValueError as error:
        raise RuntimeError(
            f"Storage size calculation overflowed: there is no tensor of shape {shape}."
        ) from error


def filled(shape: Any, d: Any, value: Any) -> np.ndarray[Any, Any]:
    """A new array of one value."""
    a = np.empty(shape, d)
    a.fill(value)
    return a


zeros = _maker(
    "zeros",
    np.zeros,
    """Zeros of the given sizes: ``zeros(2, 3)`` or ``zeros((2, 3), dtype=..., requires_grad=...)``.

    Example:
        >>> import rushlight as torch
        >>> torch.zeros(2)
        tensor([0., 0.])
    """,
)
ones = _maker(
    "ones",
    lambda shape, d: filled(shape, d, 1),
    """Ones of the given sizes: ``ones(2, 3)`` or ``ones((2, 3), dtype=..., requires_grad=...)``.

    Example:
        >>> import rushlight as torch
        >>> torch.ones(2, dtype=torch.int64)
        tensor([1, 1])
    """,
)
empty = _maker("empty", np.empty, "Uninitialised memory of the given sizes.")


def full(
    size: Any,
    fill_value: Any,
    *,
    out: Any = None,
    names: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """``fill_value`` everywhere; the dtype follows the value unless given.

    Example:
        >>> import rushlight as torch
        >>> torch.full((2,), 7)
        tensor([7, 7])
    """
    meta = check_factory(device, layout)
    value = fill_value.item() if isinstance(fill_value, Tensor) else fixed_number(fill_value)
    default = dtypes.of_number(value) if out is None else out._array.dtype
    a = filler(numpy_dtype(dtype, default), value)
    if meta and out is None:
        return finish(MetaArray(_sizes((size,), "full"), a.dtype), requires_grad)
    result = filled(_sizes((size,), "full"), a.dtype, a)
    return finish(result, requires_grad) if out is None else store_out(out, wrap(result))


def _like(make: Any, in_order: Any, name: str, doc: str) -> Any:
    """``make(like, dtype, order)``; ``in_order(shape, dtype)`` is the same in C order."""

    def like(
        input: Tensor,
        *,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
        memory_format: Any = None,
    ) -> Tensor:
        x = input._array
        meta = x.__class__ is MetaArray and device is None
        if device is not None or layout is not None:
            meta = check_factory(device or input.device, layout)
        if meta:
            strides = x.strides if dtype is None else None
            return finish(MetaArray(x.shape, numpy_dtype(dtype, x.dtype), strides), requires_grad)
        if x.__class__ is MetaArray:
            x = x.memory()
        if x.__class__ is SparseArray and name != "ones_like":
            none = np.zeros((0, *x.values.shape[1:]), numpy_dtype(dtype, x.dtype))
            return finish(SparseArray(x.pattern.without_entries(), none), requires_grad)
        contiguous = (
            x.flags.c_contiguous
            or formats.expanded(x)
            or memory_format is formats.contiguous_format
        )
        d = numpy_dtype(dtype, x.dtype)
        out = in_order(x.shape, d) if contiguous else make(x, d, "K")
        return finish(
            formats.copy_in(out, memory_format) if memory_format in formats.CHANNELS_LAST else out,
            requires_grad,
        )

    like.__name__ = like.__qualname__ = name
    like.__doc__ = doc
    return like


zeros_like = _like(
    np.zeros_like, np.zeros, "zeros_like", "Zeros with the shape and dtype of ``input``."
)
ones_like = _like(
    np.ones_like,
    lambda shape, d: filled(shape, d, 1),
    "ones_like",
    "Ones with the shape and dtype of ``input``.",
)
empty_like = _like(
    np.empty_like,
    np.empty,
    "empty_like",
    "Uninitialised memory with the shape and dtype of ``input``.",
)


def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """``fill_value`` everywhere, with the shape and dtype of ``input``."""
    out = empty_like(input, dtype=dtype, layout=layout, device=device, memory_format=memory_format)
    value = fill_value.item() if isinstance(fill_value, Tensor) else fixed_number(fill_value)
    if out._array.__class__ is not MetaArray:
        out._array[...] = filler(out._array.dtype, value)
    return out.requires_grad_() if requires_grad else out


def empty_strided(
    size: Any,
    stride: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Uninitialised memory with given strides, in elements."""
    d = numpy_dtype(dtype, dtypes.default.float)
    shape, steps = tuple(size), tuple(stride)
    if len(shape) != len(steps) or min((*shape, *steps), default=0) < 0:
        raise RuntimeError(
            f"empty_strided: sizes {shape} need as many strides, all >= 0, but got {steps}."
        )
    if check_factory(device, layout):
        return finish(MetaArray(shape, d, tuple([s * d.itemsize for s in steps])), requires_grad)
    extent = 1 + sum([(n - 1) * s for n, s in zip(shape, steps, strict=True)]) if all(shape) else 0
    memory = np.empty(extent, d)
    return finish(
        np.lib.stride_tricks.as_strided(memory, shape, tuple([s * d.itemsize for s in steps])),
        requires_grad,
    )


def scalar_tensor(
    s: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """A 0-dim tensor of the default dtype."""
    a = filler(numpy_dtype(dtype, dtypes.default.float), s)
    return finish(a, requires_grad, check_factory(device, layout))


def _number(x: Any) -> Any:
    return x.item() if isinstance(x, (Tensor, np.generic)) else x


def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """``start``, ``start + step``, ... below ``end``; ``arange(n)`` counts from 0. Ints give int64,
    floats the default dtype.

    Example:
        >>> import rushlight as torch
        >>> torch.arange(4), torch.arange(1, 2, 0.5)
        (tensor([0, 1, 2, 3]), tensor([1.0000, 1.5000]))
    """
    meta = check_factory(device, layout)
    start, end, step = (
        (0, _number(start), _number(step))
        if end is None
        else (_number(start), _number(end), _number(step))
    )
    start, end, step = fixed_number((start, end, step))
    check_range(start, end, step)
    ints = all([isinstance(v, int) for v in (start, end, step)])
    d = dtype_into(out, dtype, dtypes.int64 if ints else dtypes.default.float)
    if d is dtypes.int64 and not ints:
        start, end, step, ints = int(start), int(end), int(step), True
        if step == 0:
            raise ValueError("arange: step must be nonzero, also as an integer.")
    if ints:
        a = np.arange(start, end, step, np.int64).astype(d)
    else:
        n = math.ceil((end - start) / step)
        if d in dtypes.INTEGER_TYPES:  # as many as of floats, but counted in integers
            a = (int(start) + int(step) * np.arange(n)).astype(d)
        else:
            a = in_pieces(n, d, lambda i, j: start + step * np.arange(i, j, dtype=np.float64))
            place_zero(a, start, step)
    return finish(a, requires_grad, meta) if out is None else fill_out(out, a)


def check_range(start: Any, end: Any, step: Any) -> None:
    """What ``arange`` and ``range`` refuse."""
    if step == 0:
        raise RuntimeError("arange: step must be nonzero.")
    if not all([math.isfinite(v) for v in (start, end)]):
        raise RuntimeError(f"unsupported range: {start} -> {end}; the bounds must be finite.")
    if (end - start) / step < 0:
        raise RuntimeError(
            f"upper bound and lower bound inconsistent with step sign: {start} to {end} by {step}."
        )
    if any([isinstance(v, int) and not -(2**63) <= v < 2**63 for v in (start, end, step)]):
        raise RuntimeError(f"arange: {start}, {end} or {step} does not fit into int64.")


def dtype_into(out: Any, dtype: Any, default: Any) -> Any:
    """The dtype of values made for ``out``: what was asked for, out's own, or the default."""
    return numpy_dtype(dtype, out._array.dtype if isinstance(out, Tensor) else default)


def fill_out(out: Any, values: np.ndarray[Any, Any]) -> Tensor:
    """``store_out`` of a range: a tensor that has as many elements keeps its shape."""
    if isinstance(out, Tensor) and out._array.size == values.size:
        values = values.reshape(out._array.shape)
    return store_out(out, wrap(values))


def place_zero(a: np.ndarray[Any, Any], start: Any, step: Any) -> None:
    """Give the element of a range that is nearest to zero torch's value, whose rounding shows: the
    zero of ``arange(-1, 1, 0.1)`` is -2.9802e-09.

    torch fills 64 bytes at a time, as two vectors: the first element of a vector is rounded, the
    others are counted from it. What fills no 64 bytes is computed one by one.
    """
    k, n, lanes = round(-start / step), len(a), 32 // a.dtype.itemsize
    if not 0 < k < n or a.dtype not in (dtypes.float32, dtypes.float64):
        return
    past = k % lanes if k < n - n % (2 * lanes) else 0
    first = a.dtype.type(multiply_add(k - past, step, start))
    a[k] = multiply_add(past, step, first)


def multiply_add(k: int, x: Any, y: Any) -> float:
    """``k x + y``, rounded once."""
    (a, b), (c, d) = float(x).as_integer_ratio(), float(y).as_integer_ratio()
    return (k * a * d + b * c) / (b * d)


def range(start: Any = 0, end: Any = None, step: Any = 1, **options: Any) -> Tensor:
    """Like ``arange`` with ``end`` included, in floats. Deprecated in torch as well."""
    check_range(start, end, step)
    n = math.floor((end - start) / step) + 1
    d = numpy_dtype(options.get("dtype"), dtypes.default.float)
    return constant((start + step * np.arange(n, dtype=np.float64)).astype(d))


PIECE = 1 << 14  # elements that are made at a time, so that they stay in the cache


def in_pieces(n: int, d: Any, values: Any) -> np.ndarray[Any, Any]:
    """``values(i, j)``, elements i to j - 1 of n, as one array of dtype d."""
    if n <= PIECE:
        return np.asarray(values(0, n)).astype(d, copy=False)
    out = np.empty(n, d)
    for i in builtins.range(0, n, PIECE):
        j = min(i + PIECE, n)
        out[i:j] = values(i, j)
    return out


def spaced(start: float, end: float, steps: int, d: Any) -> np.ndarray[Any, Any]:
    """``steps`` values from start to end, symmetric as torch computes them: from the nearer end."""
    if steps == 1:
        return np.asarray([start]).astype(d)
    work = (
        d
        if d in dtypes.DIFFERENTIABLE and d not in dtypes.HALVES
        else dtypes.float32
        if d in dtypes.HALVES
        else dtypes.float64
    )
    if d in dtypes.INTEGER_TYPES:
        start, end = int(start), int(end)
    a, b = np.array(start, work), np.array(end, work)
    wide = (
        dtypes.float64 if work is dtypes.float32 else work
    )  # torch rounds only once, as this does
    step = np.array((b - a) / np.array(steps - 1, work), wide)

    def values(i: int, j: int) -> np.ndarray[Any, Any]:
        part = from_ends(i, j, steps, wide) * step
        head = max(0, steps // 2 - i)
        part[:head] += a
        part[head:] += b
        return part

    return in_pieces(steps, d, values)


@functools.lru_cache(maxsize=16)
def from_ends(i: int, j: int, n: int, d: Any) -> np.ndarray[Any, Any]:
    """How far elements i to j - 1 of n are from the nearer end, counted from the last one down; not
    to be written to.
    """
    part = np.arange(i, j, dtype=d)
    tail = part[max(0, n // 2 - i) :]
    np.subtract(n - 1, tail, tail)
    np.negative(tail, tail)  # -0 at the end, which changes no zero that it is added to
    return part


def check_steps(steps: Any, name: str) -> None:
    """The number of values is an int >= 0."""
    if not hasattr(steps, "__index__"):
        raise TypeError(f"{name}(): argument 'steps' must be int, not {type(steps).__name__}")
    if steps < 0:
        raise RuntimeError(f"number of steps must be non-negative, but got {steps}.")


def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """``steps`` evenly spaced values from ``start`` to ``end``, both included.

    Example:
        >>> import rushlight as torch
        >>> torch.linspace(0, 1, 3)
        tensor([0.0000, 0.5000, 1.0000])
    """
    meta = check_factory(device, layout)
    start, end = _number(start), _number(end)
    check_steps(steps, "linspace")
    d = spaced_dtype("linspace", start, end, out, dtype)
    a = spaced(start, end, steps, d) if steps else np.empty(0, d)
    return finish(a, requires_grad, meta) if out is None else fill_out(out, a)


def spaced_dtype(name: str, start: Any, end: Any, out: Any, dtype: Any) -> Any:
    """The dtype of values between two numbers."""
    if not isinstance(start, complex_type) and not isinstance(end, complex_type):
        return dtype_into(out, dtype, dtypes.default.float)
    d = dtype_into(out, dtype, dtypes.default.complex)
    if d not in dtypes.COMPLEX_TYPES:
        raise RuntimeError(
            f"torch.{name}(): complex bounds can't be safely cast to dtype {dtypes.of[d].name}."
        )
    return d


def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """``base`` to the powers ``linspace(start, end, steps)``."""
    meta = check_factory(device, layout)
    check_steps(steps, "logspace")
    first, last = _number(start), _number(end)
    d = spaced_dtype("logspace", first, last, out, dtype)
    if d in dtypes.INTEGER_TYPES:
        first, last = int(first), int(last)
    wide = dtypes.complex128 if d in dtypes.COMPLEX_TYPES else dtypes.float64
    exponents = spaced(first, last, steps, wide) if steps else np.empty(0)
    a = np.power(float(base), exponents).astype(d)
    return finish(a, requires_grad, meta) if out is None else fill_out(out, a)


def eye(
    n: int,
    m: int | None = None,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """The identity matrix ``(n, m)``; m defaults to n."""
    meta = check_factory(device, layout)
    if n < 0 or (m is not None and m < 0):
        raise RuntimeError(f"eye: n and m must be greater or equal to 0, got {n} and {m}.")
    a = np.eye(n, m, dtype=dtype_into(out, dtype, dtypes.default.float))
    return finish(a, requires_grad, meta) if out is None else store_out(out, wrap(a))


def complex(real: Tensor, imag: Tensor, *, out: Any = None) -> Tensor:
    """Complex numbers from real and imaginary parts of one floating dtype."""
    d, e = expect_tensor(real, "complex")._array.dtype, expect_tensor(imag, "complex")._array.dtype
    if d not in dtypes.FLOATING_TYPES or e not in dtypes.FLOATING_TYPES:
        raise RuntimeError(
            f"Expected both inputs to be Half, Float or Double tensors but got {d} and {e}."
        )
    if d != e:
        raise RuntimeError(
            f"Expected object of scalar type {d} but got scalar type {e} for second argument."
        )
    result = Complex.bind(real, imag)
    return result if out is None else store_out(out, result, exact=True)


def polar(abs: Tensor, angle: Tensor, *, out: Any = None) -> Tensor:
    """Complex numbers from absolute values and angles in radians, of one dtype."""
    if abs._array.dtype not in dtypes.FLOATING_TYPES:
        raise RuntimeError(f"polar: expected Float or Double tensors, but got {abs.dtype}.")
    if abs._array.dtype != angle._array.dtype:
        raise DTypeError(f"polar: abs is {abs.dtype} and angle {angle.dtype}; convert one of them.")
    return complex(abs * angle.cos(), abs * angle.sin(), out=out)


# New tensors like an existing one


def _new(make: Any) -> Any:
    def new(self: Tensor, *size: Any, dtype: Any = None, **options: Any) -> Tensor:
        options.pop("layout", None), options.pop("pin_memory", None)
        if self._array.__class__ is MetaArray or devices.current.chosen is not None:
            options["device"] = options.get("device") or self.device
        if "size" in options:
            size = (options.pop("size"),)
        return make(
            *size, dtype=dtypes.of[self._array.dtype] if dtype is None else dtype, **options
        )

    return new


@method
def new_tensor(
    self: Tensor,
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **options: Any,
) -> Tensor:
    """A copy of ``data``, by default with this tensor's dtype."""
    d = numpy_dtype(dtype, self._array.dtype)
    meta = check_factory(device or self.device)
    if isinstance(data, Tensor):
        return copied(data.detach().to(device or self.device), d, requires_grad)
    return finish(array_from(data, d), requires_grad, meta)


@method
def new_full(
    self: Tensor,
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """``fill_value`` everywhere, by default with this tensor's dtype."""
    return full(
        size,
        fill_value,
        dtype=dtypes.of[self._array.dtype] if dtype is None else dtype,
        device=device or self.device,
        requires_grad=requires_grad,
    )


methods(
    new_zeros=_new(zeros),
    new_ones=_new(ones),
    new_empty=_new(empty),
    new_empty_strided=_new(empty_strided),
)
