"""How many threads compiled programs use, and the BLAS libraries behind NumPy and SciPy.

Note [BLAS beside workers]
A BLAS thread that has finished waits for more to do for some milliseconds, and does not sleep. The
workers of compiled programs then wait for a processor: a step that used both took longer on two
threads than on one. So BLAS has one thread once there are workers, which do all large products,
but for decompositions of large matrices.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.errors import warn_user

LARGE = 256  # rows of a matrix whose decomposition is worth several threads


class _Setting:
    """What was asked for; None leaves the libraries' own choice."""

    threads: int | None = None
    workers = False  # see Note [BLAS beside workers]


listeners: list[Callable[[], None]] = []  # called when another number is asked for


def count() -> int:
    """The number asked for, or else the usual one."""
    return _Setting.threads or usual()


@functools.cache
def usual() -> int:
    """What MKL_NUM_THREADS or else OMP_NUM_THREADS said at first, up to the processors that this
    process may use; without these, all of them.
    """
    processors = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    for variable in ("MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        first = os.environ.get(variable, "").split(",")[0].strip()
        if first.isdecimal() and int(first):
            return min(int(first), processors)
    return processors


def limit(threads: int, warn: bool = True) -> None:
    """Use ``threads`` threads, >= 1, from now on; ``warn`` if BLAS cannot be told."""
    _Setting.threads = threads
    for listener in listeners:
        listener()
    apply(warn)


def leave_to_workers() -> None:
    """Have BLAS use one thread, see Note [BLAS beside workers]."""
    if not _Setting.workers:
        _Setting.workers = True
        apply()


def apply(warn: bool = True) -> None:
    """Tell the libraries that are loaded by now."""
    threads = 1 if _Setting.workers else _Setting.threads
    if threads is None:
        return
    try:
        import threadpoolctl
    except ImportError:
        if warn:
            warn_user(
                "threadpoolctl is not installed, so BLAS keeps its own number of threads; "
                "pip install threadpoolctl, or set OMP_NUM_THREADS before starting Python."
            )
        return
    threadpoolctl.threadpool_limits(threads, user_api="blas")


@functools.cache
def scipy_linalg() -> Any:
    """SciPy's linear algebra, which brings a BLAS of its own: that too does as it was told."""
    import scipy.linalg

    apply()
    return scipy.linalg


class Decompositions:
    """The functions of ``numpy.linalg``; those of large matrices use all threads. Float32 numbers
    that overflow are infinite without a warning.
    """

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(np.linalg, name)

        @functools.wraps(function)
        def call(a: Any, *args: Any, **options: Any) -> Any:
            with all_threads(a.shape[-1]), np.errstate(over="ignore"):
                return function(a, *args, **options)

        setattr(self, name, call)
        return call


def all_threads(rows: int) -> Any:
    """A block in which BLAS has all threads, if a matrix of so many rows is worth them."""
    if rows < LARGE or not _Setting.workers or count() == 1:
        return contextlib.nullcontext()
    import threadpoolctl

    return threadpoolctl.threadpool_limits(count(), user_api="blas")


decompositions = Decompositions()
