"""Reductions over the elements that a mask selects: ``mask`` is True for those that count, and
broadcasts to ``input``. Where none is selected the result is the operation's neutral element (0 for
``sum``, -inf for ``amax``), or nan where there is none.
"""

from __future__ import annotations

from typing import Any

from rushlight import dtypes, tensor_api
from rushlight.core.tensor import Tensor
from rushlight.errors import NotSupportedError
from rushlight.masked._filled import INF, all_dims, counts, filled, highest, lowest, prepared

Dims = int | tuple[int, ...] | None


def _default(input: Any, dtype: Any) -> Any:
    """sum, prod and their kin of integers and bools are int64, as without a mask."""
    data = input if isinstance(input, Tensor) else input.get_data()
    small = data._array.dtype not in dtypes.DIFFERENTIABLE
    return dtypes.by_name["int64"] if dtype is None and small else dtype


def _floating(name: str, x: Tensor) -> None:
    if x._array.dtype not in dtypes.DIFFERENTIABLE:
        raise ValueError(
            f"masked.{name}: expected a floating point or complex input, but got {x.dtype}; pass "
            "dtype=torch.float32."
        )


def sum(
    input: Tensor,
    dim: Dims = None,
    *,
    keepdim: bool | None = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Sums of the selected elements.

    Args:
        dim: dims to sum over, all by default.
        keepdim: whether they stay, with size 1.
        dtype: the result's; int64 by default for integers and bools.
        mask: True for elements that count; broadcast.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([1.0, 2.0, 3.0])
        >>> torch.masked.sum(x, mask=torch.tensor([True, False, True]))
        tensor(4.)
    """
    x, mask = prepared(input, mask, _default(input, dtype))
    x = filled(x, mask, 0)
    dims = all_dims(dim, x.ndim)
    return x.sum(dims, bool(keepdim)) if dims else x.clone()


def prod(
    input: Tensor,
    dim: Dims = None,
    *,
    keepdim: bool | None = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Products of the selected elements.

    Example:
        >>> x, mask = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([True, True, False])
        >>> torch.masked.prod(x, 0, mask=mask)
        tensor(2.)
    """
    x, mask = prepared(input, mask, _default(input, dtype))
    x = filled(x, mask, 1)
    for d in reversed(all_dims(dim, x.ndim)):
        x = x.prod(d, bool(keepdim))
    return x


def amax(
    input: Tensor,
    dim: Dims = None,
    *,
    keepdim: bool | None = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The largest of the selected elements.

    Example:
        >>> x, mask = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([True, True, False])
        >>> torch.masked.amax(x, 0, mask=mask)
        tensor(2.)
    """
    x, mask = prepared(input, mask, dtype)
    dims = all_dims(dim, x.ndim)
    x = filled(x, mask, lowest("amax", x))
    return x.amax(dims, bool(keepdim)) if dims else x.clone()


def amin(
    input: Tensor,
    dim: Dims = None,
    *,
    keepdim: bool | None = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The least of the selected elements.

    Example:
        >>> x, mask = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([True, True, False])
        >>> torch.masked.amin(x, 0, mask=mask)
        tensor(1.)
    """
    x, mask = prepared(input, mask, dtype)
    dims = all_dims(dim, x.ndim)
    x = filled(x, mask, highest("amin", x))
    return x.amin(dims, bool(keepdim)) if dims else x.clone()


def argmax(
    input: Tensor,
    dim: int | None = None,
    *,
    keepdim: bool | None = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Where the largest of the selected elements is, in ``input``'s dtype (or ``dtype``).

    Example:
        >>> x, mask = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([True, True, False])
        >>> torch.masked.argmax(x, 0, mask=mask)
        tensor(1.)
    """
    x, mask = prepared(input, mask, dtype)
    return filled(x, mask, lowest("argmax", x)).argmax(dim, bool(keepdim)).to(x.dtype)


def argmin(
    input: Tensor,
    dim: int | None = None,
    *,
    keepdim: bool | None = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Where the least of the selected elements is, in ``input``'s dtype (or ``dtype``)."""
    x, mask = prepared(input, mask, dtype)
    return filled(x, mask, highest("argmin", x)).argmin(dim, bool(keepdim)).to(x.dtype)


def mean(
    input: Tensor,
    dim: Dims = None,
    *,
    keepdim: bool | None = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Means of the selected elements; nan where there are none.

    Example:
        >>> x, mask = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([True, True, False])
        >>> torch.masked.mean(x, 0, mask=mask)
        tensor(1.5000)
    """
    x, mask = prepared(input, mask, dtype)
    _floating("mean", x)
    dims = all_dims(dim, x.ndim)
    if mask is None:
        return x.mean(dims, bool(keepdim)) if dims else x.clone()
    total = sum(x, dims, keepdim=keepdim, mask=mask) if dims else filled(x, mask, 0)
    return total / counts(x, mask, dims, bool(keepdim))


def median(
    input: Tensor,
    dim: int = -1,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The lower median of the selected elements; nan where there are none.

    Example:
        >>> x, mask = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([True, True, False])
        >>> torch.masked.median(x, 0, mask=mask)
        tensor(1.)
    """
    x, mask = prepared(input, mask, dtype)
    if not dtypes.is_floating(x._array.dtype):
        if mask is not None and not bool(mask.any(dim).all()):
            raise ValueError(
                "masked.median: expects no fully masked out rows if dtype is not floating point"
            )
        wide = x.to(dtypes.by_name["float64"])
        return filled(wide, mask, float("nan")).nanmedian(dim, keepdim).values.to(x.dtype)
    return filled(x, mask, float("nan")).nanmedian(dim, keepdim).values


def logsumexp(
    input: Tensor,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """``log(sum(exp(x)))`` of the selected elements."""
    x, mask = prepared(input, mask, dtype)
    complex_ = x._array.dtype in dtypes.COMPLEX_TYPES
    low = -INF if complex_ else lowest("logsumexp", x)  # integers keep their dtype, as in torch
    return filled(x, mask, low).logsumexp(all_dims(dim, x.ndim), keepdim).to(x.dtype)


def logaddexp(
    input: Tensor,
    other: Tensor,
    *,
    dtype: Any = None,
    input_mask: Tensor | None = None,
    other_mask: Tensor | None = None,
) -> Tensor:
    """``log(exp(a) + exp(b))`` of two tensors, leaving out what their masks do."""
    a, input_mask = prepared(input, input_mask, dtype)
    b, other_mask = prepared(other, other_mask, dtype)
    if not (a.is_floating_point() and b.is_floating_point()):
        raise NotSupportedError(
            f"masked.logaddexp is not there for {a.dtype} and {b.dtype}; pass dtype=torch.float32."
        )
    return tensor_api.logaddexp(filled(a, input_mask, -INF), filled(b, other_mask, -INF))


def norm(
    input: Tensor,
    ord: float | None = 2.0,
    dim: Dims = None,
    *,
    keepdim: bool | None = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Vector norms of the selected elements: ``sum(|x|^ord)^(1/ord)``."""
    x, mask = prepared(input, mask, dtype)
    _floating("norm", x)
    value = INF if ord is not None and ord < 0 else 0
    dims = all_dims(dim, x.ndim)
    return tensor_api.norm(filled(x, mask, value), 2.0 if ord is None else ord, dims, bool(keepdim))


def var(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    *,
    correction: int | float | None = None,
    keepdim: bool | None = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Variances of the selected elements.

    Args:
        dim, keepdim, dtype, mask: as for ``sum``.
        unbiased: whether the correction is 1 (the default) or 0.
        correction: what is taken from the number of elements, >= 0.

    Example:
        >>> x, mask = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([True, True, False])
        >>> torch.masked.var(x, 0, mask=mask)
        tensor(0.5000)
    """
    x, mask = prepared(input, mask, dtype)
    if x._array.dtype not in dtypes.DIFFERENTIABLE:
        x = x.to(dtypes.get_default_dtype())
    dims, keepdim = all_dims(dim, x.ndim), bool(keepdim)
    if unbiased is not None and correction is not None:
        raise ValueError("masked.var: give unbiased or correction, not both.")
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    n = counts(x, mask, dims, keepdim)
    center = sum(x, dims, keepdim=True, mask=mask) / counts(x, mask, dims, True)
    off = filled(x - center, mask, 0)
    square = off * off.conj()
    total = square.sum(dims, keepdim) if dims else square
    return total / (n - correction).clamp(min=0).to(total.dtype)


def std(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    *,
    correction: int | None = None,
    keepdim: bool | None = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Standard deviations of the selected elements: the root of ``var``.

    Example:
        >>> x, mask = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([True, True, False])
        >>> torch.masked.std(x, 0, mask=mask)
        tensor(0.7071)
    """
    return var(
        input, dim, unbiased, correction=correction, keepdim=keepdim, dtype=dtype, mask=mask
    ).sqrt()
