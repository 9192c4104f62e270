"""Batches in memory that a GPU copies from."""

from __future__ import annotations

import copy
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

from rushlight.core.tensor import Tensor


def pin_memory(data: Any, device: Any = None) -> Any:
    """``data`` with what it holds replaced by what its ``pin_memory()`` returns.

    Tensors stay in ordinary memory; other objects with a method of that name are asked. Containers
    are made anew, of their class where that can be.

    Example:
        >>> import rushlight as torch
        >>> from rushlight.utils.data._utils.pin_memory import pin_memory
        >>> pin_memory({"x": torch.ones(2), "name": "first"})
        {'x': tensor([1., 1.]), 'name': 'first'}
    """
    if isinstance(data, Tensor):
        return data.pin_memory(device)  # type: ignore[attr-defined]
    if isinstance(data, (str, bytes)):
        return data
    if isinstance(data, Mapping):
        items = {key: pin_memory(value, device) for key, value in data.items()}
        if not isinstance(data, MutableMapping):
            return _made(type(data), items)
        result = copy.copy(data)  # with what a class of one's own holds beside the items
        result.update(items)
        return result
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*[pin_memory(value, device) for value in data])
    if isinstance(data, Sequence):
        values = [pin_memory(value, device) for value in data]
        if not isinstance(data, MutableSequence):
            return _made(type(data), values)
        changed = copy.copy(data)
        for i, value in enumerate(values):
            changed[i] = value
        return changed
    return data.pin_memory() if hasattr(data, "pin_memory") else data


def _made(cls: Any, items: Any) -> Any:
    try:
        return cls(items)
    except TypeError:  # it is made from something else, as ranges are
        return items
