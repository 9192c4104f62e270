"""Events that a program logs to handlers of its own, and statistics that log themselves."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

__all__ = [
    "Aggregation", "Event", "EventHandlerHandle", "STAT_EVENT", "Stat", "TensorboardEventHandler",
    "data_value_t", "log_event", "register_event_handler", "unregister_event_handler",
]  # fmt: skip

STAT_EVENT = "torch.monitor.Stat"
data_value_t = str | float | int | bool


class Aggregation(enum.Enum):
    """What a `Stat` makes of the values that were added."""

    VALUE = 1
    MEAN = 2
    COUNT = 3
    SUM = 4
    MAX = 5
    MIN = 6

    def of(self, values: list[float]) -> float:
        """The aggregate; 0 of no values."""
        if not values or self is Aggregation.COUNT:
            return float(len(values))
        if self is Aggregation.VALUE:
            return values[-1]
        if self is Aggregation.MEAN:
            return sum(values) / len(values)
        return float({"SUM": sum, "MAX": max, "MIN": min}[self.name](values))  # type: ignore[operator]

    def __str__(self) -> str:
        return f"Aggregation.{self.name}"


VALUE, MEAN, COUNT = Aggregation.VALUE, Aggregation.MEAN, Aggregation.COUNT
SUM, MAX, MIN = Aggregation.SUM, Aggregation.MAX, Aggregation.MIN


class Event:
    """Something that happened.

    Args:
        name: what kind of event it is.
        timestamp: when it was.
        data: numbers, texts and truth values by name.

    Example:
        >>> from datetime import datetime
        >>> from rushlight import monitor
        >>> monitor.Event("epoch", datetime(2026, 1, 2), {"loss": 0.5}).data["loss"]
        0.5
    """

    def __init__(self, name: str, timestamp: datetime, data: Mapping[str, data_value_t]) -> None:
        for key, value in data.items():
            if not isinstance(value, (str, float, int)):
                raise TypeError(
                    f"Event: data must be texts, numbers and truth values, but {key!r} is a "
                    f"{type(value).__name__}."
                )
        self.name, self.timestamp, self.data = name, timestamp, dict(data)


class EventHandlerHandle:
    """What `register_event_handler` returns, for `unregister_event_handler`."""

    def __init__(self, callback: Callable[[Event], None]) -> None:
        self._callback = callback


_handlers: list[EventHandlerHandle] = []


def register_event_handler(callback: Callable[[Event], None]) -> EventHandlerHandle:
    """Call ``callback(event)`` for every event from now on.

    Example:
        >>> from datetime import datetime
        >>> from rushlight import monitor
        >>> handle = monitor.register_event_handler(lambda event: print(event.name, event.data))
        >>> monitor.log_event(monitor.Event("epoch", datetime(2026, 1, 2), {"loss": 0.5}))
        epoch {'loss': 0.5}
        >>> monitor.unregister_event_handler(handle)
    """
    handle = EventHandlerHandle(callback)
    _handlers.append(handle)
    return handle


def unregister_event_handler(handler: EventHandlerHandle) -> None:
    """Call that handler no longer."""
    if handler in _handlers:
        _handlers.remove(handler)


def log_event(event: Event) -> None:
    """Hand an event to all handlers."""
    for handle in tuple(_handlers):
        handle._callback(event)


class Stat:
    """Statistics of values, logged as an event when a window of time is over.

    Args:
        name: of the statistic.
        aggregations: what to compute.
        window_size: how long a window is; that it is over shows when a value is added, or the
            statistic goes away.
        max_samples: a window with that many values is logged at once, and takes no more.

    Example:
        >>> from datetime import timedelta
        >>> from rushlight import monitor
        >>> stat = monitor.Stat("loss", [monitor.MEAN, monitor.MAX], timedelta(hours=1), 2)
        >>> stat.add(1)
        >>> stat.add(2)
        >>> stat.get()[monitor.MEAN]
        1.5
    """

    def __init__(
        self,
        name: str,
        aggregations: Iterable[Aggregation],
        window_size: timedelta,
        max_samples: int | None = None,
    ) -> None:
        self.name = name
        self._aggregations = list(aggregations)
        self._length, self._most = window_size.total_seconds(), max_samples
        self._values: list[float] = []
        self._last: list[float] = []  # of the window that was logged last
        self._full = False  # whether this window was logged, and is not over
        self._start = time.monotonic()

    @property
    def count(self) -> int:
        """How many values the window has that was not logged yet."""
        return len(self._values)

    def add(self, v: float) -> None:
        """Take a value into the present window."""
        now = time.monotonic()
        if now - self._start >= self._length:
            self._log()
            self._start, self._full = now, False
        if self._full:
            return
        self._values.append(float(v))
        if len(self._values) == self._most:
            self._log()
            self._full = True

    def get(self) -> dict[Aggregation, float]:
        """The aggregates of the window that was logged last; zeros before."""
        return {a: a.of(self._last) for a in self._aggregations}

    def _log(self) -> None:
        if not self._values:
            return
        self._last, self._values = self._values, []
        found = {f"{self.name}.{a.name.lower()}": v for a, v in self.get().items()}
        log_event(Event(STAT_EVENT, datetime.now(), found))

    def __del__(self) -> None:
        self._log()


class TensorboardEventHandler:
    """A handler that writes what `Stat` logs to a `SummaryWriter`, as scalars.

    Args:
        writer: where to.
    """

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def __call__(self, event: Event) -> None:
        if event.name == STAT_EVENT:
            for key, value in event.data.items():
                self._writer.add_scalar(key, value, walltime=event.timestamp.timestamp())
