"""Settings of ``compile`` that programs change, under PyTorch's name for them.

``config.recompile_limit`` (``cache_size_limit``): how often a function is captured, at most. The
other settings have no effect.
"""

from collections.abc import Callable
from typing import Any

from rushlight._dynamo import config as config, eval_frame as eval_frame
from rushlight._dynamo.eval_frame import OptimizedModule as OptimizedModule
from rushlight.compiler import (
    allow_in_graph as allow_in_graph,
    assume_constant_result as assume_constant_result,
    compile as _compile,
    disable as disable,
    explain as _explain,
    is_compiling as is_compiling,
    list_backends as list_backends,
    reset as reset,
)

__all__ = [
    "allow_in_graph", "assume_constant_result", "config", "disable", "disallow_in_graph", "explain",
    "graph_break", "is_compiling", "is_dynamo_supported", "list_backends", "mark_dynamic",
    "mark_static", "mark_static_address", "maybe_mark_dynamic", "optimize", "reset",
]  # fmt: skip


class Explanation(str):
    """What `explain` tells, to be printed; and in numbers.

    Attributes:
        graph_count: programs, of which each is a whole call.
        graph_break_count: 0; 1 where the function runs eagerly.
        op_count: what programs compute, in operations.
        break_reasons: why the function runs eagerly, if it does.
    """

    graph_count = graph_break_count = op_count = 0
    break_reasons: list[str]


def explain(f: Any, *extra_args: Any, **extra_kwargs: Any) -> Any:
    """What ``compile`` makes of a function, see `compiler.explain`: ``explain(f)(*args)`` compiles
    and calls it. With what ``compile`` returned, ``explain(f, *args)``.

    Returns: an `Explanation`, or a function of arguments that does.

    Example:
        >>> import rushlight as torch
        >>> from rushlight import _dynamo
        >>> told = _dynamo.explain(lambda x: (x + 1).relu())(torch.ones(2))
        >>> told.graph_count, told.graph_break_count, told.op_count
        (1, 0, 2)
    """
    if hasattr(f, "_compiled") or getattr(f, "_compiled_call_impl", None) is not None:
        return _explained(f, extra_args, extra_kwargs)

    def of_call(*args: Any, **kwargs: Any) -> Explanation:
        return _explained(_compile(getattr(f, "_call_impl", f)), args, kwargs)

    return of_call(*extra_args, **extra_kwargs) if extra_args or extra_kwargs else of_call


def _explained(function: Any, args: Any, kwargs: Any) -> Explanation:
    told = Explanation(_explain(function, *args, **kwargs))
    compiled = getattr(function, "_compiled", None) or function._compiled_call_impl._compiled
    variants = [v for group in compiled.variants.values() for v in group]
    told.graph_count, told.op_count = len(variants), sum([len(v.graph.nodes) for v in variants])
    told.break_reasons = [] if compiled.eager is None else [compiled.eager]
    told.graph_break_count = len(told.break_reasons)
    return told


def is_dynamo_supported() -> bool:
    """Whether ``compile`` works with this version of Python: always."""
    return True


def mark_static_address(t: Any, guard: bool = False) -> None:
    """Nothing: a program follows the tensors that it reads."""


def mark_dynamic(t: Any, index: int | list[int] | tuple[int, ...], **bounds: Any) -> None:
    """Nothing: sizes are part of a program, and a new size makes a new one."""


maybe_mark_dynamic = mark_dynamic


def mark_static(t: Any, index: int | list[int] | tuple[int, ...] | None = None) -> None:
    """Nothing: all sizes are part of a program."""


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
