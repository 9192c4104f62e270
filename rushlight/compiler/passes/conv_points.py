"""Convolutions of single points, or with a single window, as matrix products."""

from __future__ import annotations

import math
from typing import Any

from rushlight.compiler.graph import Node, Value
from rushlight.compiler.passes.writer import Writer
from rushlight.ops.arithmetic import Add
from rushlight.ops.conv import Conv, ConvInput, ConvWeight
from rushlight.ops.view import BasicIndex, Permute

Made = list[Value] | None
LEAST = 8  # channels of a group of products
LANES = 16  # of the widest vectors
TURN, MOVE = 0.4, 2.0  # to turn, and to move, an element, if a vector of products takes 1


def operands(node: Node) -> tuple[Value, Value, Value]:
    """Input, weight and output of a convolution, whichever of the three it computes."""
    a, b, c = *node.inputs[:2], node.outputs[0]
    orders = {Conv: (a, b, c), ConvInput: (c, b, a), ConvWeight: (a, c, b)}
    return orders[type(node.op)]


def one_window(w: Writer, node: Node) -> Made:
    """Where kernels are as large as images, a product of these."""
    x, weight, _ = operands(node)
    p, op, out = node.params, type(node.op), node.outputs[0]
    if x.shape[2:] != weight.shape[2:] or p["groups"] > 1 or any([a or b for a, b in p["padding"]]):
        return None
    a, b = [w.shaped(v, (v.shape[0], -1)) for v in node.inputs[:2]]
    if op is Conv:
        y = w.product(a, transposed(w, b))
    elif op is ConvInput:
        y = w.product(a, b)
    else:
        return [w.shaped(w.product(transposed(w, b), a), out.shape)]
    y, bias = w.shaped(y, out.shape), node.inputs[2]
    return [y if bias is None else w.map(Add, y, w.shaped(bias, (-1, *[1] * len(p["stride"]))))]


def transposed(w: Writer, x: Value) -> Value:
    """A matrix with its dims exchanged."""
    return w.node(Permute, [x], x.shape[::-1], x.dtype, dims=(1, 0))


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
