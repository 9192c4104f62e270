"""Pages that show the history of a GPU's memory: not supported, since none is recorded. The names
are here so that programs that only mention them run.
"""

from __future__ import annotations

from typing import Any, NoReturn

from rushlight.errors import NotSupportedError


def trace_plot(
    data: Any, device: Any = None, plot_segments: bool = False, filter_freed: bool = False
) -> NoReturn:
    """Raises: there is no history of allocations."""
    raise unrecorded("trace_plot")


def profile_plot(profile: Any, device: Any = None) -> NoReturn:
    """Raises: there is no history of allocations."""
    raise unrecorded("profile_plot")


def unrecorded(name: str) -> NotSupportedError:
    """The error of function ``name``."""
    return NotSupportedError(
        f"cuda._memory_viz.{name}: the history of GPU memory is not recorded. Print "
        "cuda.memory_summary(), or cuda.max_memory_allocated() after each part of the program."
    )
