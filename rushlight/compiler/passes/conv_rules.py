"""Rules that write convolutions of three dims as convolutions of two, those with dilation or stride
as convolutions without, and those of single points as matrix products.

Of three dims, those in which nothing happens, of kernel 1, are merged with their neighbours.
Otherwise the depth goes to the images and to the channels: an image for each depth of the result,
whose channels are those of the slices that the kernel reads there.

With dilation d, every d-th row of the result comes from every d-th row of the input: d images
instead of one, which can be transformed. With stride s, every s-th row of the input, from each of
the first s on, becomes a channel of its own, and so do the kernel's rows; windows that share
nothing are then single points. Groups that fill half of a vector are joined in pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rushlight.compiler.fits import has_transforms
from rushlight.compiler.graph import Node, Value
from rushlight.compiler.passes.window_rules import bordered
from rushlight.compiler.passes.writer import Writer
from rushlight.ops.arithmetic import Add
from rushlight.ops.conv import Conv, ConvInput, ConvWeight
from rushlight.ops.view import BasicIndex, Permute

Made = list[Value] | None
LEAST = 8  # channels of a group of products
MOVES = 150.0  # products for each element in and out from which on it pays to rearrange images
ROUND = 3  # taps of a dim whose transforms take less than half of the products
LANES = 16  # of the widest vectors
TURN, MOVE = 0.4, 2.0  # to turn, and to move, an element, if a vector of products takes 1
TURNS = 8  # elements that are turned in a product in the time that one of its result takes
PER_DIM = ("stride", "padding", "dilation", "kernel", "space")  # parameters with a value each


def still(p: dict[str, Any], kernel: tuple[int, ...]) -> list[bool]:
    """The dims in which nothing happens."""
    sizes = zip(kernel, p["stride"], p["padding"], strict=True)
    return [k == 1 and s == 1 and tuple(a) == (0, 0) for k, s, a in sizes]


def flat(w: Writer, node: Node, kernel: tuple[int, ...]) -> Made:
    """The convolution with two dims merged, in which nothing happens."""
    p = node.params
    quiet = still(p, kernel)
    if quiet[1] and quiet[2]:
        first, kept = 1, (0, 1)
    elif quiet[0] and quiet[1]:
        first, kept = 0, (1, 2)
    else:
        return None

    def merged(shape: tuple[int, ...]) -> tuple[int, ...]:
        at = len(shape) - 3 + first
        return (*shape[:at], shape[at] * shape[at + 1], *shape[at + 2 :])

    options = {k: tuple([v[d] for d in kept]) if k in PER_DIM else v for k, v in p.items()}
    if "space" in p:
        options["space"] = merged(p["space"])
    inputs = [
        w.shaped(v, merged(v.shape)) if v is not None and len(v.shape) == 5 else v
        for v in node.inputs
    ]
    out = node.outputs[0]
    y = w.node(type(node.op), inputs, merged(out.shape), out.dtype, **options)
    return [w.shaped(y, out.shape)]


def slices(
    w: Writer, x: Value, starts: list[int], count: int, step: int, groups: int | None = None
) -> Value:
    """Images (N * count, C * K, H, W) of x (N, C, D, H, W), whose depth is zeros where it ends:
    image i holds depth ``start + i * step`` for each of K ``starts``. K is the last of the
    channels' dims, or, with ``groups``, the one behind those.
    """
    n, c, depth, *plane = x.shape
    last = (count - 1) * step
    before, behind = max(0, -min(starts)), max(0, max(starts) + last + 1 - depth)
    x = bordered(w, x, [(before, behind), (0, 0), (0, 0)])
    k, parts = len(starts), []
    shape = (n, count, groups or c, k, c // (groups or c), *plane)
    for i, start in enumerate(starts):
        at = start + before
        index: Any = (slice(None), slice(None), slice(at, at + last + 1, step))
        part = w.node(BasicIndex, [x], (n, c, count, *plane), x.dtype, index=index)
        part = w.shaped(part, (n, shape[2], shape[4], count, *plane))
        chain = [
            (BasicIndex.instance, {"index": (slice(None), slice(None), slice(None), i)}),
            (Permute.instance, {"dims": (0, 2, 3, 1, 4, 5)}),
        ]
        parts.append((part, chain))
    return w.shaped(w.assemble(parts, shape), (n * count, c * k, *plane))


def turned(w: Writer, x: Value, n: int) -> Value:
    """Images (N * D, C, H, W) as (N, C, D, H, W)."""
    depth, (_, c, *plane) = x.shape[0] // n, x.shape
    y = w.shaped(x, (n, depth, c, *plane))
    return w.node(Permute, [y], (n, c, depth, *plane), x.dtype, dims=(0, 2, 1, 3, 4))


def images(w: Writer, x: Value) -> Value:
    """(N, C, D, H, W) as images (N * D, C, H, W)."""
    n, c, depth, *plane = x.shape
    y = w.node(Permute, [x], (n, depth, c, *plane), x.dtype, dims=(0, 2, 1, 3, 4))
    return w.shaped(y, (n * depth, c, *plane))


def in_plane(p: dict[str, Any]) -> dict[str, Any]:
    """The parameters of the last two dims."""
    return {k: v[1:] if k in PER_DIM else v for k, v in p.items()}


def depths(p: dict[str, Any], taps: int) -> list[int]:
    """The depths that the first window reads."""
    return [k * p["dilation"][0] - p["padding"][0][0] for k in range(taps)]


def convolution(w: Writer, node: Node) -> Made:
    """An image for each depth of the result."""
    (x, weight, bias), out, p = node.inputs, node.outputs[0], node.params
    if pointed(node):
        return product(w, node)
    if len(x.shape) != 5:
        return apart(w, node, weight.shape[2:])
    found = flat(w, node, weight.shape[2:])
    if found is not None:
        return found
    n, outer, depth, *plane = out.shape
    taps = weight.shape[2]
    folded = slices(w, x, depths(p, taps), depth, p["stride"][0])
    rows = w.shaped(weight, (outer, weight.shape[1] * taps, *weight.shape[3:]))
    shape = (n * depth, outer, *plane)
    return [turned(w, w.node(Conv, [folded, rows, bias], shape, x.dtype, **in_plane(p)), n)]


def weight_gradient(w: Writer, node: Node) -> Made:
    """As ``convolution``. Channels come in another order, since the slices would otherwise be kept
    from the forward pass on.
    """
    (x, g), out, p = node.inputs, node.outputs[0], node.params
    if len(x.shape) != 5:
        return exchanged(w, node) or apart(w, node, p["kernel"])
    found = flat(w, node, p["kernel"])
    if found is not None:
        return found
    outer, inner, taps, *kernel = out.shape
    folded = slices(w, x, depths(p, taps), g.shape[2], p["stride"][0], p["groups"])
    shape = (outer, taps * inner, *kernel)
    y = w.node(ConvWeight, [folded, images(w, g)], shape, x.dtype, **in_plane(p))
    y = w.shaped(y, (outer, taps, inner, *kernel))
    return [w.node(Permute, [y], out.shape, x.dtype, dims=(0, 2, 1, 3, 4))]


def exchanged(w: Writer, node: Node) -> Made:
    """Where a place is a product alone, the gradient with input and result exchanged, if these are
    fewer channels: columns of the second are turned, once for all rows of the first.
    """
    (x, g), out, p = node.inputs, node.outputs[0], node.params
    if math.prod(p["kernel"]) > 1 or not all(still(p, p["kernel"])) or p["groups"] > 1:
        return None
    inner, outer = x.shape[1], g.shape[1]
    saved = cycles_of_weight(outer, inner) - cycles_of_weight(inner, outer)
    if saved * math.prod(x.shape) // inner < TURN * TURNS * math.prod(out.shape):
        return None
    y = w.node(ConvWeight, [g, x], (inner, outer, *out.shape[2:]), out.dtype, **node.params)
    dims = (1, 0, *range(2, len(out.shape)))
    return [w.node(Permute, [y], out.shape, out.dtype, dims=dims)]


def input_gradient(w: Writer, node: Node) -> Made:
    """For each remainder of depths modulo the stride, the taps that meet it."""
    (g, weight, bias), out, p = node.inputs, node.outputs[0], node.params
    if pointed(node):
        return input_product(w, node)
    if len(g.shape) != 5:
        return apart(w, node, weight.shape[2:])
    found = flat(w, node, weight.shape[2:])
    if found is not None:
        return found
    step, parts = p["stride"][0], []
    for rest in range(min(step, out.shape[2])):
        part = remainder(w, node, rest)
        chain = [
            (BasicIndex.instance, {"index": (..., slice(rest, None, step), *[slice(None)] * 2)})
        ]
        parts.append((part, chain))
    y = parts[0][0] if step == 1 else w.assemble(parts, out.shape)
    return [y if bias is None else w.map(Add, y, w.shaped(bias, (math.prod(bias.shape), 1, 1, 1)))]


def remainder(w: Writer, node: Node, first: int) -> Value:
    """The result of ``input_gradient`` at every stride-th depth from ``first`` on."""
    (g, weight, _), out, p = node.inputs, node.outputs[0], node.params
    n, inner, depth, *plane = out.shape
    step, (outer, each, taps, *kernel) = p["stride"][0], weight.shape
    count = len(range(first, depth, step))
    at = [first - d for d in depths(p, taps)]  # where taps read, in strides
    met = [k for k in range(taps) if at[k] % step == 0]
    if not met:
        return w.full((n, inner, count, *plane), 0, g.dtype)
    folded = slices(w, g, [at[k] // step for k in met], count, 1)
    parts = []
    for i, k in enumerate(met):
        tap = w.shaped(w.part(weight, 2, k, k + 1), (outer, each, *kernel))
        parts.append((tap, [(BasicIndex.instance, {"index": (slice(None), i)})]))
    rows = w.assemble(parts, (outer, len(met), each, *kernel))
    rows = w.shaped(rows, (outer * len(met), each, *kernel))
    shape = (n * count, inner, *plane)
    options = {**in_plane(p), "space": tuple(plane)}
    return turned(w, w.node(ConvInput, [folded, rows, None], shape, g.dtype, **options), n)


def cycles_of_weight(rows: int, columns: int) -> float:
    """Cycles for each place of a weight's gradient of so many rows and columns, which are turned,
    if a vector of products takes one.
    """
    return -(-columns // LANES) * (rows + TURN * LANES)


# Single points


def pointed(node: Node) -> bool:
    """Whether a convolution is a product of its weights and pixels."""
    (outer, inner, *kernel), p = node.inputs[1].shape, node.params
    if math.prod(kernel) > 1 or any([a or b for a, b in p["padding"]]):
        return False
    return p["groups"] == 1 or min(outer // p["groups"], inner) >= LEAST


def pixels(w: Writer, x: Value, groups: int) -> Value:
    """Images (N, C, *) as (N, groups, channels, pixels)."""
    n, c, *space = x.shape
    return w.shaped(x, (n, groups, c // groups, math.prod(space)))


def weights(w: Writer, node: Node) -> Value:
    """Weights (O, C, 1 ...) as (groups, outputs, channels)."""
    weight, groups = node.inputs[1], node.params["groups"]
    return w.shaped(weight, (groups, weight.shape[0] // groups, weight.shape[1]))


def at_strides(node: Node) -> Any:
    """The index of the pixels that are read."""
    return (..., *[slice(None, None, s) for s in node.params["stride"]])


def product(w: Writer, node: Node) -> list[Value]:
    """Weights times pixels, of each image or of all side by side."""
    (x, _, bias), out, p = node.inputs, node.outputs[0], node.params
    if max(p["stride"]) > 1:
        x = w.node(BasicIndex, [x], (*x.shape[:2], *out.shape[2:]), x.dtype, index=at_strides(node))
    a, (n, _, *space) = weights(w, node), x.shape
    (groups, rows, depth), places = a.shape, math.prod(space)
    if pays_joined(n, places, rows, depth):
        x = w.shaped(x, (n, groups, depth, *space))
        dims = (1, 2, 0, *range(3, len(x.shape)))
        x = w.node(Permute, [x], [x.shape[d] for d in dims], x.dtype, dims=dims)
        return [joined_product(w, a, x, bias, out.shape)]
    y = w.product(a, pixels(w, x, groups))
    if bias is not None:
        y = w.map(Add, y, w.shaped(bias, (groups, rows, 1)))
    return [w.shaped(y, out.shape)]


def joined_product(
    w: Writer, a: Value, x: Value, bias: Value | None, shape: tuple[int, ...]
) -> Value:
    """Weights (groups, outputs, channels) times pixels of all images side by side, x (channels,
    images, *), as images of ``shape``.
    """
    (groups, rows, depth), n = a.shape, shape[0]
    y = w.product(a, w.shaped(x, (groups, depth, math.prod(x.shape) // (groups * depth))))
    if bias is not None:
        y = w.map(Add, y, w.shaped(bias, (groups, rows, 1)))
    y = w.shaped(y, (groups, rows, n, y.shape[2] // n))
    turned = (n, *y.shape[:2], y.shape[3])
    return w.shaped(w.node(Permute, [y], turned, y.dtype, dims=(2, 0, 1, 3)), shape)


def pays_joined(n: int, places: int, rows: int, depth: int) -> bool:
    """Whether the pixels of n images are worth being laid side by side: weights are turned once
    only, and fewer lanes of vectors lie idle.
    """
    idle = n * -(-places // LANES) - -(-n * places // LANES)
    return rows * depth * (TURN * (n - 1) + idle) > MOVE * n * places * (rows + depth)


def input_product(w: Writer, node: Node) -> list[Value]:
    """Turned weights times pixels."""
    (g, _, bias), out, p = node.inputs, node.outputs[0], node.params
    a = weights(w, node)
    groups, outer, inner = a.shape
    a = w.node(Permute, [a], (groups, inner, outer), a.dtype, dims=(0, 2, 1))
    y = w.product(a, pixels(w, g, groups))
    y = w.shaped(y, (*out.shape[:2], *g.shape[2:]))
    if max(p["stride"]) > 1:
        some = [(BasicIndex.instance, {"index": at_strides(node)})]
        y = w.assemble([(w.full(out.shape, 0, out.dtype), []), (y, some)], out.shape)
    if bias is not None:
        y = w.map(Add, y, w.shaped(bias, (-1, *[1] * (len(out.shape) - 2))))
    return [y]


# Dilation and stride


def apart(w: Writer, node: Node, kernel: tuple[int, ...]) -> Made:
    """The convolution without dilation or stride, or of larger groups, if that has transforms."""
    p = node.params
    if len(kernel) != 2:
        return None
    if p["stride"] == p["dilation"] == (1, 1):
        return pairs(w, node) if p["groups"] > 1 and min(kernel) >= ROUND else None
    if p["stride"] == (1, 1):
        return dilated(w, node)
    return strided(w, node) if p["dilation"] == (1, 1) and not has_transforms(node) else None


def operands(node: Node) -> tuple[Value, Value, Value]:
    """Input, weight and output of a convolution, whichever of the three it computes."""
    a, b, c = *node.inputs[:2], node.outputs[0]
    orders = {Conv: (a, b, c), ConvInput: (c, b, a), ConvWeight: (a, c, b)}
    return orders[type(node.op)]


def other(node: Node, x: Value, weight: Value, y: Value, padding: Any) -> Node:
    """The same kind of node for other operands, with other padding, without dilation or stride."""
    inputs, result = {
        Conv: ([x, weight, *node.inputs[2:]], y),
        ConvInput: ([y, weight, *node.inputs[2:]], x),
        ConvWeight: ([x, y], weight),
    }[type(node.op)]
    options = {**node.params, "padding": padding, "dilation": (1, 1), "stride": (1, 1)}
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


CONV_RULES: dict[str, Callable[[Writer, Node], Made]] = {
    "Conv": convolution,
    "ConvInput": input_gradient,
    "ConvWeight": weight_gradient,
}
