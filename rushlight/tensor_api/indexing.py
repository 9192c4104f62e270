"""``x[index]`` and ``x[index] = value``.

Ints, slices, None and Ellipsis give views. Tensors, lists, arrays and masks copy (``Index``) or
write (``IndexPut``) after the basic part was applied as a view; this is where torch differs from
NumPy, which counts an int beside an index array as an array.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.device_array import DeviceArray, constant_on, driver_of, host
from rushlight.core.inplace import same_window
from rushlight.core.sparse import SparseOperand
from rushlight.core.state import GradMode, modes, state
from rushlight.core.tensor import (
    Tensor,
    bump,
    constant,
    fixed_number,
    moving_number,
    value_pinned,
    wrap,
    written,
)
from rushlight.dtypes import NUMBERS
from rushlight.errors import ShapeError, warn_user
from rushlight.ops.copy import ORDINARY, Copy, expect_fit, filler
from rushlight.ops.index import Index, IndexPut
from rushlight.ops.masked import MaskedFill
from rushlight.ops.select import Where
from rushlight.ops.view import BasicIndex, WritePart, owner
from rushlight.tensor_api import on_gpu
from rushlight.tensor_api._common import methods
from rushlight.tensor_api.from_data import as_it_is, traced_tensor
from rushlight.tensor_api.views import reshape

__all__: list[str] = []
ALL = slice(None)
MOST_AS_TUPLE = 32  # a longer list is always an array of positions, as in old versions of NumPy
NO_NUMBERS = (Tensor, list, tuple, range, slice, np.ndarray)
BASIC = frozenset((int, slice, type(None), type(Ellipsis)))
# classes of bounds that no later write changes, as it does a tensor's
FIXED = frozenset((int, type(None), np.int64, np.int32))


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


def is_mask_of_dims(mask: Any, x: Any) -> bool:
    """Whether an index is a mask of several dims of an array, in both of which they are one dim."""
    if mask.dtype is not dtypes.bool_ or not mask.__class__ is x.__class__ is np.ndarray:
        return False
    fits = mask.ndim > 1 and mask.shape == x.shape[: mask.ndim]
    return fits and bool(mask.flags.c_contiguous and x.flags.c_contiguous)


def plain(x: Any, key: Any) -> tuple[Any, ...] | None:
    """An index that means the same to NumPy as a tuple, with an Ellipsis so that the result is an
    array; None if it has tensors, also as bounds, or steps that are no numbers, or array x has no
    dims.
    """
    kind = key.__class__
    if kind is int:
        return (key, ...) if x.ndim else None
    if kind is slice:
        step = key.step
        forward = step is None or (step.__class__ is int and step > 0)
        fixed = key.start.__class__ in FIXED and key.stop.__class__ in FIXED
        return (key, ...) if forward and fixed else None
    complete = False
    for i in key if kind is tuple else (key,):
        kind = i.__class__
        if kind is int or i is None:
            continue
        if kind is slice and (i.step is None or (i.step.__class__ is int and i.step > 0)):
            if i.start.__class__ in FIXED and i.stop.__class__ in FIXED:
                continue
        if i is not Ellipsis or complete:
            return None
        complete = True
    items: tuple[Any, ...] = key if key.__class__ is tuple else (key,)
    return items if complete else (*items, ...)


def whole(index: tuple[Any, ...]) -> tuple[Any, ...]:
    """An index whose slices have bounds that are Python's own numbers."""
    return tuple(
        [
            slice(*[bound(b) for b in (i.start, i.stop, i.step)]) if i.__class__ is slice else i
            for i in index
        ]
    )


def quick_parse(x: Any, key: Any) -> tuple[Any, tuple[bool, ...], list[Tensor]] | None:
    """What ``parse`` finds in the usual keys: a mask of the first dims, or a tuple of int64
    tensors, ints and ``:``; None for others.
    """
    if key.__class__ is Tensor:
        a = key._array
        if a.dtype is not dtypes.bool_ or not a.ndim or a.shape != x.shape[: a.ndim]:
            return None
        return None, *spread({0: key})
    if key.__class__ is not tuple or len(key) > x.ndim:
        return None
    basic: list[Any] = []
    pattern: list[bool] = []
    indices: list[Tensor] = []
    whole = True
    for i, n in zip(key, x.shape, strict=False):
        if i.__class__ is Tensor:
            a = i._array
            if a.dtype is not dtypes.int64 or not a.ndim:
                return None
            indices.append(i)
            pattern.append(True)
            basic.append(ALL)
        elif i.__class__ is int and -n <= i < n:
            basic.append(i)
            whole = False
        elif i.__class__ is slice and i == ALL:
            basic.append(i)
            pattern.append(False)
        else:
            return None
    while pattern and not pattern[-1]:
        pattern.pop()
    return (None if whole else (*basic, ...), tuple(pattern), indices) if indices else None


def parse(x: Tensor, index: Any) -> tuple[Any, Any]:
    """Split an index into a basic one (None: nothing to do) and (pattern, index tensors) for what
    it leaves.
    """
    basic, advanced = split(x, index)
    return basic, spread(advanced) if advanced else None


def by_places(key: Any) -> bool:
    """Whether a trace meets an index whose only tensors are integers that may be others in later
    calls.
    """
    if modes.trace is None:
        return False
    items = [i for i in (key if key.__class__ is tuple else (key,)) if i.__class__ not in BASIC]
    is_place = modes.trace.indices.is_place
    return bool(items) and all([isinstance(i, Tensor) and is_place(i) for i in items])


def split(x: Tensor, index: Any, places: bool = False) -> tuple[Any, dict[int, Tensor]]:
    """Split an index into a basic one (None: nothing to do) and the tensors that stand in dims of
    what it leaves; a mask of several dims stands in the first of them. Integers of 0 dims stand
    there too where they are ``places``.
    """
    if index.__class__ is int and not x._array.ndim:
        raise IndexError(
            "invalid index of a 0-dim tensor. Use `tensor.item()` to convert it to a number."
        )
    items = list(index) if isinstance(index, tuple) or meant_as_tuple(index) else [index]
    for i, item in enumerate(items):
        if item.__class__ not in BASIC and not places:
            items[i] = normal(item)
    consumed = sum([consumes(i) for i in items])
    shape = x._array.shape
    if consumed > len(shape):
        raise IndexError(
            f"too many indices for tensor of dimension {len(shape)}: the index {index!r} needs "
            f"{consumed}."
        )
    if not any([i is Ellipsis for i in items]):
        items.append(Ellipsis)
    basic: list[Any] = []
    advanced: dict[int, Any] = {}  # dim after the basic part -> index tensor
    at, dim = 0, 0
    seen_ellipsis = False
    for item in items:
        if item is Ellipsis:
            skip = 0 if seen_ellipsis else len(shape) - consumed
            seen_ellipsis = True
            basic += [slice(None)] * skip
            at, dim = at + skip, dim + skip
        elif item is None:
            basic.append(None)
            dim += 1
        elif item.__class__ is slice:
            check_slice(item)
            basic += whole((item,))
            at, dim = at + 1, dim + 1
        elif item.__class__ is int:
            if not -shape[at] <= item < shape[at]:
                raise range_error(item, shape, at)
            basic.append(item)
            at += 1
        elif item.__class__ is bool:
            basic.append(None)
            advanced[dim] = wrap(np.asarray([item]))
            dim += 1
        else:
            n = consumes(item)
            one = places and not item._array.ndim
            if one and not -shape[at] <= int(host(item)) < shape[at]:
                raise range_error(int(host(item)), shape, at)
            if n > 1 or item._array.dtype is dtypes.bool_:
                check_mask(item, shape, at)
            basic += [slice(None)] * n
            advanced[dim] = item
            at, dim = at + n, dim + n
    plain = all([i.__class__ is slice and i == slice(None) for i in basic])
    if not advanced:
        return (*basic, ...), {}
    return None if plain else (*basic, ...), advanced


def meant_as_tuple(index: Any) -> bool:
    """Whether a list is what should have been a tuple: an index per dim."""
    if not isinstance(index, list) or len(index) >= MOST_AS_TUPLE:
        return False
    if not any([i is None or i is Ellipsis or isinstance(i, NO_NUMBERS) for i in index]):
        return False
    warn_user(
        "Using a non-tuple sequence for multidimensional indexing is deprecated; use x[tuple(seq)] "
        "instead of x[seq], or x[torch.tensor(seq)] for positions in the first dim."
    )
    return True


def spread(advanced: dict[int, Any]) -> tuple[tuple[bool, ...], list[Tensor]]:
    """The pattern up to the last indexed dim; a mask of several dims stands for as many index
    tensors.
    """
    pattern: list[bool] = []
    indices: list[Tensor] = []
    for dim, t in sorted(advanced.items()):
        pattern += [False] * (dim - len(pattern))
        mask = t._array.dtype is dtypes.bool_
        several = t._array.ndim != 1 or modes.trace is not None or driver_of(t) is not None
        if mask and several:
            where = places_in(t)
            pattern += [True] * len(where)
            indices += where
        else:
            pattern.append(True)
            indices.append(t)
    return tuple(pattern), indices


def places_in(mask: Tensor) -> list[Tensor]:
    """Where a mask is True: an index tensor per dim. A trace takes their number for granted."""
    if modes.trace is None and driver_of(mask) is not None:
        return by_dims(on_gpu.chosen(mask), mask._array.shape)
    a = host(mask)
    if modes.trace is None or modes.trace.is_fixed(mask):
        return [constant_on(mask, where) for where in a.nonzero()]
    count, size = int(np.count_nonzero(a)), a.size
    with GradMode(False):
        flat = mask.detach().reshape(-1)
        value_pinned("the number of elements that a mask selects", flat.sum())
        # what else there is in a call that is left goes beyond the end
        place = (flat.cumsum(0) - 1).clamp(max=count).where(flat, count)
        rows = constant_on(mask, np.zeros(count + 1, np.int64))
        places = constant_on(mask, np.arange(size))
        return by_dims(rows.scatter(0, place, places)[:count], a.shape)


def by_dims(at: Tensor, shape: Any) -> list[Tensor]:
    """Flat places in a shape as an index tensor per dim."""
    found = []
    for n in shape[:0:-1]:
        found.append(at % n)
        at = at // n
    return [at, *found[::-1]]


def normal(item: Any) -> Any:
    """One index item as an int, a bool, a slice or an index tensor."""
    if isinstance(item, Tensor):
        a = item._array
        if a.dtype not in (*dtypes.INTEGER_TYPES, np.bool_):
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        if a.ndim:
            return as_mask(item) if a.dtype is dtypes.uint8 else item
        value_pinned("a 0-dim tensor used as an index", item)
        return bool(host(item)) if a.dtype in (np.bool_, np.uint8) else int(host(item))
    if isinstance(item, (bool, np.bool_)):
        return bool(item)
    there = traced_tensor(item)
    if there is not None:
        return normal(there)
    if isinstance(item, np.ndarray):
        return normal(constant(as_it_is(item).copy()) if state.busy else wrap(item))
    if hasattr(item, "__index__"):
        return item.__index__()
    if isinstance(item, (str, bytes)):
        raise TypeError(f"a tensor is indexed by numbers, not by {item!r}")
    if isinstance(item, (list, tuple, range)):
        plain = not any([isinstance(i, Tensor) for i in item])
        return normal((constant if plain else wrap)(index_array(item)))
    raise IndexError(
        "only integers, slices (`:`), ellipsis (`...`), None and long or bool tensors are valid "
        f"indices (got {type(item).__name__})"
    )


def as_mask(index: Tensor) -> Tensor:
    """An index of type uint8 is a mask, as it was before there was bool."""
    warn_user(
        "indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead, "
        "as in x[mask.bool()]; for positions, use x[index.long()]."
    )
    return index.bool()


def index_array(items: Any) -> Any:
    """A (nested) sequence of ints, bools or tensors as an array."""
    a = np.asarray([host(i) if isinstance(i, Tensor) else i for i in items])
    if a.dtype.kind == "f" and not a.size:
        return a.astype(np.int64)
    if a.dtype.kind not in "iub":
        raise IndexError(
            f"only sequences of ints or bools can be used as an index, but got {items!r}"
        )
    return a


def consumes(item: Any) -> int:
    """How many dims of the tensor an index item stands for."""
    if item is None or item is Ellipsis or item.__class__ is bool:
        return 0
    if item.__class__ is int or item.__class__ is slice:
        return 1
    return item._array.ndim if item._array.dtype is dtypes.bool_ else 1


def bound(x: Any) -> Any:
    """A bound of a slice as an int of Python's own, or None."""
    try:
        return None if x is None else operator.index(x)
    except TypeError:
        raise TypeError(
            "slice indices must be integers or None or have an __index__ method"
        ) from None


def check_slice(s: slice) -> None:
    """torch's slices only go forward."""
    step = s.step
    if step is not None and bound(step) <= 0:
        raise ValueError("step must be greater than zero")


def check_mask(mask: Tensor, shape: tuple[int, ...], at: int) -> None:
    """A mask has the sizes of the dims it stands for."""
    have = shape[at : at + mask._array.ndim]
    if mask._array.shape != have:
        i = next(k for k, (a, b) in enumerate(zip(mask._array.shape, have, strict=False)) if a != b)
        raise IndexError(
            f"The shape of the mask {list(mask._array.shape)} at index {i} does not match the "
            "shape of the indexed tensor "
            f"{list(shape)} at index {at + i}"
        )


def range_error(i: int, shape: tuple[int, ...], dim: int) -> IndexError:
    """An int index that is out of range."""
    return IndexError(f"index {i} is out of bounds for dimension {dim} with size {shape[dim]}")


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
