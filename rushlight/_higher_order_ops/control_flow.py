"""``cond`` and ``while_loop``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.core.tensor import Tensor


def _truth(pred: Any) -> bool:
    if isinstance(pred, Tensor) and pred.numel() != 1:
        raise RuntimeError(
            "Expected pred to be bool or single-element tensor, but got a tensor of shape "
            f"{tuple(pred.shape)}."
        )
    if not isinstance(pred, (bool, int, float, Tensor)):
        raise RuntimeError(f"Expected pred to be bool or tensor, but got {pred!r}.")
    return bool(pred)


def cond(
    pred: Any,
    true_fn: Callable[..., Any],
    false_fn: Callable[..., Any],
    operands: tuple[Any, ...] | list[Any] = (),
) -> Any:
    """``true_fn(*operands)`` if pred holds, else ``false_fn(*operands)``.

    Args:
        pred: a bool, or a tensor of one element.
        true_fn, false_fn: what to call.
        operands: their arguments.

    Example:
        >>> import rushlight as torch
        >>> torch.cond(torch.tensor(True), lambda x: x + 1, lambda x: x - 1, (torch.ones(1),))
        tensor([2.])
    """
    if not callable(true_fn) or not callable(false_fn):
        raise RuntimeError("Expect both branches of cond to be callable.")
    if not isinstance(operands, (tuple, list)):
        raise RuntimeError(
            f"Expect operands to be a tuple or list of tensors, but got {type(operands).__name__}."
        )
    return true_fn(*operands) if _truth(pred) else false_fn(*operands)


def while_loop(
    cond_fn: Callable[..., Any], body_fn: Callable[..., Any], carried_inputs: Any
) -> tuple[Any, ...]:
    """``body_fn(*values)`` gives the next values as long as ``cond_fn(*values)`` holds.

    Example:
        >>> import rushlight as torch
        >>> torch.while_loop(lambda x: x < 9, lambda x: (x * 2,), (torch.tensor(1),))
        (tensor(16),)
    """
    values = tuple(carried_inputs)
    while _truth(cond_fn(*values)):
        found = body_fn(*values)
        values = tuple(found) if isinstance(found, (tuple, list)) else (found,)
        if len(values) != len(carried_inputs):
            raise RuntimeError(
                f"while_loop: body_fn must return as many values as there are, "
                f"{len(carried_inputs)}, but returned {len(values)}."
            )
    return values
