"""A GPU whose memory is NumPy's, so that tests of tensors on GPUs run without one."""

import contextlib
import ctypes
import weakref

import numpy as np

from rushlight import gpu
from rushlight.core import device_array


class SimulatedDriver(gpu.Driver):
    """Memory of the host that nothing but this reads or writes.

    Memory begins as noise, so that what is read before it was written shows.
    """

    name = "Simulated GPU"
    capability = (9, 0)

    def __init__(self, index=0, total=1 << 32):
        self.index, self.total = index, total
        self.used = self.highest = 0
        self.copies = []  # the kinds of copies, in order

    def take(self, size):
        if self.used + size > self.total:
            raise gpu.out_of_memory(self, size)
        held = np.full(size, 0xA5, np.uint8)
        self.used += size
        self.highest = max(self.highest, self.used)
        memory = gpu.Memory(self, held.ctypes.data if size else 0, size, held)
        weakref.finalize(held, self._give_back, size)
        return memory

    def _give_back(self, size):
        self.used -= size

    def adopt(self, pointer, size, owner):
        self.used += size
        memory = gpu.Memory(self, pointer, size, bytes_at(pointer, size, owner))
        weakref.finalize(memory.held, self._give_back, size)
        return memory

    def shown(self, owner):
        return Shown(owner)

    def put(self, host, memory, offset):
        self._check(memory, offset, host.size)
        self.copies.append("put")
        memory.held[offset : offset + host.size] = host

    def clear(self, memory, size):
        self._check(memory, 0, size)
        memory.held[:size] = 0

    def get(self, memory, offset, size, into=None):
        self._check(memory, offset, size)
        self.copies.append("get")
        if into is None:
            return memory.held[offset : offset + size].copy()
        into[:] = memory.held[offset : offset + size]
        return into

    def copy(self, source, source_offset, target, target_offset, size):
        self._check(source, source_offset, size)
        self._check(target, target_offset, size)
        self.copies.append("copy")
        begin = source.held[source_offset : source_offset + size]
        target.held[target_offset : target_offset + size] = begin

    def _check(self, memory, offset, size):
        assert memory.driver is self, f"memory of {memory.driver.name} {memory.driver.index}"
        assert offset >= 0 and offset + size <= memory.size, (offset, size, memory.size)

    def synchronize(self):
        pass

    def allocated(self):
        return self.used

    def reserved(self):
        return self.used

    def peak(self):
        return self.highest

    def reset_peak(self):
        self.highest = self.used

    def release(self):
        pass

    def free_and_total(self):
        return self.total - self.used, self.total

    def properties(self):
        return {
            "name": self.name,
            "major": 9,
            "minor": 0,
            "total_memory": self.total,
            "multi_processor_count": 1,
        }

    def event(self, timed):
        return SimulatedEvent()


class Shown:
    """Stands for an array of CuPy's."""

    def __init__(self, owner):
        self.owner = owner

    def __dlpack__(self, stream=None):
        return self.owner.__cuda_array_interface__


class SimulatedEvent:
    """A mark among work that is always done."""

    clock = 0.0

    def record(self):
        SimulatedEvent.clock += 1.0
        self.at = SimulatedEvent.clock

    def synchronize(self):
        pass

    def query(self):
        return True

    def elapsed(self, later):
        return later.at - self.at


@contextlib.contextmanager
def simulated(count=2, **options):
    """The machine has so many simulated GPUs meanwhile, and no kernels for them."""
    drivers = [SimulatedDriver(i, **options) for i in range(count)]
    kernels = vars(device_array.gpu_kernels)
    before, loaded = gpu.replace(drivers), dict(kernels)
    device_array.provide(lambda: None)
    try:
        yield drivers
    finally:
        gpu.replace(before)
        kernels.clear()
        kernels.update(loaded)
        gpu.current.index = 0


def numpy_on(memory, dtype, offset=0):
    """The memory of a simulated GPU as a vector, for kernels that run on the processor."""
    return memory.held[offset:].view(dtype)


def bytes_at(pointer, size, owner=None):
    """The bytes at an address of a simulated GPU, as an array on them, which keeps their owner."""
    raw = (ctypes.c_uint8 * size).from_address(pointer)
    raw.owner = owner
    return np.ctypeslib.as_array(raw)
