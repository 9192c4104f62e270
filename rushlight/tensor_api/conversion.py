"""Facts about a tensor, and conversions to other types, devices and libraries."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import devices, dtypes, formats
from rushlight.core.meta import MetaArray
from rushlight.core.op import lone
from rushlight.core.size import Size, make_size
from rushlight.core.sparse import SparseArray, SparseOperand
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, value_needed, value_pinned, wrap, written
from rushlight.errors import GraphError, NotSupportedError
from rushlight.ops.copy import Cast, Clone, Copy, Fill
from rushlight.ops.meta import NO_DATA, ToMeta
from rushlight.ops.view import offset_of
from rushlight.tensor_api._common import (
    is_tensor,
    method,
    methods,
    numpy_dtype,
    warn_of_lost_gradient,
    wrap_dim,
)
from rushlight.tensor_api.views import strides

__all__ = [
    "can_cast",
    "clone",
    "from_dlpack",
    "is_complex",
    "is_floating_point",
    "is_nonzero",
    "is_tensor",
    "numel",
    "promote_types",
    "result_type",
]

PUBLIC = dtypes.of


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
    return int(self._array.__array_interface__["data"][0])


@method
def is_contiguous(self: Tensor, memory_format: Any = None) -> bool:
    """Whether the elements lie in memory in order."""
    try:
        return formats.is_in(self._array, memory_format)
    except SparseOperand:
        return False


@method
def numel(input: Tensor) -> int:
    """The number of elements."""
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
    """Whether the elements are real floating-point numbers."""
    return input._array.dtype in dtypes.FLOATING_TYPES


@method
def is_complex(input: Tensor) -> bool:
    """Whether the elements are complex."""
    return input._array.dtype in dtypes.COMPLEX_TYPES


@method
def is_signed(self: Tensor) -> bool:
    """Whether the elements can be negative."""
    return PUBLIC[self._array.dtype].is_signed


SHORT = 16  # elements that a trace follows into a list


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
    return float(x.reshape(())) if x.dtype in dtypes.FOREIGN else x.item()


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
    return float(x.reshape(())) if x.dtype in dtypes.FOREIGN else x.item()


def real_number(value: Any) -> Any:
    """A number that is not complex. RuntimeError where an imaginary part would be lost."""
    if not isinstance(value, complex):
        return value
    if value.imag:
        raise RuntimeError(f"{value} cannot be converted to a real number; take its .real first.")
    return value.real


def _converted(kind: Any) -> Any:
    """A method: the only element as a Python float, or complex."""

    def convert(self: Tensor) -> Any:
        number = _fixed_item(self, f"{kind.__name__}(tensor)")
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
    value_needed("tolist()", self)
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
    value_needed("numpy()")
    if self._array.__class__ is MetaArray:
        raise TypeError(
            "can't convert meta device type tensor to numpy: it has no elements; make it on the "
            "CPU."
        )
    if self._array.__class__ is SparseArray:
        raise TypeError(
            "can't convert a sparse tensor to numpy. Use Tensor.to_dense() first, or take its "
            "indices() and values()."
        )
    if self._array.dtype in dtypes.FOREIGN and not force:
        name = LEGACY[PUBLIC[self._array.dtype].name]
        raise TypeError(
            f"Got unsupported ScalarType {name}: NumPy has no such type; convert with .float() "
            "first."
        )
    return self._array


def _array(self: Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
    a = numpy(self)
    if dtype is None or a.dtype == dtype:
        return a.copy() if copy else a
    return a.astype(dtype)


def _truth(self: Tensor) -> bool:
    x = self._array
    if x.size == 1:
        outcome = bool(x.reshape(())[()])
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
    """Whether a tensor of one element is not zero."""
    return _truth(input)


def _index(self: Tensor) -> int:
    x = self._array
    if x.size != 1 or (x.dtype not in dtypes.INTEGER_TYPES and x.dtype != np.bool_):
        raise TypeError("only integer tensors of a single element can be converted to an index")
    value_pinned("a tensor used as a Python index", self)
    return int(x.reshape(()))


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
        element = element._array
    elif not isinstance(element, (int, float, complex, np.generic)):
        raise RuntimeError(
            "Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
            f"{element.__class__}."
        )
    value_needed("'in' a tensor", self)
    return bool((self._array == element).any())


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
        return Cast.bind(x, dtype=d)
    return Clone.bind(x) if copy else x


def moved(x: Tensor, device: Any) -> Tensor:
    """x on a device: itself, or its shape and dtype on meta."""
    here = x._array.__class__ is MetaArray
    if here is (device is devices.META):
        return x
    if here:
        raise NotSupportedError(NO_DATA)
    return ToMeta.bind(x)  # type: ignore[no-any-return]


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
    flags = [a for a in args if isinstance(a, bool)]
    for a in args:
        if a is None or isinstance(a, bool):
            continue
        if isinstance(a, dtypes.dtype) or a in (float, int):
            dtype = a
        elif isinstance(a, Tensor):
            dtype = PUBLIC[a._array.dtype]
        elif isinstance(a, (str, int)) or hasattr(a, "type"):
            device = a
        else:
            raise TypeError(
                f"to() received an invalid argument {a!r}; expected a dtype, a device or a tensor."
            )
    if isinstance(other, Tensor):
        dtype = PUBLIC[other._array.dtype]
    if device is not None:
        self = moved(self, devices.check(device, meta=True))
    copy = copy or (len(flags) > 1 and flags[1])
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
        sparse = "sparse." if self.is_sparse else ""
        return f"torch.{sparse}" + LEGACY[PUBLIC[self._array.dtype].name] + "Tensor"
    if isinstance(dtype, str):
        name = next((n for n, legacy in LEGACY.items() if dtype == f"torch.{legacy}Tensor"), None)
        if name is None:
            raise ValueError(f"invalid type: {dtype!r}")
        dtype = dtypes.by_name[name]
    return cast(
        self, numpy_dtype(dtype) if not hasattr(dtype, "_legacy_dtype") else dtype._legacy_dtype
    )


LEGACY = {
    "float32": "Float",
    "float64": "Double",
    "float16": "Half",
    "bfloat16": "BFloat16",
    "int64": "Long",
    "int32": "Int",
    "int16": "Short",
    "int8": "Char",
    "uint8": "Byte",
    "bool": "Bool",
    "complex64": "ComplexFloat",
    "complex128": "ComplexDouble",
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
    devices.check(
        devices.device("cuda", device) if isinstance(device, int) or device is None else device
    )
    raise AssertionError("devices.check refuses cuda")


@method
def get_device(self: Tensor) -> int:
    """The index of the GPU; -1 on the CPU."""
    return -1


@method
def copy_(self: Tensor, other: Any, non_blocking: bool = False) -> Tensor:
    """Copy ``other``, a tensor or a number, broadcast and converted, into this tensor's memory."""
    if not isinstance(other, (Tensor, int, float, complex)):
        raise TypeError(
            f"copy_(): argument 'other' (position 1) must be Tensor, not {other.__class__.__name__}"
        )
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
        if input.is_meta or value.is_meta:
            return Copy.update(input, value)
        if np.may_share_memory(input._array, value._array):
            value = value.clone()
        return Copy.update(input, value)
    return Fill.update(input, value=value)


@method
def zero_(input: Tensor) -> Tensor:
    """Set every element to zero."""
    x = input._array
    if not state.busy and lone(input, x) and x.flags.writeable:
        x.fill(0)
        written(input)
        return input
    return Fill.update(input, value=0)


def can_cast(from_: Any, to: Any) -> bool:
    """Whether in-place arithmetic may store ``from_`` into ``to``: the kind (bool, int, float,
    complex) must not shrink.
    """
    a, b = dtypes.CATEGORY[numpy_dtype(from_)], dtypes.CATEGORY[numpy_dtype(to)]
    return a <= b


def promote_types(type1: Any, type2: Any) -> Any:
    """The smallest dtype that both convert to without losing kind or size."""
    return PUBLIC[dtypes.promote(numpy_dtype(type1), numpy_dtype(type2))]


def result_type(
    tensor: Any = None,
    other: Any = None,
    *,
    scalar: Any = None,
    scalar1: Any = None,
    scalar2: Any = None,
) -> Any:
    """The dtype of arithmetic between two tensors or numbers."""
    given = [v for v in (tensor, other, scalar, scalar1, scalar2) if v is not None]
    if len(given) != 2:
        raise TypeError(f"result_type(): expected two tensors or numbers, but got {len(given)}")
    return PUBLIC[dtypes.result_type([t._array if isinstance(t, Tensor) else t for t in given])]


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor on the memory of another library's array that speaks DLPack (on a copy, if asked).

    Example:
        >>> import numpy as np, rushlight as torch
        >>> torch.from_dlpack(np.arange(3))
        tensor([0, 1, 2])
    """
    if device is not None:
        devices.check(device)
    if isinstance(ext_tensor, Tensor):  # NumPy has no bfloat16 to pass on
        return ext_tensor.detach().clone() if copy else ext_tensor.detach()
    if not hasattr(ext_tensor, "__dlpack__"):
        ext_tensor = Capsule(ext_tensor)
    array = np.from_dlpack(ext_tensor)
    return wrap(array.copy() if copy else array)


class Capsule:
    """What ``to_dlpack`` returns, as an object that speaks the protocol: memory of the CPU."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **options: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


def _dlpack(
    self: Tensor,
    *,
    stream: Any = -1,
    max_version: Any = None,
    dl_device: Any = None,
    copy: Any = None,
) -> Any:
    if not (stream is None or isinstance(stream, int)):
        raise TypeError(f"stream must be ``int`` or ``none``, but is {stream!r}")
    if self.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    value_needed("__dlpack__()")
    return self._array.__dlpack__()


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
    arrays = [self._array, *[t.expand(self._array.shape)._array for t in others]]
    rows = zip(*[a.reshape(-1).tolist() for a in arrays], strict=True)
    changed = [call(*row) for row in rows]
    for v in changed:
        if isinstance(v, (str, bytes)) or not hasattr(v, "__float__"):
            if not isinstance(v, complex):
                raise TypeError(f"{name}: the function has to return numbers, but returned {v!r}.")
    return copy_(self, wrap(np.asarray(changed).astype(kind).reshape(self._array.shape)))


def _new(self: Tensor, *args: Any, **options: Any) -> Tensor:
    """A tensor of this dtype, of given sizes or with given data."""
    if not args or isinstance(args[0], (int, Size)):
        return self.new_empty(*(args or (0,)), **options)  # type: ignore[no-any-return]
    if isinstance(args[0], float):
        raise TypeError(
            f"new(): data must be a sequence, got the number {args[0]}; see new_tensor."
        )
    return self.new_tensor(args[0], **options)  # type: ignore[no-any-return]


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
    return make_size(self._array.shape)


def _set_grad(self: Tensor, value: Any) -> None:
    if value is not None:
        if not isinstance(value, Tensor):
            raise TypeError(
                "assigned grad expected to be a Tensor or None but got grad of type "
                f"{value.__class__.__name__}"
            )
        if value is self:
            raise RuntimeError("can't assign Variable as its own grad")
        if value._array.shape != self._array.shape:
            raise RuntimeError(
                f"assigned grad has data of a different size: {value._array.shape} for a tensor "
                f"{self._array.shape}."
            )
        if value._array.dtype != self._array.dtype:
            raise RuntimeError(
                f"assigned grad has data of a different type: {value._array.dtype} for "
                f"{self._array.dtype}."
            )
    _note_grad(self)
    self._grad = value


def _get_grad(self: Tensor) -> Tensor | None:
    if state.busy:
        _note_grad(self)
    return self._grad


def _del_grad(self: Tensor) -> None:
    _note_grad(self)
    self._grad = None


def _note_grad(leaf: Tensor) -> None:
    """Tell a trace that the gradient matters."""
    if modes.trace is not None:
        modes.trace.touched(leaf)


def _device(self: Tensor) -> Any:
    return devices.META if self._array.__class__ is MetaArray else devices.CPU


methods(
    shape=property(_shape, doc="The sizes of the dims."),
    dtype=property(lambda self: PUBLIC[self._array.dtype], doc="The element type."),
    device=property(_device, doc="Where the memory is."),
    ndim=property(lambda self: self._array.ndim, doc="The number of dims."),
    itemsize=property(lambda self: self._array.itemsize, doc="Bytes per element."),
    nbytes=property(lambda self: self._array.nbytes, doc="Bytes of all elements."),
    is_cuda=property(lambda self: False, doc="Whether the memory is on a GPU."),
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
    grad=property(_get_grad, _set_grad, _del_grad, doc="The accumulated gradient, or None."),
    output_nr=property(
        lambda self: getattr(self.grad_fn, "index", 0), doc="Which output of its node it is."
    ),
    is_xpu=property(lambda self: False, doc="Always False."),
    is_xla=property(lambda self: False, doc="Always False."),
    is_ipu=property(lambda self: False, doc="Always False."),
    is_maia=property(lambda self: False, doc="Always False."),
    is_mtia=property(lambda self: False, doc="Always False."),
    is_nested=property(lambda self: False, doc="Always False."),
    is_nonzero=_truth,
    new=_new,
    apply_=_apply_,
    map_=_map_,
    map2_=_map2_,
    __rmatmul__=lambda self, other: (
        other.matmul(self) if isinstance(other, Tensor) else NotImplemented
    ),
    __reversed__=lambda self: self.flip(0) if self._array.ndim else self,
    nelement=numel,
    ndimension=dim,
    __array__=_array,
    __bool__=_truth,
    __index__=_index,
    __len__=_length,
    __iter__=_iterate,
    __contains__=_contains,
    __int__=lambda self: int(real_number(_fixed_item(self, "int(tensor)"))),
    __float__=_converted(float),
    __complex__=_converted(complex),
    __dlpack__=_dlpack,
    __dlpack_device__=lambda self: (1, 0),
    is_same_size=lambda self, other: self._array.shape == other._array.shape,
    is_set_to=lambda self, tensor: (
        self._array.__array_interface__ == tensor._array.__array_interface__
    ),
    is_pinned=lambda self, device=None: False,
    pin_memory=lambda self, device=None: self,
    is_inference=lambda self: False,
    is_conj=lambda self: False,
    is_neg=lambda self: False,
    resolve_conj=lambda self: self,
    resolve_neg=lambda self: self,
    dim_order=_dim_order,
)
