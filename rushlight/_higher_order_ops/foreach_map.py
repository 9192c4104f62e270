"""A function mapped over lists of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def foreach_map(op: Callable[..., Any], *operands: Any, **kwargs: Any) -> Any:
    """``op`` of the first elements of all lists, of the second, and so on; what is no list is the
    same in every call.

    Example:
        >>> import rushlight as torch
        >>> from rushlight._higher_order_ops.foreach_map import foreach_map
        >>> foreach_map(torch.add, [torch.ones(1), torch.zeros(2)], 2)
        [tensor([3.]), tensor([2., 2.])]
    """
    lists = [o for o in operands if isinstance(o, (list, tuple))]
    if not lists:
        raise ValueError("foreach_map: expected at least one list of tensors.")
    if len({*map(len, lists)}) != 1:
        raise ValueError(
            f"foreach_map: expected lists of equal lengths, but got {[*map(len, lists)]}."
        )
    results = [
        op(*[o[i] if isinstance(o, (list, tuple)) else o for o in operands], **kwargs)
        for i in range(len(lists[0]))
    ]
    if results and isinstance(results[0], tuple):
        return tuple([list(parts) for parts in zip(*results, strict=True)])
    return results
