"""Values in other processes, for programs that ask whether a result is one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rushlight.errors import NotSupportedError


class RRef:
    """A value in another process: not available, so nothing is one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotSupportedError(
            "RRef: there are no other processes to call; keep the value in a variable."
        )


def _require_initialized(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator for functions that call other processes: what it gives raises."""

    @functools.wraps(function)
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise NotSupportedError(
            f"{function.__name__}: RPC has not been initialized, and there are no other processes "
            "to call; call the function that it wraps."
        )

    return refuse
