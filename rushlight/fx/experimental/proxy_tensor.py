"""Graphs of the operations that a call makes, those of gradients included."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from typing import Any

from rushlight.core.tensor import Tensor, wrap
from rushlight.errors import NotSupportedError
from rushlight.fx.graph import Graph
from rushlight.fx.graph_module import GraphModule
from rushlight.fx.node import Node
from rushlight.nn.modules.module import Module
from rushlight.ops.dispatched import Operator
from rushlight.overrides import TorchFunctionMode
from rushlight.utils._python_dispatch import TorchDispatchMode
from rushlight.utils._pytree import tree_map

__all__ = ["get_innermost_proxy_mode", "get_proxy_mode", "make_fx"]


class Tracing(TorchDispatchMode):
    """Writes down every operation. Tensors are known by their arrays, which are kept alive."""

    active: list[Tracing] = []  # noqa: RUF012

    def __init__(self, table: dict[Any, Any]) -> None:
        self.table, self.graph, self.root = table, Graph(), Module()
        self.known: dict[int, tuple[Node, Any]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in self.table:
            with self:
                return self.table[func](*args, **kwargs)
        nodes = tuple([self.node_of(a) for a in args])
        result = func(*args, **kwargs)
        self.note(
            self.graph.create_node("call_function", func, nodes, kwargs, func._opname), result
        )
        return result

    def node_of(self, value: Any) -> Any:
        """What stands for a tensor in the graph: a constant where no operation made it; other
        values as they are.
        """
        if not isinstance(value, Tensor):
            return value
        array = value._array
        if id(array) not in self.known:
            name = f"_tensor_constant{len(list(self.root.named_buffers()))}"
            self.root.register_buffer(name, wrap(array))
            self.known[id(array)] = self.graph.create_node("get_attr", name, name=name), array
        return self.known[id(array)][0]

    def note(self, node: Node, value: Any) -> None:
        """Tensors in a value are parts of what a node gives."""
        if isinstance(value, Tensor):
            self.known[id(value._array)] = node, value._array
        elif isinstance(value, (list, tuple, dict)):
            keys = value if isinstance(value, dict) else range(len(value))
            for key in keys:
                if holds_tensors(value[key]):
                    part = self.graph.call_function(operator.getitem, (node, key))
                    self.note(part, value[key])


class Making(TorchFunctionMode):
    """Writes down the functions that make tensors, which are no operations on tensors."""

    def __init__(self, tracing: Tracing) -> None:
        self.tracing = tracing

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if not isinstance(result, Tensor) or holds_tensors([args, kwargs]):
            return result
        if id(result._array) not in self.tracing.known:
            made = Operator(func, func.__name__, "default")
            node = self.tracing.graph.create_node("call_function", made, args, kwargs, made._opname)
            self.tracing.note(node, result)
        return result


def holds_tensors(value: Any) -> bool:
    """Whether there is a tensor in nested lists, tuples and dicts."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return any([holds_tensors(v) for v in value])
    return isinstance(value, Tensor)


def make_fx(
    f: Callable[..., Any],
    decomposition_table: dict[Any, Any] | None = None,
    tracing_mode: str = "real",
    **options: Any,
) -> Callable[..., GraphModule]:
    """A function that calls ``f``, and returns the graph of the operations of that call.

    Nodes call operators of ``torch.ops.aten``, with tensors by position and the rest by
    rushlight's names. What Python does is not in the graph: its branches are those of this call,
    and so are shapes. Tensors from outside ``f`` are constants.

    Args:
        f: a function of tensors, and of lists, tuples and dicts of them.
        decomposition_table: operators -> functions that are called instead and written down.
        tracing_mode: ``"real"`` or ``"fake"``, which here is the same: ``f`` computes.
        options: have no effect.

    Raises:
        NotImplementedError: ``tracing_mode`` is ``"symbolic"``.

    Example:
        >>> import rushlight as torch
        >>> from rushlight.fx.experimental.proxy_tensor import make_fx
        >>> graph = make_fx(torch.func.grad(lambda x: x.sin().sum()))(torch.zeros(2))
        >>> [str(node.target) for node in graph.graph.nodes][1:4]
        ['aten.sin.default', 'aten.sum.default', '_tensor_constant0']
        >>> graph(torch.tensor([0.0, 3.0]))
        tensor([ 1.0000, -0.9900])
    """
    if tracing_mode not in ("real", "fake"):
        raise NotSupportedError(
            f"make_fx: tracing_mode is {tracing_mode!r}, but shapes are those of the call: use "
            "'real'."
        )

    def traced(*args: Any) -> GraphModule:
        mode = Tracing(decomposition_table or {})
        for name, value in zip(parameter_names(f, len(args)), args, strict=True):
            mode.note(mode.graph.create_node("placeholder", name, name=name), value)
        Tracing.active.append(mode)
        try:
            with mode, Making(mode):
                result = f(*args)
        finally:
            Tracing.active.pop()
        mode.graph.output(tree_map(mode.node_of, result))
        drop_unused(mode.graph)
        return GraphModule(mode.root, mode.graph, getattr(f, "__name__", type(f).__name__))

    return traced


def parameter_names(f: Any, count: int) -> list[str]:
    """Names of placeholders: those of the parameters, numbered."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    named = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL]
    rest = [f"arg{i}" for i in range(len(named), count)]
    return [f"{name}_1" for name in [*named, *rest][:count]]


def drop_unused(graph: Graph) -> None:
    """Without parts of inputs that nothing uses."""
    for node in reversed(list(graph.nodes)):
        if node.target is operator.getitem and not node.users:
            graph.erase_node(node)


def get_innermost_proxy_mode() -> Any:
    """What writes operations down now; None outside ``make_fx``."""
    return Tracing.active[-1] if Tracing.active else None


get_proxy_mode = get_innermost_proxy_mode
