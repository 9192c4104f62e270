"""How many threads compiled programs use, and the BLAS libraries behind NumPy and SciPy."""

from __future__ import annotations

import os
import warnings


class _Setting:
    """What was asked for; None leaves the libraries' own choice."""

    threads: int | None = None


def count() -> int:
    """The number asked for, or that of the processors."""
    return _Setting.threads or os.cpu_count() or 1


def limit(threads: int) -> None:
    """Use ``threads`` threads, >= 1, from now on."""
    _Setting.threads = threads
    apply()


def apply() -> None:
    """Tell the libraries that are loaded by now; SciPy brings its own BLAS, with its first use."""
    if _Setting.threads is None:
        return
    try:
        import threadpoolctl
    except ImportError:
        warnings.warn(
            "set_num_threads: threadpoolctl is not installed, so BLAS keeps its own number of "
            "threads; pip install threadpoolctl, or set OMP_NUM_THREADS before starting Python.",
            UserWarning,
            stacklevel=4,
        )
        return
    threadpoolctl.threadpool_limits(_Setting.threads, user_api="blas")
