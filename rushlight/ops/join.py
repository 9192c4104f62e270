"""Joining tensors."""

from __future__ import annotations

from rushlight import formats
from rushlight.core.op import Op, packed

SEVERAL = 5  # tensors: fewer are copied one by one


class Cat(Op):
    """Tensors of one dtype, and one shape but for ``dim``, one after another along ``dim``."""

    variadic = True

    def eager(self, xp, *tensors, dim):
        out = xp.concatenate(tensors, dim)  # several transposed tensors would stay so
        return out if out.flags.c_contiguous else packed(out)

    def grads(self, g, needs, specs, dim):
        out, at = [], 0
        for need, (shape, _) in zip(needs, specs, strict=True):
            out.append(g.narrow(dim, at, shape[dim]) if need else None)
            at += shape[dim]
        return out


class Stack(Op):
    """Tensors of one shape and dtype along a new ``dim``."""

    variadic = True

    def eager(self, xp, *tensors, dim):
        shape = tensors[0].shape
        if dim < len(shape) < 4:  # neighbours along dim, which is then divided
            out = xp.empty((*shape[:dim], len(tensors), *shape[dim:]), tensors[0].dtype)
            if len(tensors) < SEVERAL and not dim:
                for i, t in enumerate(tensors):
                    out[i] = t
                return out
            xp.concatenate(
                tensors,
                dim,
                out.reshape(*shape[:dim], len(tensors) * shape[dim], *shape[dim + 1 :]),
            )
            return out
        if dim < len(shape):
            joined = xp.concatenate(tensors, dim)
            wanted = formats.suggested(tensors[0])
            if wanted and all([formats.suggested(t) is wanted for t in tensors]):
                joined = formats.copy_in(joined, wanted)
            elif not joined.flags.c_contiguous:
                joined = packed(joined)
            return joined.reshape(*shape[:dim], len(tensors), *shape[dim:])
        return packed(xp.concatenate([t[..., None] for t in tensors], dim))

    def grads(self, g, needs, dim):
        return [g.select(dim, i) if need else None for i, need in enumerate(needs)]
