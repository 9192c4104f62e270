"""Where in the user's code something happens."""

from __future__ import annotations

import sys
from typing import Any

from rushlight.compiler.objects import of_the_user

HERE = __file__.rsplit("compiler", 1)[0]
WATCHING: list[Any] = []  # code that runs the functions that are watched, see code.py


def place_of(frame: Any) -> str:
    """The line that a frame is at, as ``file:line``."""
    return f"{frame.f_code.co_filename.rsplit('/', 1)[-1]}:{frame.f_lineno}"


def users_frame(frame: Any) -> Any:
    """The innermost frame of the user's code; None if there is none."""
    while frame is not None and not of_the_user(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    return frame


def users_line() -> str:
    """The user's line that runs, as ``file:line``."""
    frame = users_frame(sys._getframe(1))
    return "?" if frame is None else place_of(frame)


def line_in_call() -> str:
    """The user's line that runs, in the function that is watched; empty outside of it."""
    innermost = frame = users_frame(sys._getframe(1))
    while frame is not None:
        if frame.f_code in WATCHING:
            return place_of(innermost)
        frame = frame.f_back
    return ""


def line() -> str:
    """The user's line of the op being traced."""
    frame: Any = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(HERE):
        frame = frame.f_back
    return "" if frame is None else place_of(frame)
