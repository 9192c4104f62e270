"""Context managers that are decorators too, which libraries derive their own from."""

from __future__ import annotations

from rushlight.core.state import Mode


class _DecoratorContextManager(Mode):
    """Derived classes define ``__enter__`` and ``__exit__``, and ``clone`` where ``__init__`` takes
    arguments: a decorated function enters a fresh manager at each call.

    Example:
        >>> class Announced(_DecoratorContextManager):
        ...     def __enter__(self):
        ...         print("before")
        >>> @Announced()
        ... def add(a, b):
        ...     return a + b
        >>> add(1, 2)
        before
        3
    """

    def clone(self) -> _DecoratorContextManager:
        return type(self)()
