"""Small helpers of layers: arguments that are one number or one per dimension."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any

__all__ = ["consume_prefix_in_state_dict_if_present"]


def _ntuple(n: int, name: str = "parse") -> Callable[[Any], tuple[Any, ...]]:
    """A function that repeats a single value `n` times and makes a tuple of several."""

    def parse(x: Any) -> tuple[Any, ...]:
        return tuple(x) if isinstance(x, Iterable) else tuple(repeat(x, n))

    parse.__name__ = name
    return parse


_single = _ntuple(1, "_single")
_pair = _ntuple(2, "_pair")
_triple = _ntuple(3, "_triple")
_quadruple = _ntuple(4, "_quadruple")


def consume_prefix_in_state_dict_if_present(state_dict: dict[str, Any], prefix: str) -> None:
    """Take `prefix` off the names of a state dict, in place: off those that have it.

    Args:
        state_dict: what to change.
        prefix: such as ``"module."``, which DataParallel adds.
    """
    for table in (state_dict, getattr(state_dict, "_metadata", None) or {}):
        for key in list(table):
            if key.startswith(prefix):
                table[key[len(prefix) :]] = table.pop(key)
            elif table is not state_dict and key and key == prefix.rstrip("."):
                table[""] = table.pop(key)


def fields(module: Any, *names: str) -> str:
    """``name=value`` for attributes of a module, as they stand in its printed form."""
    return ", ".join(f"{name}={getattr(module, name)}" for name in names)
