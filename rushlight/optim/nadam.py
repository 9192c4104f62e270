"""NAdam."""

from __future__ import annotations

from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.optim.checks import check_at_least, check_betas, check_eps, check_lr
from rushlight.optim.optimizer import Optimizer, Params, count_dtype, counter, number


class NAdam(Optimizer):
    r"""Adam that looks one step ahead, with a momentum that warms up.

        mu_t = b1 (1 - 0.96^(t momentum_decay) / 2)
        m, v as in Adam;  V = sqrt(v / (1 - b2^t)) + eps;  M_t = mu_1 ... mu_t
        p <- p - lr (1 - mu_t) / (1 - M_t) g / V - lr mu_{t+1} / (1 - M_{t+1}) m / V

    Args:
        params: tensors to update, or dicts that each group tensors with their own options.
        lr: step size, >= 0.
        betas: decay of m and v per step, each in [0, 1).
        eps: added to the denominator, >= 0.
        weight_decay: >= 0.
        momentum_decay: >= 0.
        decoupled_weight_decay: shrink p as AdamW does, instead of changing g.
        foreach: accepted.
        maximize: step along the gradient.
        capturable: accepted.
        differentiable: record the step, so that gradients flow through it.

    Example:
        >>> w = nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = torch.optim.NAdam([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.8944])

    Reference: Dozat, 2016, "Incorporating Nesterov momentum into Adam".
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr("NAdam", lr)
        check_eps("NAdam", eps)
        check_betas("NAdam", betas)
        check_at_least("NAdam", 0.0, weight_decay=weight_decay, momentum_decay=momentum_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def init_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {
            "step": counter(group),
            "mu_product": T.ones((), dtype=count_dtype()),
            "exp_avg": T.zeros_like(p),
            "exp_avg_sq": T.zeros_like(p),
        }

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
        momentum_decay: float,
        decoupled_weight_decay: bool,
    ) -> None:
        (b1, b2), m, v = betas, state["exp_avg"], state["exp_avg_sq"]
        state["step"] += 1
        t = number(state["step"])
        if weight_decay != 0:
            if decoupled_weight_decay:
                p *= 1 - lr * weight_decay
            else:
                g = g + weight_decay * p
        mu = b1 * (1.0 - 0.5 * 0.96 ** (t * momentum_decay))
        mu_next = b1 * (1.0 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
        state["mu_product"] *= mu
        product = number(state["mu_product"])
        m += (1 - b1) * (g - m)
        v *= b2
        v += (1 - b2) * g * g
        spread = (v / (1 - b2**t)) ** 0.5 + eps
        p -= lr * (1.0 - mu) / (1.0 - product) * g / spread
        p -= lr * mu_next / (1.0 - product * mu_next) * m / spread
