"""Rules of ops that move entries to other places, join tensors, or multiply matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.core.op import Op
from rushlight.core.tensor import Tensor
from rushlight.errors import ShapeError
from rushlight.ops import join, matmul as products, reduce, slices, view
from rushlight.ops.sparse.entries import assembled, chosen, coalesced, values_of
from rushlight.ops.sparse.multiply import matrix_product
from rushlight.ops.sparse.pattern import Coordinates
from rushlight.ops.sparse.rules import is_sparse, node_label, rule, unsupported


@rule(view.Transpose)
def transpose(op: Op, x: Tensor, dim0: int, dim1: int) -> Tensor:
    dims = list(range(x._array.ndim))
    dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
    return permute(op, x, tuple(dims))


@rule(view.T)
def flip(op: Op, x: Tensor) -> Tensor:
    return permute(op, x, (1, 0))


@rule(view.Permute)
def permute(op: Op, x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Sparse dims in another order."""
    pattern = x._array.pattern
    n = len(pattern.shape)
    if any([(d < n) != (i < n) or (d >= n and d != i) for i, d in enumerate(dims)]):
        raise ShapeError(
            f"sparse transpose: transposed dimensions must be sparse. Got sparse_dim: {n}, dims "
            f"{tuple(dims)}"
        )
    if dims[:n] == tuple(range(n)):
        return x
    if n == 2:
        pattern = pattern.transposed
    else:
        order = list(dims[:n])
        shape = tuple([pattern.shape[d] for d in order])
        pattern = Coordinates(np.ascontiguousarray(pattern.coordinates[order]), shape)
    return assembled(values_of(x), pattern, node_label(op))


@rule(view.Unsqueeze)
def unsqueeze(op: Op, x: Tensor, dim: int) -> Tensor:
    """A dim of size 1."""
    pattern = need_coordinates(op, x)
    n = len(pattern.shape)
    if dim > n:
        return assembled(values_of(x).unsqueeze(dim - n + 1), pattern, "Unsqueeze")
    where = np.insert(pattern.coordinates, dim, 0, 0)
    shape = (*pattern.shape[:dim], 1, *pattern.shape[dim:])
    return assembled(values_of(x), Coordinates(where, shape, pattern.coalesced), "Unsqueeze")


@rule(view.Squeeze)
def squeeze(op: Op, x: Tensor, dim: tuple[int, ...]) -> Tensor:
    """Sparse dims of size 1 removed."""
    pattern = need_coordinates(op, x)
    n = len(pattern.shape)
    kept = [d for d in range(n) if d not in dim]
    if not kept or any([d >= n for d in dim]):
        unsupported(op, (x,))
    where = np.ascontiguousarray(pattern.coordinates[kept])
    shape = tuple([pattern.shape[d] for d in kept])
    return assembled(values_of(x), Coordinates(where, shape, pattern.coalesced), "Squeeze")


@rule(view.Unbind)
def unbind(op: Op, x: Tensor, dim: int) -> list[Tensor]:
    """All slices of a sparse dim."""
    lead = (slice(None),) * dim
    pick = view.BasicIndex.instance
    return [index(pick, x, (*lead, i)) for i in range(x._array.shape[dim])]


def need_coordinates(op: Op, x: Tensor) -> Coordinates:
    """The pattern of a COO tensor."""
    pattern = x._array.pattern
    if not isinstance(pattern, Coordinates):
        unsupported(op, (x,))
    return pattern


@rule(view.BasicIndex)
def index(op: Op, x: Tensor, index: tuple[Any, ...]) -> Tensor:
    """Ints and slices, of sparse dims before dense ones; CSR gives COO, as in torch."""
    if any([i is None for i in index]):
        unsupported(op, (x,))
    index = index if isinstance(index, tuple) else (index,)
    if Ellipsis in index:
        at = index.index(Ellipsis)
        middle = (slice(None),) * (x._array.ndim - len(index) + 1)
        index = (*index[:at], *middle, *index[at + 1 :])
    x = coalesced(x)
    pattern = x._array.pattern
    n = len(pattern.shape)
    where, keep, shape = pattern.coordinates, np.ones(pattern.count, bool), list(pattern.shape)
    rows, kept = list(where), list(range(n))
    for d, i in enumerate(index[:n]):
        if isinstance(i, slice):
            start, stop, step = i.indices(shape[d])
            keep &= (rows[d] >= start) & (rows[d] < stop) & ((rows[d] - start) % step == 0)
            rows[d], shape[d] = (rows[d] - start) // step, len(range(start, stop, step))
        else:
            keep &= rows[d] == i % shape[d]
            kept.remove(d)
    values, found = values_of(x), np.flatnonzero(keep)
    if found.size != pattern.count:
        values = chosen(values, found)
    if len(index) > n:
        values = values[(slice(None), *index[n:])]
    if not kept:
        return reduce.Sum.bind(values, (0,), False)
    rows = [rows[d][found] for d in kept]
    shape = [shape[d] for d in kept]
    return assembled(values, Coordinates(np.stack(rows), tuple(shape), True), "Select")


@rule(slices.IndexSelect)
def index_select(op: Op, x: Tensor, index: Tensor, dim: int) -> Tensor:
    """Slices of a dim, in the order of ``index``."""
    x = coalesced(x)
    pattern = x._array.pattern
    n, size = len(pattern.shape), x._array.shape[dim]
    wanted = index._array.reshape(-1)
    if wanted.size and not (wanted.min() >= -size and wanted.max() < size):
        raise IndexError(f"index_select(): index out of range for dimension {dim} of size {size}")
    if dim >= n:
        picked = slices.IndexSelect.bind(values_of(x), index, dim=dim - n + 1)
        return assembled(picked, pattern, "IndexSelect")
    line = pattern.coordinates[dim]
    order = np.argsort(line, kind="stable")
    starts = np.searchsorted(line[order], np.arange(size + 1))
    first, many = starts[:-1][wanted], np.diff(starts)[wanted]
    new = np.repeat(np.arange(wanted.size), many)  # where each found entry goes along dim
    offset = np.arange(new.size) - np.repeat(np.cumsum(many) - many, many)
    found = order[np.repeat(first, many) + offset]
    where = pattern.coordinates[:, found]
    where[dim] = new
    shape = (*pattern.shape[:dim], wanted.size, *pattern.shape[dim + 1 :])
    out = assembled(chosen(values_of(x), found), Coordinates(where, shape), "IndexSelect")
    return coalesced(out)


@rule(join.Cat)
def cat(op: Op, *tensors: Tensor, dim: int) -> Tensor:
    """COO tensors, one after another along a dim."""
    for i, t in enumerate(tensors):
        if not is_sparse(t):
            raise ShapeError(
                "Concatenating sparse tensors, but a dense tensor was found at position "
                f"{i}: convert it with .to_sparse()."
            )
    patterns = [need_coordinates(op, t) for t in tensors]
    for t, p in zip(tensors, patterns, strict=True):
        if len(p.shape) != len(patterns[0].shape):
            raise ShapeError(
                "cat: sparse tensors must have the same numbers of sparse and of dense dims, but "
                f"have {len(patterns[0].shape)} and {len(p.shape)} sparse ones; to_sparse takes "
                "how many."
            )
        others = [s.shape[:dim] + s.shape[dim + 1 :] for s in (tensors[0], t)]
        if others[0] != others[1]:
            raise ShapeError(
                f"cat: sizes must match except in dim {dim}, but are {tuple(tensors[0].shape)} and "
                f"{tuple(t.shape)}."
            )
    values, n, shape = [values_of(t) for t in tensors], len(patterns[0].shape), patterns[0].shape
    if dim >= n:
        first = tensors[0]
        if not all([patterns[0].same_places(p) for p in patterns]):
            unsupported(op, tensors)
        return assembled(op.bind(*values, dim=dim - n + 1), first._array.pattern, "Cat")
    rows, at = [], 0
    for p in patterns:
        moved = p.coordinates.copy()
        moved[dim] += at
        rows.append(moved)
        at += p.shape[dim]
    pattern = Coordinates(np.concatenate(rows, 1), (*shape[:dim], at, *shape[dim + 1 :]))
    if dim == 0 and all([p.coalesced for p in patterns]):
        pattern.coalesced = True
    return assembled(op.bind(*values, dim=0), pattern, "Cat")


@rule(join.Stack)
def stack(op: Op, *tensors: Tensor, dim: int) -> Tensor:
    """COO tensors along a new dim."""
    return cat(join.Cat.instance, *[t.unsqueeze(dim) for t in tensors], dim=dim)


# Products


@rule(products.Matmul)
def matmul(op: Op, a: Tensor, b: Tensor) -> Tensor:
    return matrix_product(a, b)


@rule(products.Linear)
def linear(op: Op, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return matrix_product(x, weight.t()) + bias
