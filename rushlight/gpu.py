"""GPUs: their memory, and copies to, from and within it.

``drivers()`` lists the GPUs that can be used, each as a Driver. CuPy speaks to them; it is loaded
when a program first asks for a GPU, and where it or a GPU is missing, there are no drivers. Tests
put simulated ones in their place (``replace``).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from rushlight.errors import OutOfMemoryError

# how libraries multiply matrices: those of torch.backends.cuda.matmul
matmul = SimpleNamespace(
    allow_tf32=False,
    allow_fp16_reduced_precision_reduction=True,
    allow_bf16_reduced_precision_reduction=True,
    allow_fp16_accumulation=False,
    fp32_precision="none",
)
# how convolutions are computed: torch.backends.cudnn
cudnn = SimpleNamespace(
    enabled=True, benchmark=False, benchmark_limit=None, deterministic=False, allow_tf32=True
)
Bytes = np.ndarray[Any, Any]  # one dim, dtype uint8


class Memory:
    """Bytes on a GPU, freed when nothing refers to them.

    Fields: driver; pointer, the address on the device; size, in bytes; held, the object that owns
    them; room, the bytes that this has to be used again, 0 where that cannot be.
    """

    __slots__ = ("driver", "pointer", "size", "held", "room")

    def __init__(self, driver: Driver, pointer: int, size: int, held: Any, room: int = 0) -> None:
        self.driver, self.pointer, self.size, self.held = driver, pointer, size, held
        self.room = room

    def __del__(self) -> None:
        self.driver.freed(self)


class Driver:
    """One GPU. Work is done in the order in which it was asked for; offsets and sizes are in
    bytes.
    """

    index: int
    name: str
    capability: tuple[int, int] = (0, 0)  # of its architecture: (9, 0) is an H100
    watch: Callable[[], None] | None = None  # raises what was found out behind Python's back

    def waited(self) -> None:
        """Say that all work is done: errors that it met are raised now."""
        if self.watch is not None:
            self.watch()

    def take(self, size: int) -> Memory:
        """Memory that nobody else has, not initialised. OutOfMemoryError where there is none."""
        raise NotImplementedError

    def freed(self, memory: Memory) -> None:
        """Note that nothing refers to these bytes any more."""

    def put(self, host: Bytes, memory: Memory, offset: int) -> None:
        """Copy bytes to the device. The host's may be changed afterwards."""
        raise NotImplementedError

    def get(self, memory: Memory, offset: int, size: int, into: Bytes | None = None) -> Bytes:
        """Bytes of the device, in new memory of the host or ``into`` it, once all work before is
        done.
        """
        raise NotImplementedError

    def clear(self, memory: Memory, size: int) -> None:
        """Set the first bytes to 0, in the order of work."""
        raise NotImplementedError

    def copy(
        self, source: Memory, source_offset: int, target: Memory, target_offset: int, size: int
    ) -> None:
        """Copy bytes on the device. The two places must not overlap."""
        raise NotImplementedError

    def adopt(self, pointer: int, size: int, owner: Any) -> Memory:
        """Memory on this GPU that another library has, which ``owner`` keeps."""
        raise NotImplementedError

    def shown(self, owner: Any) -> Any:
        """What has ``__cuda_array_interface__`` as an array of CuPy's, which speaks DLPack."""
        raise NotImplementedError

    def synchronize(self) -> None:
        """Wait until all work is done."""
        raise NotImplementedError

    def allocated(self) -> int:
        """Bytes in use."""
        raise NotImplementedError

    def reserved(self) -> int:
        """Bytes held, also those that wait to be used again."""
        raise NotImplementedError

    def peak(self) -> int:
        """The most bytes that were in use since ``reset_peak``."""
        raise NotImplementedError

    def reset_peak(self) -> None:
        """Begin to look for the peak anew."""
        raise NotImplementedError

    def release(self) -> None:
        """Give back the bytes that wait to be used again."""
        raise NotImplementedError

    def free_and_total(self) -> tuple[int, int]:
        """Bytes that the device has free, and in all."""
        raise NotImplementedError

    def properties(self) -> dict[str, Any]:
        """What ``get_device_properties`` tells, by PyTorch's names."""
        raise NotImplementedError

    def profile(self, on: bool) -> None:
        """Let NVIDIA's profilers begin or stop."""
        raise NotImplementedError

    def event(self, timed: bool) -> Any:
        """A mark to be put into the order of work: it has ``record()``, ``synchronize()``,
        ``query()`` and ``elapsed(later)`` in milliseconds.
        """
        raise NotImplementedError


GRAIN = 512  # bytes: memory is taken in multiples of it


class CupyDriver(Driver):
    """A GPU of CUDA, by way of CuPy: its pool of memory, and its current stream.

    Freed memory waits for who asks for as much, since a step asks for what the last one freed.
    Work is done in order, so nobody has to wait until the GPU is done with it. It goes back to the
    pool, which makes other sizes of it, where that much waits, or the pool has none.
    """

    def __init__(self, cupy: Any, index: int) -> None:
        self._cupy, self.index = cupy, index
        found = cupy.cuda.runtime.getDeviceProperties(index)
        name = found["name"]
        self.name = name.decode() if isinstance(name, bytes) else str(name)
        self.capability = (found["major"], found["minor"])
        self._found = found
        self._used = self._highest = 0
        self._only = cupy.cuda.runtime.getDeviceCount() == 1
        self._pool = cupy.get_default_memory_pool()
        self._alloc = self._pool.malloc if self._only else cupy.cuda.alloc
        self._free: dict[int, list[Any]] = {}  # what waits, by size
        self._waiting, self._most = 0, int(found["totalGlobalMem"]) // 8  # bytes

    def _here(self) -> Any:
        """A context in which this GPU is CuPy's current one."""
        return self._cupy.cuda.Device(self.index)

    def take(self, size: int) -> Memory:
        room = -(-size // GRAIN) * GRAIN
        free, held = self._free.get(room), None
        if free:
            with contextlib.suppress(IndexError):  # another thread was quicker
                held = free.pop()
                self._waiting -= room
        if held is None:
            held = self._new(room)
        self._used += size
        if self._used > self._highest:
            self._highest = self._used
        return Memory(self, held.ptr, size, held, room)

    def _new(self, room: int) -> Any:
        """Memory of the pool."""
        try:
            return self._pooled(room)
        except self._cupy.cuda.memory.OutOfMemoryError:
            self._forget()
        try:
            return self._pooled(room)
        except self._cupy.cuda.memory.OutOfMemoryError as error:
            raise out_of_memory(self, room) from error

    def _pooled(self, room: int) -> Any:
        if self._only:
            return self._alloc(room)
        with self._here():
            return self._alloc(room)

    def freed(self, memory: Memory) -> None:
        self._used -= memory.size
        room = memory.room
        if room:
            self._waiting += room
            if self._waiting > self._most:
                self._forget()
            else:
                self._free.setdefault(room, []).append(memory.held)

    def _forget(self) -> None:
        """Give what waits back to the pool."""
        self._free.clear()
        self._waiting = 0

    def put(self, host: Bytes, memory: Memory, offset: int) -> None:
        if host.size:
            with self._here():
                (memory.held + offset).copy_from_host(host.ctypes.data, host.size)

    def get(self, memory: Memory, offset: int, size: int, into: Bytes | None = None) -> Bytes:
        host = np.empty(size, np.uint8) if into is None else into
        if size:
            with self._here():
                self._cupy.cuda.get_current_stream().synchronize()
                (memory.held + offset).copy_to_host(host.ctypes.data, size)
        return host

    def clear(self, memory: Memory, size: int) -> None:
        if size:
            with self._here():
                memory.held.memset_async(0, size, self._cupy.cuda.get_current_stream())

    def copy(
        self, source: Memory, source_offset: int, target: Memory, target_offset: int, size: int
    ) -> None:
        if size:
            with self._here():
                stream = self._cupy.cuda.get_current_stream()
                begin = source.held + source_offset
                (target.held + target_offset).copy_from_device_async(begin, size, stream)

    def adopt(self, pointer: int, size: int, owner: Any) -> Memory:
        cuda = self._cupy.cuda
        held = cuda.MemoryPointer(cuda.UnownedMemory(pointer, size, owner, self.index), 0)
        self._used += size
        return Memory(self, pointer, size, held)

    def shown(self, owner: Any) -> Any:
        with self._here():
            return self._cupy.asarray(owner)

    def synchronize(self) -> None:
        with self._here():
            self._cupy.cuda.runtime.deviceSynchronize()

    def allocated(self) -> int:
        return self._used

    def reserved(self) -> int:
        with self._here():
            return int(self._pool.total_bytes())

    def peak(self) -> int:
        return self._highest

    def reset_peak(self) -> None:
        self._highest = self._used

    def release(self) -> None:
        self._forget()
        with self._here():
            self._pool.free_all_blocks()

    def free_and_total(self) -> tuple[int, int]:
        with self._here():
            free, total = self._cupy.cuda.runtime.memGetInfo()
        return int(free), int(total)

    def properties(self) -> dict[str, Any]:
        found = self._found
        return {
            "name": self.name,
            "major": found["major"],
            "minor": found["minor"],
            "total_memory": found["totalGlobalMem"],
            "multi_processor_count": found["multiProcessorCount"],
            "max_threads_per_multi_processor": found["maxThreadsPerMultiProcessor"],
            "shared_memory_per_block": found["sharedMemPerBlock"],
            "regs_per_multiprocessor": found["regsPerMultiprocessor"],
            "warp_size": found["warpSize"],
            "L2_cache_size": found["l2CacheSize"],
        }

    def profile(self, on: bool) -> None:
        runtime = self._cupy.cuda.runtime
        (runtime.profilerStart if on else runtime.profilerStop)()

    def event(self, timed: bool) -> Any:
        with self._here():
            return CupyEvent(self._cupy, timed)


class CupyEvent:
    """A mark among the work of CuPy's current stream."""

    def __init__(self, cupy: Any, timed: bool) -> None:
        self._cupy = cupy
        self._event = cupy.cuda.Event(disable_timing=not timed)

    def record(self) -> None:
        """Put the mark behind the work asked for so far."""
        self._event.record()

    def synchronize(self) -> None:
        """Wait until the work before the mark is done."""
        self._event.synchronize()

    def query(self) -> bool:
        """Whether the work before the mark is done."""
        return bool(self._event.done)

    def elapsed(self, later: CupyEvent) -> float:
        """Milliseconds from this mark to a later one."""
        return float(self._cupy.cuda.get_elapsed_time(self._event, later._event))


def out_of_memory(driver: Driver, size: int) -> OutOfMemoryError:
    """What to raise where ``size`` bytes cannot be had."""
    free, total = driver.free_and_total()
    return OutOfMemoryError(
        f"CUDA out of memory. Tried to allocate {readable(size)} on GPU {driver.index}, which has "
        f"{readable(total)} in all and {readable(free)} free; tensors here hold "
        f"{readable(driver.allocated())}. Use smaller batches, or delete what is no longer needed."
    )


def readable(size: int) -> str:
    """Bytes in the unit that a person would choose."""
    value, unit = float(size), "bytes"
    for larger in ("KiB", "MiB", "GiB"):
        if value >= 1024:
            value, unit = value / 1024, larger
    return f"{size} bytes" if unit == "bytes" else f"{value:.2f} {unit}"


class Current(threading.local):
    """The index of the GPU that is meant where none is named."""

    index = 0


current = Current()
_found: list[Driver] | None = None
_reason = "there is no GPU"
_lock = threading.Lock()


def drivers() -> Sequence[Driver]:
    """The GPUs that can be used, by index; none without CuPy or without a GPU."""
    global _found
    if _found is None:
        with _lock:
            if _found is None:
                _found = _look()
    return _found


def met() -> Sequence[Driver]:
    """The GPUs that can be used, if that was asked before."""
    return _found or []


def _look() -> list[Driver]:
    global _reason
    try:
        import cupy
    except ImportError:
        _reason = "CuPy, which rushlight reaches GPUs by, is not installed"
        return []
    try:
        return [CupyDriver(cupy, i) for i in range(cupy.cuda.runtime.getDeviceCount())]
    except cupy.cuda.runtime.CUDARuntimeError as error:
        _reason = f"CuPy says: {error}"
        return []


def missing() -> str:
    """Why there are no drivers."""
    return _reason


def driver(index: int | None = None) -> Driver:
    """The GPU of that index, which is there; None means the current one."""
    return drivers()[current.index if index is None else index]


def replace(others: list[Driver] | None) -> list[Driver] | None:
    """Let other drivers be those of this machine (None: look again when asked); returns what was
    there.
    """
    global _found
    before, _found = _found, others
    return before
