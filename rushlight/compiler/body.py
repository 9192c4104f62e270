"""What a fused kernel computes at each point, written down from its nodes' formulas."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.compiler.formulas import formula, is_reduction, reduced_element
from rushlight.compiler.graph import Node, Value
from rushlight.compiler.loops import Affine, Index, Kernel, Store, Table
from rushlight.compiler.primitives import Lookup, OneHot, Position
from rushlight.compiler.scalars import NATIVE, Scalar, ScalarMath, constant
from rushlight.compiler.steps import Group
from rushlight.compiler.windows import Windows, broadcast


class Body:
    """The loops of one group. Values that are numbers or constants are known by their own."""

    def __init__(
        self,
        group: Group,
        views: Windows,
        windows: Windows,
        numbers: set[int],
        constants: dict[int, Any],
    ) -> None:
        self.group, self.views, self.windows = group, views, windows
        self.numbers, self.constants = numbers, constants
        self.table = Table()
        self.made: dict[int, Scalar] = {}  # by the numbers of values

    def kernel(self) -> Kernel:
        """All of it."""
        group, made = self.group, self.made
        cols = list(group.cols or ())
        rows = [a for a in group.sizes if a not in cols]
        kernel = Kernel(dict(group.sizes), rows, cols, exact=self.windows.exact)
        for node in group.nodes:
            out = node.outputs[0]
            if is_reduction(node):
                x = self.operand(node.inputs[0], group.inner[out.number])
                kind, element = reduced_element(node, x)
                total = self.table.make("reduce", element.dtype, (element.expr,), kind)
                made[out.number] = Scalar(self.table, total).astype(out.dtype)
                continue
            made[out.number] = self.element(node, group.index[out.number])
        for v in group.writes:
            root, where = self.windows.position(v, group.index[v.number])
            kernel.stores.append(Store(root, where, made[v.number].expr))
        return kernel

    def element(self, node: Node, index: Index) -> Scalar:
        """An element of a node's result."""
        table = self.table
        if isinstance(node.op, Position):
            i = index[node.params["dim"]]
            return Scalar(table, table.make("axis", np.int64, (), i))
        if isinstance(node.op, OneHot):
            target = self.operand(node.inputs[0], operand_index(node, 0, index))
            i = index[node.params["dim"]]
            return target.astype(np.int64) == Scalar(table, table.make("axis", np.int64, (), i))
        operands = [
            self.operand(v, operand_index(node, at, index))
            if isinstance(v, Value) and not (isinstance(node.op, Lookup) and at == 0)
            else v
            for at, v in enumerate(node.inputs)
        ]
        if isinstance(node.op, Lookup):
            return self.lookup(node, operands, index)
        return formula(node, table, operands, self.numbers)

    def lookup(self, node: Node, operands: list[Any], index: Index) -> Scalar:
        """An element of the first operand, at a place that the others say."""
        table, x, given = self.table, operands[0], iter(operands[1:])
        root, strides, offset = self.windows.layout(x)
        where, extra = Affine(offset), constant(table, 0, np.int64)
        for n, stride, d in zip(x.shape, strides, node.params["dims"], strict=True):
            if d is not None:
                where = where.plus(index[d], stride) if n > 1 else where
                continue
            s = ScalarMath(table)
            i = s.minimum(s.maximum(next(given).astype(np.int64), 0), n - 1)
            extra = i * stride if extra.expr.op == "const" else extra + i * stride
        if extra.expr.op == "const":
            return Scalar(table, table.make("load", root.dtype, (), (root.number, where)))
        return Scalar(table, table.make("gather", root.dtype, (extra.expr,), (root.number, where)))

    def operand(self, v: Value, index: Index | None) -> Scalar:
        """An element of v: computed here, or loaded."""
        assert index is not None
        table, root = self.table, self.views.source(v)
        if root.number in self.made:
            return self.made[root.number]
        if root.number in self.numbers:
            return Scalar(table, table.make("number", np.float64, (), root.number))
        source = self.constants.get(root.number)
        if source is not None and source.size == 1 and root.dtype in NATIVE:
            return constant(table, source.reshape(())[()], root.dtype)
        root, flat = self.windows.position(v, index)
        return Scalar(table, table.make("load", root.dtype, (), (root.number, flat)))


def operand_index(node: Node, at: int, index: Index) -> Index | None:
    """Where input ``at`` is read for the result's element at ``index``; None: at any place."""
    if isinstance(node.op, Lookup) and at == 0:
        return None
    if isinstance(node.op, OneHot):
        dim = node.params["dim"]
        index = (*index[:dim], *index[dim + 1 :])
    return broadcast(index, node.inputs[at].shape)
