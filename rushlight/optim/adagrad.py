"""Adagrad."""

from __future__ import annotations

from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.optim.checks import check_at_least, check_eps, check_fused, check_lr
from rushlight.optim.optimizer import Optimizer, Params, counter, number


class Adagrad(Optimizer):
    r"""Steps scaled by the sum of all squared gradients so far.

        s <- s + g^2
        p <- p - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)

    Args:
        params: tensors to update, or dicts that each group tensors with their own options.
        lr: step size, >= 0.
        lr_decay: how fast the step size falls, >= 0.
        weight_decay: ``weight_decay p`` is added to g, >= 0.
        initial_accumulator_value: first value of s, >= 0.
        eps: added to the denominator, >= 0.
        foreach: accepted.
        maximize: step along the gradient.
        differentiable: record the step, so that gradients flow through it.
        fused: accepted.

    Example:
        >>> w = nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = torch.optim.Adagrad([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.9000])

    Reference: Duchi, Hazan and Singer, 2011, "Adaptive subgradient methods".
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr("Adagrad", lr)
        check_at_least(
            "Adagrad",
            0.0,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
        )
        check_eps("Adagrad", eps)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_fused("Adagrad", fused, foreach, differentiable)
        for group in self.param_groups:  # torch saves it from the start, so do we
            for p in group["params"]:
                self.state[p] = self.init_state(p, group)

    def init_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        first = group["initial_accumulator_value"]
        if p.is_complex():
            first = complex(first, first)
        return {"step": counter(group), "sum": T.full_like(p, first)}

    def update(
        self,
        p: Tensor,
        g: Tensor,
        state: dict[str, Any],
        *,
        lr: float,
        lr_decay: float,
        eps: float,
        weight_decay: float,
    ) -> None:
        state["step"] += 1
        t = number(state["step"])
        if weight_decay != 0:
            g = g + weight_decay * p
        s = state["sum"]
        s += g * g
        p -= lr / (1 + (t - 1) * lr_decay) * g / (s**0.5 + eps)

    def update_sparse(
        self,
        p: Tensor,
        g: Tensor,
        state: dict[str, Any],
        *,
        lr: float,
        lr_decay: float,
        eps: float,
        weight_decay: float,
    ) -> None:
        state["step"] += 1
        t = number(state["step"])
        g = g.coalesce()
        s = state["sum"]
        s += g * g
        std = s.sparse_mask(g).values().sqrt() + eps
        step = T.sparse_coo_tensor(g.indices(), g.values() / std, g.shape, is_coalesced=True)
        p.add_(step, alpha=-lr / (1 + (t - 1) * lr_decay))

    def check_gradient(self, sparse: bool, group: dict[str, Any]) -> None:
        if sparse and group["weight_decay"] != 0:
            raise RuntimeError("weight_decay option is not compatible with sparse gradients")
