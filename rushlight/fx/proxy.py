"""Proxy: stands for a value while a program is traced, and notes what is done with it."""

from __future__ import annotations

import dis
import inspect
import operator
import traceback
import weakref
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, FunctionType
from typing import TYPE_CHECKING, Any

from rushlight import overrides
from rushlight.core.overrides import switch
from rushlight.core.size import Size
from rushlight.core.tensor import Tensor
from rushlight.devices import device
from rushlight.dtypes import dtype
from rushlight.formats import layout, memory_format
from rushlight.fx.node import Node, map_aggregate

if TYPE_CHECKING:
    from rushlight.fx.graph import Graph

__all__ = [
    "Attribute",
    "GraphAppendingTracer",
    "ParameterProxy",
    "Proxy",
    "TraceError",
    "TracerBase",
]

PLAIN = (str, int, float, bool, complex, type(None), type(...), range, dtype, device, memory_format,
         layout)  # fmt: skip


class TraceError(ValueError):
    """A program needs a value that is not known while it is traced."""


class TracerBase:
    """Makes nodes and proxies."""

    graph: Graph
    record_stack_traces = False
    proxy_buffer_attributes = False
    module_stack: dict[str, Any]

    def create_node(
        self,
        kind: str,
        target: Any,
        args: Any,
        kwargs: Any,
        name: Any = None,
        type_expr: Any = None,
    ) -> Node:
        """Add a node; subclasses may change or note it."""
        return self.graph.create_node(kind, target, args, kwargs, name, type_expr)

    def proxy(self, node: Node) -> Proxy:
        """The proxy of a node; subclasses may make one of their own class."""
        return Proxy(node, self)

    def create_proxy(
        self,
        kind: str,
        target: Any,
        args: Any,
        kwargs: Any,
        name: str | None = None,
        type_expr: Any = None,
        proxy_factory_fn: Callable[[Node], Proxy] | None = None,
    ) -> Proxy:
        """Add a node, whose arguments may contain proxies, and return its proxy."""
        args, kwargs = self.create_arg(tuple(args)), self.create_arg(dict(kwargs))
        node = self.create_node(kind, target, args, kwargs, name, type_expr)
        if self.record_stack_traces and not node.stack_trace:
            frames = [f for f in traceback.extract_stack() if "/rushlight/" not in f.filename]
            node.stack_trace = "".join(traceback.format_list(frames[-3:]))
        return proxy_factory_fn(node) if proxy_factory_fn is not None else self.proxy(node)

    def create_arg(self, a: Any) -> Any:
        """An argument with nodes in the place of proxies; NotImplementedError for what code cannot
        say.
        """
        if isinstance(a, Proxy):
            return a.node
        if isinstance(a, tuple) and hasattr(a, "_fields"):
            return type(a)(*[self.create_arg(x) for x in a])
        if isinstance(a, (tuple, list)):
            return type(a)([self.create_arg(x) for x in a])
        if isinstance(a, dict):
            if any([isinstance(k, Proxy) for k in a]):
                raise RuntimeError(
                    "Keys for dictionaries used as an argument cannot contain a Node"
                )
            return {k: self.create_arg(v) for k, v in a.items()}
        if isinstance(a, slice):
            return slice(*[self.create_arg(x) for x in (a.start, a.stop, a.step)])
        if isinstance(a, (Node, FunctionType, BuiltinFunctionType, *PLAIN)):
            return a
        raise NotImplementedError(
            f"argument of type: {type(a)}. A graph holds numbers, strings, dtypes, devices, "
            "functions, and lists, tuples and dicts of these."
        )

    def to_bool(self, obj: Proxy) -> bool:
        """Called for ``if proxy:``; raises TraceError."""
        raise TraceError(
            "symbolically traced variables cannot be used as inputs to control flow; pass what "
            "decides in concrete_args, or make the function a module that is a leaf."
        )

    def iter(self, obj: Proxy) -> Iterator[Any]:
        """Called for ``for x in proxy:``; raises TraceError."""
        raise TraceError(
            "Proxy object cannot be iterated: how many elements it has is not known while tracing. "
            "Unpack it into variables, or index it."
        )

    def keys(self, obj: Proxy) -> Any:
        """Called for ``f(**proxy)``."""
        return self.create_proxy("call_method", "keys", (obj,), {})


class GraphAppendingTracer(TracerBase):
    """Adds nodes to a graph that exists."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.module_stack = graph, {}
        switch.on()  # functions of its proxies are called outside of a trace
        weakref.finalize(self, switch.off).atexit = False


class Proxy:
    """A value of a program that is being traced. Operations on it add nodes to the graph.

    Args:
        node: the node that makes the value.
        tracer: the tracer at work.
    """

    def __init__(self, node: Node, tracer: TracerBase | None = None) -> None:
        self.tracer = tracer if tracer is not None else GraphAppendingTracer(node.graph)
        self.node = node

    def __repr__(self) -> str:
        return f"Proxy({self.node.name})"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(f"Proxy has no {name}", name=name, obj=self)
        return Attribute(self, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_method", "__call__", (self, *args), kwargs)

    def __iter__(self) -> Iterator[Proxy]:
        count = _unpacked(inspect.currentframe().f_back)  # type: ignore[union-attr]
        if count is not None:
            return iter([self[i] for i in range(count)])
        return self.tracer.iter(self)

    def __bool__(self) -> bool:
        return self.tracer.to_bool(self)

    def __abs__(self) -> Any:
        return self.tracer.create_proxy("call_function", operator.abs, (self,), {})

    def keys(self) -> Any:
        """Called where the value is used as ``**kwargs``."""
        return self.tracer.keys(self)

    def __len__(self) -> int:
        raise RuntimeError(
            "'len' is not supported in symbolic tracing by default. If you want this call to be "
            "recorded, please call torch.fx.wrap('len') at module scope"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Proxy:
        return Proxy(self.node, self.tracer)

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        found: list[Proxy] = []
        map_aggregate((args, kwargs), lambda a: found.append(a) if isinstance(a, Proxy) else None)
        tracer = found[0].tracer
        if overrides.is_tensor_method_or_property(func):
            return tracer.create_proxy("call_method", func.__name__, args, kwargs)
        return tracer.create_proxy("call_function", func, args, kwargs)


class ParameterProxy(Proxy):
    """Stands for a parameter whose sizes are known while tracing.

    Args:
        tracer: the tracer at work.
        node: the node that reads it.
        name: its name. param: the parameter.
    """

    def __init__(self, tracer: TracerBase, node: Node, name: str, param: Tensor) -> None:
        super().__init__(node, tracer)
        self.name, self.param = name, param

    def __repr__(self) -> str:
        return f"ParameterProxy({self.name})"

    @property
    def shape(self) -> Size:
        """Its sizes."""
        return self.param.shape

    @property
    def ndim(self) -> int:
        """The number of its dims."""
        return self.param.ndim

    def size(self, *dim: int) -> Any:
        """Its sizes, or one of them."""
        return self.param.size(*dim)

    def dim(self) -> int:
        """The number of its dims."""
        return self.param.ndim

    def numel(self) -> int:
        """The number of its elements."""
        return self.param.numel()

    nelement = numel


def _unpacked(frame: Any) -> int | None:
    """Into how many variables the statement at work in ``frame`` unpacks a value, if it does."""
    for instruction in dis.get_instructions(frame.f_code):
        if instruction.offset == frame.f_lasti and instruction.opname == "UNPACK_SEQUENCE":
            return instruction.argval  # type: ignore[no-any-return]
    return None


class Attribute(Proxy):
    """An attribute of a proxy; called, it is a method."""

    def __init__(self, root: Proxy, attr: str) -> None:
        self.root, self.attr, self.tracer = root, attr, root.tracer
        self._node: Node | None = None

    @property
    def node(self) -> Node:  # type: ignore[override]
        """The reading of the attribute: made when it is first needed, as methods need none."""
        if self._node is None:
            args = (self.root, self.attr)
            self._node = self.tracer.create_proxy("call_function", getattr, args, {}).node
        return self._node

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_method", self.attr, (self.root, *args), kwargs)


def _operation(function: Callable[..., Any], reflected: bool = False) -> Any:
    def apply(self: Proxy, *others: Any) -> Any:
        args = (*others, self) if reflected else (self, *others)
        return self.tracer.create_proxy("call_function", function, args, {})

    return apply


for _name in """
    add sub mul floordiv truediv mod pow lshift rshift and or xor matmul getitem
    eq ne lt gt le ge neg pos invert
""".split():  # noqa: SIM905
    _function = getattr(operator, _name, None) or getattr(operator, f"{_name}_")
    setattr(Proxy, f"__{_name}__", _operation(_function))
for _name in "add sub mul floordiv truediv mod pow lshift rshift and or xor matmul".split():  # noqa: SIM905
    _function = getattr(operator, _name, None) or getattr(operator, f"{_name}_")
    setattr(Proxy, f"__r{_name}__", _operation(_function, reflected=True))
Proxy.__hash__ = object.__hash__  # type: ignore[method-assign]
