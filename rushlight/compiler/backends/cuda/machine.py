"""What runs launches on a GPU: NVRTC makes machine code of their text, the driver's library starts
it, and cuBLAS multiplies matrices. CuPy finds these libraries and owns memory and streams.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import operator
import os
import struct
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.compiler.backends.cuda.cudnn import Convolve, Cudnn, load
from rushlight.compiler.backends.cuda.launch import NAME, Launch
from rushlight.compiler.backends.cuda.prelude import PRELUDE
from rushlight.compiler.disk import cache_folder, load_file, save
from rushlight.compiler.graph import Node
from rushlight.errors import NotSupportedError
from rushlight.gpu import Bytes, Driver, Memory, cudnn as settings, matmul

OPTIONS = ("--std=c++17", "-default-device", "-diag-suppress=177")


@dataclass
class Matrix:
    """How a batch of matrices lies in a GPU's memory; strides in elements."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: Any


Multiply = Callable[[int, int, int], None]  # addresses: two factors, and the product


class Machine:
    """What programs need of a GPU.

    Threads take turns (``lock``): launches have one place for their operands, and programs one for
    their temporary values. The alarm is an int in the GPU's memory that kernels set where an index
    is out of range.
    """

    def __init__(self, driver: Driver) -> None:
        self.driver, self.lock = driver, threading.RLock()
        self.mark: Memory | None = None
        self.watched = False  # whether a kernel may have set it
        self.writers: dict[int, Any] = {}  # by how many words they take along
        driver.watch = self.look

    def alarm(self) -> int:
        """The address of the mark."""
        if self.mark is None:
            self.mark = self.driver.take(4)
            self.driver.put(np.zeros(4, np.uint8), self.mark, 0)
        return self.mark.pointer

    def look(self) -> None:
        """Raise the error that a kernel left a mark for. Called when the GPU is waited for."""
        if not self.watched or self.mark is None:
            return
        self.watched = False
        if self.driver.get(self.mark, 0, 4).any():
            self.driver.put(np.zeros(4, np.uint8), self.mark, 0)
            raise IndexError(
                f"an index was out of range, or an integer divided by 0, in work that "
                f"cuda:{self.driver.index} was given before this, and its results are not to be "
                "used. Run the step on the CPU, which says what and where."
            )

    def compile(self, texts: Iterable[str]) -> None:
        """Compile the texts of launches that will be prepared, all at once."""

    def prepare(self, launch: Launch, where: Any = None, numbers: Any = ()) -> Any:
        """``f(at)`` that starts a launch. Work is done in the order in which it was started.

        Args:
            where: for each operand its place in ``at``, a list of addresses and of float64 numbers,
                and what is added to it; None: ``at`` has the operands in order.
            numbers: the places of numbers.
        """
        raise NotImplementedError

    def write(self, raw: Bytes, memory: Memory, offset: int) -> None:
        """Write bytes of the host to memory. A few go with a launch, for which nobody waits."""
        to = memory.pointer + offset
        count = next((n for n in WORDS if raw.size <= 8 * n), 0)
        if not count or (to | raw.size) % 8:
            self.driver.put(raw, memory, offset)
            return
        if count not in self.writers:
            self.writers[count] = self.prepare(writer(count))
        words = [*raw.view(np.uint64).tolist(), *[0] * (count - raw.size // 8)]
        self.writers[count]([to, raw.size // 8, *words])

    def product(self, a: Matrix, b: Matrix, out: Matrix) -> Multiply | None:
        """What makes ``out = a @ b`` by a library; None where none does."""
        return None

    def convolution(self, node: Node) -> tuple[int, Convolve] | None:
        """The bytes that a library's convolution works in, and what starts it; None where no
        library does it.
        """
        return None

    def capture(self, work: Any) -> Any:
        """``f()`` that does at once what ``work()`` starts; None where that cannot be."""
        return None


@functools.cache
def machine_of(driver: Driver) -> Machine:
    """The machine of a GPU."""
    made: Machine = getattr(driver, "machine", None) or CudaMachine(driver)
    return made


class CudaMachine(Machine):
    """A GPU of CUDA."""

    def __init__(self, driver: Driver) -> None:
        import cupy

        super().__init__(driver)
        self.cupy = cupy
        self.library = ctypes.CDLL("libcuda.so.1")
        self.queue = ctypes.c_void_p(0)  # the stream that work goes to
        self.functions: dict[str, Any] = {}
        self.cublas: Any = None
        self.cudnn: Any = None
        self.blas_stream: Any = -1
        with self.here():
            cupy.cuda.runtime.free(0)  # which makes the device's context

    def here(self) -> Any:
        """A context in which this GPU is the current one."""
        return self.cupy.cuda.Device(self.driver.index)

    def check(self, status: int, what: str) -> None:
        """Raise what the driver's library answers."""
        if status:
            name = ctypes.c_char_p()
            self.library.cuGetErrorString(status, ctypes.byref(name))
            raise RuntimeError(f"CUDA error: {what}: {(name.value or b'unknown').decode()}")

    # Kernels

    def compile(self, texts: Iterable[str]) -> None:
        missing = [x for x in dict.fromkeys(texts) if x not in self.functions]
        if not missing:
            return
        arch = self.driver.capability
        with ThreadPoolExecutor(min(len(missing), os.cpu_count() or 1)) as threads:
            images = [*threads.map(lambda text: machine_code(text, *arch), missing)]
        for text, image in zip(missing, images, strict=True):
            self.functions[text] = self.loaded(image)

    def loaded(self, image: bytes) -> ctypes.c_void_p:
        """The kernel in machine code."""
        module, found = ctypes.c_void_p(), ctypes.c_void_p()
        with self.here():
            status = self.library.cuModuleLoadData(ctypes.byref(module), image)
            self.check(status, "load a kernel")
        status = self.library.cuModuleGetFunction(ctypes.byref(found), module, NAME.encode())
        self.check(status, "find a kernel")
        return found

    def function(self, text: str) -> ctypes.c_void_p:
        """The kernel of a text."""
        if text not in self.functions:
            self.functions[text] = self.loaded(machine_code(text, *self.driver.capability))
        found: ctypes.c_void_p = self.functions[text]
        return found

    def prepare(self, launch: Launch, where: Any = None, numbers: Any = ()) -> Any:
        function, where = self.function(launch.text), places(launch, where)
        count, pick = len(where), picker(where)
        cells = (ctypes.c_uint64 * (count + len(launch.sizes)))()
        cells[count:] = [*launch.sizes]
        put = struct.Struct(
            "=" + "".join(["d" if k in numbers else "Q" for k, _ in where])
        ).pack_into
        size = ctypes.sizeof(ctypes.c_uint64)
        start = ctypes.addressof(cells)
        pointers = (ctypes.c_void_p * len(cells))(*[start + size * k for k in range(len(cells))])
        if launch.shared > 48 * 1024:
            attribute = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            self.check(
                self.library.cuFuncSetAttribute(function, attribute, launch.shared), "shared memory"
            )
        call = functools.partial(
            self.library.cuLaunchKernel, function, *launch.grid, *launch.block, launch.shared,
            self.queue, pointers, None,
        )  # fmt: skip

        def start_it(at: Any) -> None:
            put(cells, 0, *pick(at))
            status = call()
            if status:
                self.check(status, "start a kernel")

        return start_it

    def capture(self, work: Any) -> Any:
        cuda = self.cupy.cuda
        with self.here():
            stream = cuda.Stream(non_blocking=True)
            before, self.queue.value = self.queue.value, stream.ptr
            try:
                with stream:
                    stream.begin_capture()
                    try:
                        work()
                    finally:
                        graph = stream.end_capture()
            finally:
                self.queue.value = before
            graph.upload(cuda.Stream.null)
        return lambda: graph.launch(cuda.Stream.null)

    # Products

    def product(self, a: Matrix, b: Matrix, out: Matrix) -> Multiply | None:
        batch = one_batch(a, b, out)
        if out.dtype not in KINDS or not a.dtype == b.dtype == out.dtype or batch is None:
            return None
        kind, usual, (one, zero) = KINDS[out.dtype]
        (m, k), n = a.shape[-2:], b.shape[-1]
        count, (far_a, far_b, far_out) = batch
        (turn_b, wide_b), (turn_a, wide_a) = by_columns(b), by_columns(a)
        if not (far_b or turn_a) and far_a == m * wide_a and far_out == m * n:  # one tall product
            m, count = m * count, 1
        p, q, target = [ctypes.c_void_p() for _ in range(3)]
        far = [ctypes.c_longlong(s) for s in (far_b, far_a, far_out)]
        multiply = functools.partial(  # cuBLAS goes along columns: b comes first
            self.blas().cublasGemmStridedBatchedEx, self.handle, turn_b, turn_a, n, m, k, one,
            q, kind, wide_b, far[0], p, kind, wide_a, far[1], zero, target, kind, n, far[2], count,
        )  # fmt: skip
        single = out.dtype == np.float32

        def start(at_a: int, at_b: int, at_out: int) -> None:
            if self.blas_stream != self.queue.value:
                self.blas()
            p.value, q.value, target.value = at_a, at_b, at_out
            status = multiply(FAST_TF32 if single and matmul.allow_tf32 else usual, -1)
            if status:
                raise RuntimeError(f"CUDA error: cuBLAS answers {status} to {a}, {b}")

        return start

    def convolution(self, node: Node) -> tuple[int, Convolve] | None:
        if self.cudnn is None:
            with self.here():
                library = load()
                self.cudnn = (
                    Cudnn(library, self.queue, self.driver) if library is not None else False
                )
        if not (self.cudnn and settings.enabled):
            return None
        made: tuple[int, Convolve] | None = self.cudnn.convolution(node)
        return made

    def blas(self) -> Any:
        """The library of cuBLAS, whose work goes to where ours does."""
        if self.cublas is None:
            with self.here():
                from cupy_backends.cuda.libs import cublas  # which finds the library

                self.handle = ctypes.c_void_p(self.cupy.cuda.device.get_cublas_handle())
            major = cublas.getVersion(self.handle.value) // 10000
            self.cublas = ctypes.CDLL(f"libcublas.so.{major}")
        if self.blas_stream != self.queue.value:
            self.cublas.cublasSetStream_v2(self.handle, self.queue)
            self.blas_stream = self.queue.value
        return self.cublas


WORDS = 8, 64, 500  # of 8 bytes, that a launch takes along


def writer(count: int) -> Launch:
    """Writes to an address so many of the ``count`` words that are given with it."""
    names = ", ".join([f"u64 w{k}" for k in range(count)])
    lines = "".join([f"  if (size > {k}) to[{k}] = w{k};\n" for k in range(count)])
    text = f'extern "C" __global__ void {NAME}(u64* to, u64 size, {names}) {{\n{lines}}}\n'
    return Launch(text, tuple([(k, 0) for k in range(2 + count)]))


def reference(number: Any) -> Any:
    """A number in memory."""
    return ctypes.pointer(number)


# factors of a product, and of what was there
ONES_32 = reference(ctypes.c_float(1)), reference(ctypes.c_float(0))
ONES_64 = reference(ctypes.c_double(1)), reference(ctypes.c_double(0))
# of a dtype: CUDA's number for it, cuBLAS's for how to compute, and the factors
KINDS: dict[Any, tuple[int, int, Any]] = {
    dtypes.float32: (0, 68, ONES_32),
    dtypes.float64: (1, 70, ONES_64),
    dtypes.float16: (2, 68, ONES_32),
    dtypes.bfloat16: (14, 68, ONES_32),
}
FAST_TF32 = 77


def places(launch: Launch, where: Any) -> Any:
    """``where`` of ``Machine.prepare``."""
    return [(k, 0) for k in range(len(launch.operands))] if where is None else where


def picker(where: Any) -> Callable[[Any], Any]:
    """``f(at)`` that gives the operands at these places."""
    slots = [k for k, _ in where]
    if any([offset for _, offset in where]) or len(slots) < 2:
        return lambda at: [at[k] + offset if offset else at[k] for k, offset in where]
    return operator.itemgetter(*slots)


def by_columns(x: Matrix) -> tuple[int, int]:
    """Whether cuBLAS, which takes rows for columns, has to turn a matrix, and how far its rows, or
    columns, are apart.
    """
    (rows, columns), (s, t) = x.shape[-2:], x.strides[-2:]
    if (t == 1 or columns == 1) and (s >= columns or rows == 1):
        return 0, max(s, columns)
    return 1, max(t, rows)


def one_batch(*matrices: Matrix) -> Any:
    """How many products there are, and how far apart each operand's are; None where they are not
    evenly spaced.
    """
    out = matrices[-1]
    shape = out.shape[:-2]
    count, steps = 1, []
    for n in shape:
        count *= n
    for x in matrices:
        lead = x.shape[:-2]
        strides = [0] * (len(shape) - len(lead)) + [
            0 if have == 1 and n > 1 else s
            for have, n, s in zip(lead, shape[len(shape) - len(lead) :], x.strides, strict=False)
        ]
        step, expected = 0, None
        for n, s in zip(reversed(shape), reversed(strides), strict=True):
            if n == 1:
                continue
            if expected is None:
                step = s
            elif s != expected:
                return None
            expected = s * n
        steps.append(step)
    return count, steps


# Machine code


def machine_code(text: str, major: int, minor: int) -> bytes:
    """What NVRTC makes of a text, for a GPU of some architecture; kept on disk."""
    from cupy_backends.cuda.libs import nvrtc

    source = PRELUDE + text
    version = ".".join(map(str, nvrtc.getVersion()))
    key = hashlib.sha256(f"{version} {major}{minor} {OPTIONS} {source}".encode()).hexdigest()
    folder = cache_folder()
    kept = None if folder is None else load_file(folder / key)
    if kept is not None:
        return kept
    program = nvrtc.createProgram(source, f"{NAME}.cu", (), ())
    try:
        try:
            nvrtc.compileProgram(program, (f"-arch=sm_{major}{minor}", *OPTIONS))
        except nvrtc.NVRTCError as error:
            log = nvrtc.getProgramLog(program)
            raise NotSupportedError(f"NVRTC refuses a kernel:\n{log}\n{text}") from error
        image: bytes = nvrtc.getCUBIN(program)
    finally:
        nvrtc.destroyProgram(program)
    if folder is not None:
        save(folder / key, image)
    return image
