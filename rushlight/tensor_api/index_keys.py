"""What stands between the brackets of ``x[index]``: a basic part, and tensors in some dims."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.device_array import constant_on, driver_of, host
from rushlight.core.state import GradMode, modes, state
from rushlight.core.tensor import (
    Tensor,
    constant,
    value_pinned,
    wrap,
)
from rushlight.errors import warn_user
from rushlight.tensor_api import on_gpu
from rushlight.tensor_api.from_data import as_it_is, traced_tensor

ALL = slice(None)
MOST_AS_TUPLE = 32  # a longer list is always an array of positions, as in old versions of NumPy
NO_NUMBERS = (Tensor, list, tuple, range, slice, np.ndarray)
BASIC = frozenset((int, slice, type(None), type(Ellipsis)))
# classes of bounds that no later write changes, as it does a tensor's
WHOLE = frozenset((*dtypes.INTEGER_TYPES, dtypes.bool_))
PLACES = frozenset((dtypes.int64, dtypes.int32, dtypes.uint8, dtypes.bool_))  # of index tensors
FIXED = frozenset((int, type(None), np.int64, np.int32))


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
        if a.dtype not in (PLACES if a.ndim else WHOLE):
            raise IndexError(
                "tensors used as indices must be long, int, byte or bool tensors, but this one is "
                f"{dtypes.of[a.dtype].name}; convert it with .long(), or compare for a mask."
            )
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
        if item.ndim and item.dtype in WHOLE and item.dtype not in PLACES:
            item = item.astype(np.int64)  # NumPy's arrays may be of any
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
            f"shape of the indexed tensor {list(shape)} at index {at + i}"
        )


def range_error(i: int, shape: tuple[int, ...], dim: int) -> IndexError:
    """An int index that is out of range."""
    return IndexError(f"index {i} is out of bounds for dimension {dim} with size {shape[dim]}")
