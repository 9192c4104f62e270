"""GraphModule: a module whose forward is the code of a graph."""

from __future__ import annotations

import copy
import itertools
import linecache
from pathlib import Path
from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.fx.code import package
from rushlight.fx.graph import Graph
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter
from rushlight.serialization import save

__all__ = ["GraphModule"]

_numbers = itertools.count()


def compiled(src: str, space: dict[str, Any]) -> Any:
    """The function ``forward`` of some code. Its lines are found by tracebacks."""
    name = f"<fx code {next(_numbers)}>"
    linecache.cache[name] = (len(src), None, src.splitlines(True), name)
    exec(compile(src, name, "exec"), space)
    return space["forward"]


class GraphModule(Module):
    """A module that runs a graph.

    Args:
        root: a module, whose attributes that the graph names are taken over; or a dict of them.
        graph: what to run. It belongs to the new module; change it and call `recompile`.
        class_name: the name of its class.

    Example:
        >>> import rushlight as torch
        >>> from rushlight import fx
        >>> traced = fx.symbolic_trace(lambda x: x.relu())
        >>> for node in traced.graph.nodes:
        ...     if node.target == "relu":
        ...         node.target = "sigmoid"
        >>> _ = traced.recompile()
        >>> traced(torch.zeros(1))
        tensor([0.5000])
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        # each has a class of its own, so that forward can be a method
        base = next(c for c in cls.__mro__ if "_is_own" not in vars(c))
        return super().__new__(type(base.__name__, (base,), {"_is_own": True}))

    def __init__(
        self, root: Module | dict[str, Any], graph: Graph, class_name: str = "GraphModule"
    ) -> None:
        super().__init__()
        type(self).__name__ = type(self).__qualname__ = class_name
        type(self).__module__ = __name__
        if isinstance(root, Module):
            if hasattr(root, "training"):
                self.training = root.training
        targets = [n.target for n in graph.nodes if n.op in ("get_attr", "call_module")]
        for target in (
            sorted(set(targets), key=lambda t: t.count(".")) if isinstance(root, dict) else targets
        ):
            if isinstance(root, Module):
                take_over(root, self, target)
            elif target in root:
                assign(root[target], self, target)
            else:
                raise RuntimeError(
                    f"GraphModule: the graph names {target!r}, which is not among the attributes "
                    f"given: {sorted(root)}"
                )
        self.graph = graph
        self.meta: dict[str, Any] = dict(getattr(root, "meta", {}))

    @property
    def graph(self) -> Graph:
        """The graph. What is assigned is compiled."""
        return self._graph

    @graph.setter
    def graph(self, g: Graph) -> None:
        if not isinstance(g, Graph):
            raise AssertionError(f"GraphModule.graph must be a Graph, but is a {type(g).__name__}")
        self._graph = g
        g.owning_module = self
        self.recompile()

    @property
    def code(self) -> str:
        """The Python that the graph stands for."""
        return self._code

    def recompile(self) -> Any:
        """Make the code anew after a change of the graph; returns it, see `Graph.python_code`."""
        made = self._graph.python_code("self")
        self._code = made.src
        type(self).forward = compiled(made.src, dict(made.globals))  # type: ignore[method-assign]
        return made

    def add_submodule(self, target: str, m: Module) -> bool:
        """Install a module under a name with dots, and what is missing on the way; False where
        something else than a module is on the way.
        """
        *prefix, name = target.split(".")
        at: Module = self
        for part in prefix:
            if not hasattr(at, part):
                setattr(at, part, Module())
            at = getattr(at, part)
            if not isinstance(at, Module):
                return False
        at.add_module(name, m)
        return True

    def delete_submodule(self, target: str) -> bool:
        """Remove the module of a name with dots; whether there was one."""
        *prefix, name = target.split(".")
        at: Any = self
        for part in prefix:
            at = getattr(at, part, None)
        if not isinstance(at, Module) or not isinstance(getattr(at, name, None), Module):
            return False
        delattr(at, name)
        return True

    def delete_all_unused_submodules(self) -> None:
        """Remove the modules that the graph does not name, nor anything in them."""
        used: set[str] = set()
        for node in self.graph.nodes:
            if node.op in ("call_module", "get_attr"):
                parts = node.target.split(".")
                used.update(".".join(parts[:i]) for i in range(1, len(parts) + 1))
                if node.op == "call_module":
                    inner = self.get_submodule(node.target).named_modules()
                    used.update(f"{node.target}.{name}" for name, _ in inner)
        for name in [n for n, _ in self.named_modules() if n and n not in used]:
            self.delete_submodule(name)

    def print_readable(self, print_output: bool = True, **options: Any) -> str:
        """Print the code as a class; returns the text."""
        head, *lines = self.code.strip().splitlines()
        if not any([n.stack_trace for n in self.graph.nodes]):
            lines.insert(0, "    # No stacktrace found for following nodes")
        body = "\n".join([f"    {line}".rstrip() for line in (head, *lines)])
        text = f"class {type(self).__name__}(torch.nn.Module):\n{body}\n"
        if print_output:
            print(text)
        return text

    def to_folder(self, folder: Any, module_name: str = "FxModule") -> None:
        """Write the module to a folder, as a package: its code in ``module.py``, its tensors and
        modules in ``state_dict.pt``, from which the class there fills itself.

        Args:
            folder: where; made if it is missing.
            module_name: the name of the class.
        """
        folder = Path(folder)
        folder.mkdir(exist_ok=True)
        save(dict(self.named_children()), folder / "modules.pt")
        save(self.state_dict(), folder / "state_dict.pt")
        lines = ["import rushlight as torch", "from pathlib import Path", "from math import *", ""]
        lines += [f"class {module_name}(torch.nn.Module):", "    def __init__(self):"]
        lines += ["        super().__init__()", "        here = Path(__file__).parent"]
        load = "torch.load(here / 'modules.pt', weights_only=False)"
        lines += [f"        for name, module in {load}.items():"]
        lines += ["            self.add_module(name, module)"]
        for name, p in self._parameters.items():
            lines += [f"        self.{name} = torch.nn.Parameter(torch.empty({tuple(p.shape)}))"]
        for name, b in self._buffers.items():
            made = f"torch.empty({tuple(b.shape)}, dtype={b.dtype})"
            lines += [f"        self.register_buffer({name!r}, {made})"]
        lines += ["        self.load_state_dict(torch.load(here / 'state_dict.pt'))", ""]
        lines += [f"    {line}".rstrip() for line in self.code.strip().splitlines()]
        (folder / "module.py").write_text("\n".join(lines) + "\n")
        (folder / "__init__.py").write_text("from .module import *\n")

    def __reduce__(self) -> Any:
        state = {k: v for k, v in self.__dict__.items() if k != "_graph"}
        made = self._graph.python_code("self")
        names = {k: v for k, v in made.globals.items() if k != "torch"}
        return rebuild, (state, made.src, names, type(self).__name__)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__reduce__()

    def __deepcopy__(self, memo: dict[int, Any]) -> GraphModule:
        state = {k: v for k, v in self.__dict__.items() if k != "_graph"}
        made = object.__new__(type(GraphModule.__new__(GraphModule)))
        memo[id(self)] = made
        made.__dict__.update(copy.deepcopy(state, memo))
        return finished(made, copy.deepcopy(self._graph, memo), type(self).__name__)

    def __copy__(self) -> GraphModule:
        return GraphModule(self, self._graph)

    def __str__(self) -> str:
        text = super().__repr__()
        note = "# To see more debug info, please use `graph_module.print_readable()`"
        return f"{text}\n{self._code}\n{note}"


def finished(made: GraphModule, graph: Graph, name: str) -> GraphModule:
    """A module that has its attributes, with its graph."""
    type(made).__name__ = type(made).__qualname__ = name
    type(made).__module__ = __name__
    made.graph = graph
    return made


def rebuild(state: dict[str, Any], src: str, names: dict[str, Any], name: str) -> GraphModule:
    """A saved module: its code is traced, which gives the graph again."""
    from rushlight.fx.tracer import Tracer  # which makes graph modules

    class AllLeaves(Tracer):
        def is_leaf_module(self, m: Module, module_qualified_name: str) -> bool:
            return True

    made = object.__new__(type(GraphModule.__new__(GraphModule)))
    made.__dict__.update(state)
    source = Module.__new__(type("Source", (Module,), {}))
    source.__dict__.update(state)
    type(source).forward = compiled(src, {"torch": package(), **names})  # type: ignore[method-assign]
    return finished(made, AllLeaves().trace(source), name)


def take_over(source: Module, to: Module, target: str) -> None:
    """Give ``to`` the attribute of a name with dots that ``source`` has."""
    *prefix, name = target.split(".")
    found: Any = source
    for part in prefix:
        found = getattr(found, part)
        inner = getattr(to, part, None)
        if inner is found:
            return  # it came with a module around it
        if inner is None:
            inner = Module()
            setattr(to, part, inner)
        to = inner
    value = getattr(found, name)
    if name in getattr(found, "_buffers", {}):
        to.register_buffer(name, value, name not in found._non_persistent_buffers_set)
    else:
        assign(value, to, name)


def assign(value: Any, to: Module, target: str) -> None:
    """Set an attribute of a name with dots. A tensor becomes a buffer."""
    *prefix, name = target.split(".")
    for part in prefix:
        if not hasattr(to, part):
            setattr(to, part, Module())
        to = getattr(to, part)
    if isinstance(value, Tensor) and not isinstance(value, Parameter):
        to.register_buffer(name, value)
    else:
        setattr(to, name, value)
