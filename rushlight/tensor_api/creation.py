"""Functions that make tensors from sizes and a value."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import devices, dtypes, formats
from rushlight.core.autograd import known_as
from rushlight.core.device_array import DeviceArray, beside, device_empty, send
from rushlight.core.meta import MetaArray
from rushlight.core.sparse import SparseArray, rules
from rushlight.core.state import state
from rushlight.core.tensor import (
    UNSHARED,
    Tensor,
    constant,
    expect_tensors,
    fixed_number,
    moving_number,
    no_tensor,
)
from rushlight.core.window import Window
from rushlight.core.wrapped import WrappedArray
from rushlight.dtypes import NUMBERS
from rushlight.errors import DTypeError, warn_user
from rushlight.ops.copy import Fill, fill, filler
from rushlight.ops.create import Complex
from rushlight.ops.device import moved
from rushlight.tensor_api._common import (
    as_int,
    check_factory,
    expect_tensor,
    finish,
    method,
    methods,
    numpy_dtype,
    resize,
    shape_of,
    store_out,
)
from rushlight.tensor_api.from_data import array_from, copied, traced_tensor
from rushlight.tensor_api.sparse_tensors import check_on_cpu, no_entries

__all__ = [
    "complex",
    "empty",
    "empty_like",
    "empty_strided",
    "eye",
    "full",
    "full_like",
    "ones",
    "ones_like",
    "polar",
    "scalar_tensor",
    "zeros",
    "zeros_like",
]


def _sizes(size: tuple[Any, ...], name: str) -> tuple[int, ...]:
    shape = shape_of(size, name)
    if shape and min(shape) < 0:
        raise RuntimeError(f"{name}: Trying to create tensor with negative dimension in {shape}.")
    return shape


def _maker(name: str, make: Any, value: Any, doc: str) -> Any:
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
        place, shape = None, _sizes(size, name)
        if str(layout) == "torch.sparse_coo" and name in ("zeros", "empty"):
            check_on_cpu(device)
            return no_entries(shape, numpy_dtype(dtype, dtypes.default.float), requires_grad)
        if device is not None or layout is not None or devices.current.chosen is not None:
            place = check_factory(device, layout)
        if out is not None:
            return store_new(out, made_by(make, shape, dtype_into(out, dtype, None)))
        if place is devices.META:
            return finish(MetaArray(shape, numpy_dtype(dtype, dtypes.default.float)), requires_grad)
        d = numpy_dtype(dtype, dtypes.default.float)
        if place is not None and memory_format not in formats.CHANNELS_LAST:
            return uniform(shape, d, place, value, requires_grad)
        made = made_by(make, shape, d)
        if memory_format in formats.CHANNELS_LAST:
            made = formats.copy_in(made, memory_format)
        return finish(made, requires_grad, place)

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
    fill(a, value)
    return a


def uniform(
    shape: Any, d: Any, driver: Any, value: Any, requires_grad: bool, strides: Any = None
) -> Tensor:
    """A new leaf on a GPU, of one value; None: it is not initialised."""
    t = constant(device_empty(shape, d, driver, strides))
    if value is not None:
        Fill.update(t, value=value)
        t._counter = UNSHARED  # as nothing has seen it before
    return t.requires_grad_() if requires_grad else t


zeros = _maker(
    "zeros",
    np.zeros,
    0,
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
    1,
    """Ones of the given sizes: ``ones(2, 3)`` or ``ones((2, 3), dtype=..., requires_grad=...)``.

    Example:
        >>> import rushlight as torch
        >>> torch.ones(2, dtype=torch.int64)
        tensor([1, 1])
    """,
)
empty = _maker("empty", np.empty, None, "Uninitialised memory of the given sizes.")


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
    options = device is not None or layout is not None or devices.current.chosen is not None
    if fill_value.__class__ in NUMBERS and out is None and not options and not state.busy:
        d = numpy_dtype(dtype, dtypes.of_number(fill_value))
        result = filled(_sizes((size,), "full"), d, filler(d, fill_value))
        return finish(result, requires_grad)
    place = check_factory(device, layout)
    if out is None and place is not devices.META and not requires_grad:
        d = numpy_dtype(dtype, dtypes.of_number(fill_value))
        if (moving := moving_number(fill_value, d, fills=True)) is not None:
            return moved(moving, place).expand(_sizes((size,), "full")).clone()  # type: ignore[no-any-return]
    value = fill_value.item() if isinstance(fill_value, Tensor) else fixed_number(fill_value)
    a = filler(dtype_into(out, dtype, dtypes.of_number(value)), value)
    if place is devices.META and out is None:
        return finish(MetaArray(_sizes((size,), "full"), a.dtype), requires_grad)
    if place is not None and out is None:
        return uniform(_sizes((size,), "full"), a.dtype, place, value, requires_grad)
    result = filled(_sizes((size,), "full"), a.dtype, a)
    return finish(result, requires_grad, place) if out is None else store_new(out, result)


def _like(make: Any, in_order: Any, value: Any, name: str, doc: str) -> Any:
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
        try:
            x = input._array
        except AttributeError:
            raise no_tensor(name, input) from None
        if x.__class__ is WrappedArray:
            options = {} if dtype is None else {"dtype": dtype}
            made = rules.ask(name, like, input, **options)
            return made.requires_grad_() if requires_grad else made  # type: ignore[no-any-return]
        place = None
        if device is not None or layout is not None or isinstance(x, Window):
            place = check_factory(device or input.device, layout)
        if place is devices.META:
            strides = x.strides if dtype is None else None
            return finish(MetaArray(x.shape, numpy_dtype(dtype, x.dtype), strides), requires_grad)
        if isinstance(x, Window):
            x = x.stand_in()
        if x.__class__ is SparseArray and name != "ones_like":
            none = np.zeros((0, *x.values.shape[1:]), numpy_dtype(dtype, x.dtype))
            return finish(SparseArray(x.pattern.without_entries(), none), requires_grad)
        contiguous = (
            x.flags.c_contiguous
            or formats.expanded(x)
            or memory_format is formats.contiguous_format
        )
        d = numpy_dtype(dtype, x.dtype)
        if place is not None and memory_format not in formats.CHANNELS_LAST:
            strides = None if contiguous else np.empty_like(x, d, "K").strides
            return uniform(x.shape, d, place, value, requires_grad, strides)
        out = in_order(x.shape, d) if contiguous else make(x, d, "K")
        return finish(
            formats.copy_in(out, memory_format) if memory_format in formats.CHANNELS_LAST else out,
            requires_grad,
            place,
        )

    like.__name__ = like.__qualname__ = name
    like.__doc__ = doc
    return like


zeros_like = _like(
    np.zeros_like, np.zeros, 0, "zeros_like", "Zeros with the shape and dtype of ``input``."
)
ones_like = _like(
    np.ones_like,
    lambda shape, d: filled(shape, d, 1),
    1,
    "ones_like",
    "Ones with the shape and dtype of ``input``.",
)
empty_like = _like(
    np.empty_like,
    np.empty,
    None,
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
    """``fill_value`` everywhere, with the shape and dtype of ``input``.

    Example:
        >>> import rushlight as torch
        >>> torch.full_like(torch.zeros(2), 7)
        tensor([7., 7.])
    """
    expect_tensors("full_like", input)
    if input._array.__class__ is WrappedArray:
        options = {"fill_value": fill_value, **({} if dtype is None else {"dtype": dtype})}
        made = rules.ask("full_like", full_like, input, **options)
        return made.requires_grad_() if requires_grad else made  # type: ignore[no-any-return]
    out = empty_like(input, dtype=dtype, layout=layout, device=device, memory_format=memory_format)
    moving = moving_number(fill_value, out._array.dtype, fills=True)
    if moving is not None and not requires_grad:
        return out.copy_(moving)  # type: ignore[no-any-return]
    value = fill_value.item() if isinstance(fill_value, Tensor) else fixed_number(fill_value)
    if out.is_cuda:
        Fill.update(out, value=value)
        out._counter = UNSHARED  # as nothing has seen it before
    elif out._array.__class__ is not MetaArray:
        fill(out._array, filler(out._array.dtype, value))
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
    place, strides = check_factory(device, layout), tuple([s * d.itemsize for s in steps])
    if place is devices.META:
        return finish(MetaArray(shape, d, strides), requires_grad)
    extent = 1 + sum([(n - 1) * s for n, s in zip(shape, steps, strict=True)]) if all(shape) else 0
    memory = made_by(np.empty, (extent,), d)
    if place is None:
        return finish(np.lib.stride_tricks.as_strided(memory, shape, strides), requires_grad)
    base = send(memory, place)
    return finish(DeviceArray(base.memory, 0, shape, d, strides, base), requires_grad)


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


def dtype_into(out: Any, dtype: Any, default: Any) -> Any:
    """The dtype of values made for ``out``: what was asked for, out's own, or the default."""
    if isinstance(out, Tensor):
        default = out._array.dtype
    d = default if dtype is None else numpy_dtype(dtype)
    if isinstance(out, Tensor) and d != default:
        raise DTypeError(
            f"dtype {dtypes.of[d]} does not match dtype of out parameter ({out.dtype}); leave "
            "dtype away, or pass an out= tensor of it."
        )
    return d


def store_new(out: Any, values: Any) -> Tensor:
    """Write values that come from no tensor into ``out``, which takes their shape silently."""
    values = beside(out, values)
    if isinstance(out, Tensor) and out._array.shape != values._array.shape:
        resize(out, values._array.shape)
    return store_out(out, values)


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
    """The identity matrix ``(n, m)``; m defaults to n.

    Example:
        >>> import rushlight as torch
        >>> torch.eye(2, 3)
        tensor([[1., 0., 0.],
                [0., 1., 0.]])
    """
    place = check_factory(device, layout)
    n, m = as_int(n, "n"), None if m is None else as_int(m, "m")
    if n < 0 or (m is not None and m < 0):
        raise RuntimeError(f"eye: n and m must be greater or equal to 0, got {n} and {m}.")
    a = np.eye(n, m, dtype=dtype_into(out, dtype, dtypes.default.float))
    return finish(a, requires_grad, place) if out is None else store_new(out, a)


def complex(real: Tensor, imag: Tensor, *, out: Any = None) -> Tensor:
    """Complex numbers from real and imaginary parts of one floating dtype.

    Example:
        >>> import rushlight as torch
        >>> torch.complex(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0]))
        tensor([1.+0.j, 0.+2.j])
    """
    d, e = expect_tensor(real, "complex")._array.dtype, expect_tensor(imag, "complex")._array.dtype
    if dtypes.bfloat16 in (d, e) or not {d, e} <= dtypes.FLOATING_TYPES:
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
    """Complex numbers from absolute values and angles in radians, of one dtype.

    Example:
        >>> import rushlight as torch
        >>> torch.polar(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 3.14159265 / 2]))
        tensor([ 1.0000e+00+0.j, -8.7423e-08+2.j])
    """
    expect_tensor(abs, "polar", "abs")
    expect_tensor(angle, "polar", "angle")
    if abs._array.dtype not in dtypes.FLOATS:
        raise RuntimeError(f"polar: expected Float or Double tensors, but got {abs.dtype}.")
    if abs._array.dtype != angle._array.dtype:
        raise DTypeError(f"polar: abs is {abs.dtype} and angle {angle.dtype}; convert one of them.")
    result = known_as("PolarBackward0", complex(abs * angle.cos(), abs * angle.sin()))
    return result if out is None else store_out(out, result, exact=True)


# New tensors like an existing one


def _new(make: Any) -> Any:
    def new(self: Tensor, *size: Any, dtype: Any = None, **options: Any) -> Tensor:
        options.pop("pin_memory", None)
        if self._array.__class__ is SparseArray:
            options.setdefault("layout", self.layout)
        if isinstance(self._array, Window) or devices.current.chosen is not None:
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
    place, there = check_factory(device or self.device), traced_tensor(data, d)
    if isinstance(data, Tensor):
        warn_user(
            "To copy construct from a tensor, it is recommended to use "
            "sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than "
            "tensor.new_tensor(sourceTensor)."
        )
    data = data if there is None else there
    if isinstance(data, Tensor):
        return copied(data.detach().to(device or self.device), d, requires_grad)
    return finish(array_from(data, d), requires_grad, place)


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
