"""Elements limited to bounds, chosen by a condition, or replaced."""

from __future__ import annotations

import functools
from typing import Any

import ml_dtypes
import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import known_as
from rushlight.core.tensor import Tensor, wrap
from rushlight.dtypes import NUMBERS
from rushlight.errors import NotSupportedError
from rushlight.ops import select as S
from rushlight.ops.activation import Threshold
from rushlight.tensor_api._common import (
    expect_tensor,
    method,
    methods,
    scalar,
    store_out,
    stored,
    stored_exactly,
    warn_once,
)

__all__ = [
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "nan_to_num",
    "threshold",
    "threshold_",
    "where",
]

BOUNDS = frozenset((float, int, type(None)))


@method
def clamp(input: Tensor, min: Any = None, max: Any = None, *, out: Tensor | None = None) -> Tensor:
    """``input`` limited to [min, max]; where min > max the result is max.

    Args:
        min: lower bound, a number or a tensor; None for no bound.
        max: upper bound, likewise. Not both None.

    Example:
        >>> import rushlight as torch
        >>> torch.clamp(torch.tensor([-2.0, 0.5, 3.0]), -1, 1)
        tensor([-1.0000,  0.5000,  1.0000])
    """
    if min.__class__ in BOUNDS and max.__class__ in BOUNDS and not (min is None and max is None):
        result = S.Clamp.bind(expect_tensor(input, "clamp"), min=min, max=max)
        return result if out is None else store_out(out, result, exact=True)
    op, args, kwargs = _clamping(input, min, max)
    return stored(op.bind(input, *args, **kwargs), out)


def _clamping(input: Tensor, min: Any, max: Any) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """The op that clamps with these bounds, and its arguments."""
    expect_tensor(input, "clamp")
    min, max = plain(min), plain(max)
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if not isinstance(min, Tensor) and not isinstance(max, Tensor):
        return S.Clamp, (), {"min": min, "max": max}
    if max is None:
        return S.ClampMin, (min,), {}
    if min is None:
        return S.ClampMax, (max,), {}
    return S.ClampBoth, (_as_bound(min), _as_bound(max)), {}


def plain(bound: Any) -> Any:
    """A bound, with a NumPy number as Python's."""
    if bound is None or bound.__class__ in NUMBERS or isinstance(bound, Tensor):
        return bound
    if isinstance(bound, np.generic):
        bound = bound.item()
    if isinstance(bound, complex):
        raise NotSupportedError(
            f"clamp is not supported for complex types, but a bound is {bound}; complex numbers "
            "have no order."
        )
    if not isinstance(bound, (int, float)):
        raise TypeError(
            f"clamp(): bounds must be numbers or tensors, not {type(bound).__name__}: {bound!r}"
        )
    return bound


def _as_bound(bound: Any) -> Tensor:
    return bound if isinstance(bound, Tensor) else wrap(np.asarray(bound, dtypes.of_number(bound)))


@method
def clamp_(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """In-place form of ``clamp``."""
    if min.__class__ in BOUNDS and max.__class__ in BOUNDS and not (min is None and max is None):
        return S.Clamp.update(input, min=min, max=max)
    op, args, kwargs = _clamping(input, min, max)
    return op.update(input, *args, **kwargs)  # type: ignore[no-any-return]


@method
def clamp_min(input: Tensor, min: Any, *, out: Tensor | None = None) -> Tensor:
    """``input`` limited to at least ``min``, a number or a tensor.

    Example:
        >>> import rushlight as torch
        >>> torch.clamp_min(torch.tensor([1, 5]), 3)
        tensor([3, 5])
    """
    kind = isinstance(min, Tensor)
    return stored(known_as(f"ClampMinBackward{kind:d}", clamp(input, min)), out)


@method
def clamp_max(input: Tensor, max: Any, *, out: Tensor | None = None) -> Tensor:
    """``input`` limited to at most ``max``, a number or a tensor.

    Example:
        >>> import rushlight as torch
        >>> torch.clamp_max(torch.tensor([1, 5]), 3)
        tensor([1, 3])
    """
    kind = isinstance(max, Tensor)
    return stored(known_as(f"ClampMaxBackward{kind:d}", clamp(input, None, max)), out)


clip = clamp
methods(
    clip=clamp,
    clip_=clamp_,
    clamp_min_=lambda input, min: clamp_(input, min),
    clamp_max_=lambda input, max: clamp_(input, None, max),
)


def where(
    condition: Tensor, input: Any = None, other: Any = None, *, out: Tensor | None = None
) -> Any:
    """``input`` where ``condition`` holds, else ``other``.

    With the condition alone: the indices of its nonzero elements, one tensor for each dim.

    Args:
        condition: bool tensor.
        input, other: tensors or numbers; both or neither.

    Shape:
        broadcast of the three.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([-1.0, 2.0])
        >>> torch.where(x > 0, x, 0.0)
        tensor([0., 2.])
    """
    expect_tensor(condition, "where", "condition")
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    if condition._array.dtype == np.uint8:
        warn_once("where received a uint8 condition tensor, which is deprecated; pass a bool one.")
    if input is None or other is None:
        raise TypeError("where(): input and other must be given both, or neither")
    return stored_exactly(S.Where.bind(condition, input, other), out)


@method
def nan_to_num(
    input: Tensor,
    nan: float | None = None,
    posinf: float | None = None,
    neginf: float | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """NaN replaced by ``nan`` (0), infinities by the numbers given, or by the largest and smallest
    finite ones of the dtype.

    Example:
        >>> import rushlight as torch
        >>> torch.nan_to_num(torch.tensor([torch.nan, torch.inf, 1.0]), posinf=9.0)
        tensor([0., 9., 1.])
    """
    return stored_exactly(
        S.NanToNum.bind(
            expect_tensor(input, "nan_to_num"), **_replacements(input, nan, posinf, neginf)
        ),
        out,
    )


@functools.cache
def largest(d: Any) -> float:
    """The largest finite number of a floating-point dtype; 0 for other dtypes."""
    d = dtypes.REAL_OF.get(d, d)
    return float(ml_dtypes.finfo(d).max) if d in dtypes.FLOATING_TYPES else 0.0


def _replacements(x: Tensor, nan: Any, posinf: Any, neginf: Any) -> dict[str, float]:
    top = largest(x._array.dtype)
    return {
        "nan": 0.0 if nan is None else nan,
        "posinf": top if posinf is None else posinf,
        "neginf": -top if neginf is None else neginf,
    }


@method
def nan_to_num_(
    input: Tensor,
    nan: float | None = None,
    posinf: float | None = None,
    neginf: float | None = None,
) -> Tensor:
    """In-place form of ``nan_to_num``."""
    return S.NanToNum.update(input, **_replacements(input, nan, posinf, neginf))


def threshold(
    input: Tensor,
    threshold: float,
    value: float,
    inplace: bool = False,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """``input`` where it is above ``threshold``, else ``value``."""
    if inplace:
        return threshold_(input, threshold, value)
    threshold, value = scalar(threshold, "threshold"), scalar(value, "value")
    result = Threshold.bind(input, **Threshold.numbers(input, threshold, value))
    return stored(result, out)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """In-place form of ``threshold``."""
    threshold, value = scalar(threshold, "threshold"), scalar(value, "value")
    return Threshold.update(input, **Threshold.numbers(input, threshold, value))  # type: ignore[no-any-return]


methods(where=lambda self, condition, other: where(condition, self, other))
