"""Every method and every alias is an object of its own, which has the name it goes by: programs
that note or replace calls (``__torch_function__``, ``fx``) tell ``torch.add``, ``Tensor.add`` and
what operators apply apart, as in torch.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

from rushlight import tensor_api
from rushlight.core.tensor import Tensor

# what a method does that has no function of its name, and no room for a docstring of its own
DOES = {
    "const_data_ptr": "The address of the memory, for reading.",
    "fill_diagonal_": "Write ``fill_value`` on the diagonal, and again after each gap if ``wrap``.",
    "is_pinned": "Whether the memory is page-locked: False.",
    "is_set_to": "Whether this and ``tensor`` are the same part of the same memory.",
    "new_empty": "A tensor of a size, of this one's dtype and device, with whatever is in memory.",
    "new_empty_strided": "A tensor of a size and strides, of this one's dtype and device.",
    "new_ones": "A tensor of ones of a size, of this one's dtype and device.",
    "new_zeros": "A tensor of zeros of a size, of this one's dtype and device.",
    "pin_memory": "The tensor itself: memory is page-locked for devices other than the CPU only.",
}


def described(name: str) -> str | None:
    """A docstring for a method, from the function of its name, or of that it is in place of."""
    function = getattr(tensor_api, name.removesuffix("_"), None)
    if name in DOES or function is None:
        return DOES.get(name)
    if name.endswith("_"):
        return f"In-place form of ``{name[:-1]}``."
    lines = (function.__doc__ or "").strip().split("\n\n")[0].splitlines()
    summary = "\n".join([line.strip() for line in lines])
    return f"{summary}\n\nSee ``torch.{name}``." if summary else None


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
    """Give Tensor methods, and properties, of its own, and all of them docstrings."""
    for name, value in vars(tensor_api).items():
        if type(value) is FunctionType and not value.__doc__ and not name.startswith("_"):
            value.__doc__ = described(name)
    for name, value in list(vars(Tensor).items()):
        if name.startswith("_") and not name.endswith("__"):
            continue
        if type(value) is FunctionType and name != "__new__":
            own = renamed(value, name, "Tensor.")
            own.__doc__ = own.__doc__ or described(name)
            setattr(Tensor, name, own)
        elif type(value) is property:
            parts = [
                f and renamed(f, name, "Tensor.") for f in (value.fget, value.fset, value.fdel)
            ]
            setattr(Tensor, name, property(*parts, value.__doc__))
