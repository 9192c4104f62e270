"""Rules for ops that count or find: the rank of each element that a mask chooses, bags by their
starts, places in sorted sequences, and where the maxima of windows are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.compiler.graph import Node, Value
from rushlight.compiler.passes.index_rules import checked, first_at, looked_up
from rushlight.compiler.passes.scatter_rules import placed
from rushlight.compiler.passes.writer import Writer
from rushlight.compiler.primitives import Lookup, Settle
from rushlight.ops.arithmetic import Add, Mul, Sub
from rushlight.ops.compare import BitwiseAnd, Eq, Ge, Gt, Le, LogicalNot, Lt, Minimum
from rushlight.ops.reduce import Amax, AnyTrue
from rushlight.ops.rounding import FloorDivide, Remainder
from rushlight.ops.scan import Cumsum
from rushlight.ops.select import Where
from rushlight.ops.view import Expand

BOOL, INT64 = np.dtype(bool), np.dtype(np.int64)
MOST = 64  # elements that each of others is compared with
Made = list[Value] | None


def bag_of(w: Writer, node: Node) -> Made:
    """How many bags start up to each index, less one."""
    offsets, n = node.inputs[0], node.params["total"]
    count = offsets.shape[0]
    w.require(w.map(Eq, w.part(offsets, 0, 0, 1), 0, dtype=BOOL))
    w.require(w.map(Le, w.part(offsets, 0, count - 1, count), n, dtype=BOOL))
    if count > 1:
        before, after = w.part(offsets, 0, 0, count - 1), w.part(offsets, 0, 1, count)
        w.require(w.map(Le, before, after, dtype=BOOL))
    ones = w.full((1, count, 1), 1, INT64)
    begun = w.shaped(placed(w, None, offsets, ones, (1, n + 1, 1), "add"), (n + 1,))
    running = w.node(Cumsum, [begun], (n + 1,), INT64, dim=0)
    return [w.map(Sub, w.part(running, 0, 0, n), 1)]


def ranks(w: Writer, mask: Value, shape: Any) -> tuple[Value, Value]:
    """The mask of a shape as a vector, and how many before each element are chosen."""
    if mask.shape != tuple(shape):
        mask = w.node(Expand, [mask], shape, BOOL, shape=tuple(shape))
        mask = w.node(Settle, [mask], shape, BOOL)
    mask = w.shaped(mask, (math.prod(shape),))
    ones = w.cast(mask, INT64)
    return mask, w.map(Sub, w.node(Cumsum, [ones], ones.shape, INT64, dim=0), ones)


def masked_scatter(w: Writer, node: Node) -> Made:
    """The next element of the source where the mask is True."""
    (x, mask, source), out = node.inputs, node.outputs[0]
    if source.dtype != x.dtype or mask.dtype != BOOL:
        return None
    n = math.prod(source.shape)
    chosen, before = ranks(w, mask, out.shape)
    place = w.node(Where, [chosen, before, 0], before.shape, INT64)
    where = checked(w, place, n)
    if where is None:
        return None
    picked = looked_up(w, w.shaped(source, (n,)), where, 0)
    picked, chosen = w.shaped(picked, out.shape), w.shaped(chosen, out.shape)
    return [w.node(Where, [chosen, picked, x], out.shape, x.dtype)]


def masked_gather(w: Writer, node: Node) -> Made:
    """Elements written at their rank; others behind the end."""
    (x, mask), out = node.inputs, node.outputs[0]
    if mask.dtype != BOOL:
        return None
    n = math.prod(out.shape)
    chosen, before = ranks(w, mask, x.shape)
    where = w.node(Where, [chosen, before, n], before.shape, INT64)
    x = w.shaped(x, (1, math.prod(x.shape), 1))
    made = placed(w, None, where, x, (1, n + 1, 1), "write")
    return [w.shaped(w.part(made, 1, 0, n), out.shape)]


def bincount(w: Writer, node: Node) -> Made:
    """Ones, or weights, added up by index."""
    (x, weights), bins, out = node.inputs, node.params["bins"], node.outputs[0]
    if weights is None:
        weights = w.full(x.shape, 1, INT64)
    where = checked(w, w.cast(x, INT64), bins)
    if where is None:
        return None
    return [
        w.shaped(placed(w, None, where, w.cast(weights, out.dtype), (1, bins, 1), "add"), (bins,))
    ]


def shares(w: Writer, node: Node) -> Made:
    """The input, if it lies in range."""
    x = node.inputs[0]
    low, high = w.map(Le, 0.0, x, dtype=BOOL), w.map(Le, x, 1.0, dtype=BOOL)
    w.require(w.map(BitwiseAnd, low, high, dtype=BOOL))
    return [x]


def searchsorted(w: Writer, node: Node) -> Made:
    """The place of each value in a row of edges, by halves, as the op's own code finds it."""
    edges, x = node.inputs
    if not isinstance(x, Value) or len(edges.shape) > 1 or not edges.shape[0]:
        return None
    n, behind = edges.shape[0], Gt if node.params["side"] == "right" else Ge
    low, high = w.full(x.shape, 0, INT64), w.full(x.shape, n, INT64)
    for _ in range(n.bit_length()):
        middle = w.map(FloorDivide, w.map(Add, low, high), 2)
        place = w.map(Minimum, middle, n - 1)
        edge = w.node(Lookup, [edges, place], x.shape, x.dtype, shape=x.shape, dims=(None,))
        more = w.map(Lt, low, high, dtype=BOOL)
        left = w.map(BitwiseAnd, w.map(behind, edge, x, dtype=BOOL), more, dtype=BOOL)
        right = w.map(BitwiseAnd, w.map(LogicalNot, left, dtype=BOOL), more, dtype=BOOL)
        low = w.node(Where, [right, w.map(Add, middle, 1), low], x.shape, INT64)
        high = w.node(Where, [left, middle, high], x.shape, INT64)
    return [low]


def is_in(w: Writer, node: Node) -> Made:
    """Whether any of a few is equal."""
    x, few = node.inputs
    n = math.prod(few.shape) if isinstance(few, Value) else 1
    if not isinstance(x, Value) or n > MOST or (isinstance(few, Value) and few.dtype != x.dtype):
        return None
    if isinstance(few, Value):
        few = w.shaped(few, (n,))
    equal = w.map(Eq, w.shaped(x, (*x.shape, 1)), few, dtype=BOOL)
    found = w.reduce(AnyTrue, equal, (len(x.shape),))
    return [w.map(LogicalNot, found, dtype=BOOL) if node.params["invert"] else found]


def flat_indices(w: Writer, node: Node) -> Made:
    """Where windows start, and how far behind that their taps are."""
    p, rest = node.params, w.cast(node.inputs[0], INT64)
    total, unit, rank = None, 1, len(rest.shape)
    for dim in range(-1, -len(p["kernel"]) - 1, -1):
        tap = w.map(Remainder, rest, p["kernel"][dim])
        rest = w.map(FloorDivide, rest, p["kernel"][dim])
        start = w.map(Mul, w.position(rest.shape, rank + dim), p["stride"][dim])
        start = w.map(Sub, start, p["padding"][dim][0])
        place = w.map(Mul, w.map(Add, w.map(Mul, tap, p["dilation"][dim]), start), unit)
        total = place if total is None else w.map(Add, total, place)
        unit *= p["space"][dim]
    return None if total is None else [total]


def bin_max(w: Writer, node: Node) -> Made:
    """The first maximum of each bin's elements, which are read by a table of places."""
    x, bins = node.inputs[0], node.params["bins"]
    lead, space = x.shape[: -len(bins)], x.shape[-len(bins) :]
    count = math.prod([max([b - a for a, b in along]) for along in bins])
    table = np.empty([len(along) for along in bins] + [count], np.int64)
    for at in np.ndindex(*table.shape[:-1]):
        ranges = [np.arange(*along[i]) for along, i in zip(bins, at, strict=True)]
        places = np.ravel_multi_index(np.meshgrid(*ranges, indexing="ij"), space).reshape(-1)
        table[at] = np.append(places, [places[0]] * (count - places.size))
    table = table.reshape(-1, count)
    rank, shape = len(lead), (*lead, *table.shape)
    flat, found = w.shaped(x, (*lead, math.prod(space))), w.array(table)
    dims = (*range(rank), None)
    taps = w.node(Lookup, [flat, found], shape, x.dtype, shape=shape, dims=dims)
    values, tap = first_at(w, taps, rank + 1, Amax, False)
    where = w.node(Lookup, [found, tap], shape[:-1], INT64, shape=shape[:-1], dims=(rank, None))
    return [w.shaped(v, o.shape) for v, o in zip((values, where), node.outputs, strict=True)]


RANK_RULES: dict[str, Callable[[Writer, Node], Made]] = {
    "BagOf": bag_of,
    "Bincount": bincount,
    "Shares": shares,
    "MaskedScatter": masked_scatter,
    "MaskedGather": masked_gather,
    "Searchsorted": searchsorted,
    "IsIn": is_in,
    "FlatIndices": flat_indices,
    "BinMax": bin_max,
}
