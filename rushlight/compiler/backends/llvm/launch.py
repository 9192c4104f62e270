"""What every native step becomes: functions of addresses, for parts of their work.

    void @kernel(ptr %at, i64 %lo, i64 %hi, ptr %scratch)

``at`` holds the addresses of the operands. The work falls into ``units``, by its shapes alone, and
a call does those from ``lo`` to ``hi - 1``. Different units write to different memory and may run
on different threads, so that results do not depend on the number of threads. ``scratch`` is the
calling thread's own memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

SHARED = "shared"  # the operand that all launches of a step share as scratch memory
TABLE = "table"  # the operand that holds the numbers of a launch
PATIENT = 7_000.0  # nanoseconds: less work is not worth a second thread
CHUNK = 3_500.0  # nanoseconds of a chunk, at least
MOST_CHUNKS = 64


@dataclass(frozen=True)
class Launch:
    """A kernel and what it works on.

    ``operands``: (the number of a root value, a template's operand, SHARED or TABLE; offset in
    bytes). ``scratch``, ``shared``: bytes that each thread, and all together, need. ``cost``:
    nanoseconds of all units on one thread, as far as one can guess. ``numbers``: what is in the
    table: int64, and names of functions that the kernel's module has in common with others, for
    their addresses.
    """

    ir: str
    operands: tuple[tuple[Any, int], ...]
    units: int = 1
    scratch: int = 0
    shared: int = 0
    cost: float = 0.0
    numbers: tuple[int | str, ...] = ()

    def with_operands(self, operands: Sequence[tuple[Any, int]]) -> Launch:
        """The same on other memory."""
        return replace(self, operands=tuple(operands))

    def chunks(self) -> int:
        """In how many parts threads share the work."""
        if self.units < 2 or self.cost < PATIENT:
            return 1
        return min(self.units, MOST_CHUNKS, int(self.cost / CHUNK))
