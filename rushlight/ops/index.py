"""Advanced indexing: index tensors and masks, reading and writing.

``pattern`` says what stands in each dim: True for the next index tensor, False for a full slice.
Basic indices were applied before, as views, so NumPy's and torch's rules for the place of the
indexed dims agree.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.core.op import Op
from rushlight.errors import DTypeError, ShapeError
from rushlight.ops.create import zeros
from rushlight.ops.reduce import sum_to


def fill_pattern(pattern: Any, indices: Any) -> tuple[Any, ...]:
    """The NumPy index for a pattern."""
    rest = iter(indices)
    return tuple([next(rest) if p else slice(None) for p in pattern])


class Index(Op):
    """``input[indices]``: a copy."""

    variadic = True
    names = ("input",)

    def eager(self, xp, input, *indices, pattern):
        return xp.array(input[fill_pattern(pattern, indices)], order="C", copy=None)

    def grads(self, g, needs, input_spec, tail, pattern):
        return [
            IndexPut.bind(zeros(*input_spec), g, *tail, pattern=pattern, accumulate=True),
            *[None] * len(tail),
        ]


class IndexPut(Op):
    """``input`` with ``input[indices]`` replaced by, or with ``accumulate`` increased by,
    ``values``.
    """

    variadic = True
    names = ("input", "values")

    def eager(self, xp, input, values, *indices, pattern, accumulate):
        out = input.copy()
        self.store(out, [values, *indices], {"pattern": pattern, "accumulate": accumulate})
        return out

    def store(self, x, others, params):
        values, where = others[0], fill_pattern(params["pattern"], others[1:])
        if values.dtype != x.dtype:
            raise DTypeError(
                f"Index put requires the source and destination dtypes match, got {x.dtype} for "
                "the destination and "
                f"{values.dtype} for the source; convert the values first."
            )
        try:
            if params["accumulate"]:
                np.add.at(x, where, values)
            else:
                x[where] = values
        except ValueError as error:
            shape = x[where].shape
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
                    g, zeros((), g._array.dtype), *tail, pattern=pattern, accumulate=False
                )
            )
        if needs[1]:
            gv = sum_to(Index.bind(g, *tail, pattern=pattern), values_spec[0])
        return [gx, gv, *[None] * len(tail)]
