"""``Size``: the shape of a tensor."""

from __future__ import annotations

import math
from operator import index
from typing import Any


class Size(tuple[int, ...]):
    """A shape: a tuple of ints that also knows the number of elements.

    Example:
        >>> import rushlight as torch
        >>> torch.ones(2, 3).shape
        torch.Size([2, 3])
        >>> torch.Size([2, 3]).numel()
        6
    """

    __slots__ = ()

    def __new__(cls, iterable: Any = (), /) -> Size:
        """Sizes from any iterable of ints."""
        sizes = tuple(iterable)
        try:
            return tuple.__new__(cls, [n if n.__class__ is int else index(n) for n in sizes])
        except TypeError as error:
            wrong = ", ".join([repr(n) for n in sizes if n.__class__ is not int])
            raise TypeError(f"torch.Size() takes an iterable of 'int' (got {wrong})") from error

    def numel(self) -> int:
        """The product of the sizes."""
        return math.prod(self)

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    def __getitem__(self, i: Any) -> Any:
        found = tuple.__getitem__(self, i)
        return _size(found) if isinstance(i, slice) else found

    def __add__(self, other: Any) -> Size:
        return _size(tuple.__add__(self, tuple(other)))

    def __radd__(self, other: Any) -> Size:
        return _size(tuple(other) + tuple(self))

    def __mul__(self, n: Any) -> Size:
        return _size(tuple.__mul__(self, n))

    __rmul__ = __mul__

    def __reduce__(self) -> tuple[Any, ...]:
        return Size, (tuple(self),)


def _size(t: Any) -> Size:
    return tuple.__new__(Size, t)


make_size = _size
