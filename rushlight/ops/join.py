"""Joining tensors."""

from __future__ import annotations

from rushlight.core.op import Op


class Cat(Op):
    """Tensors of one dtype, and one shape but for ``dim``, one after another along ``dim``."""

    variadic = True

    def eager(self, xp, *tensors, dim):
        # several transposed tensors would stay so
        return xp.ascontiguousarray(xp.concatenate(tensors, dim))

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
        lead = (slice(None),) * dim
        return xp.ascontiguousarray(xp.concatenate([t[(*lead, None, ...)] for t in tensors], dim))

    def grads(self, g, needs, dim):
        return [g.select(dim, i) if need else None for i, need in enumerate(needs)]
