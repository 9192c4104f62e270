"""Where in the user's code something happens."""

from __future__ import annotations

import sys
import traceback
from typing import Any

HERE = __file__.rsplit("compiler", 1)[0]


def users_line() -> str:
    """The innermost line outside of rushlight, as ``file:line``."""
    for frame in reversed(traceback.extract_stack()):
        if not frame.filename.startswith(HERE):
            return f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}"
    return "?"


def line() -> str:
    """The user's line of the op being traced."""
    frame: Any = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(HERE):
        frame = frame.f_back
    return (
        "" if frame is None else f"{frame.f_code.co_filename.rsplit('/', 1)[-1]}:{frame.f_lineno}"
    )
