"""Writing by index, where values that meet at one place are combined."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.native import widened
from rushlight.core.op import Op
from rushlight.core.tensor import Tensor
from rushlight.ops.create import zeros
from rushlight.ops.places import combine_at, flat_places, moved
from rushlight.ops.scatter import at, check_scatter, embedded, trimmed
from rushlight.ops.slices import check_slices, slice_places

REDUCERS: dict[str, Any] = {
    "sum": np.add,
    "prod": np.multiply,
    "amax": np.maximum,
    "amin": np.minimum,
    "mean": np.add,
}


# the loops that combine elements
ADDED = {"sum": "add each", "prod": "times each", "amax": "greatest each", "amin": "least each"}


class ScatterReduce(Op):
    """``scatter`` that combines what meets at one place: sum, prod, mean, amax or amin; with
    ``include_self`` the old value too.
    """

    overlap = "none"

    def eager(self, xp, input, index, src, *, dim, reduce, include_self):
        out = input.copy()
        self.store(out, [index, src], {"dim": dim, "reduce": reduce, "include_self": include_self})
        return out

    def store(self, x, others, params):
        index, src, dim = others[0], others[1], params["dim"]
        loop = ADDED.get(params["reduce"]) if params["include_self"] and x.ndim else None
        if loop is not None and moved(loop, x, index, src, dim):
            return
        check_scatter("scatter_reduce", x, index, src, dim)
        if index.size:
            places = flat_places(index, dim, x.shape)
            combine(x, places, trimmed(src, index), params["reduce"], params["include_self"])

    def grads(self, g, needs, input, index, src, out, dim, reduce, include_self):
        if reduce == "sum":
            gx, gs = g, g.gather(dim, index)
        elif reduce == "mean":
            n = (zeros(g._array.shape, g._array.dtype, g) + (1 if include_self else 0)).scatter_add(
                dim, index, src * 0 + 1
            )
            n = n.masked_fill(n == 0, 1)
            gx, gs = g / n, (g / n).gather(dim, index)
        elif reduce == "prod":
            gx, gs = product_gradients(g, input, index, src, out, dim, include_self)
        else:
            hit_x = (
                (input == out).to(g) if include_self else zeros(g._array.shape, g._array.dtype, g)
            )
            hit_s = (src == out.gather(dim, index)).to(g)
            n = hit_x.scatter_add(dim, index, hit_s)
            shared = g / n.masked_fill(n == 0, 1)
            gx, gs = hit_x * shared, hit_s * shared.gather(dim, index)
        if not include_self:
            gx = g.scatter(dim, index, 0)
        return [gx if needs[0] else None, None, embed_like(gs, src) if needs[2] else None]


def embed_like(g: Tensor, src: Tensor) -> Tensor:
    """g in the corner of zeros like src."""
    return embedded(g, (src._array.shape, src._array.dtype))


def product_gradients(
    g: Any, input: Any, index: Any, src: Any, out: Any, dim: int, include_self: bool
) -> tuple[Any, Any]:
    """Of a product: g times the product of the other factors."""
    start = input if include_self else input.scatter(dim, index, 1)
    zero, zero_src = start == 0, src == 0
    count = zero.to(g).scatter_add(dim, index, zero_src.to(g))  # of zeros among the factors
    total = (start * zero.to(g)).scatter_add(dim, index, src * zero_src.to(g))  # their sum
    rest = g * start.masked_fill(zero, 1).scatter_reduce(
        dim, index, src.masked_fill(zero_src, 1), "prod"
    )
    spread = [t.gather(dim, index) for t in (count, total, rest, g * out)]
    return (
        without_one(start, zero, count, total, rest, g * out),
        without_one(src, zero_src, *spread),
    )


def without_one(factor: Any, zero: Any, count: Any, total: Any, rest: Any, out: Any) -> Any:
    """The product without one factor, right to the second derivative where factors are zero.

    Beside one other zero it is that zero times the rest: 0, but its derivative is not.
    """
    others = (count == 1).to(rest) + (count == 2).to(rest) * (total - factor)
    return rest * zero.to(rest) * others + out / factor.masked_fill(
        zero, 1
    ) * zero.logical_not().to(rest)


def combine(x: Any, places: Any, values: Any, reduce: str, include_self: bool) -> None:
    """Reduce values into x at places that count along its elements."""
    wide = widened(x)
    if wide is x and include_self and reduce != "mean":
        combine_at(REDUCERS[reduce], x, places, values)
        return
    flat, places = wide.reshape(-1), places.reshape(-1)
    if not include_self:
        flat[places] = {"sum": 0, "mean": 0, "prod": 1}.get(reduce, extreme(x.dtype, reduce))
    REDUCERS[reduce].at(flat, places, values.reshape(-1).astype(flat.dtype, copy=False))
    if reduce == "mean":
        n = np.maximum(np.bincount(places, minlength=flat.size) + include_self, 1)
        flat = flat // n if x.dtype in dtypes.INTEGER_TYPES else flat / n.astype(flat.real.dtype)
    if reduce == "mean" or wide is not x or not x.flags.c_contiguous:
        x[...] = flat.reshape(x.shape)


def extreme(d: Any, reduce: str) -> Any:
    """The neutral element of amax or amin."""
    if d in dtypes.INTEGER_TYPES:
        info = np.iinfo(d)
        return info.min if reduce == "amax" else info.max
    if d == np.bool_:
        return reduce != "amax"
    return -np.inf if reduce == "amax" else np.inf


class IndexReduce(Op):
    """Slices of ``source`` combined into slices ``index`` of ``dim``: prod, mean, amax or amin."""

    overlap = "none"

    def eager(self, xp, input, index, source, *, dim, reduce, include_self):
        out = input.copy()
        self.store(
            out, [index, source], {"dim": dim, "reduce": reduce, "include_self": include_self}
        )
        return out

    def store(self, x, others, params):
        index, source, dim = others[0], others[1], params["dim"]
        check_slices("index_reduce", x, index, source, dim)
        if source.size:
            places = slice_places(index, dim, at(x).shape)
            combine(x, places, source, params["reduce"], params["include_self"])

    def grads(self, g, needs, input, index, source, out, dim, reduce, include_self):
        shape = [1] * max(source.ndim, 1)
        shape[dim] = -1
        where = index.reshape(shape).expand(source.shape) if source.ndim else index.reshape(())
        inner = ScatterReduce.instance.grads(
            g, (True, False, True), input, where, source, out, dim, reduce, include_self
        )
        return [inner[0] if needs[0] else None, None, inner[2] if needs[2] else None]
