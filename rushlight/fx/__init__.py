"""Programs written down as graphs of Python calls: not available. `torch.compile` sees through what
runs, so no module has to be rewritten. ``wrap`` is there for libraries that mark their functions;
the classes are for ``isinstance``.
"""

from __future__ import annotations

from typing import Any, NoReturn

from rushlight.errors import NotSupportedError
from rushlight.nn.modules.module import Module

__all__ = ["Graph", "GraphModule", "Interpreter", "Node", "Proxy", "Tracer", "symbolic_trace",
           "wrap"]  # fmt: skip


def wrap(fn_or_name: Any) -> Any:
    """``fn_or_name`` itself: a mark for a tracer, of which there is none.

    Example:
        >>> from rushlight import fx
        >>> fx.wrap("len")
        'len'
    """
    return fn_or_name


def _refuse(name: str) -> NoReturn:
    raise NotSupportedError(
        f"fx.{name}: there is no symbolic tracing. Use compile for speed, hooks or submodules for "
        "what is inside a module."
    )


def symbolic_trace(root: Any, concrete_args: Any = None) -> Any:
    """Raises: there is no symbolic tracing."""
    _refuse("symbolic_trace")


class _Absent:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse(type(self).__name__)


class Graph(_Absent):
    """A name for ``isinstance``."""


class GraphModule(Module):
    """A name for ``isinstance``: making one raises."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse("GraphModule")


class Interpreter(_Absent):
    """A name for ``isinstance``."""


class Node(_Absent):
    """A name for ``isinstance``."""


class Proxy(_Absent):
    """A name for ``isinstance``."""


class Tracer(_Absent):
    """A name for ``isinstance``."""
