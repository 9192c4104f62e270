"""Rules that write convolutions of three dims as convolutions of two, those with dilation or stride
as convolutions without (``conv_parts``), and those of single points as matrix products
(``conv_points``).

Of three dims, those in which nothing happens, of kernel 1, are merged with their neighbours.
Otherwise the depth goes to the images and to the channels: an image for each depth of the result,
whose channels are those of the slices that the kernel reads there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rushlight.compiler.graph import Node, Value
from rushlight.compiler.passes.conv_parts import apart
from rushlight.compiler.passes.conv_points import (
    LANES,
    TURN,
    Made,
    input_product,
    one_window,
    pointed,
    product,
)
from rushlight.compiler.passes.window_rules import stretch
from rushlight.compiler.passes.writer import Writer
from rushlight.ops.arithmetic import Add
from rushlight.ops.conv import Conv, ConvInput, ConvWeight
from rushlight.ops.reduce import Sum
from rushlight.ops.view import BasicIndex, Permute

TURNS = 8  # elements that are turned in a product in the time that one of its result takes
TOTAL = 5.0  # to add the lanes of a sum, if a vector of products takes 1
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
    w: Writer, x: Value, starts: list[int], count: int, step: int, first: bool = False
) -> Value:
    """Images (N * count, C * K, H, W) of x (N, C, D, H, W), whose depth is zeros where it ends:
    image i of each holds depth ``start + i * step`` for each of K ``starts``. K is the last of the
    channels' dims. ``first``: i is the first of the images' dims, else N.
    """
    n, c, _, *plane = x.shape
    shape = (*((count, n) if first else (n, count)), c, len(starts), *plane)
    dims, every = ((1, 2, 0, 3, 4) if first else (0, 2, 1, 3, 4)), slice(None)
    parts = []
    for k, start in enumerate(starts):
        for part, where in stretch(w, x, 2, start, count, step):
            index = (where, every, every, k) if first else (every, where, every, k)
            chain = [
                (BasicIndex.instance, {"index": index}),
                (Permute.instance, {"dims": dims}),
            ]
            parts.append((part, chain))
    return w.shaped(w.assemble(parts, shape), (n * count, c * len(starts), *plane))


def turned(w: Writer, x: Value, n: int) -> Value:
    """Images (N * D, C, H, W) as (N, C, D, H, W)."""
    depth, (_, c, *plane) = x.shape[0] // n, x.shape
    y = w.shaped(x, (n, depth, c, *plane))
    return w.node(Permute, [y], (n, c, depth, *plane), x.dtype, dims=(0, 2, 1, 3, 4))


def images(w: Writer, x: Value) -> Value:
    """(N, C, D, H, W) as images (D * N, C, H, W)."""
    n, c, depth, *plane = x.shape
    y = w.node(Permute, [x], (depth, n, c, *plane), x.dtype, dims=(2, 0, 1, 3, 4))
    return w.shaped(y, (depth * n, c, *plane))


def in_plane(p: dict[str, Any]) -> dict[str, Any]:
    """The parameters of the last two dims."""
    return {k: v[1:] if k in PER_DIM else v for k, v in p.items()}


def depths(p: dict[str, Any], taps: int) -> list[int]:
    """The depths that the first window reads."""
    return [k * p["dilation"][0] - p["padding"][0][0] for k in range(taps)]


def convolution(w: Writer, node: Node) -> Made:
    """An image for each depth of the result."""
    (x, weight, bias), out, p = node.inputs, node.outputs[0], node.params
    found = one_window(w, node)
    if found is not None:
        return found
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
    """As ``convolution``. Images come in another order, since the slices would otherwise be kept
    from the forward pass on.
    """
    (x, g), out, p = node.inputs, node.outputs[0], node.params
    found = one_window(w, node)
    if found is not None:
        return found
    if len(x.shape) != 5:
        return dotted(w, node) or exchanged(w, node) or apart(w, node, p["kernel"])
    found = flat(w, node, p["kernel"])
    if found is not None:
        return found
    outer, inner, taps, *kernel = out.shape
    folded = slices(w, x, depths(p, taps), g.shape[2], p["stride"][0], True)
    shape = (outer, inner * taps, *kernel)
    y = w.node(ConvWeight, [folded, images(w, g)], shape, x.dtype, **in_plane(p))
    return [w.shaped(y, out.shape)]


def dotted(w: Writer, node: Node) -> Made:
    """Where a place is a product alone, of few channels, products of images along their places."""
    (x, g), out, p = node.inputs, node.outputs[0], node.params
    if math.prod(p["kernel"]) > 1 or not all(still(p, p["kernel"])) or p["groups"] > 1:
        return None
    (n, inner, *space), outer = x.shape, g.shape[1]
    places = math.prod(space)
    usual = min(cycles_of_weight(outer, inner), cycles_of_weight(inner, outer))
    if inner * outer * (places / LANES + TOTAL) > 0.5 * usual * places:
        return None
    a, b = w.shaped(g, (n, outer, places)), w.shaped(x, (n, inner, places))
    b = w.node(Permute, [b], (n, places, inner), b.dtype, dims=(0, 2, 1))
    y = w.product(a, b)
    return [w.shaped(y if n == 1 else w.reduce(Sum, y, (0,)), out.shape)]


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
    found = one_window(w, node)
    if found is not None:
        return found
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


CONV_RULES: dict[str, Callable[[Writer, Node], Made]] = {
    "Conv": convolution,
    "ConvInput": input_gradient,
    "ConvWeight": weight_gradient,
}
