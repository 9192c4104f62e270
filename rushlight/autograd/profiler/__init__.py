"""Where time goes: ``profile`` in the form it had before ``rushlight.profiler``, and the parts that
both share: ``recorder`` collects events, ``tables`` shows them.
"""

from __future__ import annotations

from typing import Any

from rushlight.autograd.profiler.recorder import (
    FunctionEvent as FunctionEvent,
    Recorder,
    record_function,
)
from rushlight.autograd.profiler.tables import (
    EventList as EventList,
    FunctionEventAvg as FunctionEventAvg,
)
from rushlight.core.state import Mode

__all__ = ["EventList", "FunctionEvent", "emit_itt", "emit_nvtx", "profile", "record_function"]


class profile:
    """Records what runs inside the block.

    Args:
        enabled: whether to record.
        record_shapes: note the inputs' shapes.
        profile_memory: note the bytes of results.

    Example:
        >>> import rushlight as torch
        >>> with torch.autograd.profiler.profile() as prof:
        ...     y = torch.ones(3).exp()
        >>> prof.key_averages()[0].count
        1
    """

    def __init__(
        self,
        enabled: bool = True,
        *,
        use_cuda: bool = False,
        use_device: str | None = None,
        record_shapes: bool = False,
        with_flops: bool = False,
        profile_memory: bool = False,
        **options: Any,
    ) -> None:
        self.enabled, self.profile_memory = enabled, profile_memory
        self.record_shapes = record_shapes
        self.recorder: Recorder | None = None
        self.function_events = EventList(profile_memory=profile_memory)

    def __enter__(self) -> profile:
        if self.enabled:
            self.recorder = Recorder(self.record_shapes, self.profile_memory)
            self.recorder.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.recorder is not None:
            self.recorder.stop()
            self.function_events = EventList(
                self.recorder.events, profile_memory=self.profile_memory
            )

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0, **kwargs: Any
    ) -> EventList:
        """One row per name."""
        return self.function_events.key_averages(group_by_input_shape)

    def table(self, sort_by: str | None = None, row_limit: int = 100, **kwargs: Any) -> str:
        """All events as text."""
        return self.function_events.table(sort_by, row_limit, **kwargs)

    def total_average(self) -> FunctionEventAvg:
        """Everything in one row."""
        return self.function_events.total_average()

    def export_chrome_trace(self, path: str) -> None:
        """Write the events as JSON for Chrome's viewer."""
        self.function_events.export_chrome_trace(path)

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of all events."""
        return self.function_events.self_cpu_time_total

    def __str__(self) -> str:
        return self.table()


class emit_nvtx(Mode):
    """Accepted: there is no GPU to mark ranges for."""

    def __init__(self, enabled: bool = True, record_shapes: bool = False) -> None: ...


class emit_itt(emit_nvtx):
    """Accepted: there is no such tool to mark ranges for."""
