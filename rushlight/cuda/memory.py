"""The memory of GPUs, in bytes. Without a GPU nothing is held."""

from __future__ import annotations

from typing import Any

from rushlight import devices, gpu
from rushlight.errors import warn_user


def _sum(device: Any, ask: Any) -> int:
    return ask(devices.find_gpu(device)) if gpu.drivers() else 0  # type: ignore[no-any-return]


def memory_allocated(device: Any = None) -> int:
    """Bytes of GPU memory in tensors."""
    return _sum(device, lambda driver: driver.allocated())


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that were in tensors since ``reset_peak_memory_stats``."""
    return _sum(device, lambda driver: driver.peak())


def memory_reserved(device: Any = None) -> int:
    """Bytes of GPU memory held, also those that wait to be used again."""
    return _sum(device, lambda driver: driver.reserved())


def max_memory_reserved(device: Any = None) -> int:
    """The most bytes held; what is held goes back only by ``empty_cache``."""
    return max(memory_reserved(device), max_memory_allocated(device))


def reset_peak_memory_stats(device: Any = None) -> None:
    """Begin to look for the peak anew."""
    if gpu.drivers():
        devices.find_gpu(device).reset_peak()


def _renamed(old: str, new: Any, link: str) -> Any:
    """A function under its older name, which warns."""

    def ask(device: Any = None) -> Any:
        warn_user(f"{old} {link} torch.cuda.{new.__name__}.", FutureWarning)
        return new(device)

    ask.__name__ = ask.__qualname__ = old.strip("`").rpartition(".")[2]
    ask.__doc__ = f"The older name of ``{new.__name__}``."
    return ask


memory_cached = _renamed("`torch.cuda.memory_cached`", memory_reserved, "has been renamed to")
max_memory_cached = _renamed(
    "`torch.cuda.max_memory_cached`", max_memory_reserved, "has been renamed to"
)
reset_max_memory_allocated = _renamed(
    "torch.cuda.reset_max_memory_allocated", reset_peak_memory_stats, "now calls"
)
reset_max_memory_cached = _renamed(
    "torch.cuda.reset_max_memory_cached", reset_peak_memory_stats, "now calls"
)


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Bytes that the GPU has free, and in all. RuntimeError without one."""
    return devices.find_gpu(device).free_and_total()


def empty_cache() -> None:
    """Give memory that waits to be used again back to the GPUs."""
    for driver in gpu.drivers():
        driver.release()


def ipc_collect() -> None:
    """Nothing to collect: processes do not share memory of GPUs."""


def memory_stats(device: Any = None) -> dict[str, Any]:
    """Statistics of GPU memory, by PyTorch's names; none without a GPU."""
    if not gpu.drivers():
        return {}
    return {
        "allocated_bytes.all.current": memory_allocated(device),
        "allocated_bytes.all.peak": max_memory_allocated(device),
        "reserved_bytes.all.current": memory_reserved(device),
        "reserved_bytes.all.peak": max_memory_reserved(device),
    }


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """Statistics of GPU memory as a text: an empty one without a GPU."""
    rows = memory_stats(device).items()
    return "\n".join([f"{name:<32}{gpu.readable(size):>14}" for name, size in rows])
