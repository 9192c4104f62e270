"""Processes: the standard library's ``multiprocessing`` with the names that torch adds.

Tensors travel by pickling, as copies; after ``share_memory_()`` their memory is common to all
processes that get them (Linux). ``rushlight.utils.data`` moves batches between its workers by
itself.
"""

from __future__ import annotations

import multiprocessing as _standard
import multiprocessing.connection as _connection
import signal
import sys
import traceback
from collections.abc import Callable
from multiprocessing import *  # noqa: F403
from typing import Any

__all__ = [
    "set_sharing_strategy", "get_sharing_strategy", "get_all_sharing_strategies", "spawn",
    "start_processes", "SpawnContext", "ProcessContext", "ProcessException",
    "ProcessRaisedException", "ProcessExitedException",
]  # fmt: skip
__all__ += [name for name in _standard.__all__ if name not in __all__]


def set_sharing_strategy(new_strategy: str) -> None:
    """Accepted for "file_descriptor" and "file_system": tensors travel as copies."""
    if new_strategy not in get_all_sharing_strategies():
        raise AssertionError(f"sharing strategy {new_strategy!r} is not one of those known")


def get_sharing_strategy() -> str:
    """Always "file_system"."""
    return "file_system"


def get_all_sharing_strategies() -> set[str]:
    """Names that ``set_sharing_strategy`` accepts."""
    return {"file_descriptor", "file_system"}


class ProcessException(Exception):
    """A process that did not end well: ``error_index`` says which, ``error_pid`` its number."""

    def __init__(self, msg: str, error_index: int, pid: int) -> None:
        super().__init__(msg)
        self.msg, self.error_index, self.pid = msg, error_index, pid

    def __reduce__(self) -> Any:
        return type(self), (self.msg, self.error_index, self.pid)


class ProcessRaisedException(ProcessException):
    """A process ended by an exception; the text holds its traceback."""


class ProcessExitedException(ProcessException):
    """A process ended by a signal or an exit code other than 0."""

    def __init__(
        self, msg: str, error_index: int, error_pid: int, exit_code: int, signal_name: Any = None
    ) -> None:
        super().__init__(msg, error_index, error_pid)
        self.exit_code, self.signal_name = exit_code, signal_name

    def __reduce__(self) -> Any:
        args = (self.msg, self.error_index, self.pid, self.exit_code, self.signal_name)
        return type(self), args


def _run(fn: Callable[..., Any], i: int, args: tuple[Any, ...], report: Any) -> None:
    try:
        fn(i, *args)
    except KeyboardInterrupt:
        pass
    except Exception:
        report.send(traceback.format_exc())
        raise SystemExit(1) from None


class ProcessContext:
    """Processes that were started together."""

    def __init__(self, processes: list[Any], reports: list[Any]) -> None:
        self.processes, self.reports = processes, reports
        self.sentinels = {p.sentinel: i for i, p in enumerate(processes)}

    def pids(self) -> list[int]:
        """The processes' numbers."""
        return [p.pid for p in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Wait up to ``timeout`` seconds for one more process to end. True once all have ended
        well; when one did not, the others are stopped and its error is raised.
        """
        ended = _connection.wait(self.sentinels, timeout=timeout)
        failed = None
        for sentinel in ended:
            i = self.sentinels.pop(sentinel)  # type: ignore[call-overload]
            self.processes[i].join()
            if self.processes[i].exitcode:
                failed = i
                break
        if failed is None:
            return not self.sentinels
        for p in self.processes:
            if p.is_alive():
                p.terminate()
        for p in self.processes:
            p.join(grace_period)
        self._raise(failed)
        return False

    def _raise(self, i: int) -> None:
        p = self.processes[i]
        if self.reports[i].poll():
            text = f"\n\n-- Process {i} terminated with the following error:\n"
            raise ProcessRaisedException(text + self.reports[i].recv(), i, p.pid)
        if p.exitcode < 0:
            name = signal.Signals(-p.exitcode).name
            text = f"process {i} terminated with signal {name}"
            raise ProcessExitedException(text, i, p.pid, p.exitcode, name)
        text = f"process {i} terminated with exit code {p.exitcode}"
        raise ProcessExitedException(text, i, p.pid, p.exitcode)


SpawnContext = ProcessContext


def start_processes(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Run ``fn(i, *args)`` in ``nprocs`` processes, i counting from 0.

    Args:
        join: wait until all have ended; an error in one is raised here. Otherwise their
            ``ProcessContext`` is returned.
        daemon: end them when this process ends.
        start_method: "spawn", "fork" or "forkserver".
    """
    context = _standard.get_context(start_method)
    processes, reports = [], []
    for i in range(nprocs):
        ours, theirs = context.Pipe(duplex=False)
        p = context.Process(  # type: ignore[attr-defined]
            target=_run, args=(fn, i, args, theirs), daemon=daemon
        )
        p.start()
        theirs.close()
        processes.append(p)
        reports.append(ours)
    started = ProcessContext(processes, reports)
    if not join:
        return started
    while not started.join():
        pass
    return None


def spawn(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """``start_processes`` with fresh interpreters."""
    return start_processes(fn, args, nprocs, join, daemon, start_method)


__all__ = [name for name in __all__ if name in globals()]

sys.modules[f"{__name__}.spawn"] = sys.modules[__name__]  # PyTorch has a module of that name
