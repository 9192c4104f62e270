"""Backends of ``compile`` that count what they are given, or keep it.

Example:
    >>> import rushlight as torch
    >>> from rushlight._dynamo.testing import CompileCounter
    >>> counter = CompileCounter()
    >>> f = torch.compile(lambda x: (x + 1).relu(), backend=counter)
    >>> _ = f(torch.ones(2)), f(torch.ones(2)), f(torch.ones(3))
    >>> counter.frame_count, counter.op_count
    (2, 4)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.compiler import list_backends, reset as reset
from rushlight.testing import assert_close

__all__ = [
    "CompileCounter", "CompileCounterWithBackend", "EagerAndRecordGraphs", "reset", "same",
]  # fmt: skip


class CompileCounter:
    """A backend that runs graphs as they are.

    Attributes:
        frame_count: graphs so far.
        op_count: calls in them.
    """

    def __init__(self) -> None:
        self.clear()

    def __call__(self, gm: Any, example_inputs: list[Any]) -> Callable[..., Any]:
        self.frame_count += 1
        self.op_count += sum([node.op.startswith("call_") for node in gm.graph.nodes])
        return gm.forward

    def clear(self) -> None:
        """Count from zero."""
        self.frame_count = self.op_count = 0


class CompileCounterWithBackend(CompileCounter):
    """A `CompileCounter` that keeps the graphs too.

    Args:
        backend: a name of `compiler.list_backends`; graphs run as they are under any.

    Attributes:
        graphs: those so far, each a `fx.GraphModule`.
    """

    def __init__(self, backend: str) -> None:
        if backend not in (known := ["eager", *list_backends()]):
            raise ValueError(f"CompileCounterWithBackend: {backend!r} is none of {known}.")
        super().__init__()
        self.backend = backend

    def __call__(self, gm: Any, example_inputs: list[Any]) -> Callable[..., Any]:
        self.graphs.append(gm)
        return super().__call__(gm, example_inputs)

    def clear(self) -> None:
        super().clear()
        self.graphs: list[Any] = []


class EagerAndRecordGraphs:
    """A backend that runs graphs as they are, and keeps them in ``graphs``."""

    def __init__(self) -> None:
        self.graphs: list[Any] = []

    def __call__(self, gm: Any, example_inputs: list[Any]) -> Callable[..., Any]:
        self.graphs.append(gm)
        return gm.forward


def same(a: Any, b: Any, tol: float = 1e-4, equal_nan: bool = False) -> bool:
    """Whether two results, nested alike, are close.

    Args:
        tol: how far elements may be apart, absolutely and relatively.
        equal_nan: whether NaN is equal to itself.
    """
    try:
        assert_close(a, b, rtol=tol, atol=tol, equal_nan=equal_nan)
    except AssertionError:
        return False
    return True
