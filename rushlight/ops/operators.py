"""Operators by name, ``torch.ops.<namespace>.<name>.<overload>``: overloads are the operator
itself, since Python functions take arguments of any kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Packet:
    """A function as an operator."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._function, self._name = function, name
        self.__name__ = name

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    def __getattr__(self, overload: str) -> Packet:
        if overload.startswith("__"):
            raise AttributeError(overload)
        return Packet(self._function, f"{self._name}.{overload}")

    def __repr__(self) -> str:
        return self._name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Packet) and other._name == self._name

    def __hash__(self) -> int:
        return hash(self._name)


class Namespace:
    """``torch.ops.<name>``: what programs define, or what ``find`` knows by name.

    Args:
        name: of the namespace.
        find: gives the function of a name, or None.
    """

    def __init__(self, name: str, find: Callable[[str], Any] | None = None) -> None:
        self.name, self.find = name, find

    def __getattr__(self, name: str) -> Any:
        function = None if self.find is None else self.find(name)
        if function is None:
            raise AttributeError(
                f"'_OpNamespace' '{self.name}' object has no attribute '{name}'",
                name=name,
                obj=self,
            )
        packet = Packet(function, f"{self.name}.{name}")
        setattr(self, name, packet)
        return packet


namespaces: dict[str, Namespace] = {}
