"""Histograms, and covariances of variables."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.device_array import beside, host
from rushlight.core.native import widened
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, expect_tensors, value_needed, value_pinned
from rushlight.errors import DTypeError, NotSupportedError, ShapeError, warn_user
from rushlight.ops import search as F
from rushlight.ops.matmul import same_dtype
from rushlight.tensor_api._common import expect_tensor, method, stored_exactly
from rushlight.tensor_api.conversion import cast
from rushlight.tensor_api.named import named
from rushlight.tensor_api.ranges import spaced
from rushlight.tensor_api.reductions import sum

__all__ = ["bincount", "corrcoef", "cov", "histc", "histogram", "histogramdd"]


def _numbers(x: Any) -> Any:
    return widened(host(x))


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


def expect_weight(name: str, input: Tensor, weight: Tensor | None, shape: Any) -> None:
    """Weights have the input's dtype, and a shape."""
    if weight is None:
        return
    expect_tensors(name, weight)
    same_dtype(name, input._array, weight._array)
    if weight._array.shape != shape:
        raise ShapeError(
            f"{name}: weight should have the shape of what it weighs, {shape}, but has"
            f" {weight._array.shape}."
        )


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
    if not bins._array.size:
        raise ShapeError(f"{name}: bins tensor should have at least 1 element, but has none.")
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
    expect_weight("histogram", input, weight, input._array.shape)
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
    expect_weight("histogramdd", input, weight, input._array.shape[:-1])
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
