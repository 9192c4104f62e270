"""Whatever accelerator the machine has, under one name: here, none.

Programs ask ``is_available()`` or ``current_accelerator()`` and go on with the CPU.
"""

from __future__ import annotations

from typing import Any, NoReturn

from rushlight import devices
from rushlight.errors import DeviceError


def is_available() -> bool:
    """Whether an accelerator can be used.

    Example:
        >>> import rushlight as torch
        >>> torch.accelerator.is_available()
        False
    """
    return False


def device_count() -> int:
    """How many accelerators can be used."""
    return 0


def current_accelerator(check_available: bool = False) -> devices.device | None:
    """The kind of accelerator, as a device without an index; None without one."""
    return None


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    raise DeviceError(
        "accelerator: cannot access an accelerator when none is available; ask is_available() "
        "first."
    )


current_device_index = current_device_idx = set_device_index = set_device_idx = _refuse
current_stream = set_stream = synchronize = device_index = get_device_capability = _refuse
empty_cache = empty_host_cache = get_memory_info = memory_stats = _refuse
memory_allocated = memory_reserved = max_memory_allocated = max_memory_reserved = _refuse
reset_peak_memory_stats = reset_accumulated_memory_stats = _refuse
