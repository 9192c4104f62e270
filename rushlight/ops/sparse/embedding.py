"""Rows of a table, looked up by index, with a sparse gradient."""

from __future__ import annotations

import numpy as np

from rushlight.core.tensor import constant
from rushlight.ops.embedding import look_up
from rushlight.ops.slices import IndexSelect
from rushlight.ops.sparse.entries import Assemble, Boundary
from rushlight.ops.sparse.pattern import Coordinates


class SparseEmbedding(Boundary):
    """``weight[index]``. The gradient holds a row for each index but ``padding_idx``:
    ``(V, D), (*) -> (*, D)``.
    """

    label = "Embedding"

    def eager(self, xp, weight, index, *, padding_idx):
        return look_up(weight, index)

    def grad_weight(self, g, index, weight_spec, padding_idx):
        (rows, size), _ = weight_spec
        where = np.array(index._array.reshape(-1), np.int64)
        values = g.reshape(len(where), size)
        if padding_idx is not None and (where == padding_idx).any():
            kept = np.flatnonzero(where != padding_idx)
            where, values = where[kept], IndexSelect.bind(values, constant(kept), dim=0)
        where.flags.writeable = False
        pattern = Coordinates(where.reshape(1, -1), (rows,))
        return Assemble.bind(values, pattern=pattern, name="EmbeddingSparse")
