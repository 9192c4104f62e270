"""Matrix products of windows: what the kernels of gemm.py are asked for."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm import gemm
from rushlight.compiler.backends.llvm.code import kernel
from rushlight.compiler.backends.llvm.launch import Launch
from rushlight.compiler.graph import Node, Value
from rushlight.compiler.windows import Windows

CYCLE = 0.3  # nanoseconds


class Operand:
    """A window of matrices: whether they lie by rows, the distance of rows (or columns), and the
    strides of the batch.
    """

    def __init__(self, windows: Windows, v: Value, batch: tuple[int, ...]) -> None:
        self.root, strides, self.offset = windows.layout(v)
        (m, n), (s, t) = v.shape[-2:], strides[-2:]
        self.by_rows = (t == 1 or n == 1) and (s >= n or m == 1)
        self.distance = max(s if m > 1 else 0, n) if self.by_rows else max(t if n > 1 else 0, m)
        extra = len(batch) - (len(v.shape) - 2)
        self.batch = [0] * extra + [
            0 if k == 1 else step for k, step in zip(v.shape[:-2], strides[:-2], strict=True)
        ]


def launches(windows: Windows, node: Node, width: int) -> list[Launch]:
    """The launches that compute the product of a node's inputs."""
    (a, b), out = node.inputs, node.outputs[0]
    x, y = [Operand(windows, v, out.shape[:-2]) for v in (a, b)]
    size = out.dtype.itemsize
    target, _, start = windows.layout(out)
    operands: tuple[tuple[Any, int], ...] = (
        (x.root.number, x.offset * size),
        (y.root.number, y.offset * size),
        (target.number, start * size),
    )
    (m, k), n = a.shape[-2:], b.shape[-1]
    sizes = joined(m, n, k, out.shape[:-2], x, y)
    ir, units, scratch, nanoseconds = written(sizes, out.dtype, width)
    return [Launch(ir, operands, units, scratch, cost=nanoseconds)]


def joined(m: int, n: int, k: int, batch: tuple[int, ...], x: Operand, y: Operand) -> gemm.Matrices:
    """The matrices, with a batch of as few dims as can be: of rows of one matrix, if possible."""
    dims: list[tuple[int, int, int]] = []  # (size, stride of a, stride of b)
    for size, p, q in zip(batch, x.batch, y.batch, strict=True):
        if dims and (dims[-1][1], dims[-1][2]) == (p * size, q * size):
            dims[-1] = (dims[-1][0] * size, p, q)
        elif size > 1:
            dims.append((size, p, q))
    lda = x.distance
    if dims and x.by_rows and dims[-1][2] == 0:
        size, p, _ = dims[-1]
        if p == m * lda or (m == 1 and p >= k):
            dims.pop()
            m, lda = m * size, lda if m > 1 else p
    sizes, p_steps, q_steps = zip(*dims, strict=True) if dims else ((), (), ())
    return gemm.Matrices(m, n, k, lda, x.by_rows, y.distance, y.by_rows, sizes, p_steps, q_steps)


@functools.lru_cache(1024)
def written(s: gemm.Matrices, d: np.dtype[Any], width: int) -> tuple[str, int, int, float]:
    """A kernel, its units, the bytes of scratch memory, and nanoseconds on one thread."""
    f = kernel(width, d)
    plan = gemm.plan(s, f)
    gemm.Writer(f, plan).write()
    nanoseconds = plan.cycles * math.prod(s.batch) * CYCLE
    return f.module.text(), plan.units, plan.scratch() * f.size, nanoseconds
