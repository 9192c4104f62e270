"""Timing snippets of code: ``Timer`` measures, ``Measurement`` holds what was found, ``Compare``
shows several side by side.
"""

from __future__ import annotations

import contextlib
import math
import statistics
import timeit
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rushlight import tensor_api

__all__ = ["Compare", "Measurement", "TaskSpec", "Timer", "ordered_unique", "select_unit", "timer",
           "trim_sigfig", "unit_to_english"]  # fmt: skip

timer = timeit.default_timer
UNITS = ((1e-9, "ns"), (1e-6, "us"), (1e-3, "ms"), (1.0, "s"))


def select_unit(t: float) -> tuple[str, float]:
    """The unit that suits t seconds, and its size in seconds."""
    for size, name in reversed(UNITS):
        if t >= size:
            return name, size
    return "ns", 1e-9


def trim_sigfig(x: float, n: int) -> float:
    """x rounded to n significant digits."""
    if not x:
        return 0.0
    return round(x, n - 1 - math.floor(math.log10(abs(x))))


def unit_to_english(u: str) -> str:
    """The name of a unit of time."""
    return {"ns": "nanosecond", "us": "microsecond", "ms": "millisecond", "s": "second"}[u]


def ordered_unique(elements: Iterable[Any]) -> list[Any]:
    """Each element once, in the order of their first places."""
    return list(dict.fromkeys(elements))


@dataclass(frozen=True)
class TaskSpec:
    """What was measured."""

    stmt: str
    setup: str = "pass"
    global_setup: str = ""
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    env: str | None = None
    num_threads: int = 1

    @property
    def title(self) -> str:
        """The label, with the sub-label."""
        if self.label is not None:
            return self.label + (f": {self.sub_label}" if self.sub_label else "")
        return self.stmt


@dataclass
class Measurement:
    """Times of a task; all are in seconds."""

    number_per_run: int
    raw_times: list[float]
    task_spec: TaskSpec
    metadata: dict[Any, Any] | None = field(default=None, repr=False)

    @property
    def times(self) -> list[float]:
        """Seconds per execution, of each run."""
        return [t / self.number_per_run for t in self.raw_times]

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.times)

    @property
    def iqr(self) -> float:
        """The range of the middle half of the runs."""
        if len(self.raw_times) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.times, n=4, method="inclusive")
        return high - low

    @property
    def significant_figures(self) -> int:
        """How many digits of the median mean something."""
        if len(self.raw_times) < 2 or not self.iqr:
            return 3
        spread = self.iqr / 1.35 / math.sqrt(len(self.raw_times)) / self.median
        return min(max(math.ceil(-math.log10(2 * spread)) + 1, 1), 5)

    @property
    def has_warnings(self) -> bool:
        """Whether the middle half is spread over more than a tenth of the median."""
        return self.iqr / self.median > 0.1

    # what was measured

    stmt = property(lambda self: self.task_spec.stmt)
    setup = property(lambda self: self.task_spec.setup)
    global_setup = property(lambda self: self.task_spec.global_setup)
    label = property(lambda self: self.task_spec.label)
    sub_label = property(lambda self: self.task_spec.sub_label)
    description = property(lambda self: self.task_spec.description)
    env = property(lambda self: self.task_spec.env)
    num_threads = property(lambda self: self.task_spec.num_threads)
    title = property(lambda self: self.task_spec.title)

    @property
    def as_row_name(self) -> str:
        return self.task_spec.sub_label or self.task_spec.stmt

    def meets_confidence(self, threshold: float = 0.2) -> bool:
        """Whether the middle half is narrower than ``threshold`` times the median."""
        return self.iqr / self.median < threshold

    @staticmethod
    def merge(measurements: Iterable[Measurement]) -> list[Measurement]:
        """Measurements of the same task as one."""
        found: dict[TaskSpec, Measurement] = {}
        for m in measurements:
            if m.task_spec in found:
                found[m.task_spec].raw_times += [
                    t * found[m.task_spec].number_per_run for t in m.times
                ]
            else:
                found[m.task_spec] = replace(m, raw_times=list(m.raw_times))
        return list(found.values())

    def __repr__(self) -> str:
        spec, n = self.task_spec, len(self.raw_times)
        unit, size = select_unit(self.median)
        name = "Median: " if n > 1 else ""
        lines = ["<rushlight.utils.benchmark.Measurement>", self.title]
        lines += [spec.description] if spec.description else []
        lines += [f"setup: {spec.setup}"] if spec.setup != "pass" else []
        lines.append(
            f"  {name}{trim_sigfig(self.median / size, self.significant_figures):.2f} {unit}"
        )
        if n > 1:
            lines.append(f"  IQR:    {self.iqr / size:.2f} {unit}")
        runs = f"{self.number_per_run} runs {'per measurement, ' if n > 1 else ', '}"
        plural = "s" if spec.num_threads > 1 else ""
        lines.append(
            f"  {n} measurement{'s' if n > 1 else ''}, {runs}{spec.num_threads} thread{plural}"
        )
        return "\n".join(lines)


class Timer:
    """Measures how long a statement takes.

    Args:
        stmt: code.
        setup: code that runs before, untimed.
        global_setup: accepted.
        timer: a function that returns seconds.
        globals: names that the code may use.
        label, sub_label, description, env: how ``Compare`` names table, row and column.
        num_threads: what ``set_num_threads`` is set to meanwhile.

    Example:
        >>> import rushlight as torch
        >>> from rushlight.utils.benchmark import Timer
        >>> measured = Timer("x.exp()", globals={"x": torch.ones(10)}).timeit(100)
        >>> measured.number_per_run, measured.median > 0
        (100, True)
    """

    def __init__(
        self,
        stmt: str = "pass",
        setup: str = "pass",
        global_setup: str = "",
        timer: Callable[[], float] = timer,
        globals: dict[str, Any] | None = None,
        label: str | None = None,
        sub_label: str | None = None,
        description: str | None = None,
        env: str | None = None,
        num_threads: int = 1,
        language: Any = "py",
    ) -> None:
        if not isinstance(stmt, str):
            raise ValueError("Currently only a `str` stmt is supported.")
        names = {"torch": tensor_api, **(globals or {})}
        self._timer = timeit.Timer(stmt, setup, timer, names)
        self._task_spec = TaskSpec(
            stmt, setup, global_setup, label, sub_label, description, env, num_threads
        )

    @contextlib.contextmanager
    def _threads(self) -> Iterator[None]:
        """Run with the number of threads that was asked for."""
        threads = tensor_api.get_num_threads()
        tensor_api.set_num_threads(self._task_spec.num_threads)
        try:
            yield
        finally:
            tensor_api.set_num_threads(threads)

    def _timeit(self, number: int) -> float:
        return max(self._timer.timeit(number), 1e-9)

    def timeit(self, number: int = 1000000) -> Measurement:
        """One run of ``number`` executions, after a few that are not counted."""
        with self._threads():
            self._timeit(max(number // 100, min(number, 2)))
            return Measurement(number, [self._timeit(number)], self._task_spec)

    def repeat(self, repeat: int = -1, number: int = -1) -> None:
        """Raises: use ``timeit`` or ``blocked_autorange``."""
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    autorange = repeat

    def _block(self, min_run_time: float) -> int:
        """How many executions take a thousandth of the time, and ten thousand times as long as
        looking at the clock.
        """
        overhead = statistics.median([self._timeit(0) for _ in range(5)])
        enough = min(max(min_run_time / 1000, 1e4 * overhead), min_run_time)
        number = 1
        while self._timeit(number) < enough:
            number *= 10
        return number

    def blocked_autorange(
        self, callback: Callable[[int, float], Any] | None = None, min_run_time: float = 0.2
    ) -> Measurement:
        """Runs of as many executions as the clock needs, for ``min_run_time`` seconds."""
        times: list[float] = []
        with self._threads():
            number = self._block(min_run_time)
            while sum(times) < min_run_time:
                times.append(self._timeit(number))
                if callback is not None:
                    callback(number, times[-1])
        return Measurement(number, times, self._task_spec)

    def adaptive_autorange(
        self,
        threshold: float = 0.1,
        *,
        min_run_time: float = 0.01,
        max_run_time: float = 10.0,
        callback: Callable[[int, float], Any] | None = None,
    ) -> Measurement:
        """Runs until their middle half is narrower than ``threshold`` times the median, or
        ``max_run_time`` seconds are over.
        """
        times: list[float] = []
        with self._threads():
            number = self._block(min_run_time)
            while sum(times) < max_run_time:
                times.append(self._timeit(number))
                if callback is not None:
                    callback(number, times[-1])
                found = Measurement(number, times, self._task_spec)
                enough = sum(times) >= min_run_time and len(times) > 3
                if enough and found.meets_confidence(threshold):
                    break
        return Measurement(number, times, self._task_spec)


class Compare:
    """A table of measurements: a row per sub-label, a column per description."""

    def __init__(self, results: Sequence[Measurement]) -> None:
        self.results = Measurement.merge(results)

    def extend_results(self, results: Iterable[Measurement]) -> None:
        """Add measurements."""
        self.results = Measurement.merge([*self.results, *results])

    def trim_significant_figures(self) -> None:
        """Accepted: digits that mean nothing are never shown."""

    def colorize(self, rowwise: bool = False) -> None:
        """Accepted: tables have no colours."""

    highlight_warnings = trim_significant_figures

    def __str__(self) -> str:
        tables: dict[Any, list[Measurement]] = {}
        for m in self.results:
            tables.setdefault(m.task_spec.label, []).append(m)
        return "\n".join([self._table(label, ms) for label, ms in tables.items()])

    def _table(self, label: str | None, measurements: list[Measurement]) -> str:
        unit, size = select_unit(min([m.median for m in measurements]))
        columns = list(dict.fromkeys([m.task_spec.description or "" for m in measurements]))
        cells: dict[tuple[int, str], dict[str, str]] = {}
        for m in measurements:
            row = cells.setdefault((m.task_spec.num_threads, m.as_row_name), {})
            text = f"{trim_sigfig(m.median / size, m.significant_figures):g}"
            row[m.task_spec.description or ""] = text
        first = max([12, *[len(name) + 6 for _, name in cells]])
        widths = [max(len(c), 8, *[len(r.get(c, "")) for r in cells.values()]) for c in columns]
        lines = [f"[ {label or ''} ]".center(first + sum(widths) + 3 * len(widths), "-")]
        lines.append(_row("", columns, first, widths))
        for threads in sorted({n for n, _ in cells}):
            lines.append(f"{threads} threads: ".ljust(len(lines[0]), "-"))
            for (n, name), row in cells.items():
                if n == threads:
                    texts = [row.get(c, "") for c in columns]
                    lines.append(_row(name.rjust(first - 2), texts, first, widths))
        long = {"ns": "nanoseconds", "us": "microseconds", "ms": "milliseconds", "s": "seconds"}
        return "\n".join([*lines, "", f"Times are in {long[unit]} ({unit}).", ""])

    def print(self) -> None:
        """Print the table."""
        print(self)


def _row(name: str, texts: list[str], first: int, widths: list[int]) -> str:
    return name.ljust(first) + "".join(
        [f" | {t.rjust(w)}" for t, w in zip(texts, widths, strict=True)]
    )
