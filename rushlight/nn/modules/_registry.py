"""Registry: the dict behind a module's parameters, buffers or submodules, and the attributes that
mirror it."""

from __future__ import annotations

from typing import Any, ClassVar
from weakref import ref

from rushlight.core.trees import STANDS_FOR

KINDS = ("_parameters", "_buffers", "_modules")


class Registry(dict[str, Any]):
    """Named members of one module; whatever is stored here is an attribute of that module too.

    So `module.weight` is an ordinary read of the instance's dict, ten times as quick as a
    `__getattr__` that searches dicts. What the class itself has under that name comes first, as
    with a `__getattr__`, and a class with a `__getattr__` of its own is asked for its members. The
    owner is held weakly: a module and its registries must not keep each other alive.
    """

    __slots__ = ("_owner",)

    finder: ClassVar[Any]  # the `__getattr__` that finds members, which is that of Module

    def __init__(self, owner: Any, items: dict[str, Any] | None = None) -> None:
        self._owner = ref(owner)
        self.update(items or {})

    def _attributes(self) -> dict[str, Any]:
        owner = self._owner()
        return {} if owner is None else owner.__dict__

    def _show(self, name: str, value: Any) -> None:
        """Make a member an attribute."""
        owner = self._owner()
        if owner is None:
            return
        kind = type(owner)
        if kind.__getattr__ is not Registry.finder or any(
            [name in c.__dict__ for c in kind.__mro__]
        ):
            owner.__dict__.pop(name, None)
        else:
            owner.__dict__[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        dict.__setitem__(self, name, value)
        self._show(name, value)

    def __delitem__(self, name: str) -> None:
        dict.__delitem__(self, name)
        self._attributes().pop(name, None)

    def update(self, *args: Any, **kwargs: Any) -> None:
        dict.update(self, *args, **kwargs)
        for name, value in self.items():
            self._show(name, value)

    def __ior__(self, other: Any) -> Registry:
        self.update(other)
        return self

    def setdefault(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self[name] = default
        return self[name]

    def pop(self, name: str, *default: Any) -> Any:
        if name in self:
            self._attributes().pop(name, None)
        return dict.pop(self, name, *default)

    def popitem(self) -> tuple[str, Any]:
        name, value = dict.popitem(self)
        self._attributes().pop(name, None)
        return name, value

    def clear(self) -> None:
        attributes = self._attributes()
        for name in self:
            attributes.pop(name, None)
        dict.clear(self)

    def copy(self) -> dict[str, Any]:
        return dict(self)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # files and copies hold a plain dict; the module that takes it makes it a registry
        return dict, (dict(self),)


def registry(module: Any, kind: str) -> Registry:
    """Return the module's registry, adopting a plain dict that someone put in its place.

    Raises:
        AttributeError: `Module.__init__` has not run.
    """
    try:
        found = module.__dict__[kind]
    except KeyError:
        noun = {"_parameters": "parameters", "_buffers": "buffers", "_modules": "module"}[kind]
        raise AttributeError(
            f"cannot assign {noun} before Module.__init__() call; "
            f"begin {type(module).__name__}.__init__ with super().__init__()"
        ) from None
    if type(found) is not Registry or found._owner() is not module:
        found = module.__dict__[kind] = Registry(module, found)
    return found


STANDS_FOR[Registry] = dict
