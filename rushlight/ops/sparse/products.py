"""Products of sparse matrices. An entry of the matrix stands in row i and column j; ``flip`` means
the transposed matrix.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.native import LEAST, converted, kernels, widened
from rushlight.core.op import Op
from rushlight.ops.arithmetic import conj
from rushlight.ops.places import add_rows
from rushlight.ops.sparse.pattern import Pattern, Rows

FEW = 2048  # products for which SciPy takes longer to call than NumPy to add them up


def rows_of(pattern: Pattern, flip: bool) -> Rows:
    """The entries of the matrix, or of the transposed one, by rows."""
    return pattern.columns if flip else pattern.rows


class Product(Op):
    """The sparse matrix of these values times a dense one: ``(entries), (m, *) -> (n, *)``.
    ``name`` is that of the node.
    """

    def backward_name(self, params):
        return f"{params['name'] if params else 'Mm'}Backward0"

    def eager(self, xp, values, dense, *, pattern, flip, name="Mm"):
        if dense.dtype in dtypes.HALVES:
            wide = self.eager(xp, widened(values), widened(dense), pattern=pattern, flip=flip)
            return converted(wide, dense.dtype)
        rows = rows_of(pattern, flip)
        n = len(rows.starts) - 1
        values, dense = rows.ordered(values), np.ascontiguousarray(dense)
        out = np.empty((n, *dense.shape[1:]), dense.dtype)
        width = math.prod(dense.shape[1:])
        if pattern.count * width >= LEAST and kernels.on:
            if kernels.loop("sparse product", rows, values, dense, out):
                return out
        if pattern.count * width <= FEW:
            near = np.repeat(np.arange(n), np.diff(rows.starts))
            out[...] = 0
            scaled = dense[rows.columns] * values.reshape(-1, *[1] * (dense.ndim - 1))
            add_rows(out, near, scaled)
            return out
        from scipy.sparse import csr_array

        return csr_array((values, rows.columns, rows.starts), shape=(n, len(dense))) @ dense

    def grad_values(self, g, dense, pattern, flip):
        return Dots.bind(g, conj(dense), pattern=pattern, flip=flip)

    def grad_dense(self, g, values, pattern, flip):
        return Product.bind(conj(values), g, pattern=pattern, flip=not flip, name="Mm")


class Dots(Op):
    """For each entry, row i of ``left`` times row j of ``right``:
    ``(n, *), (m, *) -> (entries)``.
    """

    def eager(self, xp, left, right, *, pattern, flip):
        if left.dtype in dtypes.HALVES:
            wide = self.eager(xp, widened(left), widened(right), pattern=pattern, flip=flip)
            return converted(wide, left.dtype)
        if pattern.count * math.prod(left.shape[1:]) >= LEAST and kernels.on:
            rows = rows_of(pattern, flip)
            out = np.empty(pattern.count, left.dtype)
            left, right = np.ascontiguousarray(left), np.ascontiguousarray(right)
            if kernels.loop("sparse dots", rows, left, right, out):
                return out if rows.places is None else placed(out, rows.places)
        i, j = pattern.coordinates[::-1] if flip else pattern.coordinates
        if left.ndim == 1:
            return left[i] * right[j]
        return np.einsum("ed,ed->e", left[i], right[j])

    def grad_left(self, g, right, pattern, flip):
        return Product.bind(g, conj(right), pattern=pattern, flip=flip, name="Mm")

    def grad_right(self, g, left, pattern, flip):
        return Product.bind(g, conj(left), pattern=pattern, flip=not flip, name="Mm")


def placed(values: Any, places: Any) -> Any:
    """Values of entries in another order, in the pattern's."""
    out = np.empty_like(values)
    out[places] = values
    return out
