"""Kernels whose code is one for many shapes.

What a template does around its inner functions is long code that runs rarely: loops over images,
panels and points. A ``Driver`` finds the numbers in it, and its functions, in a table that belongs
to the launch, so that steps of other sizes have the same code, which is compiled once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.ir.code import SIGNATURE, Code, Number, Sized
from rushlight.compiler.backends.llvm.ir.text import Module
from rushlight.compiler.backends.llvm.launch import TABLE, Launch


class Driver(Code):
    """A kernel in the making, in a module of its own, for vectors of ``width`` bits. Each number
    has an entry of its own, in the order of their use, so that equal ones are nothing special.
    """

    def __init__(self, width: int, d: np.dtype[Any]) -> None:
        super().__init__(Module(width), "kernel", SIGNATURE, d, linkage="")
        self.numbers: list[int | str] = []
        self.place = super().operand(0)

    def operand(self, number: int) -> str:
        """The address of a kernel's operand; the table is in front of them."""
        return super().operand(number + 1)

    def found(self, what: int | str, kind: str) -> str:
        """What is in the next entry of the table."""
        at = self(f"getelementptr inbounds i64, ptr {self.place}, i64 {len(self.numbers)}")
        self.numbers.append(what)
        return self(f"load {kind}, ptr {at}, !invariant.load !2")

    def number(self, n: int) -> str:
        """A number of which the code knows nothing."""
        return self.found(n, "i64")

    def known(self, n: Number) -> Number:
        return self.number(n) if isinstance(n, int) else n

    def mul(self, a: Number, b: Number) -> Number:
        """A multiple of a position, which may be once."""
        if isinstance(a, str) and b == 1:
            b = self.number(1)
        return super().mul(a, b)

    def call(self, function: str | Sized, *arguments: Number) -> None:
        """Call a function of the module, which must be one for all modules."""
        if isinstance(function, Sized):
            super().call(function, *arguments)
            return
        place = self.found(function, "ptr")
        self.module.signatures[place] = self.module.signatures[function]
        super().call(place, *arguments)

    def launch(self, operands: tuple[tuple[Any, int], ...], units: int, **more: Any) -> Launch:
        """The launch of the kernel, which is closed; ``more``: see ``Launch``."""
        self.end()
        given = (TABLE, 0), *operands
        return Launch(self.module.text(), given, units, numbers=(*self.numbers,), **more)
