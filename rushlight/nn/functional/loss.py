"""Losses of numbers: squared and absolute errors, and likelihoods of some distributions."""

from __future__ import annotations

import math

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor, expect_tensors, no_tensor
from rushlight.errors import warn_user
from rushlight.nn._reduction import legacy_get_string
from rushlight.nn.functional._losses import (
    REDUCTIONS,
    check_weight,
    expect_floats,
    in_dtype_of,
    matched,
    reduced,
    reduction_of,
    weighted,
)
from rushlight.ops import loss as L
from rushlight.ops.loss import Variance
from rushlight.tensor_api._common import scalar
from rushlight.tensor_api.casting import in_float32

__all__ = [
    "l1_loss",
    "mse_loss",
    "smooth_l1_loss",
    "huber_loss",
    "kl_div",
    "poisson_nll_loss",
    "gaussian_nll_loss",
]


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Mean squared error, ``(x - y)^2``. Shape: ``(*), (*) -> ()``, or ``(*)`` without reduction.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.functional.mse_loss(torch.zeros(2), torch.tensor([1.0, 3.0]))
        tensor(5.)
    """
    if size_average is not None or reduce is not None or reduction not in REDUCTIONS:
        reduction = reduction_of(size_average, reduce, reduction)
    try:
        x, y = input._array, target._array
    except AttributeError:
        raise no_tensor("mse_loss", input, target) from None
    if x.shape != y.shape or x.dtype is not y.dtype:
        input, target = matched(input, target, "mse_loss")
    if weight is not None:
        return weighted(L.MseLoss.bind(input, target, reduction="none"), weight, reduction)
    return L.MseLoss.bind(input, target, reduction=reduction)  # type: ignore[no-any-return]


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Mean absolute error, ``|x - y|``. Shape: ``(*), (*) -> ()``, or ``(*)`` without reduction.

    Raises:
        ValueError: reduction is no known word.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.l1_loss(torch.zeros(2), torch.tensor([1.0, -3.0]))
        tensor(2.)
    """
    reduction = reduction_of(size_average, reduce, reduction)
    input, target = matched(input, target, "l1_loss")
    if weight is not None:
        return weighted(L.L1Loss.bind(input, target, reduction="none"), weight, reduction)
    return L.L1Loss.bind(input, target, reduction=reduction)  # type: ignore[no-any-return]


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """``(x - y)^2 / (2 beta)`` where ``|x - y| < beta``, else ``|x - y| - beta / 2``.

    Shape: ``(*), (*) -> ()``, or ``(*)`` without reduction.

    Raises:
        RuntimeError: beta is negative.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.smooth_l1_loss(torch.zeros(2), torch.tensor([0.5, -3.0]), reduction="none")
        tensor([0.1250, 2.5000])
    """
    reduction = reduction_of(size_average, reduce, reduction)
    beta = scalar(beta, "beta")
    if beta < 0:
        raise RuntimeError(
            f"smooth_l1_loss does not support negative values for beta, but got {beta}."
        )
    input, target = matched(input, target, "smooth_l1_loss")
    if beta == 0:
        return L.L1Loss.bind(input, target, reduction=reduction)  # type: ignore[no-any-return]
    return L.SmoothL1Loss.bind(input, target, reduction=reduction, beta=beta)  # type: ignore[no-any-return]


@in_float32
def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """``(x - y)^2 / 2`` where ``|x - y| < delta``, else ``delta (|x - y| - delta / 2)``.

    Shape: ``(*), (*) -> ()``, or ``(*)`` without reduction.

    Raises:
        RuntimeError: delta is not positive.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.huber_loss(torch.zeros(2), torch.tensor([0.5, -3.0]), delta=2.0, reduction="none")
        tensor([0.1250, 4.0000])
    """
    reduction = reduction_of(None, None, reduction)
    delta = scalar(delta, "delta")
    if delta <= 0:
        raise RuntimeError(
            f"huber_loss does not support non-positive values for delta, but got {delta}."
        )
    x, y = matched(input, target, "huber_loss")
    if weight is not None:
        check_weight(weight, x)  # as in torch, a mean of this loss does not divide by weights
        loss = L.HuberLoss.bind(x, y, reduction="none", delta=delta)
        return reduced(in_dtype_of(input, loss, "huber_loss") * weight, reduction)
    loss = L.HuberLoss.bind(x, y, reduction=reduction, delta=delta)
    return in_dtype_of(input, loss, "huber_loss")


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """Kullback-Leibler divergence ``y (log y - x)`` of log-probabilities x from probabilities y.

    Args:
        reduction: "mean", "sum", "none", or "batchmean" (the sum by the batch size: the divergence
            as it is defined).
        log_target: whether target holds log-probabilities.

    Shape: ``(*), (*) -> ()``, or ``(*)`` without reduction.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x = torch.tensor([[0.5, 0.5]]).log()
        >>> F.kl_div(x, torch.tensor([[1.0, 0.0]]), reduction="batchmean")  # log 2
        tensor(0.6931)
    """
    expect_tensors("kl_div", input, target)
    expect_floats("kl_div", input, target)
    if size_average is not None or reduce is not None:
        reduction = legacy_get_string(size_average, reduce)
    if reduction == "mean":
        warn_user(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            " 'batchmean' divides only by the batch size, and aligns with the KL div math"
            " definition."
        )
    batchmean = reduction == "batchmean"
    reduction = reduction_of(None, None, "sum" if batchmean else reduction)
    batch = input._array.shape[:1]  # before it is broadcast
    input, target = matched(input, target, None)
    out = L.KlDiv.bind(input, target, reduction=reduction, log_target=log_target)
    return out / batch[0] if batchmean and batch else out


@in_float32
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``exp(x) - y x`` for counts y of a Poisson law with logarithmic rate x;
    ``x - y log(x + eps)`` when not ``log_input``.

    Args:
        full: add Stirling's approximation of the target's term.

    Shape: ``(*), (*) -> ()``, or ``(*)`` without reduction.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.poisson_nll_loss(torch.zeros(2), torch.tensor([1.0, 5.0]), reduction="none")
        tensor([1., 1.])
        >>> F.poisson_nll_loss(torch.tensor([2.0]), torch.tensor([3.0]), log_input=False)
        tensor(-0.0794)
    """
    reduction = reduction_of(size_average, reduce, reduction)
    expect_tensors("poisson_nll_loss", input, target)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + (2 * math.pi * target).log() * 0.5
        loss = loss + stirling.masked_fill(target <= 1, 0)
    return reduced(loss, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """``(log v + (x - y)^2 / v) / 2`` for an expectation x and a variance v, which counts as at
    least eps.

    Args:
        var: one number, of input's shape, or with a last size of 1 (the same variance for a row).
        full: add the constant ``log(2 pi) / 2``.

    Shape: ``(*), (*) -> ()``, or ``(*)`` without reduction.

    Raises:
        ValueError: a variance is negative.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> y, var = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])
        >>> F.gaussian_nll_loss(torch.zeros(2), y, var, reduction="none")
        tensor([0.5000, 1.1931])
    """
    if isinstance(var, (int, float)):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = T.full_like(input.detach(), var)
    x, v = input._array.shape, var._array.shape
    if v != x:
        if x[:-1] == v:
            var = var.unsqueeze(-1)
        elif not (len(v) == len(x) and x[:-1] == v[:-1] and v[-1] == 1) and any(
            a not in (b, 1) for a, b in zip(reversed(v), reversed(x), strict=False)
        ):
            raise ValueError(
                f"var is of incorrect size: {v}; it should have the input's, {x}, or a last size"
                " of 1."
            )
    reduction = reduction_of(None, None, reduction)
    safe = Variance.bind(var, eps=eps)
    loss = (safe.log() + (input - target) ** 2 / safe) * 0.5
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction)
