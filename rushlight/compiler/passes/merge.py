"""Compute equal things once."""

from __future__ import annotations

from typing import Any

from rushlight.compiler.graph import Graph, Value
from rushlight.compiler.passes.rewrite import pure, substituted
from rushlight.compiler.primitives import Require


def merge_equal(graph: Graph) -> Graph:
    """Nodes with the same op, inputs and parameters become one."""
    replace: dict[int, Value] = {}
    seen: dict[Any, list[Value]] = {}
    kept = []
    for node in graph.nodes:
        operands = [replace.get(v.number, v) if isinstance(v, Value) else v for v in node.inputs]
        again = pure(node) or isinstance(node.op, Require)  # checking once is enough
        key = identity(node.op, operands, node.params) if again else None
        if key is not None and key in seen:
            for old, new in zip(node.outputs, seen[key], strict=True):
                replace[old.number] = new
            continue
        if key is not None:
            seen[key] = node.outputs
        kept.append(node)
    return substituted(graph, kept, replace)


def identity(op: Any, operands: list[Any], params: dict[str, Any]) -> Any:
    """What makes two nodes equal; None where a parameter cannot be compared."""
    inputs = tuple(
        [
            ("value", v.number) if isinstance(v, Value) else (type(v).__name__, repr(v))
            for v in operands
        ]
    )
    # repr tells 1, 1.0 and True apart, and 0.0 from -0.0
    key = (
        id(op),
        inputs,
        tuple(sorted([(k, type(p), frozen(p)) for k, p in params.items()], key=lambda p: p[0])),
    )
    try:
        hash(key)
    except TypeError:
        return None
    return key


def frozen(parameter: Any) -> Any:
    """A parameter as something to compare."""
    if isinstance(parameter, (int, float, complex)):
        return repr(parameter)
    if isinstance(parameter, slice):
        return ("slice", parameter.start, parameter.stop, parameter.step)
    if isinstance(parameter, (tuple, list)):
        return tuple([frozen(p) for p in parameter])
    return parameter
