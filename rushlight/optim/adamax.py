"""Adamax."""

from __future__ import annotations

from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.optim.checks import check_at_least, check_betas, check_eps, check_lr
from rushlight.optim.optimizer import Optimizer, Params, counter, maximum, number


class Adamax(Optimizer):
    r"""Adam with the largest recent gradient in place of the mean square.

        m <- b1 m + (1 - b1) g      u <- max(b2 u, |g| + eps)
        p <- p - lr / (1 - b1^t) m / u

    Args:
        params: tensors to update, or dicts that each group tensors with their own options.
        lr: step size, >= 0.
        betas: decay of m and u per step, each in [0, 1).
        eps: >= 0.
        weight_decay: ``weight_decay p`` is added to g, >= 0.
        foreach: accepted.
        maximize: step along the gradient.
        differentiable: record the step, so that gradients flow through it.
        capturable: accepted.

    Example:
        >>> w = nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = torch.optim.Adamax([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.9000])

    Reference: Kingma and Ba, 2015, arXiv:1412.6980, algorithm 2.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr("Adamax", lr)
        check_eps("Adamax", eps)
        check_betas("Adamax", betas)
        check_at_least("Adamax", 0.0, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def init_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {"step": counter(group), "exp_avg": T.zeros_like(p), "exp_inf": T.zeros_like(p)}

    def update(
        self,
        p: Tensor,
        g: Tensor,
        state: dict[str, Any],
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
    ) -> None:
        b1, b2 = number(betas[0]), number(betas[1])
        m, u = state["exp_avg"], state["exp_inf"]
        state["step"] += 1
        t = number(state["step"])
        if weight_decay != 0:
            g = g + weight_decay * p
        m += (1 - b1) * (g - m)
        u[...] = maximum(b2 * u, abs(g) + eps)
        p -= lr / (1 - b1**t) * m / u
