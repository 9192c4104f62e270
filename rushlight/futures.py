"""Results that will be there later."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Any, Generic, TypeVar

__all__ = ["Future", "collect_all", "wait_all"]

T = TypeVar("T")


class Future(Generic[T]):
    """A value that some thread will set once, and that others wait for.

    Args:
        devices: GPUs whose memory values may lie in; there are none on the CPU.

    Example:
        >>> import rushlight as torch
        >>> first = torch.futures.Future()
        >>> second = first.then(lambda f: f.wait() + 1)
        >>> first.set_result(1)
        >>> second.wait(), second.done()
        (2, True)
    """

    def __init__(self, *, devices: Any = None) -> None:
        if devices:
            raise RuntimeError(f"Future: devices are GPUs, and there are none: {devices!r}.")
        self._set = threading.Event()
        self._lock = threading.Lock()
        self._value: Any = None
        self._error: Exception | None = None
        self._callbacks: list[Callable[[Future[T]], Any]] = []

    def done(self) -> bool:
        """Whether a result or an exception is there."""
        return self._set.is_set()

    def wait(self) -> T:
        """The value, as soon as it is there; an exception that was set is raised."""
        self._set.wait()
        return self.value()

    def value(self) -> T:
        """The value of a future that is done."""
        if not self.done():
            raise RuntimeError("value() of a future that is not done yet; wait() for it.")
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[no-any-return]

    def then(self, callback: Callable[[Future[T]], Any]) -> Future[Any]:
        """A future of ``callback(self)``, which runs when this one is done."""
        follower: Future[Any] = Future()

        def run(done: Future[T]) -> None:
            try:
                follower.set_result(callback(done))
            except Exception as error:
                message = "Got the following error when running the callback: "
                failed = RuntimeError(f"{message}{type(error).__name__}: {error}")
                failed.__cause__ = error
                follower._finish(None, failed)

        self.add_done_callback(run)
        return follower

    def add_done_callback(self, callback: Callable[[Future[T]], Any]) -> None:
        """Call ``callback(self)`` when this future is done, at once if it is."""
        with self._lock:
            if not self.done():
                self._callbacks.append(callback)
                return
        self._call(callback)

    def set_result(self, result: T) -> None:
        """Let the future be done. RuntimeError if it is already."""
        self._finish(result, None)

    def set_exception(self, result: Exception) -> None:
        """Let the future be done, and ``wait`` raise this exception."""
        if not isinstance(result, Exception):
            raise AssertionError(f"{result} is of type {type(result)}, not an Exception.")
        self._finish(None, result)

    def _finish(self, value: Any, error: Exception | None) -> None:
        with self._lock:
            if self.done():
                raise RuntimeError(
                    "Attempting to mark a completed Future as complete again. A Future can only "
                    "be marked completed once."
                )
            self._value, self._error = value, error
            self._set.set()
        for callback in self._callbacks:
            self._call(callback)

    def _call(self, callback: Callable[[Future[T]], Any]) -> None:
        """Call a callback. Its exceptions are nobody's to catch: they are printed."""
        try:
            callback(self)
        except Exception:
            traceback.print_exc()

    def __reduce__(self) -> Any:
        raise RuntimeError("Can not pickle torch.futures.Future: its value belongs to this process")


def collect_all(futures: list[Future[Any]]) -> Future[list[Future[Any]]]:
    """A future of the list of futures, done when all of them are; the first exception in the list
    becomes its own.
    """
    joined: Future[list[Future[Any]]] = Future()
    left = [len(futures)]
    lock = threading.Lock()

    def one_done(_: Future[Any]) -> None:
        with lock:
            left[0] -= 1
            if left[0]:
                return
        error = next((f._error for f in futures if f._error is not None), None)
        joined._finish(list(futures), error)

    if not futures:
        joined.set_result([])
    for future in futures:
        future.add_done_callback(one_done)
    return joined


def wait_all(futures: list[Future[Any]]) -> list[Any]:
    """The values of all futures, when they are done; raises the first exception in the list."""
    return [future.wait() for future in collect_all(futures).wait()]
