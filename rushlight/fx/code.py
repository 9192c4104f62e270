"""The Python that a graph stands for."""

from __future__ import annotations

import builtins
import importlib
import math
import re
import typing
from types import GenericAlias
from typing import TYPE_CHECKING, Any, NamedTuple

from rushlight.devices import device
from rushlight.dtypes import dtype
from rushlight.fx.names import Namespace, qualified
from rushlight.fx.node import Node, map_arg, type_name

if TYPE_CHECKING:
    from rushlight.fx.graph import Graph

OPERATORS = {
    "add": "{} + {}", "sub": "{} - {}", "mul": "{} * {}", "floordiv": "{} // {}",
    "truediv": "{} / {}", "mod": "{} % {}", "pow": "{} ** {}", "lshift": "{} << {}",
    "rshift": "{} >> {}", "and_": "{} & {}", "or_": "{} | {}", "xor": "{} ^ {}",
    "getitem": "{}[{}]", "matmul": "{} @ {}", "eq": "{} == {}", "ne": "{} != {}",
    "lt": "{} < {}", "gt": "{} > {}", "le": "{} <= {}", "ge": "{} >= {}", "pos": "+{}",
    "neg": "-{}", "invert": "~{}",
}  # fmt: skip
IN_PLACE = {
    "iadd": "{} += {}", "iand": "{} &= {}", "ifloordiv": "{} //= {}", "ilshift": "{} <<= {}",
    "imod": "{} %= {}", "imul": "{} *= {}", "imatmul": "{} @= {}", "ior": "{} |= {}",
    "ipow": "{} **= {}", "irshift": "{} >>= {}", "isub": "{} -= {}", "itruediv": "{} /= {}",
    "ixor": "{} ^= {}", "setitem": "{}[{}] = {}",
}  # fmt: skip


def package() -> Any:
    """What code calls torch."""
    return importlib.import_module("rushlight")


class PythonCode(NamedTuple):
    """Python text, and the global names that it needs."""

    src: str
    globals: dict[str, Any]


class Writer:
    """Writes the function of one graph."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.globals: dict[str, Any] = {}
        self.names = Namespace()
        self.wrapped: dict[str, None] = {}

    def global_name(self, hint: str, value: Any) -> str:
        """The name by which the code finds a value from outside."""
        if getattr(builtins, hint, None) is value:
            return hint
        if hint.split(".")[0] == "torch":
            self.globals["torch"] = package()
            return hint
        name = hint.replace(".", "_")
        if value in (device, type(None)):
            self.globals[name] = value
        if self.globals.get(name) is value:
            return name
        name = self.names.create_name(name)
        self.globals[name] = value
        return name

    def type_text(self, kind: Any) -> str:
        """An annotation."""
        text = type_name(kind)
        if isinstance(kind, type) and not isinstance(kind, GenericAlias):
            return self.global_name(text, kind)
        if isinstance(kind, str):
            return self.global_name(re.sub(r"\W+", "_", text), kind)
        origin = getattr(kind, "__origin__", None)
        if origin is None:
            return self.global_name(text, kind)
        name = getattr(kind, "_name", None) or getattr(origin, "_name", None)
        name = "Union" if name == "Optional" else name
        if name is None or isinstance(kind, GenericAlias):
            head = origin.__name__
        else:
            head = self.global_name(f"typing.{name}", getattr(typing, name))
        inner = [self.type_text(a) if a is not ... else "..." for a in kind.__args__]
        return f"{head}[{','.join(inner)}]"

    def text(self, arg: Any) -> str:
        """An argument."""
        if isinstance(arg, Node):
            return arg.name
        if isinstance(arg, tuple):
            if hasattr(arg, "_fields"):
                kind = type(arg)
                home = (
                    "torch.return_types" if "return_types" in kind.__module__ else kind.__module__
                )
                name = self.global_name(f"{home}.{kind.__name__}", kind)
                return f"{name}({', '.join(map(self.text, arg))})"
            return f"({', '.join(map(self.text, arg))}{',' * (len(arg) == 1)})"
        if isinstance(arg, list):
            return f"[{', '.join(map(self.text, arg))}]"
        if isinstance(arg, dict):
            return "{" + ", ".join([f"{k!r}: {self.text(v)}" for k, v in arg.items()]) + "}"
        if isinstance(arg, slice):
            return f"slice({self.text(arg.start)}, {self.text(arg.stop)}, {self.text(arg.step)})"
        if isinstance(arg, float) and not math.isfinite(arg):
            self.globals.update(inf=math.inf, nan=math.nan)
            return repr(arg)
        if isinstance(arg, device):
            return f"{self.global_name('device', device)}(type={arg.type!r})"
        if isinstance(arg, dtype) or repr(arg).startswith("torch."):
            return self.global_name(repr(arg), arg)
        if callable(arg) and hasattr(arg, "__name__"):
            return self.global_name(qualified(arg), arg)
        return repr(arg)

    def arguments(self, args: Any, kwargs: Any) -> str:
        """What stands between the parentheses of a call."""
        named = [f"{k} = {self.text(v)}" for k, v in kwargs.items()]
        return ", ".join([*map(self.text, args), *named])

    def attribute(self, target: str) -> str:
        """``self.layer.weight``; a part that is no name is asked for by getattr."""
        found = self.root
        for part in target.split("."):
            found = f"{found}.{part}" if part.isidentifier() else f'getattr({found}, "{part}")'
        return found

    def line(self, node: Node) -> str:
        """The statement of a node."""
        kind = f" : {self.type_text(node.type)}" if node.type is not None else ""
        head, args = f"{node.name}{kind} = ", node.args
        if node.op == "get_attr":
            return head + self.attribute(node.target)
        if node.op == "call_module":
            return f"{head}{self.attribute(node.target)}({self.arguments(args, node.kwargs)})"
        if node.op == "call_method":
            rest = self.arguments(args[1:], node.kwargs)
            return f"{head}{self.text(args[0])}.{node.target}({rest})"
        function = node.target
        module, name = getattr(function, "__module__", None), function.__name__
        if module == "_operator" and name in OPERATORS:
            return head + OPERATORS[name].format(*map(self.text, args))
        if module == "_operator" and name in IN_PLACE:
            statement = IN_PLACE[name].format(*map(self.text, args))
            return f"{statement};  {head}{self.text(args[0])}"
        if function is getattr and len(args) == 2 and isinstance(args[1], str):
            if args[1].isidentifier():
                return f"{head}{self.text(args[0])}.{args[1]}"
        called = self.global_name(qualified(function), function)
        if node.meta.get("is_wrapped"):
            self.wrapped[called] = None
        return f"{head}{called}({self.arguments(args, node.kwargs)})"

    def parameter(self, node: Node) -> str:
        """A placeholder in the function's head."""
        kind = f" : {self.type_text(node.type)}" if node.type is not None else ""
        default = f" = {self.text(node.args[0])}" if node.args else ""
        return f"{node.target}{kind}{default}"


def generate(graph: Graph, root: str) -> PythonCode:
    """The function ``forward`` of a graph. Values are dropped after their last use."""
    writer, parameters, body, returned = Writer(root), [], [], ""
    drops = last_uses(graph)
    for node in graph.nodes:
        if node.op == "placeholder":
            parameters.append(writer.parameter(node))
            plain = node.target.replace("*", "")
            if plain != node.name:
                body.append(f"{node.name} = {plain}")
        elif node.op == "output":
            if node.type is not None:
                returned = f" -> {writer.type_text(node.type)}"
            body.append(f"return {writer.text(node.args[0])}")
        else:
            dropped = [n.name for n in drops.get(node, ())]
            tail = f";  {' = '.join(dropped)} = None" if dropped else ""
            body.append(writer.line(node) + tail)
    wraps = "\n".join([f'torch.fx._symbolic_trace.wrap("{name}")' for name in writer.wrapped])
    if wraps:
        writer.globals["torch"] = package()
    head = f"def forward({', '.join([root, *parameters])}){returned}:"
    lines = "\n    ".join(body or ["pass"])
    return PythonCode(f"\n{wraps}\n\n{head}\n    {lines}\n    ", writer.globals)


def last_uses(graph: Graph) -> dict[Node, list[Node]]:
    """For each node the values that nobody needs after it."""
    seen: set[Node] = set()
    found: dict[Node, list[Node]] = {}
    for node in reversed(graph.nodes):

        def note(n: Node, user: Node = node) -> Node:
            if n not in seen:
                seen.add(n)
                found.setdefault(user, []).append(n)
            return n

        map_arg((node.args, node.kwargs), note)
        if not node.users and node.op not in ("placeholder", "output"):
            found.setdefault(node, []).append(node)
    return found


__all__ = ["PythonCode", "generate"]
