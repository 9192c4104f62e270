"""Every method and every alias is an object of its own, which has the name it goes by: programs
that note or replace calls (``__torch_function__``, ``fx``) tell ``torch.add``, ``Tensor.add`` and
what operators apply apart, as in torch.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

from rushlight.core.tensor import Tensor


def renamed(function: Any, name: str, home: str = "", module: str = "rushlight") -> Any:
    """The same function, called ``name``, of the class ``home`` (with a dot) or the module."""
    own = FunctionType(
        function.__code__, function.__globals__, name, function.__defaults__, function.__closure__
    )
    own.__kwdefaults__ = function.__kwdefaults__
    own.__doc__, own.__annotations__ = function.__doc__, function.__annotations__
    own.__dict__.update(function.__dict__)
    own.__qualname__, own.__module__ = home + name, module
    return own


def attach() -> None:
    """Give Tensor methods, and properties, of its own."""
    for name, value in list(vars(Tensor).items()):
        if name.startswith("_") and not name.endswith("__"):
            continue
        if type(value) is FunctionType and name != "__new__":
            setattr(Tensor, name, renamed(value, name, "Tensor."))
        elif type(value) is property:
            parts = [
                f and renamed(f, name, "Tensor.") for f in (value.fget, value.fset, value.fdel)
            ]
            setattr(Tensor, name, property(*parts, value.__doc__))
