"""Elements moved, turned, repeated, and expanded to common shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import known_as
from rushlight.core.device_array import beside, constant_on, host
from rushlight.core.elementwise import shape_error
from rushlight.core.size import make_size
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor, value_needed, value_pinned, wrap
from rushlight.errors import NotSupportedError, ShapeError
from rushlight.ops import shaping as H
from rushlight.ops.reduce import sum_to
from rushlight.ops.view import Expand, Reshape
from rushlight.tensor_api._common import (
    as_int,
    in_order_of,
    method,
    methods,
    own,
    shape_of,
    unrecorded,
    warn_once,
    wrap_dim,
)

__all__ = [
    "broadcast_shapes", "broadcast_tensors", "broadcast_to", "flip", "fliplr", "flipud",
    "meshgrid", "repeat_interleave", "roll", "rot90", "tile",
]  # fmt: skip


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
        flat = H.Roll.bind(input.reshape(-1), shifts=steps, dims=(0,))
        return known_as("RollBackward0", flat.reshape(input._array.shape))
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
        return known_as("Rot90Backward0", flip(input, a, b))
    if not k:
        return known_as("Rot90Backward0", input.clone())
    flipped = flip(input, b if k == 1 else a)
    if unrecorded(flipped) is None:
        return known_as("Rot90Backward0", own(flipped.transpose(a, b)))
    return wrap(flipped._array.swapaxes(a, b))


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
        expect_total(counts.sum(), output_size)
        return beside(input, np.repeat(np.arange(len(counts)), counts))
    x = input.reshape(-1) if dim is None else input
    d = 0 if dim is None else wrap_dim(dim, input._array.ndim)
    if repeats.__class__ is int and repeats >= 0 and x._array.ndim:
        expect_total(repeats * x._array.shape[d], output_size)
        out = H.RepeatInterleave.bind(x, repeats=np.full(x._array.shape[d], repeats), dim=d)
        return known_as("ViewBackward0", out)
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
    expect_total(many.sum(), output_size)
    return H.RepeatInterleave.bind(x, repeats=many, dim=d)


def expect_total(total: Any, output_size: int | None) -> None:
    """Refuse an ``output_size`` that is not how much the repeats make."""
    if output_size is not None and total != output_size:
        raise ShapeError(
            f"repeat_interleave: allocated size does not match required size; output_size is "
            f"{output_size}, but the repeats sum to {total}."
        )


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


def _broadcast_to(self: Tensor, *args: Any, size: Any = None) -> Tensor:
    """``self`` expanded to sizes, one by one or as a tuple: a view."""
    return broadcast_to(self, shape_of(args or (size,), "broadcast_to"))


methods(broadcast_to=_broadcast_to)


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """Tensors expanded to their common shape: views, or those themselves that have it.

    Example:
        >>> import rushlight as torch
        >>> a, b = torch.broadcast_tensors(torch.zeros(3, 1), torch.zeros(2))
        >>> a.shape, b.shape
        (torch.Size([3, 2]), torch.Size([3, 2]))
    """
    items = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    shapes = [t._array.shape for t in items]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        raise shape_error("broadcast_tensors", shapes) from None
    return tuple([t if t._array.shape == shape else Expand.bind(t, shape=shape) for t in items])


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
    if indexing is None:
        warn_once(
            "torch.meshgrid: in an upcoming release, it will be required to pass the indexing "
            'argument: "ij", which is taken now, or "xy", as NumPy\'s meshgrid does.'
        )
    kind = "ij" if indexing is None else indexing
    if kind not in ("ij", "xy"):
        raise RuntimeError(
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {kind}'
        )
    d = items[0]._array.dtype
    if any([t._array.dtype is not d for t in items]):
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
    if all(shape):
        after, grids = len(shape) - 1, list[Tensor]()
        for i, t in enumerate(flat):
            alone = (1,) * i + (shape[i],) + (1,) * (after - i)
            grids.append(Expand.bind(Reshape.bind(t, shape=alone), shape=shape))
    else:
        grids = [t.new_empty(shape) for t in flat]
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


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
    if shape == have:
        return self
    out = sum_to(self, shape)
    return known_as("ViewBackward0", out) if extra else out
