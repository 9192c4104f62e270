"""Rules for ops that move elements: joins, windows, rows by index, and indices themselves.

Reading by index is a Lookup, which is part of a kernel; writing by index is a PlaceRows, which has
one of its own; what consists of parts is an Assemble. Indices that are out of range stop the
program, see Require.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.compiler.graph import Node, Value
from rushlight.compiler.passes.writer import Writer
from rushlight.compiler.primitives import Lookup, Settle
from rushlight.ops.arithmetic import Add
from rushlight.ops.compare import BitwiseAnd, BitwiseOr, Eq, Ge, Le, Lt, Ne
from rushlight.ops.reduce import Amax, Amin, Sum
from rushlight.ops.select import Where
from rushlight.ops.view import BasicIndex, Diagonal, Expand

BOOL, INT64 = np.dtype(bool), np.dtype(np.int64)
Made = list[Value] | None


# Parts


def window(dim: int, start: int, stop: int) -> list[Any]:
    """The chain of views that look at some slices of a dim."""
    index = (*[slice(None)] * dim, slice(start, stop))
    return [(BasicIndex.instance, {"index": index})]


def joined(w: Writer, parts: list[Value], dim: int, shape: Any) -> Value:
    """Values one after another along a dim."""
    placed, at = [], 0
    for v in parts:
        placed.append((v, window(dim, at, at + v.shape[dim])))
        at += v.shape[dim]
    return w.assemble(placed, shape)


def cat(w: Writer, node: Node) -> Made:
    """Parts side by side."""
    return [joined(w, node.inputs, node.params["dim"], node.outputs[0].shape)]


def stack(w: Writer, node: Node) -> Made:
    """Parts at single indices."""
    dim = node.params["dim"]
    parts = [
        (v, [(BasicIndex.instance, {"index": (*[slice(None)] * dim, i, ...)})])
        for i, v in enumerate(node.inputs)
    ]
    return [w.assemble(parts, node.outputs[0].shape)]


def over(w: Writer, base: Value | None, value: Value, chain: Any, out: Value) -> Made:
    """A value in a window of a base, or of zeros."""
    places = np.zeros(out.shape, bool)
    for op, params in chain:
        if op.by_place or op.overlaps:
            return None
        try:
            places = op.eager(np, places, **params)
        except ValueError:  # a view of memory in another order than ours
            return None
    if places.size == math.prod(out.shape):
        return [w.assemble([(value, chain)], out.shape)]
    if base is None:
        base = w.full(out.shape, 0, out.dtype)
    return [w.assemble([(base, []), (value, chain)], out.shape)]


def write_window(w: Writer, node: Node) -> Made:
    """A base but for a window."""
    base, value = node.inputs
    return over(w, base, value, node.params["chain"], node.outputs[0])


def diag_embed(w: Writer, node: Node) -> Made:
    """Zeros but for a diagonal."""
    return over(w, None, node.inputs[0], [(Diagonal.instance, node.params)], node.outputs[0])


def pad(w: Writer, node: Node) -> Made:
    """A constant but for the middle."""
    x, out, pads = node.inputs[0], node.outputs[0], node.params["pads"]
    for dim, (a, b) in enumerate(pads):
        if a < 0 or b < 0:
            x = w.part(x, dim, max(0, -a), x.shape[dim] - max(0, -b))
    index = tuple(
        [slice(max(a, 0), n - max(b, 0)) for (a, b), n in zip(pads, out.shape, strict=True)]
    )
    fill = w.full(out.shape, node.params["value"], out.dtype)
    return [w.assemble([(fill, []), (x, [(BasicIndex.instance, {"index": index})])], out.shape)]


def flip(w: Writer, node: Node) -> Made:
    """Elements read backwards."""
    if not node.inputs[0].shape:
        return [node.inputs[0]]
    x, dims = node.inputs[0], [d % len(node.inputs[0].shape) for d in node.params["dims"]]
    index = tuple([slice(None, None, -1 if d in dims else 1) for d in range(len(x.shape))])
    return [w.node(BasicIndex, [x], x.shape, x.dtype, index=index)]


def roll(w: Writer, node: Node) -> Made:
    """Two parts exchanged, dim by dim."""
    x, dims, shifts = node.inputs[0], node.params["dims"], node.params["shifts"]
    if isinstance(dims, int):
        dims, shifts = (dims,), (shifts,)
    if dims is None or not dims:
        return None
    for dim, shift in zip(dims, shifts, strict=True):
        dim, n = dim % len(x.shape), x.shape[dim]
        cut = -shift % n
        if cut:
            x = joined(w, [w.part(x, dim, cut, n), w.part(x, dim, 0, cut)], dim, x.shape)
    return [x]


def triangle(keep: Any) -> Callable[[Writer, Node], Made]:
    """Elements on one side of a diagonal, and zeros."""

    def rule(w: Writer, node: Node) -> Made:
        x, rank = node.inputs[0], len(node.inputs[0].shape)
        row = w.map(Add, w.position(x.shape, rank - 2), node.params["diagonal"])
        kept = w.map(keep, w.position(x.shape, rank - 1), row, dtype=BOOL)
        zero = 0.0 if x.dtype.kind == "f" else 0
        return [w.node(Where, [kept, x, zero], x.shape, x.dtype)]

    return rule


def repeat(w: Writer, node: Node) -> Made:
    """The whole again and again."""
    x, repeats = node.inputs[0], node.params["repeats"]
    lead = len(repeats) - len(x.shape)
    shape = (1,) * lead + x.shape
    x = w.shaped(x, [n for size in shape for n in (1, size)])
    wide = [n for pair in zip(repeats, shape, strict=True) for n in pair]
    x = w.node(Expand, [x], wide, x.dtype, shape=tuple(wide))
    return [w.shaped(w.node(Settle, [x], wide, x.dtype), node.outputs[0].shape)]


def repeat_interleave(w: Writer, node: Node) -> Made:
    """Slices by a constant index."""
    x, dim = node.inputs[0], node.params["dim"]
    index = np.repeat(np.arange(x.shape[dim]), node.params["repeats"])
    return [looked_up(w, x, w.array(index), dim)]


# Reading by index


def checked(w: Writer, index: Value, n: int, negative: bool = False) -> Value | None:
    """The index of a dim of size n, which must be in range; ``negative`` ones may count from the
    end. None for a constant that is out of range.
    """
    low, known = -n if negative else 0, w.constant(index)
    if known is not None and not ((known >= low).all() and (known < n).all()):
        return None
    if known is None:
        least = w.map(Ge, index, low, dtype=BOOL)
        w.require(w.map(BitwiseAnd, least, w.map(Lt, index, n, dtype=BOOL)))
    if not negative or (known is not None and (known >= 0).all()):
        return index
    behind = w.map(Lt, index, 0, dtype=BOOL)
    return w.node(Where, [behind, w.map(Add, index, n), index], index.shape, index.dtype)


def looked_up(w: Writer, x: Value, index: Value, dim: int) -> Value:
    """Slices of a dim by a vector of indices."""
    shape = (*x.shape[:dim], math.prod(index.shape), *x.shape[dim + 1 :])
    dims = tuple([None if d == dim else d for d in range(len(shape))])
    index = w.shaped(index, [-1 if d == dim else 1 for d in range(len(shape))][dim:])
    return w.node(Lookup, [x, index], shape, x.dtype, shape=shape, dims=dims)


def consecutive(known: Any) -> int | None:
    """The first of indices that count up."""
    if known is None or not known.size:
        return None
    flat = known.reshape(-1)
    return int(flat[0]) if (flat == flat[0] + np.arange(flat.size)).all() else None


def embedding(w: Writer, node: Node) -> Made:
    """Rows of a table."""
    (weight, index), out = node.inputs, node.outputs[0]
    where = checked(w, index, weight.shape[0])
    if where is None:
        return None
    start = consecutive(w.constant(index))
    if start is not None:
        return [w.shaped(w.part(weight, 0, start, start + math.prod(index.shape)), out.shape)]
    return [w.shaped(looked_up(w, weight, where, 0), out.shape)]


def index_select(w: Writer, node: Node) -> Made:
    """Slices of a dim."""
    (x, index), dim = node.inputs, node.params["dim"]
    if not x.shape or len(index.shape) > 1:
        return None
    where = checked(w, index, x.shape[dim])
    return None if where is None else [looked_up(w, x, where, dim)]


def gather(w: Writer, node: Node) -> Made:
    """An index for each element."""
    (x, index), dim = node.inputs, node.params["dim"]
    if not x.shape or len(index.shape) != len(x.shape):
        return None
    where = checked(w, index, x.shape[dim])
    if where is None:
        return None
    dims = tuple([None if d == dim else d for d in range(len(x.shape))])
    return [w.node(Lookup, [x, where], index.shape, x.dtype, shape=index.shape, dims=dims)]


def take_each(w: Writer, node: Node) -> Made:
    """Each sample's elements at its own places, which are in range."""
    (x, places), out = node.inputs, node.outputs[0]
    places = w.shaped(places, (places.shape[0], 1, places.shape[1]))
    return [w.node(Lookup, [x, places], out.shape, x.dtype, shape=out.shape, dims=(0, 1, None))]


def take(w: Writer, node: Node) -> Made:
    """Elements by row-major position."""
    x, index = node.inputs
    n = math.prod(x.shape)
    where = checked(w, index, n, negative=True)
    if where is None:
        return None
    flat = w.shaped(x, (n,))
    return [w.node(Lookup, [flat, where], index.shape, x.dtype, shape=index.shape, dims=(None,))]


class Pattern:
    """Which dims index tensors stand in, and where the dims of their common shape go."""

    def __init__(self, x: Value, indices: list[Value], pattern: Any) -> None:
        self.shape = np.broadcast_shapes(*[v.shape for v in indices])
        self.at = [d for d, p in enumerate(pattern) if p]
        self.adjacent = self.at == list(range(self.at[0], self.at[0] + len(self.at)))
        others = [d for d in range(len(x.shape)) if d not in self.at]
        count = self.at[0] if self.adjacent else 0
        self.lead, self.rest = others[:count], others[count:]
        lead, rest = ([x.shape[d] for d in dims] for dims in (self.lead, self.rest))
        self.out = (*lead, *self.shape, *rest)
        place = {d: k for k, d in enumerate(self.lead)}
        place.update({d: len(lead) + len(self.shape) + k for k, d in enumerate(self.rest)})
        self.dims = tuple([place.get(d) for d in range(len(x.shape))])

    def aligned(self, w: Writer, v: Value) -> Value:
        """An index, ready to broadcast to the result."""
        return w.shaped(v, (*v.shape, *[1] * len(self.rest)))


def indices_of(w: Writer, x: Value, indices: list[Value], pattern: Any) -> list[Value] | None:
    """Index tensors, checked against the dims that they stand in."""
    if any([v.dtype.kind not in "iu" or v.dtype == np.uint8 for v in indices]) or not indices:
        return None
    at = [d for d, p in enumerate(pattern) if p]
    found = [checked(w, v, x.shape[d], True) for v, d in zip(indices, at, strict=True)]
    fine = [v for v in found if v is not None]
    return fine if len(fine) == len(found) else None


def index(w: Writer, node: Node) -> Made:
    """``x[i, :, j]``."""
    x, *indices = node.inputs
    found = indices_of(w, x, indices, node.params["pattern"])
    if found is None:
        return None
    p = Pattern(x, indices, node.params["pattern"])
    where = [p.aligned(w, v) for v in found]
    return [w.node(Lookup, [x, *where], p.out, x.dtype, shape=p.out, dims=p.dims)]


# Indices of extremes


def first_at(w: Writer, x: Value, dim: int, reduction: Any, keepdim: bool) -> tuple[Value, Value]:
    """The extreme along a dim, and the index of the first element that is it, or NaN."""
    top = w.reduce(reduction, x, (dim,), True)
    hit = w.map(Eq, x, top, dtype=BOOL)
    if x.dtype.kind == "f":
        hit = w.map(BitwiseOr, hit, w.map(Ne, x, x, dtype=BOOL))
    places = w.node(Where, [hit, w.position(x.shape, dim), x.shape[dim]], x.shape, INT64)
    found = w.reduce(Amin, places, (dim,), keepdim)
    return w.shaped(top, found.shape), found


def arg_extreme(reduction: Any) -> Callable[[Writer, Node], Made]:
    """The index of an extreme."""

    def rule(w: Writer, node: Node) -> Made:
        x, p, out = node.inputs[0], node.params, node.outputs[0]
        if p["dim"] is None:
            x = w.shaped(x, (math.prod(x.shape),))
            return [w.shaped(first_at(w, x, 0, reduction, True)[1], out.shape)]
        if not x.shape:
            return None
        found = first_at(w, x, p["dim"] % len(x.shape), reduction, p["keepdim"])
        return [found[1]]

    return rule


def extreme(reduction: Any) -> Callable[[Writer, Node], Made]:
    """An extreme along a dim, and its index."""

    def rule(w: Writer, node: Node) -> Made:
        x, p = node.inputs[0], node.params
        if not x.shape:
            return None
        dim = p["dim"] % len(x.shape)
        if node.outputs[1].number not in w.used:
            return [w.reduce(reduction, x, (dim,), p["keepdim"]), node.outputs[1]]
        return list(first_at(w, x, dim, reduction, p["keepdim"]))

    return rule


# Nearest neighbours


def factors(indices: Any, sizes: Any) -> list[int] | None:
    """How often each element is repeated along each dim, where that is the same for all."""
    found = []
    for index, n in zip(indices, sizes, strict=True):
        k = len(index) // n
        if not k or not np.array_equal(index, np.repeat(np.arange(n), k)):
            return None
        found.append(k)
    return found


def nearest(w: Writer, node: Node) -> Made:
    """Elements read by constant indices along the last dims."""
    x, indices, out = node.inputs[0], node.params["indices"], node.outputs[0]
    lead = len(x.shape) - len(indices)
    times = factors(indices, x.shape[lead:])
    if times is None:
        for dim, given in enumerate(indices, lead):
            x = looked_up(w, x, w.array(np.asarray(given, np.int64)), dim)
        return [x]
    pairs = [(n, k) for n, k in zip(x.shape[lead:], times, strict=True)]
    thin = (*x.shape[:lead], *[m for n, _ in pairs for m in (n, 1)])
    wide = (*x.shape[:lead], *[m for pair in pairs for m in pair])
    x = w.node(Expand, [w.shaped(x, thin)], wide, x.dtype, shape=wide)
    return [w.shaped(w.node(Settle, [x], wide, x.dtype), out.shape)]


def nearest_grad(w: Writer, node: Node) -> Made:
    """Sums over the elements that were read from one place."""
    g, space, out = node.inputs[0], node.params["space"], node.outputs[0]
    times = factors(node.params["indices"], space)
    if times is None:
        return None
    lead = g.shape[: len(g.shape) - len(space)]
    pairs = [m for pair in zip(space, times, strict=True) for m in pair]
    dims = tuple([len(lead) + 2 * i + 1 for i in range(len(space))])
    return [w.shaped(w.reduce(Sum, w.shaped(g, (*lead, *pairs)), dims), out.shape)]


INDEX_RULES: dict[str, Callable[[Writer, Node], Made]] = {
    "Cat": cat,
    "Stack": stack,
    "WriteWindow": write_window,
    "DiagEmbed": diag_embed,
    "ConstantPad": pad,
    "Flip": flip,
    "Roll": roll,
    "Tril": triangle(Le),
    "Triu": triangle(Ge),
    "Repeat": repeat,
    "RepeatInterleave": repeat_interleave,
    "Embedding": embedding,
    "IndexSelect": index_select,
    "Gather": gather,
    "Take": take,
    "TakeEach": take_each,
    "Index": index,
    "Argmax": arg_extreme(Amax),
    "Argmin": arg_extreme(Amin),
    "MaxDim": extreme(Amax),
    "MinDim": extreme(Amin),
    "Pick": nearest,
    "Gathered": nearest_grad,
}
