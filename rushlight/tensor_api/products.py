"""Matrix and vector products, and sums over named dims."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import known_as
from rushlight.core.binds import broadcast
from rushlight.core.device_array import beside
from rushlight.core.native import LEAST
from rushlight.core.state import state
from rushlight.core.tensor import Tensor, expect_tensors, wrap
from rushlight.errors import ShapeError
from rushlight.ops import matmul as M
from rushlight.ops.arithmetic import Mul, conj
from rushlight.ops.sums import ones
from rushlight.ops.view import Unsqueeze
from rushlight.tensor_api._common import (
    expect_tensor,
    method,
    methods,
    store_out,
    stored,
    unrecorded,
    warn_once,
    wrap_dim,
)
from rushlight.tensor_api.casting import as_given, in_float32

__all__ = [
    "bmm",
    "chain_matmul",
    "cross",
    "dot",
    "ger",
    "inner",
    "kron",
    "matmul",
    "matrix_power",
    "mm",
    "mv",
    "outer",
    "tensordot",
    "trace",
    "vdot",
]


def _store(out: Tensor | None, result: Any) -> Tensor:
    return result if out is None else store_out(out, result, exact=True)


@method
def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Matrix product; vectors count as one row or column, and leading dims broadcast.

    Example:
        >>> import rushlight as torch
        >>> torch.ones(2, 3) @ torch.ones(3)
        tensor([3., 3.])
    """
    return _store(
        out, M.Matmul.bind(expect_tensor(input, "matmul"), expect_tensor(other, "matmul", "other"))
    )


def need_dims(name: str, *pairs: Any) -> None:
    """Refuse tensors with another number of dims than needed."""
    for t, n in pairs:
        if not isinstance(t, Tensor):
            expect_tensor(t, name)
        if t._array.ndim != n:
            kind = {1: "vector", 2: "matrix", 3: "batch of matrices (3D)"}[n]
            raise ShapeError(
                f"{name}: expected a {kind}, but got a tensor of shape {tuple(t._array.shape)}."
            )


def _widened(out_dtype: Any, *factors: Tensor) -> Any:
    """The factors of a product in the dtype that was asked for, if any."""
    return factors if out_dtype is None else [t.to(out_dtype) for t in factors]


@method
def mm(input: Tensor, mat2: Tensor, out_dtype: Any = None, *, out: Tensor | None = None) -> Tensor:
    """Product of two matrices, without broadcasting.

    Raises:
        RuntimeError: an operand is not of two dims, or they do not fit together.

    Example:
        >>> import rushlight as torch
        >>> torch.mm(torch.eye(2), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        tensor([[1., 2.],
                [3., 4.]])
    """
    need_dims("mm", (input, 2), (mat2, 2))
    input, mat2 = _widened(out_dtype, input, mat2)
    return _store(out, M.Matmul.bind(input, mat2))


@method
def bmm(input: Tensor, mat2: Tensor, out_dtype: Any = None, *, out: Tensor | None = None) -> Tensor:
    """Products of two batches of matrices, ``(B, n, k)`` by ``(B, k, m)``, without broadcasting.

    Raises:
        RuntimeError: a batch is not of three dims, or they do not fit together.

    Example:
        >>> import rushlight as torch
        >>> torch.bmm(torch.ones(2, 1, 3), torch.ones(2, 3, 1)).flatten()
        tensor([3., 3.])
    """
    both = isinstance(input, Tensor) and isinstance(mat2, Tensor)
    if not (both and input._array.ndim == 3 == mat2._array.ndim):
        need_dims("bmm", (input, 3), (mat2, 3))
    if out_dtype is not None:
        input, mat2 = _widened(out_dtype, input, mat2)
    if input._array.shape[0] != mat2._array.shape[0]:
        raise ShapeError(
            f"bmm: both batches must hold as many matrices, but there are {input._array.shape[0]} "
            f"and {mat2._array.shape[0]}."
        )
    result = M.batched_product(input, mat2)
    return result if out is None else _store(out, result)


@method
@as_given
def mv(input: Tensor, vec: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Product of a matrix and a vector.

    Example:
        >>> import rushlight as torch
        >>> torch.mv(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.ones(2))
        tensor([3., 7.])
    """
    need_dims("mv", (input, 2), (vec, 1))
    return _store(out, M.Matmul.bind(input, vec))


@method
@as_given
def dot(input: Tensor, tensor: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Sum of the products of two vectors' elements.

    Example:
        >>> import rushlight as torch
        >>> torch.dot(torch.tensor([2, 3]), torch.tensor([2, 1]))
        tensor(7)
    """
    both = isinstance(input, Tensor) and isinstance(tensor, Tensor)
    if not (both and input._array.ndim == 1 == tensor._array.ndim):
        need_dims("dot", (input, 1), (tensor, 1))
    result = M.Matmul.bind(input, tensor)
    return result if out is None else _store(out, result)


@method
@as_given
def vdot(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """``dot`` with the first vector conjugated.

    Example:
        >>> import rushlight as torch
        >>> torch.vdot(torch.tensor([1j, 1.0]), torch.tensor([1j, 2.0]))
        tensor(3.+0.j)
    """
    need_dims("vdot", (input, 1), (other, 1))
    return _store(out, known_as("VdotBackward0", M.Matmul.bind(conj(input), other)))


@method
def inner(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Sums of products over the last dim of both; with a 0-dim tensor, the product.

    Example:
        >>> import rushlight as torch
        >>> torch.inner(torch.tensor([1, 2]), torch.tensor([3, 4]))
        tensor(11)
    """
    a, b = input._array, other._array
    if not a.ndim or not b.ndim:
        return stored(input * other, out)
    if a.shape[-1] != b.shape[-1]:
        raise ShapeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{a.shape} and {b.shape}"
        )
    return _store(out, tensordot(input, other, ([-1], [-1])))


@method
def outer(input: Tensor, vec2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """All products of two vectors' elements: ``(n, m)``.

    Example:
        >>> import rushlight as torch
        >>> torch.outer(torch.tensor([1, 2]), torch.tensor([3, 4]))
        tensor([[3, 4],
                [6, 8]])
    """
    need_dims("outer", (input, 1), (vec2, 1))
    arrays = unrecorded(input, vec2)
    if arrays is not None:
        x, y = arrays[0][:, None], arrays[1]
        few = x.size * y.size < LEAST
        return stored(wrap(x * y if few else broadcast(Mul.instance, x, y)), out)
    return stored(Unsqueeze.bind(input, dim=1) * vec2, out)


ger = outer


def chain_matmul(*matrices: Any, out: Tensor | None = None) -> Tensor:
    """Product of several matrices, in the cheapest order."""
    warn_once("torch.chain_matmul is deprecated: use torch.linalg.multi_dot, of one list.")
    if len(matrices) == 1 and isinstance(matrices[0], (list, tuple)):
        matrices = tuple(matrices[0])
    expect_tensors("chain_matmul", *matrices)
    shapes = [tuple(t.shape) for t in matrices]
    if not shapes or any([len(shape) != 2 for shape in shapes]):
        raise ShapeError(f"chain_matmul(): expected one or more matrices, but got shapes {shapes}")
    result = known_as("ViewBackward0", multi_dot(matrices)) if shapes[1:] else matrices[0].clone()
    return _store(out, result)


def multi_dot(items: Any, multiply: Any = mm) -> Any:
    """Product of several matrices in the order that needs the fewest multiplications (dynamic
    programming).
    """
    splits = cheapest((*[t.shape[0] for t in items], items[-1].shape[1]))

    def product(i: int, j: int) -> Any:
        if i == j:
            return items[i]
        k = splits[i, j]
        return multiply(product(i, k), product(k + 1, j))

    return product(0, len(items) - 1)


@functools.lru_cache(maxsize=64)
def cheapest(dims: tuple[int, ...]) -> dict[tuple[int, int], int]:
    """After which matrix to split each range of matrices, whose sizes ``dims`` are."""
    n = len(dims) - 1
    cost: dict[tuple[int, int], tuple[int, int]] = {(i, i): (0, i) for i in range(n)}
    for width in range(1, n):
        for i in range(n - width):
            j = i + width
            cost[i, j] = min(
                (cost[i, k][0] + cost[k + 1, j][0] + dims[i] * dims[k + 1] * dims[j + 1], k)
                for k in range(i, j)
            )
    return {pair: k for pair, (_, k) in cost.items()}


@method
def matrix_power(input: Tensor, n: int, *, out: Tensor | None = None) -> Tensor:
    """A square matrix to an integer power; negative powers invert it first.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.matrix_power(torch.tensor([[1, 1], [0, 1]]).float(), 3)
        tensor([[1., 3.],
                [0., 1.]])
    """
    shape = tuple(input._array.shape)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise RuntimeError(
            f"linalg.matrix_power: A must be batches of square matrices, but has shape {shape}."
        )
    x = input
    if n == 0:
        eye = beside(x, np.eye(x._array.shape[-1], dtype=x._array.dtype))
        return _store(out, eye.expand(x._array.shape) + x * 0)
    if n < 0:
        x, n = x.inverse(), -n
    result = None
    while n:
        if n & 1:
            result = x if result is None else matmul(result, x)
        n >>= 1
        if n:
            x = matmul(x, x)
    return _store(out, result.clone() if result is input else result)  # type: ignore[union-attr]


@method
def trace(input: Tensor) -> Tensor:
    """Sum of a matrix's diagonal.

    Example:
        >>> import rushlight as torch
        >>> torch.trace(torch.tensor([[1, 2], [3, 4]]))
        tensor(5)
    """
    x = input._array if isinstance(input, Tensor) else None
    if x is None or x.ndim != 2:
        need_dims("trace", (input, 2))
    fast = x.__class__ is np.ndarray and x.dtype in dtypes.FLOATS
    if state.busy or input._tracked or not fast:
        return recorded_trace(input)
    line = x.diagonal()
    total = np.empty((), line.dtype)
    line.dot(ones(line.size, line.dtype), total)
    return wrap(total)


@in_float32
def recorded_trace(input: Tensor) -> Tensor:
    """``trace`` by other functions."""
    return known_as("TraceBackward0", input.diagonal().sum())


def tensordot(a: Tensor, b: Tensor, dims: Any = 2, out: Tensor | None = None) -> Tensor:
    """Sums of products over pairs of dims: an int n (the last n of a with the first n of b), or two
    lists of dims.

    Example:
        >>> import rushlight as torch
        >>> a, b = torch.ones(2, 3, 4), torch.ones(3, 4, 5)
        >>> torch.tensordot(a, b, dims=2).shape
        torch.Size([2, 5])
        >>> torch.tensordot(a, b, dims=([1], [0])).shape
        torch.Size([2, 4, 4, 5])
    """
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0 or dims > min(a._array.ndim, b._array.ndim):
            raise RuntimeError(
                "tensordot expects dims >= 0 and no more than the tensors have, but got "
                f"dims={dims}"
            )
        da, db = list(range(-dims, 0)), list(range(dims))
    else:
        try:
            da, db = ([d] if isinstance(d, int) else list(d) for d in dims)
        except (TypeError, ValueError):
            raise RuntimeError(
                f"tensordot expects dims to be an int or two lists of dims, but got dims={dims}"
            ) from None
    if len(da) != len(db):
        raise RuntimeError("both dimension lists should have same length")
    da, db = [wrap_dim(d, a._array.ndim) for d in da], [wrap_dim(d, b._array.ndim) for d in db]
    sa, sb = a._array.shape, b._array.shape
    for i, j in zip(da, db, strict=True):
        if sa[i] == 1 or sb[j] == 1:
            a = a.sum(i, keepdim=True, dtype=a.dtype) if sb[j] == 1 else a
            b = b.sum(j, keepdim=True, dtype=b.dtype) if sa[i] == 1 and sb[j] != 1 else b
            sa, sb = a._array.shape, b._array.shape
        if sa[i] != sb[j]:
            raise ShapeError(
                f"contracted dimensions need to match, but first has size {sa[i]} in dim {i} and "
                f"second has size {sb[j]} in dim {j}"
            )
    fa, fb = [i for i in range(len(sa)) if i not in da], [i for i in range(len(sb)) if i not in db]
    k = math.prod([sa[i] for i in da])
    left = _as_matrix(a, fa + da, (math.prod([sa[i] for i in fa]), k))
    right = _as_matrix(b, db + fb, (k, math.prod([sb[i] for i in fb])))
    result = matmul(left, right)
    if len(fa) != 1 or len(fb) != 1:
        result = result.reshape([sa[i] for i in fa] + [sb[i] for i in fb])
    return _store(out, known_as("ViewBackward0", result))


def _as_matrix(t: Tensor, order: list[int], shape: tuple[int, int]) -> Tensor:
    """The tensor with its dims in an order, as a matrix."""
    t = t if order == [*range(len(order))] else t.permute(order)
    return t if t._array.shape == shape else t.reshape(shape)


FEW, COLUMNS = 1024, 8  # products that are made at once; columns that are gone through one by one


@method
def kron(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The Kronecker product.

    Example:
        >>> import rushlight as torch
        >>> torch.kron(torch.tensor([1, 2]), torch.tensor([1, 10]))
        tensor([ 1, 10,  2, 20])
    """
    arrays = unrecorded(input, other)
    if arrays is not None and arrays[0].size * arrays[1].size <= FEW:
        x, y = arrays
        if x.ndim == y.ndim == 2:
            (a, b), (c, d) = x.shape, y.shape
            return stored(wrap((x[:, None, :, None] * y[:, None, :]).reshape(a * c, b * d)), out)
    n = max(input._array.ndim, other._array.ndim)
    sa = (1,) * (n - input._array.ndim) + input._array.shape
    sb = (1,) * (n - other._array.ndim) + other._array.shape
    left, right = [v for s in sa for v in (s, 1)], [v for s in sb for v in (1, s)]
    shape = [x * y for x, y in zip(sa, sb, strict=True)]
    if arrays is not None:
        product = np.empty(shape, arrays[0].dtype)
        parts = product.reshape([v for pair in zip(sa, sb, strict=True) for v in pair])
        x, y = arrays[0].reshape(left), arrays[1].reshape(right)
        if product.size > FEW and n and sb[-1] <= min(COLUMNS, sa[-1]):  # NumPy wants long rows
            for i in range(sb[-1]):
                np.multiply(x[..., 0], y[..., i], parts[..., i])
        else:
            np.multiply(x, y, parts)
        return stored(wrap(product), out)
    product = (input.reshape(left) * other.reshape(right)).reshape(shape)
    return stored(known_as("UnsafeViewBackward0", product), out)


@method
def cross(
    input: Tensor, other: Tensor, dim: int | None = None, *, out: Tensor | None = None
) -> Tensor:
    """Cross products of 3-vectors along ``dim`` (by default the first dim of size 3).

    Example:
        >>> import rushlight as torch
        >>> torch.cross(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]), dim=0)
        tensor([0., 0., 1.])
    """
    if dim is None:
        dim = next((i for i, n in enumerate(input._array.shape) if n == 3), None)
        if dim is None:
            raise RuntimeError("no dimension of size 3 in input")
        warn_once(
            f"Using torch.cross without specifying the dim arg is deprecated: it took {dim}, the "
            "first of size 3, but linalg.cross takes the last. Pass dim."
        )
    return _store(out, cross_along(input, other, dim, "cross"))


NEXT = np.array([1, 2, 0])  # of three components


def cross_along(a: Tensor, b: Tensor, dim: int, name: str) -> Tensor:
    """Cross products along a dim of size 3."""
    M.same_dtype(name, a._array, b._array)
    d = wrap_dim(dim, a._array.ndim)
    if a._array.ndim != b._array.ndim:
        raise RuntimeError(f"{name}: inputs must have the same number of dimensions.")
    if a._array.shape[d] != 3 or b._array.shape[d] != 3:
        raise RuntimeError(
            f"{name}: inputs dimension {dim} must have length 3. Got {a._array.shape[d]} and "
            f"{b._array.shape[d]}"
        )
    arrays = unrecorded(a, b) if a._array.shape == b._array.shape else None
    if arrays is not None:
        x, y = arrays
        product = x * y.take(NEXT, d) - x.take(NEXT, d) * y
        return wrap(product.take(NEXT, d))
    r, s = a.roll(-1, d), b.roll(-1, d)
    return known_as("LinalgCrossBackward0", (a * s - r * b).roll(-1, d))


def _matmul(self: Tensor, other: object) -> Tensor:
    return M.Matmul.bind(self, other) if isinstance(other, Tensor) else NotImplemented


methods(
    __matmul__=_matmul,
    __rmatmul__=lambda self, other: (
        other.matmul(self) if isinstance(other, Tensor) else NotImplemented
    ),
    ger=outer,
)
