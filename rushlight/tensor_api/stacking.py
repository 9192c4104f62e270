"""Tensors side by side, and combinations of their elements."""

from __future__ import annotations

import builtins
import itertools
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import known_as
from rushlight.core.device_array import constant_on
from rushlight.core.tensor import Tensor, wrap
from rushlight.ops.pad import ConstantPad
from rushlight.ops.scan import Cumprod
from rushlight.tensor_api._common import unrecorded
from rushlight.tensor_api.joining import cat, several, stack
from rushlight.tensor_api.shaping import flip, meshgrid

__all__ = [
    "atleast_1d", "atleast_2d", "atleast_3d", "block_diag", "cartesian_prod", "column_stack",
    "combinations", "dstack", "hstack", "row_stack", "vander", "vstack",
]  # fmt: skip


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
    if not n:
        return t.reshape(1, 1, 1)
    return t if n >= 3 else atleast_2d(t).unsqueeze(-1)


atleast_1d = _at_least(1, lambda t: t if t._array.ndim else t.reshape(1))
atleast_2d = _at_least(
    2, lambda t: t if t._array.ndim >= 2 else t.unsqueeze(0) if t._array.ndim else t.reshape(1, 1)
)
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
    return known_as("BlockDiagBackward0", cat(rows, 0))


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
    return known_as("StackBackward0", input[constant_on(input, index)])


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
    return known_as("CopySlices", columns) if increasing else flip(columns, 1)
