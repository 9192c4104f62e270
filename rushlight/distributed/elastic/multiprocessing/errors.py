"""What is done about exceptions in the processes of a program."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

__all__ = ["record"]


def record(fn: Callable[..., Any], error_handler: Any = None) -> Callable[..., Any]:
    """Decorator of a main function. An exception goes on to the one who called, as no other process
    waits to hear of it.

    Args:
        fn: the function.
        error_handler: told of an exception by ``record_exception(exception)``, if it is given.

    Example:
        >>> from rushlight.distributed.elastic.multiprocessing.errors import record
        >>> @record
        ... def main():
        ...     return 3
        >>> main()
        3
    """

    @functools.wraps(fn)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        except Exception as error:
            if error_handler is not None:
                error_handler.record_exception(error)
            raise

    return recorded
