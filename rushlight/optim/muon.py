"""Muon."""

from __future__ import annotations

import math
from typing import Any

from rushlight import dtypes, tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.optim.checks import check_at_least, check_lr
from rushlight.optim.optimizer import Optimizer, Params

BFLOAT16 = dtypes.by_name["bfloat16"]


class Muon(Optimizer):
    r"""Momentum steps for matrices, with all singular values made (nearly) equal.

        b <- momentum b + (1 - momentum) g;   u = orthogonal(momentum b + (1 - momentum) g, or b)
        p <- (1 - lr weight_decay) p - lr s u

    For the weights of hidden layers; train the rest with AdamW.

    Args:
        params: matrices to update, or dicts that each group matrices with their own options.
        lr: step size, >= 0.
        weight_decay: >= 0.
        momentum: in [0, 1).
        nesterov: mix the gradient into the direction once more.
        ns_coefficients: of the polynomial that drives singular values to 1.
        eps: least norm to divide by.
        ns_steps: how often the polynomial is applied, < 100.
        adjust_lr_fn: s: None or "original" ``sqrt(max(1, rows / columns))``, "match_rms_adamw"
            ``0.2 sqrt(max(rows, columns))``.

    Example:
        >>> w = nn.Parameter(torch.eye(2))
        >>> optimizer = torch.optim.Muon([w], lr=0.1, weight_decay=0.0)
        >>> w.square().sum().backward()
        >>> optimizer.step()
        >>> bool(w[0, 0] < 1)
        True

    Reference: Jordan and others, 2024, "Muon: an optimizer for hidden layers in neural networks";
        Liu and
    others, 2025, arXiv:2502.16982.
    """

    _on_arrays, _adds_up = False, True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        check_lr("Muon", lr)
        check_at_least("Muon", 0.0, momentum=momentum, weight_decay=weight_decay)
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(
                f"Muon: Adjust learning rate function {adjust_lr_fn} is not supported; use "
                "'original' or 'match_rms_adamw'."
            )
        if ns_steps >= 100:
            raise ValueError(f"Muon: ns_steps is {ns_steps}; it must be less than 100.")
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                if p.dim() != 2:
                    raise ValueError(
                        "Muon only supports 2D parameters whereas we found a parameter with size: "
                        f"{p.shape}; give the others to AdamW."
                    )

    def init_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        if p.is_complex():
            raise RuntimeError("Muon does not support complex parameters")
        return {"momentum_buffer": T.zeros_like(p)}

    def update(
        self,
        p: Tensor,
        g: Tensor,
        state: dict[str, Any],
        *,
        lr: float,
        weight_decay: float,
        momentum: float,
        nesterov: bool,
        ns_coefficients: tuple[float, float, float],
        eps: float,
        ns_steps: int,
        adjust_lr_fn: str | None,
    ) -> None:
        b = state["momentum_buffer"].lerp_(g, 1 - momentum)
        u = orthogonal(g.lerp(b, momentum) if nesterov else b, ns_coefficients, ns_steps, eps)
        rows, columns = p.shape
        if adjust_lr_fn == "match_rms_adamw":
            scale = 0.2 * math.sqrt(max(rows, columns))
        else:
            scale = math.sqrt(max(1, rows / columns))
        p.mul_(1 - lr * weight_decay).add_(u.to(p.dtype), alpha=-lr * scale)


def orthogonal(
    g: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Tensor:
    """The matrix with the singular vectors of ``g`` and singular values near 1, in bfloat16.

    Newton and Schulz's iteration ``X <- a X + (b A + c A^2) X`` with ``A = X X^T``, on the wide
    side.
    """
    a, b, c = coefficients
    x = g.to(BFLOAT16)
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.t()
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.t()
        x = _combined(a, x, 1.0, _combined(b, gram, c, gram, gram), x)
    return x.t() if tall else x


def _combined(beta: float, z: Tensor, alpha: float, x: Tensor, y: Tensor) -> Tensor:
    """``beta z + alpha x @ y``, rounded to bfloat16 once."""
    return T.addmm(z.float(), x.float(), y.float(), beta=beta, alpha=alpha).to(BFLOAT16)
