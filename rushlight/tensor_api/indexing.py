"""``x[index]`` and ``x[index] = value``.

Ints, slices, None and Ellipsis give views. Tensors, lists, arrays and masks copy (``Index``) or
write (``IndexPut``) after the basic part was applied as a view; this is where torch differs from
NumPy, which counts an int beside an index array as an array.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.device_array import DeviceArray, host
from rushlight.core.inplace import same_window
from rushlight.core.sparse import SparseOperand
from rushlight.core.state import modes, state
from rushlight.core.tensor import (
    Tensor,
    bump,
    constant,
    fixed_number,
    moving_number,
    wrap,
    written,
)
from rushlight.dtypes import NUMBERS
from rushlight.errors import ShapeError
from rushlight.ops.copy import ORDINARY, Copy, expect_fit, filler
from rushlight.ops.index import Index, IndexPut
from rushlight.ops.masked import MaskedFill
from rushlight.ops.select import Where
from rushlight.ops.view import BasicIndex, WritePart, owner
from rushlight.tensor_api._common import methods
from rushlight.tensor_api.from_data import traced_tensor
from rushlight.tensor_api.index_keys import (
    by_places,
    is_mask_of_dims,
    parse,
    plain,
    quick_parse,
    split,
    spread,
    whole,
)
from rushlight.tensor_api.views import reshape

__all__: list[str] = []


def getitem(self: Tensor, key: Any) -> Tensor:
    """``self[key]``."""
    x = self._array
    if key.__class__ is Tensor and key._array.ndim:
        if key._array.dtype is dtypes.int64 and x.ndim:
            return Index.bind(self, key, pattern=(True,))
        if modes.trace is None and is_mask_of_dims(key._array, x):
            rows = self.reshape(key._array.size, *x.shape[key._array.ndim :])
            return Index.bind(rows, key.reshape(-1), pattern=(True,))
    if state.busy and modes.trace is not None:
        apart = modes.trace.indices.apart(key)
        if apart is not None:
            return getitem(getitem(self, apart[0]), apart[1])
        key = modes.trace.indices.placed(self, key)
    index = plain(x, key)
    if index is not None:
        try:
            if state.busy:
                return BasicIndex.bind(self, index=whole(index))
            return BasicIndex.linked(self, x[index], {"index": index})
        except SparseOperand:
            return BasicIndex.bind(self, index=index)
        except IndexError:
            pass  # parse says what is wrong
    placed = by_places(key)
    found = None if placed else quick_parse(x, key)
    if found is not None:
        basic, pattern, indices = found
        part = self if basic is None else BasicIndex.bind(self, index=basic)
        return Index.bind(part, *indices, pattern=pattern)
    if placed and (not self.requires_grad or modes.trace.indices.may_track(self)):
        basic, places = split(self, key, True)
        part = BasicIndex.bind(self, index=basic) if basic is not None else self
        pattern, indices = spread(places)
        view = modes.trace.indices.looked(part, indices, pattern)
        if self.requires_grad:
            return modes.trace.indices.tracked(view, Index.bind(part, *indices, pattern=pattern))
        return view
    basic, tensors = parse(self, key)
    part = BasicIndex.bind(self, index=basic) if basic is not None else self
    if not tensors:
        return part if basic is not None else BasicIndex.bind(self, index=(...,))
    pattern, indices = tensors
    return Index.bind(part, *indices, pattern=pattern)


def setitem(self: Tensor, key: Any, value: Any) -> None:
    """``self[key] = value``."""
    if not state.busy and not (self._tracked and modes.grad) and write_plainly(self, key, value):
        return
    if state.busy and modes.trace is not None:
        apart = modes.trace.indices.apart(key)
        if apart is not None:
            setitem(getitem(self, apart[0]), apart[1], value)
            return
        key = modes.trace.indices.placed(self, key, value)
    if key.__class__ is bool:
        value = as_value(value, self)
        if not key:
            return
        key = None  # what x[True] is: all of x, in one more dim
    basic, tensors = plain(self._array, key), None
    placed = basic is None and by_places(key)
    if basic is None and modes.trace is not None and not placed and fill_mask(self, key, value):
        return
    if basic is None:
        basic, places = split(self, key, placed)
        if placed and isinstance(value, Tensor) and owner(value._array) is owner(self._array):
            value = value.clone()  # read before the write, as a copy between views is
        tensors = spread(places) if places else None
    if basic is None or is_everything(basic, self._array.shape):
        part = self
    elif (
        isinstance(value, Tensor)
        and not state.busy
        and not tensors
        and write_part(self, basic, value)
    ):
        return
    else:
        try:
            part = BasicIndex.bind(self, index=whole(basic) if state.busy else basic)
        except IndexError:
            parse(self, key)  # says what is wrong
            raise
        if not tensors and value.__class__ is Tensor and is_there(value, part):
            bump(self)
            return
    if tensors:
        pattern, indices = tensors
        value = as_value(value, part)
        if len(places) == 1:
            value = as_number(value, part, *places.values())
        IndexPut.update(part, value, *indices, pattern=pattern, accumulate=False)
        return
    if not isinstance(value, Tensor):
        if isinstance(value, (int, float, bool, complex)):
            d = part._array.dtype
            takes_all = state.busy or d in dtypes.HALVES  # which become infinite
            if d in dtypes.INTEGER_TYPES or value.__class__ is complex or not takes_all:
                expect_fit(value, d)
        else:
            value = as_value(value, part)
    if isinstance(value, Tensor):
        value = drop_leading_ones(value, part)
        shape = part._array.shape
        if part._array.base is value._array.base is not None and value._array.shape != shape:
            value = value.expand(shape)  # x[1:] = x[0]: what is repeated is read first
    Copy.update(part, value)


def write_plainly(self: Tensor, key: Any, value: Any) -> bool:
    """``self[key] = value`` by NumPy, where that is not recorded and does what PyTorch does. False
    where it may not, or fails.
    """
    x, kind = self._array, key.__class__
    if x.__class__ is not np.ndarray or not x.ndim:
        return False
    if value.__class__ in NUMBERS:
        if x.dtype not in dtypes.FLOATS:
            return False
        if kind is Tensor and key._array.dtype is dtypes.bool_ and key._array.shape == x.shape:
            MaskedFill.update(self, key, value=value)
            return True
        what, fits = value, -ORDINARY < value < ORDINARY
    elif value.__class__ is Tensor:
        what = value._array
        fits = what.__class__ is np.ndarray and what.dtype is x.dtype and what.base is None
        fits = fits and what is not x and not (value._tracked and modes.grad)
    else:
        return False
    if not fits or x.base is not None:  # it could overlap with itself, or with the value
        return False
    index = plain(x, key) if kind is int or kind is slice or kind is tuple else None
    if index is None:
        return False
    try:
        x[index] = what
    except (IndexError, ValueError):
        return False
    written(self)
    return True


def is_there(value: Tensor, part: Tensor) -> bool:
    """Whether ``part = value`` changes nothing, as when Python ends ``x[i] += y``: both are the
    same part of one tensor, in its memory and in the graph.
    """
    link, other = value._link, part._link
    if state.busy or link is None or other is None or link.base is not other.base:
        return False
    if modes.grad and (link.origin or other.origin or link.base._wants_grad):
        return False  # such writes are refused, or end where the gradient flows
    return link.chain == other.chain and same_place(value._array, part._array)


def same_place(x: Any, y: Any) -> bool:
    """Whether two arrays are the same elements of the same memory."""
    if x.__class__ is DeviceArray:
        return y.__class__ is DeviceArray and x.covers(y)
    return same_window(x, y)


def write_part(self: Tensor, index: tuple[Any, ...], value: Tensor) -> bool:
    """``self[index] = value`` as one step of the graph; False where it is not recorded, or a copy
    into the view is needed: that broadcasts, converts, and writes to parts of views.
    """
    x, v = self._array, value._array
    if (
        not ((value._tracked or self._tracked) and modes.grad)
        or self._link is not None
        or self._wants_grad
        or x.__class__ is not np.ndarray
        or v.__class__ is not np.ndarray
        or x.base is not None
        or v is x
        or v.base is x
        or v.dtype is not x.dtype
        or x.dtype not in dtypes.FLOATS
    ):
        return False
    try:
        if v.ndim and v.shape != x[index].shape:
            return False
    except IndexError:
        return False
    WritePart.update(self, value, index=index)
    return True


def fill_mask(self: Tensor, key: Any, value: Any) -> bool:
    """``self[mask] = value`` without counting, for one mask and a value of a shape that does not
    depend on the count; False where it is something else.
    """
    basic, tensors = split(self, key)
    if len(tensors) != 1:
        return False
    ((dim, mask),) = tensors.items()
    part = self if basic is None else BasicIndex.bind(self, index=basic)
    value = as_number(as_value(value, part), part, mask)
    rest = part._array.ndim - dim - mask._array.ndim
    shape = value._array.shape
    if mask._array.dtype != np.bool_ or not mask._array.ndim or value.dtype != part.dtype:
        return False
    if len(shape) > rest:
        if shape[-1 - rest] != 1:
            return False
        lead, tail = shape[: -1 - rest], shape[len(shape) - rest :]
        value = reshape(value, (*lead, *[1] * mask._array.ndim, *tail))
    mask = reshape(mask, (*mask._array.shape, *[1] * rest))
    Copy.update(part, Where.bind(mask, value, part))
    return True


def is_everything(basic: tuple[Any, ...], shape: tuple[int, ...]) -> bool:
    """Whether a basic index picks all elements where they are: writing to it is writing to the
    tensor itself.
    """
    at = 0
    for i in basic:
        if i is Ellipsis:
            at += len(shape) - len(basic) + 1
        elif i.__class__ is slice and at < len(shape) and i.indices(shape[at]) == (0, shape[at], 1):
            at += 1
        else:
            return False
    return True


def as_value(value: Any, part: Tensor) -> Tensor:
    """The right side of an assignment as a tensor of the target's dtype."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray):
        there = traced_tensor(value, part._array.dtype)
        if there is not None:
            return there
        return wrap(value.astype(part._array.dtype))
    if isinstance(value, (int, float, bool, complex, np.generic)):
        d = part._array.dtype
        if (moving := moving_number(value, d)) is not None:
            return moving
        number = fixed_number(value)
        if d in dtypes.HALVES and not isinstance(number, complex):
            return constant(np.asarray(number).astype(d))  # infinite where it is too large
        return constant(filler(d, number))
    raise TypeError(
        f"can't assign a {type(value).__name__} to a {dtypes.of[part._array.dtype]} tensor; use "
        "a number or a tensor."
    )


def as_number(value: Tensor, part: Tensor, index: Tensor) -> Tensor:
    """A value to be written, in the target's dtype where it is one element and the index one mask:
    it fills then, as a number does.
    """
    d, v = part._array.dtype, value._array
    if v.dtype is d or v.size != 1 or index._array.dtype is not dtypes.bool_:
        return value
    if modes.trace is None:
        expect_fit(host(value).item(), d)
    return value.to(part.dtype)


def drop_leading_ones(value: Tensor, part: Tensor) -> Tensor:
    """torch ignores leading dims of size 1 of the value."""
    extra = value._array.ndim - part._array.ndim
    if extra <= 0:
        return value
    if any([n != 1 for n in value._array.shape[:extra]]):
        raise ShapeError(
            f"shape mismatch: value tensor of shape {value._array.shape} cannot be assigned to "
            f"{part._array.shape}."
        )
    return reshape(value, *value._array.shape[extra:])


def delitem(self: Tensor, key: Any) -> None:
    """``del self[key]``: TypeError, since tensors keep their shape."""
    raise TypeError("Tensor does not support deleting items; select what stays: x[keep].")


methods(__getitem__=getitem, __setitem__=setitem, __delitem__=delitem)
