"""What the public functions share: argument handling, ``out=``, and attaching methods."""

from __future__ import annotations

import builtins
import functools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight import devices, dtypes, formats
from rushlight.core.device_array import DeviceArray, device_empty, driver_of, send
from rushlight.core.inplace import has_self_overlap
from rushlight.core.meta import without_memory
from rushlight.core.state import GradMode, modes, state
from rushlight.core.tensor import Tensor, bump, constant, explained, kind_of, needs_grad
from rushlight.core.window import Window
from rushlight.dtypes import NUMBERS, dtype as DType
from rushlight.errors import DeviceError, DTypeError, GraphError, warn_user
from rushlight.ops.copy import Copy
from rushlight.ops.view import flat_memory, offset_of


def method(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: the function is also a Tensor method of the same name."""
    setattr(Tensor, function.__name__, function)
    return function


def methods(**named: Any) -> None:
    """Attach Tensor methods by name."""
    for name, function in named.items():
        setattr(Tensor, name, function)


def as_int(value: Any, argument: str) -> int:
    """A Python, NumPy or tensor integer as an int; TypeError for all else, and for bool."""
    if value.__class__ is int:
        return value  # type: ignore[no-any-return]
    if value.__class__ is not bool:
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise TypeError(
        f"argument '{argument}' must be an int, not {type(value).__name__}, but is {value!r}"
    )


def refuse_keepdim(name: str, keepdim: Any) -> None:
    """``keepdim`` is no bool: ``x.sum(0, 2)`` means two dims."""
    raise TypeError(
        f"{name}(): argument 'keepdim' must be bool, not {type(keepdim).__name__}, but is "
        f"{keepdim!r}; several dims are a tuple."
    )


def as_number(value: Any) -> Any:
    """A number, also where it is one of NumPy's or a tensor of one element; TypeError for arrays,
    but those that a trace lends.
    """
    if value.__class__ in NUMBERS:
        return value
    if issubclass(type(value), np.ndarray):
        raise TypeError(
            f"expected a number, but got an array of shape {value.shape}; take one of its elements,"
            " as with .item()."
        )
    return value.item() if isinstance(value, (Tensor, np.generic, np.ndarray)) else value


def scalar(value: Any, argument: str) -> Any:
    """A number for an op's parameter, which may be given as a 0-dim tensor: read now, since the
    tensor may be written to later.

    Raises:
        TypeError: the tensor has dims, or requires grad, which would be lost.
    """
    if value.__class__ in NUMBERS or not isinstance(value, Tensor) or state.busy:
        return value
    if value._array.ndim or value.requires_grad:
        what = "requires grad" if value.requires_grad else f"has shape {value._array.shape}"
        raise TypeError(
            f"argument '{argument}' must be a number, but is a tensor that {what}; no gradient "
            "flows to it: write the formula out, or take its .item()."
        )
    return value.item()


def wrap_dim(dim: Any, ndim: int) -> int:
    """dim in [-ndim, ndim) as one in [0, ndim); a 0-dim tensor counts as one dim. IndexError
    otherwise.
    """
    if dim.__class__ is int and -ndim <= dim < ndim:
        return dim if dim >= 0 else dim + ndim  # type: ignore[no-any-return]
    d, n = as_int(dim, "dim"), ndim or 1
    if not -n <= d < n:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {d})"
        )
    return d % n


def wrap_dims(dim: Any, ndim: int, empty_is_all: bool = True) -> tuple[int, ...] | None:
    """``dim`` (None, an int, or a sequence) as a sorted tuple of dims >= 0, or None for all."""
    if dim is None:
        return None
    if not hasattr(dim, "__iter__") or getattr(dim, "ndim", 1) == 0:
        return (wrap_dim(dim, ndim),) if ndim else _zero_dim(dim)
    dims = builtins.sorted([wrap_dim(d, ndim) for d in dim])
    if not dims:
        return None if empty_is_all else ()
    if len(set(dims)) != len(dims):
        raise RuntimeError(f"dim {dims[0]} appears multiple times in the list of dims {tuple(dim)}")
    return tuple(dims) if ndim else None


def _zero_dim(dim: Any) -> None:
    wrap_dim(dim, 0)


def shape_of(args: tuple[Any, ...], name: str = "shape") -> tuple[int, ...]:
    """Sizes given as ``f(2, 3)`` or ``f((2, 3))``, as a tuple of ints."""
    if len(args) == 1 and args[0].__class__ is not int:
        only = args[0]
        if not hasattr(only, "__index__") or (isinstance(only, Tensor) and only._array.ndim):
            args = only
    if args.__class__ is tuple:
        for n in args:
            if n.__class__ is not int:
                break
        else:
            return args
    try:
        if args and args[0].__class__ is bool:  # torch looks for bool only there
            raise TypeError
        return tuple([n if n.__class__ is int else int(operator.index(n)) for n in args])
    except TypeError:
        fix = "; divide sizes with //" if any([isinstance(n, float) for n in args]) else ""
        text = f"{name}: expected ints or a tuple of ints, but got {args!r}{fix}"
        raise TypeError(text) from None


def numpy_dtype(dtype: Any, default: Any = None) -> Any:
    """A public dtype as NumPy's; ``default`` for None. Python's float, int, bool and complex count
    as torch has them.
    """
    if dtype is None:
        return default
    if dtype.__class__ is DType:
        return dtype.numpy
    found = {
        float: dtypes.float64,
        int: dtypes.int64,
        bool: dtypes.bool_,
        complex: dtypes.complex128,
    }.get(dtype)
    if found is None:
        raise TypeError(f"dtype must be a torch.dtype, such as torch.float32, but is {dtype!r}")
    return found


def finish(array: Any, requires_grad: bool = False, place: Any = None) -> Tensor:
    """A new leaf on ``array``, or on what it is at another place than the CPU, see
    ``devices.place``.
    """
    if place is not None:
        array = without_memory(array) if place is devices.META else send(array, place)
    t = constant(array)
    return t.requires_grad_() if requires_grad else t


def check_factory(device: Any, layout: Any = None, pin_memory: Any = False) -> Any:
    """Refuse what a new tensor cannot have. Where it is to be, see ``devices.place``."""
    if device is None and layout is None and devices.current.chosen is None:
        return None  # where tensors are made that nothing is said of
    place = devices.place(device)
    if layout is not None and str(layout) != "torch.strided":
        raise RuntimeError(
            f"layout {layout} is not supported here; make the tensor dense, and convert it with "
            ".to_sparse()."
        )
    return place


def own(t: Tensor) -> Tensor:
    """A view of memory that nobody else has: no view to the user, who may write to it freely."""
    t._link, t._tracked = None, t._node is not None
    return t


def unrecorded(*tensors: Tensor) -> list[Any] | None:
    """The arrays of float32 or float64 tensors, all of one dtype, where nothing is traced and no
    gradient recorded, so that a function made of several ops may compute with them at once. Else
    None.
    """
    if state.busy:
        return None
    d, arrays = None, []
    for t in tensors:
        x = t._array
        if x.dtype is not d:
            if d is not None or x.dtype not in dtypes.FLOATS:
                return None
            d = x.dtype
        if type(x) is not np.ndarray or (t._tracked and modes.grad and needs_grad(t)):
            return None
        arrays.append(x)
    return arrays


def is_tensor(obj: Any, /) -> bool:
    """Whether obj is a Tensor.

    Example:
        >>> import rushlight as torch
        >>> torch.is_tensor(torch.ones(1)), torch.is_tensor(1)
        (True, False)
    """
    return isinstance(obj, Tensor)


def expect_tensor(x: Any, function: str, argument: str = "input") -> Tensor:
    """x, or torch's TypeError."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{function}(): argument '{argument}' must be Tensor, not {kind_of(x)}")
    return x


def store_out(out: Any, result: Tensor, exact: bool = False) -> Tensor:
    """Write ``result`` into ``out``: resized when its shape differs, converted when the kinds allow
    it (not if ``exact``).
    """
    check_out(out, result, exact)
    x, r = out._array, result._array
    if x.shape != r.shape:
        if x.size:
            warn_user(
                f"An output with one or more elements was resized since it had shape {x.shape}, "
                "which does not match the required "
                f"output shape {r.shape}; resize it explicitly, or pass an empty tensor."
            )
        resize(out, r.shape)
        x = out._array
    if has_self_overlap(x):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a "
            "single memory location."
        )
    if isinstance(x, Window):
        with GradMode(False):
            return Copy.update(out, result)
    x[...] = r if r.dtype == x.dtype else r.astype(x.dtype)
    bump(out)
    return out


def store_outs(outs: Any, results: Any, exact: bool = False) -> list[Tensor]:
    """Write several results, as ``store_out`` does, unless one of them cannot be written."""
    pairs = [*zip(outs, results, strict=True)]
    for out, result in pairs:
        check_out(out, result, exact)
    return [store_out(out, result, exact) for out, result in pairs]


def check_out(out: Any, result: Tensor, exact: bool) -> None:
    """Raise where ``out`` cannot take the result."""
    if not isinstance(out, Tensor):
        raise TypeError(f"argument 'out' must be Tensor, not {type(out).__name__}")
    if modes.grad and (out.requires_grad or result.requires_grad):
        raise GraphError(
            "functions with out=... arguments don't support automatic differentiation, but one "
            "of the arguments requires grad; "
            "use the function's result, or run it under no_grad()."
        )
    x, r = out._array, result._array
    same_device(out, result)
    if dtypes.CATEGORY[r.dtype] > dtypes.CATEGORY[x.dtype] or (exact and r.dtype != x.dtype):
        a, b = dtypes.of[r.dtype].name, dtypes.of[x.dtype].name
        raise DTypeError(
            f"result type {a} can't be cast to the desired output type {b}; pass an out= tensor "
            f"of type {a}."
        )


def same_device(out: Tensor, result: Tensor) -> None:
    """RuntimeError unless what is written, and where to, are on one device."""
    if driver_of(out) is not driver_of(result):
        raise different_devices("out", out, result)


def different_devices(name: str, t: Tensor, other: Tensor) -> DeviceError:
    """What to raise where the tensor ``name`` is on another device than another tensor."""
    return DeviceError(
        f"Expected all tensors to be on the same device, but got {name} is on {t.device}, "
        f"different from other tensors on {other.device}. Move one of them, as with "
        f".to({str(other.device)!r})."
    )


def stored(result: Tensor, out: Tensor | None) -> Tensor:
    """The result, written into ``out`` when that is given."""
    return result if out is None else store_out(out, result)


def stored_exactly(result: Tensor, out: Tensor | None) -> Tensor:
    """The result, written into ``out`` when that is given, which has to have its dtype."""
    return result if out is None else store_out(out, result, exact=True)


def refuse_overlap(out: Any, *inputs: Tensor) -> None:
    """RuntimeError when ``out`` shares memory with what is read from or written over itself."""
    if not isinstance(out, Tensor):
        return
    x = out._array
    if has_self_overlap(x):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a "
            "single memory location; clone() it first."
        )
    if any([t is out or may_share(x, t._array) for t in inputs]):
        raise RuntimeError(
            "unsupported operation: some elements of the input tensor and the written-to tensor "
            "refer to a single memory location; clone() one of them first."
        )


def may_share(x: Any, y: Any) -> bool:
    """Whether two arrays may share memory."""
    if isinstance(x, Window) or isinstance(y, Window):
        return x.__class__ is y.__class__ is DeviceArray and x.memory is y.memory
    return np.may_share_memory(x, y)


def resize(t: Tensor, shape: tuple[int, ...]) -> None:
    """Give t another shape in its own memory, or in new memory where that is too small (the old
    elements are kept).
    """
    x = t._array
    n = int(np.prod(shape, dtype=np.int64))
    if x.__class__ is DeviceArray:
        t._array = resized(x, shape, n * x.itemsize)
        return
    memory, at = flat_memory(x), offset_of(x)
    if n > len(memory) - at:
        fresh = np.empty(n, x.dtype)
        old = memory[at:]
        fresh[: len(old)] = old
        t._array = fresh.reshape(shape)
    else:
        t._array = memory[at : at + n].reshape(shape)


def resized(x: DeviceArray, shape: tuple[int, ...], size: int) -> DeviceArray:
    """Array x of a GPU in another shape, of ``size`` bytes, see ``resize``."""
    rest = x.memory.size - x.offset
    if size <= rest:
        return DeviceArray(x.memory, x.offset, shape, x.dtype, None, x.base or x)
    out = device_empty(shape, x.dtype, x.driver)
    x.driver.copy(x.memory, x.offset, out.memory, 0, rest)
    return out


def in_order_of(out: Tensor, *inputs: Tensor) -> Tensor:
    """``out`` with its channels last in memory if those of all inputs are: what works on images
    keeps their order, in which random numbers are drawn afterwards.
    """
    wanted = formats.suggested(inputs[0]._array)
    if wanted is None or any([formats.suggested(t._array) is not wanted for t in inputs[1:]]):
        return out
    return out.contiguous(memory_format=wanted)


def in_order_of_lines(out: Tensor, x: Tensor) -> Tensor:
    """The same for what works on lines as on images of one row: ``(N, C, L)`` with channels last in
    memory stays so. Others come in order.
    """
    a = x._array
    if a.ndim != 3:
        return out
    (n, c, step), (_, channels, length) = a.strides, a.shape
    if not 0 < c * channels <= step or n < step * length or step * length == c:
        return out
    return out.transpose(1, 2).contiguous().transpose(1, 2)


# Note [Numbers first]
# Programs from before PyTorch 1.5 put factors before what they multiply: ``x.add_(2, y)`` for
# ``x.add_(y, alpha=2)``. PyTorch still takes that, and warns once.


def reordered(function: Any, args: tuple[Any, ...], options: tuple[str, ...], named: Any) -> Any:
    """A call in the older order, see Note [Numbers first]; ``options``: what the numbers are."""
    name = function.__name__.lstrip("_")
    numbers = [a for a in args if isinstance(a, (int, float, complex))]
    tensors = [a for a in args if isinstance(a, Tensor)]
    fits = 0 < len(numbers) <= len(options) and len(numbers) + len(tensors) == len(args)
    if not fits or args[-1] is not tensors[-1]:
        raise TypeError(
            f"{name}() takes tensors, and {' and '.join(options)} by name, but got "
            f"({', '.join([type(a).__name__ for a in args])})"
        )
    warn_once(
        f"{name} with {' and '.join(options)} before the tensors is deprecated: give them by name."
    )
    return function(*tensors, **dict(zip(options, numbers, strict=False)), **named)


class Once:
    """What was said that is said once in a process, unless it is always to be said."""

    def __init__(self) -> None:
        self.said: set[str] = set()
        self.always = False


once = Once()


def warn_once(text: str) -> None:
    """Warn of something that the caller's caller does, the first time in a process."""
    if text not in once.said or once.always:
        once.said.add(text)
        warn_user(text)


def warn_of_lost_gradient(x: Tensor) -> None:
    """Say once that the number which x becomes has no gradient, if x has one."""
    if modes.grad and x.requires_grad:
        warn_once(
            "Converting a tensor with requires_grad=True to a scalar leaves its gradient behind; "
            "say that this is meant: tensor.item(), or tensor.detach()."
        )


def numbers_first(*options: str) -> Callable[[Any], Any]:
    """Decorator for functions of three tensors: they take the older order too."""

    def decorate(function: Any) -> Any:
        @functools.wraps(function)
        def either(*args: Any, **named: Any) -> Any:
            if len(args) > 3 and any([isinstance(a, (int, float, complex)) for a in args[:3]]):
                return reordered(function, args, options, named)
            try:
                return function(*args, **named) if named else function(*args)
            except AttributeError as error:
                raise explained(function, args, named, error) from None

        return either

    return decorate
