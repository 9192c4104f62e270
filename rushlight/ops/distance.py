"""Distances between all rows of two matrices."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.native import kernels
from rushlight.core.op import Op, packed
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, wrap
from rushlight.ops.matmul import same_dtype
from rushlight.ops.sums import row_sums

CHUNK = 1 << 16  # distances made at a time
FEW = 1 << 15  # differences that are made at once


class Cdist(Op):
    """p-norms of the differences of all rows. Shape: ``(*, P, M), (*, R, M) -> (*, P, R)``;
    ``products``: by matrix products.
    """

    precision = "float32"
    fits = True

    def eager(self, xp, x1, x2, *, p, products):
        same_dtype("cdist", x1, x2)
        if not products and x1.ndim == x2.ndim == 2:
            found = by_loop(TABLES, x1, x2, p, (len(x1), len(x2)))
            if found is not None:
                return found
        if products:
            out = packed(np.matmul(extended(-2 * x1, x1, 0), extended(x2, x2, 1).swapaxes(-1, -2)))
            np.maximum(out, 0, out=out)
            return np.sqrt(out, out)
        if x1.size * x2.shape[-2] <= FEW and x1.shape[-1]:
            return norms(x1[..., :, None, :] - x2[..., None, :, :], p)
        lead = np.broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
        out = np.zeros((*lead, x1.shape[-2], x2.shape[-2]), x1.dtype)
        step = max(1, CHUNK // max(1, math.prod(lead) * x2.shape[-2]))
        columns = np.ascontiguousarray(x2.swapaxes(-1, -2))  # (*, M, R)
        for i in range(0, x1.shape[-2], step):
            add_norms(out[..., i : i + step, :], x1[..., i : i + step, :], columns, p)
        return out

    def grads(self, g, needs, x1, x2, out, p):
        arrays = [t._array for t in (g, x1, x2, out)]
        plain = all([a.__class__ is np.ndarray for a in arrays])
        if p == 2 and plain and not (modes.grad or state.busy):
            found = euclidean_slopes(needs, *arrays)
            return [None if a is None else wrap(a) for a in found]
        if p == 2:
            ratio = (g / out).masked_fill(out == 0, 0)  # (*, P, R)
            g1 = ratio.sum(-1, keepdim=True) * x1 - ratio.matmul(x2) if needs[0] else None
            g2 = (
                ratio.sum(-2).unsqueeze(-1) * x2 - ratio.transpose(-1, -2).matmul(x1)
                if needs[1]
                else None
            )
            return [g1, g2]
        each = pairwise_slopes(g, x1.unsqueeze(-2) - x2.unsqueeze(-3), out, p)  # (*, P, R, M)
        return [each.sum(-2) if needs[0] else None, -each.sum(-3) if needs[1] else None]


def euclidean_slopes(needs: Any, g: Any, x1: Any, x2: Any, out: Any) -> list[Any]:
    """What ``Cdist.grads`` does for p = 2, on arrays."""
    ratio = g / out
    ratio[out == 0] = 0  # (*, P, R)
    g1 = g2 = None
    if needs[0]:
        g1 = np.add.reduce(ratio, -1, keepdims=True) * x1
        g1 -= ratio @ x2
    if needs[1]:
        g2 = np.add.reduce(ratio, -2)[..., None] * x2
        g2 -= ratio.swapaxes(-1, -2) @ x1
    return [g1, g2]


# loops for all rows of two matrices, or for all pairs of one's, see backends/llvm/pairs.py
TABLES = {1.0: "table 1", 2.0: "table 2", math.inf: "table inf"}
PAIRS = {1.0: "pairs 1", 2.0: "pairs 2", math.inf: "pairs inf"}


def by_loop(loops: dict[float, str], x: Any, y: Any, p: float, shape: tuple[int, ...]) -> Any:
    """Distances of the rows of two matrices, or of all pairs of one's, by a loop, or None."""
    name, d = loops.get(p), x.dtype
    if name is None or d not in dtypes.FLOATS or not x.size or not y.size:
        return None
    n, m = y.shape
    loop = kernels.runner(name, d, 4, x.size * n, False)
    if loop is None:
        return None
    out, turned = np.empty(shape, d), np.empty(n * m + 16, d)  # and room for a vector
    loop(packed(x), packed(y), out, turned, n, m, len(x))
    return out


def extended(x: Any, of: Any, place: int) -> Any:
    """Rows x and two columns more: the squares of the rows ``of`` in one, ones in the other, so
    that a product with rows where these change places adds the squares of both.
    """
    more = np.ones((*x.shape[:-1], 2), x.dtype)
    more[..., place] = np.vecdot(of, of)
    return np.concatenate([x, more], -1)


def norms(d: Any, p: float) -> Any:
    """p-norms along the last dim, in memory of its own."""
    if p == 2:
        out = np.vecdot(d, d)
        return np.sqrt(out, out) if out.ndim else np.asarray(np.sqrt(out))
    if p == 0:
        return np.add.reduce(d != 0, -1, d.dtype)
    size = np.abs(d)
    if p == math.inf:
        return np.maximum.reduce(size, -1)
    if p == 1:
        return row_sums(size)
    return np.power(np.add.reduce(np.power(size, p), -1), 1 / p)


@functools.lru_cache(maxsize=64)
def pairs(n: int) -> tuple[Any, Any]:
    """The first and the second of all pairs of n rows; not to be written to."""
    return np.triu_indices(n, 1)


@functools.lru_cache(maxsize=64)
def upper_places(n: int) -> Any:
    """The places above the diagonal in a flattened (n, n); not to be written to."""
    return np.flatnonzero(~np.tri(n, n, 0, bool))


def add_norms(out: Any, rows: Any, columns: Any, p: float) -> None:
    """p-norms of the differences of rows (*, P, M) and columns (*, M, R), into zeros (*, P, R): a
    coordinate at a time, so that what is added up stays in the cache.
    """
    for k in range(rows.shape[-1]):
        d = rows[..., k, None] - columns[..., k, None, :]
        if p == 2:
            out += np.multiply(d, d, d)
        elif p == 0:
            out += d != 0
        elif p == math.inf:
            np.maximum(out, np.abs(d, d), out=out)
        else:
            np.abs(d, d)
            out += d if p == 1 else np.power(d, p, d)
    if p == 2:
        np.sqrt(out, out)
    elif p not in (0, 1, math.inf):
        np.power(out, 1 / p, out)


def pairwise_slopes(g: Tensor, d: Tensor, out: Tensor, p: float) -> Tensor:
    """Gradients of the norms (*, P, R) by the differences (*, P, R, M); 0 at a distance of 0."""
    g, out = g.unsqueeze(-1), out.unsqueeze(-1)
    if p == 0:
        return g * d * 0
    if p == 1:
        return g * d.sign()
    if p == math.inf:
        return g * d.sign() * (d.abs() == out).to(d.dtype)
    size = d.abs()
    slope = d.sign() * size.masked_fill(size == 0, 1).pow(p - 1).masked_fill(size == 0, 0)
    return g * slope * out.masked_fill(out == 0, 1).pow(1 - p).masked_fill(out == 0, 0)
