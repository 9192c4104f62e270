"""A graph becomes steps: fused kernels, products, and calls of ops that have no native form.

Nodes are taken in order. A node joins the kernel of one of its inputs when it runs over the same
axes and reads the kernel's values only at the point being computed; kernels that a node connects
are merged. Views are no steps: they say where elements lie; nor are Assemble nodes, whose parts are
written where they belong by the steps that make them.
"""

from __future__ import annotations

import heapq
import math

from rushlight.compiler.body import Body, operand_index
from rushlight.compiler.epilogues import epilogue
from rushlight.compiler.fits import fusible, has_template, is_free, is_product, target
from rushlight.compiler.formulas import is_reduction
from rushlight.compiler.graph import Graph, Node, Value
from rushlight.compiler.loops import (
    ZERO,
    Index,
    Kernel,
    expressions,
    unflatten,
)
from rushlight.compiler.passes.rewrite import pure
from rushlight.compiler.primitives import Assemble, Settle
from rushlight.compiler.settle import settled
from rushlight.compiler.steps import Call, Check, Group, Precedence, Product, Step, Template
from rushlight.compiler.turning import strays, turned
from rushlight.compiler.windows import Windows

SMALL = 4096  # elements that a step writes: they are not in the way
LARGEST_GROUP = 64  # nodes: more would need too many registers, and time to compile


class Lowering:
    """The steps of one graph, in an order that respects data and writes to inputs.

    ``views`` know the value that each view looks at, ``windows`` its place in memory: these differ
    for values that are parts of others.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph, self.places = settled(graph)
        self.views, self.windows = Windows(self.graph), Windows(self.graph, self.places)
        self.numbers = {i.value.number for i in graph.inputs if i.kind == "number"}
        self.constants = {i.value.number: i.source for i in graph.inputs if i.kind == "constant"}
        self.unit: dict[int, Step] = {}  # of each root value
        self.steps: list[Step] = []
        self.checks: list[Step] = []
        self.precedence = Precedence()
        self.at = {id(n): k for k, n in enumerate(self.graph.nodes)}
        # inputs, by their new values
        self.written = {v.number: i.value.number for i, v in self.graph.updates}
        if self.graph.assumes():  # the memory of gradients that were there
            self.written |= {v.number: -1 - k for k, v in enumerate(self.graph.fresh)}
        self.writer = {entry: number for number, entry in self.written.items()}
        self.readers: dict[int, list[Node]] = {}
        self.parts: dict[int, list[Value]] = {}  # of each value that is made in parts
        self.beneath: dict[int, list[Value]] = {}  # parts that another one lies over
        self.checked: set[int] = set()  # nodes that a check needs
        self.drawing: list[Step] = []  # those that draw random numbers, each after the one before
        self.prepare()
        for place, node in enumerate(self.graph.nodes):
            if not is_free(node):
                self.assign(node, place)
        self.find_uses()
        if target.name == "llvm":
            self.copy_strays()
        self.build_kernels()
        if target.name == "llvm":
            self.finish_products()
        self.order()

    def prepare(self) -> None:
        """Note who reads what, and which values are parts of which."""
        for node in self.graph.nodes:
            if isinstance(node.op, Assemble):
                self.parts[node.outputs[0].number] = node.inputs
                if not node.params["chains"][0]:
                    for v in node.inputs[1:]:
                        self.beneath[v.number] = node.inputs[:1]
            for v in [] if is_free(node) else node.inputs:
                if isinstance(v, Value):
                    self.readers.setdefault(self.views.source(v).number, []).append(node)
        needed: set[int] = set()
        for node in reversed(self.graph.nodes):
            if type(node.op).__name__ == "Require" or any(
                [v.number in needed for v in node.outputs]
            ):
                self.checked.add(id(node))
                needed |= {v.number for v in node.inputs if isinstance(v, Value)}

    def clash(self, nodes: list[Node]) -> bool:
        """Whether one of the nodes writes to an input, which waits for all checks, and one is
        needed by a check.
        """
        written = any([n.outputs[0].number in self.written for n in nodes])
        return written and any([id(n) in self.checked for n in nodes])

    def whole(self, v: Value) -> list[Value]:
        """The root of v, or the values that it was assembled of."""
        root = self.views.source(v)
        parts = self.parts.get(root.number)
        return [root] if parts is None else [r for p in parts for r in self.whole(p)]

    # Grouping

    def assign(self, node: Node, place: int) -> None:
        """Put a node into a step."""
        step: Step | None = None
        if type(node.op).__name__ == "Require":
            step = self.new(Check([node], place))
            self.checks.append(step)
        elif is_product(node):
            step = self.new(Product([node], place))
        elif has_template(node):
            step = self.new(Template([node], place))
        elif fusible(node, self.numbers):
            step = self.joined(node, place)
        if step is None:
            step = self.new(Call([node], place))
        for v in node.outputs:
            self.unit[v.number] = step
        self.precede(step, node)
        if not pure(node) and not isinstance(step, Check):  # known before others are grouped
            self.precedence.needs(step, self.drawing[-1:])
            self.drawing.append(step)

    def new(self, step: Step) -> Step:
        """A step more."""
        self.steps.append(step)
        self.precedence.add(step)
        return step

    def precede(self, step: Step, node: Node) -> None:
        """Note what a node's step waits for, and what waits for it."""
        self.precedence.needs(step, self.before(node))
        for v in node.inputs:
            if isinstance(v, Value):
                writer = self.unit.get(self.writer.get(self.views.source(v).number, -1))
                if writer is not None and writer is not step:
                    self.precedence.needs(writer, [step])

    def before(self, node: Node) -> list[Step]:
        """Steps that a node waits for: those that make what it reads, or what it lies over, and
        those that read what it overwrites.
        """
        found = self.producers(node)
        for v in node.outputs:
            for under in self.beneath.get(v.number, ()):
                found += [self.unit[p.number] for p in self.whole(under)]
            entry = self.written.get(v.number)
            for reader in () if entry is None else self.readers.get(entry, ()):
                step = self.unit.get(reader.outputs[0].number)
                found += [] if step is None else [step]
        return found

    def producers(self, node: Node) -> list[Step]:
        """Steps that make a node's inputs."""
        found = []
        for v in node.inputs:
            for root in self.whole(v) if isinstance(v, Value) else ():
                step = self.unit.get(root.number)
                if step is not None and step not in found:
                    found.append(step)
        return found

    def reaches(self, start: Step, end: Step) -> bool:
        """Whether ``end`` needs ``start``, through any steps."""
        return self.precedence.reaches(start, end)

    def joined(self, node: Node, place: int) -> Group:
        """The group that takes the node: one of its producers', or a new one."""
        groups = [g for g in self.producers(node) if isinstance(g, Group)]
        waits = self.before(node)
        for group in sorted(groups, key=lambda g: -g.place):
            if len(group.nodes) >= LARGEST_GROUP:
                continue
            if any([step is not group and self.reaches(group, step) for step in waits]):
                continue
            if self.enter(group, node):
                group.place = place
                self.unit[node.outputs[0].number] = group
                self.precede(group, node)
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
        self.new(group)
        return group

    def enter(self, group: Group, node: Node) -> bool:
        """Add a node to a group if its axes fit."""
        out = node.outputs[0]
        if group.nodes and self.clash([*group.nodes, node]):
            return False
        under = [p for v in self.beneath.get(out.number, ()) for p in self.whole(v)]
        if any([p.number in group.index for p in under]):
            return False
        if is_reduction(node):
            return self.enter_reduction(group, node)
        for index in [*group.candidates(out.shape), *turned(group, node, self.views, self.windows)]:
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

    def in_place(self, group: Group, v: Value, index: Index | None) -> bool:
        root = self.views.source(v)
        own = group.index.get(root.number)
        if own is None:
            return root.number not in self.parts or not any(
                [p.number in group.index for p in self.whole(root)]
            )
        if index is None:
            return False
        try:
            flat = self.views.position(v, index)[1]
        except ValueError:  # it would be a copy, were v not part of another value
            return False
        return unflatten(flat, root.shape, group.sizes) == own

    def may_write(self, group: Group, out: Value, index: Index) -> bool:
        """Whether the group may write ``out``: if that goes to an input's memory, all others must
        have read it before, and the group reads only what it is about to write.
        """
        entry = self.written.get(out.number)
        if entry is None or not group.nodes:
            return True
        if self.precedes_check(group):
            return False
        where = self.views.position(out, index)[1]
        for node in self.readers.get(entry, ()):
            step = self.unit.get(node.outputs[0].number)
            if step is None:
                continue
            if step is not group:
                if self.reaches(group, step):
                    return False
                continue
            own = group.inner.get(node.outputs[0].number, group.index[node.outputs[0].number])
            for at, v in enumerate(node.inputs):
                if isinstance(v, Value) and self.views.source(v).number == entry:
                    read = operand_index(node, at, own)
                    if read is None or self.views.position(v, read)[1] != where:
                        return False
            if group.cols is not None and any([a in group.cols for a, _ in where.terms]):
                return False
        return True

    def precedes_check(self, group: Group) -> bool:
        """Whether a check needs a group, if only because it needs another part of a group that
        does.
        """
        return any([self.reaches(group, s) for s in self.checks])

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
            over_rows = bool(cols) and max(group.sizes) not in cols
            if group.cols is None and over_rows and self.ends_product(group, x):
                return False
            group.cols = cols
            keep = node.params["keepdim"]
            out = [ZERO if d in dims else i for d, i in enumerate(index) if keep or d not in dims]
            group.inner[node.outputs[0].number] = index
            group.index[node.outputs[0].number] = tuple(out)
            group.nodes.append(node)
            return True
        return False

    def ends_product(self, group: Group, v: Value) -> bool:
        """Whether a group may become the end of a product, which takes less time than a sum over
        rows saves by making ``v``, which is stored in any case, itself.
        """
        root = self.views.source(v)
        if root.number not in group.index or not any(
            [is_product(n) or has_template(n) for n in self.readers[root.number]]
        ):
            return False
        group.writes = [root]
        kernel = self.kernel_of(group)
        steps = [
            self.unit.get(n) for n in {e.data[0] for e in expressions(kernel) if e.op == "load"}
        ]
        return any(
            [
                isinstance(s, Product)
                and epilogue(kernel, s.nodes[0].outputs[0], False) is not None
                for s in steps
            ]
        )

    def merge(self, group: Group, other: Group) -> None:
        """Take in another group over the same axes, if neither then waits for itself."""
        if other.shape != group.shape or len(other.nodes) + len(group.nodes) > LARGEST_GROUP:
            return
        if other.cols is not None and group.cols is not None and other.cols != group.cols:
            return
        if any([n.outputs[0].number in self.written for n in other.nodes]):
            return
        writes = any([n.outputs[0].number in self.written for n in group.nodes])
        if writes and self.precedes_check(other):
            return
        if self.clash([*group.nodes, *other.nodes]):
            return
        direct = self.precedence.direct
        between = [s for s in direct[id(group)] if s is not other]
        if any([self.reaches(other, s) for s in between]) or self.reaches(group, other):
            return
        merged = Group(group.shape, group.place)
        merged.cols = group.cols if group.cols is not None else other.cols
        merged.index = {**other.index, **group.index}
        merged.inner = {**other.inner, **group.inner}
        if not all([self.fits(merged, n) for n in (*other.nodes, *group.nodes)]):
            return
        group.cols, group.index, group.inner = merged.cols, merged.index, merged.inner
        group.nodes = sorted([*other.nodes, *group.nodes], key=lambda n: self.at[id(n)])
        for n in other.nodes:
            self.unit[n.outputs[0].number] = group
        self.steps.remove(other)
        self.precedence.merge(group, other)

    def fits(self, merged: Group, node: Node) -> bool:
        """Whether a node of one group may run in the merged one."""
        number = node.outputs[0].number
        under = [p for v in self.beneath.get(number, ()) for p in self.whole(v)]
        if any([p.number in merged.index for p in under]):
            return False
        index = merged.inner.get(number)
        if index is not None:
            return self.in_place(merged, node.inputs[0], index)
        return self.reads_in_place(merged, node, merged.index[number])

    # Buffers

    def find_uses(self) -> None:
        """Which values need memory: those read by another step, parts of others, and ends."""
        ends = {v.number for v in self.graph.ends()}
        for step in self.steps:
            step.reads = set()
        parts = [r for whole in self.parts.values() for p in whole for r in self.whole(p)]
        stored: set[int] = ends | {r.number for r in parts}
        for step in self.steps:
            for node in step.nodes:
                for v in node.inputs:
                    if not isinstance(v, Value):
                        continue
                    root = self.views.source(v)
                    if self.unit.get(root.number) is not step:
                        step.reads.add(self.windows.root(v).number)
                        stored.add(root.number)
        for step in self.steps:
            step.writes = [
                v
                for n in step.nodes
                for v in n.outputs
                if v.number in stored or not isinstance(step, Group)
            ]
            roots = {r.number: r for r in [self.windows.root(v) for v in step.writes]}
            step.buffers = list(roots.values())

    def copy_strays(self) -> None:
        """Copy what kernels would read in another order than most of their operands."""
        made: dict[int, Value] = {}
        for group in [s for s in self.steps if isinstance(s, Group)]:
            for node, at in strays(group, self.views, self.windows):
                v = node.inputs[at]
                if isinstance(self.unit.get(self.views.source(v).number), Product):
                    continue  # which may run the kernel on its results
                if v.number not in made:
                    made[v.number] = self.copy(v, group)
                node.inputs[at] = made[v.number]
                self.precedence.needs(group, [self.unit[made[v.number].number]])
        if made:
            self.find_uses()

    def copy(self, v: Value, group: Group) -> Value:
        """A copy of a value, which a group is to read."""
        out = self.graph.value(v.shape, v.dtype)
        node = Node(Settle.instance, [v], {}, [out], group.nodes[0].line)
        self.graph.nodes.insert(self.graph.nodes.index(group.nodes[0]), node)
        step = self.unit[out.number] = self.alone(node, group.place)
        self.precede(step, node)
        return out

    def build_kernels(self) -> None:
        """Write each group's loops down."""
        for step in self.steps:
            if isinstance(step, Group):
                step.kernel = self.kernel_of(step)

    def kernel_of(self, group: Group) -> Kernel:
        """A group's loops."""
        return Body(group, self.views, self.windows, self.numbers, self.constants).kernel()

    def finish_products(self) -> None:
        """Let products run the elementwise kernels that read them at the point."""
        kept = {v.number for v in self.graph.ends()}
        place = {id(s): k for k, s in enumerate(self.steps)}
        reading: dict[int, list[Step]] = {}
        for s in self.steps:
            for number in s.reads:
                reading.setdefault(number, []).append(s)
        for step in [s for s in self.steps if isinstance(s, Product)]:
            product = step.writes[0]
            readers = sorted(reading.get(product.number, ()), key=lambda s: place[id(s)])
            if [product] != step.buffers:
                continue
            for group in readers:
                other = len(readers) > 1 or product.number in kept
                kernel = self.epilogue(step, group, other)
                if kernel is not None:
                    for number in group.reads:
                        others = [s for s in reading[number] if s is not group and s is not step]
                        reading[number] = [*others, step] if number != product.number else others
                    self.finish(step, group, kernel)
                    break

    def epilogue(self, step: Product, group: Step, kept: bool) -> Kernel | None:
        """A group's kernel as an epilogue of a product, if it can be one."""
        if not isinstance(group, Group) or group.kernel is None:
            return None
        if self.clash([*step.nodes, *group.nodes]):
            return None
        between = [s for s in self.precedence.direct[id(group)] if s is not step]
        if any([self.reaches(step, s) for s in between]):
            return None
        operands = {self.windows.root(v).number for v in step.nodes[0].inputs}
        if any([self.written.get(v.number) in operands for v in group.writes]):
            return None
        return epilogue(group.kernel, step.writes[0], kept)

    def finish(self, step: Product, group: Step, kernel: Kernel) -> None:
        """Put a group into a product's step."""
        product, step.kernel = step.writes[0], kernel
        stored = any([s.buffer is product for s in kernel.stores])
        step.nodes = [*step.nodes, *group.nodes]
        step.reads |= group.reads - {product.number}
        step.writes = [product] * stored + group.writes
        step.buffers = [product] * stored + group.buffers
        step.place = group.place
        for n in group.nodes:
            self.unit[n.outputs[0].number] = step
        self.steps.remove(group)
        self.precedence.merge(step, group)

    # Order

    def order(self) -> None:
        """Sort steps; each as early as its place allows, and as soon as it can be what nobody needs
        or is small: what it reads is then near.
        """
        checks = [s for s in self.steps if isinstance(s, Check)]
        waits = {id(s): {id(o) for o in self.precedence.direct[id(s)]} for s in self.steps}
        for step in self.steps:
            if step in self.drawing or any([v.number in self.written for v in step.writes]):
                waits[id(step)] |= {id(c) for c in checks if not self.reaches(step, c)}
        ready = [
            (0 if is_small(s) else s.place, k)  # what is large may need it soon
            for k, s in enumerate(self.steps)
            if not waits[id(s)]
        ]
        heapq.heapify(ready)
        waiters: dict[int, list[int]] = {}
        for k, s in enumerate(self.steps):
            for other in waits[id(s)]:
                waiters.setdefault(other, []).append(k)
        done: list[Step] = []
        while ready:
            place, number = heapq.heappop(ready)
            step = self.steps[number]
            done.append(step)
            for k in waiters.get(id(step), ()):
                waiter = self.steps[k]
                waits[id(waiter)].discard(id(step))
                if not waits[id(waiter)]:
                    soon = self.may_be_soon(waiter)
                    heapq.heappush(ready, (min(place, waiter.place) if soon else waiter.place, k))
        if len(done) != len(self.steps):
            raise AssertionError("steps wait for each other")
        self.steps = done

    def describe(self) -> str:
        """The steps, in order."""
        return "\n".join(
            [str(s.kernel) if isinstance(s, Group) else repr(s.nodes) for s in self.steps]
        )

    def may_be_soon(self, step: Step) -> bool:
        """Whether a step makes nothing that takes up memory until others read it."""
        return not self.precedence.users[id(step)] or is_small(step)


def is_small(step: Step) -> bool:
    """Whether what a step makes takes up next to no memory."""
    return sum([math.prod(v.shape) for v in step.writes]) <= SMALL


def reduced_dims(node: Node) -> tuple[int, ...]:
    """The dims that a reduction runs over."""
    dim, rank = node.params["dim"], len(node.inputs[0].shape)
    if dim is None:
        return tuple(range(rank))
    if not rank:
        return ()
    return tuple([d % rank for d in (dim if isinstance(dim, (tuple, list)) else (dim,))])
