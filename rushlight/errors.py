"""Error classes. Each is a subclass of the built-in type that PyTorch raises, so programs that
catch torch's errors still do. And warnings at the user's line.
"""

from __future__ import annotations

import sys
import warnings
from types import FrameType

HERE = __file__.rsplit("errors", 1)[0]


def warn_user(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost line outside of rushlight."""
    frame: FrameType | None = sys._getframe(1)
    level = 2
    while frame is not None and frame.f_code.co_filename.startswith(HERE):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, category, stacklevel=level)


class Explained(Exception):
    """Says all there is to say: a traceback leaves out NumPy's refusal, during which it arose."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.__suppress_context__ = True


class ShapeError(Explained, RuntimeError):
    """Sizes that do not fit together."""


class DTypeError(Explained, RuntimeError):
    """An element type that an operation does not accept."""


class DeviceError(Explained, RuntimeError, AssertionError):
    """Tensors on different devices, or a device that is not there. For the latter, PyTorch raises
    the one or the other built-in error: without a driver for CUDA, or built without CUDA.
    """


class GraphError(Explained, RuntimeError):
    """A gradient that cannot be computed: a freed graph, an overwritten value, a tensor without
    history.
    """


class MemoryOverlapError(Explained, RuntimeError):
    """A write whose result would depend on the order in which elements are written."""


class NotSupportedError(Explained, NotImplementedError, RuntimeError):
    """Something PyTorch has and rushlight does not; the text says what to do instead."""


class OutOfTableError(IndexError, RuntimeError):
    """A row that a table does not have; PyTorch has one type for rows and one for bags of rows."""


class UnforeseenError(RuntimeError):
    """A call of a compiled function has a result of another shape than the calls before, so the
    function itself has to be called.
    """


class AcceleratorError(RuntimeError):
    """A failure on a device."""


class OutOfMemoryError(RuntimeError):
    """A device has no memory left."""
