"""What kernels on different buffers have in common."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.compiler.loops import Affine, Expr, Kernel


class Form:
    """A kernel without the names of its buffers and where in them it begins.

    ``numbers`` counts buffers in the order of their first appearance; ``starts`` are the bytes at
    which that appearance begins.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.numbers: dict[Any, int] = {}
        self.starts: dict[Any, int] = {}
        self.seen: dict[int, int] = {}
        self.lines: list[Any] = []
        stores = [
            (
                self.expression(s.expr),
                self.position(s.buffer.number, s.where, s.expr.dtype),
            )
            for s in kernel.stores
        ]
        loops = tuple(kernel.sizes.items()), tuple(kernel.rows), tuple(kernel.cols)
        self.key = loops, kernel.exact, tuple(self.lines), tuple(stores)

    def expression(self, e: Expr) -> int:
        """Write an expression down, once; its number."""
        if e.number not in self.seen:
            args = tuple([self.expression(a) for a in e.args])
            data = e.data
            if e.op in ("load", "gather"):
                buffer, where = e.data
                data = self.position(buffer, where, e.dtype)
            elif e.op == "number":
                data = self.position(e.data, Affine(), np.dtype(np.float64))
            elif e.op == "const":
                data = repr(data)
            self.seen[e.number] = len(self.lines)
            self.lines.append((e.op, e.dtype.str, args, data))
        return self.seen[e.number]

    def position(self, buffer: Any, where: Affine, d: np.dtype[Any]) -> tuple[int, Affine]:
        """A buffer's number, and a position counted from its first appearance."""
        size = d.itemsize
        number = self.numbers.setdefault(buffer, len(self.numbers))
        start = self.starts.setdefault(buffer, where.const * size)
        return number, Affine(where.const - start // size, where.terms)
