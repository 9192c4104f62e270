"""Small helpers of layers: arguments that are one number or one per dimension."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any

from rushlight.core.tensor import Tensor

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


def _reverse_repeat_tuple(values: Sequence[Any], n: int) -> tuple[Any, ...]:
    """The values from last to first, each `n` times, as `pad` takes paddings."""
    return tuple(value for value in reversed(values) for _ in range(n))


def _list_with_default(sizes: Any, defaults: Sequence[int]) -> Any:
    """Sizes with the last of `defaults` in the place of None."""
    if isinstance(sizes, (int, Tensor)):
        return sizes
    if len(defaults) <= len(sizes):
        raise ValueError(f"Input dimension should be at least {len(sizes) + 1}")
    last = defaults[len(defaults) - len(sizes) :]
    return [d if n is None else n for n, d in zip(sizes, last, strict=True)]


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


def factory_kwargs(kwargs: dict[str, Any] | None) -> dict[str, Any]:
    """Those options of a layer that say how its parameters are made: ``device``, ``dtype`` and
    ``memory_format``, each given as itself or within ``factory_kwargs``.

    Raises:
        TypeError: there are others, or one is given twice.

    Example:
        >>> nn.factory_kwargs({"dtype": torch.float64, "factory_kwargs": {"device": "cpu"}})
        {'device': 'cpu', 'dtype': torch.float64}
    """
    given = dict(kwargs or {})
    found = dict(given.pop("factory_kwargs", {}))
    for name, value in given.items():
        if name not in ("device", "dtype", "memory_format"):
            raise TypeError(
                f"unexpected kwargs {name!r}; a layer takes device, dtype and memory_format."
            )
        if name in found:
            raise TypeError(f"{name} specified twice, in **kwargs and in factory_kwargs")
        found[name] = value
    return found
