"""Derivatives of activations are computed where their values are, if that saves the argument.

A curve such as GELU and its derivative are made of the same exponentials. Where a training step
would keep the argument for the derivative alone, it keeps the derivative, which takes as much
memory, and backward is a multiplication.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.compiler.epilogues import PLAIN
from rushlight.compiler.graph import Graph, Node, Value
from rushlight.compiler.loops import ZERO, Table
from rushlight.compiler.passes.rewrite import substituted
from rushlight.compiler.primitives import Derivative
from rushlight.compiler.scalars import FLOATS, Scalar, ScalarMath, UnsupportedError
from rushlight.ops.activation import Slope, curve_of
from rushlight.ops.arithmetic import Mul


def keep_slopes(graph: Graph) -> Graph:
    """Results are the same to the last bit."""
    readers: dict[int, list[Node]] = {}
    for node in graph.nodes:
        for v in node.inputs:
            if isinstance(v, Value):
                readers.setdefault(v.number, []).append(node)
    outside = {v.number for v in (*graph.ends(), *[i.value for i in graph.inputs])}
    out, nodes = substituted(graph, [], {}), []
    after: dict[int, Node] = {}  # what is to be computed after a node
    kept: dict[int, Value] = {}  # derivatives, by arguments
    for x, found in readers.items():
        slope = None if x in outside else slope_of(found)
        if slope is not None:
            v = slope.inputs[1]
            kept[x] = out.value(v.shape, v.dtype)
            derivative = Node(Derivative.instance, [v], slope.params, [kept[x]], found[0].line)
            after[id(found[0])] = derivative
    for node in graph.nodes:
        if isinstance(node.op, Slope) and node.inputs[1].number in kept:
            inputs = [node.inputs[0], kept[node.inputs[1].number]]
            node = Node(Mul.instance, inputs, {}, node.outputs, node.line)
        nodes.append(node)
        if id(node) in after:
            nodes.append(after[id(node)])
    return substituted(out, nodes, {})


def slope_of(readers: list[Node]) -> Node | None:
    """The slope that a value is kept for, if its readers are that, and before it the curve alone,
    and if it is not computed in no time.
    """
    slopes = [n for n in readers if isinstance(n.op, Slope)]
    if not slopes or isinstance(readers[0].op, Slope):
        return None
    first = slopes[0]
    (curve, options), x = curve_of(first.params), first.inputs[1]
    for node in readers:
        if not isinstance(node.op, Slope):
            if node.op is not curve or node.params != options:
                return None
            continue
        g = node.inputs[0]
        plain = isinstance(g, Value) and (g.shape, g.dtype) == (x.shape, x.dtype)
        if not plain or g is x or node.inputs[1] is not x or node.params != first.params:
            return None
    return first if x.dtype in FLOATS and takes_time(first, x.dtype) else None


def takes_time(slope: Node, d: np.dtype[Any]) -> bool:
    """Whether the derivative has more than a few instructions."""
    table, (curve, options) = Table(), curve_of(slope.params)
    x = Scalar(table, table.make("load", d, (), (0, ZERO)))
    try:
        curve.slope(ScalarMath(table, d), x, **options)
    except UnsupportedError:
        return False
    return any([e.op not in PLAIN | {"load", "const"} for e in table.known.values()])
