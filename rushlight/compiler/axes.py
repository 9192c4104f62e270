"""Axes of a kernel: joined where nothing tells them apart."""

from __future__ import annotations

from itertools import pairwise

from rushlight.compiler.loops import Affine, Expr, Kernel, Store, Table, expressions


def collapse(kernel: Kernel) -> Kernel:
    """The kernel with neighbouring axes joined where everything steps through both as one."""
    affines = {
        e.data if e.op == "axis" else e.data[1]
        for e in expressions(kernel)
        if e.op in ("load", "gather", "axis")
    }
    affines |= {s.where for s in kernel.stores}
    kernel = in_order(kernel, affines)
    # an index needs its axis for itself
    fixed = {a for e in expressions(kernel) if e.op == "axis" for a, _ in e.data.terms}
    dropped = []  # from the outside in
    for axes in (kernel.rows, kernel.cols):
        for outer, inner in pairwise(axes):
            if outer in fixed or inner in fixed:
                continue
            if all([f.of(outer) == f.of(inner) * kernel.sizes[inner] for f in affines]):
                dropped.append((outer, inner))
    return joined(kernel, dropped)


def in_order(kernel: Kernel, affines: set[Affine]) -> Kernel:
    """The kernel with its rows as they follow each other in memory, if all agree on that."""
    rows = sorted(kernel.rows, key=lambda a: -max([abs(f.of(a)) for f in affines], default=0))
    steps = [[abs(c) for c in map(f.of, rows) if c] for f in affines]
    if rows == kernel.rows or any([s != sorted(s, reverse=True) for s in steps]):
        return kernel
    return Kernel(kernel.sizes, rows, kernel.cols, kernel.stores, kernel.exact)


def joined(kernel: Kernel, pairs: list[tuple[int, int]]) -> Kernel:
    """The kernel without the outer axis of each pair, whose size the inner one takes up."""
    sizes = dict(kernel.sizes)
    gone = set()
    for outer, inner in pairs:  # sizes accumulate
        sizes[inner] *= sizes[outer]
        gone.add(outer)
    if not gone:
        return kernel
    table, known = Table(), {}

    def less(f: Affine) -> Affine:
        return Affine(f.const, tuple([t for t in f.terms if t[0] not in gone]))

    def again(e: Expr) -> Expr:
        if e.number not in known:
            data = (
                (e.data[0], less(e.data[1]))
                if e.op in ("load", "gather")
                else less(e.data)
                if e.op == "axis"
                else e.data
            )
            known[e.number] = table.make(e.op, e.dtype, tuple([again(a) for a in e.args]), data)
        return known[e.number]

    return Kernel(
        {a: n for a, n in sizes.items() if a not in gone},
        [a for a in kernel.rows if a not in gone],
        [a for a in kernel.cols if a not in gone],
        [Store(s.buffer, less(s.where), again(s.expr)) for s in kernel.stores],
        kernel.exact,
    )
