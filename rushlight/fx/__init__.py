"""Programs written down as graphs of Python calls, which can be read, changed and run.

`symbolic_trace` calls a module with proxies, which note what is done with them, and gives a
`GraphModule`: its ``graph`` is a list of nodes, its ``code`` the Python that they stand for. In the
order of flow: ``node``, ``graph`` (with ``code``, which prints), ``graph_module``, ``proxy``,
``tracer``; on top of them ``interpreter``, ``subgraph_rewriter`` and ``passes``.
"""

from rushlight.fx import _symbolic_trace as _symbolic_trace
from rushlight.fx.graph import Graph as Graph
from rushlight.fx.graph_module import GraphModule as GraphModule
from rushlight.fx.interpreter import Interpreter as Interpreter, Transformer as Transformer
from rushlight.fx.node import Node as Node, has_side_effect as has_side_effect, map_arg as map_arg
from rushlight.fx.proxy import Proxy as Proxy
from rushlight.fx.subgraph_rewriter import replace_pattern as replace_pattern
from rushlight.fx.tracer import Tracer as Tracer, symbolic_trace as symbolic_trace, wrap as wrap

__all__ = [
    "symbolic_trace", "Tracer", "wrap", "Graph", "GraphModule", "Interpreter", "Transformer",
    "Node", "Proxy", "replace_pattern", "has_side_effect", "map_arg",
]  # fmt: skip
