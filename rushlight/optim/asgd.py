"""Averaged stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.optim.checks import check_at_least, check_lr
from rushlight.optim.optimizer import Optimizer, Params, count_dtype, counter, number


class ASGD(Optimizer):
    r"""Gradient descent with a falling step size, beside an average of the parameters.

        p <- (1 - lambd eta) p - eta g;   ax <- ax + mu (p - ax)
        eta = lr / (1 + lambd lr t)^alpha;   mu = 1 / max(1, t - t0)

    The average is ``state[p]["ax"]``.

    Args:
        params: tensors to update, or dicts that each group tensors with their own options.
        lr: first step size, >= 0.
        lambd: decay.
        alpha: power of the fall of eta.
        t0: step at which averaging starts.
        weight_decay: ``weight_decay p`` is added to g, >= 0.
        foreach: accepted.
        maximize: step along the gradient.
        differentiable: record the step, so that gradients flow through it.
        capturable: accepted.

    Example:
        >>> w = nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = torch.optim.ASGD([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.8000])

    Reference: Polyak and Juditsky, 1992, "Acceleration of stochastic approximation by averaging".
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr("ASGD", lr)
        check_at_least("ASGD", 0.0, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def init_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {
            "step": counter(group),
            "eta": T.tensor(float(group["lr"]), dtype=count_dtype()),
            "mu": T.ones((), dtype=count_dtype()),
            "ax": T.zeros_like(p),
        }

    def update(
        self,
        p: Tensor,
        g: Tensor,
        state: dict[str, Any],
        *,
        lr: float,
        lambd: float,
        alpha: float,
        t0: float,
        weight_decay: float,
    ) -> None:
        state["step"] += 1
        t, eta, mu = (number(state[name]) for name in ("step", "eta", "mu"))
        if weight_decay != 0:
            g = g + weight_decay * p
        p *= 1 - lambd * eta
        p -= eta * g
        if mu == 1:
            state["ax"][...] = p
        else:
            state["ax"] += mu * (p - state["ax"])
        state["eta"][...] = lr / (1 + lambd * lr * t) ** alpha
        state["mu"][...] = 1 / max(1, t - t0)
