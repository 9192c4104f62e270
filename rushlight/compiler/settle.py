"""Decides, before kernels are formed, which values get memory of their own.

Parts of an Assemble are made where they belong whenever they can be; else copies are. Copies are
also made of windows that views or products cannot use, and of ends that are not values of their
own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.compiler.fits import (
    has_template,
    is_fusible,
    is_product,
    is_whole,
    strided,
    suits_product,
    suits_template,
)
from rushlight.compiler.graph import Graph, Node, Value
from rushlight.compiler.passes.rewrite import substituted
from rushlight.compiler.primitives import Assemble, Settle
from rushlight.compiler.windows import Places, Windows, is_view
from rushlight.ops.view import Reshape


class Placing:
    """Finds the parts that can be made in place."""

    def __init__(self, graph: Graph) -> None:
        self.windows = Windows(graph, {})
        self.numbers = {i.value.number for i in graph.inputs if i.kind == "number"}
        self.ends = {v.number for v in graph.ends()}
        self.readers: dict[int, list[Node]] = {}
        self.parts: dict[int, list[Value]] = {}  # placed in each value
        self.at = {id(n): k for k, n in enumerate(graph.nodes)}
        self.seen_as: dict[int, Value] = {}  # views of parts that lie where these should
        for node in graph.nodes:
            for v in node.inputs:
                if isinstance(v, Value):
                    self.readers.setdefault(v.number, []).append(node)
        for node in graph.nodes:
            if isinstance(node.op, Assemble):
                self.visit(node)

    def visit(self, node: Node) -> None:
        """Place what parts of a node can be."""
        out, chains = node.outputs[0], node.params["chains"]
        layered = len(chains) > 1 and not chains[0]
        sources = [self.source(part) for part in node.inputs]
        uses = Counter([v.number for v, _ in sources])
        for part, chain, (v, back) in zip(node.inputs, chains, sources, strict=True):
            if uses[v.number] > 1 or v.number in self.windows.places:
                continue
            if v.number in self.ends or (layered and (back or not self.may_lie(node, v))):
                continue
            if self.place(v, out, (*chain, *back)) and back:
                self.seen_as[part.number] = out

    def source(self, v: Value) -> tuple[Value, list[Any]]:
        """What a view that only reorders elements looks at, and the views that lead back to it."""
        back: list[Any] = []
        while (maker := self.windows.producer.get(v.number)) is not None:
            inverse = undone(maker)
            if inverse is None:
                break
            back.append(inverse)
            v = maker.inputs[0]
        return v, back

    def may_lie(self, node: Node, v: Value) -> bool:
        """Whether a part of a node whose first part lies beneath the others can be made in place:
        that one must be made there, be read by nobody else, and be made before the others.
        """
        under = node.inputs[0]
        if v is under:
            return self.readers[v.number] == [node]
        whole, _ = self.windows.places.get(under.number, (None, ()))
        return whole is node.outputs[0] and self.made(under) < self.made(v)

    def made(self, v: Value) -> int:
        """When all of a value is made."""
        maker = self.windows.producer.get(v.number)
        return -1 if maker is None else self.at[id(maker)]

    def place(self, v: Value, out: Value, chain: Any) -> bool:
        """Make v a part of out, if its maker and its readers allow that."""
        maker = self.windows.producer.get(v.number)
        if maker is None or is_view(maker) or v.dtype != out.dtype or by_place(chain):
            return False
        self.windows.places[v.number] = out, chain
        around = self.dependents(v)
        fine = not any([by_place([(n.op, n.params)]) for n in around])
        try:
            for n in around:
                self.windows.window(n.outputs[0])
            fine = fine and self.suits(v)
        except ValueError:
            fine = False
        if fine:
            self.parts.setdefault(out.number, []).append(v)
        else:
            del self.windows.places[v.number]
            self.dependents(v)
        return fine

    def suits(self, v: Value) -> bool:
        """Whether v can be made where it lies, and so can its parts."""
        maker = self.windows.producer[v.number]
        if isinstance(maker.op, Assemble):
            return all([self.suits(part) for part in self.parts.get(v.number, ())])
        if has_template(maker):
            return suits_template(self.windows, maker, v)
        if is_product(maker):
            return is_whole(self.windows, v)
        return is_fusible(maker, self.numbers)

    def dependents(self, v: Value) -> list[Node]:
        """Views of v and of its parts, whose windows are forgotten."""
        found, work = [], [v]
        while work:
            v = work.pop()
            self.windows.known.pop(v.number, None)
            work += self.parts.get(v.number, [])
            views = [n for n in self.readers.get(v.number, ()) if is_view(n)]
            found += views
            work += [n.outputs[0] for n in views]
        return found


def undone(node: Node) -> Any:
    """The view that leads back from one that only reorders elements; else None."""
    if not is_view(node):
        return None
    name, p, shape = type(node.op).__name__, node.params, node.inputs[0].shape
    if name in ("Transpose", "T"):
        return node.op, p
    if name in ("Reshape", "Squeeze", "Unsqueeze"):
        return Reshape.instance, {"shape": shape}
    if name == "Permute":
        return node.op, {"dims": tuple(np.argsort(p["dims"]).tolist())}
    return None


def by_place(chain: Any) -> bool:
    """Whether a view names places in memory."""
    return any([op.by_place for op, _ in chain])


class Settler:
    """Copies values where the steps need them in memory of their own."""

    def __init__(self, graph: Graph) -> None:
        self.out = substituted(graph, [], {})
        placing = Placing(graph)
        self.windows, self.seen_as = Windows(graph, placing.windows.places), placing.seen_as
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

    def part(self, node: Node, v: Value, chain: Any) -> Value:
        """v in its place in the node's result."""
        place = self.windows.places.get(v.number)
        if self.seen_as.get(v.number) is node.outputs[0]:
            return v
        if place is None or place[0] is not node.outputs[0]:
            v = self.copy(v)
            self.windows.places[v.number] = node.outputs[0], chain
        return v


def reordered(graph: Graph) -> Graph:
    """The graph where what strided templates make and is then needed in another order, and ends
    that are products or made by templates in another shape, are an Assemble of one part, which may
    be made in that order.
    """
    windows, out = Windows(graph), substituted(graph, [], {})

    def placed(x: Value, kinds: tuple[Callable[[Node], bool], ...] = (strided,)) -> Value:
        maker = windows.producer.get(windows.source(x).number)
        if maker is None or not any([kind(maker) for kind in kinds]):
            return x
        v = out.value(x.shape, x.dtype)
        out.nodes.append(Node(Assemble.instance, [x], {"shape": x.shape, "chains": ((),)}, [v]))
        windows.producer[v.number] = out.nodes[-1]
        return v

    for node in graph.nodes:
        if is_view(node):
            try:
                windows.window(node.outputs[0])
            except ValueError:
                given = [placed(node.inputs[0])]
                node = Node(node.op, given, node.params, node.outputs, node.line)
                windows.producer[node.outputs[0].number] = node
        out.nodes.append(node)
    makers = strided, is_product, has_template
    out.results = [v if windows.source(v) is v else placed(v, makers) for v in graph.results]
    return out


def settled(graph: Graph) -> tuple[Graph, Places]:
    """The graph with copies of: windows that views or products cannot use, parts that cannot be
    made in place, and ends that are views, inputs, or ends twice; and the parts' places.
    """
    graph = reordered(graph)
    settler = Settler(graph)
    for node in graph.nodes:
        node = Node(node.op, list(node.inputs), node.params, node.outputs, node.line)
        if isinstance(node.op, Assemble):
            parts = zip(node.inputs, node.params["chains"], strict=True)
            node.inputs = [settler.part(node, v, chain) for v, chain in parts]
        elif is_product(node):
            node.inputs = [
                v if suits_product(settler.windows, v) else settler.copy(v) for v in node.inputs
            ]
        elif has_template(node):
            node.inputs = [
                v if v is None or suits_template(settler.windows, node, v) else settler.copy(v)
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
    return settled_ends(settler), settler.windows.places


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
    kept = settler.copy if out.assumes() else own
    out.fresh = [kept(v) for v in out.fresh]
    # an update's value is copied to the input, last; the copy mostly joins the kernel that computes
    # the value
    held = [
        settler.copy(v) if settler.windows.root(v).number in numbers else v for _, v in out.updates
    ]
    out.updates = [(i, settler.copy(v)) for (i, _), v in zip(out.updates, held, strict=True)]
    return out
