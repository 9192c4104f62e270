"""Values in other processes, for programs that ask whether a result is one."""

from __future__ import annotations

from typing import Any

from rushlight.errors import NotSupportedError


class RRef:
    """A value in another process: not available, so nothing is one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotSupportedError(
            "RRef: there are no other processes to call; keep the value in a variable."
        )
