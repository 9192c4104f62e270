"""What the package was built with: libraries and their versions, as text for bug reports."""

import os
import platform

import numpy

from rushlight.backends.cpu import get_cpu_capability
from rushlight.tensor_api import get_num_interop_threads, get_num_threads
from rushlight.version import __version__


def show() -> str:
    """Versions of rushlight, Python and NumPy, and the processor's vector instructions.

    Example:
        >>> import rushlight as torch
        >>> print(torch.__config__.show().split()[0])
        rushlight
    """
    return (
        f"rushlight {__version__}\n"
        f"  - Python {platform.python_version()}\n"
        f"  - NumPy {numpy.__version__}\n"
        f"  - CPU capability usage: {get_cpu_capability()}\n"
    )


def parallel_info() -> str:
    """How many threads compute, as text.

    Example:
        >>> import rushlight as torch
        >>> torch.__config__.parallel_info().startswith("ATen/Parallel:")
        True
    """
    return (
        "ATen/Parallel:\n"
        f"\tat::get_num_threads() : {get_num_threads()}\n"
        f"\tat::get_num_interop_threads() : {get_num_interop_threads()}\n"
        f"std::thread::hardware_concurrency() : {os.cpu_count()}\n"
    )
