"""Loops: what a kernel computes, as expressions of one element and where elements lie.

A kernel runs over ``axes``. ``rows`` are the axes that its results keep, ``cols`` those that its
reductions run over. An expression is evaluated for one point of the axes; a ``reduce`` inside of it
runs over all of the ``cols``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

# integers that floats become by way of int64; shorter ones by way of int32, as in eager code, which
# decides what is out of their range
WIDE = tuple(map(np.dtype, (np.int64, np.uint32, np.uint64)))


class Affine:
    """``const + sum(coefficient * axis)``: a position as a function of a kernel's axes."""

    __slots__ = ("const", "terms")

    def __init__(self, const: int = 0, terms: tuple[tuple[int, int], ...] = ()) -> None:
        self.const, self.terms = const, terms  # terms: (axis, coefficient != 0), by axis

    def plus(self, other: Affine, times: int = 1) -> Affine:
        """``self + times * other``."""
        found = dict(self.terms)
        for axis, c in other.terms:
            found[axis] = found.get(axis, 0) + c * times
        terms = tuple(sorted([(a, c) for a, c in found.items() if c]))
        return Affine(self.const + other.const * times, terms)

    def of(self, axis: int) -> int:
        """The coefficient of an axis."""
        return next((c for a, c in self.terms if a == axis), 0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Affine) and (self.const, self.terms) == (other.const, other.terms)

    def __hash__(self) -> int:
        return hash((self.const, self.terms))

    def __repr__(self) -> str:
        parts = [f"{c}*i{a}" if c != 1 else f"i{a}" for a, c in self.terms]
        return " + ".join(parts + ([str(self.const)] if self.const or not parts else []))


ZERO = Affine()
Index = tuple[Affine, ...]


def axis_index(axis: int) -> Affine:
    """The axis itself."""
    return Affine(0, ((axis, 1),))


def flatten(index: Index, shape: tuple[int, ...]) -> Affine:
    """Row-major position of an index."""
    total, step = ZERO, 1
    for i, n in zip(reversed(index), reversed(shape), strict=True):
        total = total.plus(i, step)
        step *= n
    return total


def unflatten(flat: Affine, shape: tuple[int, ...], sizes: dict[int, int]) -> Index | None:
    """The index whose row-major position is ``flat``; None where it is not affine."""
    steps, step = [], 1
    for n in reversed(shape):
        steps.append(step)
        step *= n
    rest, const, result = list(flat.terms), flat.const, []
    if const < 0 or any([c < 0 for _, c in rest]):
        return None
    for n, step in zip(shape, reversed(steps), strict=True):
        if n == 1:
            result.append(ZERO)
            continue
        start, const = divmod(const, step)
        mine = tuple([(a, c // step) for a, c in rest if c >= step])
        if any([c % step for _, c in rest if c >= step]):
            return None
        rest = [(a, c) for a, c in rest if c < step]
        if start + sum([c * (sizes[a] - 1) for a, c in mine]) > n - 1:
            return None
        result.append(Affine(start, mine))
    return None if rest or const else tuple(result)


class Expr:
    """One operation on elements. ``op`` is "const", "number", "load", "axis", "gather" (a load so
    many elements behind where ``data`` says), "reduce", or the name of a function of ``args``.
    """

    __slots__ = ("op", "dtype", "args", "data", "number")

    def __init__(self, op: str, dtype: Any, args: tuple[Expr, ...], data: Any, number: int) -> None:
        self.op, self.dtype, self.args, self.data, self.number = op, dtype, args, data, number

    def __repr__(self) -> str:
        if self.op == "const":
            return repr(self.data)
        inner = [f"e{a.number}" for a in self.args]
        return f"{self.op}({', '.join([*inner, *([] if self.data is None else [str(self.data)])])})"


class Table:
    """Expressions of one kernel, each made once."""

    def __init__(self) -> None:
        self.known: dict[Any, Expr] = {}

    def make(self, op: str, dtype: Any, args: tuple[Expr, ...] = (), data: Any = None) -> Expr:
        """The expression, new or found."""
        tag = repr(data) if op == "const" else data
        key = (op, np.dtype(dtype).str, tuple([a.number for a in args]), tag)
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = Expr(op, np.dtype(dtype), args, data, len(self.known))
        return found


@dataclass(eq=False)
class Store:
    """``buffer[where] = expr`` at every point, or for every row if ``where`` has no cols."""

    buffer: Any
    where: Affine
    expr: Expr


@dataclass(eq=False)
class Kernel:
    """Loops over ``sizes`` with results ``stores``. ``exact``: products are rounded before they are
    added, as wherever else in the program a value is computed again to be compared, and as eager
    code rounds what becomes whole.
    """

    sizes: dict[int, int]
    rows: list[int]
    cols: list[int]
    stores: list[Store] = field(default_factory=list)
    exact: bool = False

    def __str__(self) -> str:
        rows, cols = [[(a, self.sizes[a]) for a in axes] for axes in (self.rows, self.cols)]
        head = f"rows {rows} cols {cols}{' exact' if self.exact else ''}"
        lines, seen = [head], set()

        def show(e: Expr) -> None:
            if e.number in seen:
                return
            seen.add(e.number)
            for a in e.args:
                show(a)
            lines.append(f"  e{e.number}: {e.dtype.name} = {e}")

        for s in self.stores:
            show(s.expr)
            lines.append(f"  {s.buffer}[{s.where}] = e{s.expr.number}")
        return "\n".join(lines)


def expressions(kernel: Kernel) -> list[Expr]:
    """All expressions of a kernel, arguments first."""
    seen: dict[int, Expr] = {}

    def visit(e: Expr) -> None:
        if e.number not in seen:
            for a in e.args:
                visit(a)
            seen[e.number] = e

    for s in kernel.stores:
        visit(s.expr)
    return list(seen.values())
