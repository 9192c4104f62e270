"""Losses of sequences without an alignment."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import dtypes, tensor_api as T
from rushlight.core.device_array import constant_on
from rushlight.core.state import state
from rushlight.core.tensor import Tensor, constant, expect_tensors, fixed_number
from rushlight.errors import ShapeError
from rushlight.nn.functional._losses import expect_floats, reduction_of
from rushlight.ops.ctc import CtcLoss
from rushlight.tensor_api._common import as_int

__all__ = ["ctc_loss"]


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Connectionist temporal classification: minus the log-probability of all alignments of a
    target with the input.

    A mean divides each loss by its target's length, then averages over the batch.

    Args:
        log_probs: log-probabilities of classes, ``(T, N, C)`` or ``(T, C)``.
        targets: class indices, ``(N, S)``, or all targets one after another.
        input_lengths: used length of each input, ``(N)``.
        target_lengths: length of each target, ``(N)``.
        blank: index of the class "no label".
        zero_infinity: make infinite losses (targets that do not fit) and their gradients zero.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> log_probs = torch.full((4, 1, 3), 1 / 3).log()  # 4 steps, 3 classes, all as probable
        >>> target = torch.tensor([[1, 2]])  # fits in 15 of 81 alignments
        >>> F.ctc_loss(log_probs, target, [4], [2], reduction="sum").neg().exp() * 81
        tensor(15.0000)

    Reference: Graves et al., 2006, "Connectionist temporal classification".
    """
    reduction = reduction_of(None, None, reduction)
    expect_tensors("ctc_loss", log_probs, targets)
    expect_floats("ctc_loss", log_probs)
    batched = log_probs.dim() == 3
    x = log_probs if batched else log_probs.unsqueeze(1)
    y = targets if batched or targets.dim() != 1 else targets.unsqueeze(0)
    samples = x._array.shape[1]
    if y._array.ndim == 2 and len(y) != samples:
        raise ShapeError(
            f"ctc_loss: Expected targets of the {samples} samples of the batch, but got {len(y)}."
        )
    lengths = _lengths(input_lengths, samples), _lengths(target_lengths, samples)
    loss = CtcLoss.bind(x, y, *lengths, blank=as_int(blank, "blank"))
    if zero_infinity:
        loss = T.where(loss == math.inf, T.zeros_like(loss), loss)
    if reduction == "mean":
        return (loss / _shares(lengths[1], loss)).mean()
    return loss.sum() if reduction == "sum" else loss if batched else loss.squeeze(0)


def _shares(lengths: Tensor, loss: Tensor) -> Tensor:
    """Lengths, 1 at least, in a loss's dtype."""
    if state.busy or type(lengths._array) is not np.ndarray:
        return lengths.clamp(min=1).to(loss)
    return constant_on(loss, np.maximum(lengths._array, 1).astype(loss._array.dtype))


def _lengths(given: Any, count: int) -> Tensor:
    """Lengths as a vector of integers."""
    if isinstance(given, Tensor):
        if given._array.dtype not in dtypes.INTEGER_TYPES:
            raise RuntimeError("ctc_loss: input_lengths and target_lengths must be integral")
        if given._array.ndim != 1:
            given = given.reshape(-1)
    else:
        given = constant(np.array([int(fixed_number(n)) for n in given], np.int64))
    found = given._array.size
    if found != count:
        raise RuntimeError(
            f"ctc_loss: Expected lengths of the {count} samples of the batch, but got {found}."
        )
    return given
