"""Reading and writing along one dim by index: gather, scatter, index_select, index_add, masks."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.elementwise import Elementwise, broadcast_error
from rushlight.core.native import LEAST, kernels, widened
from rushlight.core.op import Op
from rushlight.core.tensor import Tensor
from rushlight.errors import DTypeError, ShapeError
from rushlight.ops.copy import cast_array, filler, filling
from rushlight.ops.create import zeros
from rushlight.ops.places import (
    add_rows,
    combine_at,
    flat_places,
    inside,
    masked,
    moved,
    read,
    spread,
)


def check_index(name: str, x: Any, index: Any, dim: int) -> None:
    """Index tensors hold int64 in range; a negative index is an error, unlike in ``x[index]``."""
    if index.dtype is not dtypes.int64 and index.dtype is not dtypes.int32:
        raise DTypeError(
            f"{name}(): Expected dtype int64 for index, but got {dtypes.of[index.dtype].name}; "
            "convert it with .long()."
        )
    n = x.shape[dim] if x.ndim else 1
    if not inside(index, 0, n):
        bad = int(index.max()) if int(index.max()) >= n else int(index.min())
        kind = IndexError if name in ("index_select", "take") else RuntimeError
        raise kind(f"{name}(): index {bad} is out of bounds for dimension {dim} with size {n}")


def check_inside(name: str, index: Any, limit: Any, skip: int | None, what: str) -> None:
    """Every size of index is at most that of the other tensor, except in dim ``skip``."""
    if max(index.ndim, 1) != max(limit.ndim, 1):
        raise ShapeError(
            f"{name}(): Index tensor must have the same number of dimensions as {what} tensor: "
            f"{index.shape}, {limit.shape}."
        )
    if index.shape == limit.shape:
        return
    for d, (a, b) in enumerate(zip(index.shape, limit.shape, strict=False)):
        if d != skip and a > b:
            raise ShapeError(
                f"{name}(): Size does not match at dimension {d}: expected index {index.shape} "
                f"to be no larger than {what} "
                f"{limit.shape} apart from dimension {skip}."
            )


class Gather(Op):
    """``out[i][j] = input[index[i][j]][j]`` for dim 0, and so on. Shape: that of ``index``."""

    def eager(self, xp, input, index, *, dim):
        if not index.size:
            return np.empty_like(index, input.dtype)
        out = read("read each", input, index, index.shape, dim) if input.ndim else None
        if out is not None:
            return out
        if index.shape != input.shape:
            check_inside("gather", index, input, dim, "input")
        check_index("gather", input, index, dim)
        if not input.ndim:
            return np.broadcast_to(input, index.shape).copy()
        return input.reshape(-1).take(flat_places(index, dim, input.shape))

    def grad_input(self, g, index, input_spec, dim):
        return ScatterAdd.bind(zeros(input_spec[0], input_spec[1], g), index, g, dim=dim)


def trimmed(src: Any, index: Any) -> Any:
    """The part of src that index covers."""
    if src.shape == index.shape or not src.ndim:
        return src
    return src[tuple([slice(n) for n in index.shape])]


class Scatter(Op):
    """``input`` with ``input[index[i][j]][j] = src[i][j]`` for dim 0, and so on; src may be a
    number.
    """

    overlap = "none"

    def eager(self, xp, input, index, src, *, dim):
        out = input.copy()
        self.store(out, [index, src], {"dim": dim})
        return out

    def store(self, x, others, params):
        index, src, dim = others[0], others[1], params["dim"]
        if not isinstance(src, np.ndarray):
            number, src = cast_array(np.asarray(src), x.dtype), np.empty(index.shape, x.dtype)
            src[...] = number
        if x.ndim and moved("write each", x, index, src, dim):
            return
        check_scatter("scatter", x, index, src, dim)
        if index.size:
            flat = x.reshape(-1)
            places = flat_places(index, dim, x.shape).reshape(-1)
            flat[places] = trimmed(src, index).reshape(-1)
            if not x.flags.c_contiguous:
                x[...] = flat.reshape(x.shape)

    def grad_input(self, g, index, dim):
        return Scatter.bind(g, index, 0, dim=dim)

    def grad_src(self, g, index, src_spec, dim):
        return embedded(Gather.bind(g, index, dim=dim), src_spec)


def at(x: Any) -> Any:
    """0-dim arrays as vectors, in the same memory."""
    return x if x.ndim else x.reshape(1)


def embedded(g: Tensor, spec: Any) -> Tensor:
    """g in the corner of zeros of ``spec``: src may be larger than index."""
    if g._array.shape == spec[0]:
        return g
    out = zeros(spec[0], spec[1], g)
    out[tuple([slice(n) for n in g._array.shape])] = g
    return out


def check_scatter(name: str, x: Any, index: Any, src: Any, dim: int) -> None:
    """The checks that all scatters share."""
    if isinstance(src, np.ndarray) and src.dtype != x.dtype:
        raise DTypeError(
            f"{name}(): Expected self.dtype to be equal to src.dtype, but got {x.dtype} and "
            f"{src.dtype}; convert one."
        )
    if not index.size:
        return
    if index.shape != x.shape:
        check_inside(name, index, x, dim, "self")
    if isinstance(src, np.ndarray) and index.shape != src.shape:
        check_inside(name, index, src, None, "src")
    check_index(name, x, index, dim)


class ScatterAdd(Op):
    """``input`` with ``input[index[i][j]][j] += src[i][j]`` for dim 0, and so on."""

    overlap = "none"

    def eager(self, xp, input, index, src, *, dim):
        out = input.copy()
        self.store(out, [index, src], {"dim": dim})
        return out

    def store(self, x, others, params):
        index, src, dim = others[0], others[1], params["dim"]
        if x.ndim and moved("add each", x, index, src, dim):
            return
        check_scatter("scatter_add", x, index, src, dim)
        if index.size:
            combine_at(np.add, x, flat_places(index, dim, x.shape), trimmed(src, index))

    def grad_input(self, g):
        return g

    def grad_src(self, g, index, src_spec, dim):
        return embedded(Gather.bind(g, index, dim=dim), src_spec)


class IndexSelect(Op):
    """Slices ``index`` of ``dim``, in that order."""

    def eager(self, xp, input, index, *, dim):
        if index.ndim > 1:
            raise IndexError(
                f"index_select(): Index is supposed to be a vector, but it has shape {index.shape}."
            )
        sizes = input.shape
        shape = sizes[:dim] + (index.size,) + sizes[dim + 1 :]
        if sizes and input.size < LEAST:
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
    """``input`` with slice ``index[i]`` of ``dim`` replaced by slice i of ``source``."""

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


class MaskedFill(Elementwise):
    """``input`` with ``value`` where ``mask`` is True. Shape: broadcast of both."""

    def scalar(self, s, input, mask, *, value):
        return s.where(mask, value, input)

    def spelled(self, input, mask, *, value):
        return input.where(mask.logical_not(), filling(value, input._array.dtype))

    def forward(self, arrays, params):
        x, mask = arrays
        check_mask("masked_fill", mask)
        out = self.offer(arrays, params) if kernels.on and x.dtype in dtypes.FLOATS else None
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
        value = filler(x.dtype, params["value"])
        if x.size >= LEAST and x.dtype in dtypes.FLOATS and x.flags.carray and kernels.on:
            if kernels.find(self, [x, mask], params, x) is not None:
                return
        try:
            np.copyto(x, value, where=mask)
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
        x[where] = source.reshape(-1)[:n]

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


class Put(Op):
    """``input`` seen as a vector, with elements ``index`` replaced by (or with ``accumulate``
    increased by) ``source``.
    """

    keeps_order = True

    def eager(self, xp, input, index, source, *, accumulate):
        out = input.copy()
        self.store(out, [index, source], {"accumulate": accumulate})
        return out

    def store(self, x, others, params):
        index, source = others
        if source.dtype != x.dtype:
            raise DTypeError(
                f"put_(): self ({x.dtype}) and source ({source.dtype}) expected to have the same "
                "dtype; convert one."
            )
        if index.size != source.size:
            raise ShapeError(
                f"put_(): index has {index.size} elements and source {source.size}; they must be "
                "as many."
            )
        check_flat("put_", x, index)
        if params["accumulate"]:
            combine_at(np.add, x, index.reshape(-1), source.reshape(-1))
        elif source.size:
            flat = x.reshape(-1)
            flat[index.reshape(-1)] = source.reshape(-1)
            if not x.flags.c_contiguous:
                x[...] = flat.reshape(x.shape)

    def grad_input(self, g, index, source_spec, accumulate):
        return (
            g
            if accumulate
            else Put.bind(g, index, zeros(source_spec[0], source_spec[1], g), accumulate=False)
        )

    def grad_source(self, g, index, source_spec):
        return Take.bind(g, index).reshape(source_spec[0])


def check_flat(name: str, x: Any, index: Any) -> None:
    """Indices into x seen as a vector; negative ones count from the end."""
    if index.dtype != dtypes.int64:
        raise DTypeError(
            f"{name}(): Expected a long tensor for index, but got {dtypes.of[index.dtype].name}; "
            "convert it with .long()."
        )
    if not inside(index, -x.size, x.size):
        raise IndexError(f"{name}(): index out of range for a tensor of {x.size} elements.")


class Take(Op):
    """Elements ``index`` of ``input`` seen as a vector. Shape: that of ``index``."""

    def eager(self, xp, input, index):
        check_flat("take", input, index)
        return input.reshape(-1).take(index) if input.size else np.empty_like(index, input.dtype)

    def grad_input(self, g, index, input_spec):
        return Put.bind(zeros(input_spec[0], input_spec[1], g), index, g, accumulate=True)


REDUCERS: dict[str, Any] = {
    "sum": np.add,
    "prod": np.multiply,
    "amax": np.maximum,
    "amin": np.minimum,
    "mean": np.add,
}


# the loops that combine elements
ADDED = {"sum": "add each", "prod": "times each", "amax": "greatest each", "amin": "least each"}


class ScatterReduce(Op):
    """``scatter`` that combines what meets at one place: sum, prod, mean, amax or amin; with
    ``include_self`` the old value too.
    """

    overlap = "none"

    def eager(self, xp, input, index, src, *, dim, reduce, include_self):
        out = input.copy()
        self.store(out, [index, src], {"dim": dim, "reduce": reduce, "include_self": include_self})
        return out

    def store(self, x, others, params):
        index, src, dim = others[0], others[1], params["dim"]
        loop = ADDED.get(params["reduce"]) if params["include_self"] and x.ndim else None
        if loop is not None and moved(loop, x, index, src, dim):
            return
        check_scatter("scatter_reduce", x, index, src, dim)
        if index.size:
            places = flat_places(index, dim, x.shape)
            combine(x, places, trimmed(src, index), params["reduce"], params["include_self"])

    def grads(self, g, needs, input, index, src, out, dim, reduce, include_self):
        if reduce == "sum":
            gx, gs = g, g.gather(dim, index)
        elif reduce == "mean":
            n = (zeros(g._array.shape, g._array.dtype, g) + (1 if include_self else 0)).scatter_add(
                dim, index, src * 0 + 1
            )
            n = n.masked_fill(n == 0, 1)
            gx, gs = g / n, (g / n).gather(dim, index)
        elif reduce == "prod":
            gx, gs = product_gradients(g, input, index, src, out, dim, include_self)
        else:
            hit_x = (
                (input == out).to(g) if include_self else zeros(g._array.shape, g._array.dtype, g)
            )
            hit_s = (src == out.gather(dim, index)).to(g)
            n = hit_x.scatter_add(dim, index, hit_s)
            shared = g / n.masked_fill(n == 0, 1)
            gx, gs = hit_x * shared, hit_s * shared.gather(dim, index)
        if not include_self:
            gx = g.scatter(dim, index, 0)
        return [gx if needs[0] else None, None, embed_like(gs, src) if needs[2] else None]


def embed_like(g: Tensor, src: Tensor) -> Tensor:
    """g in the corner of zeros like src."""
    return embedded(g, (src._array.shape, src._array.dtype))


def product_gradients(
    g: Any, input: Any, index: Any, src: Any, out: Any, dim: int, include_self: bool
) -> tuple[Any, Any]:
    """Of a product: g times the product of the other factors."""
    start = input if include_self else input.scatter(dim, index, 1)
    zero, zero_src = start == 0, src == 0
    count = zero.to(g).scatter_add(dim, index, zero_src.to(g))  # of zeros among the factors
    total = (start * zero.to(g)).scatter_add(dim, index, src * zero_src.to(g))  # their sum
    rest = g * start.masked_fill(zero, 1).scatter_reduce(
        dim, index, src.masked_fill(zero_src, 1), "prod"
    )
    spread = [t.gather(dim, index) for t in (count, total, rest, g * out)]
    return (
        without_one(start, zero, count, total, rest, g * out),
        without_one(src, zero_src, *spread),
    )


def without_one(factor: Any, zero: Any, count: Any, total: Any, rest: Any, out: Any) -> Any:
    """The product without one factor, right to the second derivative where factors are zero.

    Beside one other zero it is that zero times the rest: 0, but its derivative is not.
    """
    others = (count == 1).to(rest) + (count == 2).to(rest) * (total - factor)
    return rest * zero.to(rest) * others + out / factor.masked_fill(
        zero, 1
    ) * zero.logical_not().to(rest)


def combine(x: Any, places: Any, values: Any, reduce: str, include_self: bool) -> None:
    """Reduce values into x at places that count along its elements."""
    wide = widened(x)
    if wide is x and include_self and reduce != "mean":
        combine_at(REDUCERS[reduce], x, places, values)
        return
    flat, places = wide.reshape(-1), places.reshape(-1)
    if not include_self:
        flat[places] = {"sum": 0, "mean": 0, "prod": 1}.get(reduce, extreme(x.dtype, reduce))
    REDUCERS[reduce].at(flat, places, values.reshape(-1).astype(flat.dtype, copy=False))
    if reduce == "mean":
        n = np.maximum(np.bincount(places, minlength=flat.size) + include_self, 1)
        flat = flat // n if x.dtype in dtypes.INTEGER_TYPES else flat / n.astype(flat.real.dtype)
    if reduce == "mean" or wide is not x or not x.flags.c_contiguous:
        x[...] = flat.reshape(x.shape)


def extreme(d: Any, reduce: str) -> Any:
    """The neutral element of amax or amin."""
    if d in dtypes.INTEGER_TYPES:
        info = np.iinfo(d)
        return info.min if reduce == "amax" else info.max
    if d == np.bool_:
        return reduce != "amax"
    return -np.inf if reduce == "amax" else np.inf


class IndexReduce(Op):
    """Slices of ``source`` combined into slices ``index`` of ``dim``: prod, mean, amax or amin."""

    overlap = "none"

    def eager(self, xp, input, index, source, *, dim, reduce, include_self):
        out = input.copy()
        self.store(
            out, [index, source], {"dim": dim, "reduce": reduce, "include_self": include_self}
        )
        return out

    def store(self, x, others, params):
        index, source, dim = others[0], others[1], params["dim"]
        check_slices("index_reduce", x, index, source, dim)
        if source.size:
            places = slice_places(index, dim, at(x).shape)
            combine(x, places, source, params["reduce"], params["include_self"])

    def grads(self, g, needs, input, index, source, out, dim, reduce, include_self):
        shape = [1] * max(source.ndim, 1)
        shape[dim] = -1
        where = index.reshape(shape).expand(source.shape) if source.ndim else index.reshape(())
        inner = ScatterReduce.instance.grads(
            g, (True, False, True), input, where, source, out, dim, reduce, include_self
        )
        return [inner[0] if needs[0] else None, None, inner[2] if needs[2] else None]
