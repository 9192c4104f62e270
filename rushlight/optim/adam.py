"""Adam: steps scaled by running means of the gradient and of its square."""

from __future__ import annotations

from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.optim.checks import check_at_least, check_betas, check_eps, check_fused, check_lr
from rushlight.optim.optimizer import Optimizer, Params, counter, maximum, number


class Adam(Optimizer):
    r"""Steps scaled by running means of the gradient and its square.

        m <- b1 m + (1 - b1) g      v <- b2 v + (1 - b2) g^2
        p <- p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

    Args:
        params: tensors to update, or dicts that each group tensors with their own options.
        lr: step size, >= 0.
        betas: decay of m and v per step, each in [0, 1).
        eps: added to the denominator, >= 0.
        weight_decay: ``weight_decay p`` is added to g, >= 0.
        amsgrad: use the largest v so far.
        foreach: accepted.
        maximize: step along the gradient.
        capturable: accepted.
        differentiable: record the step, so that gradients flow through it.
        fused: accepted.
        decoupled_weight_decay: shrink p by ``lr weight_decay`` instead of changing g (as AdamW).

    Example:
        >>> w = nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = torch.optim.Adam([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.9000])

    Reference: Kingma and Ba, 2015, arXiv:1412.6980, algorithm 1; amsgrad: Reddi, Kale and Kumar,
        2018.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        owner = type(self).__name__
        check_lr(owner, lr, foreach, capturable)
        check_eps(owner, eps)
        check_betas(owner, betas, foreach and not capturable)
        check_at_least(owner, 0.0, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": tuple(betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)
        check_fused(owner, fused, foreach, differentiable)

    def init_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state = {
            "step": counter(group),
            "exp_avg": T.zeros_like(p),
            "exp_avg_sq": T.zeros_like(p),
        }
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = T.zeros_like(p)
        return state

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
        amsgrad: bool,
        decoupled_weight_decay: bool,
    ) -> None:
        b1, b2 = number(betas[0]), number(betas[1])
        m, v = state["exp_avg"], state["exp_avg_sq"]
        state["step"] += 1
        t = number(state["step"])
        if weight_decay != 0:
            if decoupled_weight_decay:
                p *= 1 - lr * weight_decay
            else:
                g = g + weight_decay * p
        m += (1 - b1) * (g - m)
        v *= b2
        v += (1 - b2) * g * g
        if amsgrad:
            state["max_exp_avg_sq"][...] = v = maximum(state["max_exp_avg_sq"], v)
        p -= lr / (1 - b1**t) * m / (v**0.5 * (1 - b2**t) ** -0.5 + eps)
