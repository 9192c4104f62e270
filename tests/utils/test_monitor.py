"""Events and statistics, against torch's."""

import time
from datetime import datetime, timedelta

import pytest
import torch.monitor as theirs

from rushlight import monitor as ours

NAMES = ("SUM", "COUNT", "MEAN", "MIN", "MAX")


def logged(lib, work):
    """What ``work(lib)`` logs and returns."""
    events = []
    handle = lib.register_event_handler(lambda e: events.append((e.name, e.data)))
    try:
        found = work(lib)
    finally:
        lib.unregister_event_handler(handle)
    return events, found


def windows(lib):
    """Aggregates before any window was logged, and at the limit of samples."""
    kinds = [getattr(lib, name) for name in NAMES]
    stat = lib.Stat("loss", kinds, timedelta(hours=1), 2)
    seen = []
    for value in (1, 4, 9):
        seen.append(({k.name: v for k, v in stat.get().items()}, stat.count))
        stat.add(value)
    seen.append(({k.name: v for k, v in stat.get().items()}, stat.count, stat.name))
    del stat
    return seen


def test_windows():
    assert logged(ours, windows) == logged(theirs, windows)


def test_what_remains_is_logged_in_the_end():
    def work(lib):
        stat = lib.Stat("x", (lib.SUM,), timedelta(hours=1))
        stat.add(2.5)
        before = stat.get()[lib.SUM]
        del stat
        return before

    assert (
        logged(ours, work) == logged(theirs, work) == ([("torch.monitor.Stat", {"x.sum": 2.5})], 0)
    )


def test_a_window_ends_with_time():
    def work(lib):
        stat = lib.Stat("x", (lib.MAX,), timedelta(milliseconds=1))
        stat.add(2)
        time.sleep(0.02)
        stat.add(1)
        return stat.get()[lib.MAX], stat.count

    events, found = logged(ours, work)
    assert found == (2.0, 1)
    assert events[0] == ("torch.monitor.Stat", {"x.max": 2.0})
    assert logged(theirs, work)[1] == found


def test_events_are_refused_and_handlers_removed():
    with pytest.raises(TypeError, match="'a' is a list"):
        ours.Event("n", datetime.now(), {"a": [1]})
    with pytest.raises(TypeError):
        theirs.Event("n", datetime.now(), {"a": [1]})
    handle = ours.register_event_handler(lambda e: pytest.fail("called"))
    ours.unregister_event_handler(handle)
    ours.unregister_event_handler(handle)
    ours.log_event(ours.Event("n", datetime.now(), {}))


def test_tensorboard():
    rows = []

    class Writer:
        def add_scalar(self, *args, **kwargs):
            rows.append((args, kwargs))

    handler = ours.TensorboardEventHandler(Writer())
    at = datetime(2026, 1, 2)
    handler(ours.Event(ours.STAT_EVENT, at, {"x.sum": 3.0}))
    handler(ours.Event("other", at, {"y": 3.0}))
    assert rows == [(("x.sum", 3.0), {"walltime": at.timestamp()})]
