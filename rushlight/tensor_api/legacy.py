"""Constructors from before ``torch.tensor``: ``Tensor(2, 3)``, ``FloatTensor([1, 2])``, and other
settings that old programs use.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import devices, dtypes
from rushlight.core import threads
from rushlight.core.autograd import known_as
from rushlight.core.device_array import send
from rushlight.core.meta import without_memory
from rushlight.core.size import Size
from rushlight.core.tensor import Tensor, constant, expect_tensors, instance, wrap
from rushlight.tensor_api._common import (
    check_factory,
    finish,
    methods,
    numpy_dtype,
    once,
    shape_of,
    store_out,
    warn_once,
)
from rushlight.tensor_api.conversion import LEGACY
from rushlight.tensor_api.from_data import array_from, from_numpy, traced_tensor
from rushlight.tensor_api.resizing import set_
from rushlight.tensor_api.sparse_tensors import sparse_coo_tensor

__all__ = [
    "typename",
    "set_flush_denormal",
    "get_deterministic_debug_mode",
    "set_deterministic_debug_mode",
    "is_deterministic_algorithms_warn_only_enabled",
    "get_device",
    "is_same_size",
    "is_conj",
    "is_neg",
    "is_inference",
    "is_signed",
    "to_dlpack",
    "empty_permuted",
    "fill",
    "unravel_index",
    "nonzero_static",
    "are_deterministic_algorithms_enabled",
    "get_default_device",
    "get_num_interop_threads",
    "get_num_threads",
    "is_storage",
    "is_warn_always_enabled",
    "set_default_device",
    "set_default_tensor_type",
    "set_float32_matmul_precision",
    "get_float32_matmul_precision",
    "set_num_interop_threads",
    "set_num_threads",
    "set_warn_always",
    "use_deterministic_algorithms",
]


def construct(d: Any, args: tuple[Any, ...]) -> Any:
    """The array that a legacy constructor makes: of given sizes, or with given data."""
    if len(args) == 1 and isinstance(args[0], Tensor):
        if args[0]._array.dtype != d:
            raise TypeError(
                f"expected a tensor of dtype {dtypes.of[d].name} but got {args[0].dtype}; "
                "convert with .to() instead."
            )
        return args[0]._array
    if len(args) == 1 and args[0].__class__.__name__ != "Size":
        data = args[0]
        if isinstance(data, bool | np.bool_ | float | np.floating):
            raise TypeError(
                f"Tensor: data must be a sequence of numbers or sizes, but got {data!r}; "
                "torch.tensor makes a tensor of one number."
            )
        if hasattr(data, "untyped"):  # a storage: its memory is shared
            return set_(wrap(np.empty(0, d)), data)._array
        # NumPy's arrays claim to be indices; those without dims are
        if not hasattr(data, "__index__") or getattr(data, "ndim", 0):
            there = traced_tensor(data, d)
            if there is not None:
                return there._array
            same = isinstance(data, np.ndarray) and data.dtype == d
            return from_numpy(data)._array if same else constant(array_from(data, d))._array
    return constant(np.empty(shape_of(args, "Tensor") if args else 0, d))._array


def _new_tensor(
    cls: Any, *args: Any, dtype: Any = None, device: Any = None, size: Any = None, **kwargs: Any
) -> Tensor:
    if cls is not Tensor and (args or kwargs) and cls.__init__ is not object.__init__:
        data = args[0] if args else None
        if isinstance(data, Tensor):
            return instance(cls, data._array)  # type: ignore[no-any-return]
        array = np.empty(0, dtypes.default.float) if data is None else array_from(data)
        return instance(cls, array)  # type: ignore[no-any-return]
    place = None if device is None else devices.place(device)
    given = args[0] if len(args) == 1 else None
    d = given._array.dtype if isinstance(given, Tensor) else dtypes.default.float
    array = construct(d, args if size is None else (size,))
    if place is not None:
        array = without_memory(array) if place is devices.META else send(array, place)
    return instance(cls, array)  # type: ignore[no-any-return]


def _new(self: Tensor, *args: Any, **options: Any) -> Tensor:
    """A tensor of this dtype, of given sizes or with given data; of a sparse tensor another one,
    of sizes or of indices, values and, if told, the size.
    """
    if self.is_sparse and args and not isinstance(args[0], (int, Size)):
        if len(args) == 1 or not isinstance(args[0], Tensor):
            raise TypeError(
                "new() of a sparse tensor takes sizes, or indices and values, but got "
                f"{', '.join(type(a).__name__ for a in args)}; see torch.sparse_coo_tensor."
            )
        return sparse_coo_tensor(*args, **options)
    if not args or isinstance(args[0], (int, Size)):
        return self.new_empty(*(args or (0,)), **options)  # type: ignore[no-any-return]
    if isinstance(args[0], float):
        raise TypeError(
            f"new(): data must be a sequence, got the number {args[0]}; see new_tensor."
        )
    if isinstance(args[0], Tensor):
        if len(args) > 1:
            raise TypeError(
                f"new(): expected one tensor, but got {len(args)}; indices and values make a "
                "sparse tensor: see torch.sparse_coo_tensor."
            )
        place = options.get("device") or self.device
        return args[0].detach().to(place, self.dtype, copy=True)  # type: ignore[no-any-return]
    return self.new_tensor(args[0], **options)  # type: ignore[no-any-return]


methods(new=_new)


class _TypeMeta(type):
    """``isinstance(t, FloatTensor)`` asks for the dtype."""

    _legacy_dtype: Any

    def __instancecheck__(cls, other: object) -> bool:
        on_cpu = isinstance(other, Tensor) and not other.is_cuda
        return on_cpu and other._array.dtype == cls._legacy_dtype


def _legacy_type(name: str, d: Any) -> Any:
    def make(cls: Any, *args: Any, **kwargs: Any) -> Tensor:
        return wrap(construct(d, args))

    doc = (
        f"A CPU tensor of dtype {dtypes.of[d].name} from sizes or data; prefer "
        "``torch.tensor(..., dtype=...)``."
    )
    return _TypeMeta(
        name, (), {"__new__": make, "__doc__": doc, "_legacy_dtype": d, "dtype": dtypes.of[d]}
    )


for _dtype_name, _title in LEGACY.items():
    if _title in (
        "Float",
        "Double",
        "Half",
        "BFloat16",
        "Long",
        "Int",
        "Short",
        "Char",
        "Byte",
        "Bool",
    ):
        globals()[_title + "Tensor"] = _legacy_type(
            _title + "Tensor", dtypes.by_name[_dtype_name].numpy
        )
        __all__.append(_title + "Tensor")

Tensor.__new__ = _new_tensor  # type: ignore[method-assign,assignment]


def set_default_tensor_type(t: Any) -> None:
    """Old way to set the default dtype: ``torch.FloatTensor`` or ``"torch.FloatTensor"``."""
    warn_once(
        "torch.set_default_tensor_type() is deprecated as of PyTorch 2.1, please use "
        "torch.set_default_dtype() and torch.set_default_device() as alternatives."
    )
    if isinstance(t, str):
        name = next((n for n, title in LEGACY.items() if t == f"torch.{title}Tensor"), None)
        if name is None:
            raise TypeError(f"invalid type name {t!r}; give one such as 'torch.FloatTensor'.")
        dtypes.set_default_dtype(dtypes.by_name[name])
    else:
        dtypes.set_default_dtype(t if isinstance(t, dtypes.dtype) else t.dtype)


class _Settings:
    """Accepted and remembered; results never depend on them."""

    interop_threads = 1
    deterministic, only_warn = False, False
    precision = "highest"


def get_num_threads() -> int:
    """The number of threads that kernels and matrix products use: at first as many as there are
    processors, or what the environment variable MKL_NUM_THREADS or OMP_NUM_THREADS says.
    """
    return threads.count()


def set_num_threads(num: int) -> None:
    """Use ``num`` threads, >= 1, for compiled kernels, matrix products and decompositions."""
    if not isinstance(num, int) or num < 1:
        raise RuntimeError(f"set_num_threads expects a positive integer, but got {num!r}")
    threads.limit(num)


def get_num_interop_threads() -> int:
    """The number that ``set_num_interop_threads`` asked for."""
    return _Settings.interop_threads


def set_num_interop_threads(num: int) -> None:
    """Accepted; operations do not run beside each other."""
    _Settings.interop_threads = num


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted; operations are always deterministic."""
    _Settings.deterministic, _Settings.only_warn = bool(mode), bool(warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """Whether ``use_deterministic_algorithms`` was called with True."""
    return _Settings.deterministic


def set_float32_matmul_precision(precision: str) -> None:
    """Accepted: "highest", "high" or "medium"; products are always computed in full float32."""
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(f"precision must be 'highest', 'high' or 'medium', but is {precision!r}")
    _Settings.precision = precision


def get_float32_matmul_precision() -> str:
    """What ``set_float32_matmul_precision`` set."""
    return _Settings.precision


def set_warn_always(b: bool) -> None:
    """Whether what is said once in a process is said each time."""
    once.always = bool(b)


def is_warn_always_enabled() -> bool:
    """What ``set_warn_always`` set."""
    return once.always


def get_default_device() -> Any:
    """The device that new tensors are on."""
    return devices.check(None, meta=True)


def set_default_device(device: Any) -> None:
    """The device that new tensors are on: the CPU, a GPU or meta; None means the CPU."""
    where = None if device is None else devices.device(device)
    devices.check(where, meta=True)
    devices.current.chosen = where


def typename(obj: Any) -> str:
    """The type's name; for tensors the legacy one, such as ``torch.FloatTensor``."""
    if isinstance(obj, Tensor):
        return obj.type()
    kind = obj if isinstance(obj, type) else type(obj)
    return (
        f"{kind.__module__}.{kind.__qualname__}"
        if kind.__module__ != "builtins"
        else kind.__qualname__
    )


def set_flush_denormal(mode: bool) -> bool:
    """False: denormal numbers are computed with, as NumPy does."""
    return False


def get_deterministic_debug_mode() -> int:
    """What was asked for: 0 nothing, 1 warnings, 2 errors. Operations are deterministic anyway."""
    return int(_Settings.deterministic) + int(_Settings.deterministic and not _Settings.only_warn)


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """Accepted; operations are always deterministic.

    Args:
        debug_mode: 0 or ``"default"``, 1 or ``"warn"``, 2 or ``"error"``.
    """
    names = ("default", "warn", "error")
    if not isinstance(debug_mode, (int, str)):
        raise TypeError(f"debug_mode must be str or int, but is {debug_mode!r}")
    if debug_mode not in (*names, 0, 1, 2):
        raise RuntimeError(
            f"invalid value of debug_mode, expected 0, 1, 2 or one of {names}, "
            f"but got {debug_mode!r}"
        )
    mode = names.index(debug_mode) if isinstance(debug_mode, str) else debug_mode
    use_deterministic_algorithms(mode > 0, warn_only=mode == 1)


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether ``use_deterministic_algorithms`` was called with ``warn_only``."""
    return _Settings.only_warn


def get_device(input: Tensor) -> int:
    """The index of the GPU that the tensor is on; -1 on the CPU."""
    return input.get_device()


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape.

    Example:
        >>> import rushlight as torch
        >>> torch.is_same_size(torch.zeros(2), torch.ones(2))
        True
    """
    return bool(input._array.shape == other._array.shape)


def is_conj(input: Tensor) -> bool:
    """Always False: conjugates are computed at once."""
    expect_tensors("is_conj", input)
    return False


is_neg = is_conj


def is_inference(input: Tensor) -> bool:
    """Always False: inference mode makes ordinary tensors without history."""
    expect_tensors("is_inference", input)
    return False


def is_signed(input: Tensor) -> bool:
    """Whether the elements can be negative."""
    return input.is_signed()


def to_dlpack(tensor: Tensor) -> Any:
    """A DLPack capsule on the tensor's memory."""
    return tensor.__dlpack__()


def empty_permuted(
    size: Any,
    physical_layout: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Uninitialised memory whose dims lie in the order ``physical_layout``, outermost first."""
    order = tuple(physical_layout)
    if sorted(order) != list(range(len(size))):
        raise RuntimeError(f"empty_permuted: {order} is not an order of {len(size)} dims.")
    place = check_factory(device, layout, pin_memory)
    a = np.empty([size[d] for d in order], numpy_dtype(dtype, dtypes.default.float))
    return finish(a.transpose(np.argsort(order)), requires_grad, place)


def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor like ``input`` with ``value`` everywhere."""
    out = input.clone().fill_(value)
    return known_as(f"FillBackward{isinstance(value, Tensor):d}", out)


def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """Positions in a flattened array of ``shape`` as one int64 index tensor per dim.

    Example:
        >>> import rushlight as torch
        >>> torch.unravel_index(torch.tensor(5), (2, 4))
        (tensor(1), tensor(1))
    """
    if indices._array.dtype not in dtypes.INTEGER_TYPES:
        raise TypeError(f"unravel_index: expected integer indices, but got {indices.dtype}")
    sizes = (shape,) if isinstance(shape, int) else shape
    if not isinstance(sizes, (tuple, list)) or not all([isinstance(n, int) for n in sizes]):
        raise TypeError(
            f"unravel_index: expected 'shape' to be an int or a sequence of ints, but got {shape!r}"
        )
    if any([n < 0 for n in sizes]):
        raise ValueError(f"unravel_index: sizes must be >= 0, but are {tuple(sizes)}")
    if any([n >= 2**63 for n in sizes]):
        raise ValueError(f"unravel_index: sizes must be below 2**63, but are {tuple(sizes)}")
    rest, out = indices.long(), []
    for n in reversed(sizes):
        out.append(rest % n)
        rest = rest // n
    return tuple(reversed(out))


def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1, out: Any = None) -> Tensor:
    """The first ``size`` rows of ``nonzero``, filled up with ``fill_value``."""
    expect_tensors("nonzero_static", input)
    found = input.nonzero()
    rows = input.new_full((size, max(input._array.ndim, 0)), fill_value, dtype=found.dtype)
    n = min(size, found._array.shape[0])
    rows[:n] = found[:n]
    return rows if out is None else store_out(out, rows)


def is_storage(obj: Any) -> bool:
    """Whether obj is a storage."""
    return hasattr(obj, "data_ptr") and hasattr(obj, "nbytes") and not isinstance(obj, Tensor)


Tensor.nonzero_static = nonzero_static
