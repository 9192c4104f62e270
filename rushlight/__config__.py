"""What the package was built with: libraries and their versions, as text for bug reports."""

import platform

import numpy

from rushlight.backends.cpu import get_cpu_capability
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
