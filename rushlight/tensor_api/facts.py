"""What a tensor is: its sizes, strides, address, dtype and device."""

from __future__ import annotations

from typing import Any

from rushlight import devices, dtypes, formats
from rushlight.core.device_array import DeviceArray, address, device_of
from rushlight.core.meta import MetaArray
from rushlight.core.size import Size, make_size
from rushlight.core.sparse import SparseOperand
from rushlight.core.tensor import Tensor
from rushlight.ops.view import offset_of
from rushlight.tensor_api._common import method, methods, wrap_dim
from rushlight.tensor_api.views import strides

__all__ = ["is_complex", "is_floating_point", "numel"]


@method
def size(self: Tensor, dim: int | None = None) -> Any:
    """The shape, or the size of one dim."""
    shape = self._array.shape
    if dim is None:
        return make_size(shape)
    if not shape:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    return shape[wrap_dim(dim, len(shape))]


@method
def stride(self: Tensor, dim: int | None = None) -> Any:
    """Strides in elements: of all dims, or of one."""
    s = strides(self)
    return s if dim is None else s[wrap_dim(dim, len(s))]


@method
def storage_offset(self: Tensor) -> int:
    """Elements between the start of the memory and the tensor's first element."""
    return offset_of(self._array)


@method
def data_ptr(self: Tensor) -> int:
    """The address of the first element; 0 for an empty or a meta tensor."""
    if not self._array.size or self.is_meta:
        return 0
    return address(self._array)


@method
def is_contiguous(self: Tensor, memory_format: Any = None) -> bool:
    """Whether the elements lie in memory in order."""
    try:
        return formats.is_in(self._array, memory_format)
    except SparseOperand:
        return False


@method
def numel(input: Tensor) -> int:
    """The number of elements.

    Example:
        >>> import rushlight as torch
        >>> torch.numel(torch.zeros(2, 3))
        6
    """
    return int(input._array.size)


@method
def dim(self: Tensor) -> int:
    """The number of dims."""
    return int(self._array.ndim)


@method
def element_size(self: Tensor) -> int:
    """Bytes per element."""
    return int(self._array.itemsize)


@method
def is_floating_point(input: Tensor) -> bool:
    """Whether the elements are real floating-point numbers.

    Example:
        >>> import rushlight as torch
        >>> torch.is_floating_point(torch.ones(2)), torch.is_floating_point(torch.tensor([1]))
        (True, False)
    """
    return input._array.dtype in dtypes.FLOATING_TYPES


@method
def is_complex(input: Tensor) -> bool:
    """Whether the elements are complex.

    Example:
        >>> import rushlight as torch
        >>> torch.is_complex(torch.tensor([1j]))
        True
    """
    return input._array.dtype in dtypes.COMPLEX_TYPES


@method
def is_signed(self: Tensor) -> bool:
    """Whether the elements can be negative."""
    return dtypes.of[self._array.dtype].is_signed


def _dim_order(self: Tensor, *, ambiguity_check: Any = False) -> tuple[int, ...]:
    """The dims from the outermost in memory to the innermost.

    Args:
        ambiguity_check: True refuses a tensor whose dims can be ordered in several ways, because
            some have size 1 or repeat the same memory; a list of memory formats refuses one that
            lies as more or fewer than one of them.
    """
    if ambiguity_check.__class__ is not bool:
        if not isinstance(ambiguity_check, (list, tuple)) or not all(
            [isinstance(f, formats.memory_format) for f in ambiguity_check]
        ):
            raise TypeError(
                "The ambiguity_check argument must be a bool or a list of memory formats, but is "
                f"{ambiguity_check!r}."
            )
    if ambiguity_check and _ambiguous(self, ambiguity_check):
        raise RuntimeError(
            "The tensor does not have unique dim order: its shape is "
            f"{self._array.shape} and its strides are {self.stride()}."
        )
    strides = self._array.strides
    return tuple(sorted(range(self._array.ndim), key=lambda d: -strides[d]))


def _ambiguous(t: Tensor, orders: Any) -> bool:
    """Whether several orders of the dims fit; of the given formats, where there are some."""
    strides, sizes = t.stride(), t._array.shape
    several = len(set(strides)) < len(strides) or 1 in sizes or 0 in strides
    if orders is True or not several:
        return several
    return sum([t.is_contiguous(memory_format=f) for f in orders]) != 1


def _shape(self: Tensor) -> Any:
    return tuple.__new__(Size, self._array.shape)  # as make_size, but at once


def _is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both are the same window on the same memory."""
    x, y = self._array, tensor._array
    same = (x.shape, x.strides, x.dtype) == (y.shape, y.strides, y.dtype)
    return same and x.__class__ is y.__class__ and address(x) == address(y)


def _device(self: Tensor) -> Any:
    kind = self._array.__class__
    if kind is DeviceArray:
        return device_of(self)
    return devices.META if kind is MetaArray else devices.CPU


methods(
    shape=property(_shape, doc="The sizes of the dims."),
    dtype=property(lambda self: dtypes.of[self._array.dtype], doc="The element type."),
    device=property(_device, doc="Where the memory is."),
    ndim=property(lambda self: self._array.ndim, doc="The number of dims."),
    itemsize=property(lambda self: self._array.itemsize, doc="Bytes per element."),
    nbytes=property(lambda self: self._array.nbytes, doc="Bytes of all elements."),
    is_cuda=property(
        lambda self: self._array.__class__ is DeviceArray, doc="Whether the memory is on a GPU."
    ),
    is_cpu=property(
        lambda self: self.device is devices.CPU, doc="Whether the memory is the CPU's."
    ),
    is_mps=property(lambda self: False, doc="Always False."),
    is_meta=property(
        lambda self: self.device is devices.META,
        doc="Whether it has a shape and a dtype only.",
    ),
    is_quantized=property(lambda self: False, doc="Always False."),
    is_mkldnn=property(lambda self: False, doc="Always False."),
    names=property(
        lambda self: (None,) * self._array.ndim, doc="Dim names are not supported: all None."
    ),
    is_xpu=property(lambda self: False, doc="Always False."),
    is_xla=property(lambda self: False, doc="Always False."),
    is_ipu=property(lambda self: False, doc="Always False."),
    is_maia=property(lambda self: False, doc="Always False."),
    is_mtia=property(lambda self: False, doc="Always False."),
    is_nested=property(lambda self: False, doc="Always False."),
    nelement=numel,
    ndimension=dim,
    is_same_size=lambda self, other: self._array.shape == other._array.shape,
    is_set_to=_is_set_to,
    is_pinned=lambda self, device=None: False,
    pin_memory=lambda self, device=None: self,
    is_inference=lambda self: False,
    is_conj=lambda self: False,
    is_neg=lambda self: False,
    resolve_conj=lambda self: self,
    resolve_neg=lambda self: self,
    dim_order=_dim_order,
)
