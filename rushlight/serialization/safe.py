"""Which classes and functions files may ask for beyond the built-in list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rushlight.serialization.names import torch_name

SafeGlobal = Callable[..., Any] | tuple[Callable[..., Any], str]

# Never, also when added: what they do depends on their arguments, which the file chooses.
_REFUSED_MODULES = frozenset(("os", "posix", "nt", "sys", "subprocess", "shutil", "importlib"))
_REFUSED_BUILTINS = frozenset(("eval", "exec", "compile", "open", "__import__", "getattr"))


class _Registry:
    def __init__(self) -> None:
        self.listed: list[SafeGlobal] = []
        self.by_name: dict[str, Any] = {}

    def set(self, listed: Iterable[SafeGlobal]) -> None:
        self.listed = list(dict.fromkeys(listed))
        self.by_name = {n: obj for entry in self.listed for n, obj in _names(entry)}


registry = _Registry()


def _names(entry: SafeGlobal) -> list[tuple[str, Any]]:
    """The names by which a file may ask for an entry."""
    if isinstance(entry, tuple):
        obj, name = entry
        return [(name, obj)]
    module, name = entry.__module__, getattr(entry, "__qualname__", None) or entry.__name__
    return [(f"{module}.{name}", entry), (".".join(torch_name(module, name)), entry)]


def is_refused(module: str, name: str) -> bool:
    """Whether no file may ask for it, whatever the user added."""
    if module.partition(".")[0] in _REFUSED_MODULES:
        return True
    return module in ("builtins", "__builtin__") and name in _REFUSED_BUILTINS


def add_safe_globals(safe_globals: Iterable[SafeGlobal]) -> None:
    """Let files loaded with ``weights_only=True`` ask for these classes and functions.

    Args:
        safe_globals: classes or functions; or pairs of one and the full name by which files call
            it.

    Example:
        >>> from fractions import Fraction
        >>> torch.serialization.add_safe_globals([Fraction])
        >>> torch.serialization.get_safe_globals()
        [<class 'fractions.Fraction'>]
        >>> torch.serialization.clear_safe_globals()
    """
    registry.set([*registry.listed, *_checked(safe_globals)])


def _checked(entries: Iterable[SafeGlobal]) -> list[SafeGlobal]:
    entries = list(entries)
    for entry in entries:
        pair = isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[1], str)
        if not pair and not callable(entry):
            raise TypeError(
                "add_safe_globals: expected classes, functions or pairs (class, full name), "
                f"but got {entry!r}"
            )
    return entries


def get_safe_globals() -> list[SafeGlobal]:
    """What `add_safe_globals` added."""
    return list(registry.listed)


def clear_safe_globals() -> None:
    """Forget what `add_safe_globals` added."""
    registry.set([])


class safe_globals:
    """Context manager: inside, files may ask for these classes and functions too.

    Args:
        safe_globals: as for `add_safe_globals`.

    Example:
        >>> from fractions import Fraction
        >>> with torch.serialization.safe_globals([Fraction]):
        ...     pass  # load(...)
    """

    def __init__(self, safe_globals: Iterable[SafeGlobal]) -> None:
        self.added = _checked(safe_globals)

    def __enter__(self) -> None:
        self.previous = registry.listed
        registry.set([*registry.listed, *self.added])

    def __exit__(self, *exc: Any) -> None:
        registry.set(self.previous)
