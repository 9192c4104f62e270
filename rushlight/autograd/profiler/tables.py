"""Events as a table, as averages by name, and as a trace that Chrome's viewer reads."""

from __future__ import annotations

import json
import os
from typing import Any

from rushlight.autograd.profiler.recorder import FunctionEvent

KEYS = (
    "cpu_time", "cpu_time_total", "self_cpu_time_total", "cpu_memory_usage",
    "self_cpu_memory_usage", "count",
)  # fmt: skip


def time_text(us: float) -> str:
    """Microseconds with a unit that suits them."""
    if us >= 1e6:
        return f"{us / 1e6:.3f}s"
    return f"{us / 1e3:.3f}ms" if us >= 1e3 else f"{us:.3f}us"


def memory_text(size: int) -> str:
    """Bytes with a unit that suits them."""
    for power, unit in ((30, "GB"), (20, "MB"), (10, "KB")):
        if abs(size) >= 1 << power:
            return f"{size / (1 << power):.2f} {unit}"
    return f"{size} B"


def share_text(part: float, total: float) -> str:
    """A percentage."""
    return f"{100 * part / total:.2f}%" if total else "NaN"


class FunctionEventAvg:
    """All events of one name."""

    def __init__(self, key: str, input_shapes: Any = "") -> None:
        self.key, self.input_shapes, self.count = key, input_shapes, 0
        self.cpu_time_total = self.self_cpu_time_total = 0.0
        self.cpu_memory_usage = self.self_cpu_memory_usage = 0
        self.cpu_children: list[FunctionEvent] = []
        self.device_time = self.device_time_total = self.self_device_time_total = 0.0
        self.cuda_time = self.cuda_time_total = self.self_cuda_time_total = 0.0

    @property
    def cpu_time(self) -> float:
        """Microseconds per call."""
        return self.cpu_time_total / self.count if self.count else 0.0

    cpu_time_str = property(lambda self: time_text(self.cpu_time))
    cpu_time_total_str = property(lambda self: time_text(self.cpu_time_total))
    self_cpu_time_total_str = property(lambda self: time_text(self.self_cpu_time_total))

    def add(self, event: Any) -> FunctionEventAvg:
        """Count an event, or the events of another average."""
        self.count += event.count
        self.cpu_time_total += event.cpu_time_total
        self.self_cpu_time_total += event.self_cpu_time_total
        self.cpu_memory_usage += event.cpu_memory_usage
        self.self_cpu_memory_usage += event.self_cpu_memory_usage
        return self

    def __repr__(self) -> str:
        return (
            f"<FunctionEventAvg key={self.key} self_cpu_time={time_text(self.self_cpu_time_total)} "
            f"cpu_time={time_text(self.cpu_time)} count={self.count} "
            f"input_shapes={self.input_shapes} cpu_memory_usage={self.cpu_memory_usage}>"
        )


class EventList(list[Any]):
    """Events, or averages of them."""

    def __init__(self, *args: Any, profile_memory: bool = False, **kwargs: Any) -> None:
        super().__init__(*args)
        self._profile_memory = profile_memory
        self._whole: float | None = None  # an average's list: the microseconds of all events

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of all events, each counted once."""
        if self._whole is not None:
            return self._whole
        return float(sum([e.self_cpu_time_total for e in self]))

    def key_averages(
        self, group_by_input_shapes: bool = False, group_by_stack_n: int = 0, **kwargs: Any
    ) -> EventList:
        """One row per name (and input shapes), in order of first appearance."""
        found: dict[Any, FunctionEventAvg] = {}
        for event in self:
            shapes = str(event.input_shapes) if group_by_input_shapes else ""
            average = found.get((event.key, shapes))
            if average is None:
                average = found[event.key, shapes] = FunctionEventAvg(event.key, shapes)
            average.add(event)
        averages = EventList(found.values(), profile_memory=self._profile_memory)
        averages._whole = self.self_cpu_time_total
        return averages

    def total_average(self) -> FunctionEventAvg:
        """Everything in one row."""
        total = FunctionEventAvg("Total")
        for event in self:
            total.add(event)
        return total

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int = 75,
        max_name_column_width: int = 55,
        max_shapes_column_width: int = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
        time_unit: str | None = None,
    ) -> str:
        """The events as text.

        Args:
            sort_by: "cpu_time", "cpu_time_total", "self_cpu_time_total", "cpu_memory_usage",
                "self_cpu_memory_usage" or "count"; largest first. Other keys of torch, such as
                "cuda_time_total", leave the order as it is.
            row_limit: how many rows; -1 for all.
            max_name_column_width, max_shapes_column_width: longer texts are cut.
            header: a line above the table.
            top_level_events_only: leave out what ran inside something else.
        """
        events = list(self)
        if top_level_events_only:
            events = [e for e in events if getattr(e, "cpu_parent", None) is None]
        if sort_by in KEYS:
            events.sort(key=lambda e: getattr(e, str(sort_by)), reverse=True)
        rows = [self._row(e, max_name_column_width, max_shapes_column_width) for e in events]
        rows = rows if row_limit < 0 else rows[:row_limit]
        names = self._columns(events)
        widths = [
            max([len(n), 12, *[len(r[i]) for r in rows]]) + (0 if i else 2)
            for i, n in enumerate(names)
        ]
        rule = "  ".join(["-" * w for w in widths]) + "  "
        lines = [] if header is None else ["=" * len(rule), header]
        lines += [rule, _line(names, widths), rule, *[_line(r, widths) for r in rows], rule]
        lines.append(f"Self CPU time total: {time_text(self.self_cpu_time_total)}")
        return "\n".join(lines) + "\n"

    def _shows_shapes(self, events: Any) -> bool:
        return any([e.input_shapes for e in events])

    def _columns(self, events: Any) -> list[str]:
        names = ["Name", "Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg"]
        if self._profile_memory:
            names += ["CPU Mem", "Self CPU Mem"]
        return [*names, "# of Calls", *(["Input Shapes"] if self._shows_shapes(events) else [])]

    def _row(self, e: Any, name_width: int, shapes_width: int) -> list[str]:
        whole = self.self_cpu_time_total
        name = e.key if len(e.key) <= name_width else e.key[: name_width - 3] + "..."
        row = [
            name,
            share_text(e.self_cpu_time_total, whole),
            time_text(e.self_cpu_time_total),
            share_text(e.cpu_time_total, whole),
            time_text(e.cpu_time_total),
            time_text(e.cpu_time),
        ]
        if self._profile_memory:
            row += [memory_text(e.cpu_memory_usage), memory_text(e.self_cpu_memory_usage)]
        row.append(str(e.count))
        if self._shows_shapes(self):
            row.append(str(e.input_shapes or "[]")[:shapes_width])
        return row

    def __str__(self) -> str:
        return self.table()

    def export_chrome_trace(self, path: str) -> None:
        """Write the events as JSON for chrome://tracing or ui.perfetto.dev."""
        pid = os.getpid()
        events = [
            {
                "ph": "X",
                "cat": e.kind,
                "name": e.name,
                "pid": pid,
                "tid": e.thread,
                "ts": e.start_us,
                "dur": e.cpu_time_total,
                "args": {"Input Dims": e.input_shapes} if e.input_shapes else {},
            }
            for e in self
        ]
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"displayTimeUnit": "ms", "traceEvents": events}, file)


def _line(texts: list[str], widths: list[int]) -> str:
    return "  ".join([t.rjust(w) for t, w in zip(texts, widths, strict=True)]) + "  "
