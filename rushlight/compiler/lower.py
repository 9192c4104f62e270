"""A graph becomes steps: fused kernels, products, and calls of ops that have no native form.

Nodes are taken in order. A node joins the kernel of one of its inputs when it runs over the same
axes and reads the kernel's values
only at the point being computed; kernels that a node connects are merged. Views are no steps: they
say where elements lie.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rushlight.compiler.formulas import formula, is_reduction, reduced_element
from rushlight.compiler.graph import Graph, Node, Value
from rushlight.compiler.loops import (
    ZERO,
    Index,
    Kernel,
    Store,
    Table,
    axis_index,
    unflatten,
)
from rushlight.compiler.passes.rewrite import pure, substituted
from rushlight.compiler.primitives import OneHot, Settle
from rushlight.compiler.scalars import NATIVE, Scalar, UnsupportedError, constant
from rushlight.compiler.windows import Windows, broadcast, is_view

LARGEST_GROUP = 64  # nodes: more would need too many registers, and time to compile


@dataclass(eq=False)
class Step:
    """Something to run. ``reads`` and ``writes`` are roots; ``place`` orders steps where data does
    not.
    """

    nodes: list[Node]
    place: int
    reads: set[int] = field(default_factory=set)
    writes: list[Value] = field(default_factory=list)


class Group(Step):
    """A fused kernel in the making. Axis k is dim k of ``shape``; ``cols`` are the axes reduced
    over, once there is a reduction.
    """

    def __init__(self, shape: tuple[int, ...], place: int) -> None:
        super().__init__([], place)
        self.shape = shape
        self.sizes = {k: n for k, n in enumerate(shape) if n != 1}
        self.cols: tuple[int, ...] | None = None
        self.index: dict[int, Index] = {}  # of each value made here
        self.inner: dict[int, Index] = {}  # of each reduction's input
        self.kernel: Kernel | None = None

    def full(self) -> Index:
        """The index of a value of the whole shape."""
        return tuple([axis_index(k) if n != 1 else ZERO for k, n in enumerate(self.shape)])

    def candidates(self, shape: tuple[int, ...]) -> list[Index]:
        """Ways in which a value of ``shape`` may lie on the axes."""
        result = [self.full()] if shape == self.shape else []
        if self.cols is not None:
            kept = [k not in self.cols for k in range(len(self.shape))]
            if shape == tuple([n if keep else 1 for n, keep in zip(self.shape, kept, strict=True)]):
                result.append(
                    tuple([i if keep else ZERO for i, keep in zip(self.full(), kept, strict=True)])
                )
            if shape == tuple([n for n, keep in zip(self.shape, kept, strict=True) if keep]):
                result.append(tuple([i for i, keep in zip(self.full(), kept, strict=True) if keep]))
        return result


@dataclass(eq=False)
class Product(Step):
    """A (batched) matrix product of two windows."""


@dataclass(eq=False)
class Template(Step):
    """An op with a kernel of its own: convolution, pooling."""


@dataclass(eq=False)
class Call(Step):
    """An op's own NumPy code."""


@dataclass(eq=False)
class Check(Step):
    """Stops the program where a value is False."""


class Lowering:
    """The steps of one graph, in an order that respects data and writes to inputs."""

    def __init__(self, graph: Graph) -> None:
        self.graph = settled(graph)
        self.windows = Windows(self.graph)
        self.numbers = {i.value.number for i in graph.inputs if i.kind == "number"}
        self.constants = {i.value.number: i.source for i in graph.inputs if i.kind == "constant"}
        self.unit: dict[int, Step] = {}  # of each root value
        self.steps: list[Step] = []
        self.at = {id(n): k for k, n in enumerate(self.graph.nodes)}
        self.written = {
            v.number: i.value.number for i, v in self.graph.updates
        }  # inputs, by their new values
        self.readers: dict[int, list[Node]] = {}
        for node in self.graph.nodes:
            for v in [] if is_view(node) else node.inputs:
                if isinstance(v, Value):
                    self.readers.setdefault(self.windows.root(v).number, []).append(node)
        for place, node in enumerate(self.graph.nodes):
            if not is_view(node):
                self.assign(node, place)
        self.find_uses()
        self.build_kernels()
        self.order()

    # Grouping

    def assign(self, node: Node, place: int) -> None:
        """Put a node into a step."""
        step: Step | None = None
        if type(node.op).__name__ == "Require":
            step = Check([node], place)
        elif is_product(node):
            step = Product([node], place)
        elif has_template(node):
            step = Template([node], place)
        elif fusible(node, self.numbers):
            step = self.joined(node, place)
        if step is None:
            step = Call([node], place)
        if step.nodes == [node] and step not in self.steps:
            self.steps.append(step)
        for v in node.outputs:
            self.unit[v.number] = step

    def producers(self, node: Node) -> list[Step]:
        """Steps that make a node's inputs."""
        found = []
        for v in node.inputs:
            if isinstance(v, Value):
                step = self.unit.get(self.windows.root(v).number)
                if step is not None and step not in found:
                    found.append(step)
        return found

    def joined(self, node: Node, place: int) -> Group:
        """The group that takes the node: one of its producers', or a new one."""
        made_by = self.producers(node)
        groups = [g for g in made_by if isinstance(g, Group)]
        for group in sorted(groups, key=lambda g: -g.place):
            if len(group.nodes) >= LARGEST_GROUP:
                continue
            if any([step is not group and self.reaches(group, step) for step in made_by]):
                continue
            if self.enter(group, node):
                group.place = place
                for other in groups:
                    if other is not group:
                        self.merge(group, other)
                return group
        return self.alone(node, place)

    def alone(self, node: Node, place: int) -> Group:
        """A new group of one node."""
        shape = node.inputs[0].shape if is_reduction(node) else node.outputs[0].shape
        group = Group(shape, place)
        if not self.enter(group, node):
            raise AssertionError(f"a node does not fit its own shape: {node}")
        return group

    def enter(self, group: Group, node: Node) -> bool:
        """Add a node to a group if its axes fit."""
        out = node.outputs[0]
        if is_reduction(node):
            return self.enter_reduction(group, node)
        for index in group.candidates(out.shape):
            if self.reads_in_place(group, node, index) and self.may_write(group, out, index):
                group.index[out.number] = index
                group.nodes.append(node)
                return True
        return False

    def reads_in_place(self, group: Group, node: Node, index: Index) -> bool:
        """Whether the node, computed at ``index``, reads the group's values where they are
        computed.
        """
        for at, v in enumerate(node.inputs):
            if isinstance(v, Value) and not self.in_place(group, v, operand_index(node, at, index)):
                return False
        return True

    def in_place(self, group: Group, v: Value, index: Index) -> bool:
        root, flat = self.windows.position(v, index)
        own = group.index.get(root.number)
        return own is None or unflatten(flat, root.shape, group.sizes) == own

    def may_write(self, group: Group, out: Value, index: Index) -> bool:
        """Whether the group may write ``out``: if that goes to an input's memory, all others must
        have read it before, and the group
        reads only what it is about to write.
        """
        entry = self.written.get(out.number)
        if entry is None or not group.nodes:
            return True
        where = self.windows.position(out, index)[1]
        for node in self.readers.get(entry, ()):
            step = self.unit[node.outputs[0].number]
            if step is not group:
                if self.reaches(group, step):
                    return False
                continue
            own = group.inner.get(node.outputs[0].number, group.index[node.outputs[0].number])
            for at, v in enumerate(node.inputs):
                if isinstance(v, Value) and self.windows.root(v).number == entry:
                    if self.windows.position(v, operand_index(node, at, own))[1] != where:
                        return False
            if group.cols is not None and any([a in group.cols for a, _ in where.terms]):
                return False
        return True

    def before(self, step: Step) -> list[Step]:
        """Steps that a step waits for: those that make what it reads, and those that read what it
        overwrites.
        """
        found = [s for node in step.nodes for s in self.producers(node)]
        for node in step.nodes:
            entry = self.written.get(node.outputs[0].number) if node.outputs else None
            if entry is not None:
                readers = [self.unit.get(n.outputs[0].number) for n in self.readers.get(entry, ())]
                found += [s for s in readers if s is not None and s is not step]
        return found

    def enter_reduction(self, group: Group, node: Node) -> bool:
        x, dims = node.inputs[0], reduced_dims(node)
        for index in group.candidates(x.shape):
            cols = tuple(sorted({a for d in dims for a, _ in index[d].terms}))
            if group.cols is not None and group.cols != cols:
                continue
            if {a for i in index for a, _ in i.terms} != set(group.sizes) or not self.in_place(
                group, x, index
            ):
                continue
            group.cols = cols
            keep = node.params["keepdim"]
            out = [ZERO if d in dims else i for d, i in enumerate(index) if keep or d not in dims]
            group.inner[node.outputs[0].number] = index
            group.index[node.outputs[0].number] = tuple(out)
            group.nodes.append(node)
            return True
        return False

    def reaches(self, start: Step, end: Step) -> bool:
        """Whether ``end`` needs ``start``, through any steps."""
        seen, work = {id(end)}, [end]
        while work:
            for other in self.before(work.pop()):
                if other is start:
                    return True
                if id(other) not in seen:
                    seen.add(id(other))
                    work.append(other)
        return False

    def merge(self, group: Group, other: Group) -> None:
        """Take in another group over the same axes, if neither then waits for itself."""
        if other.shape != group.shape or len(other.nodes) + len(group.nodes) > LARGEST_GROUP:
            return
        if other.cols is not None and group.cols is not None and other.cols != group.cols:
            return
        if any([n.outputs[0].number in self.written for n in other.nodes]):
            return
        between = [s for s in self.before(group) if s is not other and s is not group]
        if any([self.reaches(other, s) for s in between]) or self.reaches(group, other):
            return
        merged = Group(group.shape, group.place)
        merged.cols = group.cols if group.cols is not None else other.cols
        merged.index = {**other.index, **group.index}
        merged.inner = {**other.inner, **group.inner}
        for node in (*other.nodes, *group.nodes):
            index = merged.inner.get(node.outputs[0].number)
            if index is not None:
                fits = self.in_place(merged, node.inputs[0], index)
            else:
                fits = self.reads_in_place(merged, node, merged.index[node.outputs[0].number])
            if not fits:
                return
        group.cols, group.index, group.inner = merged.cols, merged.index, merged.inner
        group.nodes = sorted([*other.nodes, *group.nodes], key=lambda n: self.at[id(n)])
        for n in other.nodes:
            self.unit[n.outputs[0].number] = group
        self.steps.remove(other)

    # Buffers

    def find_uses(self) -> None:
        """Which values need memory: those read by another step, and ends."""
        ends = {v.number for v in self.graph.ends()}
        stored: set[int] = set(ends)
        for step in self.steps:
            for node in step.nodes:
                for v in node.inputs:
                    if isinstance(v, Value):
                        root = self.windows.root(v)
                        if self.unit.get(root.number) is not step:
                            step.reads.add(root.number)
                            stored.add(root.number)
        for step in self.steps:
            step.writes = [
                v
                for n in step.nodes
                for v in n.outputs
                if v.number in stored or not isinstance(step, Group)
            ]

    def build_kernels(self) -> None:
        """Write each group's loops down."""
        for step in self.steps:
            if isinstance(step, Group):
                step.kernel = self.kernel_of(step)

    def kernel_of(self, group: Group) -> Kernel:
        cols = list(group.cols or ())
        kernel = Kernel(dict(group.sizes), [a for a in group.sizes if a not in cols], cols)
        table = Table()
        made: dict[int, Scalar] = {}
        for node in group.nodes:
            out = node.outputs[0]
            if is_reduction(node):
                x = self.operand(group, table, made, node.inputs[0], group.inner[out.number])
                kind, element = reduced_element(node, x)
                made[out.number] = Scalar(
                    table, table.make("reduce", element.dtype, (element.expr,), kind)
                )
                continue
            index = group.index[out.number]
            made[out.number] = self.element(group, table, made, node, index)
        for v in group.writes:
            where = self.windows.position(v, group.index[v.number])[1]
            kernel.stores.append(Store(v, where, made[v.number].expr))
        return kernel

    def element(
        self, group: Group, table: Table, made: dict[int, Scalar], node: Node, index: Index
    ) -> Scalar:
        if isinstance(node.op, OneHot):
            dim = node.params["dim"]
            target = self.operand(group, table, made, node.inputs[0], operand_index(node, 0, index))
            return target.astype(np.int64) == Scalar(
                table, table.make("axis", np.int64, (), index[dim])
            )
        operands = [
            self.operand(group, table, made, v, operand_index(node, at, index))
            if isinstance(v, Value)
            else v
            for at, v in enumerate(node.inputs)
        ]
        return formula(node, table, operands, self.numbers)

    def operand(
        self, group: Group, table: Table, made: dict[int, Scalar], v: Value, index: Index
    ) -> Scalar:
        """An element of v: computed here, or loaded."""
        root, flat = self.windows.position(v, index)
        if root.number in made:
            return made[root.number]
        if root.number in self.numbers:
            return Scalar(table, table.make("number", np.float64, (), root.number))
        source = self.constants.get(root.number)
        if source is not None and source.size == 1 and root.dtype in NATIVE:
            return constant(table, source.reshape(())[()], root.dtype)
        return Scalar(table, table.make("load", root.dtype, (), (root.number, flat)))

    # Order

    def order(self) -> None:
        """Sort steps; each as early as its place allows."""
        waits = {id(s): {id(o) for o in self.before(s)} - {id(s)} for s in self.steps}
        checks = [s for s in self.steps if isinstance(s, Check)]
        drawn: Step | None = None
        for step in self.steps:
            if any([v.number in self.written for v in step.writes]):
                waits[id(step)] |= {id(c) for c in checks if not self.reaches(step, c)}
            if not all([pure(n) for n in step.nodes]) and not isinstance(step, Check):
                if drawn is not None:
                    waits[id(step)].add(id(drawn))
                drawn = step
        ready = [(s.place, k) for k, s in enumerate(self.steps) if not waits[id(s)]]
        heapq.heapify(ready)
        waiters: dict[int, list[int]] = {}
        for k, s in enumerate(self.steps):
            for other in waits[id(s)]:
                waiters.setdefault(other, []).append(k)
        done: list[Step] = []
        while ready:
            step = self.steps[heapq.heappop(ready)[1]]
            done.append(step)
            for k in waiters.get(id(step), ()):
                rest = waits[id(self.steps[k])]
                rest.discard(id(step))
                if not rest:
                    heapq.heappush(ready, (self.steps[k].place, k))
        if len(done) != len(self.steps):
            raise AssertionError("steps wait for each other")
        self.steps = done


def operand_index(node: Node, at: int, index: Index) -> Index:
    """Where input ``at`` is read for the result's element at ``index``."""
    if isinstance(node.op, OneHot):
        dim = node.params["dim"]
        index = (*index[:dim], *index[dim + 1 :])
    return broadcast(index, node.inputs[at].shape)


def reduced_dims(node: Node) -> tuple[int, ...]:
    """The dims that a reduction runs over."""
    dim, rank = node.params["dim"], len(node.inputs[0].shape)
    if dim is None:
        return tuple(range(rank))
    if not rank:
        return ()
    return tuple([d % rank for d in (dim if isinstance(dim, (tuple, list)) else (dim,))])


def fusible(node: Node, numbers: set[int]) -> bool:
    """Whether a node's formula can be written down."""
    table = Table()
    if len(node.outputs) > 1 or any(
        [n == 0 for v in node.inputs if isinstance(v, Value) for n in v.shape]
    ):
        return False
    if any([n == 0 for n in node.outputs[0].shape]):
        return False
    try:
        if isinstance(node.op, OneHot):
            return True
        operands: list[Any] = [
            Scalar(table, table.make("load", v.dtype, (), (v.number, ZERO)))
            if isinstance(v, Value)
            else v
            for v in node.inputs
        ]
        if is_reduction(node):
            reduced_element(node, operands[0])
        else:
            formula(node, table, operands, numbers)
    except UnsupportedError:
        return False
    return True


def is_product(node: Node) -> bool:
    """Whether a node is a matrix product that has kernels."""
    if type(node.op).__name__ != "Matmul":
        return False
    a, b = node.inputs
    floats = a.dtype == b.dtype and a.dtype in (np.float32, np.float64)
    return bool(
        floats
        and len(a.shape) >= 2
        and len(b.shape) >= 2
        and math.prod(node.outputs[0].shape)
        and a.shape[-1]
    )


def has_template(node: Node) -> bool:
    """Whether a node has a kernel of its own."""
    from rushlight.compiler.backends.llvm.templates import supported

    return supported(node)


def is_whole(windows: Windows, v: Value) -> bool:
    """Whether a window's elements lie one after another."""
    steps, step = windows.layout(v)[1], 1
    for n, own in zip(reversed(v.shape), reversed(steps), strict=True):
        if n > 1 and own != step:
            return False
        step *= n
    return True


def suits_product(windows: Windows, v: Value) -> bool:
    """Whether the last two dims of a window are rows or columns that lie one after another."""
    _, strides, _ = windows.layout(v)
    (m, n), (s, t) = v.shape[-2:], strides[-2:]
    by_rows = (t == 1 or n == 1) and (s >= n or m == 1)
    by_columns = (s == 1 or m == 1) and (t >= m or n == 1)
    return by_rows or by_columns


class Settler:
    """Copies values where the steps need them in memory of their own."""

    def __init__(self, graph: Graph) -> None:
        self.out = substituted(graph, [], {})
        self.windows = Windows(graph)
        self.windows.producer.clear()

    def add(self, node: Node) -> None:
        """Append a node."""
        self.out.nodes.append(node)
        for v in node.outputs:
            self.windows.producer[v.number] = node

    def copy(self, v: Value) -> Value:
        """v in memory of its own."""
        new = self.out.value(v.shape, v.dtype)
        self.add(Node(Settle.instance, [v], {}, [new]))
        return new


def settled(graph: Graph) -> Graph:
    """The graph with copies of: windows that views or products cannot use, and ends that are views,
    inputs, or ends twice.
    """
    settler = Settler(graph)
    for node in graph.nodes:
        node = Node(node.op, list(node.inputs), node.params, node.outputs, node.line)
        if is_product(node):
            node.inputs = [
                v if suits_product(settler.windows, v) else settler.copy(v) for v in node.inputs
            ]
        if has_template(node):
            node.inputs = [
                v if v is None or is_whole(settler.windows, v) else settler.copy(v)
                for v in node.inputs
            ]
        settler.add(node)
        if is_view(node):
            try:
                settler.windows.window(node.outputs[0])
            except ValueError:
                settler.out.nodes.pop()
                node.inputs = [settler.copy(node.inputs[0])]
                settler.add(node)
    return settled_ends(settler)


def settled_ends(settler: Settler) -> Graph:
    """Each end becomes a value that a kernel or an op makes, and no other end."""
    out = settler.out
    taken: set[int] = set()
    numbers = {i.value.number for i in out.inputs}

    def own(v: Value) -> Value:
        direct = settler.windows.root(v) is v and v.number not in taken and v.number not in numbers
        if not direct:
            v = settler.copy(v)
        taken.add(v.number)
        return v

    out.results = [own(v) for v in out.results]
    out.fresh = [own(v) for v in out.fresh]
    # an update's value is copied to the input, last; the copy mostly joins the kernel that computes
    # the value
    held = [
        settler.copy(v) if settler.windows.root(v).number in numbers else v for _, v in out.updates
    ]
    out.updates = [(i, settler.copy(v)) for (i, _), v in zip(out.updates, held, strict=True)]
    return out
