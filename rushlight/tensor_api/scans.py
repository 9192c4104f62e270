"""Functions whose results run along a dim: cumulative sums, differences, integrals; and histograms
and covariances.
"""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import known_as
from rushlight.core.device_array import beside, constant_on, host
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, value_needed, value_pinned, wrap
from rushlight.errors import DTypeError, NotSupportedError, ShapeError, warn_user
from rushlight.ops import order as O
from rushlight.ops import scan as S
from rushlight.ops import search as F
from rushlight.ops.select import Where
from rushlight.ops.statistics import VectorNorm
from rushlight.ops.sums import number
from rushlight.ops.view import BasicIndex
from rushlight.tensor_api._common import (
    expect_tensor,
    method,
    methods,
    stored_exactly,
    unrecorded,
    wrap_dim,
)
from rushlight.tensor_api.conversion import cast
from rushlight.tensor_api.joining import cat
from rushlight.tensor_api.named import named
from rushlight.tensor_api.ordering import _like, rows
from rushlight.tensor_api.ranges import spaced
from rushlight.tensor_api.reductions import finished, in_dtype, prepared, sum

__all__ = [
    "bincount", "corrcoef", "cov", "cummax", "cummin", "cumprod", "cumsum",
    "cumulative_trapezoid", "diff", "gradient", "histc", "histogram", "histogramdd",
    "logcumsumexp", "renorm", "trapezoid", "trapz",
]  # fmt: skip


def _scan(name: str, op: Any, input: Tensor, dim: Any, dtype: Any, out: Any) -> Tensor:
    if dtype is not None or not isinstance(input, Tensor):
        input = prepared(input, dtype, name)
    d = wrap_dim(dim, input._array.ndim)
    if dtype is None and out is None and input._array.ndim:
        return op.bind(input, dim=d)  # type: ignore[no-any-return]
    result = _like(input, [op.bind(rows(input), dim=d)])[0]
    store = stored_exactly if name == "logcumsumexp" or dtype is not None else finished
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
    return finished(result, out)


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
        at = x._array.ndim - (y._array.ndim - d)
        if at < 0 or x._array.shape[at] != n:
            raise ShapeError(
                "trapezoid: There must be one `x` value for each sample point, but x has shape "
                f"{x._array.shape} and y {y._array.shape}."
            )
        width = x.narrow(at, 1, n - 1) - x.narrow(at, 0, n - 1)
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


def _numbers(x: Any) -> Any:
    return O.widened(host(x))


@method
def histc(
    input: Tensor, bins: int = 100, min: float = 0, max: float = 0, *, out: Tensor | None = None
) -> Tensor:
    """How many elements fall into each of ``bins`` equal parts of [min, max] (the range of the data
    when both are 0).

    Example:
        >>> import rushlight as torch
        >>> torch.histc(torch.tensor([1.0, 2.0, 1.0]), bins=4, min=0, max=3)
        tensor([0., 2., 1., 0.])
    """
    d = expect_tensor(input, "histc")._array.dtype
    if d not in dtypes.FLOATING_TYPES:
        raise NotImplementedError(
            f'"histogram_cpu" not implemented for {dtypes.of[d].name}; convert with .float().'
        )
    if bins <= 0:
        raise RuntimeError(f"torch.histc(): bins must be > 0, but is {bins}")
    x = _numbers(input)
    if modes.trace is not None and min < max:
        return stored_exactly(_counted(input, bins, float(min), float(max)), out)
    value_needed("histc() without a range", input)
    low, high = _range(x, float(min), float(max), "torch.histc", 1.0)
    one = d.type  # of halves, each step is rounded
    x = x[(x >= low) & (x <= high)].astype(d)
    place = ((x - one(low)) * one(bins) / one(high - low)).astype(np.intp)
    counts = np.bincount(np.minimum(place, bins - 1), minlength=bins)
    return stored_exactly(beside(input, counts.astype(d)), out)


def _counted(input: Tensor, bins: int, low: float, high: float) -> Tensor:
    """``histc`` by operations: what lies outside is counted in a bin more."""
    x = input.detach().reshape(-1)
    one = x._array.dtype.type
    inside = (x >= low) & (x <= high)
    place = (x - float(one(low))) * float(one(bins)) / float(one(high - low))
    place = place.long().clamp(max=bins - 1).masked_fill(~inside, bins)
    counts = place.new_zeros(bins + 1).index_add(0, place, place.new_ones(x._array.size))
    return counts[:bins].to(input.dtype)  # type: ignore[no-any-return]


def _range(x: Any, low: float, high: float, name: str, margin: float = 0.5) -> tuple[float, float]:
    """The range to divide into bins; a single point gets a margin on both sides."""
    if low == high:
        low, high = 0.0, 1.0
        if x.size:
            low, high = float(x.item(x.argmin())), float(x.item(x.argmax()))
    if low == high:
        low, high = low - margin, high + margin
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"{name}: range of [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError(f"{name}: max must be larger than min, but they are {high} and {low}")
    return low, high


def expect_bins(name: str, d: Any, counts: Any) -> None:
    """Refuse integers, whose bins would have no edges between them, complex numbers, which have no
    order, and what is no number of bins.
    """
    if d not in dtypes.FLOATING_TYPES:
        raise NotSupportedError(
            f'"{name}" not implemented for {dtypes.of[d].name}; convert the input with .float().'
        )
    for i, n in enumerate(counts):
        if not isinstance(n, Tensor) and n < 1:
            raise RuntimeError(f"torch.{name}(): bins must be > 0, but got {n} for dimension {i}")


def edges_in(name: str, bins: Tensor) -> Any:
    """The edges of bins, which are a vector."""
    if bins._array.ndim != 1:
        raise ShapeError(
            f"{name}: bins tensor should have one dimension, but has shape {bins._array.shape}."
        )
    return host(bins)


@method
def histogram(
    input: Tensor,
    bins: Any = 100,
    *,
    range: Any = None,
    weight: Tensor | None = None,
    density: bool = False,
    out: Any = None,
) -> Any:
    """Histogram (hist, bin_edges) of all elements.

    Args:
        bins: the number of equal bins, 100 unless given, or a 1-D tensor of ascending edges.
        range: (low, high) for equal bins; by default the range of the data.
        weight: how much each element counts.
        density: scale so that the integral over the bins is 1.

    Example:
        >>> import rushlight as torch
        >>> torch.histogram(torch.tensor([1.0, 2.0, 1.0]), bins=2, range=(0.0, 4.0))
        torch.return_types.histogram(
        hist=tensor([2., 1.]),
        bin_edges=tensor([0., 2., 4.]))
    """
    d = expect_tensor(input, "histogram")._array.dtype
    expect_bins("histogram", d, [bins])
    value_needed("histogram()", input)
    x = _numbers(input).reshape(-1)
    if isinstance(bins, Tensor):
        edges = edges_in("histogram", bins)
    else:
        low, high = _range(x, *(range if range is not None else (0.0, 0.0)), "torch.histogram")
        edges = spaced(low, high, bins + 1, d)
    w = None if weight is None else host(weight).reshape(-1)
    hist = F.histogramdd(x.reshape(-1, 1), [edges], w, density).astype(d)
    return named("histogram", [beside(input, hist), beside(input, edges.copy())], out)


def histogramdd(
    input: Tensor,
    bins: Any,
    *,
    range: Any = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any:
    """Histogram of points, the rows of ``input``: (hist, bin_edges), one tensor of edges for each
    dim.
    """
    d = expect_tensor(input, "histogramdd")._array.dtype
    value_needed("histogramdd()", input)
    if input._array.ndim < 2:
        raise ShapeError(
            "histogramdd: points are the rows of a tensor with at least 2 dimensions, but the input"
            f" has shape {input._array.shape}."
        )
    n = input._array.shape[-1]
    points = _numbers(input).reshape(-1, n)
    counts = [bins] * n if isinstance(bins, int) else list(bins)
    if len(counts) != n:
        raise ShapeError(
            f"histogramdd: The size of bins, {len(counts)}, must be equal to the innermost size of "
            f"the input, {n}."
        )
    expect_bins("histogramdd", d, counts)
    edges = []
    for i, b in enumerate(counts):
        if isinstance(b, Tensor):
            edges.append(edges_in("histogramdd", b))
        else:
            limits = (
                (float(range[2 * i]), float(range[2 * i + 1])) if range is not None else (0.0, 0.0)
            )
            edges.append(spaced(*_range(points[:, i], *limits, "torch.histogramdd"), b + 1, d))
    w = None if weight is None else host(weight).reshape(-1)
    hist = F.histogramdd(points, edges, w, density).astype(d)
    return named(
        "histogramdd", [beside(input, hist), tuple([beside(input, e.copy()) for e in edges])]
    )


@method
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each integer 0, 1, ... occurs, or the sum of ``weights`` where it does.

    Example:
        >>> import rushlight as torch
        >>> torch.bincount(torch.tensor([0, 2, 2]))
        tensor([1, 0, 2])
    """
    x = host(expect_tensor(input, "bincount"))
    if x.ndim != 1 or x.dtype not in dtypes.INTEGER_TYPES:
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if minlength < 0:
        raise RuntimeError(f"minlength should be >= 0, but is {minlength}")
    bins = builtins.max(x.item(x.argmax()) + 1 if x.size else 0, minlength)
    if bins > minlength and state.busy:
        value_pinned("the largest number in bincount()", input.max())
    w = None if weights is None else weights._array
    if w is not None and w.shape != x.shape:
        raise ShapeError(
            "bincount: weights should be 1-d and have the same length as input, but they are "
            f"{w.shape} and {x.shape}."
        )
    return F.Bincount.bind(input, weights, bins=bins)  # type: ignore[no-any-return]


@method
def cov(
    input: Tensor,
    *,
    correction: int = 1,
    fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor:
    """Covariance matrix of variables, the rows of ``input``, observed in its columns.

    Args:
        correction: subtracted from the number of observations.
        fweights: how often each observation was made, integers.
        aweights: the importance of each observation.

    Example:
        >>> import rushlight as torch
        >>> torch.cov(torch.tensor([[1.0, 2.0, 3.0], [6.0, 4.0, 2.0]]))
        tensor([[ 1., -2.],
                [-2.,  4.]])
    """
    if expect_tensor(input, "cov")._array.ndim > 2:
        raise ShapeError(
            "cov(): expected input to have two or fewer dimensions but got an input with "
            f"{input._array.ndim} dimensions"
        )
    if input._array.dtype == np.bool_:
        raise DTypeError(
            "cov(): bool dtype is not supported for input; convert it to a number type."
        )
    x = input.reshape(1, -1) if input._array.ndim < 2 else input
    w = _observation_weights(x, fweights, aweights)
    norm: Any
    if w is None:
        n = x._array.shape[1]
        center, norm = cast_float(x).mean(1, True), n - correction
    else:
        total = sum(w)
        center = sum(x * w, 1, True) / total
        spread = (
            sum(w * cast(aweights, w._array.dtype)) / total
            if aweights is not None and correction
            else 1
        )
        norm = total - correction * spread
    off = x - center
    product = off @ (off if w is None else off * w).mT.conj()
    if norm <= 0:
        warn_user(
            "cov(): degrees of freedom is <= 0. Correction should be strictly less than the number "
            "of observations."
        )
    norm = norm.clamp(min=0) if isinstance(norm, Tensor) else builtins.max(norm, 0)
    return (product / norm).squeeze()  # type: ignore[no-any-return]


def cast_float(x: Tensor) -> Tensor:
    """Integers as the default float."""
    return x if x._array.dtype in dtypes.DIFFERENTIABLE else cast(x, dtypes.default.float)


def _observation_weights(x: Tensor, fweights: Any, aweights: Any) -> Any:
    """The product of both kinds of weights, checked; None without any."""
    n = x._array.shape[1]
    for name, w in (("fweights", fweights), ("aweights", aweights)):
        if w is None:
            continue
        if w._array.ndim > 1:
            raise ShapeError(
                f"cov(): expected {name} to have one or fewer dimensions but got {name} with "
                f"{w._array.ndim} dimensions"
            )
        if (w._array.dtype in dtypes.INTEGER_TYPES) != (name == "fweights"):
            kind = "integral" if name == "fweights" else "floating point"
            raise DTypeError(
                f"cov(): expected {name} to have {kind} dtype but got {name} with "
                f"{dtypes.of[w._array.dtype]} dtype"
            )
        if w._array.size != n:
            raise ShapeError(
                f"cov(): expected {name} to have the same numel as there are observations ({n}), "
                f"but got {w._array.size}"
            )
        if w._array.size and host(w).min() < 0:
            raise RuntimeError(f"cov(): {name} cannot be negative")
    if fweights is None:
        return aweights
    if aweights is not None:
        return fweights * aweights
    floating = x._array.dtype in dtypes.DIFFERENTIABLE
    return cast(
        fweights,
        dtypes.REAL_OF.get(x._array.dtype, x._array.dtype) if floating else dtypes.default.float,
    )


@method
def corrcoef(input: Tensor) -> Tensor:
    """Pearson's correlation matrix of variables, the rows of ``input``.

    Example:
        >>> import rushlight as torch
        >>> torch.corrcoef(torch.tensor([[1.0, 2.0, 3.0], [6.0, 4.0, 2.0]]))
        tensor([[ 1., -1.],
                [-1.,  1.]])
    """
    if expect_tensor(input, "corrcoef")._array.ndim > 2:
        raise ShapeError(
            "corrcoef(): expected input to have two or fewer dimensions but got "
            f"{input._array.ndim} dimensions"
        )
    c = cov(input)
    if not c._array.ndim:
        return c / c
    spread = c.diagonal().real.sqrt()
    c = c / spread.unsqueeze(1) / spread.unsqueeze(0)
    if c._array.dtype in dtypes.COMPLEX_TYPES:
        return c
    return c.clamp(-1, 1)  # type: ignore[no-any-return]


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
