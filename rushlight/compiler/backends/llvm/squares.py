"""Copies whose elements lie side by side along one axis before, and along another one behind: in
squares that are turned in registers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rushlight.compiler.axes import collapse
from rushlight.compiler.backends.llvm.ir.code import Code, Number, kernel
from rushlight.compiler.backends.llvm.launch import Launch
from rushlight.compiler.loops import Kernel

LEAST = 8  # elements along both axes
UNITS = 64  # of a launch, about
NANOSECONDS = 0.2  # of an element
# as what elements of so many bytes are moved
ALIKE: dict[int, np.dtype[Any]] = {4: np.dtype(np.float32), 8: np.dtype(np.float64)}


@dataclass(frozen=True)
class Copy:
    """``source`` and ``target``: (buffer, position) of elements like ``dtype``, on axes of
    ``sizes``. Neighbours in memory follow ``along`` before, and ``across`` behind.
    """

    source: tuple[Any, Any]
    target: tuple[Any, Any]
    sizes: dict[int, int]
    along: int
    across: int
    dtype: np.dtype[Any]


def copy_of(given: Kernel) -> Copy | None:
    """The copy that a kernel is; None where it is something else."""
    k = collapse(given)
    if len(k.stores) != 1 or k.stores[0].expr.op != "load":
        return None
    (store,) = k.stores
    source, target = store.expr.data, (store.buffer.number, store.where)
    sizes = {a: k.sizes[a] for a in (*k.rows, *k.cols)}
    long = [a for a, n in sizes.items() if n >= LEAST]
    along = [a for a in long if source[1].of(a) == 1 < target[1].of(a)]
    across = [a for a in long if target[1].of(a) == 1 < source[1].of(a)]
    alike = ALIKE.get(store.expr.dtype.itemsize)
    if alike is None or source[0] == target[0] or not along or not across:
        return None
    return Copy(source, target, sizes, along[0], across[0], alike)


def launch(c: Copy, width: int) -> Launch:
    """Units are parts of the outer axes, and of ``along`` where these are few."""
    f = kernel(width, c.dtype)
    ends = f.operand(0), f.operand(1)
    places = c.source[1], c.target[1]
    order = sorted([a for a in c.sizes if a not in (c.along, c.across)], key=c.target[1].of)
    shared, units = [], 1
    while order and units < UNITS:
        shared.append(order.pop())
        units *= c.sizes[shared[-1]]
    parts = max(1, c.sizes[c.along] // f.lanes) if units < UNITS else 1

    def moved(at: tuple[str, str], axis: int, i: Number) -> tuple[str, str]:
        a, b = [f.at(p, f.mul(i, where.of(axis))) for p, where in zip(at, places, strict=True)]
        return a, b

    def unit(u: Number, _: Any) -> None:
        at = ends
        u, part = f.parted(u, parts)
        for axis in reversed(shared):
            u, i = f.parted(u, c.sizes[axis])
            at = moved(at, axis, i)
        if parts == 1:
            inner(at, order[::-1])
            return
        across(moved(at, c.along, f.mul(part, f.lanes)), f.lanes)
        done, rest = parts * f.lanes, c.sizes[c.along] % f.lanes
        if rest:
            last = f(f"icmp eq i64 {part}, {parts - 1}")
            f.when(last, lambda: across(moved(at, c.along, done), rest))

    def inner(at: tuple[str, str], axes: list[int]) -> None:
        if axes:
            f.span(0, c.sizes[axes[0]], 1, lambda i, _: inner(moved(at, axes[0], i), axes[1:]))
        else:
            blocks(f, c.sizes[c.along], lambda i, n: across(moved(at, c.along, i), n))

    def across(at: tuple[str, str], along: int) -> None:
        blocks(f, c.sizes[c.across], lambda j, n: square(moved(at, c.across, j), along, n))

    def square(at: tuple[str, str], along: int, across: int) -> None:
        steps = places[0].of(c.across), places[1].of(c.along)
        rows = [f.load(f.at(at[0], k * steps[0]), along) for k in range(across)]
        rows += ["zeroinitializer"] * (f.lanes - across)
        for k, row in enumerate(f.transposed(rows)[:along]):
            f.store(f.at(at[1], k * steps[1]), row, across)

    f.span("%lo", "%hi", 1, unit)
    f.end()
    operands = tuple([(b, f.size * where.const) for b, where in (c.source, c.target)])
    cost = NANOSECONDS * math.prod(c.sizes.values())
    return Launch(f.module.text(), operands, units * parts, cost=cost)


def blocks(f: Code, count: int, body: Callable[[Number, int], None]) -> None:
    """``body(start, length)`` for vectors of ``count`` elements."""
    whole = count - count % f.lanes
    f.span(0, whole, f.lanes, lambda i, _: body(i, f.lanes))
    if whole < count:
        body(whole, count - whole)
