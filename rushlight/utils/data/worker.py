"""What runs in a worker process of a ``DataLoader``."""

from __future__ import annotations

import enum
import queue
import random
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from rushlight import tensor_api as rl
from rushlight.core import threads
from rushlight.utils.data.exchange import pack
from rushlight.utils.data.fetch import _DatasetKind, make_fetch


class Message(enum.Enum):
    """What the loader tells a worker, in a pair with an index."""

    TASK = enum.auto()
    RESTART = enum.auto()
    STOP = enum.auto()


class End:
    """A worker's stream has ended."""


@dataclass
class WorkerInfo:
    """Which worker process this is; see ``get_worker_info``.

    Args:
        id: in [0, num_workers).
        num_workers: how many worker processes the loader has.
        seed: of this worker, for this pass: the loader's base seed + id.
        dataset: this worker's copy.
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """In a worker process of a ``DataLoader``, what it is; None elsewhere.

    Example:
        >>> get_worker_info() is None
        True
    """
    return _info


class Failure:
    """An exception on its way to the process that waits for the data."""

    def __init__(self, error: BaseException, where: str) -> None:
        self.kind = type(error)
        trace = "".join(traceback.format_exception(error))
        self.text = f"Caught {self.kind.__name__} {where}.\nOriginal {trace}"

    def reraise(self) -> None:
        """Raises the same type, its text the worker's traceback; RuntimeError where that cannot
        be.
        """
        if self.kind is KeyError:
            raise KeyError(_Verbatim(self.text))
        try:
            error = self.kind(self.text)
        except Exception:  # its constructor wants other arguments
            error = RuntimeError(self.text)
        raise error


class _Verbatim(str):
    """A KeyError shows the repr of its argument; this one keeps its line breaks."""

    def __repr__(self) -> str:
        return str(self)


@dataclass
class Job:
    """What a worker needs to know at its start. Everything is pickled under ``spawn``."""

    id: int
    num_workers: int
    dataset: Any
    kind: int
    batched: bool
    collate: Callable[[Any], Any]
    drop_last: bool
    base_seed: int
    init: Callable[[int], None] | None

    @property
    def where(self) -> str:
        return f"in DataLoader worker process {self.id}"


def seed_everything(base_seed: int, worker: int) -> None:
    """Seeds ``random``, rushlight and NumPy, differently in each worker."""
    random.seed(base_seed + worker)
    rl.manual_seed(base_seed + worker)
    np.random.seed(_generate_state(base_seed, worker))


def _generate_state(base_seed: int, worker_id: int) -> list[int]:
    """Four numbers of 32 bits that seed NumPy in a worker."""
    entropy = [worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    return np.random.SeedSequence(entropy).generate_state(4).tolist()


def work(job: Job, connection: Any) -> None:
    """Answers each task that arrives with its data, until told to stop or the parent is gone."""
    outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    # Answers leave from a thread, so that this one can go on to the next task.
    sender = threading.Thread(target=_send_all, args=(outbox, connection), daemon=True)
    sender.start()
    try:
        for send in _answers(job, connection):
            outbox.put(send)
    except (KeyboardInterrupt, EOFError, OSError):
        pass  # the parent was interrupted too, or is gone
    outbox.put(None)
    sender.join()


def _send_all(outbox: queue.SimpleQueue[Any], connection: Any) -> None:
    while (send := outbox.get()) is not None:
        try:
            send(connection)
        except OSError:  # nobody listens any more
            return


def _answers(job: Job, connection: Any) -> Iterator[Callable[[Any], None]]:
    global _info
    _info = WorkerInfo(job.id, job.num_workers, job.base_seed + job.id, job.dataset)
    seed_everything(job.base_seed, job.id)
    threads.limit(1, warn=False)  # the processes share the processors
    fetch = _start(job, job.init)
    while (message := connection.recv())[0] is not Message.STOP:
        kind, index = message
        if kind is Message.RESTART:
            fetch = _start(job, None)
        elif fetch is not None:
            answer = _answer(job, fetch, index)
            if isinstance(answer, End):
                fetch = None
            yield _packed(job, answer)


def _start(job: Job, init: Callable[[int], None] | None) -> Any:
    try:
        if init is not None:
            init(job.id)
        return make_fetch(job.dataset, job.kind, job.batched, job.collate, job.drop_last)
    except Exception as error:
        return Failure(error, job.where)


def _answer(job: Job, fetch: Any, index: Any) -> Any:
    if isinstance(fetch, Failure):
        return fetch
    try:
        return fetch(index)
    except StopIteration as error:
        return End() if job.kind == _DatasetKind.Iterable else Failure(error, job.where)
    except Exception as error:
        return Failure(error, job.where)


def _packed(job: Job, answer: Any) -> Callable[[Any], None]:
    try:
        return pack(answer)
    except Exception as error:
        error.add_note(
            "Data must be pickled to leave a worker process: return tensors, arrays or numbers, or "
            "use num_workers=0."
        )
        failure = answer if isinstance(answer, Failure) else Failure(error, job.where)
        failure.kind = RuntimeError  # a class that cannot be pickled; its name is in the text
        return pack(failure)
