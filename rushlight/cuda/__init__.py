"""CUDA devices. None can be used so far: all answers are those of a machine without a GPU."""

from __future__ import annotations

import importlib
from typing import Any

from rushlight import devices, dtypes
from rushlight.errors import OutOfMemoryError as OutOfMemoryError
from rushlight.tensor_api.conversion import LEGACY

_initialized = False  # read by code that saves the random state of GPUs in use


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


reset_max_memory_allocated = reset_max_memory_cached = reset_peak_memory_stats


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the GPU computes in bfloat16."""
    return False


def set_device(device: Any) -> None:
    """Make a GPU the current one. RuntimeError without one."""
    _no_gpu()


default_generators: tuple[Any, ...] = ()


def get_rng_state_all() -> list[Any]:
    """The states of all GPUs' generators: none."""
    return []


def set_rng_state_all(new_states: Any) -> None:
    """Set the states that `get_rng_state_all` gave."""
    for _ in new_states:
        _no_gpu()


def get_arch_list() -> list[str]:
    """The GPU architectures there is code for: none."""
    return []


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """Statistics of GPU memory as a text: an empty one."""
    return ""


def memory_stats(device: Any = None) -> dict[str, Any]:
    """Statistics of GPU memory: none."""
    return {}


def seed() -> None:
    """Seed the GPU's generator: there is none, so nothing changes."""


seed_all = seed


def needs_gpu(name: str) -> Any:
    """A function that raises RuntimeError, for what cannot be answered without a GPU."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        return _no_gpu()

    refuse.__name__ = refuse.__qualname__ = name
    return refuse


globals().update(
    {
        name: needs_gpu(name)
        for name in (
            "current_blas_handle",
            "current_stream",
            "default_stream",
            "get_device_capability",
            "get_rng_state",
            "graph_pool_handle",
            "initial_seed",
            "make_graphed_callables",
            "mem_get_info",
            "set_rng_state",
        )
    }
)


class _TypeMeta(type):
    """``isinstance(t, torch.cuda.FloatTensor)``: never, as there are no tensors on a GPU."""

    def __instancecheck__(cls, other: object) -> bool:
        return False

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            f"type torch.cuda.{cls.__name__} not available: there is no GPU. Use torch.tensor "
            "with a dtype, and a device that is_available()."
        )


for _dtype, _title in LEGACY.items():
    globals()[f"{_title}Tensor"] = _TypeMeta(
        f"{_title}Tensor", (), {"dtype": dtypes.by_name[_dtype], "__module__": "torch.cuda"}
    )


class Stream:
    """A queue of work for a GPU: for annotations and ``isinstance``, making one raises."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _no_gpu()


class ExternalStream(Stream):
    """A queue of another library."""


class Event(Stream):
    """A mark in a queue of work for a GPU: making one raises."""


class CUDAGraph(Stream):
    """Recorded work for a GPU: making one raises. On a CPU, ``torch.compile`` saves calls."""


class graph(Stream):
    """A context that records work for a GPU: making one raises."""


def is_current_stream_capturing() -> bool:
    """Whether work for a GPU is being recorded: never."""
    return False


class device:
    """Context in which another GPU is the current one; without a GPU nothing changes."""

    def __init__(self, device: Any) -> None:
        self.device = device

    def __enter__(self) -> None: ...

    def __exit__(self, *exc: object) -> None: ...


class device_of(device):
    """Context in which the GPU of a tensor is the current one; without a GPU nothing changes."""


class StreamContext(device):
    """Context in which work goes to a stream; without a GPU nothing changes."""


def stream(stream: Any) -> StreamContext:
    """Context in which work goes to ``stream``; without a GPU nothing changes."""
    return StreamContext(None)


def __getattr__(name: str) -> Any:
    """Submodules are imported when first asked for."""
    if name in ("amp", "graphs", "memory", "nvtx", "profiler", "random", "streams"):
        return importlib.import_module(f"rushlight.cuda.{name}")
    raise AttributeError(f"module 'rushlight.cuda' has no attribute {name!r}")
