"""How numbers are come by before a program runs, and those of many parameters together.

An optimizer asks for numbers such as ``1 - beta ** step`` for each parameter, which counts steps of
its own. The formulas are the same, and so are the counts, mostly: then one is computed for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from rushlight.core.device_array import host
from rushlight.core.tensor import Tensor


class Formula:
    """What a function gives of numbers, of which some are come by at each call."""

    __slots__ = ("function", "parts")

    def __init__(self, function: Callable[..., Any], parts: list[Any]) -> None:
        self.function, self.parts = function, parts

    def __call__(self) -> Any:
        return self.function(*[p() if callable(p) else p for p in self.parts])


class Content:
    """What a 0-dim tensor holds, as a float."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __call__(self) -> float:
        return float(host(self.tensor).reshape(()))


def leaves(source: Any, found: list[Any]) -> Any:
    """What a source computes, equal for equal formulas; of what, ``found`` gets."""
    if type(source) is Formula:
        return source.function, *[leaves(p, found) for p in source.parts]
    if type(source) is Content:
        found.append(source.tensor)
        return Content
    return id(source) if callable(source) else (type(source), repr(source))


class Alike:
    """Sources of one formula, at their places: ``source`` at place k, and ``others``, each of other
    tensors.
    """

    __slots__ = ("k", "source", "tensors", "others")

    def __init__(self, k: int, source: Callable[[], Any], tensors: list[Tensor]) -> None:
        self.k, self.source, self.tensors = k, source, tensors
        self.others: list[tuple[int, Callable[[], Any], list[Tensor]]] = []

    def fill(self, numbers: Any) -> None:
        """Put the numbers of this call at their places."""
        numbers[self.k] = value = self.source()
        if not self.others:
            return
        then = [held(t) for t in self.tensors]
        known = 0.0 not in then  # of which there are two
        for k, source, tensors in self.others:
            numbers[k] = value if known and [held(t) for t in tensors] == then else source()


def held(t: Tensor) -> Any:
    """What a 0-dim tensor holds; of one on a GPU, where that is."""
    a = t._array
    return a.item() if a.__class__ is np.ndarray else (Content, id(a))


def together(sources: Iterable[tuple[int, Callable[[], Any]]]) -> list[Alike]:
    """Places with their sources, those of one formula together."""
    made: dict[Any, Alike] = {}
    for k, source in sources:
        tensors: list[Tensor] = []
        key = leaves(source, tensors)
        if key in made:
            made[key].others.append((k, source, tensors))
        else:
            made[key] = Alike(k, source, tensors)
    return [*made.values()]
