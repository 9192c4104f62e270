"""Matrix products of windows: what the kernels of gemm.py are asked for."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.ir.code import kernel
from rushlight.compiler.backends.llvm.launch import SHARED, Launch
from rushlight.compiler.backends.llvm.products import gemm
from rushlight.compiler.backends.llvm.products.finish import Finish
from rushlight.compiler.graph import Value
from rushlight.compiler.steps import Product
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


def launches(windows: Windows, step: Product, width: int) -> list[Launch]:
    """The launches that compute the product of a node's inputs, and what is made of it."""
    node = step.nodes[0]
    (a, b), out = node.inputs, node.outputs[0]
    x, y = [Operand(windows, v, out.shape[:-2]) for v in (a, b)]
    (m, k), n = a.shape[-2:], b.shape[-1]
    sizes = joined(m, n, k, out.shape[:-2], x, y)
    size = out.dtype.itemsize
    factors = (x.root.number, x.offset * size), (y.root.number, y.offset * size)
    if step.kernel is None:
        ir, units, scratch, _, cost = written(sizes, out.dtype, width)
        target, _, start = windows.layout(out)
        return [Launch(ir, (*factors, (target.number, start * size)), units, scratch, cost=cost)]
    finish = Finish(step.kernel, out.number)
    ir, units, scratch, parts, cost = finished(sizes, out.dtype, width, finish)
    sums: tuple[Any, int] = (out.number, 0) if out in step.buffers else (SHARED, 0)
    shared = math.prod(out.shape) * size if parts and sums[0] == SHARED else 0
    return [Launch(ir, (*factors, sums, *finish.operands()), units, scratch, shared, cost)]


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


Written = tuple[str, int, int, bool, float]


@functools.lru_cache(1024)
def written(s: gemm.Matrices, d: np.dtype[Any], width: int) -> Written:
    """A kernel, its units, the bytes of scratch memory, whether c holds sums over parts of the
    depth, and nanoseconds on one thread.
    """
    return write(s, d, width, None)


def finished(s: gemm.Matrices, d: np.dtype[Any], width: int, finish: Finish) -> Written:
    """As ``written``, with an epilogue."""
    key = s, d, width, finish.key()
    if key not in _finished:
        _finished[key] = write(s, d, width, finish)
    return _finished[key]


_finished: dict[Any, Written] = {}


def write(s: gemm.Matrices, d: np.dtype[Any], width: int, finish: Finish | None) -> Written:
    """As ``written``, anew."""
    f = kernel(width, d)
    plan = gemm.plan(s, f)
    gemm.Writer(f, plan, finish).write()
    cost = plan.cycles * math.prod(s.batch) * CYCLE
    return f.module.text(), plan.units, plan.scratch() * f.size, plan.depth < plan.s.k, cost
