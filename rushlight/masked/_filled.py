"""What the masked functions share: an operation's neutral element takes the place of what the mask
leaves out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.device_array import constant_on
from rushlight.core.tensor import Tensor, constant
from rushlight.tensor_api import where
from rushlight.tensor_api._common import numpy_dtype, wrap_dim

INF = float("inf")


def prepared(input: Any, mask: Any, dtype: Any = None) -> tuple[Tensor, Tensor | None]:
    """(input in its dtype, mask as bool in the input's shape, or None when there is none)."""
    if not isinstance(input, Tensor):  # a MaskedTensor: its own mask, and the given one
        own = input.get_mask()
        input, mask = input.get_data(), own if mask is None else own & mask
    if dtype is not None:
        input = input.to(dtypes.of[np.dtype(numpy_dtype(dtype))])
    if mask is None:
        return input, None
    mask = mask if mask._array.dtype == np.bool_ else mask.bool()
    if mask._array.ndim > input._array.ndim:
        raise IndexError(
            f"masked: the mask has {mask._array.ndim} dims, the input only {input._array.ndim}."
        )
    return input, mask.expand(input._array.shape)


def filled(input: Tensor, mask: Tensor | None, value: Any) -> Tensor:
    """input where the mask is True, elsewhere ``value`` (which stops the gradient there)."""
    if mask is None:
        return input
    return where(mask, input, constant_on(input, np.asarray(value, input._array.dtype)))


def lowest(name: str, x: Tensor) -> Any:
    """The neutral element of ``amax``: -inf, or the least integer."""
    d = x._array.dtype
    if dtypes.is_floating(d):
        return -INF
    if d not in dtypes.INTEGER_TYPES:
        raise NotImplementedError(f"masked.{name} has no neutral element for {x.dtype}")
    return np.iinfo(d).min


def highest(name: str, x: Tensor) -> Any:
    """The neutral element of ``amin``: inf, or the largest integer."""
    d = x._array.dtype
    if dtypes.is_floating(d):
        return INF
    if d not in dtypes.INTEGER_TYPES:
        raise NotImplementedError(f"masked.{name} has no neutral element for {x.dtype}")
    return np.iinfo(d).max


def all_dims(dim: Any, ndim: int) -> tuple[int, ...]:
    """``dim`` (None or nothing: all; an int; several ints) as dims >= 0, each once."""
    if dim is None or (hasattr(dim, "__len__") and not len(dim)):
        return tuple(range(ndim))
    one = not hasattr(dim, "__iter__") or getattr(dim, "ndim", 1) == 0
    dims = [wrap_dim(int(d) if isinstance(d, bool) else d, ndim) for d in ((dim,) if one else dim)]
    if len(set(dims)) != len(dims):
        raise RuntimeError(f"masked: dim {dims} names a dim more than once.")
    return tuple(sorted(dims))


def counts(x: Tensor, mask: Tensor | None, dims: tuple[int, ...], keepdim: bool) -> Tensor:
    """How many elements the mask selects, as integers."""
    if mask is not None:
        ones = mask.long()
    elif x.is_cuda:
        ones = x.new_ones((), dtype=dtypes.of[dtypes.int64]).expand(x._array.shape)
    else:
        ones = constant(np.broadcast_to(np.int64(1), x._array.shape))
    return ones.sum(dims, keepdim) if dims else ones.clone()
