"""A loop over the slices of tensors that hands a state on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight._higher_order_ops.map import slices, stacked
from rushlight.utils import _pytree as pytree


def scan(
    combine_fn: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any,
    *,
    dim: int = 0,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """The last state, and what each step gives: ``state, y = combine_fn(state, x)`` for each slice
    ``x`` of ``xs`` along ``dim``.

    Args:
        combine_fn: takes a state and a slice; gives the next state and an output.
        init: the first state: a tensor, or a tuple, list or dict of tensors.
        xs: a tensor, or a tuple, list or dict of tensors of one size along ``dim``.
        reverse: begin at the last slice; outputs stay in the order of slices.

    Returns: the last state, and the outputs stacked along a new ``dim``.

    Example:
        >>> import rushlight as torch
        >>> from rushlight._higher_order_ops.scan import scan
        >>> scan(lambda s, x: (s + x, s * x), torch.tensor(0), torch.arange(1, 5))
        (tensor(10), tensor([ 0,  2,  9, 24]))
    """
    if not callable(combine_fn):
        raise RuntimeError(f"scan: combine_fn must be callable, but is {combine_fn!r}.")
    structure, state, outputs = pytree.tree_structure(init), init, []
    for x in slices("scan", xs, dim)[:: -1 if reverse else 1]:
        state, output = combine_fn(state, x)
        if pytree.tree_structure(state) != structure:
            raise RuntimeError(
                "scan: combine_fn must give a state like init, but gave "
                f"{pytree.tree_structure(state)} for {structure}."
            )
        outputs.append(output)
    return state, stacked(outputs[:: -1 if reverse else 1], dim)
