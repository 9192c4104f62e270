"""Advanced indexing: index tensors and masks, reading and writing.

``pattern`` says what stands in each dim: True for the next index tensor, False for a full slice.
Basic indices were applied before, as views, so NumPy's and torch's rules for the place of the
indexed dims agree.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.op import Op, packed
from rushlight.errors import DTypeError, ShapeError
from rushlight.ops.create import zeros
from rushlight.ops.places import FEW, add_rows, combine_at, inside, is_large_mask, masked, spread
from rushlight.ops.reduce import sum_to


def fill_pattern(pattern: Any, indices: Any) -> tuple[Any, ...]:
    """The NumPy index for a pattern."""
    if all(pattern):
        return (*indices,)
    rest = iter(indices)
    return tuple([next(rest) if p else slice(None) for p in pattern])


def add_up(x: Any, where: tuple[Any, ...], values: Any) -> None:
    """``x[where] += values``, also where an element is met several times."""
    first, rest = where[0], where[1:]
    if is_place(first) and x.flags.c_contiguous and values.size > FEW:
        if all([w.__class__ is slice for w in rest]):
            if not inside(first, -len(x), len(x)):
                raise IndexError(f"index out of range for dimension 0 with size {len(x)}")
            whole = spread(values, (*first.shape, *x.shape[1:]))
            add_rows(x, first.reshape(-1), whole.reshape(first.size, *x.shape[1:]))
            return
        if len(where) == x.ndim and all([is_place(w) for w in rest]):
            places = np.ravel_multi_index(wrapped(where, x.shape), x.shape)
            combine_at(np.add, x, places, spread(values, places.shape))
            return
    np.add.at(x, where, values)


def is_place(index: Any) -> bool:
    """Whether index is an array of integers, no slice and no mask."""
    return index.__class__ is np.ndarray and index.dtype is dtypes.int64


def wrapped(where: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Index arrays without negative entries. IndexError where one is out of range."""
    for d, (index, n) in enumerate(zip(where, shape, strict=True)):
        if not inside(index, -n, n):
            raise IndexError(f"index out of range for dimension {d} with size {n}")
    return tuple([index % n for index, n in zip(where, shape, strict=True)])


def outside(shape: tuple[int, ...], where: tuple[Any, ...], refusal: IndexError) -> IndexError:
    """What is wrong with an index that NumPy refused."""
    for d, index in enumerate(where):
        if is_place(index):
            n = shape[d]
            wrong = index[(index < -n) | (index >= n)]
            if wrong.size:
                return IndexError(
                    f"index {wrong.flat[0]} is out of bounds for dimension {d} with size {n}"
                )
    return IndexError(*refusal.args)


class Index(Op):
    """``input[indices]``: a copy."""

    variadic = True
    names = ("input",)

    def counting(self, inputs):
        return tuple([t for t in inputs[1:] if t._array.dtype == np.bool_])

    def eager(self, xp, input, *indices, pattern):
        first = indices[0]
        try:
            if pattern[-1] and not any(pattern[:-1]) and first.dtype is dtypes.int64:
                return input.take(first, len(pattern) - 1)  # the same, and faster
            if pattern == (True,) and first.dtype is dtypes.bool_:
                return packed(masked(input, first))
            return packed(input[fill_pattern(pattern, indices)])
        except IndexError as error:
            raise outside(input.shape, fill_pattern(pattern, indices), error) from None

    def grads(self, g, needs, input_spec, tail, pattern):
        return [
            IndexPut.bind(
                zeros(input_spec[0], input_spec[1], g), g, *tail, pattern=pattern, accumulate=True
            ),
            *[None] * len(tail),
        ]


class IndexPut(Op):
    """``input`` with ``input[indices]`` replaced by, or with ``accumulate`` increased by,
    ``values``.
    """

    keeps_order = True
    variadic = True
    names = ("input", "values")

    def eager(self, xp, input, values, *indices, pattern, accumulate):
        out = input.copy()
        self.store(out, [values, *indices], {"pattern": pattern, "accumulate": accumulate})
        return out

    def store(self, x, others, params):
        values, where = others[0], fill_pattern(params["pattern"], others[1:])
        if not where:
            raise RuntimeError("index_put: there has to be at least one index tensor.")
        if values.dtype != x.dtype:
            raise DTypeError(
                f"Index put requires the source and destination dtypes match, got {x.dtype} for "
                f"the destination and {values.dtype} for the source; convert the values first."
            )
        try:
            if params["accumulate"]:
                add_up(x, where, values)
            else:
                first = where[0]
                if values.size > 1 and len(where) == 1 and is_large_mask(first, x):
                    where = (first.nonzero()[0],)
                x[where] = values
        except IndexError as error:
            raise outside(x.shape, where, error) from None
        except (ValueError, TypeError) as error:
            shape = x[where].shape
            extra = values.ndim - len(shape)
            if extra > 0 and values.shape[:extra] == (1,) * extra:  # NumPy refuses after a mask
                return self.store(x, [values.reshape(values.shape[extra:]), *others[1:]], params)
            raise ShapeError(
                f"shape mismatch: values of shape {values.shape} cannot be broadcast to {shape}"
            ) from error

    def grads(self, g, needs, values_spec, tail, pattern, accumulate):
        gx = gv = None
        if needs[0]:
            gx = (
                g
                if accumulate
                else IndexPut.bind(
                    g, zeros((), g._array.dtype, g), *tail, pattern=pattern, accumulate=False
                )
            )
        if needs[1]:
            gv = sum_to(Index.bind(g, *tail, pattern=pattern), values_spec[0])
        return [gx, gv, *[None] * len(tail)]
