"""What happens while a profiler is on: a tree of timed events.

Core asks ``modes.profiler`` to make the calls that it would make itself: an op's computation, a
view, a write, a node of the backward pass. Fast paths make way meanwhile, so the time between
operations is longer than without a profiler; the operations themselves run as always.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rushlight.core.state import Watcher, modes, state
from rushlight.core.tensor import Tensor
from rushlight.core.view import View


class FunctionEvent:
    """One call: its name, when it ran (microseconds), and what ran inside it."""

    def __init__(self, id: int, name: str, parent: FunctionEvent | None, kind: str) -> None:
        self.id, self.name, self.cpu_parent, self.kind = id, name, parent, kind
        self.start_us = self.end_us = 0.0
        self.cpu_children: list[FunctionEvent] = []
        self.input_shapes: list[Any] = []
        self.cpu_memory_usage = 0  # bytes of the results, with those of the children
        self.self_cpu_memory_usage = 0
        self.thread = threading.get_ident()
        self.count = 1
        if parent is not None:
            parent.cpu_children.append(self)

    @property
    def key(self) -> str:
        return self.name

    @property
    def cpu_time_total(self) -> float:
        """Microseconds from start to end."""
        return self.end_us - self.start_us

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds not spent in children."""
        return self.cpu_time_total - sum([c.cpu_time_total for c in self.cpu_children])

    @property
    def cpu_time(self) -> float:
        return self.cpu_time_total

    def __repr__(self) -> str:
        return (
            f"<FunctionEvent id={self.id} name={self.name} cpu_time={self.cpu_time_total:.3f}us "
            f"start_us={self.start_us:.3f} end_us={self.end_us:.3f} "
            f"cpu_children={[c.id for c in self.cpu_children]}>"
        )


class Recorder(Watcher):
    """Collects events of the thread that starts it, between ``start`` and ``stop``."""

    def __init__(self, shapes: bool = False, memory: bool = False) -> None:
        self.shapes, self.memory = shapes, memory
        self.events: list[FunctionEvent] = []
        self.open: list[FunctionEvent] = []
        self.zero = time.perf_counter()
        self.outer: Any = None

    def start(self) -> None:
        """Begin to record; an outer profiler pauses."""
        self.outer, modes.profiler = modes.profiler, self
        state.busy += 1

    def stop(self) -> None:
        """Stop recording; what is still open ends now."""
        while self.open:
            self.end()
        state.busy -= 1
        modes.profiler = self.outer

    def begin(self, name: str, kind: str) -> FunctionEvent:
        """Open an event inside the current one."""
        parent = self.open[-1] if self.open else None
        event = FunctionEvent(len(self.events) + 1, name, parent, kind)
        self.events.append(event)
        self.open.append(event)
        event.start_us = (time.perf_counter() - self.zero) * 1e6
        return event

    def end(self, event: FunctionEvent | None = None) -> None:
        """Close an event (the current one), and those that were left open inside it."""
        now = (time.perf_counter() - self.zero) * 1e6
        while self.open:
            last = self.open.pop()
            last.end_us = now
            last.cpu_memory_usage = last.self_cpu_memory_usage + sum(
                [c.cpu_memory_usage for c in last.cpu_children]
            )
            if event is None or last is event:
                break

    @contextlib.contextmanager
    def noting(self, name: str, kind: str) -> Iterator[None]:
        """An event of what runs in the block."""
        event = self.begin(name, kind)
        try:
            yield
        finally:
            self.end(event)

    def call(self, source: Any, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """``function(*args)`` as an event of an op or of a node of the graph."""
        kind = "autograd" if hasattr(source, "edges") else "cpu_op"
        label = source.name() if kind == "autograd" else op_name(source)
        event = self.begin(label, kind)
        try:
            result = function(*args, **kwargs)
        finally:
            self.end(event)
        if self.shapes:
            event.input_shapes = shapes_of(args)
        if self.memory and kind == "cpu_op":
            size = new_bytes(source, result)
            event.self_cpu_memory_usage += size
            event.cpu_memory_usage += size
        return result


@functools.cache
def op_name(op: Any) -> str:
    """An op's class name in torch's spelling: ``LogSoftmax`` is ``aten::log_softmax``."""
    name = type(op).__name__
    return "aten::" + "".join(
        ["_" + c.lower() if c.isupper() and i else c.lower() for i, c in enumerate(name)]
    )


def shapes_of(args: Any) -> list[Any]:
    """The shapes of arrays and tensors among arguments and in a list of them."""
    found: list[Any] = []
    for a in args:
        if isinstance(a, (list, tuple)):
            found += shapes_of(a)
        elif isinstance(a, Tensor):
            found.append(list(a._array.shape))
        elif isinstance(a, np.ndarray):
            found.append(list(a.shape))
    return found


def new_bytes(op: Any, result: Any) -> int:
    """Bytes of an op's results; a view has none of its own."""
    if isinstance(op, View):
        return 0
    parts = result if isinstance(result, (list, tuple)) else [result]
    return sum([int(getattr(r, "nbytes", 0)) for r in parts])


class record_function:
    """A named range in the profile; context manager and decorator.

    Args:
        name: what the table and the trace show.
        args: accepted.

    Example:
        >>> import rushlight as torch
        >>> with torch.profiler.profile() as prof:
        ...     with torch.profiler.record_function("forward"):
        ...         y = torch.ones(3).exp()
        >>> [event.key for event in prof.key_averages()]
        ['forward', 'aten::exp']
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name, self.args = name, args
        self.ranges: list[Any] = []

    def __enter__(self) -> record_function:
        recorder = modes.profiler
        event = None if recorder is None else recorder.begin(self.name, "user_annotation")
        self.ranges.append((recorder, event))
        return self

    def __exit__(self, *exc: object) -> None:
        recorder, event = self.ranges.pop()
        if event is not None and event in recorder.open:
            recorder.end(event)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name, self.args):
                return function(*args, **kwargs)

        return wrapped
