"""Joining tensors."""

from __future__ import annotations

from typing import Any

from rushlight import formats
from rushlight.core.op import Op, packed


def concatenated(xp: Any, arrays: Any, dim: int) -> Any:
    """What Cat makes of arrays."""
    out = xp.concatenate(arrays, dim)  # several transposed ones would stay so
    return out if out.flags.c_contiguous else packed(out)


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
        wanted = formats.suggested(arrays[0])
        if wanted and all([formats.suggested(x) is wanted for x in arrays]):
            joined = formats.copy_in(joined, wanted)
        elif not joined.flags.c_contiguous:
            joined = packed(joined)
        return joined.reshape(*shape[:dim], len(arrays), *shape[dim:])
    return packed(xp.concatenate([x[..., None] for x in arrays], dim))


class Stack(Op):
    """Tensors of one shape and dtype along a new ``dim``."""

    variadic = True

    def eager(self, xp, *tensors, dim):
        return stacked(xp, tensors, dim)

    def grads(self, g, needs, dim):
        return [g.select(dim, i) if need else None for i, need in enumerate(needs)]
