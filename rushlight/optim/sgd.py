"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.optim.checks import check_at_least, check_fused, check_lr
from rushlight.optim.optimizer import Optimizer, Params, copied


class SGD(Optimizer):
    r"""Steps against the gradient, optionally against a running sum of gradients.

        g <- g + weight_decay p
        b <- momentum b + (1 - dampening) g     (b = g at the first step)
        p <- p - lr b                           (nesterov: p - lr (g + momentum b))

    Args:
        params: tensors to update, or dicts that each group tensors with their own options.
        lr: step size, >= 0.
        momentum: share of the old direction that is kept, >= 0.
        dampening: share of the gradient that is left out of the direction.
        weight_decay: pull towards zero, >= 0.
        nesterov: look one step ahead; needs momentum and no dampening.
        maximize: step along the gradient.
        foreach: accepted.
        differentiable: record the step, so that gradients flow through it.
        fused: accepted.

    Example:
        >>> w = nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.9)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.8000])

    Reference: Sutskever, Martens, Dahl and Hinton, 2013, "On the importance of initialization and
    momentum in deep learning".
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr("SGD", lr)
        check_at_least("SGD", 0.0, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError(
                "SGD: Nesterov momentum requires a momentum and zero dampening; got "
                f"momentum={momentum}, dampening={dampening}."
            )
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_fused("SGD", fused, foreach, differentiable)

    def update(
        self,
        p: Tensor,
        g: Tensor,
        state: dict[str, Any],
        *,
        lr: float,
        momentum: float,
        dampening: float,
        weight_decay: float,
        nesterov: bool,
    ) -> None:
        if weight_decay != 0:
            g = g + weight_decay * p
        if momentum != 0:
            b = state.get("momentum_buffer")
            if b is None:
                b = state["momentum_buffer"] = copied(g)
            else:
                b *= momentum
                b += g if dampening == 0 else (1 - dampening) * g
            g = g + momentum * b if nesterov else b
        p -= lr * g

    def update_sparse(self, p: Tensor, g: Tensor, state: dict[str, Any], **options: Any) -> None:
        self.update(p, g, state, **options)

    def check_gradient(self, sparse: bool, group: dict[str, Any]) -> None:
        if sparse and group["weight_decay"] != 0:
            raise RuntimeError(
                "SGD: weight_decay is not compatible with sparse gradients, since it would change"
                " every element; use layers with sparse=False, or no weight_decay."
            )
