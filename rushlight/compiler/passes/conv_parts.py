"""Convolutions with dilation, stride or many taps as others without, which can be transformed.

With dilation d, every d-th row of the result comes from every d-th row of the input: d images
instead of one. With stride s, every s-th row of the input, from each of the first s on, becomes a
channel of its own, and so do the kernel's rows; windows that share nothing are then single points.
Of long rows of taps, each part belongs to a channel of its own, which is the input moved along.
Groups that fill half of a vector are joined in pairs.
"""

from __future__ import annotations

import math
from typing import Any

from rushlight.compiler.fits import has_transforms
from rushlight.compiler.graph import Node, Value
from rushlight.compiler.passes.conv_points import (
    Made,
    input_product,
    joined_product,
    operands,
    pays_joined,
    pointed,
    product,
)
from rushlight.compiler.passes.window_rules import bordered, stretch
from rushlight.compiler.passes.writer import Writer
from rushlight.ops.arithmetic import Add
from rushlight.ops.conv import Conv, ConvInput, ConvWeight
from rushlight.ops.view import BasicIndex, Permute

MOVES = 150.0  # products for each element in and out from which on it pays to rearrange images
LONGEST = 7  # taps in a row that have transforms
ROUND = 3  # taps of a dim whose transforms take less than half of the products


def apart(w: Writer, node: Node, kernel: tuple[int, ...]) -> Made:
    """The convolution without dilation or stride, or of larger groups, if that has transforms."""
    p = node.params
    if max(*p["stride"], *p["dilation"]) == 1 and math.prod(kernel) == max(kernel) > LONGEST:
        return cut(w, node)
    if len(kernel) != 2:
        return None
    if p["stride"] == p["dilation"] == (1, 1):
        return pairs(w, node) if p["groups"] > 1 and min(kernel) >= ROUND else None
    if p["stride"] == (1, 1):
        return dilated(w, node)
    return strided(w, node) if p["dilation"] == (1, 1) and not has_transforms(node) else None


def other(node: Node, x: Value, weight: Value, y: Value, padding: Any) -> Node:
    """The same kind of node for other operands, with other padding, without dilation or stride."""
    inputs, result = {
        Conv: ([x, weight, *node.inputs[2:]], y),
        ConvInput: ([y, weight, *node.inputs[2:]], x),
        ConvWeight: ([x, y], weight),
    }[type(node.op)]
    ones = (1,) * len(x.shape[2:])
    options = {**node.params, "padding": padding, "dilation": ones, "stride": ones}
    for name, shape in (("space", x.shape), ("kernel", weight.shape)):
        if name in options:
            options[name] = shape[2:]
    return Node(node.op, inputs, options, [result])


def again(w: Writer, node: Node, inputs: list[Any]) -> Value:
    """The node with these inputs."""
    out = node.outputs[0]
    return w.node(type(node.op), inputs, out.shape, out.dtype, **node.params)


def pairs(w: Writer, node: Node) -> Made:
    """The convolution of half as many groups, where half of the weights are zeros."""
    p, op = node.params, type(node.op)
    x, weight, y = operands(node)
    groups, (outer, inner, *kernel) = p["groups"], weight.shape
    outer //= groups
    if groups % 2:
        return None
    ws = Value(0, (weight.shape[0], 2 * inner, *kernel), weight.dtype)
    new = other(node, x, ws, y, p["padding"])
    new.params["groups"] = groups // 2
    if has_transforms(node) or not has_transforms(new):
        return None
    single, double = (groups // 2, 2, outer, inner, *kernel), (groups // 2, 2, outer, 2, inner)
    where: list[Any] = [(slice(None), a, slice(None), a) for a in (0, 1)]
    one = (groups // 2, outer, inner, *kernel)
    if op is ConvWeight:
        made = w.node(op, node.inputs, ws.shape, ws.dtype, **new.params)
        made = w.shaped(made, (*double, *kernel))
        parts = [w.node(BasicIndex, [made], one, ws.dtype, index=index) for index in where]
        chains = [[(BasicIndex.instance, {"index": (slice(None), a)})] for a in (0, 1)]
        return [w.shaped(w.assemble([*zip(parts, chains, strict=True)], single), weight.shape)]
    rows = w.shaped(weight, single)
    blocks: list[Any] = [(w.full((*double, *kernel), 0, ws.dtype), [])]
    for a, index in enumerate(where):
        part = w.node(BasicIndex, [rows], one, ws.dtype, index=(slice(None), a))
        blocks.append((part, [(BasicIndex.instance, {"index": index})]))
    rows = w.shaped(w.assemble(blocks, (*double, *kernel)), ws.shape)
    given = [rows if v is ws else v for v in new.inputs]
    out = node.outputs[0]
    return [w.node(op, given, out.shape, out.dtype, **new.params)]


def cut(w: Writer, node: Node) -> Made:
    """The convolution with parts of a row of taps: as many channels of the input, or, for the
    input's gradient, of the output.
    """
    p, op = node.params, type(node.op)
    x, weight, y = operands(node)
    (outer, inner, *kernel), taps = weight.shape, max(weight.shape[2:])
    count, at = -(-taps // LONGEST), kernel.index(taps)
    each, before = -(-taps // count), p["padding"][at][0]

    def sized(sizes: Any, size: Any) -> tuple[Any, ...]:
        return (*sizes[:at], size, *sizes[at + 1 :])

    back = op is ConvInput
    given, made, border = (y, x, each - 1) if back else (x, y, 0)
    starts = [before - border - k * each if back else k * each - before for k in range(count)]
    length, short = made.shape[2 + at] + each - 1, sized(kernel, each)
    (n, c, *space), d = given.shape, given.dtype
    many = Value(0, (n, c * count, *sized(space, length)), d)
    rows = (outer * count, inner) if back else (outer, inner * count)
    ws = Value(0, (*rows, *short), d)
    ends = (made, ws, many) if back else (many, ws, made)
    new = other(node, *ends, sized(p["padding"], (border, border)))
    if math.prod(weight.shape) / (outer + inner) < MOVES or not has_transforms(new):
        return None
    several = moved(w, given, at, starts, length, p["groups"] if op is ConvWeight else c)
    if op is ConvWeight:
        y = again(w, new, [several, y])
        y = w.shaped(y, (outer, count, inner, each))
        y = w.node(Permute, [y], (outer, inner, count, each), d, dims=(0, 2, 1, 3))
        y = w.part(w.shaped(y, (outer, inner, count * each)), 2, 0, taps)
        return [w.shaped(y, weight.shape)]
    a = bordered(w, w.shaped(weight, (outer, inner, taps)), [(0, count * each - taps)])
    if back:
        a = w.shaped(a, (outer, inner, count, each))
        a = w.node(Permute, [a], (outer, count, inner, each), d, dims=(0, 2, 1, 3))
    return [again(w, new, [several, w.shaped(a, ws.shape), *node.inputs[2:]])]


def moved(w: Writer, x: Value, at: int, starts: list[int], length: int, groups: int) -> Value:
    """Images of more channels: ``length`` elements of dim ``at`` of x from each of ``starts`` on,
    between zeros. Starts are the last of the channels' dims, behind ``groups`` of them.
    """
    n, c, *space = x.shape
    space[at] = length
    shape = (n, groups, len(starts), c // groups, *space)
    parts = []
    for k, start in enumerate(starts):
        for part, where in stretch(w, x, 2 + at, start, length):
            part = w.shaped(part, (n, groups, c // groups, *part.shape[2:]))
            index: Any = (slice(None), slice(None), k, *[slice(None)] * (1 + at), where)
            parts.append((part, [(BasicIndex.instance, {"index": index})]))
    return w.shaped(w.assemble(parts, shape), (n, c * len(starts), *space))


def samples(node: Node, small: Any, kernel: Any, steps: Any) -> tuple[Any, Any, Any]:
    """What is ``sampled`` of the input, so that ``kernel`` taps give ``small`` results: how far
    before its first row and column that begins, how many there are, and the padding that is left.
    """
    found = []
    space, padding = operands(node)[0].shape[2:], node.params["padding"]
    for n, m, k, d, (start, _) in zip(space, small, kernel, steps, padding, strict=True):
        before = min(start // d, k - 1)
        start -= before * d
        size = min(-(-(n + start) // d), m + k - 1 - before)
        found.append((start, size, (before, m + k - 1 - before - size)))
    starts, sizes, borders = zip(*found, strict=True)
    return starts, sizes, borders


def dilated(w: Writer, node: Node) -> Made:
    """The convolution of images whose rows and columns are ``dilation`` apart in the given ones."""
    p, op = node.params, type(node.op)
    x, weight, y = operands(node)
    steps = p["dilation"]
    small = tuple([-(-n // d) for n, d in zip(y.shape[2:], steps, strict=True)])
    starts, large, padding = samples(node, small, weight.shape[2:], steps)
    count = x.shape[0] * math.prod(steps)
    xs, ys = [Value(0, (count, v.shape[1], *n), v.dtype) for v, n in ((x, large), (y, small))]
    new = other(node, xs, weight, ys, padding)
    some = math.prod(weight.shape) / (weight.shape[0] + weight.shape[1])  # work for each element
    if p["groups"] > 1 or some < MOVES or not has_transforms(new):
        return None
    order = TO_IMAGES[op is ConvWeight]
    given = [
        w.shaped(sampled(w, x, starts, large, steps, order), xs.shape) if v is xs
        else w.shaped(sampled(w, y, (0, 0), small, steps, order), ys.shape) if v is ys else v
        for v in new.inputs
    ]  # fmt: skip
    made = again(w, new, given)
    if op is ConvWeight:
        return [made]
    made = w.shaped(made, (x.shape[0], *steps, *made.shape[1:]))
    return [joined(w, made, order, (0, 0) if op is Conv else starts, node.outputs[0].shape)]


def strided(w: Writer, node: Node) -> Made:
    """The convolution of images of more channels: rows and columns that are ``stride`` apart."""
    p, op = node.params, type(node.op)
    x, weight, y = operands(node)
    steps = p["stride"]
    kernel = tuple([-(-k // s) for k, s in zip(weight.shape[2:], steps, strict=True)])
    starts, large, padding = samples(node, y.shape[2:], kernel, steps)
    (n, c), (outer, each), many = x.shape[:2], weight.shape[:2], math.prod(steps)
    xs = Value(0, (n, c * many, *large), x.dtype)
    ws = Value(0, (outer, each * many, *kernel), weight.dtype)
    new = other(node, xs, ws, y, padding)
    taps = math.prod(weight.shape[2:])
    some = outer * each * taps / (c * many)  # work for each element
    if some < MOVES or math.prod(kernel) * many > 2 * taps:
        return None
    if kernel == (1, 1):  # a product, if there are more outputs than pixels to move
        if op is ConvWeight or math.prod(y.shape[2:]) >= outer or not pointed(new):
            return None
    elif not has_transforms(new):
        return None
    order = TO_CHANNELS[op is ConvWeight]
    if op is ConvInput:
        new.inputs[2] = None
    groups, rows, places = p["groups"], outer // p["groups"], math.prod(large)
    if op is Conv and kernel == (1, 1) and pays_joined(n, places, rows, each * many):
        a = sampled(w, weight, (0, 0), kernel, steps, order)
        a = w.shaped(a, (groups, rows, each * many))
        x = sampled(w, x, starts, large, steps, SIDE_BY_SIDE)
        return [joined_product(w, a, x, node.inputs[2], y.shape)]
    given = [
        w.shaped(sampled(w, x, starts, large, steps, order), xs.shape) if v is xs
        else w.shaped(sampled(w, weight, (0, 0), kernel, steps, order), ws.shape) if v is ws else v
        for v in new.inputs
    ]  # fmt: skip
    if kernel == (1, 1):
        write = product if op is Conv else input_product
        (made,) = write(w, Node(node.op, given, new.params, new.outputs))
    else:
        made = again(w, new, given)
    if op is Conv:
        return [made]
    between = [steps[k - 3 >> 1] for k in order[2:4]]
    made = w.shaped(made, (made.shape[0], made.shape[1] // many, *between, *made.shape[2:]))
    made = joined(w, made, order, (0, 0) if op is ConvWeight else starts, node.outputs[0].shape)
    bias = node.inputs[2] if op is ConvInput else None
    return [made if bias is None else w.map(Add, made, w.shaped(bias, (c, 1, 1)))]


# Orders of (N, C, rows, steps, columns, steps); the second, for the gradient of the weight, is
# another one, so that what the forward pass made is not kept for it.
TO_IMAGES = ((0, 3, 5, 1, 2, 4), (0, 5, 3, 1, 2, 4))
TO_CHANNELS = ((0, 1, 3, 5, 2, 4), (0, 1, 5, 3, 2, 4))
SIDE_BY_SIDE = (1, 3, 5, 0, 2, 4)


def sampled(w: Writer, x: Value, starts: Any, size: Any, steps: Any, order: Any) -> Value:
    """The rows and columns of x, ``size`` of those ``steps`` apart, from ``starts`` before its
    first on, in some order of (N, C, rows, steps, columns, steps).
    """
    spans = [n * d for n, d in zip(size, steps, strict=True)]
    for dim, (start, span) in enumerate(zip(starts, spans, strict=True), 2):
        if x.shape[dim] > span - start:  # the last ones meet no tap
            x = w.part(x, dim, 0, span - start)
    borders = [(s, n - s - m) for s, n, m in zip(starts, spans, x.shape[2:], strict=True)]
    x = bordered(w, x, borders)
    n, c, (h, v), (dh, dv) = *x.shape[:2], size, steps
    sizes = n, c, h, dh, v, dv
    x = w.shaped(x, sizes)
    return w.node(Permute, [x], [sizes[k] for k in order], x.dtype, dims=order)


def joined(w: Writer, x: Value, order: Any, starts: Any, shape: Any) -> Value:
    """The reverse of ``sampled``."""
    back = tuple([order.index(k) for k in range(6)])
    n, c, h, dh, v, dv = [x.shape[k] for k in back]
    x = w.node(Permute, [x], (n, c, h, dh, v, dv), x.dtype, dims=back)
    x = w.shaped(x, (n, c, h * dh, v * dv))
    missing = [max(0, s + m - n) for s, m, n in zip(starts, shape[2:], x.shape[2:], strict=True)]
    x = bordered(w, x, [(0, n) for n in missing])
    index: Any = (..., *[slice(s, s + m) for s, m in zip(starts, shape[2:], strict=True)])
    return w.node(BasicIndex, [x], shape, x.dtype, index=index)
