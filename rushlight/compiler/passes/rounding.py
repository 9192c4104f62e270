"""Products are rounded before they are added, where a program stands for eager code bit by bit."""

from __future__ import annotations

from rushlight.compiler.graph import Graph, Node, Value
from rushlight.compiler.primitives import Rounded
from rushlight.ops.arithmetic import Add, Mul, Sub


def rounded(graph: Graph) -> Graph:
    """The graph where sums read products that were rounded, as ops of their own are. Else native
    code multiplies and adds in one step, rounded once.
    """
    products = {n.outputs[0].number for n in graph.nodes if isinstance(n.op, Mul)}
    nodes: list[Node] = []
    for n in graph.nodes:
        inputs = list(n.inputs)
        for k, v in enumerate(inputs if isinstance(n.op, (Add, Sub)) else ()):
            if isinstance(v, Value) and v.number in products and v.dtype.kind == "f":
                inputs[k] = graph.value(v.shape, v.dtype)
                nodes.append(Node(Rounded.instance, [v], {}, [inputs[k]], n.line))
        nodes.append(Node(n.op, inputs, n.params, n.outputs, n.line))
    graph.nodes = nodes
    return graph
