"""Rules for windows side by side: average pooling, resampling by matrices, and unfolding."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.compiler.graph import Node, Value
from rushlight.compiler.passes.writer import Writer
from rushlight.compiler.primitives import Settle
from rushlight.compiler.windows import is_view
from rushlight.ops.arithmetic import Add, Div, Mul
from rushlight.ops.avg_pool import counts
from rushlight.ops.fold import window_counts
from rushlight.ops.view import BasicIndex, Expand

MOST_TAPS = 32
Made = list[Value] | None


def bordered(w: Writer, x: Value, borders: list[tuple[int, int]], steps: Any = None) -> Value:
    """x, its last dims' elements ``steps`` apart, between zeros: so many before, and behind the
    last one.
    """
    lead = len(x.shape) - len(borders)
    steps = steps or [1] * len(borders)
    spans = [(n - 1) * s + 1 for n, s in zip(x.shape[lead:], steps, strict=True)]
    if not any([a or b for a, b in borders]) and set(steps) == {1}:
        return x
    shape = (*x.shape[:lead], *[n + a + b for n, (a, b) in zip(spans, borders, strict=True)])
    places = [slice(a, a + n, s) for n, s, (a, _) in zip(spans, steps, borders, strict=True)]
    chain = [(BasicIndex.instance, {"index": (..., *places)})]
    return w.assemble([(w.full(shape, 0, x.dtype), []), (x, chain)], shape)


def stretch(
    w: Writer, x: Value, dim: int, start: int, count: int, step: int = 1
) -> list[tuple[Value, slice]]:
    """Slices ``start``, ``start + step``, ... of a dim of x, ``count`` of them, where zeros are
    around x: parts of them, and which these are.
    """
    first = min(count, max(0, -(start // step)))
    last = max(first, min(count, -((start - x.shape[dim]) // step)))
    parts = []
    for a, b in ((0, first), (last, count)):
        if a < b:
            shape = (*x.shape[:dim], b - a, *x.shape[dim + 1 :])
            parts.append((w.full(shape, 0, x.dtype), slice(a, b)))
    if first < last:
        some = slice(start + first * step, start + (last - 1) * step + 1, step)
        shape = (*x.shape[:dim], last - first, *x.shape[dim + 1 :])
        index = (*[slice(None)] * dim, some)
        part = w.node(BasicIndex, [x], shape, x.dtype, index=index)
        parts.append((part, slice(first, last)))
    return parts


def tap(w: Writer, x: Value, start: Any, out: Any, stride: Any, dilation: Any = None) -> Value:
    """One element of each window of the last dims."""
    dilation = dilation or [1] * len(out)
    places = [
        slice(t * d, t * d + (o - 1) * s + 1, s)
        for t, o, s, d in zip(start, out, stride, dilation, strict=True)
    ]
    shape = (*x.shape[: len(x.shape) - len(out)], *out)
    return w.node(BasicIndex, [x], shape, x.dtype, index=(..., *places))


def divided(w: Writer, x: Value, space: Any, p: dict[str, Any]) -> Value:
    """x over the count of each window."""
    n = counts(
        space, p["out"], p["kernel"], p["stride"], p["padding"], p["include_pad"], p["divisor"],
        p["after"],
    )  # fmt: skip
    n = np.asarray(n, x.dtype)
    if n.size == 1:
        return w.map(Mul, x, 1.0 / float(n.reshape(())))
    return w.map(Div, x, w.array(np.ascontiguousarray(n)))


def total(w: Writer, x: Value, kernel: Any, out: Any, stride: Any) -> Value:
    """Sums of windows."""
    parts = [tap(w, x, t, out, stride) for t in np.ndindex(*kernel)]
    result = parts[0]
    for part in parts[1:]:
        result = w.map(Add, result, part)
    return result


def avg_pool(w: Writer, node: Node) -> Made:
    """Sums of slices."""
    p, x = node.params, node.inputs[0]
    space = x.shape[len(x.shape) - len(p["kernel"]) :]
    if math.prod(p["kernel"]) > MOST_TAPS or not math.prod(node.outputs[0].shape):
        return None
    borders = []
    for n, o, k, s, (a, _) in zip(
        space, p["out"], p["kernel"], p["stride"], p["padding"], strict=True
    ):
        borders.append((a, max(0, (o - 1) * s + k - n - a)))
    x = bordered(w, x, borders)
    return [divided(w, total(w, x, p["kernel"], p["out"], p["stride"]), space, p)]


def repeated(w: Writer, g: Value, kernel: Any, space: Any) -> Value:
    """Each element of the last dims ``kernel`` times."""
    lead, out = g.shape[: len(g.shape) - len(kernel)], g.shape[len(g.shape) - len(kernel) :]
    thin = w.shaped(g, (*lead, *[n for o in out for n in (o, 1)]))
    wide = (*lead, *[n for pair in zip(out, kernel, strict=True) for n in pair])
    g = w.node(Expand, [thin], wide, g.dtype, shape=wide)
    return w.shaped(w.node(Settle, [g], wide, g.dtype), (*lead, *space))


def avg_pool_spread(w: Writer, node: Node) -> Made:
    """Each element is the sum of the windows that it is in: windows on the spread gradient."""
    p, g, space = node.params, node.inputs[0], node.params["space"]
    if not math.prod(g.shape):
        return None
    g, borders = divided(w, g, space, p), []
    sizes = zip(p["out"], p["kernel"], p["stride"], space, strict=True)
    if all([o * k == n and k == s for o, k, s, n in sizes]) and not any(map(any, p["padding"])):
        return [repeated(w, g, p["kernel"], space)]
    if math.prod(p["kernel"]) > MOST_TAPS:
        return None
    for n, o, k, s, (a, _) in zip(
        space, p["out"], p["kernel"], p["stride"], p["padding"], strict=True
    ):
        before = k - 1 - a
        behind = n + k - 1 - before - (o - 1) * s - 1
        if before < 0 or behind < 0:
            return None
        borders.append((before, behind))
    g = bordered(w, g, borders, p["stride"])
    return [total(w, g, p["kernel"], space, [1] * len(space))]


def along(w: Writer, node: Node) -> Made:
    """A product with a constant matrix for each dim."""
    x, matrices = node.inputs[0], node.params["matrices"]
    for dim, m in enumerate(matrices, len(x.shape) - len(matrices)):
        if m is None:
            continue
        lead, n, tail = x.shape[:dim], x.shape[dim], math.prod(x.shape[dim + 1 :])
        rest, (_, out), d = x.shape[dim + 1 :], m.shape, x.dtype
        if tail == 1:
            rows = w.shaped(x, (math.prod(lead), n))
            y = w.product(rows, w.array(np.ascontiguousarray(m, d)))
        else:
            turned = w.array(np.ascontiguousarray(m.T, d))
            y = w.shaped(x, (math.prod(lead), n, tail))
            y = w.product(turned, y)
        x = w.shaped(y, (*lead, out, *rest))
    return [x]


def unfold(w: Writer, node: Node) -> Made:
    """Slices, one for each tap; the view of the same name is none of these."""
    if "kernel" not in node.params:
        return None
    p, x, result = node.params, node.inputs[0], node.outputs[0]
    if is_view(node):  # windows along one dim are an op of the same name
        return None
    taps = list(np.ndindex(*p["kernel"]))
    if len(taps) > MOST_TAPS:
        return None
    out = [
        (n + 2 * a - d * (k - 1) - 1) // s + 1
        for n, a, d, k, s in zip(
            x.shape[2:], p["padding"], p["dilation"], p["kernel"], p["stride"], strict=True
        )
    ]
    x = bordered(w, x, [(a, a) for a in p["padding"]])
    shape = (*x.shape[:2], len(taps), *out)
    parts = []
    for i, t in enumerate(taps):
        part = tap(w, x, t, out, p["stride"], p["dilation"])
        index = (slice(None), slice(None), i)
        parts.append((part, [(BasicIndex.instance, {"index": index})]))
    return [w.shaped(w.assemble(parts, shape), result.shape)]


def fold(w: Writer, node: Node) -> Made:
    """Each element is the sum of the columns' elements that were read from it: the window of each
    tap, spread and moved.
    """
    p, x = node.params, node.inputs[0]
    kernel, taps = p["kernel"], math.prod(p["kernel"])
    if taps > MOST_TAPS:
        return None
    out = window_counts(p["space"], kernel, p["stride"], p["padding"], p["dilation"])
    x = w.shaped(x, (x.shape[0], x.shape[1] // taps, taps, *out))
    total = None
    for i, t in enumerate(np.ndindex(*kernel)):
        part = w.shaped(w.part(x, 2, i, i + 1), (*x.shape[:2], *out))
        placed = moved(w, part, p, t)
        if placed is not None:
            total = placed if total is None else w.map(Add, total, placed)
    return None if total is None else [w.shaped(total, node.outputs[0].shape)]


def moved(w: Writer, x: Value, p: dict[str, Any], t: Any) -> Value | None:
    """The elements that tap t reads, where it reads them, among zeros; None if there are none."""
    places = []
    sizes = zip(p["space"], p["stride"], p["padding"], p["dilation"], strict=True)
    for dim, (n, s, a, d) in enumerate(sizes, 2):
        start = t[dim - 2] * d - a  # of the first window's element
        first = max(0, -(start // s))  # the first window whose element is inside
        last = min(x.shape[dim] - 1, (n - 1 - start) // s)
        if first > last:
            return None
        x = w.part(x, dim, first, last + 1)
        places.append(slice(start + first * s, start + last * s + 1, s))
    shape = (*x.shape[:2], *p["space"])
    chain = [(BasicIndex.instance, {"index": (..., *places)})]
    return w.assemble([(w.full(shape, 0, x.dtype), []), (x, chain)], shape)


WINDOW_RULES: dict[str, Callable[[Writer, Node], Made]] = {
    "Fold": fold,
    "AvgPool": avg_pool,
    "AvgPoolSpread": avg_pool_spread,
    "Along": along,
    "Unfold": unfold,
}
