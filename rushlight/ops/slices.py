"""Reading and writing whole slices along one dim by index."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.native import LEAST
from rushlight.core.op import Op
from rushlight.errors import DTypeError, ShapeError
from rushlight.ops.copy import filler
from rushlight.ops.create import zeros
from rushlight.ops.places import add_rows, combine_at, flat_places, inside, moved, read, spread
from rushlight.ops.scatter import at, check_index


class IndexSelect(Op):
    """Slices ``index`` of ``dim``, in that order."""

    def eager(self, xp, input, index, *, dim):
        if index.ndim > 1:
            raise IndexError(
                f"index_select(): Index is supposed to be a vector, but it has shape {index.shape}."
            )
        sizes = input.shape
        if not sizes and index.size != 1:
            raise ShapeError(
                "index_select(): a tensor without dims is selected from by one index, but there "
                f"are {index.size}."
            )
        shape = sizes[:dim] + (index.size,) + sizes[dim + 1 :]
        if sizes and input.size < MANY:
            out = read("read rows", input, index, shape, dim)
            if out is not None:
                return out
        check_index("index_select", input, index, dim)
        inner = math.prod(input.shape[dim + 1 :])
        if inner < ROW and index.size > 1 and input.size > max(ROW * index.size, LEAST):
            out = np.empty(shape, input.dtype)
            if copied_in_runs(input, index, out, dim) or moved("read rows", input, index, out, dim):
                return out
        out = at(input).take(at(index), dim)
        return out if input.ndim else out.reshape(())

    def grad_input(self, g, index, input_spec, dim):
        return IndexAdd.bind(zeros(input_spec[0], input_spec[1], g), index, g, dim=dim)


MANY = 1 << 19  # elements of which NumPy reads single ones faster
ROW = 32  # elements from which on NumPy is fast at copying rows
RUNS = 8  # most runs that are copied one by one


def copied_in_runs(x: Any, index: Any, out: Any, dim: int) -> bool:
    """Whether an index along ``dim`` consists of few runs of neighbours, as that of padding; if so
    they have been copied to ``out``.
    """
    cuts = np.flatnonzero(index[1:] != index[:-1] + 1) + 1
    if len(cuts) >= RUNS:
        return False
    lead = (slice(None),) * dim
    for start, stop in pairwise([0, *cuts.tolist(), index.size]):
        first = int(index[start])
        out[(*lead, slice(start, stop))] = x[(*lead, slice(first, first + stop - start))]
    return True


def check_slices(name: str, x: Any, index: Any, source: Any, dim: int) -> None:
    """The checks of ops that write whole slices; ``source`` is None where they write a number."""
    check_slice_index(name, index)
    if source is not None:
        if source.dtype != x.dtype:
            raise DTypeError(
                f"{name}(): self ({x.dtype}) and source ({source.dtype}) expected to have the "
                "same dtype; convert one."
            )
        check_source(name, x, index, source, dim)
    n = x.shape[dim] if x.ndim else 1
    if not inside(index, -n if source is None else 0, n):
        rows = x.ndim > 1 and name == "index_add"
        raise (RuntimeError if rows else IndexError)(
            f"{name}(): index out of range for dimension {dim} with size {n}"
        )


def check_slice_index(name: str, index: Any) -> None:
    """An index of slices is a vector of int64, of sums of int32 too."""
    if index.ndim > 1:
        raise IndexError(
            f"{name}(): Index is supposed to be a vector, but it has shape {index.shape}."
        )
    if index.dtype is dtypes.int64:
        return
    if name not in ("index_add", "index_reduce") or index.dtype != np.int32:
        raise (IndexError if name == "index_fill" else DTypeError)(
            f"{name}(): Expected dtype int64 for index, but got {index.dtype}; convert it with "
            ".long()."
        )


def check_source(name: str, x: Any, index: Any, source: Any, dim: int) -> None:
    """The source has a slice for each index, and these have the shape of the input's."""
    if x.ndim and source.ndim:
        expected = (*x.shape[:dim], index.size, *x.shape[dim + 1 :])
        fits = source.shape == expected
    else:
        expected = x.shape
        alike = max(source.ndim, x.ndim) <= 1 if name == "index_copy" else source.ndim == x.ndim
        fits = alike and index.size == source.size == 1
    if not fits:
        slices = (
            index.size != 1
            if not source.ndim
            else name == "index_copy" and (source.ndim != x.ndim or source.shape[dim] != index.size)
        )
        raise (IndexError if slices else ShapeError)(
            f"{name}(): source has shape {source.shape}, but {index.size} slices of dim "
            f"{dim} of {x.shape} need {expected}."
        )


def slice_places(index: Any, dim: int, shape: tuple[int, ...]) -> Any:
    """The places of slices ``index`` of ``dim`` in contiguous memory of ``shape``."""
    index = (at(index) % shape[dim]).reshape((-1,) + (1,) * (len(shape) - 1 - dim))
    whole = (*shape[:dim], len(index), *shape[dim + 1 :])
    return flat_places(spread(index, whole), dim, shape)


class IndexAdd(Op):
    """``input`` with slice ``index[i]`` of ``dim`` increased by slice i of ``source``."""

    overlap = "none"

    def eager(self, xp, input, index, source, *, dim):
        out = input.copy()
        self.store(out, [index, source], {"dim": dim})
        return out

    def store(self, x, others, params):
        index, source, dim = others[0], others[1], params["dim"]
        if index.ndim == 1 and x.ndim and source.ndim == x.ndim and len(index) == source.shape[dim]:
            if moved("add rows", x, index, source, dim, 0):
                return
        check_slices("index_add", x, index, source, dim)
        if dim == 0:
            add_rows(at(x), at(index), at(source))
        else:
            where = slice_places(index, dim, x.shape)
            combine_at(np.add, x, where, source)

    def grad_input(self, g):
        return g

    def grad_source(self, g, index, source_spec, dim):
        return IndexSelect.bind(g, index, dim=dim).expand(source_spec[0])


class IndexCopy(Op):
    """``input`` with slice ``index[i]`` of ``dim`` replaced by slice i of ``source``.

    Example:
        >>> rows = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> torch.index_copy(torch.zeros(3, 2), 0, torch.tensor([2, 0]), rows)
        tensor([[3., 4.],
                [0., 0.],
                [1., 2.]])
    """

    overlap = "none"

    def eager(self, xp, input, index, source, *, dim):
        out = input.copy()
        self.store(out, [index, source], {"dim": dim})
        return out

    def store(self, x, others, params):
        index, source, dim = others[0], others[1], params["dim"]
        if index.ndim == 1 and x.ndim and source.ndim == x.ndim and len(index) == source.shape[dim]:
            if moved("write rows", x, index, source, dim, 0):
                return
        check_slices("index_copy", x, index, source, dim)
        at(x)[(slice(None),) * dim + (at(index),)] = at(source)

    def grad_input(self, g, index, dim):
        return IndexFill.bind(g, index, dim=dim, value=0)

    def grad_source(self, g, index, source_spec, dim):
        return IndexSelect.bind(g, index, dim=dim).expand(source_spec[0])


class IndexFill(Op):
    """``input`` with slices ``index`` of ``dim`` set to ``value``."""

    keeps_order = True
    overlap = "none"

    def eager(self, xp, input, index, *, dim, value):
        out = input.copy()
        self.store(out, [index], {"dim": dim, "value": value})
        return out

    def store(self, x, others, params):
        index, dim = others[0], params["dim"]
        value = params["value"]
        check_slices("index_fill", x, index, None, dim)
        if isinstance(value, complex) and x.dtype not in dtypes.COMPLEX_TYPES:
            raise DTypeError(
                "index_fill_(): Converting complex Scalar to non-complex type is not supported"
            )
        where = at(index)
        at(x)[(slice(None),) * dim + (where,) if dim else where] = filler(x.dtype, value)

    def grad_input(self, g, index, dim):
        return IndexFill.bind(g, index, dim=dim, value=0)
