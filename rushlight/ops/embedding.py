"""Rows of a table, looked up by index."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from rushlight import dtypes
from rushlight.core.native import in_dtype, kernels, widened
from rushlight.core.op import Op
from rushlight.errors import OutOfTableError
from rushlight.ops.places import add_rows, inside
from rushlight.ops.sparse.pattern import Compressed
from rushlight.ops.sparse.products import Product


def look_up(weight: Any, index: Any) -> Any:
    """Rows of weight, after checking the indices."""
    check_rows(weight, index)
    return weight.take(index, 0)


def check_rows(weight: Any, index: Any) -> None:
    """`OutOfTableError` for a row that is not there."""
    if not inside(index, 0, len(weight)):
        bad = index.min() if index.min() < 0 else index.max()
        raise OutOfTableError(
            f"index out of range in self: index {bad} of a table with {len(weight)} rows."
        )


class Embedding(Op):
    """``weight[index]``; the row ``padding_idx`` gets no gradient. Shape:
    ``(V, D), (*) -> (*, D)``.
    """

    public: ClassVar = {"index": "indices", "by_frequency": "scale_grad_by_freq"}

    def eager(self, xp, weight, index, *, padding_idx, by_frequency):
        return look_up(weight, index)

    def grad_weight(self, g, index, weight_spec, padding_idx, by_frequency):
        return EmbeddingGrad.bind(
            g, index, rows=weight_spec[0][0], padding_idx=padding_idx, by_frequency=by_frequency
        )


class Bags(Op):
    """Sums of rows, ``each`` of them a bag: a sparse product, without the rows as such."""

    label = "EmbeddingBag"

    def eager(self, xp, weight, index, *, each):
        if index.size < 1024 or weight.dtype not in dtypes.FLOATS:
            rows = look_up(weight, index).reshape(-1, each, weight.shape[1])
            return np.add.reduce(
                rows, 1, dtypes.float32 if rows.dtype in dtypes.HALVES else None
            ).astype(rows.dtype)
        check_rows(weight, index)
        starts = np.arange(0, index.size + 1, each)
        pattern = Compressed(starts, index, (len(starts) - 1, len(weight)), 0)
        ones = np.ones(index.size, weight.dtype)
        return Product.instance.eager(xp, ones, weight, pattern=pattern, flip=False)


class BagOf(Op):
    """The bag of each of ``total`` indices, when bag b starts at ``offsets[b]``."""

    def eager(self, xp, offsets, *, total):
        if offsets.size and offsets[0] != 0:
            raise RuntimeError(
                "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start"
                f" from position 0. However, got {offsets[0]}"
            )
        if offsets.size and offsets[-1] > total:
            raise RuntimeError(
                f"offsets[-1] can not be greater than input's length {total} but got offsets[-1]"
                f" of {offsets[-1]}"
            )
        return np.repeat(np.arange(offsets.size), np.append(offsets[1:], total) - offsets)


class BagMaxima(Op):
    """Which row is the greatest of its bag, by column, or -1 for none: ``rows`` (M, D), the bag of
    each, ascending, and which of them are ``absent`` (M, 1) give (bags, D).
    """

    def eager(self, xp, rows, bag, absent, *, bags):
        if rows.size and kernels.worth(rows.size):
            found = kernels.loop("bag maxima", widened(rows), bag, absent, bags)
            if found is not None:
                return found
        found = np.full((bags, rows.shape[1]), -1, np.int64)
        kept = np.arange(len(rows)) if absent is None else np.flatnonzero(~absent[:, 0])
        bag, ends = bag[kept], np.cumsum(np.bincount(bag[kept], minlength=bags))
        for b in np.unique(bag).tolist():
            part = kept[ends[b - 1] if b else 0 : ends[b]]
            found[b] = part[rows[part].argmax(0)]
        return found


class EmbeddingGrad(Op):
    """Rows of g added up by index, into ``rows`` rows; divided by how often an index occurs when
    ``by_frequency``.
    """

    label = "EmbeddingDenseBackward"

    def eager(self, xp, g, index, *, rows, padding_idx, by_frequency):
        d = g.dtype
        flat = index.reshape(-1)
        g = g.reshape(len(flat), g.shape[-1])
        g = widened(g)
        out = np.zeros((rows, g.shape[1]), g.dtype)
        add_rows(out, flat, g)
        if by_frequency:
            out /= np.maximum(np.bincount(flat, minlength=rows), 1).astype(out.dtype)[:, None]
        if padding_idx is not None and padding_idx >= 0:
            out[padding_idx] = 0
        return in_dtype(out, d)

    def grad_g(self, gg, index, padding_idx):
        """Without dividing by counts, as in torch: on its way to the weight it will be divided."""
        if padding_idx is not None and padding_idx >= 0:
            gg = gg.clone()
            gg[padding_idx] = 0
        return Embedding.bind(gg, index, padding_idx=None, by_frequency=False)
