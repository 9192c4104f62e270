"""Threads that help to run programs: each enters one native call and stays while there is work.

A worker that finds nothing to do for a while returns to Python and sleeps on a semaphore, so that
idle workers use no processor time. The next program that is worth it wakes them. A short program is
not, since it would be over first: but where one runs again and again with little in between,
workers are woken once, and each run finds them waiting.
"""

from __future__ import annotations

import atexit
import os
import threading

import numpy as np

from rushlight.compiler.backends.llvm import runtime
from rushlight.compiler.memory import address, aligned
from rushlight.core import threads

PATIENCE = 5000  # turns of waiting, some 100 microseconds, before a worker sleeps
OFTEN = 50e-6  # seconds between runs of a short program that workers are woken for
MISSES = 200  # runs by which that is judged

# the words of the pool, which short programs look at all the time
WORDS = aligned(8 * runtime.POOL_WORDS).view(np.int64)


class Pool:
    """The workers of this process. One program at a time has them: it holds ``taken``."""

    def __init__(self) -> None:
        self.words, self.address = WORDS, address(WORDS)
        self.taken = threading.Lock()
        self.scratch_size = 0
        self.workers: list[Worker] = []

    def begin(self, scratch_size: int) -> int:
        """Wake the workers for a program, whose record has this address until ``end``."""
        self.gather(scratch_size)
        self.words[runtime.ACTIVE] = 1
        self.rouse()
        return self.address

    def end(self) -> None:
        """The program is over."""
        self.words[runtime.ACTIVE] = 0

    def gather(self, scratch_size: int) -> None:
        """Have as many workers as are wanted, each with so much scratch memory."""
        wanted = threads.count() - 1
        if len(self.workers) != wanted or self.scratch_size < scratch_size:
            self.resize(wanted, max(self.scratch_size, scratch_size))

    def rouse(self, most: int | None = None) -> None:
        """Wake those that sleep, of the first ``most``."""
        for worker in self.workers[:most]:
            if worker.asleep:
                worker.asleep = False
                worker.wake.release()

    def resize(self, count: int, scratch_size: int) -> None:
        """Have that many workers, each with so much scratch memory."""
        threads.leave_to_workers()
        self.stop()
        self.scratch_size = self.words[runtime.ROOM] = scratch_size
        self.words[runtime.WAYS] = 2 * (count + 1)
        self.workers = [Worker(self, scratch_size) for _ in range(count)]

    def stop(self) -> None:
        """End all workers."""
        self.words[runtime.STOP] = 1
        for worker in self.workers:
            worker.wake.release()
        for worker in self.workers:
            worker.thread.join()
        self.words[runtime.STOP] = 0
        self.workers = []


class Worker:
    """One thread, and its scratch memory."""

    def __init__(self, pool: Pool, scratch_size: int) -> None:
        self.scratch = aligned(scratch_size)
        self.wake = threading.Semaphore(0)
        self.asleep = False
        work, words, place = runtime.functions()["work"], pool.address, address(self.scratch)

        def live() -> None:
            while not work(words, place, PATIENCE):
                self.asleep = True
                # while this thread waited for the interpreter's lock, a program may have begun
                if not pool.words[runtime.ACTIVE]:
                    self.wake.acquire()
                self.asleep = False

        self.thread = threading.Thread(target=live, name="rushlight-worker", daemon=True)
        self.thread.start()


_pool: list[Pool] = []


def pool() -> Pool:
    """The workers of this process, made at first use."""
    if not _pool:
        _pool.append(Pool())
    return _pool[0]


@atexit.register
def _stop() -> None:
    for p in _pool:
        p.stop()


def _leave_short() -> None:
    """Short programs run alone until they ask for workers anew."""
    WORDS[runtime.ENOUGH] = 0


threads.listeners.append(_leave_short)


def _forget() -> None:
    """A forked child has none of its parent's threads."""
    _pool.clear()
    WORDS[:] = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def free() -> Pool | None:
    """The pool; None where there are no workers, or a program has them."""
    p = pool()
    return None if threads.count() < 2 or p.taken.locked() else p


def await_short(scratch_size: int, wanted: int) -> None:
    """Wake workers for the next runs of a short program, see Note [Short programs]."""
    p = free()
    if p is not None:
        with p.taken:
            p.gather(scratch_size)
            p.rouse(wanted)
            p.words[runtime.ENOUGH] = len(p.workers)
