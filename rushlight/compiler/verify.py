"""What must hold of a lowered graph, checked in tests: kernels, the order of steps, memory.

Each function raises an AssertionError that shows what it rejects.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.compiler.loops import Affine, Expr, Kernel, Store
from rushlight.compiler.lower import Lowering
from rushlight.compiler.steps import Check, Group, Product, Step

BOOL, INT64 = np.dtype(bool), np.dtype(np.int64)
SAME = (
    "add",
    "sub",
    "mul",
    "div",
    "neg",
    "abs",
    "max",
    "min",
    "pow",
    "atan2",
    "hypot",
    "copysign",
    "fmod",
    "nextafter",
    "quotient",
    "shl",
    "shr",
)
BITS = ("and", "or", "xor", "not")
COMPARE = ("lt", "le", "gt", "ge", "eq", "ne")
LEAVES = ("const", "load", "number", "axis")


def verify_lowering(low: Lowering) -> None:
    """All of a lowered graph."""
    for step in low.steps:
        if isinstance(step, (Group, Product)) and (isinstance(step, Group) or step.kernel):
            verify_kernel(low, step)
    verify_order(low)


# Kernels


def verify_kernel(low: Lowering, step: Group | Product) -> None:
    """Loads stay within values, stores write each element once, and dtypes agree."""
    kernel = step.kernel
    assert kernel is not None, f"a group without a kernel: {step.nodes}"
    assert sorted([*kernel.rows, *kernel.cols]) == sorted(kernel.sizes), f"lost axes:\n{kernel}"
    values = {v.number: v for v in all_values(low)}
    for e in all_expressions(kernel):
        problem = flaw(kernel, e, values)
        assert problem is None, f"e{e.number} = {e}: {problem}\n{kernel}"
    written: dict[int, list[Store]] = {}
    for s in kernel.stores:
        written.setdefault(s.buffer.number, []).append(s)
        assert s.expr.dtype == s.buffer.dtype, f"{s.buffer} gets {s.expr.dtype}:\n{kernel}"
        varying = columns_of(kernel, s.expr, {}) - {a for a, _ in s.where.terms}
        assert not varying, f"{s.buffer} is stored per row, but differs by column:\n{kernel}"
    for stores in written.values():
        verify_cover(kernel, stores, stores[0].buffer.number in low.parts)
    assert set(written) == {v.number for v in step.buffers}, f"stores of other values:\n{kernel}"
    verify_overwriting(low, step, kernel)


def all_values(low: Lowering) -> list[Any]:
    """Everything that has a number."""
    inputs = [i.value for i in low.graph.inputs]
    return inputs + [v for n in low.graph.nodes for v in n.outputs]


def all_expressions(kernel: Kernel) -> list[Expr]:
    """A kernel's expressions, each once."""
    seen: dict[int, Expr] = {}
    work = [s.expr for s in kernel.stores]
    while work:
        e = work.pop()
        if e.number not in seen:
            seen[e.number] = e
            work.extend(e.args)
    return list(seen.values())


def bounds(kernel: Kernel, where: Affine) -> tuple[int, int]:
    """The smallest and the largest value of an affine."""
    ends = [c * (kernel.sizes[a] - 1) for a, c in where.terms]
    low, high = sum([min(0, n) for n in ends]), sum([max(0, n) for n in ends])
    return where.const + low, where.const + high


def flaw(kernel: Kernel, e: Expr, values: dict[int, Any]) -> str | None:
    """What is wrong with an expression by itself."""
    kinds = [a.dtype for a in e.args]
    if e.op in LEAVES and e.args:
        return "a leaf with arguments"
    if e.op == "gather" and kinds != [INT64]:
        return f"a distance of {kinds}"
    if e.op in ("load", "gather"):
        number, where = e.data
        if number not in values:
            return "a load of nothing"
        low, high = bounds(kernel, where)
        if low < 0 or high >= math.prod(values[number].shape):
            return f"loads [{low}, {high}] of {values[number].describe()}"
        return None if e.dtype == values[number].dtype else f"loads {values[number].dtype}"
    if e.op == "reduce":
        return None if kinds == [e.dtype] else f"reduces {kinds} to {e.dtype}"
    if e.op == "where":
        return None if kinds == [BOOL, e.dtype, e.dtype] else f"where of {kinds}"
    if e.op in COMPARE:
        return None if e.dtype == BOOL and kinds[0] == kinds[1] else f"compares {kinds}"
    if e.op in SAME or e.op in BITS:
        return None if set(kinds) == {e.dtype} else f"{e.op} of {kinds}"
    return None


def columns_of(kernel: Kernel, e: Expr, known: dict[int, set[int]]) -> set[int]:
    """The columns that an expression differs along. ``known``: those of others, by their numbers,
    since many may share one.
    """
    if e.op == "reduce":
        return set()
    if e.number not in known:
        where = e.data[1] if e.op in ("load", "gather") else e.data if e.op == "axis" else None
        found = set() if where is None else {a for a, _ in where.terms}
        found = {a for a in found if a in kernel.cols}
        known[e.number] = found.union(*[columns_of(kernel, a, known) for a in e.args])
    return known[e.number]


def verify_cover(kernel: Kernel, stores: list[Store], partly: bool) -> None:
    """Stores into one value write each of its elements exactly once, or, ``partly``, at most."""
    value = stores[0].buffer
    count = np.zeros(math.prod(value.shape), np.int64)
    for s in stores:
        low, high = bounds(kernel, s.where)
        assert low >= 0 and high < count.size, f"{value} is written at [{low}, {high}]:\n{kernel}"
        axes = set(kernel.rows) | {a for a, _ in s.where.terms}
        np.add.at(count, positions(kernel, s.where, sorted(axes)).reshape(-1), 1)
    good = count <= 1 if partly else count == 1
    assert good.all(), f"{value} is not written once in each place:\n{kernel}"


def positions(kernel: Kernel, where: Affine, axes: list[int]) -> Any:
    """An affine's values over some axes."""
    total = np.asarray(where.const)
    for axis in axes:
        total = total[..., None] + np.arange(kernel.sizes[axis]) * where.of(axis)
    return total


def verify_overwriting(low: Lowering, step: Group | Product, kernel: Kernel) -> None:
    """A kernel that writes to an input's memory reads that input only where it writes, and once."""
    for s in kernel.stores:
        source = low.written.get(s.buffer.number)
        found = [e for e in all_expressions(kernel) if e.op in ("load", "gather")]
        for e in [e for e in found if e.data[0] == source]:
            fits = (
                e.op == "load"
                and e.data[1] == s.where
                and not any([a in kernel.cols for a, _ in s.where.terms])
            )
            assert fits, f"%{source} is read elsewhere while it is overwritten:\n{kernel}"


# Order


def verify_order(low: Lowering) -> None:
    """Each step's reads were written before, each value is written once, inputs are overwritten
    after all else has read them and every check has passed.
    """
    there = {i.value.number for i in low.graph.inputs}
    made = set(there)
    overwritten: set[int] = set()
    for step in low.steps:
        reads = reads_of(low, step)
        assert reads <= there, f"reads {reads - there}, which nothing wrote:\n{text(step)}"
        gone = reads & (overwritten - set(mine := replaced(low, step)))
        assert not gone, f"reads {gone} after it was overwritten:\n{text(step)}"
        assert not (isinstance(step, Check) and overwritten), f"checked too late:\n{text(step)}"
        overwritten |= set(mine)
        for v in step.buffers:
            again = v.number in there and v.number not in low.parts
            assert not again, f"writes {v} again:\n{text(step)}"
            there.add(v.number)
        made |= {v.number for n in step.nodes for v in n.outputs}
        for node in step.nodes:
            roots = [r for v in node.inputs if hasattr(v, "number") for r in low.whole(v)]
            early = [r for r in roots if r.number not in made]
            assert not early, f"reads {early} before all of it is made:\n{text(step)}"
    for v in low.graph.ends():
        assert v.number in there, f"the end {v} is never written"


def reads_of(low: Lowering, step: Step) -> set[int]:
    """Roots that a step reads and does not make itself."""
    made = {v.number for n in step.nodes for v in n.outputs}
    if isinstance(step, (Group, Product)) and step.kernel is not None:
        found = all_expressions(step.kernel)
        read = {
            e.data if e.op == "number" else e.data[0]
            for e in found
            if e.op in ("load", "gather", "number")
        }
        if isinstance(step, Group):
            return read
        factors = {low.windows.root(v).number for v in step.nodes[0].inputs}
        return factors | (read - {step.nodes[0].outputs[0].number})
    values = [v for n in step.nodes for v in n.inputs if hasattr(v, "number")]
    return {low.windows.root(v).number for v in values} - made


def replaced(low: Lowering, step: Step) -> list[int]:
    """Inputs whose memory a step writes to."""
    return [low.written[v.number] for v in step.writes if v.number in low.written]


def text(step: Step) -> str:
    """A step's nodes."""
    return "\n".join([repr(n) for n in step.nodes])


# Memory


def verify_plan(low: Lowering, offsets: dict[int, int], size: int) -> None:
    """Values that share memory are never needed at the same time, except that a kernel may write
    over what it reads element by element.
    """
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for at, step in enumerate(low.steps):
        for v in step.buffers:
            first.setdefault(v.number, at)
            last[v.number] = at
            sizes[v.number] = math.prod(v.shape) * v.dtype.itemsize
        for number in reads_of(low, step):
            last[number] = at
    placed = [n for n in offsets if sizes[n]]
    for n in placed:
        assert offsets[n] + sizes[n] <= size, f"%{n} ends behind the arena"
        for m in placed:
            apart = offsets[n] + sizes[n] <= offsets[m] or offsets[m] + sizes[m] <= offsets[n]
            if n == m or apart or last[m] < first[n] or last[n] < first[m]:
                continue
            before, after = (n, m) if first[n] < first[m] else (m, n)
            step = low.steps[first[after]]
            fits = last[before] == first[after] and overlays(step, before, after)
            assert fits, f"%{n} and %{m} share memory while both are needed:\n{text(step)}"


def overlays(step: Step, before: int, after: int) -> bool:
    """Whether a kernel reads each element of one value only where it writes another's."""
    if not isinstance(step, Group) or step.kernel is None or step.kernel.cols:
        return False
    target = [s.where for s in step.kernel.stores if s.buffer.number == after]
    found = [e for e in all_expressions(step.kernel) if e.op in ("load", "gather")]
    loads = [e for e in found if e.data[0] == before]
    same = [e.op == "load" and e.data[1] == target[0] for e in loads]
    return len(target) == 1 and all(same)
