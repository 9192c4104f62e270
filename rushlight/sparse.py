"""``torch.sparse``: functions of sparse tensors, and their constructors from before
``torch.sparse_coo_tensor``.

Example:
    >>> import rushlight as torch
    >>> adjacency = torch.sparse_coo_tensor([[0, 1, 1], [1, 0, 1]], [1.0, 0.5, 0.5], (2, 2))
    >>> torch.sparse.mm(adjacency, torch.tensor([[1.0], [3.0]]))
    tensor([[3.],
            [2.]])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.tensor import Tensor, constant
from rushlight.errors import ShapeError
from rushlight.ops.sparse import entries as E
from rushlight.ops.sparse.multiply import matrix_product
from rushlight.ops.sparse.pattern import Coordinates, Pattern
from rushlight.ops.sparse.products import Dots
from rushlight.ops.sparse.rules import is_sparse
from rushlight.tensor_api import layouts as S
from rushlight.tensor_api._common import warn_once, wrap_dim, wrap_dims
from rushlight.tensor_api.casting import in_lower_precision
from rushlight.tensor_api.conversion import LEGACY
from rushlight.tensor_api.sparse_tensors import Invariants, sparse_coo_tensor

__all__ = [
    "addmm",
    "check_sparse_tensor_invariants",
    "log_softmax",
    "mm",
    "sampled_addmm",
    "softmax",
    "spdiags",
    "sum",
]


@in_lower_precision
def mm(mat1: Tensor, mat2: Tensor, reduce: str | None = None) -> Tensor:
    """Product of two matrices, of which one at least is sparse; sparse if both are.

    Gradients of a sparse factor are sparse: at its entries only.

    Args:
        reduce: "sum" (default), or what a row of the result is of the scaled rows of ``mat2``:
            their "mean", "amax" or "amin"; 0 where there are none.

    Example:
        >>> torch.sparse.mm(torch.eye(2).to_sparse(), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        tensor([[1., 2.],
                [3., 4.]])
    """
    if not (is_sparse(mat1) or is_sparse(mat2)):
        raise NotImplementedError("sparse.mm: neither matrix is sparse; use torch.mm.")
    if reduce in (None, "sum"):
        return matrix_product(mat1, mat2, "SparseAddmm")
    reduce = {"max": "amax", "min": "amin"}.get(reduce, reduce)
    if reduce not in ("mean", "amax", "amin"):
        raise ShapeError(f"reduce argument must be either sum, mean, amax or amin, got {reduce}")
    rows, columns = mat1._array.pattern.coordinates
    scaled = E.values_of(mat1).unsqueeze(1) * mat2.index_select(0, constant(columns))
    out = mat2.new_zeros((mat1._array.shape[0], mat2._array.shape[1]))
    where = constant(rows).unsqueeze(1).expand(-1, mat2._array.shape[1])
    return out.scatter_reduce(0, where, scaled, reduce, include_self=False)


def addmm(mat: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """``beta mat + alpha (mat1 @ mat2)``, where ``mat1`` is sparse and ``mat`` dense.

    Example:
        >>> torch.sparse.addmm(torch.ones(2, 2), torch.eye(2).to_sparse(), torch.eye(2))
        tensor([[2., 1.],
                [1., 2.]])
    """
    product = mm(mat1, mat2)
    product = product if alpha == 1 else product * alpha
    if beta == 0:  # whatever mat holds
        return product
    return (mat if beta == 1 else mat * beta) + product


def sampled_addmm(
    input: Tensor,
    mat1: Tensor,
    mat2: Tensor,
    *,
    beta: Any = 1.0,
    alpha: Any = 1.0,
    out: Tensor | None = None,
) -> Tensor:
    """``alpha (mat1 @ mat2) + beta input`` at the entries of ``input`` only."""
    S.need(input, "sampled_addmm")
    pattern = input._array.pattern
    dots = Dots.bind(mat1, mat2.t(), pattern=pattern, flip=False)
    values = E.values_of(input) * beta + dots * alpha
    return E.assembled(values, pattern, "SparseSampledAddmm")


def sum(input: Tensor, dim: Any = None, dtype: Any = None) -> Tensor:
    """Sum over dims; sparse unless it is over all sparse dims.

    Args:
        dim: dims, all if None.
        dtype: converts the tensor first.

    Example:
        >>> torch.sparse.sum(torch.eye(3).to_sparse())
        tensor(3.)
    """
    S.need(input, "sparse.sum")
    if dtype is not None:
        input = input.to(dtype)
    if dim is None:
        return input.sum()
    return input.sum(wrap_dims(dim, input._array.ndim)).to(input.dtype)


def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Exponentials of the entries, scaled to sum to one along ``dim``. What has no entry counts as
    minus infinity, so it has none in the result.

    Example:
        >>> torch.sparse.softmax(torch.tensor([[1.0, 1.0], [0.0, 3.0]]).to_sparse(), 1).to_dense()
        tensor([[0.5000, 0.5000],
                [0.0000, 1.0000]])
    """
    return normalised(input, dim, dtype, "SparseSoftmax")


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The logarithm of ``softmax``, at the entries."""
    return normalised(input, dim, dtype, "SparseLogSoftmax")


def normalised(input: Tensor, dim: int, dtype: Any, name: str) -> Tensor:
    """softmax or log_softmax."""
    S.need(input, name.lower(), S.COO, kind="sparse coordinate")
    x = E.coalesced(input if dtype is None else input.to(dtype))
    pattern, values = x._array.pattern, E.values_of(x)
    logarithm, n = name == "SparseLogSoftmax", len(pattern.shape)
    d = wrap_dim(dim, x._array.ndim)
    if d >= n:
        out = values.log_softmax(d - n + 1) if logarithm else values.softmax(d - n + 1)
        return E.assembled(out, pattern, name)
    group, count = groups_along(pattern, d)
    top = np.full((count, *x._array.values.shape[1:]), -np.inf, x._array.dtype)
    np.maximum.at(top, group, x._array.values)
    shifted = values - constant(top[group])
    e = shifted.exp()
    total = E.added_at(e, group, count)
    if logarithm:
        return E.assembled(shifted - E.chosen(total.log(), group), pattern, name)
    return E.assembled(e / E.chosen(total, group), pattern, name)


def groups_along(pattern: Pattern, dim: int) -> tuple[Any, int]:
    """For each entry the number of its line along ``dim``, and how many numbers there are."""
    if len(pattern.shape) == 2:
        return pattern.coordinates[1 - dim], pattern.shape[1 - dim]
    rest = [i for i in range(len(pattern.shape)) if i != dim]
    lines = Coordinates(pattern.coordinates[rest], tuple([pattern.shape[i] for i in rest]))
    numbers, group = np.unique(lines.keys, return_inverse=True)
    return group, len(numbers)


def spdiags(diagonals: Tensor, offsets: Tensor, shape: Any, layout: Any = None) -> Tensor:
    """A matrix with the rows of ``diagonals`` along the diagonals ``offsets``; column j of the
    matrix takes element j of a row.
    """
    rows = diagonals.reshape(-1, diagonals.shape[-1])
    at, n, m = np.asarray(offsets._array).reshape(-1), *tuple(shape)
    if len(at) != rows.shape[0] or len(np.unique(at)) != len(at):
        raise ShapeError(
            f"spdiags: {rows.shape[0]} diagonals need as many distinct offsets, but got "
            f"{at.tolist()}."
        )
    which, column = np.divmod(np.arange(len(at) * rows.shape[1]), rows.shape[1])
    row = column - at[which]
    kept = np.flatnonzero((row >= 0) & (row < n) & (column < m))
    pattern = Coordinates(np.stack([row[kept], column[kept]]), (n, m))
    out = E.assembled(E.chosen(rows.reshape(-1), kept), pattern, "Spdiags")
    return out if layout is None else E.coalesced(out).to_sparse(layout=layout)


class check_sparse_tensor_invariants:
    """Lets constructors check also that entries are in order: as a context or decorator, or by
    ``enable()`` and ``disable()``. That indices are in range is always checked.
    """

    def __init__(self, enable: bool = True) -> None:
        self.state, self.before = enable, False

    @staticmethod
    def is_enabled() -> bool:
        """Whether constructors check."""
        return Invariants.on

    @staticmethod
    def enable() -> None:
        """Check from now on."""
        Invariants.on = True

    @staticmethod
    def disable() -> None:
        """Check no longer."""
        Invariants.on = False

    def __enter__(self) -> None:
        self.before, Invariants.on = Invariants.on, self.state

    def __exit__(self, *error: object) -> None:
        Invariants.on = self.before

    def __call__(self, function: Any) -> Any:
        def checked(*args: Any, **options: Any) -> Any:
            with type(self)(self.state):
                return function(*args, **options)

        return checked


class _TypeMeta(type):
    """``isinstance(t, torch.sparse.FloatTensor)`` asks for layout and dtype."""

    _legacy_dtype: Any

    def __instancecheck__(cls, other: object) -> bool:
        return (
            isinstance(other, Tensor)
            and other.is_sparse
            and other._array.dtype == cls._legacy_dtype
        )


def _legacy_type(title: str, d: Any) -> Any:
    def make(cls: Any, *args: Any) -> Tensor:
        of_values = len(args) >= 2 and isinstance(args[0], Tensor)
        form = ("indices, values" + ", size" * (len(args) > 2)) if of_values else "size"
        warn_once(
            f"torch.sparse.FloatTensor({form}) and its like are deprecated; use "
            f"torch.sparse_coo_tensor({form}, dtype=...)."
        )
        if of_values:
            values = args[1]
            if values._array.dtype != d:
                raise TypeError(
                    f"sparse.{title}Tensor: expected values of dtype {dtypes.of[d].name}, but got "
                    f"{values.dtype}; convert them, or use torch.sparse_coo_tensor."
                )
            return sparse_coo_tensor(args[0], values, *args[2:])
        size = (0,) if not args else args[0] if len(args) == 1 and not _is_int(args[0]) else args
        return sparse_coo_tensor(size, dtype=dtypes.of[d])

    doc = f"A sparse tensor of dtype {dtypes.of[d].name}, from (indices, values, size) or sizes."
    return _TypeMeta(f"{title}Tensor", (), {"__new__": make, "__doc__": doc, "_legacy_dtype": d})


def _is_int(x: Any) -> bool:
    return isinstance(x, int)


for _name, _title in LEGACY.items():
    if _title in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte"):
        globals()[f"{_title}Tensor"] = _legacy_type(_title, dtypes.by_name[_name].numpy)
        __all__.append(f"{_title}Tensor")
