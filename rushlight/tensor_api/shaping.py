"""Functions that rearrange, repeat and combine shapes."""

from __future__ import annotations

import builtins
import functools
import itertools
import math
from typing import Any

import numpy as np

from rushlight import dtypes, formats
from rushlight.core.device_array import beside, constant_on, host
from rushlight.core.native import kernels
from rushlight.core.size import make_size
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor, bump, value_needed, value_pinned, wrap
from rushlight.core.window import packed_strides
from rushlight.errors import DTypeError, NotSupportedError, ShapeError
from rushlight.ops import shaping as H
from rushlight.ops.pad import ConstantPad
from rushlight.ops.reduce import sum_to
from rushlight.ops.scan import Cumprod
from rushlight.ops.view import Expand, Reshape
from rushlight.tensor_api._common import (
    as_int,
    check_factory,
    finish,
    in_order_of,
    method,
    methods,
    numpy_dtype,
    resize,
    shape_of,
    store_out,
    unrecorded,
    wrap_dim,
)
from rushlight.tensor_api.joining import cat, several, stack
from rushlight.tensor_api.storage import tensor_on

__all__ = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "block_diag",
    "broadcast_shapes",
    "broadcast_tensors",
    "broadcast_to",
    "cartesian_prod",
    "column_stack",
    "combinations",
    "diag",
    "diag_embed",
    "diagflat",
    "dstack",
    "flip",
    "fliplr",
    "flipud",
    "hstack",
    "meshgrid",
    "repeat_interleave",
    "roll",
    "rot90",
    "row_stack",
    "tile",
    "tril",
    "tril_indices",
    "triu",
    "triu_indices",
    "vander",
    "vstack",
]


@method
def flip(input: Tensor, *args: Any, dims: Any = None) -> Tensor:
    """The order of the elements reversed along ``dims``: a copy.

    Example:
        >>> import rushlight as torch
        >>> torch.arange(3).flip(0)
        tensor([2, 1, 0])
    """
    n = input._array.ndim
    if len(args) == 1 and args[0].__class__ is int and n:
        return H.Flip.bind(input, dims=(wrap_dim(args[0], n),))
    if not args and dims is None:
        raise TypeError("flip() needs the dims to reverse, such as x.flip(0).")
    asked = [wrap_dim(d, n) for d in shape_of(args or (dims,), "flip")]
    if len(set(asked)) != len(asked):
        raise RuntimeError(f"flip: dim appears multiple times in the list of dims {asked}.")
    return H.Flip.bind(input, dims=tuple(asked) if n else ())


@method
def fliplr(input: Tensor) -> Tensor:
    """Columns in reverse order.

    Example:
        >>> import rushlight as torch
        >>> torch.fliplr(torch.tensor([[1, 2], [3, 4]]))
        tensor([[2, 1],
                [4, 3]])
    """
    if input._array.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, 1)


@method
def flipud(input: Tensor) -> Tensor:
    """Rows in reverse order.

    Example:
        >>> import rushlight as torch
        >>> torch.flipud(torch.tensor([[1, 2], [3, 4]]))
        tensor([[3, 4],
                [1, 2]])
    """
    if input._array.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, 0)


@method
def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """Elements moved ``shifts`` places along ``dims`` (without: of the flattened tensor),
    re-entering at the other end.

    Example:
        >>> import rushlight as torch
        >>> torch.roll(torch.tensor([1, 2, 3, 4]), 1)
        tensor([4, 1, 2, 3])
    """
    steps = tuple(shifts) if isinstance(shifts, (tuple, list)) else (as_int(shifts, "shifts"),)
    if dims is None or (isinstance(dims, (tuple, list)) and not dims):
        if len(steps) != 1:
            raise RuntimeError(f"shifts and dimensions must align. shifts: {len(steps)}, dims:0")
        if input._array.ndim == 1:
            return H.Roll.bind(input, shifts=steps, dims=(0,))
        return H.Roll.bind(input.reshape(-1), shifts=steps, dims=(0,)).reshape(input._array.shape)
    where = tuple(dims) if isinstance(dims, (tuple, list)) else (dims,)
    if len(steps) != len(where):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(steps)}, dims:{len(where)}"
        )
    if not input._array.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    return in_order_of(
        H.Roll.bind(
            input, shifts=steps, dims=tuple([wrap_dim(d, input._array.ndim) for d in where])
        ),
        input,
    )


@method
def rot90(input: Tensor, k: int = 1, dims: Any = (0, 1)) -> Tensor:
    """Rotated by ``k`` times 90 degrees from the first towards the second of ``dims``.

    Example:
        >>> import rushlight as torch
        >>> torch.rot90(torch.tensor([[1, 2], [3, 4]]))
        tensor([[2, 4],
                [1, 3]])
    """
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    n = input._array.ndim
    if n < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {n}")
    a, b = wrap_dim(dims[0], n), wrap_dim(dims[1], n)
    if a == b:
        raise RuntimeError(
            f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}"
        )
    k %= 4
    if k == 2:
        return flip(input, a, b)
    if not k:
        return input.clone()
    arrays = unrecorded(input)  # then nobody sees that a view is flipped
    turned = input.transpose(a, b) if arrays is None else wrap(arrays[0].swapaxes(a, b))
    return flip(turned, a if k == 1 else b)


@method
def tril(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The lower triangle of the last two dims up to ``diagonal``; the rest is zero.

    Example:
        >>> import rushlight as torch
        >>> torch.tril(torch.ones(3, 3))
        tensor([[1., 0., 0.],
                [1., 1., 0.],
                [1., 1., 1.]])
    """
    result = H.Tril.bind(matrices(input, "tril"), diagonal=as_int(diagonal, "diagonal"))
    return result if out is None else store_out(out, result)


@method
def triu(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The upper triangle of the last two dims from ``diagonal``; the rest is zero.

    Example:
        >>> import rushlight as torch
        >>> torch.triu(torch.ones(3, 3), diagonal=1)
        tensor([[0., 1., 1.],
                [0., 0., 1.],
                [0., 0., 0.]])
    """
    result = H.Triu.bind(matrices(input, "triu"), diagonal=as_int(diagonal, "diagonal"))
    return result if out is None else store_out(out, result)


def matrices(x: Tensor, name: str) -> Tensor:
    """x, which must have two dims or more."""
    if x._array.ndim < 2:
        raise RuntimeError(
            f"{name}: input tensor must have at least 2 dimensions, but has {x._array.ndim}."
        )
    return x


FEW = 4096  # elements of a matrix whose triangles are remembered


@functools.lru_cache(maxsize=64)
def few_in(name: str, row: int, col: int, offset: int) -> np.ndarray[Any, Any]:
    """Row and column indices of the triangle ``name``."""
    find = np.tril_indices if name == "tril_indices" else np.triu_indices
    return np.array(find(row, offset, col))


def long_in(name: str, row: int, col: int, offset: int, d: Any) -> Any:
    """The same for many elements, by a loop; None where there is none for the dtype."""
    lower = name == "tril_indices"
    edge = min(max(offset + lower, -row), col)
    edges = np.clip(np.arange(edge, edge + row), 0, col)
    out = np.empty((2, int(edges.sum() if lower else (col - edges).sum())), d)
    plain = out.size and d in (dtypes.int64, dtypes.int32)
    kind = "lower triangle" if lower else "upper triangle"
    run = kernels.runner(kind, d, 2, row * col) if plain else None
    if run is None:
        return None
    run(out[0], out[1], col, edge, row)
    return out


def _triangle(name: str, find: Any) -> Any:
    def indices(
        row: int,
        col: int,
        offset: int = 0,
        *,
        dtype: Any = None,
        device: Any = None,
        layout: Any = None,
        pin_memory: bool = False,
        requires_grad: bool = False,
    ) -> Tensor:
        place = check_factory(device, layout)
        row, col = as_int(row, "row"), as_int(col, "col")
        for n in (row, col):
            if n < 0:
                raise RuntimeError(f"{name}: row and col must be non-negative, got {row}, {col}")
        if row * col <= FEW:
            out = few_in(name, row, col, offset).astype(numpy_dtype(dtype, dtypes.int64))
            return finish(out, requires_grad, place)
        out = long_in(name, row, col, offset, numpy_dtype(dtype, dtypes.int64))
        if out is not None:
            return finish(out, requires_grad, place)
        flat = np.flatnonzero(find((row, col), offset))
        out = np.empty((2, len(flat)), numpy_dtype(dtype, dtypes.int64))
        np.floor_divide(flat, col, out[0], casting="unsafe") if col else None
        np.subtract(flat, out[0].astype(np.int64) * col, out[1], casting="unsafe")
        return finish(out, requires_grad, place)

    indices.__name__ = indices.__qualname__ = name
    indices.__doc__ = (
        "Row and column indices ``(2, n)`` of a triangle of a ``row`` by ``col`` matrix."
    )
    return indices


tril_indices, triu_indices = (
    _triangle("tril_indices", lambda shape, k: np.tri(*shape, k, bool)),
    _triangle("triu_indices", lambda shape, k: ~np.tri(*shape, k - 1, bool)),
)


@method
def diag(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """A vector as the diagonal of a matrix, or the diagonal of a matrix as a vector.

    Example:
        >>> import rushlight as torch
        >>> torch.diag(torch.tensor([1, 2]))
        tensor([[1, 0],
                [0, 2]])
        >>> torch.diag(torch.tensor([[1, 2], [3, 4]]))
        tensor([1, 4])
    """
    if input._array.ndim not in (1, 2):
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input._array.ndim}D")
    result = (
        diag_embed(input, diagonal) if input._array.ndim == 1 else input.diagonal(diagonal).clone()
    )
    return result if out is None else store_out(out, result)


@method
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices with the last dim of ``input`` on a diagonal.

    Example:
        >>> import rushlight as torch
        >>> torch.diag_embed(torch.tensor([1, 2]), offset=1)
        tensor([[0, 1, 0],
                [0, 0, 2],
                [0, 0, 0]])
    """
    n = input._array.ndim + 1
    a, b = wrap_dim(dim1, n), wrap_dim(dim2, n)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return H.DiagEmbed.bind(input, offset=offset, dim1=a, dim2=b)


@method
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The flattened input as the diagonal of a matrix."""
    return diag_embed(input.reshape(-1), offset)


@method
def repeat(self: Tensor, *counts: Any, repeats: Any = None) -> Tensor:
    """The tensor repeated along each dim: a copy. More repeats than dims add dims in front."""
    times = shape_of(counts if repeats is None else (repeats,), "repeat")
    if len(times) < self._array.ndim:
        raise ShapeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            "tensor"
        )
    if any([n < 0 for n in times]):
        raise ShapeError(f"repeat: Trying to create tensor with negative dimension: {times}")
    return H.Repeat.bind(self, repeats=times)


@method
def tile(input: Tensor, *counts: Any, dims: Any = None) -> Tensor:
    """``repeat`` that treats missing repeats as 1.

    Example:
        >>> import rushlight as torch
        >>> torch.tile(torch.tensor([1, 2]), (2, 2))
        tensor([[1, 2, 1, 2],
                [1, 2, 1, 2]])
    """
    times = shape_of(counts if dims is None else (dims,), "tile")
    return repeat(input, *((1,) * (input._array.ndim - len(times)) + times))


@method
def repeat_interleave(
    input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Slice i of ``dim`` repeated ``repeats[i]`` times in a row (without ``dim``: of the flattened
    tensor).

    Example:
        >>> import rushlight as torch
        >>> torch.tensor([1, 2]).repeat_interleave(2)
        tensor([1, 1, 2, 2])
    """
    counts = input if repeats is None else repeats
    if modes.trace is not None and output_size is None and isinstance(counts, Tensor):
        if counts._array.ndim == 1 and counts._array.size > 1 and int(host(counts).min()) >= 0:
            value_pinned("the sum of the counts of repeat_interleave()", counts.sum())
            output_size = int(host(counts).sum())
    if modes.trace is not None and output_size is not None:
        return repeated(input, repeats, dim, output_size)
    if repeats is None:
        counts = numbers_of(input)
        if counts.dtype not in (dtypes.int64, dtypes.int32):
            raise NotSupportedError(
                f'"repeat_interleave" not implemented for {input.dtype}; convert the repeats to '
                "int64."
            )
        if counts.ndim != 1:
            raise RuntimeError(
                f"repeat_interleave only accept 1D vector as repeat, but got shape {counts.shape}."
            )
        if counts.size and int(counts.min()) < 0:
            raise RuntimeError("repeats can not be negative")
        return beside(input, np.repeat(np.arange(len(counts)), counts))
    x = input.reshape(-1) if dim is None else input
    d = 0 if dim is None else wrap_dim(dim, input._array.ndim)
    if repeats.__class__ is int and repeats >= 0 and x._array.ndim:
        return H.RepeatInterleave.bind(x, repeats=np.full(x._array.shape[d], repeats), dim=d)
    counts = numbers_of(repeats) if isinstance(repeats, Tensor) else np.asarray(repeats)
    if counts.size and int(counts.min()) < 0:
        raise RuntimeError("repeats can not be negative")
    if counts.ndim > 1 or (counts.size not in (1, x._array.shape[d] if x._array.ndim else 1)):
        raise RuntimeError(
            f"repeats must have the same size as input along dim {d}, but has shape {counts.shape}."
        )
    if not x._array.ndim:
        x = x.reshape(1)
    many = np.broadcast_to(counts.reshape(-1), (x._array.shape[d],))
    return H.RepeatInterleave.bind(x, repeats=many, dim=d)


def numbers_of(repeats: Tensor) -> Any:
    """How often each slice is repeated."""
    value_needed("repeat_interleave() by a tensor", repeats)
    return host(repeats)


def repeated(input: Tensor, repeats: Any, dim: int | None, size: int) -> Tensor:
    """``repeat_interleave`` of a known size, whatever the repeats are: slice i of the result is the
    first that those up to it cover.
    """
    if repeats is None:
        input, repeats = constant_on(input, np.arange(input._array.size)), input
    x = input.reshape(-1) if dim is None else input
    d = 0 if dim is None else wrap_dim(dim, x._array.ndim)
    counts = repeats if isinstance(repeats, Tensor) else constant_on(input, np.asarray(repeats))
    ends = counts.reshape(-1).expand(x._array.shape[d]).cumsum(0)
    index = (constant_on(input, np.arange(size))[:, None] >= ends).sum(1)
    return x.index_select(d, index)  # type: ignore[no-any-return]


def broadcast_shapes(*shapes: Any) -> Any:
    """The common shape that shapes broadcast to.

    Example:
        >>> import rushlight as torch
        >>> torch.broadcast_shapes((2, 1), (3,))
        torch.Size([2, 3])
    """
    sizes = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    for s in sizes:
        if any([n < 0 for n in s]):
            raise RuntimeError(f"Trying to create tensor with negative dimension: {s}")
    try:
        return make_size(np.broadcast_shapes(*sizes))
    except ValueError:
        raise ShapeError(
            "Shape mismatch: objects cannot be broadcast to a single shape: "
            f"{', '.join(map(str, sizes))}."
        ) from None


def broadcast_to(input: Tensor, size: Any) -> Tensor:
    """``input`` expanded to ``size``: a view.

    Raises:
        RuntimeError: the sizes do not fit.

    Example:
        >>> import rushlight as torch
        >>> torch.broadcast_to(torch.tensor([1, 2]), (2, 2))
        tensor([[1, 2],
                [1, 2]])
    """
    return input.expand(*shape_of((size,), "broadcast_to"))


methods(broadcast_to=broadcast_to)


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """Tensors expanded to their common shape: views.

    Example:
        >>> import rushlight as torch
        >>> a, b = torch.broadcast_tensors(torch.zeros(3, 1), torch.zeros(2))
        >>> a.shape, b.shape
        (torch.Size([3, 2]), torch.Size([3, 2]))
    """
    items = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    shape = broadcast_shapes(*[t._array.shape for t in items])
    return tuple([Expand.bind(t, shape=tuple(shape)) for t in items])


def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Coordinate grids of vectors; ``indexing`` "ij" (the default) or "xy".

    Example:
        >>> import rushlight as torch
        >>> torch.meshgrid(torch.arange(2), torch.arange(2), indexing="ij")[0]
        tensor([[0, 0],
                [1, 1]])
    """
    items = list(
        tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    )
    if not items:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    kind = "ij" if indexing is None else indexing
    if kind not in ("ij", "xy"):
        raise RuntimeError(
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {kind}'
        )
    if any([t._array.dtype != items[0]._array.dtype for t in items]):
        raise RuntimeError(
            "meshgrid expects all tensors to have the same dtype, but they have "
            f"{[str(t.dtype) for t in items]}."
        )
    for t in items:
        if t._array.ndim > 1:
            raise RuntimeError(
                "torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: "
                f"{tuple(t._array.shape)}"
            )
    swap = kind == "xy" and len(items) >= 2
    if swap:
        items[0], items[1] = items[1], items[0]
    flat = [t if t._array.ndim == 1 else t.reshape(-1) for t in items]
    shape = tuple([t._array.size for t in flat])
    alone = [
        tuple([n if i == k else 1 for k, n in enumerate(shape)]) for i in builtins.range(len(flat))
    ]
    grids = [
        Expand.bind(Reshape.bind(t, shape=own), shape=shape) if all(shape) else t.new_empty(shape)
        for t, own in zip(flat, alone, strict=True)
    ]
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


def _at_least(n: int, grow: Any) -> Any:
    def function(*tensors: Any) -> Any:
        if len(tensors) == 1 and isinstance(tensors[0], Tensor):
            return grow(tensors[0])
        several = len(tensors) == 1 and isinstance(tensors[0], (tuple, list))
        items = tensors[0] if several else tensors
        return tuple([grow(t) for t in items])

    function.__name__ = function.__qualname__ = f"atleast_{n}d"
    function.__doc__ = (
        f"Tensors with dims of size 1 added until they have {n}; a tuple for several."
    )
    return function


def _to_3d(t: Tensor) -> Tensor:
    n = t._array.ndim
    return t if n >= 3 else t.unsqueeze(-1) if n == 2 else t.reshape(1, -1, 1)


atleast_1d = _at_least(1, lambda t: t if t._array.ndim else t.reshape(1))
atleast_2d = _at_least(2, lambda t: t if t._array.ndim >= 2 else t.reshape(1, -1))
atleast_3d = _at_least(3, _to_3d)


def _checked(tensors: Any, name: str) -> list[Tensor]:
    items = several(tensors, name)
    if not items:
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    return items


def hstack(tensors: Any, *, out: Tensor | None = None) -> Tensor:
    """Tensors joined horizontally: along dim 1, vectors along dim 0.

    Example:
        >>> import rushlight as torch
        >>> torch.hstack((torch.tensor([1, 2]), torch.tensor([3])))
        tensor([1, 2, 3])
    """
    items = [atleast_1d(t) for t in _checked(tensors, "hstack")]
    return cat(items, 0 if items[0]._array.ndim == 1 else 1, out=out)


def vstack(tensors: Any, *, out: Tensor | None = None) -> Tensor:
    """Tensors joined vertically: along dim 0, vectors as rows.

    Example:
        >>> import rushlight as torch
        >>> torch.vstack((torch.tensor([1, 2]), torch.tensor([3, 4])))
        tensor([[1, 2],
                [3, 4]])
    """
    return cat([atleast_2d(t) for t in _checked(tensors, "vstack")], 0, out=out)


row_stack = vstack


def dstack(tensors: Any, *, out: Tensor | None = None) -> Tensor:
    """Tensors joined along dim 2.

    Example:
        >>> import rushlight as torch
        >>> torch.dstack((torch.tensor([1, 2]), torch.tensor([3, 4])))
        tensor([[[1, 3],
                 [2, 4]]])
    """
    return cat([atleast_3d(t) for t in _checked(tensors, "dstack")], 2, out=out)


def column_stack(tensors: Any, *, out: Tensor | None = None) -> Tensor:
    """Tensors joined as columns.

    Example:
        >>> import rushlight as torch
        >>> torch.column_stack((torch.tensor([1, 2]), torch.tensor([3, 4])))
        tensor([[1, 3],
                [2, 4]])
    """
    return cat(
        [t.reshape(-1, 1) if t._array.ndim <= 1 else t for t in _checked(tensors, "column_stack")],
        1,
        out=out,
    )


def block_diag(*tensors: Tensor) -> Tensor:
    """Matrices along the diagonal of a larger one.

    Example:
        >>> import rushlight as torch
        >>> torch.block_diag(torch.tensor([[1, 2]]), torch.tensor([[3]]))
        tensor([[1, 2, 0],
                [0, 0, 3]])
    """
    items = [atleast_2d(t) for t in tensors] or [wrap(np.empty((1, 0), dtypes.default.float))]
    for i, t in enumerate(items):
        if t._array.ndim > 2:
            raise RuntimeError(
                f"block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has "
                f"{t._array.ndim} dimensions"
            )
    width = builtins.sum([t._array.shape[1] for t in items])
    rows, at = [], 0
    for t in items:
        w = t._array.shape[1]
        rows.append(ConstantPad.bind(t, pads=((0, 0), (at, width - at - w)), value=0))
        at += w
    return cat(rows, 0)


def cartesian_prod(*tensors: Any) -> Tensor:
    """All combinations of one element of each vector, a row each.

    Example:
        >>> import rushlight as torch
        >>> torch.cartesian_prod(torch.tensor([1, 2]), torch.tensor([3, 4]))
        tensor([[1, 3],
                [1, 4],
                [2, 3],
                [2, 4]])
    """
    items = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    for t in items:
        if t._array.ndim != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {tuple(t._array.shape)}")
    if len(items) == 1:
        return items[0]
    arrays = unrecorded(*items) if items else None
    if arrays is not None:
        shape = [x.size for x in arrays]
        grid = np.empty((*shape, len(shape)), arrays[0].dtype)
        for i, x in enumerate(arrays):
            grid[..., i] = x.reshape([-1 if i == k else 1 for k in builtins.range(len(shape))])
        return wrap(np.ascontiguousarray(grid.reshape(-1, len(shape))))
    return stack([g.reshape(-1) for g in meshgrid(*items, indexing="ij")], 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All combinations of ``r`` elements of a vector, a row each.

    Example:
        >>> import rushlight as torch
        >>> torch.combinations(torch.tensor([1, 2, 3]))
        tensor([[1, 2],
                [1, 3],
                [2, 3]])
    """
    if input._array.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {tuple(input._array.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    n = input._array.size
    if not r:
        return input.new_empty(0)
    if r == 2:
        mask = np.tri(n, n, 0 if with_replacement else -1, bool).T
        index = np.stack(np.divmod(np.flatnonzero(mask), max(n, 1)), 1)
    else:
        index = np.array(list(choose(builtins.range(n), r)), np.int64).reshape(-1, r)
    return input[constant_on(input, index)]


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The Vandermonde matrix: powers of the elements of a vector as columns.

    Example:
        >>> import rushlight as torch
        >>> torch.vander(torch.tensor([2, 3]))
        tensor([[2, 1],
                [3, 1]])
    """
    n = x._array.size if N is None else N
    if n < 2:
        return x.new_ones((x._array.size, n))
    arrays = unrecorded(x)
    if arrays is not None and x._array.ndim == 1:
        powers = np.empty((x._array.size, n), x._array.dtype)
        powers[...] = arrays[0][:, None]
        powers[:, 0] = 1
        powers = Cumprod.instance.eager(np, powers, dim=1)
        return wrap(powers if increasing else powers[:, ::-1].copy())
    x = x if x._array.dtype in dtypes.DIFFERENTIABLE else x.to(dtypes.of[dtypes.int64])
    columns = cat([x.new_ones((x._array.size, 1)), x.unsqueeze(-1).expand(-1, n - 1)], 1).cumprod(1)
    return columns if increasing else flip(columns, 1)


@method
def sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """The tensor summed until it has ``size``, to which it must be broadcast."""
    shape, have = shape_of(size, "sum_to_size"), self._array.shape
    extra = len(have) - len(shape)
    if extra < 0 or any(
        [n not in (1, m) for n, m in zip(shape, have[max(extra, 0) :], strict=True)]
    ):
        raise ShapeError(f"size {list(shape)} is not expandable to size {list(have)}.")
    if not shape:
        return self.sum()
    return self if shape == have else sum_to(self, shape)


@method
def resize_(self: Tensor, *sizes: Any, size: Any = None, memory_format: Any = None) -> Tensor:
    """Another shape in the same memory, or in new memory where that is too small; new elements are
    uninitialised.

    Args:
        memory_format: how the elements then lie, in rows by default.
    """
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    shape = shape_of(sizes if size is None else (size,), "resize_")
    if shape and (min(shape) < 0 or math.prod(shape) * self._array.itemsize >= 2**63):
        raise RuntimeError(f"resize_: there is no tensor of shape {shape}.")
    if shape != self._array.shape:
        resize(self, shape)
        bump(self)
    if memory_format in formats.CHANNELS_LAST and not formats.is_in(self._array, memory_format):
        resize(self, tuple([shape[d] for d in (0, *range(2, len(shape)), 1)]))
        self._array = self._array.transpose((0, len(shape) - 1, *range(1, len(shape) - 1)))
    return self


@method
def resize_as_(input: Tensor, the_template: Tensor, memory_format: Any = None) -> Tensor:
    """``resize_`` to the shape of another tensor."""
    if memory_format is formats.preserve_format:
        memory_format = formats.suggested(the_template._array)
    return resize_(input, *the_template._array.shape, memory_format=memory_format)


@method
def set_(
    self: Tensor, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None
) -> Tensor:
    """Use the memory of ``source``: a tensor, or a storage. Offset, size and stride count elements;
    without a size, it is that of the source.
    """
    kind = self._array.dtype
    if source is None:
        array = np.empty(0, kind)
    else:
        if getattr(source, "dtype", dtypes.of[kind]) != dtypes.of[kind]:
            raise DTypeError(
                f"set_: the elements of a {source.dtype} tensor or storage cannot be those of a "
                f"{dtypes.of[kind]} tensor."
            )
        if isinstance(source, Tensor) and size is None:
            array = source._array
        else:
            memory = source.untyped_storage() if isinstance(source, Tensor) else source.untyped()
            shape = (memory.nbytes() // kind.itemsize,) if size is None else tuple(size)
            steps = [s // kind.itemsize for s in packed_strides(shape, kind.itemsize)]
            array = tensor_on(memory, kind, storage_offset, shape, stride or tuple(steps))._array
    self._array = array
    bump(self)
    return self


def _triangle_in_place(op: Any) -> Any:
    return lambda self, diagonal=0: op.update(
        matrices(self, op.__name__.lower()), diagonal=as_int(diagonal, "diagonal")
    )


methods(
    tril_=_triangle_in_place(H.Tril),
    triu_=_triangle_in_place(H.Triu),
    fill_diagonal_=lambda self, fill_value, wrap=False: _fill_diagonal(self, fill_value, wrap),
)


def _fill_diagonal(self: Tensor, value: Any, wrap_around: bool) -> Tensor:
    x = self._array
    if x.ndim < 2 or (x.ndim > 2 and len(set(x.shape)) != 1):
        raise RuntimeError(
            "fill_diagonal_: needs a matrix, or all dimensions of equal length, but the shape "
            f"is {x.shape}."
        )
    steps = builtins.sum([s // x.itemsize for s in x.strides])
    n = min(x.shape)
    part = self.as_strided((n,), (steps,), self.storage_offset())
    part.fill_(value)
    if wrap_around and x.ndim == 2 and x.shape[0] > x.shape[1] + 1:
        rows, cols = x.shape
        for start in builtins.range(cols + 1, rows, cols + 1):
            k = builtins.min(cols, rows - start)
            self.as_strided(
                (k,), (steps,), self.storage_offset() + start * x.strides[0] // x.itemsize
            ).fill_(value)
    return self
