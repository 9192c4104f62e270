"""Sums of many terms, as gradients of what is used again and again are: terms that are zero but for
a window become parts of one value, and products of matrices one product that is as deep as all.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from rushlight.compiler.graph import Graph, Node, Value
from rushlight.compiler.passes.rewrite import substituted
from rushlight.compiler.passes.writer import Writer
from rushlight.ops.arithmetic import Add
from rushlight.ops.join import Cat
from rushlight.ops.matmul import Matmul
from rushlight.ops.view import Embed, T, Transpose


def gather_sums(graph: Graph) -> Graph:
    """Sums equal to rounding: additions are made in another order, or not at all."""
    return Sums(graph).result()


class Sums:
    """Goes through a graph's sums."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.out = graph, substituted(graph, [], {})
        self.producer = {v.number: n for n in graph.nodes for v in n.outputs}
        values = [v for n in graph.nodes for v in n.inputs if isinstance(v, Value)]
        self.uses = Counter([v.number for v in (*values, *graph.ends())])

    def result(self) -> Graph:
        """The graph with its sums rewritten; what they do not need any more is still there."""
        inside = {
            v.number
            for n in self.graph.nodes
            if is_sum(n)
            for v in n.inputs
            if self.once(v) and is_sum(self.producer.get(v.number))
        }
        nodes: list[Node] = []
        replace: dict[int, Value] = {}
        for node in self.graph.nodes:
            nodes.append(node)
            if not is_sum(node) or node.outputs[0].number in inside:
                continue
            w = Writer(self.out, node.line, set(), {})
            new = self.rewritten(w, self.terms(node))
            if new is not None:
                nodes += w.nodes
                replace[node.outputs[0].number] = new
        return substituted(self.out, nodes, replace)

    def once(self, v: Value) -> bool:
        """Whether a value is used in one place."""
        return self.uses[v.number] == 1

    def terms(self, node: Node) -> list[Value]:
        """What a sum adds, from the left to the right, through sums used nowhere else."""
        found, work = [], node.inputs[::-1]
        while work:
            v = work.pop()
            maker = self.producer.get(v.number)
            if is_sum(maker) and self.once(v):
                work += maker.inputs[::-1]  # type: ignore[union-attr]
            else:
                found.append(v)
        return found

    def rewritten(self, w: Writer, terms: list[Value]) -> Value | None:
        """The sum of the terms, or None where nothing is gained."""
        windows, rest = self.windows(terms)
        products, rest = self.products(rest)
        if len(windows) < 2:
            rest, windows = rest + [v for v, _ in windows], []
        if len(products) < 2:
            rest, products = rest + [v for v, _, _ in products], []
        if not windows and not products:
            return None
        total = [self.assembled(w, windows)] if windows else []
        total += [self.product(w, products)] if products else []
        total += rest
        result = total[0]
        for v in total[1:]:
            result = w.map(Add, result, v)
        return result

    # Windows

    def windows(self, terms: list[Value]) -> tuple[list[tuple[Value, Node]], list[Value]]:
        """Terms that are zero but for windows that no two share, and the others."""
        found, rest = [], []
        taken = None
        for v in terms:
            maker = self.producer.get(v.number)
            if maker is not None and isinstance(maker.op, Embed) and self.once(v):
                taken = np.zeros(v.shape, bool) if taken is None else taken
                window = looked_at(taken, maker)
                if window is not None and not window.any():
                    window[...] = True
                    found.append((v, maker))
                    continue
            rest.append(v)
        return found, rest

    def assembled(self, w: Writer, windows: list[tuple[Value, Node]]) -> Value:
        """All windows in one value."""
        shape, d = windows[0][0].shape, windows[0][0].dtype
        parts = [(maker.inputs[0], maker.params["chain"]) for _, maker in windows]
        size = sum([int(np.prod(v.shape)) for v, _ in parts])
        if size < np.prod(shape):
            parts.insert(0, (w.full(shape, 0, d), []))
        return w.assemble(parts, shape)

    # Products

    def products(self, terms: list[Value]) -> tuple[list[tuple[Value, Value, Value]], list[Value]]:
        """Terms that are ``x.T @ y``, with x and y, and the others."""
        found, rest = [], []
        for v in terms:
            factors = self.factors(v) if len(v.shape) == 2 and self.once(v) else None
            if factors is None:
                rest.append(v)
            else:
                found.append((v, *factors))
        return found, rest

    def factors(self, v: Value) -> tuple[Value, Value] | None:
        """x and y, if a value is ``x.T @ y`` or ``(y.T @ x).T``, of floats."""
        inner = self.turned(v)
        maker = self.producer.get((inner or v).number)
        if maker is None or not isinstance(maker.op, Matmul) or not self.once(maker.outputs[0]):
            return None
        a, b = maker.inputs
        x = self.turned(a)
        plain = len(a.shape) == len(b.shape) == 2 and a.dtype == b.dtype and a.dtype.kind == "f"
        if x is None or not plain or self.turned(b) is not None:
            return None
        return (x, b) if inner is None else (b, x)

    def turned(self, v: Value) -> Value | None:
        """The matrix that a value is the transpose of."""
        maker = self.producer.get(v.number)
        if maker is None or len(v.shape) != 2:
            return None
        swap = isinstance(maker.op, Transpose)
        swap = swap and maker.params["dim0"] % 2 != maker.params["dim1"] % 2
        return maker.inputs[0] if swap or isinstance(maker.op, T) else None

    def product(self, w: Writer, products: list[tuple[Value, Value, Value]]) -> Value:
        """All products as one."""
        x, y = [stacked(w, [p[k] for p in products]) for k in (1, 2)]
        turned = w.node(T, [x], x.shape[::-1], x.dtype)
        return w.product(turned, y)


def is_sum(node: Node | None) -> bool:
    """Whether a node adds two values of one shape and dtype."""
    if node is None or not isinstance(node.op, Add):
        return False
    out = node.outputs[0]
    return all(
        [isinstance(v, Value) and (v.shape, v.dtype) == (out.shape, out.dtype) for v in node.inputs]
    )


def looked_at(places: Any, embed: Node) -> Any:
    """The window of some places that an Embed fills; None where that is not plain."""
    if embed.params["overlaps"] or any([op.by_place for op, _ in embed.params["chain"]]):
        return None
    window = places
    for op, params in embed.params["chain"]:
        window = op.eager(np, window, **params)
    shared = isinstance(window, np.ndarray) and np.may_share_memory(window, places)
    return window if shared and window.shape == embed.inputs[0].shape else None


def stacked(w: Writer, parts: list[Value]) -> Value:
    """Matrices one below another."""
    rows = sum([v.shape[0] for v in parts])
    return w.node(Cat, parts, (rows, parts[0].shape[1]), parts[0].dtype, dim=0)
