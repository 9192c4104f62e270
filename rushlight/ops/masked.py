"""Reading and writing where a mask is True."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.elementwise import Elementwise, broadcast_error
from rushlight.core.native import LEAST, kernels
from rushlight.core.op import Op
from rushlight.core.ready import quick
from rushlight.errors import DTypeError, ShapeError
from rushlight.ops.copy import filler, filling
from rushlight.ops.create import zeros
from rushlight.ops.places import masked, spread


class MaskedFill(Elementwise):
    """``input`` with ``value`` where ``mask`` is True. Shape: broadcast of both."""

    def scalar(self, s, input, mask, *, value):
        return s.where(mask, value, input)

    def spelled(self, input, mask, *, value):
        return input.where(mask.logical_not(), filling(value, input._array.dtype))

    def forward(self, arrays, params):
        x, mask = arrays
        check_mask("masked_fill", mask)
        if kernels.on and x.dtype in dtypes.FLOATS:
            out = quick(self, arrays, params)
            if out is None:
                out = kernels.find(self, arrays, params)
            if out is not None:
                return out
        value = filler(x.dtype, params["value"])
        if mask.shape == x.shape and x.size < LEAST and x.flags.c_contiguous:
            out = x.copy()
            np.putmask(out, mask, value)
            return out
        try:
            return np.where(mask, value, x)
        except ValueError:
            raise broadcast_error("masked_fill", [x, mask]) from None

    def store(self, x, others, params):
        mask = others[0]
        check_mask("masked_fill", mask)
        if kernels.on and x.dtype in dtypes.FLOATS and x.flags.carray:
            if quick(self, (x, mask), params, True) is not None:
                return
            if kernels.find(self, (x, mask), params, x) is not None:
                return
        try:
            np.copyto(x, filler(x.dtype, params["value"]), where=mask)
        except ValueError:
            raise ShapeError(
                f"masked_fill_: the mask of shape {mask.shape} does not broadcast to {x.shape}."
            ) from None

    def make_update(self):
        return super(Elementwise, self).make_update()

    def grad_input(self, g, mask):
        return MaskedFill.bind(g, mask, value=0)


def check_mask(name: str, mask: Any) -> None:
    """Masks are bool."""
    if mask.dtype != np.bool_:
        raise DTypeError(
            f"{name}: expected a mask of dtype bool, but it is {dtypes.of[mask.dtype].name}; "
            "compare, or use .bool()."
        )


class MaskedSelect(Op):
    """The elements where ``mask`` is True, as a vector."""

    def counting(self, inputs):
        return (inputs[1],)

    def eager(self, xp, input, mask):
        check_mask("masked_select", mask)
        try:
            x, m = np.broadcast_arrays(input, mask)
        except ValueError:
            raise broadcast_error("masked_select", [input, mask]) from None
        return masked(x, m)

    def grad_input(self, g, mask, input_spec):
        shape = np.broadcast_shapes(input_spec[0], mask._array.shape)
        return MaskedScatter.bind(
            zeros(shape, input_spec[1], g), mask.expand(shape), g
        ).sum_to_size(input_spec[0])


class Chosen(Op):
    """Where a flat ``mask`` is True. ``counts``: how many are so up to each place; ``count``: in
    all. A kernel of a GPU's, for which it has to be known how long the result is.
    """

    differentiable = False

    def eager(self, xp, mask, counts, *, count):
        return mask.nonzero()[0]

    def outline(self, mask, counts, *, count):
        return np.empty(count, np.int64)


MANY = 8192  # elements from which on their places are found first: masks are hard to foresee


class MaskedScatter(Op):
    """``input`` with its elements where ``mask`` is True replaced by the first elements of
    ``source``, in order.
    """

    def eager(self, xp, input, mask, source):
        shape = input.shape
        if shape != mask.shape:
            shape = np.broadcast_shapes(shape, mask.shape)
        out = np.array(spread(input, shape), order="C")
        self.store(out, [mask, source], {})
        return out

    def store(self, x, others, params):
        mask, source = others
        check_mask("masked_scatter", mask)
        if source.dtype != x.dtype:
            raise DTypeError(
                f"masked_scatter: expected self and source to have same dtypes but got {x.dtype} "
                f"and {source.dtype}"
            )
        if mask.ndim > x.ndim:
            raise ShapeError(
                f"masked_scatter: a mask of shape {mask.shape} cannot be expanded to {x.shape}."
            )
        where = spread(mask, x.shape)
        n = int(np.count_nonzero(where))
        if n > source.size:
            raise ShapeError(
                f"masked_scatter: the mask selects {n} elements, but source has only {source.size}."
            )
        if not n or not x.flags.c_contiguous:
            x[where] = source.reshape(-1)[:n]
        elif x.size < MANY:
            np.place(x, where, source)
        else:
            x.reshape(-1)[np.flatnonzero(where)] = source.reshape(-1)[:n]

    def grad_input(self, g, mask, input_spec):
        return MaskedFill.bind(g, mask, value=0).sum_to_size(input_spec[0])

    def grad_source(self, g, mask, source_spec):
        return MaskedGather.bind(g, mask, shape=source_spec[0])


class MaskedGather(Op):
    """The elements where ``mask`` is True, in order, and then zeros, as a tensor of ``shape``."""

    def eager(self, xp, input, mask, *, shape):
        out = np.zeros(shape, input.dtype)
        chosen = input[spread(mask, input.shape)]
        out.reshape(-1)[: chosen.size] = chosen
        return out

    def grad_input(self, g, mask, input_spec):
        return MaskedScatter.bind(zeros(input_spec[0], input_spec[1], g), mask, g)
