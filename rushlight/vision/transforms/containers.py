"""Transforms made of transforms."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rushlight import tensor_api as rl
from rushlight.nn import Module


def chance() -> float:
    """One draw from [0, 1), with the default generator."""
    return float(rl.rand(1).item())


def uniform(low: float, high: float) -> float:
    """One draw from [low, high), with the default generator."""
    return float(rl.empty(1).uniform_(low, high).item())


def integer(low: int, high: int) -> int:
    """One draw from [low, high), with the default generator."""
    return int(rl.randint(low, high, (1,)).item())


def _lines(transforms: Iterable[Any]) -> str:
    return "".join(f"\n    {transform}" for transform in transforms)


class Compose:
    """One transform after the other.

    Args:
        transforms: functions of one argument.

    Example:
        >>> Compose([abs, str])(-3)
        '3'
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return f"Compose({_lines(self.transforms)}\n)"


class Lambda:
    """A function of your own.

    Example:
        >>> from rushlight.vision import transforms
        >>> transforms.Lambda(lambda image: image * 2)(torch.ones(1, 1, 2))
        tensor([[[2., 2.]]])
    """

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"Argument lambd should be callable, got {type(lambd).__name__!r}")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)

    def __repr__(self) -> str:
        return "Lambda()"


class RandomApply(Module):
    """All the given transforms with probability ``p``, otherwise none.

    Args:
        transforms: a sequence, or a ``ModuleList``.
        p: in [0, 1].

    Example:
        >>> from rushlight.vision import transforms
        >>> blur = transforms.GaussianBlur(3)
        >>> transforms.RandomApply([blur], p=0.5)(torch.rand(3, 8, 8)).shape
        torch.Size([3, 8, 8])
    """

    def __init__(self, transforms: Any, p: float = 0.5) -> None:
        super().__init__()
        self.transforms = transforms
        self.p = p

    def forward(self, img: Any) -> Any:
        if self.p < chance():
            return img
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return f"RandomApply(\n    p={self.p}{_lines(self.transforms)}\n)"


class _Several:
    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        if not isinstance(transforms, Sequence):
            raise TypeError("Argument transforms should be a sequence")
        self.transforms = transforms

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_lines(self.transforms)}\n)"


class RandomOrder(_Several):
    """All transforms, in random order (of Python's ``random``)."""

    def __call__(self, img: Any) -> Any:
        order = list(range(len(self.transforms)))
        random.shuffle(order)
        for i in order:
            img = self.transforms[i](img)
        return img


class RandomChoice(_Several):
    """One of the transforms (chosen by Python's ``random``).

    Args:
        transforms: to choose from.
        p: weight of each, default equal.

    Example:
        >>> from rushlight.vision import transforms
        >>> flips = [transforms.RandomHorizontalFlip(1.0), transforms.RandomVerticalFlip(1.0)]
        >>> transforms.RandomChoice(flips)(torch.rand(3, 4, 5)).shape
        torch.Size([3, 4, 5])
    """

    def __init__(
        self, transforms: Sequence[Callable[[Any], Any]], p: Sequence[float] | None = None
    ) -> None:
        super().__init__(transforms)
        if p is not None and not isinstance(p, Sequence):
            raise TypeError("Argument p should be a sequence")
        self.p = p

    def __call__(self, *args: Any) -> Any:
        return random.choices(self.transforms, weights=self.p)[0](*args)

    def __repr__(self) -> str:
        return f"{super().__repr__()}(p={self.p})"
