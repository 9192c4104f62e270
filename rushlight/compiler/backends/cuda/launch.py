"""What every step on a GPU becomes: kernels over a grid of blocks of threads.

    extern "C" __global__ void kernel(T0* a0, T1* a1, ...)

The pointers are the operands, in order; after them come ``sizes``, which are i64. All other sizes
are constants of the text. Equal calls give equal
bits: no result depends on which block runs first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

SHARED = "shared"  # the operand that all launches of a step share as scratch memory
NAME = "kernel"  # of every kernel: texts are compiled one by one


@dataclass(frozen=True)
class Launch:
    """A kernel and what it works on.

    ``text``: its CUDA C, to follow that of prelude.py. ``operands``: (the number of a root value, a
    template's operand, or SHARED; offset in bytes). ``grid``, ``block``: how many blocks, and
    threads of each. ``shared``: bytes of a block's dynamic shared memory. ``scratch``: bytes that
    SHARED has to have. ``sizes``: numbers that the kernel is given besides.
    """

    text: str
    operands: tuple[tuple[Any, int], ...]
    grid: tuple[int, int, int] = (1, 1, 1)
    block: tuple[int, int, int] = (1, 1, 1)
    shared: int = 0
    scratch: int = 0
    sizes: tuple[int, ...] = ()

    def with_operands(self, operands: Sequence[tuple[Any, int]]) -> Launch:
        """The same on other memory."""
        return replace(self, operands=tuple(operands))
