"""Rprop."""

from __future__ import annotations

from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.optim.checks import check_lr
from rushlight.optim.optimizer import Optimizer, Params, counter


class Rprop(Optimizer):
    r"""Steps by sign only, whose size grows while the sign stays and shrinks when it changes.

        s = g g_old;  d <- clip(d * (eta+ if s > 0, eta- if s < 0, else 1), step_sizes)
        p <- p - d sign(g), except that g counts as 0 where s < 0

    Args:
        params: tensors to update, or dicts that each group tensors with their own options.
        lr: first step size, >= 0.
        etas: (eta-, eta+) with 0 < eta- < 1 < eta+.
        step_sizes: (smallest, largest) step.
        capturable: accepted.
        foreach: accepted.
        maximize: step along the gradient.
        differentiable: record the step, so that gradients flow through it.

    Example:
        >>> w = nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = torch.optim.Rprop([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.9000])

    Reference: Riedmiller and Braun, 1993, "A direct adaptive method for faster backpropagation
    learning".
    """

    _on_arrays = False

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr("Rprop", lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(
                f"Rprop: Invalid eta values: {etas[0]}, {etas[1]}; the first must lie in "
                "(0, 1), the second above 1."
            )
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def init_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        lr = float(group["lr"])
        first = complex(lr, lr) if p.is_complex() else lr
        return {
            "step": counter(group),
            "prev": T.zeros_like(p),
            "step_size": T.full_like(p, first),
        }

    def update(
        self,
        p: Tensor,
        g: Tensor,
        state: dict[str, Any],
        *,
        etas: tuple[float, float],
        step_sizes: tuple[float, float],
    ) -> None:
        previous, d = state["prev"], state["step_size"]
        state["step"] += 1
        product = g * previous
        turned = product < 0
        factor = T.ones_like(product).masked_fill(turned, etas[0])
        d.mul_(factor.masked_fill(product > 0, etas[1])).clamp_(*step_sizes)
        g = g.masked_fill(turned, 0.0)
        p.addcmul_(g.sign(), d, value=-1)
        previous.copy_(g)
