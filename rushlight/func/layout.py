"""Reordering, merging and splitting dims by a pattern."""

from __future__ import annotations

import math
import re
from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.tensor_api.joining import stack


def rearrange(tensor: Any, pattern: str, **axes_lengths: int) -> Tensor:
    """A tensor with its dims named, reordered, merged and split.

    Args:
        tensor: a tensor, or a list of them, which are stacked first.
        pattern: names on the left of ``->`` stand for dims, those in parentheses for factors of
            one; on the right they say what becomes of them. ``1`` is a dim of size one, ``...`` any
            others.
        axes_lengths: sizes of factors.

    Example:
        >>> import rushlight as torch
        >>> torch.func.rearrange(torch.ones(6, 4), "(a b) c -> c a b", a=2).shape
        torch.Size([4, 2, 3])
    """
    x = tensor if isinstance(tensor, Tensor) else stack(list(tensor))
    sides = pattern.split("->")
    if len(sides) != 2:
        raise ValueError(f"rearrange: the pattern {pattern!r} needs one '->'.")
    left, right = (_groups(side) for side in sides)
    names = _checked_names(left, right, pattern)
    left, right = _without_ellipsis(left, right, x.dim())
    if len(left) != x.dim():
        raise ValueError(
            f"rearrange: the left side of {pattern!r} has {len(left)} dims, and the tensor "
            f"{x.dim()}."
        )
    for name in axes_lengths:
        if name not in names:
            raise ValueError(f"rearrange: {name!r} is not in the pattern {pattern!r}.")
    sizes: dict[str, int] = {}
    for group, size in zip(left, x.shape, strict=True):
        sizes.update(_factors(group, size, axes_lengths, pattern))
    flat = [name for group in left for name in group]
    order = [flat.index(name) for group in right for name in group]
    split = x.reshape([sizes[name] for name in flat]).permute(order)
    return split.reshape([math.prod([sizes[name] for name in group]) for group in right])


def _groups(side: str) -> list[Any]:
    """One list of names per dim, and "..." for any number; ``1`` is a dim without factors."""
    out: list[Any] = []
    for group, name in re.findall(r"\(([^()]*)\)|(\.\.\.|\w+)", side):
        if name == "...":
            out.append(name)
            continue
        names = [name] if name else group.split()
        out.append([] if names == ["1"] else names)
    return out


def _checked_names(left: Any, right: Any, pattern: str) -> list[str]:
    mine, other = ([name for group in side for name in _names(group)] for side in (left, right))
    for names in (mine, other):
        if len(set(names)) != len(names):
            raise ValueError(f"rearrange: a name occurs twice on one side of {pattern!r}.")
    if set(mine) != set(other):
        raise ValueError(f"rearrange: both sides of {pattern!r} must have the same names.")
    return mine


def _names(group: Any) -> list[str]:
    return [group] if isinstance(group, str) else group


def _without_ellipsis(left: Any, right: Any, dims: int) -> tuple[Any, Any]:
    """Both sides with a name for each dim that ``...`` stands for."""
    extra = [f"...{i}" for i in range(dims - len(left) + 1)] if "..." in left else []

    def expand(side: Any) -> Any:
        out = []
        for group in side:
            if group == "...":
                out.extend([[name] for name in extra])
            elif "..." in group:
                at = group.index("...")
                out.append([*group[:at], *extra, *group[at + 1 :]])
            else:
                out.append(group)
        return out

    return expand(left), expand(right)


def _factors(group: list[str], size: int, given: dict[str, int], pattern: str) -> dict[str, int]:
    """The size of each factor of one dim; at most one may be left open."""
    known = {name: given[name] for name in group if name in given}
    unknown = [name for name in group if name not in given]
    rest, left_over = divmod(size, math.prod(known.values())) if known else (size, 0)
    if len(unknown) > 1 or left_over or (not unknown and rest != 1):
        raise ValueError(
            f"rearrange: a dim of size {size} cannot be split into {group} in {pattern!r}; give "
            "the sizes of all but one, and let their product divide it."
        )
    return {**known, **dict.fromkeys(unknown, rest)}
