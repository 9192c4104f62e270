"""RMSprop."""

from __future__ import annotations

from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.optim.checks import check_at_least, check_eps, check_lr
from rushlight.optim.optimizer import Optimizer, Params, counter


class RMSprop(Optimizer):
    r"""Steps scaled by a running mean of the gradient's square.

        v <- alpha v + (1 - alpha) g^2
        p <- p - lr g / (sqrt(v) + eps)

    centered: ``sqrt(v - mean(g)^2)`` instead. momentum: ``b <- momentum b + g / (...)``, ``p <- p -
        lr b``.

    Args:
        params: tensors to update, or dicts that each group tensors with their own options.
        lr: step size, >= 0.
        alpha: decay of v per step, >= 0.
        eps: added to the denominator, >= 0.
        weight_decay: ``weight_decay p`` is added to g, >= 0.
        momentum: share of the old direction that is kept, >= 0.
        centered: divide by the spread instead of the size of the gradient.
        capturable: accepted.
        foreach: accepted.
        maximize: step along the gradient.
        differentiable: record the step, so that gradients flow through it.

    Example:
        >>> w = nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = torch.optim.RMSprop([w], lr=0.01)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.9000])

    Reference: Hinton, 2012, "Neural networks for machine learning", lecture 6; centered: Graves,
        2013,
    arXiv:1308.0850.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr("RMSprop", lr)
        check_eps("RMSprop", eps)
        check_at_least("RMSprop", 0.0, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def init_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state = {"step": counter(group), "square_avg": T.zeros_like(p)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = T.zeros_like(p)
        if group["centered"]:
            state["grad_avg"] = T.zeros_like(p)
        return state

    def update(
        self,
        p: Tensor,
        g: Tensor,
        state: dict[str, Any],
        *,
        lr: float,
        alpha: float,
        eps: float,
        weight_decay: float,
        momentum: float,
        centered: bool,
    ) -> None:
        v = state["square_avg"]
        state["step"] += 1
        if weight_decay != 0:
            g = g + weight_decay * p
        v *= alpha
        v += (1 - alpha) * g * g
        if centered:
            mean = state["grad_avg"]
            mean += (1 - alpha) * (g - mean)
            v = v - mean * mean
        spread = v**0.5 + eps
        if momentum > 0:
            b = state["momentum_buffer"]
            b *= momentum
            b += g / spread
            p -= lr * b
        else:
            p -= lr * g / spread
