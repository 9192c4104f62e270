"""Numbers in even steps: arange, linspace, logspace."""

from __future__ import annotations

import builtins
import functools
import math
import operator
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.device_array import beside
from rushlight.core.native import kernels
from rushlight.core.tensor import Tensor, fixed_number, moving_array
from rushlight.errors import warn_user
from rushlight.ops.copy import Clone
from rushlight.tensor_api._common import (
    NUMBERS,
    as_number,
    check_factory,
    finish,
    store_out,
)
from rushlight.tensor_api.creation import dtype_into, store_new

__all__ = [
    "arange",
    "linspace",
    "logspace",
    "range",
]

MOST = 1 << 59  # elements: no memory is larger
PIECE = 1 << 14  # elements that are made at a time, so that they stay in the cache


def arange(
    start: Any = None,
    end: Any = None,
    step: Any = 1,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """``start``, ``start + step``, ... below ``end``; ``arange(n)`` counts from 0. Ints give int64,
    floats the default dtype.

    Example:
        >>> import rushlight as torch
        >>> torch.arange(4), torch.arange(1, 2, 0.5)
        (tensor([0, 1, 2, 3]), tensor([1.0000, 1.5000]))
    """
    place = check_factory(device, layout)
    if end is None:
        start, end = 0, start
        if end is None:
            raise TypeError("arange() needs an end: arange(end), or arange(start, end, step).")
    elif start is None:
        start = 0
    numbers = as_number(start), as_number(end), as_number(step)
    make = functools.partial(counted, out, dtype)
    if out is None and place is None and not requires_grad and type(numbers[0]) not in NUMBERS:
        there = moving_array(make, *numbers)
        if there is not None:
            return Clone.bind(there)  # type: ignore[no-any-return]
    a = make(*fixed_number(numbers))
    return finish(a, requires_grad, place) if out is None else fill_out(out, a)


def counted(out: Any, dtype: Any, start: Any, end: Any, step: Any) -> np.ndarray[Any, Any]:
    """The array of ``arange``."""
    ints = start.__class__ is end.__class__ is step.__class__ is int
    if not (ints and step > 0 and -MOST < 2 * start <= 2 * end < MOST):
        check_range(start, end, step)
        ints = isinstance(start, int) and isinstance(end, int) and isinstance(step, int)
    d = dtype_into(out, dtype, dtypes.int64 if ints else dtypes.default.float)
    if d is dtypes.int64 and not ints:
        start, end, step, ints = int(start), int(end), int(step), True
        if step == 0:
            raise ValueError("arange: step must be nonzero, also as an integer.")
    if ints:
        a = np.arange(start, end, step, np.int64).astype(d, copy=False)
    else:
        n = math.ceil((end - start) / step)
        if d in dtypes.INTEGER_TYPES:  # as many as of floats, but counted in integers
            a = (int(start) + int(step) * np.arange(n)).astype(d)
        else:
            a = ramp(n, d, start, step)
            place_zero(a, start, step)
    return a


def check_range(start: Any, end: Any, step: Any) -> None:
    """What ``arange`` and ``range`` refuse."""
    if step == 0:
        raise RuntimeError("arange: step must be nonzero.")
    if not all([math.isfinite(v) for v in (start, end)]):
        raise RuntimeError(f"unsupported range: {start} -> {end}; the bounds must be finite.")
    if (end - start) / step < 0:
        raise RuntimeError(
            f"upper bound and lower bound inconsistent with step sign: {start} to {end} by {step}."
        )
    if any([isinstance(v, int) and not -(2**63) <= v < 2**63 for v in (start, end, step)]):
        raise RuntimeError(f"arange: {start}, {end} or {step} does not fit into int64.")
    if (end - start) / step >= MOST:
        raise RuntimeError(f"invalid size, possible overflow: {start} to {end} by {step}.")


def fill_out(out: Any, values: np.ndarray[Any, Any], silently: bool = False) -> Tensor:
    """``store_out`` of a range: a tensor that has as many elements keeps its shape."""
    if isinstance(out, Tensor) and out._array.size == values.size:
        values = values.reshape(out._array.shape)
    if silently:
        return store_new(out, values)
    return store_out(out, beside(out if isinstance(out, Tensor) else None, values))


def place_zero(a: np.ndarray[Any, Any], start: Any, step: Any) -> None:
    """Give the element of a range that is nearest to zero torch's value, whose rounding shows: the
    zero of ``arange(-1, 1, 0.1)`` is -2.9802e-09.

    torch fills 64 bytes at a time, as two vectors: the first element of a vector is rounded, the
    others are counted from it. What fills no 64 bytes is computed one by one.
    """
    k, n, lanes = round(-start / step), len(a), 32 // a.dtype.itemsize
    if not 0 < k < n or a.dtype not in (dtypes.float32, dtypes.float64):
        return
    past = k % lanes if k < n - n % (2 * lanes) else 0
    first = a.dtype.type(multiply_add(k - past, step, start))
    a[k] = multiply_add(past, step, first)


def multiply_add(k: int, x: Any, y: Any) -> float:
    """``k x + y``, rounded once."""
    (a, b), (c, d) = float(x).as_integer_ratio(), float(y).as_integer_ratio()
    return (k * a * d + b * c) / (b * d)


def range(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Like ``arange`` with ``end`` included, in floats. Deprecated in torch as well."""
    warn_user(
        "torch.range is deprecated, as it includes its end, which Python's range does not; use "
        "torch.arange, which does not either."
    )
    place = check_factory(device, layout)
    start, end, step = fixed_number((as_number(start), as_number(end), as_number(step)))
    check_range(start, end, step)
    n = math.floor((end - start) / step) + 1
    d = dtype_into(out, dtype, dtypes.default.float)
    a = ramp(n, d, start, step)
    return finish(a, requires_grad, place) if out is None else fill_out(out, a)


def ramp(n: int, d: Any, first: float, step: float) -> np.ndarray[Any, Any]:
    """``first + i * step``, computed in float64, for i below n."""
    run = kernels.runner("ramp", d, 2, n) if n and d in dtypes.FLOATS else None
    if run is None:
        return in_pieces(n, d, lambda i, j: first + step * np.arange(i, j, dtype=np.float64))
    out = np.empty(n, d)
    run(out, two_numbers(first, step), n)
    return out


def two_numbers(a: float, b: float) -> np.ndarray[Any, Any]:
    """Two float64 numbers for a loop, which NumPy takes faster as a complex one."""
    return np.array(complex(a, b))


def in_pieces(n: int, d: Any, values: Any) -> np.ndarray[Any, Any]:
    """``values(i, j)``, elements i to j - 1 of n, as one array of dtype d."""
    if n <= PIECE:
        return np.asarray(values(0, n)).astype(d, copy=False)
    out = np.empty(n, d)
    for i in builtins.range(0, n, PIECE):
        j = min(i + PIECE, n)
        out[i:j] = values(i, j)
    return out


def spaced(start: float, end: float, steps: int, d: Any) -> np.ndarray[Any, Any]:
    """``steps`` values from start to end, symmetric as torch computes them: from the nearer end."""
    if steps == 1:
        return np.asarray([start]).astype(d)
    loop = kernels.runner("between", d, 2, steps) if d in dtypes.FLOATS else None
    if loop is not None:
        out = np.empty(steps, d)
        loop(out, two_numbers(start, end), steps)
        return out
    work = (
        d
        if d in dtypes.DIFFERENTIABLE and d not in dtypes.HALVES
        else dtypes.float32
        if d in dtypes.HALVES
        else dtypes.float64
    )
    if d in dtypes.INTEGER_TYPES:
        start, end = int(start), int(end)
    # Python's own numbers are float64, and quicker than NumPy's
    number = float if work is dtypes.float64 else work.type
    a, b = number(start), number(end)
    wide = dtypes.float64 if work is dtypes.float32 else work  # rounded only once, as in torch
    step = wide.type((b - a) / number(steps - 1))

    def values(i: int, j: int) -> np.ndarray[Any, Any]:
        part = from_ends(i, j, steps, wide) * step
        head = max(0, steps // 2 - i)
        part[:head] += a
        part[head:] += b
        return part

    return in_pieces(steps, d, values)


@functools.lru_cache(maxsize=16)
def from_ends(i: int, j: int, n: int, d: Any) -> np.ndarray[Any, Any]:
    """How far elements i to j - 1 of n are from the nearer end, counted from the last one down; not
    to be written to.
    """
    part = np.arange(i, j, dtype=d)
    tail = part[max(0, n // 2 - i) :]
    np.subtract(n - 1, tail, tail)
    np.negative(tail, tail)  # -0 at the end, which changes no zero that it is added to
    return part


def checked_steps(steps: Any, name: str) -> int:
    """The number of values, an int >= 0."""
    if not hasattr(steps, "__index__"):
        raise TypeError(f"{name}(): argument 'steps' must be int, not {type(steps).__name__}")
    steps = operator.index(steps)  # of a tensor of few bits, which no bound here fits into
    if steps < 0:
        raise RuntimeError(f"number of steps must be non-negative, but got {steps}.")
    if steps >= MOST:
        raise RuntimeError(f"{name}: {steps} steps overflow every memory.")
    return steps


def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """``steps`` evenly spaced values from ``start`` to ``end``, both included.

    Example:
        >>> import rushlight as torch
        >>> torch.linspace(0, 1, 3)
        tensor([0.0000, 0.5000, 1.0000])
    """
    place = check_factory(device, layout)
    start, end = as_number(start), as_number(end)
    steps = checked_steps(steps, "linspace")
    d = spaced_dtype("linspace", start, end, out, dtype)
    a = spaced(start, end, steps, d) if steps else np.empty(0, d)
    return finish(a, requires_grad, place) if out is None else fill_out(out, a, silently=True)


def spaced_dtype(name: str, start: Any, end: Any, out: Any, dtype: Any) -> Any:
    """The dtype of values between two numbers."""
    if not isinstance(start, complex) and not isinstance(end, complex):
        return dtype_into(out, dtype, dtypes.default.float)
    d = dtype_into(out, dtype, dtypes.default.complex)
    if d not in dtypes.COMPLEX_TYPES:
        raise RuntimeError(
            f"torch.{name}(): complex bounds can't be safely cast to dtype {dtypes.of[d].name}."
        )
    return d


def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """``base`` to the powers ``linspace(start, end, steps)``.

    Example:
        >>> import rushlight as torch
        >>> torch.logspace(0, 2, 3)
        tensor([  1.,  10., 100.])
    """
    place = check_factory(device, layout)
    steps = checked_steps(steps, "logspace")
    first, last = as_number(start), as_number(end)
    d = spaced_dtype("logspace", first, last, out, dtype)
    if d in dtypes.INTEGER_TYPES:
        first, last = int(first), int(last)
    wide = dtypes.complex128 if d in dtypes.COMPLEX_TYPES else dtypes.float64
    exponents = spaced(first, last, steps, wide) if steps else np.empty(0)
    a = np.power(np.array(float(base)), exponents).astype(d)
    return finish(a, requires_grad, place) if out is None else fill_out(out, a, silently=True)
