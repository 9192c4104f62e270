"""Settings of ``compile`` that programs change, under PyTorch's name for them.

``config.recompile_limit`` (``cache_size_limit``): how often a function is captured, at most. The
other settings have no effect.
"""

from typing import Any

from rushlight._dynamo import eval_frame as eval_frame
from rushlight._dynamo.eval_frame import OptimizedModule as OptimizedModule
from rushlight.compiler import allow_in_graph as allow_in_graph
from rushlight.compiler import assume_constant_result as assume_constant_result
from rushlight.compiler import disable as disable
from rushlight.compiler import explain as explain
from rushlight.compiler import is_compiling as is_compiling
from rushlight.compiler import list_backends as list_backends
from rushlight.compiler import reset as reset
from rushlight.config import compile_options as config

__all__ = [
    "allow_in_graph", "assume_constant_result", "config", "disable", "explain", "is_compiling",
    "list_backends", "mark_dynamic", "mark_static", "mark_static_address", "maybe_mark_dynamic",
    "reset",
]  # fmt: skip


def mark_static_address(t: Any, guard: bool = False) -> None:
    """Nothing: a program follows the tensors that it reads."""


def mark_dynamic(t: Any, index: int | list[int] | tuple[int, ...], **bounds: Any) -> None:
    """Nothing: sizes are part of a program, and a new size makes a new one."""


maybe_mark_dynamic = mark_static = mark_dynamic
