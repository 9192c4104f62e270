"""Adadelta."""

from __future__ import annotations

from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.optim.checks import check_at_least, check_eps, check_lr
from rushlight.optim.optimizer import Optimizer, Params, counter


class Adadelta(Optimizer):
    r"""Steps in proportion to recent steps over recent gradients.

        v <- rho v + (1 - rho) g^2
        d = sqrt(u + eps) / sqrt(v + eps) g
        u <- rho u + (1 - rho) d^2
        p <- p - lr d

    Args:
        params: tensors to update, or dicts that each group tensors with their own options.
        lr: factor of the step, >= 0.
        rho: decay of u and v per step, in [0, 1].
        eps: >= 0.
        weight_decay: ``weight_decay p`` is added to g, >= 0.
        foreach: accepted.
        capturable: accepted.
        maximize: step along the gradient.
        differentiable: record the step, so that gradients flow through it.

    Example:
        >>> w = nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = torch.optim.Adadelta([w], lr=1.0)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.9968])

    Reference: Zeiler, 2012, arXiv:1212.5701.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr("Adadelta", lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Adadelta: Invalid rho value: {rho}; it must lie in [0, 1].")
        check_eps("Adadelta", eps)
        check_at_least("Adadelta", 0.0, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def init_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {"step": counter(group), "square_avg": T.zeros_like(p), "acc_delta": T.zeros_like(p)}

    def update(
        self,
        p: Tensor,
        g: Tensor,
        state: dict[str, Any],
        *,
        lr: float,
        rho: float,
        eps: float,
        weight_decay: float,
    ) -> None:
        v, u = state["square_avg"], state["acc_delta"]
        state["step"] += 1
        if weight_decay != 0:
            g = g + weight_decay * p
        v *= rho
        v += (1 - rho) * g * g
        d = (u + eps) ** 0.5 / (v + eps) ** 0.5 * g
        u *= rho
        u += (1 - rho) * d * d
        p -= lr * d
