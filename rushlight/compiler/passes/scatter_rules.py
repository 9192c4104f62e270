"""Rules for ops that write by index: PlaceRows has a kernel of its own, which goes through rows one
after another.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.compiler.graph import Node, Value
from rushlight.compiler.passes.index_rules import (
    Pattern,
    checked,
    consecutive,
    indices_of,
    over,
    window,
)
from rushlight.compiler.passes.writer import Writer
from rushlight.compiler.primitives import PlaceRows, Settle
from rushlight.compiler.scalars import F32, FLOATS, HALVES
from rushlight.ops.arithmetic import Add, Div, Mul
from rushlight.ops.combining import extreme
from rushlight.ops.compare import Eq, Maximum
from rushlight.ops.copy import cast_array
from rushlight.ops.select import Where
from rushlight.ops.view import Expand, Unfold, look_or_copy

BOOL, INT64 = np.dtype(bool), np.dtype(np.int64)
MOST_PLACES = 1 << 16  # elements whose places are kept with a program
COMBINED = {"sum": "add", "mean": "add", "prod": "mul", "amax": "max", "amin": "min"}
Made = list[Value] | None


def placed(
    w: Writer, base: Value | None, where: Value, source: Value, shape: Any, how: str
) -> Value:
    """``PlaceRows`` of reshaped operands; ``shape`` is (A, R, D)."""
    known = None if base is None else w.constant(base)
    if known is not None and not known.any():
        base = None
    a, _, d = shape
    count = math.prod(where.shape)
    if how != "write" and source.dtype in HALVES:  # sums are rounded once
        base = None if base is None else w.cast(base, F32)
        made = placed(w, base, where, w.cast(source, F32), shape, how)
        return w.cast(made, source.dtype)
    return w.node(
        PlaceRows,
        [
            None if base is None else w.shaped(base, shape),
            w.shaped(where, (count,)),
            w.shaped(source, (a, count, d)),
        ],
        shape,
        source.dtype,
        shape=tuple(shape),
        how=how,
    )


def embedding_grad(w: Writer, node: Node) -> Made:
    """Rows of the gradient added up by index."""
    (g, index), p, out = node.inputs, node.params, node.outputs[0]
    rows, width = out.shape
    where = checked(w, index, rows)
    if p["by_frequency"] or where is None:
        return None
    count, pad = math.prod(index.shape), p["padding_idx"]
    g = w.shaped(g, (count, width))
    start = consecutive(w.constant(index))
    if start is not None and (pad is None or pad < 0):
        return over(w, None, g, window(0, start, start + count), out)
    if pad is not None and pad >= 0:
        padding = w.map(Eq, w.shaped(index, (count, 1)), pad, dtype=BOOL)
        g = w.node(Where, [padding, 0.0, g], g.shape, g.dtype)
    return [w.shaped(placed(w, None, where, g, (1, rows, width), "add"), out.shape)]


def split_at(shape: tuple[int, ...], dim: int) -> tuple[int, int, int]:
    """Elements before a dim, its size, and elements behind it."""
    return math.prod(shape[:dim]), shape[dim], math.prod(shape[dim + 1 :])


def slices(how: str) -> Callable[[Writer, Node], Made]:
    """Slices of a dim written or added to, by a vector of indices."""

    def rule(w: Writer, node: Node) -> Made:
        (x, index, source), dim = node.inputs, node.params["dim"]
        if not x.shape or not source.shape or len(index.shape) > 1:
            return None
        where = checked(w, index, x.shape[dim])
        if where is None or source.dtype != x.dtype:
            return None
        return [w.shaped(placed(w, x, where, source, split_at(x.shape, dim), how), x.shape)]

    return rule


def scattered(how: str) -> Callable[[Writer, Node], Made]:
    """An index for each element that is written or added."""

    def rule(w: Writer, node: Node) -> Made:
        (x, index, source), dim = node.inputs, node.params["dim"]
        if not x.shape or len(index.shape) != len(x.shape):
            return None
        where = checked(w, index, x.shape[dim])
        if where is None or (isinstance(source, Value) and source.dtype != x.dtype):
            return None
        if not isinstance(source, Value):
            source = w.full(index.shape, source, x.dtype)
        source = cornered(w, source, index.shape)
        flat = positions(w, index.shape, x.shape, {dim: where})
        shape = (1, math.prod(x.shape), 1)
        return [w.shaped(placed(w, x, flat, source, shape, how), x.shape)]

    return rule


def add_each(w: Writer, node: Node) -> Made:
    """Elements added up at each sample's own places."""
    (g, places), out = node.inputs, node.outputs[0]
    where = w.shaped(places, (places.shape[0], 1, places.shape[1]))
    flat = positions(w, g.shape, out.shape, {2: where})
    return [w.shaped(placed(w, None, flat, g, (1, math.prod(out.shape), 1), "add"), out.shape)]


def positions(w: Writer, out: Any, shape: Any, given: dict[int, Value]) -> Value:
    """Row-major positions in ``shape``: along dim d ``given[d]``, or the index itself."""
    total, step = None, math.prod(shape)
    for d, n in enumerate(shape):
        step //= n
        i = given[d] if d in given else w.position(out, d)
        i = w.cast(i, INT64)
        part = i if step == 1 else w.map(Mul, i, step)
        total = part if total is None else w.map(Add, total, part)
    assert total is not None
    return total


def index_put(w: Writer, node: Node) -> Made:
    """``x[i, :, j] = values``, or ``+=``."""
    (x, values, *indices), p = node.inputs, node.params
    found = indices_of(w, x, indices, p["pattern"])
    if found is None or values.dtype != x.dtype:
        return None
    pattern = Pattern(x, indices, p["pattern"])
    if not pattern.adjacent or any([v.shape != pattern.shape for v in indices]):
        return None
    extra = len(values.shape) - len(pattern.out)
    if extra > 0:  # leading dims of size 1, which a write ignores
        values = w.shaped(values, values.shape[extra:])
    if values.shape != pattern.out:
        values = w.node(Expand, [values], pattern.out, x.dtype, shape=pattern.out)
        values = w.node(Settle, [values], pattern.out, x.dtype)
    sizes = [x.shape[d] for d in pattern.at]
    where = positions(w, pattern.shape, sizes, dict(enumerate(found)))
    lead, rest = (math.prod([x.shape[d] for d in dims]) for dims in (pattern.lead, pattern.rest))
    shape, how = (lead, math.prod(sizes), rest), "add" if p["accumulate"] else "write"
    return [w.shaped(placed(w, x, where, values, shape, how), x.shape)]


def cornered(w: Writer, source: Value, shape: Any) -> Value:
    """The first slices of each dim."""
    for d, n in enumerate(shape):
        source = source if source.shape[d] == n else w.part(source, d, 0, n)
    return source


def index_fill(w: Writer, node: Node) -> Made:
    """One number written to slices of a dim."""
    (x, index), dim = node.inputs, node.params["dim"]
    if not x.shape or len(index.shape) > 1:
        return None
    where = checked(w, index, x.shape[dim], negative=True)
    if where is None:
        return None
    value = cast_array(np.asarray(node.params["value"]), x.dtype).item()
    shape = (*x.shape[:dim], math.prod(index.shape), *x.shape[dim + 1 :])
    rows = w.full(shape, value, x.dtype)
    return [w.shaped(placed(w, x, where, rows, split_at(x.shape, dim), "write"), x.shape)]


def put(w: Writer, node: Node) -> Made:
    """Elements written, or added, by row-major position."""
    x, index, source = node.inputs
    n = math.prod(x.shape)
    where = checked(w, index, n, negative=True)
    if where is None or source.dtype != x.dtype or index.shape != source.shape:
        return None
    how = "add" if node.params["accumulate"] else "write"
    return [w.shaped(placed(w, x, where, source, (1, n, 1), how), x.shape)]


def embed(w: Writer, node: Node) -> Made:
    """Zeros, to which elements of overlapping views are added."""
    p, g, out = node.params, node.inputs[0], node.outputs[0]
    if not p["overlaps"]:
        return over(w, None, g, p["chain"], out)
    if len(p["chain"]) == 1 and isinstance(p["chain"][0][0], Unfold):
        where = windowed(w, g, out, p["chain"][0][1])
    elif math.prod(g.shape) <= MOST_PLACES:
        places = look_or_copy(np.arange(math.prod(out.shape)).reshape(out.shape), p["chain"])
        where = w.array(np.ascontiguousarray(places.reshape(-1)))
    else:
        return None
    shape = (1, math.prod(out.shape), 1)
    return [w.shaped(placed(w, None, where, g, shape, "add"), out.shape)]


def windowed(w: Writer, g: Value, out: Value, p: dict[str, Any]) -> Value:
    """Where the elements of windows along one dim come from."""
    dim = p["dim"] % len(out.shape)
    first = w.map(Mul, w.position(g.shape, dim), p["step"])
    along = w.map(Add, first, w.position(g.shape, len(g.shape) - 1))
    return positions(w, g.shape, out.shape, {dim: along})


def combined(
    w: Writer, x: Value, where: Value, source: Value, shape: Any, p: dict[str, Any]
) -> Value | None:
    """What meets at one place combined, with ``include_self`` the old value too."""
    reduce, d = p["reduce"], x.dtype
    if reduce == "mean" and d not in FLOATS:
        return None
    base = w.shaped(x, shape)
    if not p["include_self"]:
        neutral = {"sum": 0, "mean": 0, "prod": 1}.get(reduce, extreme(d, reduce))
        ones = w.full(source.shape, True, BOOL)
        met = placed(w, None, where, ones, shape, "write")
        base = w.node(Where, [met, neutral, base], shape, d)
    made = placed(w, base, where, source, shape, COMBINED[reduce])
    if reduce == "mean":
        count = placed(w, None, where, w.full(source.shape, 1.0, d), shape, "add")
        count = w.map(Add, count, 1.0) if p["include_self"] else w.map(Maximum, count, 1.0)
        made = w.map(Div, made, count)
    return w.shaped(made, x.shape)


def scatter_reduce(w: Writer, node: Node) -> Made:
    """An index for each element that is combined."""
    (x, index, source), dim = node.inputs, node.params["dim"]
    if not x.shape or len(index.shape) != len(x.shape) or source.dtype != x.dtype:
        return None
    where = checked(w, index, x.shape[dim])
    if where is None or x.dtype == BOOL:
        return None
    flat = positions(w, index.shape, x.shape, {dim: where})
    source = w.shaped(cornered(w, source, index.shape), (1, math.prod(index.shape), 1))
    made = combined(w, x, flat, source, (1, math.prod(x.shape), 1), node.params)
    return None if made is None else [made]


def index_reduce(w: Writer, node: Node) -> Made:
    """Slices of a dim combined, by a vector of indices."""
    (x, index, source), dim = node.inputs, node.params["dim"]
    if not x.shape or not source.shape or len(index.shape) > 1 or source.dtype != x.dtype:
        return None
    where = checked(w, index, x.shape[dim])
    if where is None or x.dtype == BOOL:
        return None
    shape = a, _, width = split_at(x.shape, dim)
    source = w.shaped(source, (a, math.prod(index.shape), width))
    made = combined(w, x, where, source, shape, node.params)
    return None if made is None else [made]


SCATTER_RULES: dict[str, Callable[[Writer, Node], Made]] = {
    "Embed": embed,
    "EmbeddingGrad": embedding_grad,
    "IndexAdd": slices("add"),
    "IndexCopy": slices("write"),
    "IndexFill": index_fill,
    "IndexReduce": index_reduce,
    "Scatter": scattered("write"),
    "ScatterAdd": scattered("add"),
    "ScatterReduce": scatter_reduce,
    "Put": put,
    "AddEach": add_each,
    "IndexPut": index_put,
}
