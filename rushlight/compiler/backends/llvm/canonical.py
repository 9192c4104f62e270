"""Equal kernels on different buffers are written once: a network's layers mostly repeat."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm import squares
from rushlight.compiler.backends.llvm.kernels import Writer
from rushlight.compiler.backends.llvm.launch import Launch
from rushlight.compiler.loops import Affine, Expr, Kernel

MOST = 4096  # kernels remembered
_written: dict[Any, Launch] = {}


def launch_of(kernel: Kernel, width: int) -> Launch:
    """The kernel's launch for vectors of ``width`` bits, written if no equal one was before."""
    form = Form(kernel)
    key = form.key, width
    found = _written.get(key)
    if found is None:
        if len(_written) >= MOST:
            _written.clear()
        copy = squares.copy_of(kernel)
        launch = squares.launch(copy, width) if copy else Writer(kernel, width).launch()
        places = [(form.numbers[b], offset - form.starts[b]) for b, offset in launch.operands]
        found = _written[key] = launch.with_operands(places)
    own = list(form.numbers)
    return found.with_operands([(own[k], form.starts[own[k]] + n) for k, n in found.operands])


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
        self.key = loops, tuple(self.lines), tuple(stores)

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
