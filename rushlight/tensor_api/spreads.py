"""Variances and standard deviations."""

from __future__ import annotations

from typing import Any

from rushlight import dtypes
from rushlight.core.autograd import known_as
from rushlight.core.tensor import Tensor
from rushlight.errors import warn_user
from rushlight.ops import reduce as R, statistics as S
from rushlight.tensor_api._common import expect_tensor, method, refuse_keepdim, stored
from rushlight.tensor_api.reductions import dims_of

__all__ = ["std", "std_mean", "var", "var_mean"]


def _spread(
    name: str,
    op: Any,
    input: Tensor,
    dim: Any,
    unbiased: Any,
    keepdim: bool,
    correction: Any,
    out: Any,
) -> Tensor:
    if dim.__class__ is bool:
        dim, unbiased = None, dim
    if keepdim.__class__ is not bool:
        refuse_keepdim(name, keepdim)
    if unbiased.__class__ is int or unbiased.__class__ is float:
        raise TypeError(
            f"{name}(): argument 'unbiased' must be bool, not {type(unbiased).__name__}, but is "
            f"{unbiased!r}; several dims are a tuple, and degrees of freedom are 'correction'."
        )
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    dims = dims_of(dim, expect_tensor(input, name)._array.ndim)
    x = input._array
    if x.dtype in dtypes.DIFFERENTIABLE and (not x.size or R.count_of(x.shape, dims) <= correction):
        warn_user(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the "
            "reduction factor (input numel divided by output numel)."
        )
    return stored(op.bind(input, dim=dims, keepdim=keepdim, correction=correction), out)


@method
def var(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Variance over ``dim``: squared distances from the mean, over ``n - correction``.

    Args:
        dim: dims to reduce; None for all.
        unbiased: True is correction 1 (the default), False correction 0.
        correction: subtracted from the number of elements n.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([1.0, 2.0, 3.0])
        >>> torch.var(x), torch.var(x, correction=0)
        (tensor(1.), tensor(0.6667))
    """
    return _spread("var", S.Var, input, dim, unbiased, keepdim, correction, out)


@method
def std(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Standard deviation over ``dim``: the square root of ``var``.

    Example:
        >>> import rushlight as torch
        >>> torch.tensor([1.0, 2.0, 3.0]).std()
        tensor(1.)
    """
    return _spread("std", S.Std, input, dim, unbiased, keepdim, correction, out)


def var_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Variance and mean over ``dim``.

    Example:
        >>> import rushlight as torch
        >>> torch.var_mean(torch.tensor([1.0, 2.0, 3.0]))
        (tensor(1.), tensor(2.))
    """
    variance = _spread("var_mean", S.Var, input, dim, unbiased, keepdim, correction, None)
    mean = _mean_beside(input, dim, keepdim)
    return known_as("VarMeanBackward0", variance), known_as("VarMeanBackward0", mean)


def _mean_beside(input: Tensor, dim: Any, keepdim: bool) -> Tensor:
    """The mean over the same dims as a variance."""
    over = None if dim.__class__ is bool else dims_of(dim, input._array.ndim)
    return R.Mean.bind(input, over, keepdim)


def std_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Standard deviation and mean over ``dim``.

    Example:
        >>> import rushlight as torch
        >>> torch.std_mean(torch.tensor([1.0, 2.0, 3.0]))
        (tensor(1.), tensor(2.))
    """
    deviation = _spread("std_mean", S.Std, input, dim, unbiased, keepdim, correction, None)
    mean = _mean_beside(input, dim, keepdim)
    return known_as("StdMeanBackward0", deviation), known_as("StdMeanBackward0", mean)
