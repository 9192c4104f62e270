"""Devices of several processes as a grid: names for programs that mention them."""

from __future__ import annotations

from typing import Any

from rushlight.errors import NotSupportedError

__all__ = ["DeviceMesh", "init_device_mesh"]


class DeviceMesh:
    """A name for annotations and ``isinstance``: making one raises."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotSupportedError(
            "distributed.DeviceMesh: rushlight trains in one process (is_available() is False)."
        )


def init_device_mesh(*args: Any, **kwargs: Any) -> DeviceMesh:
    """Raises: there is one process."""
    return DeviceMesh(*args, **kwargs)
