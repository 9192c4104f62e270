"""SparseAdam, for gradients with few entries that are not zero."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.optim.checks import check_betas, check_lr
from rushlight.optim.optimizer import Optimizer, Params


class SparseAdam(Optimizer):
    """Adam that updates only the entries that a sparse gradient holds.

    Gradients here are dense, so a step raises RuntimeError: use ``Adam``.

    Args:
        params: tensors to update, or dicts that each group tensors with their own options.
        lr: step size, > 0.
        betas: decay of the two means per step, each in [0, 1).
        eps: added to the denominator, > 0.
        maximize: step along the gradient.
    """

    _on_arrays = False

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

    def update(self, p: Tensor, g: Tensor, state: dict[str, Any]) -> None:
        raise RuntimeError(
            "SparseAdam does not support dense gradients, please consider Adam instead"
        )
