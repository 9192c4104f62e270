"""Kernels that a matrix product runs on its results, before these ever are in memory.

Such a kernel has two axes: 0 are the rows of all matrices of a batch, 1 their columns. It loads the
product only at its own point; elements along the columns lie side by side, or are all the same.
"""

from __future__ import annotations

import math

from rushlight.compiler.graph import Value
from rushlight.compiler.loops import Affine, Expr, Kernel, Store, Table, expressions
from rushlight.compiler.scalars import HALVES

PLAIN = frozenset(
    ("add", "sub", "mul", "div", "neg", "abs", "max", "min", "lt", "le", "gt", "ge", "eq", "ne")
    + ("and", "or", "xor", "not", "where", "cast")
)
MOST = 10  # operations at a point: long kernels overlap their work better by themselves
STREAMS = 2  # matrices read or written: more are quicker to go through row by row


def epilogue(kernel: Kernel, product: Value, kept: bool) -> Kernel | None:
    """An elementwise kernel as one that its product runs, which also stores the product if that is
    ``kept``; None where it cannot be, or would be slower.
    """
    n = product.shape[-1]
    rows = math.prod(product.shape[:-1])
    axes = sorted(kernel.sizes)
    if kernel.cols or n == 1 or not axes or kernel.sizes[axes[-1]] != n:
        return None
    if any([e.dtype in HALVES for e in expressions(kernel)]):  # whose tails are stored whole
        return None
    if math.prod(kernel.sizes.values()) != rows * n:
        return None
    table = Table()
    known: dict[int, Expr] = {}

    def point(f: Affine) -> Affine | None:
        inner, size = 0, 1  # the step of all row axes as one, and how many rows there are so far
        for axis in reversed(axes[:-1]):
            if size == 1:
                inner = f.of(axis)
            elif f.of(axis) != inner * size:
                return None
            size *= kernel.sizes[axis]
        terms = [(a, c) for a, c in ((0, inner), (1, f.of(axes[-1]))) if c]
        return Affine(f.const, tuple(terms))

    def again(e: Expr) -> Expr | None:
        if e.op in ("gather", "axis", "reduce"):
            return None
        if e.number not in known:
            data, args = e.data, [again(a) for a in e.args]
            found = [a for a in args if a is not None]
            if len(found) < len(args):
                return None
            if e.op == "load":
                where = point(e.data[1])
                if where is None or where.of(1) not in (0, 1):
                    return None
                if e.data[0] == product.number and where != own(product):
                    return None
                data = e.data[0], where
            known[e.number] = table.make(e.op, e.dtype, tuple(found), data)
        return known[e.number]

    stores = []
    for s in kernel.stores:
        where, value = point(s.where), again(s.expr)
        if where is None or value is None or where.of(1) != 1:
            return None
        stores.append(Store(s.buffer, where, value))
    made = Kernel({0: rows, 1: n}, [0, 1], [], stores, kernel.exact)
    found = [e for e in expressions(made) if e.op == "load" and e.data[0] == product.number]
    if not found:  # only the product's shape matters to it
        return None
    if kept:
        made.stores.append(Store(product, own(product), found[0]))
    return made if is_short(made, product) else None


def is_short(kernel: Kernel, product: Value) -> bool:
    """Whether a kernel does little at each point."""
    varying: set[int] = set()
    matrices: set[int] = set()
    work = 0
    for e in expressions(kernel):
        if e.op == "load":
            if e.data[1].terms:
                varying.add(e.number)
            if len(e.data[1].terms) == 2:
                matrices.add(e.data[0])
        elif any([a.number in varying for a in e.args]):
            varying.add(e.number)
            work += 1
            if e.op not in PLAIN:
                return False
    streams = len(matrices - {product.number}) + len(kernel.stores)
    return work <= MOST and streams <= STREAMS


def own(product: Value) -> Affine:
    """Where the product's element at the point lies."""
    row = ((0, product.shape[-1]),) if math.prod(product.shape[:-1]) > 1 else ()
    return Affine(0, (*row, (1, 1)))
