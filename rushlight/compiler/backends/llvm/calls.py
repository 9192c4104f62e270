"""Launches called one by one, outside of a program: kernels whose first axis may have any size.

The writer of kernels cuts their first axis into units. A kernel written for an axis of HUGE
elements is therefore one for any number of units.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np
from numpy import array, float64, ndarray

from rushlight.compiler.backends.llvm import direct, jit, runtime, serial, workers
from rushlight.compiler.backends.llvm.direct_code import FAILED
from rushlight.compiler.backends.llvm.kernels import Writer
from rushlight.compiler.backends.llvm.launch import CHUNK, MOST_CHUNKS
from rushlight.compiler.backends.llvm.program import Native
from rushlight.compiler.loops import Kernel
from rushlight.compiler.memory import address

HUGE = 1 << 40
FREELY = Native.FREELY
SIGNATURE = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
Word = ctypes.c_int64


class Units:
    """A compiled kernel over an axis of HUGE elements.

    ``size``: elements of that axis in a unit. ``operands``: the buffers, in the order in which
    their addresses are passed.
    """

    def __init__(self, kernel: Kernel, *block: int) -> None:
        launch = Writer(kernel, jit.vector_bits(), *block).launch()
        (self.code,) = jit.kernels([launch.ir])
        self.size = HUGE // launch.units
        self.cost = launch.cost / launch.units
        self.operands = [buffer for buffer, _ in launch.operands]
        self.block = Word * len(self.operands)
        self.alone = ctypes.PYFUNCTYPE(None, *SIGNATURE)(self.code)
        self.freely = ctypes.CFUNCTYPE(None, *SIGNATURE)(self.code)

    def __call__(self, at: Any, units: int) -> None:
        """Do so many units, on the addresses ``at``, with the workers if they are worth it."""
        cost = self.cost * units
        if cost < FREELY:
            self.alone(at, 0, units, None)
            return
        pool = workers.free()
        if pool is None:
            self.freely(at, 0, units, None)
            return
        with pool.taken:
            try:
                self.share(pool.begin(0), at, units, min(units, MOST_CHUNKS, int(cost / CHUNK)))
            finally:
                pool.end()

    def share(self, pool: int, at: Any, units: int, chunks: int) -> None:
        """Do the units as the only launch of a program, see runtime.py."""
        line = np.zeros(runtime.LAUNCH_WORDS, np.int64)
        line[runtime.FUNCTION], line[runtime.OPERANDS] = self.code, ctypes.addressof(at)
        line[runtime.UNITS], line[runtime.CHUNKS] = units, chunks
        record = np.zeros(runtime.RECORD_WORDS, np.int64)
        record[runtime.LAUNCHES], record[runtime.POOL] = address(line), pool
        runtime.functions()["run freely"](address(record), 0, 1)


class Flat:
    """A kernel of an elementwise op: ``flat(elements, out)`` for arrays whose elements lie one
    after another in the same order, at least ``units.size`` of them (any number where the function
    ``flat`` is there), and numbers.

    The last unit ends with the arrays: it may do elements of the one before again.
    """

    def __init__(self, kernel: Kernel, names: dict[Any, int], sizes: list[int]) -> None:
        """``names``: which element each buffer is. ``sizes``: bytes of one, 0 for numbers."""
        self.units = units = Units(kernel, 1)  # the shortest units there are
        self.order = [names[buffer] for buffer in units.operands]
        steps = [sizes[k] for k in self.order]
        self.numbers = {k: 8 * i for i, k in enumerate([k for k, n in enumerate(sizes) if not n])}
        self.steps = steps
        self.head = (len(steps), units.code, units.size)
        self.block = ctypes.c_int64 * (4 + 2 * len(steps))
        self.most = int(FREELY / units.cost * units.size)  # elements that are done at once
        self.at_once, self.writing = [runtime.functions()[name] for name in ("flat", "write")]
        self.write_block = ctypes.c_int64 * (7 + 3 * len(steps))
        written = len(sizes) - 1  # the element that is the result has no step of its own
        self.write_steps = [-1 if k == written else sizes[k] for k in self.order]
        at = runtime.addresses()
        places = [self.order.index(k) if k in self.order else -1 for k in range(len(sizes))]
        self.flat = direct.elementwise("flat", at["flat"], self.head, sizes, places, 0)
        to = [*sizes[:written], -1]
        size = sizes[written]
        self.write_flat = direct.elementwise("write", at["write"], self.head, to, places, size)

    def __call__(self, elements: tuple[Any, ...], out: ndarray[Any, Any]) -> None:
        n = out.size
        if n <= self.most and self.flat is not None:
            self.flat(*elements, out, n)
            return
        places, _alive = self.places(elements, out)
        if n <= self.most:
            self.at_once(self.block(n, *self.head, *places, *self.steps))
        else:
            self.shared(n, places)

    def on_rows(self, n: int, counts: list[int], apart: list[list[int]]) -> tuple[Any, Any]:
        """``f(*elements, out)`` for rows of n elements, all of an array or its only one, and what
        has to stay alive for that.

        Args:
            counts: how many rows there are nearby, and farther apart.
            apart: bytes between both, in each array.
        """
        near, far = [[steps[k] for k in self.order] for steps in apart]
        places = [0] * len(self.steps)
        head = [n, *self.head, *places, *self.steps, *counts, *near, *far]
        block = array([*head, *places, 0])  # the last is for arrays that the kernel does not need
        which = [
            len(head) + self.order.index(k) if k in self.order else len(block) - 1
            for k in range(len(apart[0]))
        ]

        def slowly(*arrays: Any) -> None:
            block[which] = [address(x) for x in arrays]
            runtime.functions()["rows"](address(block))

        return direct.rows(runtime.addresses()["rows"], address(block), which) or slowly, block

    def places(self, elements: tuple[Any, ...], out: ndarray[Any, Any]) -> tuple[list[int], Any]:
        """The addresses of the operands, and what has to stay alive until the end."""
        everything = (*elements, out)
        if not self.numbers:
            return [address(everything[k]) for k in self.order], None
        numbers = array([everything[k] for k in self.numbers], float64)
        start, steps = address(numbers), self.numbers
        found = [address(everything[k]) if k not in steps else start + steps[k] for k in self.order]
        return found, numbers

    def write(self, elements: tuple[Any, ...], x: ndarray[Any, Any]) -> ndarray[Any, Any]:
        """The same into the first of the elements, which must be contiguous, as all others.

        The last unit is done first, elsewhere: elements must not be done again.
        """
        n, size = x.size, self.units.size
        if n < size:
            self.flat(*elements, x, n)
            return x
        if n <= self.most and self.write_flat is not None:
            aside = np.empty(size, x.dtype) if n % size else x
            self.write_flat(*elements, x, x, aside, n)
            return x
        places, _alive = self.places(elements, x)
        whole, rest = divmod(n, size)
        last = np.empty(size, x.dtype) if rest else x
        if n <= self.most:
            more = x.itemsize, address(x), address(last)
            self.writing(self.write_block(n, *self.head, *more, *places, *self.write_steps))
            return x
        if rest:
            ahead = [
                address(last) if step < 0 else place + (n - size) * step
                for place, step in zip(places, self.write_steps, strict=True)
            ]
            self.units(self.units.block(*ahead), 1)
        self.units(self.units.block(*places), whole)
        if rest:
            x.reshape(-1)[n - rest :] = last[size - rest :]
        return x

    def shared(self, n: int, places: list[int]) -> None:
        """The same with the workers."""
        units = self.units
        units(units.block(*places), n // units.size)
        if n % units.size:
            ahead = n - units.size
            last = [p + ahead * step for p, step in zip(places, self.steps, strict=True)]
            units(units.block(*last), 1)


class Serial:
    """A loop of serial.py on so many arrays: ``briefly(*arrays, *numbers, units)`` keeps the
    interpreter's lock, ``freely`` does not. Both say whether it could do its work.
    """

    def __init__(self, name: str, d: Any, arrays: int) -> None:
        (code,) = jit.kernels([serial.write(name, d, jit.vector_bits())])
        self.code, self.arrays = ctypes.CFUNCTYPE(None, *SIGNATURE)(code), arrays
        self.scratch = serial.SCRATCH if name in serial.SCRATCHED else 0
        self.briefly, self.freely = [self.quick(code, f) or self.slowly for f in (False, True)]

    def quick(self, code: int, freely: bool) -> Any:
        """The loop as a built-in function."""
        return direct.function(code, self.arrays, freely)

    def slowly(self, *given: Any) -> bool:
        """The loop where Python's objects are not CPython's."""
        scratch, numbers = np.empty(self.scratch, np.uint8), np.zeros(FAILED + 1, np.int64)
        numbers[: len(given) - self.arrays - 1] = given[self.arrays : -1]
        at = [address(a) for a in (*given[: self.arrays], numbers)]
        self.code((Word * len(at))(*at), 0, given[-1], address(scratch))
        return not numbers[FAILED]


class Along(Serial):
    """A loop of moves.py: ``briefly(x, index, y, dim, low)``."""

    def __init__(self, name: str, d: Any) -> None:
        self.each = name.endswith("each")
        super().__init__(name, d, 3)

    def quick(self, code: int, freely: bool) -> Any:
        return direct.along(code, self.each, freely)

    def slowly(self, *given: Any) -> bool:
        x, index, y, dim, low = given
        have, want = x.shape, y.shape
        wide = want if self.each else want[dim : dim + 1]
        fit = len(have) == len(want) and index.shape == wide and x.size and y.size
        fit = fit and have[:dim] == want[:dim] and have[dim + 1 :] == want[dim + 1 :]
        if not fit or not all([a.flags.c_contiguous and a.flags.aligned for a in (x, index, y)]):
            return False
        sizes = have[dim], want[dim], math.prod(have[dim + 1 :]), low
        return super().slowly(x, index, y, *sizes, math.prod(have[:dim]))
