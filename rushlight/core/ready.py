"""Kernels of elementwise ops that were made, and what they serve at once."""

from __future__ import annotations

from typing import Any

from numpy import empty, ndarray

from rushlight.dtypes import NUMBERS

EXACT = 2**53  # integers up to here are float64 numbers
REALS = frozenset((float, int))


class Ready:
    """A kernel for arrays of some dtypes and numbers, and what it makes of them.

    Fields: compute, ``f(*elements, out, n)``; write, ``f(*elements, x, x, aside, n)``, where x is
    the first element, of a unit at least; dtype, of the result; unit, most, elements that it does
    at a time and at most.
    """

    __slots__ = ("compute", "write", "dtype", "unit", "most")

    def __init__(self, compute: Any, write: Any, dtype: Any, unit: int, most: int) -> None:
        self.compute, self.write, self.dtype = compute, write, dtype
        self.unit, self.most = unit, most

    def takes(self, x: Any, y: Any) -> bool:
        """Whether an array lies in memory as it has to, and another, unless that is a number."""
        if y.__class__ is not ndarray:
            return bool(x.flags.carray and -EXACT <= y <= EXACT)
        return bool(x.shape == y.shape and x.flags.carray and y.flags.carray)


def quick(op: Any, elements: Any, params: dict[str, Any], into: bool = False) -> Any:
    """What a kernel that is ready makes of contiguous arrays and numbers, or None; ``into``: in
    the first of them.
    """
    first: Any = None
    shape: Any = None
    key: Any = []
    for x in elements:
        if x.__class__ is ndarray:
            if shape is None:
                first, shape = x, x.shape
            elif x.shape != shape:
                return None
            if not x.flags.carray:
                return None
            key.append(x.dtype)
        elif is_number(x):
            key.append(None)
        else:
            return None
    ready: Any
    values: Any = ()
    if params:
        ready, values = ready_for(op.ready, key, params)
    else:
        ready = op.ready.get(key[0] if len(key) == 1 else (*key,))
    if ready is None or not 0 < first.size <= ready.most:
        return None
    if into and first.dtype is not ready.dtype:
        return None
    n = first.size
    if not into or n < ready.unit:
        out = first if into else empty(shape, ready.dtype)
        ready.compute(*elements, *values, out, n)
        return out
    aside = empty(ready.unit, ready.dtype) if n % ready.unit else first
    ready.write(*elements, *values, first, first, aside, n)
    return first


def is_number(x: Any) -> bool:
    """Whether x is a number that a kernel can take as float64."""
    return x.__class__ in NUMBERS and bool(-EXACT <= x <= EXACT)  # type: ignore[operator]


def ready_for(found: dict[Any, Ready], key: Any, params: dict[str, Any]) -> tuple[Any, Any]:
    """The kernel for arrays of some dtypes and for parameters, and those that it takes."""
    v: Any
    for v in params.values():
        if v.__class__ not in REALS or not -EXACT <= v <= EXACT:  # type: ignore[operator]
            break
    else:  # as is usual
        ready = found.get((*key, *params))
        if ready is not None:
            return ready, params.values()
    names: list[Any] = []
    values: list[Any] = []
    for name, v in params.items():
        if v is None:
            names.append((name, None))
        elif v.__class__ in REALS and -EXACT <= v <= EXACT:  # type: ignore[operator]
            names.append(name)
            values.append(v)
        else:
            return None, ()
    ready = found.get((*key, *names))
    return (ready, values) if ready is not None else (found.get((*key, *params.items())), ())
