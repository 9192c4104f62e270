"""Checks of optimizer arguments: same exception type and key words as torch, plus the valid
range.
"""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import Tensor


def check_lr(owner: str, lr: Any, foreach: bool | None = None, capturable: bool = False) -> None:
    if isinstance(lr, Tensor):
        if foreach and not capturable:
            raise ValueError(
                f"{owner}: lr as a Tensor is not supported for capturable=False and foreach=True; "
                "pass a number."
            )
        if lr.numel() != 1:
            raise ValueError(
                f"{owner}: Tensor lr must be 1-element, but has shape {tuple(lr.shape)}."
            )
    elif isinstance(lr, str):  # YAML reads 1e-3 so
        raise TypeError(f"{owner}: lr is the text {lr!r}; it must be a number: float({lr!r}).")
    if not lr >= 0.0:
        raise ValueError(f"{owner}: Invalid learning rate: {lr}; it must be >= 0.")


def check_at_least(owner: str, low: float, **values: Any) -> None:
    """Each value must be >= ``low``."""
    for name, value in values.items():
        if not value >= low:
            raise ValueError(f"{owner}: Invalid {name} value: {value}; it must be >= {low:g}.")


def check_eps(owner: str, eps: float) -> None:
    if not eps >= 0.0:
        raise ValueError(f"{owner}: Invalid epsilon value: {eps}; it must be >= 0.")


def check_betas(owner: str, betas: Any, foreach: bool | None = None) -> None:
    if isinstance(betas[0], Tensor) != isinstance(betas[1], Tensor):
        raise ValueError(f"{owner}: betas must be either both floats or both Tensors, got {betas}.")
    for i, beta in enumerate(betas):
        if isinstance(beta, Tensor):
            if foreach:
                raise ValueError(
                    f"{owner}: betas[{i}] as a Tensor is not supported for capturable=False and "
                    "foreach=True; pass a number."
                )
            if beta.numel() != 1:
                raise ValueError(f"{owner}: Tensor betas[{i}] must be 1-element.")
        if not 0.0 <= beta < 1.0:
            raise ValueError(
                f"{owner}: Invalid beta parameter at index {i}: {beta}; it must lie in [0, 1)."
            )


def check_fused(owner: str, fused: bool | None, foreach: bool | None, differentiable: bool) -> None:
    if fused and differentiable:
        raise RuntimeError(f"{owner}: `fused` does not support `differentiable`; choose one.")
    if fused and foreach:
        raise RuntimeError(
            f"{owner}: `fused` and `foreach` cannot be `True` together. Both only ask for speed; "
            "here every step is written once."
        )
