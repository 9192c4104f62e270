"""AdamW: Adam with weight decay apart from the gradient."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.optim.adam import Adam
from rushlight.optim.optimizer import Params

__all__ = ["AdamW"]


class AdamW(Adam):
    r"""Adam that shrinks the parameters apart from the gradient.

        p <- (1 - lr weight_decay) p, then Adam's step

    Args:
        params: tensors to update, or dicts that each group tensors with their own options.
        lr: step size, >= 0.
        betas: decay of the two means per step, each in [0, 1).
        eps: added to the denominator, >= 0.
        weight_decay: >= 0.
        amsgrad: use the largest mean of squares so far.
        maximize: step along the gradient.
        foreach: accepted.
        capturable: accepted.
        differentiable: record the step, so that gradients flow through it.
        fused: accepted.

    Example:
        >>> w = nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = torch.optim.AdamW([w], lr=0.1, weight_decay=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.8900])

    Reference: Loshchilov and Hutter, 2019, arXiv:1711.05101.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
