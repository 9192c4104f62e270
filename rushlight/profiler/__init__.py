"""Where time goes: ``profile`` records operations, backward nodes and named ranges, shows them as a
table, and writes traces. ``schedule`` says which steps of a loop are recorded.
"""

from __future__ import annotations

import enum
import gzip
import os
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from rushlight.autograd.profiler.recorder import Recorder, record_function as record_function
from rushlight.autograd.profiler.tables import EventList
from rushlight.errors import NotSupportedError

__all__ = [
    "profile", "schedule", "supported_activities", "tensorboard_trace_handler", "ProfilerAction",
    "ProfilerActivity", "kineto_available", "DeviceType", "record_function",
    "ExecutionTraceObserver",
]  # fmt: skip


class ProfilerActivity(enum.Enum):
    """What can be recorded; here, what the CPU does."""

    CPU = 0
    XPU = 1
    MTIA = 2
    CUDA = 3
    HPU = 4
    PrivateUse1 = 5


class ProfilerAction(enum.Enum):
    """What a schedule says about a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


RECORDED = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)


class DeviceType(enum.Enum):
    """Kinds of device."""

    CPU = 0
    CUDA = 1


def supported_activities() -> set[ProfilerActivity]:
    """``{ProfilerActivity.CPU}``."""
    return {ProfilerActivity.CPU}


def kineto_available() -> bool:
    """False: events are recorded in Python."""
    return False


def schedule(
    *,
    wait: int,
    warmup: int,
    active: int,
    repeat: int = 0,
    skip_first: int = 0,
    skip_first_wait: int = 0,
) -> Callable[[int], ProfilerAction]:
    """A function from a step's number to what is done: per cycle ``wait`` and ``warmup`` steps are
    not recorded (nothing here needs to warm up), ``active`` steps are.

    Args:
        wait, warmup, active: steps, >= 0; active >= 1.
        repeat: how many cycles; 0: until the end.
        skip_first: steps before the first cycle.
        skip_first_wait: not 0: the first cycle does not wait.

    Example:
        >>> plan = schedule(wait=1, warmup=0, active=1)
        >>> [plan(i).name for i in range(3)]
        ['NONE', 'RECORD_AND_SAVE', 'NONE']
    """
    if min(wait, warmup, repeat, skip_first) < 0 or active < 1:
        raise AssertionError("Invalid profiler schedule arguments: numbers of steps must be >= 0")
    length = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        if step < skip_first:
            return ProfilerAction.NONE
        step += (wait if skip_first_wait else 0) - skip_first
        if repeat and step // length >= repeat:
            return ProfilerAction.NONE
        at = step % length
        if at < wait:
            return ProfilerAction.NONE
        if at < wait + warmup:
            return ProfilerAction.WARMUP
        last = at == length - 1
        return ProfilerAction.RECORD_AND_SAVE if last else ProfilerAction.RECORD

    return action


def tensorboard_trace_handler(
    dir_name: str,
    worker_name: str | None = None,
    use_gzip: bool = False,
    use_python_export: bool = False,
) -> Callable[[Any], None]:
    """An ``on_trace_ready`` that writes each trace into a folder, where TensorBoard's profiler
    plugin and Chrome's viewer find it.
    """

    def handler(prof: Any) -> None:
        os.makedirs(dir_name, exist_ok=True)
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        end = "json.gz" if use_gzip else "json"
        name = f"{worker}.{time.time_ns()}.pt.trace.{end}"
        prof.export_chrome_trace(os.path.join(dir_name, name))

    return handler


class profile:
    """Records what runs inside the block, or in the steps that ``schedule`` chooses.

    Args:
        activities: accepted; what the CPU does is recorded.
        schedule: a function such as ``schedule`` returns; then call ``step()`` after each step.
        on_trace_ready: called with the profile when a cycle of the schedule, or the block, ends.
        record_shapes: note the inputs' shapes.
        profile_memory: note the bytes of results.
        acc_events: keep the events of earlier cycles.
        with_stack, with_flops, with_modules, use_cuda, options: accepted.

    A compiled call is one event, with an event for each kernel of its program inside; calls that
    no program is there for yet run eagerly and are not captured, so call the function three times
    before (``schedule`` with ``wait`` or ``warmup`` does).

    Example:
        >>> import rushlight as torch
        >>> with torch.profiler.profile() as prof:
        ...     y = torch.ones(3).exp().sum()
        >>> table = prof.key_averages().table(sort_by="cpu_time_total")
        >>> [event.key for event in prof.key_averages()]
        ['aten::exp', 'aten::sum']
    """

    def __init__(
        self,
        *,
        activities: Iterable[Any] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[..., Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        experimental_config: Any = None,
        execution_trace_observer: Any = None,
        acc_events: bool = False,
        use_cuda: bool | None = None,
        custom_trace_id_callback: Any = None,
        post_processing_timeout_s: float | None = None,
    ) -> None:
        self.activities = set(activities) if activities is not None else supported_activities()
        self.schedule, self.on_trace_ready = schedule, on_trace_ready
        self.record_shapes, self.profile_memory = record_shapes, profile_memory
        self.acc_events = acc_events
        self.step_num = 0
        self.recorder: Recorder | None = None
        self.past: list[Any] = []
        self.metadata: dict[str, Any] = {}
        self.current_action = self._action()
        self.range: record_function | None = None

    def _action(self) -> ProfilerAction:
        return self.schedule(self.step_num) if self.schedule else ProfilerAction.RECORD

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin with the first step."""
        self.current_action = self._action()
        self._enter()

    def stop(self) -> None:
        """End; what was recorded is ready."""
        recording = self.current_action in RECORDED
        self._leave()
        if recording and self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def step(self) -> None:
        """The next step of the schedule begins."""
        previous = self.current_action
        self._leave()
        self.step_num += 1
        self.current_action = self._action()
        if previous is ProfilerAction.RECORD_AND_SAVE and self.on_trace_ready is not None:
            self.on_trace_ready(self)
        self._enter()

    def _enter(self) -> None:
        if self.current_action not in RECORDED:
            return
        if self.recorder is None:
            self.recorder = Recorder(self.record_shapes, self.profile_memory)
        if self._fresh:
            self.recorder.events = []
            self._fresh = False
        self.recorder.start()
        if self.schedule is not None:
            self.range = record_function(f"ProfilerStep#{self.step_num}").__enter__()

    _fresh = True  # a cycle begins: what was recorded before is dropped with its first event

    def _leave(self) -> None:
        if self.range is not None:
            self.range.__exit__()
            self.range = None
        action = self.current_action
        if action not in RECORDED or self.recorder is None:
            return
        self.recorder.stop()
        if action is ProfilerAction.RECORD_AND_SAVE:
            self._fresh = True
            if self.acc_events:
                self.past += self.recorder.events
                self.recorder.events = []

    def events(self) -> EventList:
        """What was recorded, in order."""
        recorded = self.recorder.events if self.recorder is not None else []
        return EventList([*self.past, *recorded], profile_memory=self.profile_memory)

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0, **kwargs: Any
    ) -> EventList:
        """One row per name (and input shapes)."""
        return self.events().key_averages(group_by_input_shape)

    def export_chrome_trace(self, path: str) -> None:
        """Write a trace for chrome://tracing or ui.perfetto.dev; compressed when the name ends in
        ".gz".
        """
        self.events().export_chrome_trace(path)
        if str(path).endswith(".gz"):
            with open(path, "rb") as file:
                text = file.read()
            with gzip.open(path, "wb") as packed:
                packed.write(text)

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """Raises: Python stacks are not recorded."""
        raise NotSupportedError("export_stacks: stacks are not recorded; use cProfile for Python.")

    def add_metadata(self, key: str, value: str) -> None:
        """Note something in the profile."""
        self.metadata[key] = value

    add_metadata_json = add_metadata


class ExecutionTraceObserver:
    """Raises: execution traces are not written; use ``profile.export_chrome_trace``."""

    def __init__(self) -> None:
        raise NotSupportedError(
            "ExecutionTraceObserver: execution traces are not written; use export_chrome_trace."
        )
