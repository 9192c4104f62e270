"""Reading and writing single elements by index: gather, scatter, take, put."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.op import Op
from rushlight.core.tensor import Tensor
from rushlight.errors import DTypeError, ShapeError
from rushlight.ops.copy import filler
from rushlight.ops.create import zeros
from rushlight.ops.places import combine_at, flat_places, inside, moved, read


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
            f"{name}(): Index tensor must have the same number of dimensions as {what} tensor, but "
            f"its shape is {index.shape} and that of {what} {limit.shape}; unsqueeze() adds one."
        )
    if index.shape == limit.shape:
        return
    for d, (a, b) in enumerate(zip(index.shape, limit.shape, strict=False)):
        if d != skip and a > b:
            raise ShapeError(
                f"{name}(): Size does not match at dimension {d}: expected index {index.shape} to "
                f"be no larger than {what} {limit.shape} apart from dimension {skip}."
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

    Example:
        >>> torch.scatter(torch.zeros(2, 3), 1, torch.tensor([[2], [0]]), torch.ones(2, 1))
        tensor([[0., 0., 1.],
                [1., 0., 0.]])
    """

    overlap = "none"

    def eager(self, xp, input, index, src, *, dim):
        out = input.copy()
        self.store(out, [index, src], {"dim": dim})
        return out

    def store(self, x, others, params):
        index, src, dim = others[0], others[1], params["dim"]
        if not isinstance(src, np.ndarray):
            number, src = filler(x.dtype, src), np.empty(index.shape, x.dtype)
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
