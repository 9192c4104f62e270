"""Joining tensors."""

from __future__ import annotations

from typing import Any

from rushlight import formats
from rushlight.core.op import Op, packed


def shared_format(arrays: Any) -> formats.memory_format | None:
    """The channels-last format of all arrays; None where they have no such, or not the same."""
    wanted = formats.suggested(arrays[0])
    return wanted if all([formats.suggested(x) is wanted for x in arrays]) else None


def concatenated(xp: Any, arrays: Any, dim: int) -> Any:
    """What Cat makes of arrays: images with their channels last in memory stay so."""
    out = xp.concatenate(arrays, dim)
    if out.flags.c_contiguous:
        return out
    wanted = shared_format(arrays)
    return out if wanted and formats.is_in(out, wanted) else packed(out)  # transposed ones


SEVERAL = 5  # tensors: fewer are copied one by one


class Cat(Op):
    """Tensors of one dtype, and one shape but for ``dim``, one after another along ``dim``."""

    variadic = True

    def eager(self, xp, *tensors, dim):
        return concatenated(xp, tensors, dim)

    def grads(self, g, needs, specs, dim):
        out, at = [], 0
        for need, (shape, _) in zip(needs, specs, strict=True):
            out.append(g.narrow(dim, at, shape[dim]) if need else None)
            at += shape[dim]
        return out


def stacked(xp: Any, arrays: Any, dim: int) -> Any:
    """What Stack makes of arrays."""
    shape = arrays[0].shape
    if dim == 0 < len(shape) < 4 and len(arrays) < SEVERAL:
        out = xp.empty((len(arrays), *shape), arrays[0].dtype)
        for i, x in enumerate(arrays):
            out[i] = x
        return out
    if dim < len(shape) < 4:  # neighbours along dim, which is then divided
        out = xp.empty((*shape[:dim], len(arrays), *shape[dim:]), arrays[0].dtype)
        xp.concatenate(
            arrays,
            dim,
            out.reshape(*shape[:dim], len(arrays) * shape[dim], *shape[dim + 1 :]),
        )
        return out
    if dim < len(shape):
        joined = xp.concatenate(arrays, dim)
        wanted = shared_format(arrays)
        if wanted is None:
            joined = packed(joined)
        elif not formats.is_in(joined, wanted):
            joined = formats.copy_in(joined, wanted)
        return joined.reshape(*shape[:dim], len(arrays), *shape[dim:])
    return packed(xp.concatenate([x[..., None] for x in arrays], dim))


class Stack(Op):
    """Tensors of one shape and dtype along a new ``dim``."""

    variadic = True

    def eager(self, xp, *tensors, dim):
        return stacked(xp, tensors, dim)

    def grads(self, g, needs, dim):
        return [g.select(dim, i) if need else None for i, need in enumerate(needs)]
