"""Rules for ops that order: each takes the first elements of rows in order, see Ranked."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rushlight.compiler.graph import Node, Value
from rushlight.compiler.passes.index_rules import first_at
from rushlight.compiler.passes.writer import Writer
from rushlight.compiler.primitives import Lookup, Ranked
from rushlight.compiler.scalars import F32, HALVES
from rushlight.ops.arithmetic import Sub
from rushlight.ops.compare import BitwiseAnd, Eq, Maximum, Ne
from rushlight.ops.order import Cummax
from rushlight.ops.reduce import Amax, Sum
from rushlight.ops.rounding import FloorDivide
from rushlight.ops.select import Where
from rushlight.ops.view import Transpose

BOOL, INT64 = np.dtype(bool), np.dtype(np.int64)
Made = list[Value] | None


def turned(w: Writer, x: Value, dim: int) -> Value:
    """A dim exchanged with the last."""
    last = len(x.shape) - 1
    if dim == last:
        return x
    shape = list(x.shape)
    shape[dim], shape[last] = shape[last], shape[dim]
    return w.node(Transpose, [x], shape, x.dtype, dim0=dim, dim1=last)


def ranked(w: Writer, x: Value, k: int, descending: bool, **more: bool) -> tuple[Value, Value]:
    """The first k along the last dim, and their indices; ``more``: parameters of Ranked."""
    *lead, n = x.shape
    rows = w.shaped(w.cast(x, F32) if x.dtype in HALVES else x, (math.prod(lead), n))
    shape = (rows.shape[0], k)
    made = [w.graph.value(shape, d) for d in (rows.dtype, INT64)]
    params = {"k": k, "descending": descending, **more}
    w.nodes.append(Node(Ranked.instance, [rows], params, made, w.line))
    values, indices = [w.shaped(v, (*lead, k)) for v in made]
    return w.cast(values, x.dtype), indices


def sort(w: Writer, node: Node) -> Made:
    """All elements of a dim."""
    n = node.inputs[0].shape[node.params["dim"]]
    return first_of(w, node, n, node.params["descending"])


def topk(w: Writer, node: Node) -> Made:
    """Some elements of a dim."""
    p = node.params
    return first_of(w, node, p["k"], p["largest"], stable=False, in_order=p["in_order"])


def first_of(w: Writer, node: Node, k: int, descending: bool, **more: bool) -> Made:
    """The first k along a dim."""
    x, dim = node.inputs[0], node.params["dim"]
    return [turned(w, v, dim) for v in ranked(w, turned(w, x, dim), k, descending, **more)]


def picked(w: Writer, node: Node, values: Value, indices: Value) -> list[Value]:
    """The results of a rank, whose dim is the last, in the shape of the node's."""
    dim = node.params["dim"] % len(node.inputs[0].shape)
    found = [turned(w, v, dim) for v in (values, indices)]
    return [w.shaped(v, o.shape) for v, o in zip(found, node.outputs, strict=True)]


def kthvalue(w: Writer, node: Node) -> Made:
    """The last of the first k."""
    x, k = node.inputs[0], node.params["k"]
    found = ranked(w, turned(w, x, node.params["dim"] % len(x.shape)), k, False)
    values, indices = [w.part(v, len(x.shape) - 1, k - 1, k) for v in found]
    return picked(w, node, values, indices)


def middle(w: Writer, x: Value, skip_nan: bool) -> tuple[Value, Value]:
    """The middle element along the last dim, the lower of two: of NaN, which come last, the first,
    or, where these do not count, of the others.
    """
    n, last = x.shape[-1], len(x.shape) - 1
    half = (n - 1) // 2
    if x.dtype.kind != "f" and x.dtype not in HALVES:
        values, indices = ranked(w, x, half + 1, False)
        return w.part(values, last, half, half + 1), w.part(indices, last, half, half + 1)
    values, indices = ranked(w, x, n, False)
    nan = w.reduce(Sum, w.cast(w.map(Ne, x, x, dtype=BOOL), INT64), (last,), True)
    rest = w.map(Sub, w.full(nan.shape, n, INT64), nan)
    if skip_nan:
        place = w.map(FloorDivide, w.map(Maximum, w.map(Sub, rest, 1), 0), 2)
    else:
        none = w.map(Eq, nan, 0, dtype=BOOL)
        place = w.node(Where, [none, half, rest], nan.shape, INT64)
    dims = (*range(last), None)
    return tuple(  # type: ignore[return-value]
        [w.node(Lookup, [v, place], nan.shape, v.dtype, shape=nan.shape, dims=dims)
         for v in (values, indices)]
    )  # fmt: skip


def median(w: Writer, node: Node) -> Made:
    """The middle along a dim."""
    x, p = node.inputs[0], node.params
    return picked(w, node, *middle(w, turned(w, x, p["dim"] % len(x.shape)), p["skip_nan"]))


def median_all(w: Writer, node: Node) -> Made:
    """The middle of all."""
    x = w.shaped(node.inputs[0], (math.prod(node.inputs[0].shape),))
    return [w.shaped(middle(w, x, node.params["skip_nan"])[0], ())]


def mode(w: Writer, node: Node) -> Made:
    """In order, the element that most equal ones come before, the first of several: there the
    longest run ends.
    """
    x, dim = node.inputs[0], node.params["dim"] % len(node.inputs[0].shape)
    x, last = turned(w, x, dim), len(x.shape) - 1
    values, indices = ranked(w, x, x.shape[last], False)
    dims = (*range(last), None)

    def at(v: Value, where: Value) -> Value:
        return w.node(Lookup, [v, where], where.shape, v.dtype, shape=where.shape, dims=dims)

    place = w.position(x.shape, last)
    before = at(values, w.map(Maximum, w.map(Sub, place, 1), 0))
    starts = w.map(Ne, before, values, dtype=BOOL)
    if x.dtype.kind == "f" or x.dtype in HALVES:  # NaN, which come last, are one run
        starts = w.map(BitwiseAnd, starts, w.map(Eq, before, before, dtype=BOOL))
    start = w.node(Where, [starts, place, 0], x.shape, INT64)
    latest, where = [w.graph.value(x.shape, INT64) for _ in range(2)]
    w.nodes.append(Node(Cummax.instance, [start], {"dim": last}, [latest, where], w.line))
    end = first_at(w, w.map(Sub, place, latest), last, Amax, True)[1]
    return picked(w, node, at(values, end), at(indices, end))


ORDER_RULES: dict[str, Callable[[Writer, Node], Made]] = {
    "Sort": sort,
    "Topk": topk,
    "Kthvalue": kthvalue,
    "Median": median,
    "MedianAll": median_all,
    "Mode": mode,
}
