"""A simulated GPU whose kernels are the CUDA C that a real one would run, run on the processor."""

import numpy as np
from numpy.lib.stride_tricks import as_strided

from rushlight.compiler.backends.cuda.machine import Machine, one_batch, picker, places
from tests.gpu.simulated import SimulatedDriver

from .cuda_emulator import addressed

__name__ = "rushlight.emulated"  # captures look into what users wrote, of which this is no part


class EmulatedMachine(Machine):
    """Starts launches by the emulator; products that a library knows are NumPy's."""

    recording = None  # what is started meanwhile

    def prepare(self, launch, where=None, numbers=()):
        pick = picker(places(launch, where))

        def begin(at):
            given = list(pick(at))
            self.start(lambda: addressed(launch, given))

        return begin

    def start(self, work):
        if self.recording is None:
            work()
        else:
            self.recording.append(work)

    def capture(self, work):
        self.recording = started = []
        try:
            work()
        finally:
            self.recording = None
        return lambda: [again() for again in started]

    def product(self, a, b, out):
        if out.dtype.kind != "f" or one_batch(a, b, out) is None:
            return None
        return lambda p, q, target: self.start(lambda: multiplied((a, p), (b, q), (out, target)))


def multiplied(a, b, out):
    seen(*out)[...] = seen(*a) @ seen(*b)


def seen(matrix, address):
    """A matrix in simulated memory, as an array."""
    reach = sum([(n - 1) * s for n, s in zip(matrix.shape, matrix.strides, strict=True)]) + 1
    size = matrix.dtype.itemsize
    raw = (np.ctypeslib.ctypes.c_uint8 * (reach * size)).from_address(address)
    flat = np.frombuffer(raw, matrix.dtype)
    return as_strided(flat, matrix.shape, [s * size for s in matrix.strides])


class EmulatedDriver(SimulatedDriver):
    """A simulated GPU with kernels."""

    name = "Emulated GPU"

    def __init__(self, index=0, total=1 << 32):
        super().__init__(index, total)
        self.machine = EmulatedMachine(self)
