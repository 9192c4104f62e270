"""Conversions of tensors to other dtypes and devices, and writes of whole tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import devices, dtypes, formats
from rushlight.core.autograd import known_as
from rushlight.core.device_array import driver_of
from rushlight.core.meta import MetaArray
from rushlight.core.op import sole
from rushlight.core.refusals import TITLES
from rushlight.core.state import state
from rushlight.core.tensor import Tensor, no_tensor, written
from rushlight.core.window import Window
from rushlight.errors import NotSupportedError
from rushlight.ops.copy import Cast, Clone, Copy, Fill, fill
from rushlight.ops.device import moved as to_place
from rushlight.ops.meta import NO_DATA, ToMeta
from rushlight.tensor_api._common import is_tensor, method, numpy_dtype, warn_once

__all__ = [
    "can_cast",
    "clone",
    "is_tensor",
    "promote_types",
    "result_type",
]

PUBLIC = dtypes.of


@method
def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy that stays in the graph.

    Example:
        >>> import rushlight as torch
        >>> x = torch.ones(2, requires_grad=True)
        >>> x.clone().sum().backward()
        >>> x.grad
        tensor([1., 1.])
    """
    return (
        Clone.bind(input)
        if memory_format is None
        else Clone.bind(input, memory_format=memory_format)
    )


def cast(x: Tensor, d: Any, copy: bool = False) -> Tensor:
    """x as NumPy dtype d; itself when nothing changes and no copy is asked for."""
    if x._array.dtype is not d and x._array.dtype != d:
        if x._array.dtype in dtypes.COMPLEX_TYPES:
            warn_of_lost_part(d)
        return Cast.bind(x, dtype=d)
    return known_as("ToCopyBackward0", Clone.bind(x)) if copy else x


def warn_of_lost_part(d: Any) -> None:
    """Say once that complex numbers lose their imaginary part in dtype d, if they do."""
    if d not in dtypes.COMPLEX_TYPES and d is not dtypes.bool_:
        warn_once(
            "Casting complex values to real discards the imaginary part; take x.real, which says "
            "that this is meant."
        )


def moved(x: Tensor, device: Any) -> Tensor:
    """x on a device: itself where it is there, a copy, or its shape and dtype on meta."""
    place, here = devices.place(device), x._array.__class__
    if place is devices.META:
        return x if here is MetaArray else ToMeta.bind(x)  # type: ignore[no-any-return]
    if here is MetaArray:
        raise NotSupportedError(NO_DATA)
    return to_place(x, place)


@method
def to(
    self: Tensor,
    *args: Any,
    dtype: Any = None,
    device: Any = None,
    other: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """The tensor with another dtype or device; itself when it already has them.

    ``to(dtype)``, ``to(device)``, ``to(device, dtype)``, ``to(other)``, each also with
    ``non_blocking`` and ``copy``.

    Example:
        >>> import rushlight as torch
        >>> torch.tensor([1, 2]).to(torch.float64)
        tensor([1., 2.], dtype=torch.float64)
    """
    if len(args) == 1 and dtype is device is other is memory_format is None and not copy:
        (a,) = args  # as in most calls
        if a.__class__ is dtypes.dtype:
            return cast(self, a.numpy)
        if self._array.__class__ is np.ndarray and devices.is_cpu(a):
            return self
    flags, copied = [a for a in args if isinstance(a, bool)], False
    for a in args:
        if a is None or isinstance(a, bool):
            continue
        if isinstance(a, dtypes.dtype) or a in (float, int):
            dtype = a
        elif isinstance(a, Tensor):
            dtype, device = PUBLIC[a._array.dtype], a.device
        elif isinstance(a, (str, int)) or hasattr(a, "type"):
            device = a
        else:
            raise TypeError(
                f"to() received an invalid argument {a!r}; expected a dtype, a device or a tensor."
            )
    if isinstance(other, Tensor):
        dtype, device = PUBLIC[other._array.dtype], other.device
    if device is not None:
        here, self = self, moved(self, device)
        copied = here is not self
    copy = not copied and (copy or (len(flags) > 1 and flags[1]))
    out = cast(self, numpy_dtype(dtype, self._array.dtype), copy)
    if memory_format is None or memory_format is formats.preserve_format:
        return out
    laid = out.contiguous(memory_format=memory_format)
    if laid is out and memory_format in formats.CHANNELS_LAST and 1 in out._array.shape:
        return Clone.bind(out, memory_format=memory_format)  # of sizes of 1 all orders are there
    return laid  # type: ignore[no-any-return]


@method
def type(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The legacy type name (``torch.FloatTensor``), or the tensor converted to ``dtype``."""
    if dtype is None:
        kind = "sparse." if self.is_sparse else "cuda." if self.is_cuda else ""
        return f"torch.{kind}" + LEGACY[PUBLIC[self._array.dtype].name] + "Tensor"
    if dtype is Tensor or dtype == "torch.Tensor":  # the default type's legacy name
        dtype = dtypes.get_default_dtype()
    elif isinstance(dtype, str):
        there, plain = dtype.startswith("torch.cuda."), dtype.replace("torch.cuda.", "torch.")
        name = next((n for n, legacy in LEGACY.items() if plain == f"torch.{legacy}Tensor"), None)
        if name is None:
            raise ValueError(f"invalid type: {dtype!r}")
        return cast(cuda(self) if there else cpu(self), dtypes.by_name[name].numpy)
    if hasattr(dtype, "_legacy_dtype"):
        there = dtype.__module__ == "torch.cuda"
        return cast(cuda(self) if there else cpu(self), dtype._legacy_dtype)
    return cast(self, numpy_dtype(dtype))


LEGACY = {
    **TITLES,
    "uint16": "UInt16",
    "uint32": "UInt32",
    "uint64": "UInt64",
    **{d.name: d.name.capitalize() for d in map(dtypes.of.get, dtypes.FLOAT8) if d},
}


def _caster(name: str, d: Any) -> Any:
    def convert(self: Tensor, memory_format: Any = None) -> Tensor:
        out = cast(self, d)
        return out if memory_format is None else out.contiguous(memory_format=memory_format)

    convert.__name__ = name
    convert.__doc__ = f"The tensor as {dtypes.of[d].name}; itself when it is already."
    return convert


for _name, _dtype in (
    ("float", dtypes.float32),
    ("double", dtypes.float64),
    ("half", dtypes.float16),
    ("bfloat16", dtypes.bfloat16),
    ("int", dtypes.int32),
    ("long", dtypes.int64),
    ("short", dtypes.int16),
    ("char", dtypes.int8),
    ("byte", dtypes.uint8),
    ("bool", dtypes.bool_),
    ("cfloat", dtypes.complex64),
    ("cdouble", dtypes.complex128),
):
    setattr(Tensor, _name, _caster(_name, _dtype))


@method
def type_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor with the dtype of ``other``."""
    return cast(self, other._array.dtype)


@method
def cpu(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor in CPU memory; itself when it is there."""
    return moved(self, devices.CPU)


@method
def cuda(
    self: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None
) -> Tensor:
    """The tensor on a GPU. RuntimeError where there is none."""
    if device is None or isinstance(device, int):
        device = devices.device("cuda", device)
    elif devices.device(device).type != "cuda":
        raise ValueError(f"cuda(): expected a GPU, such as 'cuda:0', but got {device!r}")
    moved_to = moved(self, device)
    return moved_to if memory_format is None else moved_to.contiguous(memory_format=memory_format)


@method
def get_device(self: Tensor) -> int:
    """The index of the GPU; -1 on the CPU."""
    driver = driver_of(self)
    return -1 if driver is None else driver.index


@method
def copy_(self: Tensor, other: Any, non_blocking: bool = False) -> Tensor:
    """Copy ``other``, a tensor or a number, broadcast and converted, into this tensor's memory."""
    if not isinstance(other, (Tensor, int, float, complex)):
        raise TypeError(
            f"copy_(): argument 'other' (position 1) must be Tensor, not {other.__class__.__name__}"
        )
    if isinstance(other, Tensor) and other._array.dtype in dtypes.COMPLEX_TYPES:
        warn_of_lost_part(self._array.dtype)
    return Copy.update(self, other)


@method
def fill_(input: Tensor, value: Any) -> Tensor:
    """Set every element to a number, or to a 0-dim tensor's value."""
    if isinstance(value, Tensor):
        if value._array.ndim:
            raise RuntimeError(
                "fill_ only supports 0-dimension value tensor but got tensor with "
                f"{value._array.ndim} dimensions."
            )
        if isinstance(input._array, Window) or isinstance(value._array, Window):
            return Copy.update(input, value)
        if np.may_share_memory(input._array, value._array):
            value = value.clone()
        return Copy.update(input, value)
    if not hasattr(value.__class__, "real"):  # not the value, which may be traced
        raise TypeError(f"fill_(): value must be a number or a tensor, not {value!r}")
    return known_as("FillBackward2", Fill.update(input, value=value))


@method
def zero_(input: Tensor) -> Tensor:
    """Set every element to zero."""
    x = input._array
    if not state.busy and sole(input, x) and x.flags.writeable:
        fill(x, 0)
        written(input)
        return input
    return known_as("ZeroBackward0", Fill.update(input, value=0))


def can_cast(from_: Any, to: Any) -> bool:
    """Whether in-place arithmetic may store ``from_`` into ``to``: the kind (bool, int, float,
    complex) must not shrink.

    Example:
        >>> import rushlight as torch
        >>> torch.can_cast(torch.float32, torch.int32), torch.can_cast(torch.int32, torch.float32)
        (False, True)
    """
    a, b = dtypes.CATEGORY[numpy_dtype(from_)], dtypes.CATEGORY[numpy_dtype(to)]
    return a <= b


def promote_types(type1: Any, type2: Any) -> Any:
    """The smallest dtype that both convert to without losing kind or size.

    Example:
        >>> import rushlight as torch
        >>> torch.promote_types(torch.int32, torch.float16)
        torch.float16
    """
    return PUBLIC[dtypes.promote(numpy_dtype(type1), numpy_dtype(type2))]


def result_type(
    tensor: Any = None,
    other: Any = None,
    *,
    scalar: Any = None,
    scalar1: Any = None,
    scalar2: Any = None,
) -> Any:
    """The dtype of arithmetic between two tensors or numbers.

    Example:
        >>> import rushlight as torch
        >>> torch.result_type(torch.tensor([1]), 1.0)
        torch.float32
    """
    given = [v for v in (tensor, other, scalar, scalar1, scalar2) if v is not None]
    if len(given) != 2:
        raise TypeError(f"result_type(): expected two tensors or numbers, but got {len(given)}")
    if any([isinstance(v, np.ndarray) for v in given]):
        raise no_tensor("result_type", *given)
    return PUBLIC[dtypes.result_type([t._array if isinstance(t, Tensor) else t for t in given])]
