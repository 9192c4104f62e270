"""Tensor methods that fill a tensor with random values, and the checks that samplers share."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core import sampling
from rushlight.core.device_array import host
from rushlight.core.generator import engine_of
from rushlight.core.tensor import Tensor
from rushlight.errors import DTypeError, NotSupportedError, ShapeError, warn_user
from rushlight.ops import random as R
from rushlight.tensor_api._common import method, numpy_dtype, resize, shape_of


@functools.cache
def limits(d: Any) -> tuple[float, float]:
    """Smallest and largest finite value of a floating-point NumPy dtype."""
    if d is dtypes.bfloat16:
        return -3.3895313892515355e38, 3.3895313892515355e38
    info = np.finfo(dtypes.REAL_OF.get(d, d))
    return float(info.min), float(info.max)


def only_floating(
    x: Tensor, function: str, error: type[Exception] = NotSupportedError, complex_too: bool = False
) -> Any:
    """The NumPy dtype of x if a continuous distribution can be drawn in it."""
    d = x._array.dtype
    if d not in (dtypes.DIFFERENTIABLE if complex_too else dtypes.FLOATING_TYPES):
        raise error(
            f"{function}: the values of a continuous probability distribution need a "
            f"floating-point dtype, but the tensor's is {dtypes.of[d].name}."
        )
    return d


def sizes_of(size: tuple[Any, ...], function: str) -> tuple[int, ...]:
    """The sizes given to a factory as ints or one sequence, all >= 0."""
    if not size:
        raise TypeError(
            f"{function}() needs sizes, for example {function}(2, 3) or {function}((2, 3))."
        )
    shape = shape_of(size, function)
    for n in shape:
        if n < 0:
            raise ShapeError(
                f"{function}: Trying to create tensor with negative dimension {n}: {list(shape)}"
            )
    return shape


def floating(d: Any, function: str) -> Any:
    """``d`` if values of a continuous distribution can be drawn in it."""
    if d not in dtypes.DIFFERENTIABLE:
        raise NotSupportedError(
            f"{function} is not implemented for {dtypes.of[d].name}; use a floating-point dtype."
        )
    return d


def into(out: Any, shape: tuple[int, ...], dtype: Any, draw: Any, **params: Any) -> Tensor:
    """Give ``out`` the shape, then draw in place, in its own dtype."""
    if dtype is not None and numpy_dtype(dtype) is not out._array.dtype:
        own = dtypes.of[out._array.dtype].name
        raise DTypeError(
            f"dtype {dtype} does not match dtype of out parameter ({own}); leave it out."
        )
    if out._array.shape != shape:
        resize(out, shape)
    return draw.update(out, **params)


def as_int(value: Any, function: str, argument: str) -> int:
    """An int that fits into 64 bits."""
    if not hasattr(value, "__index__"):
        raise TypeError(
            f"{function}(): argument '{argument}' must be int, not {type(value).__name__}"
        )
    number: int = value.__index__()
    if not -(2**63) <= number < 2**63:
        raise ValueError(
            f"{function}(): Overflow: argument '{argument}' is {number}, which does not fit into "
            "64 bits."
        )
    return number


@method
def uniform_(self: Tensor, *args: Any, generator: Any = None, **named: Any) -> Tensor:
    """Fills the tensor with uniform values: ``uniform_(from=0, to=1, *, generator=None)``.

    Args:
        from: smallest value.
        to: limit that is never reached, >= from.

    Example:
        >>> import rushlight as torch
        >>> torch.manual_seed(0) and torch.empty(2).uniform_(-1, 1)
        tensor([-0.0075,  0.5364])
    """
    plain = not named and len(args) == 2
    low, high = args if plain else _from_to(args, named, "uniform_", 0.0, 1.0)
    d = self._array.dtype
    if d not in dtypes.DIFFERENTIABLE:
        only_floating(self, "uniform_", complex_too=True)
    low, high = float(low), float(high)
    smallest, largest = limits(d)
    if smallest <= low <= high <= largest and high - low <= largest:
        return R.Uniform.update(self, engine_of(generator), low, high)
    for name, value in (("from", low), ("to", high)):
        if not smallest <= value <= largest:
            raise RuntimeError(
                f"uniform_: {name} is out of bounds for {dtypes.of[d].name}: {value}"
            )
    if low > high:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}"
        )
    raise RuntimeError(
        f"uniform_ expects to-from <= {largest:g}, the largest value, but found from={low:g} "
        f"and to={high:g}"
    )


def _from_to(
    args: tuple[Any, ...], named: dict[str, Any], function: str, low: Any, high: Any
) -> tuple[Any, Any]:
    """``from`` and ``to``; the first is a Python keyword, so it can only be named in a dict."""
    if not named and len(args) == 2:
        return args  # type: ignore[return-value]
    if len(args) > 2:
        raise TypeError(f"{function}() takes from and to, but got {len(args)} numbers.")
    names = ("from", "to")
    given = dict(zip(names, args, strict=False))
    for name, value in named.items():
        if name not in names or name in given:
            raise TypeError(
                f"{function}() got an unexpected argument {name!r}; it takes from and to."
            )
        given[name] = value
    return given.get("from", low), given.get("to", high)


@method
def normal_(self: Tensor, mean: Any = 0.0, std: Any = 1.0, *, generator: Any = None) -> Tensor:
    """Fills the tensor with normal values of this mean and standard deviation (>= 0).

    Example:
        >>> import rushlight as torch
        >>> torch.manual_seed(0) and torch.empty(2).normal_(10, 0.1)
        tensor([10.1541,  9.9707])
    """
    only_floating(self, "normal_", complex_too=True)
    mean, std = float(mean), float(std)
    if not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    return R.Normal.update(self, engine_of(generator), mean, std)


@method
def random_(self: Tensor, *args: Any, generator: Any = None, **named: Any) -> Tensor:
    """Fills the tensor with integers: ``random_()``, ``random_(to)`` or ``random_(from, to)``, both
    with ``to`` excluded.

    Args:
        from: smallest value, 0 when left out.
        to: one above the largest value; None, or left out: up to what the dtype holds (integers),
            or counts exactly (floats).

    Example:
        >>> import rushlight as torch
        >>> torch.manual_seed(0) and torch.zeros(4, dtype=torch.int64).random_(10)
        tensor([4, 9, 3, 0])
    """
    d = self._array.dtype
    if d in dtypes.COMPLEX_TYPES:
        raise NotSupportedError(f"random_ is not implemented for {dtypes.of[d].name}.")
    engine = engine_of(generator)
    if not args and not named:
        return R.Random.update(self, engine, 0, None)
    if len(args) == 1 and "from" not in named and "to" not in named:
        args = (0, *args)
    if not args and "to" not in named:
        raise TypeError("random_() takes (), (to) or (from, to), but got only from.")
    low, high = _from_to(args, named, "random_", 0, None)
    for name, value in (("from", low), ("to", high)):
        if value is not None and not hasattr(value, "__index__"):
            raise TypeError(f"random_(): argument '{name}' must be int, not {type(value).__name__}")
    low, high = integer_bounds(low.__index__(), None if high is None else high.__index__(), d)
    return R.Random.update(self, engine, low, high)


def integer_bounds(low: int, high: int | None, d: Any) -> tuple[int, int]:
    """Bounds for integers of dtype ``d``, checked.

    ``high`` None: one above the largest integer (of floats: up to which they count exactly). Floats
    too large to count move inwards, to a multiple of the spacing of floats there.
    """
    if d is dtypes.int64 and high is not None and -(2**63) <= low < high <= 2**63:
        return low, high
    digits = sampling.DIGITS.get(d)
    if high is None:
        if digits:
            _warn_if_inexact(low, 0, digits, d)
        high = (
            2**digits + 1 if digits else 2 if d is dtypes.bool_ else dtypes.integer_range(d)[1] + 1
        )
        if low >= high:
            raise RuntimeError(
                f"random_ expects 'from' to be less than or equal to {high - 1}, but got from={low}"
            )
    elif low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    elif digits:
        _warn_if_inexact(low, high, digits, d)
        low = _round_up(low, digits)
        high = high if high - 1 <= 2**digits else _round_down(high, digits)
        if low >= high:
            raise RuntimeError(
                f"random_ expects 'from' to be less than 'to' after rounding to {d}, but got "
                f"{low} >= {high}"
            )
    smallest, largest = _integer_limits(d)
    for name, value in (("from", low), ("to - 1", high - 1)):
        if not smallest <= value <= largest:
            raise RuntimeError(
                f"{name} is out of bounds for {dtypes.of[d].name}: {value} is not in [{smallest}, "
                f"{largest}]."
            )
    return low, high


def _integer_limits(d: Any) -> tuple[Any, Any]:
    if d is dtypes.bool_:
        return 0, 1
    if d in dtypes.INTEGER_TYPES:
        return dtypes.integer_range(d)
    return limits(d)


def _warn_if_inexact(low: int, high: int, digits: int, d: Any) -> None:
    for name, value in (("from", low), ("to - 1", high - 1)):
        if abs(value) > 2**digits:
            warn_user(
                f"{name} is out of bounds [-(2^{digits}), 2^{digits}]. Due to precision "
                f"limitations {dtypes.of[d].name} can support "
                "discrete uniform distribution only within this range."
            )


def _round_up(low: int, digits: int) -> int:
    """The smallest ``from`` from which values do not round below ``low``."""
    rounded = _nearest(low + 1, digits)
    return rounded + (1 << (abs(low + 1).bit_length() - digits)) if rounded < low else low


def _round_down(high: int, digits: int) -> int:
    rounded = _nearest(high - 1, digits)
    return rounded - (1 << (abs(high - 1).bit_length() - digits)) if rounded >= high else high


def _nearest(value: int, digits: int) -> int:
    """``value`` rounded to a float of that many digits, half to even."""
    shift = abs(value).bit_length() - digits
    return (
        value
        if shift <= 0
        else round(value / 2**shift) * 2**shift
        if digits < 53
        else int(float(value))
    )


@method
def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """Fills the tensor with ones and zeros; ``p``, a number or a tensor that broadcasts to it, is
    the probability of one.

    Example:
        >>> import rushlight as torch
        >>> torch.empty(3).bernoulli_(torch.tensor([0.0, 1.0, 0.0]))
        tensor([0., 1., 0.])
    """
    d = self._array.dtype
    if d in dtypes.COMPLEX_TYPES:
        raise NotSupportedError(f"bernoulli_ is not implemented for {dtypes.of[d].name}.")
    engine = engine_of(generator)
    if not isinstance(p, Tensor):
        check_probability(p)
        return R.Bernoulli.update(self, engine, float(p))
    x, shape = p._array, self._array.shape
    sampling.check_probabilities(host(p))
    if len(x.shape) > len(shape) or any(
        n not in (1, m) for n, m in zip(x.shape[::-1], shape[::-1], strict=False)
    ):
        raise ShapeError(
            f"bernoulli_: The expanded size of the tensor must match: p of shape {x.shape} does "
            f"not broadcast to {shape}."
        )
    return R.BernoulliEach.update(self, p, engine=engine)


def check_probability(p: Any) -> None:
    """Refuse numbers outside [0, 1]."""
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")


@method
def exponential_(self: Tensor, lambd: Any = 1.0, *, generator: Any = None) -> Tensor:
    """Fills the tensor with waiting times of rate ``lambd`` > 0: density ``lambd * exp(-lambd *
    x)``.

    Example:
        >>> import rushlight as torch
        >>> torch.manual_seed(0) and torch.empty(2).exponential_(2.0)
        tensor([1.7542, 0.6152])
    """
    if self._array.dtype not in dtypes.FLOATING_TYPES:
        only_floating(self, "exponential_", RuntimeError)
    rate = float(lambd)
    if not rate > 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={rate:g}")
    return R.Exponential.update(self, engine_of(generator), rate)


@method
def cauchy_(self: Tensor, median: Any = 0.0, sigma: Any = 1.0, *, generator: Any = None) -> Tensor:
    """Fills the tensor with Cauchy values of this median and half-width ``sigma`` > 0."""
    only_floating(self, "cauchy_", RuntimeError)
    if not sigma > 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
    return R.Cauchy.update(
        self, engine=engine_of(generator), median=float(median), sigma=float(sigma)
    )


@method
def log_normal_(self: Tensor, mean: Any = 1.0, std: Any = 2.0, *, generator: Any = None) -> Tensor:
    """Fills the tensor with the exp of normal values of this mean and standard deviation (> 0)."""
    only_floating(self, "log_normal_")
    if not std > 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std}")
    return R.LogNormal.update(self, engine_of(generator), float(mean), float(std))


@method
def geometric_(self: Tensor, p: Any, *, generator: Any = None) -> Tensor:
    """Fills the tensor with trial counts up to the first success of probability ``p`` in (0, 1)."""
    d = self._array.dtype
    if d is dtypes.bool_ or d in dtypes.COMPLEX_TYPES:
        raise NotSupportedError(f"geometric_ is not implemented for {dtypes.of[d].name}.")
    if not (0 < p < 1) or math.isnan(p):
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    return R.Geometric.update(self, engine_of(generator), float(p))
