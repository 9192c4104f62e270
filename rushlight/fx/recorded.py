"""Backends of ``compile`` that are functions: they are given the graph of a call."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Hashable, Iterator
from typing import Any

from rushlight.core.state import modes
from rushlight.core.tensor import Tensor
from rushlight.errors import GraphError, warn_user
from rushlight.fx.graph import Graph
from rushlight.fx.graph_module import GraphModule
from rushlight.fx.node import Node, map_aggregate
from rushlight.fx.proxy import GraphAppendingTracer
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter
from rushlight.overrides import TorchFunctionMode
from rushlight.utils._pytree import (
    TreeSpec,
    keystr,
    tree_flatten,
    tree_flatten_with_path,
    tree_unflatten,
)

# methods that tell Python what is in a tensor, or that act on more than their arguments
UNRECORDED = """
    __bool__ __int__ __float__ __complex__ __index__ __contains__ __array__ __format__ __repr__ item
    tolist numpy allclose equal is_nonzero backward register_hook retain_grad __set__
""".split()  # noqa: SIM905
# methods that are operators of Python, where the name is another
OPERATORS = {
    "div": operator.truediv, "remainder": operator.mod, "bitwise_and": operator.and_,
    "bitwise_or": operator.or_, "bitwise_xor": operator.xor, "bitwise_not": operator.invert,
}  # fmt: skip
SHOWN = "add sub mul pow matmul neg lt le gt ge eq ne".split()  # noqa: SIM905


class Recorder(TorchFunctionMode):
    """Notes the functions that a call of a program calls, as a graph.

    Args:
        names: tensors that the program may start from, by their ids -> what the graph calls them.
    """

    def __init__(self, names: dict[int, tuple[str, Tensor]]) -> None:
        self.names, self.graph = names, Graph()
        self.tracer = GraphAppendingTracer(self.graph)
        self.found: dict[int, tuple[Any, Tensor]] = {}  # nodes of tensors, which are kept alive
        self.inputs: list[Tensor] = []
        self.failed: str | None = None  # why there is no graph

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", str(func))
        if name in UNRECORDED:
            self.failed = self.failed or f"it calls {name}"
        before = None if self.failed else self.nodes((args, kwargs))
        result = func(*args, **kwargs)
        if before is not None and not self.failed and holds_tensors(result):
            self.note(self.node(func, name, *before), result)
        return result

    def nodes(self, arguments: Any) -> Any:
        """Arguments with nodes in the place of tensors."""
        try:
            return self.tracer.create_arg(
                map_aggregate(arguments, lambda a: self.node_of(a) if isinstance(a, Tensor) else a)
            )
        except NotImplementedError as error:
            self.failed = str(error)
            return None

    def node_of(self, tensor: Tensor) -> Node:
        """The node of a tensor: an input where no function has made it yet."""
        node, _ = self.found.get(id(tensor), (None, tensor))
        if isinstance(node, tuple):
            node = self.graph.call_function(operator.getitem, node)
        elif node is None:
            if id(tensor) not in self.names:
                raise NotImplementedError(
                    "it computes with a tensor that no function made that could be recorded"
                )
            target, _ = self.names[id(tensor)]
            kind = Parameter if isinstance(tensor, Parameter) else Tensor
            with self.graph.inserting_after(self.last_input()):
                node = self.graph.create_node(
                    "placeholder", target, name=target.lower(), type_expr=kind
                )
            self.inputs.append(tensor)
        self.found[id(tensor)] = (node, tensor)
        return node

    def last_input(self) -> Node | None:
        """The input that came last."""
        inputs = self.graph.find_nodes(op="placeholder")
        return inputs[-1] if inputs else None

    def node(self, func: Any, name: str, args: Any, kwargs: Any) -> Node:
        """A call as fx writes it: of a method, an operator, an attribute or a function."""
        if name == "__get__":
            return self.graph.call_function(getattr, (args[0], func.__self__.fget.__name__))
        if getattr(Tensor, name, None) is not func:
            return self.graph.call_function(func, args, kwargs)
        bare = name[2:-2] if name.startswith("__") else name
        if name in SHOWN or name in OPERATORS or name.startswith("__"):
            reflected = name.startswith("__r") and hasattr(operator, f"__{bare[1:]}__")
            bare = bare[1:] if reflected else bare
            plain = OPERATORS.get(bare) or getattr(operator, f"__{bare}__", None)
            if plain is not None and not kwargs:
                return self.graph.call_function(plain, args[::-1] if reflected else args)
        return self.graph.call_method(name, args, kwargs)

    def note(self, node: Node, result: Any) -> None:
        """Results are known by their nodes; those of a tuple, by its node and their places."""
        if isinstance(result, Tensor):
            self.found[id(result)] = (node, result)
            return
        for place, part in enumerate(result):
            if isinstance(part, Tensor):
                self.found[id(part)] = ((node, place), part)

    def finish(self, results: list[Any]) -> GraphModule | None:
        """The module of the graph that makes the tensors among ``results``."""
        if not self.failed:
            outputs = self.nodes(tuple([r for r in results if isinstance(r, Tensor)]))
            if outputs is not None:
                self.graph.output(outputs)
                return GraphModule({}, self.graph)
        return None


def holds_tensors(result: Any) -> bool:
    """Whether a function has made tensors, and not a size or another fact of them."""
    return isinstance(result, Tensor) or (
        isinstance(result, (tuple, list)) and any([isinstance(part, Tensor) for part in result])
    )


def identifier(name: str) -> str:
    """A name of Python, of any text."""
    return "".join([c if c.isalnum() else "_" for c in name])


def tensors_of(value: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """Tensors in an argument or a variable, among them those of modules, and their names."""
    for path, leaf in tree_flatten_with_path(value)[0]:
        place = name + identifier(keystr(path))
        if isinstance(leaf, Tensor):
            yield f"{place}_", leaf
        elif isinstance(leaf, Module):
            for prefix, module in leaf.named_modules():
                parts = [identifier(part) for part in prefix.split(".") if part]
                inside = place + "".join([f"_modules_{part}" for part in parts])
                kinds = {"_parameters": module._parameters, "_buffers": module._buffers}
                for kind, found in (*kinds.items(), ("", vars(module))):
                    for key, tensor in found.items():
                        if isinstance(tensor, Tensor):
                            yield f"{inside}{kind}_{identifier(key)}_", tensor


def forward_of(function: Any) -> Any:
    """``function``; the method ``forward`` of a module for the method that calls it."""
    owner = getattr(function, "__self__", None)
    return owner.forward if isinstance(owner, Module) else function


def surroundings(function: Any) -> Iterator[tuple[str, Any]]:
    """What a function reaches besides its arguments, and what graphs call it."""
    if inspect.ismethod(function):
        yield "L_self", function.__self__
    function = inspect.unwrap(forward_of(function))
    function = getattr(function, "__func__", function)
    if not inspect.isfunction(function):
        return
    variables = inspect.getclosurevars(function)
    for name, value in variables.nonlocals.items():
        yield f"L_{name}", value
    for name, value in variables.globals.items():
        yield f"G_{name}", value


class Recorded:
    """A function whose graphs another program compiles: ``compile(function, backend=that)``.

    Args:
        function: a function, a method or a module.
        backend: is called with the graph of a call, as a `GraphModule`, and the tensors that it
            starts from; returns a function of such tensors, which runs instead from then on.
        fullgraph: whether to raise where a call cannot be recorded.

    The first call for tensors of other sizes or dtypes, or for other values besides, runs as it is
    and is recorded. Parameters and other tensors that the function reaches are inputs of the graph.
    What decides by the values of tensors cannot be recorded; it runs as it is, with one warning.
    """

    def __init__(self, function: Any, backend: Callable[..., Any], fullgraph: bool) -> None:
        self.function, self.backend, self.fullgraph = function, backend, fullgraph
        self.programs: dict[Any, Callable[[list[Any]], Any]] = {}
        self.eager = False

    def forget(self) -> None:
        """Drop what was compiled."""
        self.programs, self.eager = {}, False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.eager:
            return self.function(*args, **kwargs)
        leaves, spec = tree_flatten((args, kwargs))
        key = (str(spec), modes.grad, self.training(leaves), *map(kind_of, leaves))
        program = self.programs.get(key)
        return self.record(key, leaves, args, kwargs) if program is None else program(leaves)

    def training(self, leaves: list[Any]) -> tuple[bool, ...]:
        """Whether modules that take part are being trained."""
        reached = [*leaves, *[value for _, value in surroundings(self.function)]]
        return tuple(
            [m.training for value in reached if isinstance(value, Module) for m in value.modules()]
        )

    def record(self, key: Any, leaves: list[Any], args: Any, kwargs: Any) -> Any:
        """Run a call as it is, and give its graph to the backend."""
        names: dict[int, tuple[str, Tensor]] = {}
        signature = inspect.signature(forward_of(self.function))
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:  # which the call explains better
            given = {}
        arguments = [(f"L_{name}", value) for name, value in given.items()]
        for name, value in (*arguments, *surroundings(self.function)):
            for place, tensor in tensors_of(value, name):
                names.setdefault(id(tensor), (place, tensor))
        with Recorder(names) as recorder:
            result = self.function(*args, **kwargs)
        results, spec = tree_flatten(result)
        module = recorder.finish(results)
        if module is None:
            self.refuse(str(recorder.failed))
            return result
        places = {id(leaf): place for place, leaf in enumerate(leaves)}
        sources = [places.get(id(tensor), tensor) for tensor in recorder.inputs]
        self.programs[key] = program_of(
            self.backend(module, recorder.inputs), sources, results, spec
        )
        return result

    def refuse(self, why: str) -> None:
        """The function cannot be recorded."""
        name = forward_of(self.function).__qualname__
        text = (
            f"compile: {name} runs as it is, without its backend, because {why}; a backend that is "
            "a function gets the graph of a whole call."
        )
        if self.fullgraph:
            raise GraphError(text)
        self.eager = True
        warn_user(text)


def program_of(
    run: Callable[..., Any], sources: list[Any], results: list[Any], spec: TreeSpec
) -> Callable[[list[Any]], Any]:
    """A call by what a backend has made.

    Args:
        run: the function of tensors.
        sources: where each comes from: its place among the leaves of arguments, or itself.
        results: what the recorded call returned, of which all but tensors is returned again.
        spec: how results lie in what is returned.
    """
    constants = [None if isinstance(r, Tensor) else r for r in results]
    holes = [place for place, r in enumerate(results) if isinstance(r, Tensor)]

    def call(leaves: list[Any]) -> Any:
        made = run(*[leaves[s] if isinstance(s, int) else s for s in sources])
        values = list(constants)
        for place, tensor in zip(holes, made, strict=True):
            values[place] = tensor
        return tree_unflatten(values, spec)

    return call


def kind_of(leaf: Any) -> Any:
    """What programs depend on in a leaf of the arguments."""
    if isinstance(leaf, Tensor):
        return (Tensor, leaf.shape, leaf.dtype, leaf.device, leaf.requires_grad)
    return (type(leaf), leaf) if isinstance(leaf, Hashable) else id(leaf)
