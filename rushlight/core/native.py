"""Compiled kernels for eager code: ops offer their work, and a compiler may take it.

Core and ops know no compiler. An op that a kernel does better than NumPy (``compiled``) asks
``kernels.find(op, arrays, params)`` when its first array has at least ``least`` elements; the
answer is what its ``eager`` would return, or None, and then NumPy computes. Whoever imports
rushlight provides the finder; the first large array loads it.

Note [Kernels and bits]
A kernel's result may differ from NumPy's in the last place, so which of the two computes depends on
nothing but the op, its parameters, and the dtypes, shapes and layouts of its inputs: equal calls
give equal bits, the first one too, on every run. Hence a kernel is compiled when it is first met.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LEAST = 8192  # elements: with fewer, finding and calling a kernel costs more than it saves
Finder = Callable[[Any, Any, dict[str, Any]], Any]


class Kernels:
    """``find``, and whether it is asked."""

    __slots__ = ("find", "on")

    find: Finder

    def __init__(self) -> None:
        self.on = False


kernels = Kernels()


def provide(load: Callable[[], Finder | None]) -> None:
    """Let ``load()`` give the finder, when the first op asks; None: there are no kernels here."""

    def first(op: Any, arrays: Any, params: dict[str, Any]) -> Any:
        found = load()
        if found is None:
            kernels.on = False
            return None
        kernels.find = found
        return found(op, arrays, params)

    kernels.find, kernels.on = first, True


@contextmanager
def without_kernels() -> Iterator[None]:
    """Within it NumPy computes everything."""
    on, kernels.on = kernels.on, False
    try:
        yield
    finally:
        kernels.on = on
