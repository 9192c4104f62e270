"""The CPU as a device, with the names that ``torch.cuda`` has for GPUs: programs that choose
between the two modules run. Everything is finished when a call returns, so streams do nothing.
"""

from __future__ import annotations

import importlib
import os
import platform
from typing import Any

from rushlight import gpu
from rushlight.core.state import Mode

__all__ = [
    "is_available", "is_initialized", "synchronize", "current_device", "current_stream", "stream",
    "set_device", "device_count", "Stream", "StreamContext", "Event", "get_capabilities",
]  # fmt: skip


def is_available() -> bool:
    """Always True."""
    return True


def is_initialized() -> bool:
    """Always True."""
    return True


def synchronize(device: Any = None) -> None:
    """Nothing: calls return when they are finished."""


def device_count() -> int:
    """Always 1."""
    return 1


def current_device() -> str:
    """Always "cpu"."""
    return "cpu"


def set_device(device: Any) -> None:
    """Nothing: there is one CPU device."""


def get_capabilities() -> dict[str, Any]:
    """What is known about the processor: its architecture and how many logical cores there are."""
    return {"architecture": platform.machine(), "num_logical_cores": os.cpu_count()}


def get_device_module(device: Any = None) -> Any:
    """The namespace of a device, by default of the accelerator if there is one: ``torch.cpu`` or
    ``torch.cuda``.
    """
    usual = "cuda" if gpu.drivers() else "cpu"
    kind = str(device or usual).split(":")[0]
    if kind not in ("cpu", "cuda"):
        raise RuntimeError(f"get_device_module: there is no module for the device {device!r}.")
    return importlib.import_module(f"rushlight.{kind}")


class Stream:
    """A queue of work on other devices; here work is done when it is asked for."""

    def __init__(self, priority: int = -1) -> None: ...

    def wait_stream(self, stream: Any) -> None:
        """Nothing: the other stream's work is done."""

    def record_event(self) -> Event:
        """An event that has happened."""
        return Event()

    def wait_event(self, event: Any) -> None:
        """Nothing: the event has happened."""


class Event:
    """A point in a stream's work; always reached."""

    def query(self) -> bool:
        """Always True."""
        return True

    def record(self, stream: Any = None) -> None:
        """Nothing."""

    def synchronize(self) -> None:
        """Nothing."""

    def wait(self, stream: Any = None) -> None:
        """Nothing."""


class StreamContext(Mode):
    """Work inside the block goes to ``stream``; on the CPU it is simply done."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream


_STREAM = Stream()


def current_stream(device: Any = None) -> Stream:
    """The one stream there is."""
    return _STREAM


def stream(stream: Any) -> StreamContext:
    """A context manager that selects the stream."""
    return StreamContext(stream)


def __getattr__(name: str) -> Any:
    """Mixed precision, when first asked for."""
    if name == "amp":
        return importlib.import_module("rushlight.cpu.amp")
    raise AttributeError(f"module 'rushlight.cpu' has no attribute {name!r}")
