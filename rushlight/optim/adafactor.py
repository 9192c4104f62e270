"""Adafactor."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.optim.checks import check_at_least, check_lr
from rushlight.optim.optimizer import Optimizer, Params, counter, number


class Adafactor(Optimizer):
    r"""Adam-like steps that keep, for a matrix, only row and column means of squared gradients.

        w = t^beta2_decay;  r <- (1 - w) r + w mean_rows(g^2);  c <- (1 - w) c + w mean_columns(g^2)
        u = g / sqrt(r c / mean(r));  u <- u / max(1, rms(u) / d)
        p <- p - max(eps2, rms(p)) min(lr, 1 / sqrt(t)) u

    Args:
        params: tensors to update, or dicts that each group tensors with their own options.
        lr: limit of the relative step size, >= 0.
        beta2_decay: <= 0.
        eps: (smallest mean square, None for the dtype's epsilon; smallest scale of a parameter), >=
            0.
        d: limit of the root mean square of an update, >= 1.
        weight_decay: parameters shrink by ``lr weight_decay``, >= 0.
        foreach: accepted.
        maximize: step along the gradient.

    Example:
        >>> w = nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = torch.optim.Adafactor([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.9000])

    Reference: Shazeer and Stern, 2018, arXiv:1804.04235.
    """

    _on_arrays, _adds_up = False, True

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check_lr("Adafactor", lr)
        if not beta2_decay <= 0.0:
            raise ValueError(f"Adafactor: beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not eps[0] >= 0.0:
            raise ValueError(f"Adafactor: epsilon1 should be >= 0 but is: {eps[0]}")
        if not eps[1] >= 0.0:
            raise ValueError(f"Adafactor: epsilon2 should be >= 0 but is: {eps[1]}")
        if not d >= 1.0:
            raise ValueError(f"Adafactor: Clipping threshold d should be >= 1 but is: {d}")
        check_at_least("Adafactor", 0.0, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def init_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        if p.is_complex():
            raise RuntimeError("Adafactor does not support complex parameters")
        if p.dim() < 2:
            return {"step": counter(group), "variance": T.zeros_like(p)}
        *rest, rows, columns = p.shape
        return {
            "step": counter(group),
            "row_var": p.new_zeros((*rest, rows, 1)),
            "col_var": p.new_zeros((*rest, 1, columns)),
        }

    def update(
        self,
        p: Tensor,
        g: Tensor,
        state: dict[str, Any],
        *,
        lr: float,
        beta2_decay: float,
        eps: tuple[float | None, float],
        d: float,
        weight_decay: float,
    ) -> None:
        smallest = float(np.finfo(p.dtype.numpy).eps) if eps[0] is None else eps[0]
        state["step"] += 1
        t = number(state["step"])
        w = t**beta2_decay
        rate = root_mean_square(p).clamp(min=eps[1]) * min(lr, t**-0.5)
        if weight_decay != 0:
            p.mul_(1 - lr * weight_decay)
        squares = g * g
        if p.dim() > 1:
            row = state["row_var"].lerp_(squares.mean(-1, keepdim=True), w)
            column = state["col_var"].lerp_(squares.mean(-2, keepdim=True), w)
            estimate = row @ column / row.mean(-2, keepdim=True).clamp_(min=smallest)
        else:
            estimate = state["variance"].lerp_(squares, w)
        u = estimate.clamp(min=smallest * smallest).rsqrt() * g
        p.sub_(u * (rate / (root_mean_square(u) / d).clamp(min=1.0)))


def root_mean_square(x: Tensor) -> Tensor:
    """Without dims, and no half: a rate is made of it."""
    mean = (x * x).mean()
    return (mean if mean.element_size() > 2 else mean.float()).sqrt()
