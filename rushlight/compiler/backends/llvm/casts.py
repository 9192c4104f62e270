"""Floats converted to another dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.compiler.backends.llvm.ir.code import Number, kernel
from rushlight.compiler.backends.llvm.ir.math import Vectors

F32 = np.dtype(np.float32)
TARGETS = {f"to {d.name}": d for d in (F32, dtypes.float16, dtypes.bfloat16)}


def text(name: str, d: Any, width: int) -> str:
    """``%hi`` floats or halves, operand 0, to operand 1."""
    f, to = kernel(width, F32), TARGETS[name]
    x, out = f.operand(0), f.operand(1)

    def some(i: Number, lanes: int) -> None:
        v = Vectors(f, lanes, f.here)
        y = v.load(f.at(x, i, d.itemsize), d, 1, 0)
        y = y if d == F32 else v.cast(y, d, F32)
        y = y if to == F32 else v.cast(y, F32, to)
        v.store(f.at(out, i, to.itemsize), y, to, 1, 0)

    whole = f(f"and i64 %hi, {-f.lanes}")
    f.span(0, whole, f.lanes, lambda i, _: some(i, f.lanes), empty=True)
    f.span(whole, "%hi", 1, lambda i, _: some(i, 0), empty=True)
    f.end()
    return f.module.text()
