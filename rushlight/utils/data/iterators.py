"""One pass over a ``DataLoader``: in this process, or with worker processes."""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import time
import weakref
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rushlight.errors import warn_user
from rushlight.utils.data.exchange import receive
from rushlight.utils.data.fetch import make_fetch
from rushlight.utils.data.sampler import draw_seed
from rushlight.utils.data.worker import End, Failure, Job, Message, work

if TYPE_CHECKING:
    from rushlight.utils.data.dataloader import DataLoader

PATIENCE = 5.0  # seconds a worker gets to finish what it is doing when the loader shuts down


class LoaderIterator(Iterator[Any]):
    """What the two kinds of pass share: the index sampler, the seed, the count of batches."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._index_sampler = loader._index_sampler
        self._sampler_iter = iter(self._index_sampler)
        self._base_seed = draw_seed(loader.generator)
        self._num_yielded = 0
        self._expected = loader._IterableDataset_len_called
        if loader.pin_memory:
            warn_user(
                "'pin_memory' argument is set as true but no accelerator is found, "
                "then device pinned memory won't be used."
            )

    def _next_data(self) -> Any:
        raise NotImplementedError

    def __next__(self) -> Any:
        data = self._next_data()
        self._num_yielded += 1
        if self._expected is not None and self._num_yielded > self._expected:
            warn_user(
                f"DataLoader: the IterableDataset's length was reported as {self._expected}, but "
                f"batch {self._num_yielded} was fetched. With worker processes, let each worker "
                "iterate over its own part (get_worker_info)."
            )
        return data

    def __len__(self) -> int:
        return len(self._index_sampler)


class SingleProcessIterator(LoaderIterator):
    """Fetches in the process that asks."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader)
        self._fetch = make_fetch(
            loader.dataset,
            loader._dataset_kind,
            loader._auto_collation,
            loader.collate_fn,
            bool(loader.drop_last),
        )

    def _next_data(self) -> Any:
        return self._fetch(next(self._sampler_iter))


# The loader's ends of all connections. A forked worker inherits them and must close them, or other
# workers would not notice when the loader's process is gone.
_open_connections: weakref.WeakSet[Any] = weakref.WeakSet()


def _run_worker(job: Job, connection: Any) -> None:
    # A forked worker inherits the program's handler, which may not end it: the exit would wait.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for inherited in list(_open_connections):
        inherited.close()
    work(job, connection)


class Worker:
    """A worker process as the loader sees it."""

    def __init__(self, context: Any, job: Job) -> None:
        self.id = job.id
        self.active = True  # its stream has not ended
        self.pending = 0  # tasks without an answer
        self.connection, there = context.Pipe(duplex=True)
        _open_connections.add(self.connection)
        self.process = context.Process(target=_run_worker, args=(job, there), daemon=True)
        try:
            self.process.start()
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            error.add_note(
                "A worker process gets the dataset and collate_fn pickled unless it is forked: "
                "define them at the top of a module, or pass multiprocessing_context='fork' "
                "(Python's default on Linux up to 3.13)."
            )
            raise
        there.close()

    def send(self, kind: Message, index: Any = None) -> None:
        try:
            self.connection.send((kind, index))
        except (BrokenPipeError, ConnectionResetError):
            raise self.death() from None
        if kind is Message.TASK:
            self.pending += 1

    def receive(self, timeout: float | None) -> Any:
        """The answer to the oldest pending task."""
        from multiprocessing.connection import wait

        if not wait([self.connection, self.process.sentinel], timeout):
            raise RuntimeError(
                f"DataLoader timed out after {timeout} seconds waiting for worker {self.id}; "
                "raise timeout, or find what the dataset waits for."
            )
        if not self.connection.poll():
            raise self.death()
        try:
            answer = receive(self.connection)
        except (EOFError, ConnectionResetError):
            raise self.death() from None
        self.pending -= 1
        return answer

    def death(self) -> RuntimeError:
        self.process.join(PATIENCE)
        code = self.process.exitcode
        how = f"exited unexpectedly with exit code {code}"
        if code is not None and code < 0:
            how = f"exited unexpectedly, killed by signal {signal.Signals(-code).name}"
        return RuntimeError(
            f"DataLoader worker {self.id} (pid(s) {self.process.pid}) {how}. "
            "With num_workers=0 the dataset runs in this process, where the cause shows."
        )

    def close(self) -> None:
        _open_connections.discard(self.connection)
        self.connection.close()


class WorkerIterator(LoaderIterator):
    """Keeps ``prefetch_factor`` tasks per worker under way and hands out the answers in order."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader)
        self._workers: list[Worker] = []
        self._owner = os.getpid()
        self._timeout = loader.timeout or None
        self._in_order = loader.in_order
        self._persistent = loader.persistent_workers
        self._tasks = (loader.prefetch_factor or 0) * loader.num_workers
        context = loader.multiprocessing_context
        if context is None:
            import multiprocessing as context
        for i in range(loader.num_workers):
            job = Job(
                id=i,
                num_workers=loader.num_workers,
                dataset=loader.dataset,
                kind=loader._dataset_kind,
                batched=loader._auto_collation,
                collate=loader.collate_fn,
                drop_last=bool(loader.drop_last),
                base_seed=self._base_seed,
                init=loader.worker_init_fn,
            )
            self._workers.append(Worker(context, job))
        self._begin()

    def _begin(self) -> None:
        self._outstanding: deque[Worker] = deque()  # one entry per task, oldest first
        self._turns = itertools.cycle(self._workers)
        for _ in range(self._tasks):
            self._assign()

    def reset(self, loader: DataLoader[Any]) -> None:
        """Starts another pass with the same workers."""
        for worker in self._workers:
            while worker.pending and worker.active:
                if isinstance(worker.receive(self._timeout), End):
                    worker.active = False
            worker.pending = 0
            worker.active = True
            worker.send(Message.RESTART)
        self._sampler_iter = iter(self._index_sampler)
        self._num_yielded = 0
        self._expected = loader._IterableDataset_len_called
        self._begin()

    def _assign(self) -> None:
        """Gives the next index to the next worker that still has data."""
        try:
            index = next(self._sampler_iter)
        except StopIteration:
            return
        active = sum(worker.active for worker in self._workers)
        for worker in itertools.islice(self._turns, len(self._workers)):
            if worker.active and (self._in_order or worker.pending < self._tasks // active):
                worker.send(Message.TASK, index)
                self._outstanding.append(worker)
                return

    def _next_data(self) -> Any:
        try:
            return self._next_answer()
        except StopIteration:
            if not self._persistent:
                self._shutdown_workers()
            raise
        except BaseException:
            if any(not worker.process.is_alive() for worker in self._workers):
                self._shutdown_workers()
            raise

    def _next_answer(self) -> Any:
        while True:
            worker = self._next_worker()
            answer = worker.receive(self._timeout)
            self._outstanding.remove(worker)  # the first of its tasks
            if isinstance(answer, End):
                worker.active = False
                self._outstanding = deque(w for w in self._outstanding if w is not worker)
            self._assign()
            if isinstance(answer, Failure):
                answer.reraise()
            if not isinstance(answer, End):
                return answer

    def _next_worker(self) -> Worker:
        if not self._outstanding:
            raise StopIteration
        if self._in_order:
            return self._outstanding[0]
        from multiprocessing.connection import wait

        waiting = {w.connection: w for w in self._outstanding}
        sentinels = {w.process.sentinel: w for w in self._outstanding}
        ready = wait([*waiting, *sentinels], self._timeout)
        for handle in ready:
            if handle in waiting:
                return waiting[handle]  # type: ignore[index]
        return sentinels[ready[0]] if ready else self._outstanding[0]  # type: ignore[index]

    def _shutdown_workers(self) -> None:
        workers, self._workers, self._outstanding = self._workers, [], deque()
        for worker in workers:
            worker.close()  # a worker that reads from it, or writes to it, ends
        deadline = time.monotonic() + PATIENCE
        for worker in workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.terminate()
                worker.process.join()

    def __del__(self) -> None:
        if getattr(self, "_owner", None) == os.getpid():
            self._shutdown_workers()
