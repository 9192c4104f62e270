"""Settings of ``compile`` that programs change, under PyTorch's name for them.

``config.recompile_limit`` (``cache_size_limit``): how often a function is captured, at most. The
other settings have no effect.
"""

from collections.abc import Callable
from typing import Any

from rushlight._dynamo import eval_frame as eval_frame
from rushlight._dynamo.eval_frame import OptimizedModule as OptimizedModule
from rushlight.compiler import allow_in_graph as allow_in_graph
from rushlight.compiler import assume_constant_result as assume_constant_result
from rushlight.compiler import compile as _compile
from rushlight.compiler import disable as disable
from rushlight.compiler import explain as explain
from rushlight.compiler import is_compiling as is_compiling
from rushlight.compiler import list_backends as list_backends
from rushlight.compiler import reset as reset
from rushlight.config import compile_options as config

__all__ = [
    "allow_in_graph", "assume_constant_result", "config", "disable", "disallow_in_graph", "explain",
    "graph_break", "is_compiling", "is_dynamo_supported", "list_backends", "mark_dynamic",
    "mark_static", "mark_static_address", "maybe_mark_dynamic", "optimize", "reset",
]  # fmt: skip


def is_dynamo_supported() -> bool:
    """Whether ``compile`` works with this version of Python: always."""
    return True


def mark_static_address(t: Any, guard: bool = False) -> None:
    """Nothing: a program follows the tensors that it reads."""


def mark_dynamic(t: Any, index: int | list[int] | tuple[int, ...], **bounds: Any) -> None:
    """Nothing: sizes are part of a program, and a new size makes a new one."""


maybe_mark_dynamic = mark_static = mark_dynamic


def graph_break(msg: str = "") -> None:
    """Nothing: a call is captured as a whole, with what stands after this, too."""


def disallow_in_graph(fn: Callable[..., Any]) -> Callable[..., Any]:
    """``fn``: what it computes is captured like anything else."""
    return fn


def optimize(*args: Any, **options: Any) -> Callable[..., Any]:
    """The older way to write ``torch.compile``, as a decorator: its arguments are those of compile,
    with the backend first.

    Example:
        >>> import rushlight as torch
        >>> from rushlight import _dynamo
        >>> _dynamo.optimize("inductor")(lambda x: x + 1)(torch.ones(2))
        tensor([2., 2.])
    """
    if args:
        options["backend"] = args[0]
    if "nopython" in options:
        options["fullgraph"] = options.pop("nopython")
    return lambda fn: _compile(fn, **options)
