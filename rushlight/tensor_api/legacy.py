"""Constructors from before ``torch.tensor``: ``Tensor(2, 3)``, ``FloatTensor([1, 2])``, and other
settings that old programs use.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import devices, dtypes
from rushlight.core.tensor import Tensor, new, wrap
from rushlight.tensor_api._common import shape_of
from rushlight.tensor_api.conversion import LEGACY
from rushlight.tensor_api.creation import array_from

__all__ = [
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
    if (
        len(args) == 1
        and not hasattr(args[0], "__index__")
        and args[0].__class__.__name__ != "Size"
    ):
        return array_from(args[0], d)
    return np.empty(shape_of(args, "Tensor") if args else 0, d)


def _new_tensor(
    cls: Any, *args: Any, dtype: Any = None, device: Any = None, size: Any = None, **kwargs: Any
) -> Tensor:
    if cls is not Tensor and (args or kwargs) and cls.__init__ is not object.__init__:
        t = new(cls)
        data = args[0] if args else None
        t._array = (
            data._array
            if isinstance(data, Tensor)
            else array_from(data)
            if data is not None
            else np.empty(0, dtypes.default.float)
        )
        return t
    if device is not None:
        devices.check(device)
    t = new(cls)
    t._array = construct(dtypes.default.float, args if size is None else (size,))
    return t


class _TypeMeta(type):
    """``isinstance(t, FloatTensor)`` asks for the dtype."""

    _legacy_dtype: Any

    def __instancecheck__(cls, other: object) -> bool:
        return isinstance(other, Tensor) and other._array.dtype == cls._legacy_dtype


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
    if isinstance(t, str):
        name = next((n for n, title in LEGACY.items() if t == f"torch.{title}Tensor"), None)
        if name is None:
            raise TypeError(f"invalid type name {t!r}; give one such as 'torch.FloatTensor'.")
        dtypes.set_default_dtype(dtypes.by_name[name])
    else:
        dtypes.set_default_dtype(t if isinstance(t, dtypes.dtype) else t.dtype)


class _Settings:
    """Accepted and remembered; results never depend on them."""

    threads = 1
    interop_threads = 1
    deterministic = False
    precision = "highest"
    warn_always = False


def get_num_threads() -> int:
    """The number of threads that ``set_num_threads`` asked for."""
    return _Settings.threads


def set_num_threads(num: int) -> None:
    """Ask for a number of threads, >= 1; eager operations use those of NumPy's BLAS."""
    if not isinstance(num, int) or num < 1:
        raise RuntimeError(f"set_num_threads expects a positive integer, but got {num!r}")
    _Settings.threads = num


def get_num_interop_threads() -> int:
    """The number that ``set_num_interop_threads`` asked for."""
    return _Settings.interop_threads


def set_num_interop_threads(num: int) -> None:
    """Accepted; operations do not run beside each other."""
    _Settings.interop_threads = num


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted; operations are always deterministic."""
    _Settings.deterministic = bool(mode)


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
    """Accepted."""
    _Settings.warn_always = b


def is_warn_always_enabled() -> bool:
    """What ``set_warn_always`` set."""
    return _Settings.warn_always


def get_default_device() -> Any:
    """The device that new tensors are on."""
    return devices.CPU


def set_default_device(device: Any) -> None:
    """The device that new tensors are on: only the CPU so far."""
    devices.check(device)


def is_storage(obj: Any) -> bool:
    """Whether obj is a storage."""
    return hasattr(obj, "data_ptr") and hasattr(obj, "nbytes") and not isinstance(obj, Tensor)
