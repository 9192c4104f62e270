"""What a mask selects, and where elements are not zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import known_as
from rushlight.core.device_array import beside, driver_of, host
from rushlight.core.sparse import rules
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, value_needed, wrap
from rushlight.core.wrapped import WrappedArray
from rushlight.ops import masked
from rushlight.tensor_api._common import expect_tensor, method, refuse_overlap, store_out
from rushlight.tensor_api.index_keys import places_in
from rushlight.tensor_api.joining import stack
from rushlight.tensor_api.selection import fill_value
from rushlight.tensor_api.shaping import broadcast_shapes

__all__ = ["argwhere", "masked_fill", "masked_scatter", "masked_select", "nonzero"]

FEW = 1000  # elements for which fewer calls are faster


@method
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """``input`` with ``value`` where ``mask`` is True.

    Example:
        >>> import rushlight as torch
        >>> torch.zeros(2).masked_fill(torch.tensor([True, False]), 5)
        tensor([5., 0.])
    """
    if isinstance(value, Tensor) and value.requires_grad:
        return fill_with_tensor(input, mask, value)
    out = masked.MaskedFill.bind(
        input, expect_tensor(mask, "masked_fill", "mask"), value=fill_value(value)
    )
    return known_as("MaskedFillBackward1", out) if isinstance(value, Tensor) else out


def fill_with_tensor(input: Tensor, mask: Tensor, value: Tensor) -> Tensor:
    """masked_fill whose value takes part in the graph."""
    if value._array.ndim:
        raise RuntimeError(
            "masked_fill only supports a 0-dimensional value tensor, but got "
            f"{value._array.ndim} dimension(s)."
        )
    kept = masked.MaskedFill.bind(input, mask, value=0)
    return known_as("MaskedFillBackward1", kept + value.to(input.dtype) * mask.to(input.dtype))


@method
def masked_fill_(self: Tensor, mask: Tensor, value: Any) -> Tensor:
    """In-place form of ``masked_fill``."""
    if isinstance(value, Tensor) and value.requires_grad:
        return self.copy_(fill_with_tensor(self, mask, value))
    return masked.MaskedFill.update(
        self, expect_tensor(mask, "masked_fill_", "mask"), value=fill_value(value)
    )


@method
def masked_select(input: Tensor, mask: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elements where ``mask`` is True, as a vector.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([1, 5, 3])
        >>> torch.masked_select(x, x > 2)
        tensor([5, 3])
    """
    input = expect_tensor(input, "masked_select")
    mask = expect_tensor(mask, "masked_select", "mask")
    aside = modes.trace is not None or driver_of(mask) is not None
    if aside and mask._array.dtype == np.bool_:
        shape = broadcast_shapes(input._array.shape, mask._array.shape)
        (places,) = places_in(mask.expand(shape).reshape(-1))
        result = input.expand(shape).reshape(-1).index_select(0, places)
    else:
        result = masked.MaskedSelect.bind(input, mask)
    if out is None:
        return result
    refuse_overlap(out, input, mask)
    return store_out(out, result, exact=True)


@method
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """``input`` with its elements where ``mask`` is True replaced by the first elements of
    ``source``, in order.

    Example:
        >>> import rushlight as torch
        >>> mask = torch.tensor([True, False, True])
        >>> torch.masked_scatter(torch.zeros(3), mask, torch.tensor([1.0, 2.0]))
        tensor([1., 0., 2.])
    """
    return masked.MaskedScatter.bind(input, mask, source)


@method
def masked_scatter_(self: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """In-place form of ``masked_scatter``."""
    return masked.MaskedScatter.update(self, mask, source)


@method
def nonzero(input: Tensor, *, out: Tensor | None = None, as_tuple: bool = False) -> Any:
    """Where the elements are not zero: a matrix with a row per element, or with ``as_tuple`` an
    index tensor per dim.

    Example:
        >>> import rushlight as torch
        >>> torch.tensor([0, 3, 0, 4]).nonzero()
        tensor([[1],
                [3]])
    """
    if input._array.__class__ is WrappedArray and not as_tuple:
        return rules.ask("nonzero", nonzero, input)
    there = driver_of(input) is not None
    if not there and out is None and not (as_tuple or state.busy) and input._array.ndim:
        return wrap(nonzero_rows(input._array))
    if out is not None and (as_tuple or out._array.dtype is not dtypes.int64):
        raise RuntimeError(
            "nonzero does not support the out kwarg when as_tuple is True."
            if as_tuple
            else f"nonzero: out has to be of dtype int64, but is {out.dtype}."
        )
    moving = there if modes.trace is None else not modes.trace.is_fixed(input)
    if moving and input._array.ndim:
        found = places_in(input != 0)
        result = tuple(found) if as_tuple else stack(found, 1)
        return result if out is None else store_out(out, result)
    x = host(input)
    value_needed("nonzero()", input)
    if as_tuple:
        return tuple([beside(input, i) for i in nonzero_places(x if x.ndim else x.reshape(1))])
    if not x.ndim:
        result = beside(input, np.empty((int(bool(x)), 0), np.int64))
    else:
        result = beside(input, nonzero_rows(x))
    return result if out is None else store_out(out, result)


def nonzero_rows(x: Any) -> Any:
    """The indices of the elements that are not zero, a row each."""
    places = nonzero_places(x)
    if x.ndim == 1:
        return places[0].reshape(-1, 1)
    rows = np.empty((len(places[0]), x.ndim), np.int64)
    for d, found in enumerate(places):
        rows[:, d] = found
    return rows


def nonzero_places(x: Any) -> Any:
    """The index along each dim of the elements that are not zero. Of truths NumPy finds the flat
    places several times as fast as those by dim, or of numbers.
    """
    if x.size < FEW:
        return x.nonzero()
    flat = (x if x.dtype is dtypes.bool_ else x != 0).reshape(-1).nonzero()[0]
    found = []
    for n in x.shape[:0:-1]:
        rows = flat // n  # several times as fast as the remainder
        flat -= rows * n
        found.append(flat)
        flat = rows
    return [flat, *found[::-1]]


@method
def argwhere(input: Tensor) -> Tensor:
    """Where the elements are not zero, a row per element.

    Example:
        >>> import rushlight as torch
        >>> torch.argwhere(torch.tensor([[1, 0], [0, 2]]))
        tensor([[0, 0],
                [1, 1]])
    """
    return nonzero(input)
