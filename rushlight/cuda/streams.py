"""Queues of work for a GPU.

Each GPU has one queue here, in which work is done in order; all streams of it stand for that one.
So what a program orders by streams and events is in order, though nothing runs side by side.
"""

from __future__ import annotations

from typing import Any

from rushlight import devices


class Stream:
    """The queue of a GPU.

    Args:
        device: whose; the current GPU's unless given.
        priority: accepted; it changes nothing.
    """

    def __init__(self, device: Any = None, priority: int = 0, **kwargs: Any) -> None:
        self._driver = devices.find_gpu(device)
        self.priority = priority

    @property
    def device(self) -> devices.device:
        """The GPU."""
        return devices.gpu(self._driver.index)

    @property
    def device_index(self) -> int:
        """The index of the GPU."""
        return self._driver.index

    stream_id = cuda_stream = 0  # CUDA's name of the default stream

    def synchronize(self) -> None:
        """Wait until all work in it is done."""
        self._driver.synchronize()

    def query(self) -> bool:
        """Whether all work in it is done."""
        mark = Event()
        mark.record(self)
        return mark.query()

    def record_event(self, event: Event | None = None) -> Event:
        """Put a mark behind the work asked for so far."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Let work asked for later wait for a mark: it does, as it comes later in the queue."""
        if event._driver is not None and event._driver is not self._driver:
            event.synchronize()

    def wait_stream(self, stream: Stream) -> None:
        """Let work asked for later wait for what is in another queue now."""
        if stream._driver is not self._driver:
            stream.synchronize()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and other._driver is self._driver

    def __hash__(self) -> int:
        return hash(id(self._driver))

    def __repr__(self) -> str:
        return f"<torch.cuda.Stream device={self.device} cuda_stream=0x0>"


class ExternalStream(Stream):
    """A queue of another library, by its address: it stands for the one queue that there is."""

    def __init__(self, stream_ptr: int, device: Any = None, **kwargs: Any) -> None:
        super().__init__(device)


class Event:
    """A mark in a queue of work.

    Args:
        enable_timing: whether ``elapsed_time`` can be asked.
        blocking: accepted; it changes nothing.
        interprocess: processes cannot share marks: True raises.
    """

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
    ) -> None:
        if interprocess:
            raise NotImplementedError("torch.cuda.Event: interprocess=True is not supported.")
        devices.find_gpu(None)
        self._timed, self._mark, self._driver = enable_timing, None, None

    _mark: Any
    _driver: Any

    def record(self, stream: Stream | None = None) -> None:
        """Put the mark behind the work asked for so far."""
        driver = devices.find_gpu(None) if stream is None else stream._driver
        if self._mark is None or driver is not self._driver:
            self._driver, self._mark = driver, driver.event(self._timed)
        self._mark.record()

    def wait(self, stream: Stream | None = None) -> None:
        """Let a stream wait for the mark."""
        (current_stream() if stream is None else stream).wait_event(self)

    def query(self) -> bool:
        """Whether the work before the mark is done; True where it was never recorded."""
        return self._mark is None or bool(self._mark.query())

    def synchronize(self) -> None:
        """Wait until the work before the mark is done."""
        if self._mark is not None:
            self._mark.synchronize()

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this mark to a later one.

        Raises:
            RuntimeError: one was made without ``enable_timing``, or not recorded.
        """
        if not (self._timed and end_event._timed):
            raise RuntimeError(
                "elapsed_time: both events must be created with argument 'enable_timing=True'."
            )
        if self._mark is None or end_event._mark is None:
            raise RuntimeError(
                "elapsed_time: both events must be recorded before calculating elapsed time."
            )
        end_event.synchronize()
        return float(self._mark.elapsed(end_event._mark))

    def __repr__(self) -> str:
        return "<torch.cuda.Event>" if self._mark is None else "<torch.cuda.Event recorded>"


def current_stream(device: Any = None) -> Stream:
    """The queue of a GPU. RuntimeError without one."""
    return Stream(device)


default_stream = current_stream


def set_stream(stream: Stream | None) -> None:
    """Accepts a stream: it is the only one of its GPU."""


class StreamContext:
    """Context in which work goes to a stream: to the only one of its GPU, which becomes the current
    one meanwhile.
    """

    def __init__(self, stream: Stream | None) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        self._before = devices.gpus.current.index
        if self.stream is not None:
            devices.gpus.current.index = self.stream.device_index

    def __exit__(self, *exc: object) -> None:
        devices.gpus.current.index = self._before


def stream(stream: Stream | None) -> StreamContext:
    """Context in which work goes to ``stream``; None changes nothing."""
    return StreamContext(stream)


def synchronize(device: Any = None) -> None:
    """Wait until a GPU has done its work. RuntimeError without one."""
    devices.find_gpu(device).synchronize()
