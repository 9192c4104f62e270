"""The modules that a model calls, as a graph: nodes are leaf modules in order of their calls."""

from __future__ import annotations

from typing import Any

from rushlight.core.state import GradMode
from rushlight.core.tensor import Tensor
from rushlight.utils.tensorboard.records import field


def node(name: str, op: str, inputs: list[str]) -> bytes:
    """A NodeDef in a GraphDef."""
    return field(1, field(1, name) + field(2, op) + b"".join([field(3, i) for i in inputs]))


def graph_of(model: Any, args: Any) -> bytes:
    """A GraphDef from one call of the model.

    A module's inputs are the modules that made them, as far as they pass on the same tensor; where
    functions stand between, the module called before.
    """
    args = args if isinstance(args, (tuple, list)) else (args,)
    made: dict[int, str] = {}
    kept: list[Any] = []  # so that no id is used twice
    nodes: list[bytes] = []
    last = [f"input/{i}" for i, a in enumerate(args) if isinstance(a, Tensor)]
    for i, a in enumerate(args):
        if isinstance(a, Tensor):
            made[id(a)] = f"input/{i}"
            nodes.append(node(f"input/{i}", "IO Node", []))

    def watch(path: str, module: Any) -> Any:
        def after(module: Any, inputs: Any, output: Any) -> None:
            sources = [made[id(x)] for x in inputs if id(x) in made] or last[-1:]
            name, n = path, 1
            while name in names:  # called again
                n += 1
                name = f"{path}_{n}"
            names.add(name)
            nodes.append(node(name, type(module).__name__, sources))
            last.append(name)
            for x in output if isinstance(output, (tuple, list)) else (output,):
                made[id(x)] = name
                kept.append(x)

        return module.register_forward_hook(after)

    names: set[str] = set()
    handles = [
        watch(full_name(model, path), m) for path, m in model.named_modules() if not has_children(m)
    ]
    try:
        with GradMode(False):
            model(*args)
    finally:
        for handle in handles:
            handle.remove()
    nodes.append(node("output/0", "IO Node", last[-1:]))
    return b"".join(nodes)


def has_children(module: Any) -> bool:
    """Whether a module holds others."""
    return any(True for _ in module.children())


def full_name(model: Any, path: str) -> str:
    """``Net/Sequential[body]/Linear[0]``."""
    names, module = [type(model).__name__], model
    for part in path.split(".") if path else []:
        module = getattr(module, part)
        names.append(f"{type(module).__name__}[{part}]")
    return "/".join(names)
