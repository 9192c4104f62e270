"""Names: how functions are called in printed graphs, and names for values that are not taken."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Callable
from typing import Any

from rushlight import overrides
from rushlight.ops.dispatched import Operator

HOMES = {"torch.linalg": "linalg", "torch.fft": "fft", "torch.special": "special"}
GLOBAL = frozenset(("inf", "nan", "NoneType", "torch", "device"))


def qualified(function: Callable[..., Any]) -> str:
    """Where code finds a function: ``torch.relu``, ``_operator.add``, ``__main__.mine``.

    Example:
        >>> import rushlight as torch
        >>> qualified(torch.relu), qualified(torch.nn.functional.linear), qualified(getattr)
        ('torch.relu', 'torch._C._nn.linear', 'getattr')
    """
    if getattr(builtins, function.__name__, None) is function:
        return function.__name__
    if isinstance(function, Operator):
        return f"ops.{function}"
    public = overrides.resolve_name(function)
    if public is not None:
        home, _, name = public.rpartition(".")
        if home == "torch.nn.functional" and name in overrides.NATIVE:
            return f"torch._C._nn.{name}"
        if home in HOMES:
            return f"torch._C._{HOMES[home]}.{HOMES[home]}_{name}"
        return public
    module = re.sub(r"^rushlight(?=\.|$)", "torch", function.__module__ or "")
    if module == "torch.tensor_api.rarities":
        module = "torch"
    return f"{module}.{function.__name__}"


def shown(function: Callable[..., Any]) -> str:
    """The name of a function in a printed graph."""
    if getattr(builtins, function.__name__, None) is function:
        return f"builtins.{function.__name__}"
    return re.sub(r"^_operator\.", "operator.", qualified(function))


def snake_case(text: str) -> str:
    """``BatchNorm`` as ``batch_norm``; what is snake case already stays."""
    words: list[str] = []
    for i, c in enumerate(text):
        if c.isupper() and i and not text[i - 1].isupper() and text[i - 1] != "_":
            words.append("_")
        words.append(c.lower())
    return "".join(words)


class Namespace:
    """Names that are taken."""

    def __init__(self) -> None:
        self.taken: set[str] = set()
        self.counts: dict[str, int] = {}

    def create_name(self, candidate: str, obj: Any = None) -> str:
        """``candidate`` with what is no name replaced, and a number if it is taken."""
        name = re.sub("[^0-9a-zA-Z_]+", "_", candidate) or "_unnamed"
        if name[0].isdigit():
            name = f"_{name}"
        base, number = name, 0
        match = re.fullmatch(r"(.*)_(\d+)", name)
        if match:
            base, number = match[1], int(match[2])
        number = max(number, self.counts.get(base, 0)) if not match else number
        while name in self.taken or self.is_illegal(name):
            number += 1
            name = f"{base}_{number}"
        self.taken.add(name)
        self.counts[base] = max(number, self.counts.get(base, 0))
        return name

    def is_illegal(self, name: str) -> bool:
        """Whether code would mean something else by the name."""
        return keyword.iskeyword(name) or hasattr(builtins, name) or name in GLOBAL
