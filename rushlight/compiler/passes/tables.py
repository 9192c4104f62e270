"""Products with rows that were looked up in a small table are products with the table.

A table of V rows, M of which (with repetitions) are multiplied with a matrix, is multiplied once
and then looked up; in the gradients what belongs to one row of the table is added up first. That is
less work where V is at most half of M, as for the characters of a text.
"""

from __future__ import annotations

import math
from typing import Any

from rushlight.compiler.graph import Graph, Node, Value
from rushlight.compiler.passes.rewrite import substituted
from rushlight.compiler.passes.writer import Writer
from rushlight.compiler.primitives import Lookup, PlaceRows
from rushlight.ops.matmul import Matmul
from rushlight.ops.view import Reshape, T, Transpose


class Tables:
    """The rewriting of one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.producer = {v.number: n for n in graph.nodes for v in n.outputs}
        self.uses: dict[int, int] = {v.number: 2 for v in graph.ends()}
        for node in graph.nodes:
            for v in node.inputs:
                if isinstance(v, Value):
                    self.uses[v.number] = self.uses.get(v.number, 0) + 1
        self.sums: dict[Any, Value] = {}  # rows added up, by index and rows

    def base(self, v: Value) -> Value:
        """What v is another shape of."""
        node = self.producer.get(v.number)
        while node is not None and isinstance(node.op, Reshape):
            v = node.inputs[0]
            node = self.producer.get(v.number)
        return v

    def looked_up(self, v: Value) -> tuple[Value, Value] | None:
        """The table and the index of rows that were looked up in one that is small."""
        node = self.producer.get(self.base(v).number)
        if node is None or not isinstance(node.op, Lookup) or node.params["dims"] != (None, 1):
            return None
        table, index = node.inputs
        rows, width = node.outputs[0].shape
        same = len(table.shape) == 2 and v.shape[-1] == width
        return (table, index) if same and 2 * table.shape[0] <= rows else None

    def added(self, w: Writer, index: Value, rows: Value, count: int) -> Value:
        """Rows (M, K) added up by index, into ``count`` rows."""
        base = self.base(rows)
        key = self.base(index).number, base.number, count
        if key not in self.sums:
            m, k = math.prod(index.shape), rows.shape[-1]
            shape = (1, count, k)
            given = [None, w.shaped(index, (m,)), w.shaped(base, (1, m, k))]
            made = w.node(PlaceRows, given, shape, rows.dtype, shape=shape, how="add")
            self.sums[key] = w.shaped(made, (count, k))
        return self.sums[key]

    def product(self, w: Writer, node: Node) -> Value | None:
        """A product that may be one with a table."""
        a, b = node.inputs
        out = node.outputs[0]
        if a.dtype != b.dtype or len(b.shape) != 2:
            return None
        found = self.looked_up(a)
        if found is not None:
            table, index = found
            small = (table.shape[0], b.shape[1])
            multiplied = w.node(Matmul, [table, b], small, out.dtype)
            lead = self.base(index).shape  # what follows mostly has that shape
            shape, dims = (*lead, b.shape[1]), (None, len(lead))
            given = [multiplied, w.shaped(index, (*lead, 1))]
            made = w.node(Lookup, given, shape, out.dtype, shape=shape, dims=dims)
            return w.shaped(made, out.shape)
        found, maker = self.looked_up(b), self.producer.get(a.number)
        if found is None or len(a.shape) != 2 or maker is None:
            return None
        if isinstance(maker.op, (T, Transpose)) and len(maker.inputs[0].shape) == 2:
            table, index = found
            total = self.added(w, index, maker.inputs[0], table.shape[0])
            turned = w.node(T, [total], total.shape[::-1], out.dtype)
            return w.node(Matmul, [turned, table], out.shape, out.dtype)
        return None

    def rows(self, w: Writer, node: Node) -> Value | None:
        """Rows of a product that are added up."""
        base, index, source = node.inputs
        shape = node.params["shape"]
        if base is not None or shape[0] != 1 or node.params["how"] != "add":
            return None
        v: Value = source
        while self.uses.get(v.number) == 1 and isinstance(self.maker_op(v), Reshape):
            v = self.producer[v.number].inputs[0]
        if self.uses.get(v.number) != 1 or not isinstance(self.maker_op(v), Matmul):
            return None
        a, b = self.producer[v.number].inputs
        m = math.prod(index.shape)
        fits = len(b.shape) == 2 and math.prod(a.shape[:-1]) == m and 2 * shape[1] <= m
        if not fits or a.dtype != b.dtype:
            return None
        total = self.added(w, index, a, shape[1])
        return w.shaped(w.node(Matmul, [total, b], shape[1:], source.dtype), shape)

    def maker_op(self, v: Value) -> Any:
        """The op that makes v, if one does."""
        node = self.producer.get(v.number)
        return None if node is None else node.op


def use_tables(graph: Graph) -> Graph:
    """Multiplies small tables instead of the rows looked up in them."""
    tables, out = Tables(graph), substituted(graph, [], {})
    replace: dict[int, Value] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        made, w = None, Writer(out, node.line, set(), {})
        if isinstance(node.op, Matmul):
            made = tables.product(w, node)
        elif isinstance(node.op, PlaceRows):
            made = tables.rows(w, node)
        if made is None:
            nodes.append(node)
        else:
            nodes += w.nodes
            replace[node.outputs[0].number] = made
    return substituted(out, nodes, replace)
