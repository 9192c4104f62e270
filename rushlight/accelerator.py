"""Whatever accelerator the machine has, under one name: a GPU of CUDA, or none.

Programs ask ``is_available()`` or ``current_accelerator()`` and go on with the CPU otherwise.
"""

from __future__ import annotations

import importlib
from typing import Any

from rushlight import devices, gpu
from rushlight.errors import DeviceError


def is_available() -> bool:
    """Whether an accelerator can be used.

    Example:
        >>> import rushlight as torch
        >>> device = "cuda" if torch.accelerator.is_available() else "cpu"
    """
    return bool(gpu.drivers())


def device_count() -> int:
    """How many accelerators can be used."""
    return len(gpu.drivers())


def current_accelerator(check_available: bool = False) -> devices.device | None:
    """The kind of accelerator, as a device without an index; None without one."""
    return devices.device("cuda") if gpu.drivers() else None


def current_device_index() -> int:
    """The index of the current accelerator. RuntimeError without one."""
    return _driver(None).index


def set_device_index(device: Any) -> None:
    """Make an accelerator the current one; a negative index changes nothing."""
    if not (isinstance(device, int) and device < 0):
        gpu.current.index = _driver(device).index


current_device_idx, set_device_idx = current_device_index, set_device_index


class device_index:
    """Context in which another accelerator is the current one; None changes nothing."""

    def __init__(self, device: int | None) -> None:
        self.index = None if device is None else _driver(device).index

    def __enter__(self) -> None:
        self.before = gpu.current.index
        if self.index is not None:
            gpu.current.index = self.index

    def __exit__(self, *exc: object) -> None:
        gpu.current.index = self.before


def _driver(device: Any) -> gpu.Driver:
    if not gpu.drivers():
        raise DeviceError(
            "accelerator: cannot access an accelerator when none is available; ask is_available() "
            "first."
        )
    return devices.find_gpu(device)


def _asking(name: str, doc: str) -> Any:
    """A function that ``torch.cuda`` has too, for the accelerator that there is."""

    def ask(device: Any = None, /) -> Any:
        where = _driver(device).index
        return getattr(importlib.import_module("rushlight.cuda"), CUDAS.get(name, name))(where)

    ask.__name__ = ask.__qualname__ = name
    ask.__doc__ = f"{doc} RuntimeError without an accelerator."
    return ask


CUDAS = {"get_memory_info": "mem_get_info"}
synchronize = _asking("synchronize", "Wait until the accelerator has done its work.")
current_stream = _asking("current_stream", "The queue of work of the accelerator.")
get_device_capability = _asking("get_device_capability", "The numbers of its architecture.")
get_memory_info = _asking("get_memory_info", "Bytes that it has free, and in all.")
memory_stats = _asking("memory_stats", "Statistics of its memory.")
memory_allocated = _asking("memory_allocated", "Bytes in tensors.")
memory_reserved = _asking("memory_reserved", "Bytes held.")
max_memory_allocated = _asking("max_memory_allocated", "The most bytes that were in tensors.")
max_memory_reserved = _asking("max_memory_reserved", "The most bytes held.")
reset_peak_memory_stats = _asking("reset_peak_memory_stats", "Begin to look for the peak anew.")
reset_accumulated_memory_stats = reset_peak_memory_stats


def set_stream(stream: Any) -> None:
    """Accepts a stream: it is the only one of its accelerator. RuntimeError without one."""
    _driver(stream.device)


def empty_cache() -> None:
    """Give memory that waits to be used again back. RuntimeError without an accelerator."""
    _driver(None).release()


def empty_host_cache() -> None:
    """Nothing to give back, as no memory of the host is kept. RuntimeError without one."""
    _driver(None)
