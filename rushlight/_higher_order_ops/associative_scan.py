"""Running combinations of what lies along a dim."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.func import vmap
from rushlight.tensor_api._common import wrap_dim
from rushlight.utils import _pytree as pytree

MODES = ("pointwise", "generic")


def associative_scan(
    combine_fn: Callable[[Any, Any], Any],
    xs: Any,
    dim: int,
    reverse: bool = False,
    combine_mode: str = "pointwise",
) -> Any:
    """``[x0, x0 o x1, x0 o x1 o x2, ...]`` along ``dim``, where ``o`` is ``combine_fn``.

    ``combine_fn`` must be associative: neighbours are combined first, then their combinations, so
    that there are about 2 log2(n) calls for n elements.

    Args:
        combine_fn: takes two things like ``xs`` and gives another.
        xs: a tensor, or a tuple, list or dict of tensors of one size along ``dim``.
        reverse: begin at the end.
        combine_mode: "pointwise" if ``combine_fn`` treats each element by itself, "generic" if it
            treats each slice along ``dim`` by itself.

    Example:
        >>> import rushlight as torch
        >>> from rushlight._higher_order_ops.associative_scan import associative_scan
        >>> associative_scan(lambda a, b: a * b, torch.arange(1, 6), 0)
        tensor([  1,   2,   6,  24, 120])
    """
    if not callable(combine_fn):
        raise ValueError(f"Combine_fn must be a callable, but got {combine_fn}")
    if combine_mode not in MODES:
        raise ValueError(
            f"Combine_mode must either 'pointwise' or 'generic', but got {combine_mode}"
        )
    leaves, structure = pytree.tree_flatten(xs)
    if not leaves or not all([isinstance(t, Tensor) for t in leaves]):
        raise ValueError(f"associative_scan: xs must be made of tensors, but got {xs!r}.")
    moved = [t.movedim(wrap_dim(dim, t.ndim), 0) for t in leaves]
    if len({len(t) for t in moved}) != 1:
        sizes = [len(t) for t in moved]
        raise ValueError(f"associative_scan: sizes along dim {dim} must be equal, but are {sizes}.")

    def combined(a: list[Tensor], b: list[Tensor]) -> list[Tensor]:
        found = combine_fn(pytree.tree_unflatten(a, structure), pytree.tree_unflatten(b, structure))
        return pytree.tree_leaves(found)

    combine = vmap(combined) if combine_mode == "generic" else combined
    found = scanned(combine, [t.flip(0) if reverse else t for t in moved])
    found = [(t.flip(0) if reverse else t).movedim(0, wrap_dim(dim, t.ndim)) for t in found]
    return pytree.tree_unflatten(found, structure)


def scanned(combine: Callable[..., list[Tensor]], xs: list[Tensor]) -> list[Tensor]:
    """The running combinations along the first dim."""
    n = len(xs[0])
    if n < 2:
        return xs
    odd = scanned(combine, combine([t[: n - 1 : 2] for t in xs], [t[1::2] for t in xs]))
    even = [t[:1] for t in xs]
    if n > 2:
        after = combine([t[: (n - 1) // 2] for t in odd], [t[2::2] for t in xs])
        even = [T.cat(parts) for parts in zip(even, after, strict=True)]
    return [interleaved(a, b) for a, b in zip(even, odd, strict=True)]


def interleaved(even: Tensor, odd: Tensor) -> Tensor:
    """The first of the one, the first of the other, the second of the one, and so on."""
    pairs = T.stack([even[: len(odd)], odd], 1).flatten(0, 1)
    return pairs if len(even) == len(odd) else T.cat([pairs, even[-1:]])
