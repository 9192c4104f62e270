"""Where objects keep their attributes, and whose code they belong to."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from types import (
    CodeType,
    FunctionType,
    GenericAlias,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    UnionType,
)
from typing import Any

from rushlight.config import is_own, package_names

# packages whose objects are not looked into
OURS = ("builtins", "ml_dtypes", "numpy")
MODULES = (*OURS, "scipy")  # packages whose modules and classes are not
OTHERS = ("numpy", "scipy", "llvmlite", "ml_dtypes", "threadpoolctl")  # that rushlight calls
# what describes types, fields, signatures and patterns, which programs do not change
DESCRIBING = ("dataclasses", "inspect", "re", "typing")
ANNOTATIONS = (GenericAlias, UnionType)


class Same:
    """An object as a key or a value: no other is equal to it, whatever it says itself."""

    __slots__ = ("x",)

    def __init__(self, x: Any) -> None:
        self.x = x

    def __hash__(self) -> int:
        return id(self.x)

    def __eq__(self, other: object) -> bool:
        return type(other) is Same and other.x is self.x


class Weak:
    """As ``Same``, but the object lives no longer for it; equal to nothing else when it is gone."""

    __slots__ = ("ref", "number")

    def __init__(self, x: Any) -> None:
        self.ref, self.number = weakref.ref(x), id(x)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        if other is self:
            return True
        x = self.ref()
        return type(other) is Weak and x is not None and other.ref() is x


def identity(x: Any) -> Weak | Same:
    """An object as a key, which does not keep it where that can be."""
    try:
        return Weak(x)
    except TypeError:
        return Same(x)


def function_of(x: Any) -> Any:
    """What a method or a property runs; anything else as it is. Objects are not asked themselves:
    some answer to every name.
    """
    kind = type(x)
    if issubclass(kind, property):
        return x.fget
    return x.__func__ if issubclass(kind, (MethodType, staticmethod, classmethod)) else x


class Slots:
    """The attributes of an object that has slots, as a dict has its items."""

    def __init__(self, x: Any, places: dict[str, Any], others: dict[str, Any]) -> None:
        self.x, self.places, self.others = x, places, others

    def get(self, name: str, default: Any = None) -> Any:
        """What an attribute holds, or a default."""
        if name not in self.places:
            return self.others.get(name, default)
        try:
            return self.places[name].__get__(self.x)
        except AttributeError:  # nothing yet
            return default

    def items(self) -> Iterator[tuple[str, Any]]:
        """The attributes that there are."""
        for name in self.places:
            value = self.get(name, self)
            if value is not self:
                yield name, value
        yield from self.others.items()

    def __contains__(self, name: str) -> bool:
        return self.get(name, self) is not self

    def __len__(self) -> int:
        return len(list(self.items()))


def attributes(x: Any) -> Any:
    """An object's own attributes; an object may answer to any name, so it is not asked."""
    if issubclass(type(x), threading.local):
        return x.__dict__  # this thread's
    try:
        own = object.__getattribute__(x, "__dict__")
    except AttributeError:
        own = {}
    if isinstance(x, (type, ModuleType)) or ours(x):
        return own
    places: dict[str, Any] = {}
    for c in reversed(type(x).__mro__):
        for name, place in c.__dict__.items():
            if type(place) is MemberDescriptorType and name != "__dict__":
                places[name] = place
            else:
                places.pop(name, None)  # hides the slot of a base
    return Slots(x, places, own) if places else own


def fields(x: Any) -> dict[str, Any] | None:
    """The attributes of a dataclass, which stands for what is in it as a dict does; else None."""
    return dict(attributes(x).items()) if hasattr(type(x), "__dataclass_fields__") else None


def only_attributes(x: Any) -> bool:
    """Whether an object consists of its attributes: none of a class that is written in C, of
    rushlight, or of Python's own with a state elsewhere, and no module, optimizer or iterator.
    """
    if isinstance(x, (type, ModuleType, FunctionType, MethodType)) or ours(x):
        return False
    bases = [c for c in type(x).__mro__[:-1] if ours(c) or (of_python(c) and not is_plain(c))]
    asked = any([has(x, name) for name in ("named_modules", "__next__")]) or optimizes(x)
    return not bases and not asked and len(attributes(x)) > 0


def is_plain(c: type) -> bool:
    """Whether a class of Python's own adds no state to the attributes of its objects."""
    return c.__module__ in ("collections", "collections.abc", "abc", "typing") and not issubclass(
        c, (list, tuple, dict, deque)
    )


def of_python(kind: type) -> bool:
    """Whether a class is one of Python's own library, whose code is not looked into."""
    own = kind.__module__.partition(".")[0] in sys.stdlib_module_names
    return own and kind.__name__ not in ("SimpleNamespace", "Namespace")  # which hold the user's


def classes(x: Any) -> list[type]:
    """An object's classes, or a class and its bases, that users wrote."""
    mro = x.__mro__ if isinstance(x, type) else type(x).__mro__
    return [c for c in mro if not ours(c) and not of_python(c)]


def names_of_bases(x: Any) -> frozenset[str]:
    """Names in the code of an object's classes that users did not write, which may look there for
    the attributes that a user sets.
    """
    found = [names_in(c) for c in type(x).__mro__ if ours(c) or of_python(c)]
    return frozenset().union(*found)


@functools.lru_cache(1024)
def names_in(c: type) -> frozenset[str]:
    """Names in the code of a class's own functions."""
    found: set[str] = set()
    for x in list(c.__dict__.values()):
        for f in (x.fget, x.fset) if isinstance(x, property) else (function_of(x),):
            f = inspect.unwrap(f) if type(f) is FunctionType else getattr(f, "func", None)
            waiting = [f.__code__] if type(f) is FunctionType else []
            while waiting:
                code = waiting.pop()
                found.update(code.co_names)
                waiting += [inner for inner in code.co_consts if type(inner) is CodeType]
    return frozenset(found)


def has(x: Any, name: str) -> bool:
    """Whether an object or its class has an attribute."""
    return hasattr(type(x), name) or name in attributes(x)


def optimizes(x: Any) -> bool:
    """Whether x is an optimizer, rather than what stands for several."""
    return all([has(x, name) for name in ("param_groups", "state", "step")])


def ours(x: Any) -> bool:
    """Whether an object or class is of a package that is not looked into."""
    if isinstance(x, ModuleType):
        module = x.__name__
        return module.partition(".")[0] in (*MODULES, *package_names, *sys.stdlib_module_names)
    if isinstance(x, type):
        return x.__module__.partition(".")[0] in (*MODULES, *package_names)
    kind, ours = type(x), (*OURS, *DESCRIBING, *package_names)
    return kind.__module__.partition(".")[0] in ours or kind in ANNOTATIONS


def of_the_user(module: str) -> bool:
    """Whether code of a module is neither rushlight's, nor Python's own, nor of a package that
    rushlight calls.
    """
    top = module.partition(".")[0]
    own = (
        is_own(module)
        or top in OTHERS
        or top in sys.stdlib_module_names
        or top.startswith("namedtuple_")
    )
    return not own
