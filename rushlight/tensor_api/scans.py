"""Functions whose results run along a dim: cumulative sums, differences, integrals."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import known_as
from rushlight.core.device_array import constant_on
from rushlight.core.tensor import Tensor, wrap
from rushlight.errors import ShapeError
from rushlight.ops import order as O, scan as S
from rushlight.ops.select import Where
from rushlight.ops.statistics import VectorNorm
from rushlight.ops.sums import number
from rushlight.ops.view import BasicIndex
from rushlight.tensor_api._common import (
    expect_tensor,
    method,
    methods,
    stored,
    stored_exactly,
    unrecorded,
    wrap_dim,
)
from rushlight.tensor_api.conversion import cast
from rushlight.tensor_api.joining import cat
from rushlight.tensor_api.named import named
from rushlight.tensor_api.ordering import _like, rows
from rushlight.tensor_api.reductions import in_dtype, prepared, sum

__all__ = [
    "cummax", "cummin", "cumprod", "cumsum", "cumulative_trapezoid", "diff", "gradient",
    "logcumsumexp", "renorm", "trapezoid", "trapz",
]  # fmt: skip


def _scan(name: str, op: Any, input: Tensor, dim: Any, dtype: Any, out: Any) -> Tensor:
    if dtype is not None or not isinstance(input, Tensor):
        input = prepared(input, dtype, name)
    d = wrap_dim(dim, input._array.ndim)
    if dtype is None and out is None and input._array.ndim:
        return op.bind(input, dim=d)  # type: ignore[no-any-return]
    result = _like(input, [op.bind(rows(input), dim=d)])[0]
    store = stored_exactly if name == "logcumsumexp" or dtype is not None else stored
    return store(in_dtype(result, dtype), out)


def _scan_in_place(function: Any) -> Any:
    def changed(self: Tensor, dim: Any, *, dtype: Any = None) -> Tensor:
        if dtype is not None and dtype is not self.dtype:
            raise RuntimeError(
                f"{function.__name__}_: the result is {dtype} and the tensor {self.dtype}; "
                "an in-place operation cannot change the dtype."
            )
        return self.copy_(function(self.clone(), dim))  # type: ignore[no-any-return]

    changed.__name__ = changed.__qualname__ = function.__name__ + "_"
    changed.__doc__ = f"In-place form of ``{function.__name__}``."
    setattr(Tensor, changed.__name__, changed)
    return changed


@method
def cumsum(input: Tensor, dim: int, *, dtype: Any = None, out: Tensor | None = None) -> Tensor:
    """Running sum along ``dim``; integers as int64.

    Example:
        >>> import rushlight as torch
        >>> torch.cumsum(torch.tensor([1, 2, 3]), 0)
        tensor([1, 3, 6])
    """
    return _scan("cumsum", S.Cumsum, input, dim, dtype, out)


@method
def cumprod(input: Tensor, dim: int, *, dtype: Any = None, out: Tensor | None = None) -> Tensor:
    """Running product along ``dim``; integers as int64.

    Example:
        >>> import rushlight as torch
        >>> torch.cumprod(torch.tensor([1, 2, 3]), dim=0)
        tensor([1, 2, 6])
    """
    return _scan("cumprod", S.Cumprod, input, dim, dtype, out)


@method
def logcumsumexp(input: Tensor, dim: int, *, out: Tensor | None = None) -> Tensor:
    """``log(cumsum(exp(input)))`` along ``dim`` without overflow.

    Example:
        >>> import rushlight as torch
        >>> torch.logcumsumexp(torch.zeros(3), dim=0)
        tensor([0.0000, 0.6931, 1.0986])
    """
    if expect_tensor(input, "logcumsumexp")._array.dtype not in dtypes.DIFFERENTIABLE:
        raise NotImplementedError(
            f'"logcumsumexp_out_cpu" not implemented for {dtypes.of[input._array.dtype].name}; '
            "convert with .float()."
        )
    return _scan("logcumsumexp", S.Logcumsumexp, input, dim, None, out)


_scan_in_place(cumsum), _scan_in_place(cumprod)


def _running(name: str, op: Any, input: Tensor, dim: Any, out: Any) -> Any:
    d = wrap_dim(dim, expect_tensor(input, name)._array.ndim)
    return named(name, _like(input, op.bind(rows(input), dim=d)), out)


@method
def cummax(input: Tensor, dim: int, *, out: Any = None) -> Any:
    """The largest element so far along ``dim``, and its index.

    Example:
        >>> import rushlight as torch
        >>> torch.cummax(torch.tensor([1, 3, 2]), dim=0)
        torch.return_types.cummax(
        values=tensor([1, 3, 3]),
        indices=tensor([0, 1, 1]))
    """
    return _running("cummax", O.Cummax, input, dim, out)


@method
def cummin(input: Tensor, dim: int, *, out: Any = None) -> Any:
    """The smallest element so far along ``dim``, and its index.

    Example:
        >>> import rushlight as torch
        >>> torch.cummin(torch.tensor([2, 3, 1]), dim=0)
        torch.return_types.cummin(
        values=tensor([2, 2, 1]),
        indices=tensor([0, 0, 2]))
    """
    return _running("cummin", O.Cummin, input, dim, out)


@method
def diff(
    input: Tensor,
    n: int = 1,
    dim: int = -1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Differences of neighbours along ``dim``, ``n`` times; of bool tensors, whether they differ.

    Example:
        >>> import rushlight as torch
        >>> torch.diff(torch.tensor([1, 4, 9]))
        tensor([3, 5])
    """
    if not expect_tensor(input, "diff")._array.ndim:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    d = wrap_dim(dim, input._array.ndim)
    if not n:
        return stored_exactly(input.clone(), out)
    parts = [t for t in (prepend, input, append) if t is not None]
    if len(parts) > 1 and any([t._array.ndim != input._array.ndim for t in parts]):
        raise RuntimeError(
            "diff expects prepend or append to be the same dimension as input, but they have "
            f"{[t._array.ndim for t in parts]} dims."
        )
    result = cat(parts, d) if len(parts) > 1 else input
    lead = (slice(None),) * d
    for _ in range(builtins.min(n, result._array.shape[d])):
        after = BasicIndex.bind(result, index=(*lead, slice(1, None), ...))
        before = BasicIndex.bind(result, index=(*lead, slice(0, -1), ...))
        result = after ^ before if result._array.dtype == np.bool_ else after - before
    return stored(result, out)


def _trapezoids(y: Tensor, x: Any, dx: Any, dim: int) -> Tensor:
    """The area of each strip."""
    if x is not None and not isinstance(x, Tensor):
        x, dx = None, x
    d = wrap_dim(dim, y._array.ndim)
    n = y._array.shape[d]
    if not n:
        return y
    pairs = y.narrow(d, 1, n - 1) + y.narrow(d, 0, n - 1)
    if x is None:
        return pairs * (dx / 2 if dx is not None else 0.5)
    if x._array.ndim == 1 and y._array.ndim > 1:
        if x._array.shape[0] != n:
            raise ShapeError(
                "trapezoid: There must be one `x` value for each sample point, but x has "
                f"{x._array.shape[0]} and y {n}."
            )
        width = (x[1:] - x[:-1]).reshape(*[-1 if i == d else 1 for i in range(y._array.ndim)])
    else:
        shape = x._array.shape
        x = x.reshape((1,) * (y._array.ndim - len(shape)) + tuple(shape))
        m = x._array.shape[d]
        if m > 1 and m != n:
            raise ShapeError(
                "trapezoid: There must be one `x` value for each sample point, but x has shape "
                f"{tuple(shape)} and y {y._array.shape}."
            )
        width = x.narrow(d, 1, m - 1) - x.narrow(d, 0, m - 1)
    return width * pairs / 2


def trapezoid(y: Tensor, x: Any = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """Integral of ``y`` along ``dim`` by the trapezoidal rule, at places ``x`` or with spacing
    ``dx`` (1).

    Example:
        >>> import rushlight as torch
        >>> torch.trapezoid(torch.tensor([1.0, 2.0, 4.0]), dx=2.0)
        tensor(9.)
    """
    d = wrap_dim(dim, y._array.ndim)
    if not isinstance(x, Tensor) and y._array.ndim and y._array.shape[d] > 1:
        n, step = y._array.shape[d], x if x is not None else 1 if dx is None else dx
        if y._array.dtype in dtypes.DIFFERENTIABLE and not isinstance(step, (tuple, list)):
            ends = y.select(d, 0) + y.select(d, n - 1)  # half of them is too much
            return known_as("MulBackward1", (sum(y, d) - ends * 0.5) * step)
    strips = _trapezoids(y, x, dx, dim)
    return known_as("DivBackward1", sum(strips if y._array.shape[dim] else y, dim))


def cumulative_trapezoid(y: Tensor, x: Any = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """Running integral of ``y`` along ``dim`` by the trapezoidal rule.

    Example:
        >>> import rushlight as torch
        >>> torch.cumulative_trapezoid(torch.tensor([1.0, 2.0, 4.0]))
        tensor([1.5000, 4.5000])
    """
    return cumsum(_trapezoids(y, x, dx, dim), dim)


trapz = trapezoid


def gradient(
    input: Tensor, *, spacing: Any = None, dim: Any = None, edge_order: int = 1
) -> list[Tensor]:
    """Estimated derivatives along each of ``dim``: central differences, one-sided at the ends.

    Args:
        edge_order: order of the one-sided differences, 1 or 2.
        spacing: a number, one number for each dim, or a tensor of coordinates for each dim.

    Example:
        >>> import rushlight as torch
        >>> torch.gradient(torch.tensor([1.0, 4.0, 9.0, 16.0]))
        (tensor([3., 4., 6., 7.]),)
    """
    if edge_order not in (1, 2):
        raise RuntimeError(
            f"torch.gradient only supports edge_order=1 and edge_order=2, but got {edge_order}"
        )
    ndim = expect_tensor(input, "gradient")._array.ndim
    dims = (
        list(range(ndim))
        if dim is None
        else [wrap_dim(d, ndim) for d in (dim if isinstance(dim, (tuple, list)) else [dim])]
    )
    steps = (
        list(spacing)
        if isinstance(spacing, (tuple, list))
        else [1.0 if spacing is None else spacing] * len(dims)
    )
    if len(steps) != len(dims):
        raise RuntimeError(
            f"torch.gradient expected spacing for each of the {len(dims)} dims, but got "
            f"{len(steps)}"
        )
    if len(builtins.set(dims)) != len(dims):
        raise RuntimeError(f"dim appears multiple times in the list of dims {dims}")
    for d in dims:
        if input._array.shape[d] <= edge_order:
            raise RuntimeError(
                "torch.gradient expected each dimension size to be at least edge_order+1 = "
                f"{edge_order + 1}"
            )
    if input._array.dtype == np.uint8:
        raise RuntimeError("torch.gradient does not support uint8 input; convert it to a float.")
    if input._array.dtype not in dtypes.DIFFERENTIABLE:
        input = cast(input, dtypes.default.float)
    pairs = zip(dims, steps, strict=True)
    return tuple([_derivative(input, d, step, edge_order) for d, step in pairs])


def _derivative(y: Tensor, d: int, step: Any, edge_order: int) -> Tensor:
    n = y._array.shape[d]
    y = y.movedim(d, -1)
    if isinstance(step, Tensor) and step._array.ndim:
        h = cast(step[1:] - step[:-1], y._array.dtype)
    else:
        h = constant_on(
            y, np.full(n - 1, float(step), dtypes.REAL_OF.get(y._array.dtype, y._array.dtype))
        )
    slope = (y[..., 1:] - y[..., :-1]) / h
    if n > 2 and not (isinstance(step, Tensor) and step._array.ndim):
        inner = (y[..., 2:] - y[..., :-2]) / (2 * h[1:])
    elif n > 2:
        a, b = h[:-1], h[1:]
        inner = (slope[..., :-1] * b + slope[..., 1:] * a) / (a + b)
    else:
        inner = slope[..., :0]
    first, last = slope[..., :1], slope[..., -1:]
    if edge_order == 2:
        bend0 = (slope[..., 1:2] - slope[..., :1]) / (h[:1] + h[1:2])
        bend1 = (slope[..., -1:] - slope[..., -2:-1]) / (h[-1:] + h[-2:-1])
        first, last = first - h[:1] * bend0, last + h[-1:] * bend1
    return known_as("CatBackward0", cat([first, inner, last], -1).movedim(-1, d))


@method
def renorm(
    input: Tensor, p: float, dim: int, maxnorm: float, *, out: Tensor | None = None
) -> Tensor:
    """``input`` with each slice along ``dim`` whose ``p``-norm exceeds ``maxnorm`` scaled down to
    it.

    Example:
        >>> import rushlight as torch
        >>> torch.renorm(torch.tensor([[3.0, 4.0], [0.3, 0.4]]), p=2, dim=0, maxnorm=1)
        tensor([[0.6000, 0.8000],
                [0.3000, 0.4000]])
    """
    if expect_tensor(input, "renorm")._array.ndim < 2:
        raise ShapeError(
            f"renorm: input needs at least 2 dimensions, got {input._array.ndim} dimensions"
        )
    if p <= 0 or maxnorm < 0:
        raise RuntimeError(
            "renorm: non-positive-norm not supported: p must be > 0 and maxnorm >= 0, but they "
            f"are {p} and {maxnorm}"
        )
    d = wrap_dim(dim, input._array.ndim)
    others = (*range(d), *range(d + 1, input._array.ndim))
    arrays = unrecorded(input)
    if arrays is not None:
        (x,) = arrays
        if p == 2 and d == 0 and x.flags.c_contiguous and x.ndim == 2:
            sizes = np.sqrt(np.vecdot(x, x))[:, None]
        else:
            sizes = VectorNorm.instance.eager(np, x, dim=others, keepdim=True, ord=float(p))
        most = number(float(maxnorm), x.dtype)
        short = sizes <= most
        sizes += number(1e-7, x.dtype)
        factor = np.divide(most, sizes, sizes)
        np.putmask(factor, short, number(1.0, x.dtype))
        return stored_exactly(wrap(x * factor), out)
    norm = input.norm(p, others, True)
    scale = Where.bind(norm <= maxnorm, 1, maxnorm / (norm + 1e-7))
    return stored_exactly(known_as("RenormBackward0", input * scale), out)


methods(renorm_=lambda self, p, dim, maxnorm: self.copy_(renorm(self.clone(), p, dim, maxnorm)))
