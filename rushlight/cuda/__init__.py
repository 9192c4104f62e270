"""GPUs of CUDA: which there are, their memory, random numbers and order of work.

Without a GPU ``is_available()`` is False, counts are 0, and what needs one raises.
"""

from __future__ import annotations

import importlib
from typing import Any

from rushlight import devices, dtypes, gpu
from rushlight.core.tensor import Tensor, wrap
from rushlight.cuda.memory import (
    empty_cache as empty_cache,
    ipc_collect as ipc_collect,
    max_memory_allocated as max_memory_allocated,
    max_memory_cached as max_memory_cached,
    max_memory_reserved as max_memory_reserved,
    mem_get_info as mem_get_info,
    memory_allocated as memory_allocated,
    memory_cached as memory_cached,
    memory_reserved as memory_reserved,
    memory_stats as memory_stats,
    memory_summary as memory_summary,
    reset_max_memory_allocated as reset_max_memory_allocated,
    reset_max_memory_cached as reset_max_memory_cached,
    reset_peak_memory_stats as reset_peak_memory_stats,
)
from rushlight.cuda.random import (
    get_rng_state as get_rng_state,
    get_rng_state_all as get_rng_state_all,
    initial_seed as initial_seed,
    manual_seed as manual_seed,
    manual_seed_all as manual_seed_all,
    seed as seed,
    seed_all as seed_all,
    set_rng_state as set_rng_state,
    set_rng_state_all as set_rng_state_all,
)
from rushlight.cuda.streams import (
    Event as Event,
    ExternalStream as ExternalStream,
    Stream as Stream,
    StreamContext as StreamContext,
    current_stream as current_stream,
    default_stream as default_stream,
    set_stream as set_stream,
    stream as stream,
    synchronize as synchronize,
)
from rushlight.errors import NotSupportedError, OutOfMemoryError as OutOfMemoryError
from rushlight.tensor_api.conversion import LEGACY
from rushlight.tensor_api.legacy import construct


def is_available() -> bool:
    """Whether a GPU can be used.

    Example:
        >>> import rushlight as torch
        >>> device = "cuda" if torch.cuda.is_available() else "cpu"
    """
    return bool(gpu.drivers())


def device_count() -> int:
    """How many GPUs can be used."""
    return len(gpu.drivers())


def current_device() -> int:
    """The index of the current GPU. RuntimeError without one."""
    return devices.find_gpu().index


def set_device(device: Any) -> None:
    """Make a GPU the current one. RuntimeError without it; a negative index changes nothing."""
    if not (isinstance(device, int) and device < 0):
        gpu.current.index = devices.find_gpu(device).index


def get_device_name(device: Any = None) -> str:
    """The GPU's name. RuntimeError without one."""
    return devices.find_gpu(device).name


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The major and minor number of the GPU's architecture. RuntimeError without one."""
    return devices.find_gpu(device).capability


class _CudaDeviceProperties:
    """What there is to know about a GPU; ``total_memory`` in bytes."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.__dict__.update(found)

    def __repr__(self) -> str:
        told = ", ".join([f"{name}={value!r}" for name, value in vars(self).items()])
        return f"_CudaDeviceProperties({told})"


def get_device_properties(device: Any = None) -> Any:
    """The GPU's properties: ``name``, ``total_memory`` (bytes), ``multi_processor_count`` and
    others. RuntimeError without one.
    """
    return _CudaDeviceProperties(devices.find_gpu(device).properties())


def is_initialized() -> bool:
    """Whether a GPU has been looked for, and found."""
    return bool(gpu._found)


def init() -> None:
    """Start CUDA. RuntimeError without a GPU."""
    devices.find_gpu()


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the GPU computes in bfloat16: with hardware for it from architecture 8.0 on; others
    do by way of float32.
    """
    return is_available() and (including_emulation or get_device_capability() >= (8, 0))


def get_arch_list() -> list[str]:
    """The GPU architectures there is code for: that of the GPUs here, as it is made on demand."""
    return sorted({f"sm_{d.capability[0]}{d.capability[1]}" for d in gpu.drivers()})


def is_current_stream_capturing() -> bool:
    """Whether work is being recorded: never, see ``CUDAGraph``."""
    return False


class CUDAGraph:
    """Recorded work: making one raises, as ``torch.compile`` records calls."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _no_graphs()


class graph:
    """A context that records work: making one raises, as ``torch.compile`` records calls."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _no_graphs()


def graph_pool_handle() -> Any:
    """Raises, see ``CUDAGraph``."""
    return _no_graphs()


def make_graphed_callables(*args: Any, **kwargs: Any) -> Any:
    """Raises, see ``CUDAGraph``."""
    return _no_graphs()


def _no_graphs() -> Any:
    devices.find_gpu()
    raise NotSupportedError(
        "torch.cuda.CUDAGraph is not supported: torch.compile(step) records the work of a step."
    )


def current_blas_handle() -> Any:
    """Raises: libraries of CUDA are called by kernels only."""
    devices.find_gpu()
    raise NotSupportedError("torch.cuda.current_blas_handle is not supported; CuPy has handles.")


class device:
    """Context in which another GPU is the current one; a negative index, and None, change nothing.

    Args:
        device: an index, a name such as "cuda:1", or a device.
    """

    def __init__(self, device: Any) -> None:
        kept = device is None or (isinstance(device, int) and device < 0)
        self.idx = -1 if kept or not gpu.drivers() else devices.find_gpu(device).index
        self.prev_idx = -1

    def __enter__(self) -> None:
        self.prev_idx = gpu.current.index
        if self.idx >= 0:
            gpu.current.index = self.idx

    def __exit__(self, *exc: object) -> None:
        gpu.current.index = self.prev_idx


class device_of(device):
    """Context in which the GPU of a tensor is the current one; nothing changes for a tensor of the
    CPU.
    """

    def __init__(self, obj: Any) -> None:
        super().__init__(obj.get_device() if obj.is_cuda else -1)


class _TypeMeta(type):
    """``isinstance(t, torch.cuda.FloatTensor)`` asks for the dtype and a GPU."""

    _legacy_dtype: Any

    def __instancecheck__(cls, other: object) -> bool:
        on_gpu = isinstance(other, Tensor) and other.is_cuda
        return on_gpu and other._array.dtype == cls._legacy_dtype  # type: ignore[attr-defined, no-any-return]

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if not is_available():
            raise TypeError(
                f"type torch.cuda.{cls.__name__} not available: there is no GPU. Use torch.tensor "
                "with a dtype, and a device that is_available()."
            )
        return wrap(construct(cls._legacy_dtype, args)).cuda()


for _dtype, _title in LEGACY.items():
    globals()[f"{_title}Tensor"] = _TypeMeta(
        f"{_title}Tensor",
        (),
        {
            "dtype": dtypes.by_name[_dtype],
            "_legacy_dtype": dtypes.by_name[_dtype].numpy,
            "__module__": "torch.cuda",
        },
    )


def __getattr__(name: str) -> Any:
    """Submodules are imported when first asked for."""
    if name in ("amp", "graphs", "nvtx", "profiler"):
        return importlib.import_module(f"rushlight.cuda.{name}")
    if name == "_initialized":  # read by code that saves the random state of GPUs in use
        return is_initialized()
    if name == "default_generators":
        return random.default_generators()
    raise AttributeError(f"module 'rushlight.cuda' has no attribute {name!r}")


from rushlight.cuda import random  # noqa: E402
