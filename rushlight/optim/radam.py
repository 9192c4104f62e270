"""RAdam."""

from __future__ import annotations

from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.optim.checks import check_at_least, check_betas, check_eps, check_lr
from rushlight.optim.optimizer import Optimizer, Params, counter, number


class RAdam(Optimizer):
    r"""Adam that trusts its scaling only once the mean square rests on enough steps.

        m, v as in Adam;  n = 2 / (1 - b2) - 1;  n_t = n - 2 t b2^t / (1 - b2^t)
        n_t > 5:   p <- p - lr m / (1 - b1^t) r sqrt(1 - b2^t) / (sqrt(v) + eps),
                   r = sqrt((n_t - 4) (n_t - 2) n / ((n - 4) (n - 2) n_t))
        otherwise: p <- p - lr m / (1 - b1^t)

    Args:
        params: tensors to update, or dicts that each group tensors with their own options.
        lr: step size, >= 0.
        betas: decay of m and v per step, each in [0, 1).
        eps: added to the denominator, >= 0.
        weight_decay: >= 0.
        decoupled_weight_decay: shrink p as AdamW does, instead of changing g.
        foreach: accepted.
        maximize: step along the gradient.
        capturable: accepted.
        differentiable: record the step, so that gradients flow through it.

    Example:
        >>> w = nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = torch.optim.RAdam([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.8000])

    Reference: Liu and others, 2020, arXiv:1908.03265.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr("RAdam", lr)
        check_eps("RAdam", eps)
        check_betas("RAdam", betas)
        check_at_least("RAdam", 0.0, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def init_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {"step": counter(group), "exp_avg": T.zeros_like(p), "exp_avg_sq": T.zeros_like(p)}

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
        m += (1 - b1) * (g - m)
        v *= b2
        v += (1 - b2) * g * g
        n = 2 / (1 - b2) - 1
        n_t = n - 2 * t * b2**t / (1 - b2**t)
        rate = lr / (1 - b1**t)
        if n_t > 5.0:
            r = ((n_t - 4) * (n_t - 2) * n / ((n - 4) * (n - 2) * n_t)) ** 0.5
            p -= rate * r * (1 - b2**t) ** 0.5 * m / (v**0.5 + eps)
        else:
            p -= rate * m
