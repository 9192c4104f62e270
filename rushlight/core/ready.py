"""Kernels of elementwise ops that were made, and what they serve at once."""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

from numpy import broadcast_shapes, empty, ndarray

from rushlight.core.native import LEAST
from rushlight.core.op import Op
from rushlight.dtypes import NUMBERS

EXACT = 2**53  # integers up to here are float64 numbers
LARGEST = 3.4028234663852886e38  # of float32: ops may refuse what is above, but for infinity


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

    def overwrite(self, x: Any, elements: Any, values: Any, n: int) -> None:
        """Write the n results over x, the first of contiguous elements."""
        if n < self.unit:
            self.compute(*elements, *values, x, n)
        else:
            aside = empty(self.unit, self.dtype) if n % self.unit else x
            self.write(*elements, *values, x, x, aside, n)


def quick(op: Any, elements: Any, params: dict[str, Any], into: bool = False) -> Any:
    """What a kernel that is ready makes of arrays and numbers, or None; ``into``: in the first of
    them. Arrays are contiguous and of one shape, or become so at little cost.
    """
    shape: Any = None
    order: Any = "C"
    key: Any = []
    plain = True
    for x in elements:
        if x.__class__ is ndarray:
            if shape is None:
                shape = x.shape
            if x.shape != shape or not x.flags.carray:
                plain = False
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
    if ready is None:
        return None
    if not plain:
        found = None if into else spread(elements)
        if found is None:
            return None
        elements, shape, order = found
    n = math.prod(shape)
    if not 0 < n <= ready.most:
        return None
    if not into:
        out = empty(shape, ready.dtype, order)
        ready.compute(*elements, *values, out, n)
        return out
    first = elements[0]
    if first.dtype is not ready.dtype:
        return None
    ready.overwrite(first, elements, values, n)
    return first


def spread(elements: Any) -> Any:
    """(elements, shape, order): few arrays with gaps or of several shapes as contiguous ones of one
    shape; those that lie in columns, as many as there may be, stay as they are. None where NumPy
    has to find the order of the result, or single numbers have a dtype of their own.
    """
    shape: Any = None
    rows = columns = True
    kinds: Any = {x.dtype for x in elements if x.__class__ is ndarray}
    for x in elements:
        if x.__class__ is ndarray:
            f, have = x.flags, x.shape
            if not have and len(kinds) > 1:
                return None
            columns = columns and f.f_contiguous and f.behaved and shape in (None, have)
            rows = rows and x.size < LEAST and (f.c_contiguous or goes_in_rows(have, x.strides))
            shape = have if shape is None or shape == have else common_shape(shape, have)
            if shape is None or not (rows or columns):
                return None
    if shape is None:
        return None
    if not rows or math.prod(shape) >= LEAST:
        return (elements, shape, "F") if columns else None
    found: Any = []
    for x in elements:
        if x.__class__ is ndarray and not (x.shape == shape and x.flags.carray):
            y, x = x, empty(shape, x.dtype)
            x[...] = y
        found.append(x)
    return found, shape, "C"


@functools.lru_cache(maxsize=1024)
def goes_in_rows(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether later elements of an array never lie before earlier ones."""
    steps = [s for n, s in zip(shape, strides, strict=True) if n > 1 and s]
    return all([a >= b > 0 for a, b in itertools.pairwise([*steps[:1], *steps])])


@functools.lru_cache(maxsize=1024)
def common_shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...] | None:
    """What two shapes broadcast to, or None."""
    try:
        return broadcast_shapes(a, b)
    except ValueError:
        return None


def is_constant(v: Any) -> bool:
    """Whether a kernel is made for a parameter's value, which an equal one may stand for."""
    return v is None or v.__class__ is str or isinstance(v, Op)


def is_operand(v: Any) -> bool:
    """Whether a kernel can take a parameter as a float64 number."""
    if v.__class__ is float:
        return -LARGEST <= v <= LARGEST or abs(v) == math.inf
    return v.__class__ is int and -EXACT <= v <= EXACT


def is_number(x: Any) -> bool:
    """Whether x is a number that a kernel can take as float64."""
    return x.__class__ in NUMBERS and bool(-EXACT <= x <= EXACT)  # type: ignore[operator]


def ready_for(found: dict[Any, Ready], key: Any, params: dict[str, Any]) -> tuple[Any, Any]:
    """The kernel for arrays of some dtypes and for parameters, and those that it takes."""
    v: Any
    for v in params.values():  # as ``is_operand`` does
        if v.__class__ is float:
            if not -LARGEST <= v <= LARGEST and abs(v) != math.inf:
                break
        elif v.__class__ is not int or not -EXACT <= v <= EXACT:
            break
    else:  # as is usual
        ready = found.get((*key, *params))
        if ready is not None:
            return ready, params.values()
    names: list[Any] = []
    values: list[Any] = []
    for name, v in params.items():
        if is_constant(v):
            names.append((name, v))
        elif is_operand(v):
            names.append(name)
            values.append(v)
        else:
            return None, ()
    ready = found.get((*key, *names))
    return (ready, values) if ready is not None else (found.get((*key, *params.items())), ())
