"""Interpreter and Transformer: run a graph node by node, to watch it or to make another one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rushlight.core.overrides import switch
from rushlight.fx.code import last_uses
from rushlight.fx.graph import Graph
from rushlight.fx.graph_module import GraphModule
from rushlight.fx.node import Node, map_aggregate, map_arg
from rushlight.fx.proxy import Proxy
from rushlight.fx.tracer import Tracer
from rushlight.nn.modules.module import Module

__all__ = ["Interpreter", "Transformer"]


class Interpreter:
    """Runs a graph node by node. Subclasses override `run_node`, or the method of a kind of nodes.

    Args:
        module: what to run.
        garbage_collect_values: whether values are dropped after their last use.
        graph: the graph to run instead of the module's.

    Example:
        >>> import rushlight as torch
        >>> from rushlight import fx
        >>> class Loud(fx.Interpreter):
        ...     def call_function(self, target, args, kwargs):
        ...         print(target.__name__)
        ...         return super().call_function(target, args, kwargs)
        >>> Loud(fx.symbolic_trace(lambda x: torch.relu(x) + 1)).run(torch.ones(1))
        relu
        add
        tensor([2.])
    """

    def __init__(
        self, module: Module, garbage_collect_values: bool = True, graph: Graph | None = None
    ) -> None:
        self.module = module
        self.submodules = dict(module.named_modules())
        self.graph: Graph = graph if graph is not None else module.graph
        self.env: dict[Node, Any] = {}
        self.name = "Interpreter"
        self.garbage_collect_values = garbage_collect_values
        self.extra_traceback = True
        self.user_to_last_uses = last_uses(self.graph) if garbage_collect_values else {}

    def run(
        self,
        *args: Any,
        initial_env: dict[Node, Any] | None = None,
        enable_io_processing: bool = True,
    ) -> Any:
        """The graph's result for some arguments.

        Args:
            args: values of the placeholders, in order.
            initial_env: values of nodes that are known already.
            enable_io_processing: accepted; arguments are taken as they come.
        """
        self.env = dict(initial_env or {})
        self.args_iter: Iterator[Any] = iter(args)
        for node in self.graph.nodes:
            if node in self.env:
                continue
            try:
                self.env[node] = self.run_node(node)
            except Exception as error:
                if self.extra_traceback:
                    error.add_note(f"While executing {node.format_node()}")
                raise
            for n in self.user_to_last_uses.get(node, ()):
                if node.op != "output":
                    del self.env[n]
            if node.op == "output":
                return self.env[node]
        return None

    def run_node(self, n: Node) -> Any:
        """The value of one node."""
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        return getattr(self, n.op)(n.target, args, kwargs)

    def placeholder(self, target: str, args: Any, kwargs: Any) -> Any:
        """The value of an argument."""
        if target.startswith("*"):
            return list(self.args_iter)
        for value in self.args_iter:
            return value
        if args:
            return args[0]
        raise RuntimeError(
            f"Expected positional argument for parameter {target}, but one was not passed in!"
        )

    def get_attr(self, target: str, args: Any, kwargs: Any) -> Any:
        """An attribute of the module."""
        return self.fetch_attr(target)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """The result of a function."""
        return target(*args, **kwargs)

    def call_method(self, target: str, args: Any, kwargs: Any) -> Any:
        """The result of a method of ``args[0]``."""
        return getattr(args[0], target)(*args[1:], **kwargs)

    def call_module(self, target: str, args: Any, kwargs: Any) -> Any:
        """The result of a module in the module."""
        return self.submodules[target](*args, **kwargs)

    def output(self, target: str, args: Any, kwargs: Any) -> Any:
        """What the graph returns."""
        return args[0]

    def fetch_attr(self, target: str) -> Any:
        """The attribute of a name with dots."""
        found: Any = self.module
        for part in target.split("."):
            if not hasattr(found, part):
                raise RuntimeError(
                    f"Node referenced nonexistent target {target}: there is no {part}"
                )
            found = getattr(found, part)
        return found

    def fetch_args_kwargs_from_env(self, n: Node) -> tuple[Any, Any]:
        """The values of a node's arguments."""
        return self.map_nodes_to_values(n.args, n), self.map_nodes_to_values(n.kwargs, n)

    def map_nodes_to_values(self, args: Any, n: Node) -> Any:
        """``args`` with values in the place of nodes."""
        return thawed(map_arg(args, lambda node: self.env[node]))


def thawed(a: Any) -> Any:
    """The lists and dicts of a node's arguments as common ones, which may be changed."""
    if isinstance(a, tuple):
        parts = [thawed(x) for x in a]
        return type(a)(*parts) if hasattr(a, "_fields") else tuple(parts)
    if isinstance(a, list):
        return [thawed(x) for x in a]
    if isinstance(a, dict):
        return {k: thawed(v) for k, v in a.items()}
    return a


class TransformerTracer(Tracer):
    """Adds to the new graph of a Transformer; its modules stay as they are."""

    def __init__(self, graph: Graph, root: Module) -> None:
        super().__init__()
        self.graph, self.root = graph, root
        self.tensor_attrs = {}
        self.submodule_paths = {m: name for name, m in root.named_modules()}

    def is_leaf_module(self, m: Module, module_qualified_name: str) -> bool:
        return True


class Transformer(Interpreter):
    """Makes another module of a module: its graph runs on proxies, which write the new one.
    Subclasses override the methods of those nodes that they change.

    Args:
        module: what to transform.

    Example:
        >>> import rushlight as torch
        >>> from rushlight import fx
        >>> class Negate(fx.Transformer):
        ...     def call_function(self, target, args, kwargs):
        ...         if target is torch.sigmoid:
        ...             return torch.neg(*args, **kwargs)
        ...         return super().call_function(target, args, kwargs)
        >>> traced = fx.symbolic_trace(lambda x: torch.sigmoid(x))
        >>> Negate(traced).transform()(torch.ones(1))
        tensor([-1.])
    """

    def __init__(self, module: GraphModule) -> None:
        super().__init__(module)
        self.new_graph = Graph()
        self.tracer = TransformerTracer(self.new_graph, module)

    def placeholder(self, target: str, args: Any, kwargs: Any) -> Proxy:
        """An argument of the new program."""
        default = args[0] if args else ...
        return Proxy(self.new_graph.placeholder(target, default_value=default), self.tracer)

    def get_attr(self, target: str, args: Any, kwargs: Any) -> Proxy:
        """The reading of an attribute."""
        return self.tracer.create_proxy("get_attr", target, args, kwargs)

    def call_module(self, target: str, args: Any, kwargs: Any) -> Any:
        """The call of a module."""
        return self.tracer.create_proxy("call_module", target, args, kwargs)

    def transform(self) -> GraphModule:
        """The new module."""
        switch.on()  # functions see that they get proxies
        try:
            result = super().run(enable_io_processing=False)
        finally:
            switch.off()
        if result is not None:
            nodes = map_aggregate(result, lambda a: a.node if isinstance(a, Proxy) else a)
            self.new_graph.output(nodes)
        return GraphModule(self.module, self.new_graph)
