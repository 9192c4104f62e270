"""SparseAdam, for gradients with few entries that are not zero."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import tensor_api as T
from rushlight.core.sparse import SparseArray
from rushlight.core.tensor import Tensor, bump
from rushlight.optim.checks import check_betas, check_lr
from rushlight.optim.optimizer import Optimizer, Params


class SparseAdam(Optimizer):
    r"""Adam that updates only the entries that a sparse gradient holds, of the parameter as of the
    means. Gradients are those of ``nn.Embedding(..., sparse=True)``; dense ones raise RuntimeError.

        m <- b1 m + (1 - b1) g      v <- b2 v + (1 - b2) g^2
        p <- p - lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps)

    Args:
        params: tensors to update, or dicts that each group tensors with their own options.
        lr: step size, > 0.
        betas: decay of the two means per step, each in [0, 1).
        eps: added to the denominator, > 0.
        maximize: step along the gradient.

    Example:
        >>> table = nn.Embedding(10, 2, sparse=True)
        >>> before = table.weight.detach().clone()
        >>> optimizer = torch.optim.SparseAdam(table.parameters(), lr=0.1)
        >>> table(torch.tensor([3])).sum().backward()
        >>> optimizer.step()
        >>> (table.weight != before).any(1).nonzero()
        tensor([[3]])
    """

    _on_arrays = _step_is_tensor = False
    _options = "lr", "betas", "eps"
    _usual = SparseArray

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        check_lr("SparseAdam", lr)
        if not eps > 0.0:
            raise ValueError(f"SparseAdam: Invalid epsilon value: {eps}; it must be > 0.")
        check_betas("SparseAdam", betas)
        defaults = {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize}
        super().__init__(params, defaults)
        if any(p.is_complex() for group in self.param_groups for p in group["params"]):
            raise ValueError("SparseAdam does not support complex parameters; use Adam.")

    def init_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {"step": 0, "exp_avg": T.zeros_like(p), "exp_avg_sq": T.zeros_like(p)}

    def check_gradient(self, sparse: bool, group: dict[str, Any]) -> None:
        if not sparse:
            raise RuntimeError(
                "SparseAdam does not support dense gradients, please consider Adam instead"
            )

    def update_sparse(
        self,
        p: Tensor,
        g: Tensor,
        state: dict[str, Any],
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
    ) -> None:
        state["step"] += 1
        (b1, b2), t = betas, state["step"]
        entries = g.coalesce()._array
        if not entries.values.size:
            return
        at, new = tuple(entries.pattern.coordinates), entries.values
        x, m, v = [a._array for a in (p, state["exp_avg"], state["exp_avg_sq"])]
        mean, square = m[at], v[at]
        mean += (new - mean) * (1 - b1)
        square += (new * new - square) * (1 - b2)
        m[at], v[at] = mean, square
        x[at] -= lr * math.sqrt(1 - b2**t) / (1 - b1**t) * (mean / (np.sqrt(square) + eps))
        for changed in (p, state["exp_avg"], state["exp_avg_sq"]):
            bump(changed)
