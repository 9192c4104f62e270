"""CUDA devices, reached through CuPy where it is installed. Without it every question has the
answer of a machine with no GPU.
"""

from __future__ import annotations

from typing import Any

from rushlight import devices


def is_available() -> bool:
    """Whether a GPU can be used.

    Example:
        >>> import rushlight as torch
        >>> device = "cuda" if torch.cuda.is_available() else "cpu"
    """
    return False


def device_count() -> int:
    """How many GPUs can be used."""
    return 0


def current_device() -> int:
    """The index of the current GPU. RuntimeError without one."""
    return _no_gpu()


def get_device_name(device: Any = None) -> str:
    """The GPU's name. RuntimeError without one."""
    return str(_no_gpu())


def get_device_properties(device: Any = None) -> Any:
    """The GPU's properties. RuntimeError without one."""
    return _no_gpu()


def _no_gpu() -> Any:
    return devices.check("cuda")


def is_initialized() -> bool:
    """Whether CUDA has been used."""
    return False


def init() -> None:
    """Start CUDA. RuntimeError without a GPU."""
    _no_gpu()


def synchronize(device: Any = None) -> None:
    """Wait for the GPU. RuntimeError without one."""
    _no_gpu()


def empty_cache() -> None:
    """Free cached GPU memory: there is none."""


def ipc_collect() -> None:
    """Nothing to collect without a GPU."""


def manual_seed(seed: int) -> None:
    """Seed the GPU's generator: there is none, so nothing changes."""


def manual_seed_all(seed: int) -> None:
    """Seed all GPUs' generators: there are none, so nothing changes."""


def memory_allocated(device: Any = None) -> int:
    """Bytes of GPU memory in tensors."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_allocated


def reset_peak_memory_stats(device: Any = None) -> None:
    """Nothing to reset without a GPU."""


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the GPU computes in bfloat16."""
    return False


def set_device(device: Any) -> None:
    """Make a GPU the current one. RuntimeError without one."""
    _no_gpu()


default_generators: tuple[Any, ...] = ()
