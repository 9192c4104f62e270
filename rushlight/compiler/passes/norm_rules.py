"""How norms and their gradients are written out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rushlight.compiler.graph import Node, Value
from rushlight.compiler.passes.writer import Writer
from rushlight.ops.arithmetic import Add, Div, Mul, Neg, Sub
from rushlight.ops.math import Rsqrt, Sqrt
from rushlight.ops.reduce import Sum

Dims = tuple[int, ...]


def average(w: Writer, x: Value, dims: Dims, keepdim: bool = True) -> Value:
    """The mean over dims."""
    count = float(math.prod([x.shape[d] for d in dims]))
    return w.map(Div, w.reduce(Sum, x, dims, keepdim), count)


def scaled(w: Writer, y: Value, weight: Value | None, bias: Value | None) -> Value:
    """Times a weight, plus a bias, where there are such."""
    for op, v in ((Mul, weight), (Add, bias)):
        if v is not None:
            y = w.map(op, y, v)
    return y


def by_rows(w: Writer, node: Node, dims: Dims) -> list[Value]:
    """The norm over the last dims; the means, None without ``center``, and the scales."""
    x, weight, bias = node.inputs
    y, mean, scale = rows_apart(w, x, dims, node.params["center"], node.params["eps"])
    return [scaled(w, w.map(Mul, y, scale), weight, bias), mean, scale]  # type: ignore[list-item]


def rows_apart(
    w: Writer, x: Value, dims: Dims, center: bool, eps: float
) -> tuple[Value, Value | None, Value]:
    """x less its means over dims, if these are wanted; the means, and one over the deviations."""
    mean = average(w, x, dims) if center else None
    y = x if mean is None else w.map(Sub, x, mean)
    return y, mean, w.map(Rsqrt, w.map(Add, average(w, w.map(Mul, y, y), dims), eps))


def layer_norm(w: Writer, node: Node) -> list[Value] | None:
    """Rows less their mean, over their deviation. The other outputs, for the eager gradient, are
    not made.
    """
    if any([v.number in w.used for v in node.outputs[1:]]):
        return None
    rank = len(node.inputs[0].shape)
    dims = tuple(range(rank - node.params["rank"], rank))
    return [by_rows(w, node, dims)[0], *node.outputs[1:]]


def row_norm(w: Writer, node: Node) -> list[Value] | None:
    """``layer_norm`` of a matrix, with means and scales."""
    y, mean, scale = by_rows(w, node, (1,))
    return [y, w.full((1, 1), 0.0, y.dtype) if mean is None else mean, scale]


def row_norm_grad(w: Writer, node: Node) -> list[Value] | None:
    """``row_gradients`` of matrices, those that are needed."""
    g, x, weight, mean, scale = node.inputs
    center = node.params["center"]
    y = w.map(Mul, w.map(Sub, x, mean) if center else x, scale)
    found = row_gradients(w, g, y, weight, scale, (1,), center)
    return [v for v, need in zip(found, node.params["needs"], strict=True) if need]


def layer_norm_grad(w: Writer, node: Node) -> list[Value] | None:
    """``row_gradients``. Mean and scale are values of the forward pass; y is computed again, as in
    ``batch_norm_grad``.
    """
    g, x, weight = node.inputs
    rank, center = len(x.shape), node.params["center"]
    dims = tuple(range(rank - node.params["rank"], rank))
    y, mean, scale = rows_apart(w, x, dims, center, node.params["eps"])
    if mean is not None:
        y = w.map(Add, x, w.map(Neg, mean))
    found = row_gradients(w, g, w.map(Mul, y, scale), weight, scale, dims, center)
    return [w.shaped(v, o.shape) for v, o in zip(found, node.outputs, strict=True)]


def row_gradients(
    w: Writer, g: Value, y: Value, weight: Value | None, scale: Value, dims: Dims, center: bool
) -> list[Value]:
    """``(gy - y mean(gy y) - mean(gy)) scale`` for gy = g weight; sums of g y and g."""
    gy = g if weight is None else w.map(Mul, g, weight)
    r = w.map(Sub, gy, w.map(Mul, y, average(w, w.map(Mul, gy, y), dims)))
    if center:
        r = w.map(Sub, r, average(w, gy, dims))
    lead = tuple(range(dims[0]))
    sums = [w.reduce(Sum, v, lead) if lead else v for v in (w.map(Mul, g, y), g)]
    return [w.map(Mul, r, scale), *sums]


def group_norm(w: Writer, node: Node) -> list[Value] | None:
    """Groups of channels less their mean, over their deviation. The other outputs are not made."""
    if any([v.number in w.used for v in node.outputs[1:]]):
        return None
    (x, weight, bias), groups = node.inputs, node.params["groups"]
    rows = w.shaped(x, (x.shape[0] * groups, math.prod(x.shape[1:]) // groups))
    y, _, scale = rows_apart(w, rows, (1,), True, node.params["eps"])
    y = w.shaped(w.map(Mul, y, scale), x.shape)
    weight, bias = [v if v is None else along(w, v, x, channel_dims(x)) for v in (weight, bias)]
    return [scaled(w, y, weight, bias), *node.outputs[1:]]


def group_norm_grad(w: Writer, node: Node) -> list[Value] | None:
    """``row_gradients`` of the groups, and the sums by channels."""
    (g, x, weight), groups = node.inputs, node.params["groups"]
    dims, shape = channel_dims(x), (x.shape[0] * groups, math.prod(x.shape[1:]) // groups)
    y, _, scale = rows_apart(w, w.shaped(x, shape), (1,), True, node.params["eps"])
    y = w.map(Mul, y, scale)
    gy = g if weight is None else w.map(Mul, g, along(w, weight, x, dims))
    gx, _, _ = row_gradients(w, w.shaped(gy, shape), y, None, scale, (1,), True)
    product = w.map(Mul, g, w.shaped(y, x.shape))
    sums = [w.reduce(Sum, v, dims) for v in (product, g)]
    return [w.shaped(gx, x.shape), *sums]


def centred(w: Writer, x: Value, dims: Dims) -> tuple[Value, Value]:
    """x less its means over dims, and these, without the dims. Written in one way everywhere, so
    that a norm, its gradient and its running statistics share them.
    """
    mean = average(w, x, dims, False)
    return w.map(Sub, x, along(w, mean, x, dims)), mean


def along(w: Writer, v: Value, x: Value, dims: Dims) -> Value:
    """What a reduction of x over dims left, in the shape in which it meets x."""
    return w.shaped(v, [1 if d in dims else n for d, n in enumerate(x.shape)])


def channel_dims(x: Value) -> Dims:
    """All dims but that of channels."""
    return (0, *range(2, len(x.shape)))


def by_channels(w: Writer, given: Any, eps: float) -> list[Value]:
    """Channels less their mean, over their deviation; the means and scales. ``given``: the input,
    weight and bias.
    """
    x, weight, bias = given
    y, mean, scale = deviations(w, x, eps)
    factor = scale if weight is None else w.map(Mul, scale, weight)
    y = w.map(Mul, y, along(w, factor, x, channel_dims(x)))
    return [y if bias is None else w.map(Add, y, along(w, bias, x, channel_dims(x))), mean, scale]


def deviations(w: Writer, x: Value, eps: float) -> tuple[Value, Value, Value]:
    """Channels less their mean; the means, and one over the deviations."""
    dims = channel_dims(x)
    y, mean = centred(w, x, dims)
    square = average(w, w.map(Mul, y, y), dims, False)
    return y, mean, w.map(Div, 1.0, w.map(Sqrt, w.map(Add, square, eps)))


def batch_norm(w: Writer, node: Node) -> list[Value] | None:
    """``by_channels``. The other outputs are made where they are floats, for eager code on a GPU;
    as their bits they are not.
    """
    out, *kept = node.outputs
    if kept[0].dtype.kind == "f":
        wide = [v if v is None else w.cast(v, kept[0].dtype) for v in node.inputs]
        y, mean, scale = by_channels(w, wide, node.params["eps"])
        return [w.cast(y, out.dtype), mean, scale]
    if any([v.number in w.used for v in kept]):
        return None
    return [by_channels(w, node.inputs, node.params["eps"])[0], *kept]


def channel_norm(w: Writer, node: Node) -> list[Value] | None:
    """``batch_norm`` of (N, C, P), with means and scales."""
    return by_channels(w, node.inputs, node.params["eps"])


def channel_norm_grad(w: Writer, node: Node) -> list[Value] | None:
    """``channel_gradients``."""
    g, x, weight, mean, scale = node.inputs
    y = w.map(Sub, x, along(w, mean, x, (0, 2)))
    return channel_gradients(w, g, y, weight, scale, node.params["needed"])


def batch_norm_grad(w: Writer, node: Node) -> list[Value] | None:
    """``channel_gradients``. Mean and scale are values of the forward pass, y is computed again: as
    the difference of that pass, it would be a value as large as x that has to be kept.
    """
    g, x, weight, mean, scale = node.inputs
    if mean is None:
        _, mean, scale = deviations(w, x, node.params["eps"])
    else:
        g, x, weight = [v if v is None else w.cast(v, mean.dtype) for v in (g, x, weight)]
    y = w.map(Add, x, along(w, w.map(Neg, mean), x, channel_dims(x)))
    found = channel_gradients(w, g, y, weight, scale, True)
    return [w.cast(v, o.dtype) for v, o in zip(found, node.outputs, strict=True)]


def channel_gradients(
    w: Writer, g: Value, y: Value, weight: Value | None, scale: Value, needed: bool
) -> list[Value]:
    """For y, an input without its mean: ``(g - mean(g) - y scale^2 mean(g y)) scale weight``, if
    that is needed, the sums of g y scale and of g.
    """
    dims = channel_dims(y)
    slope = w.map(Mul, w.reduce(Sum, w.map(Mul, g, y), dims), scale)
    total = w.reduce(Sum, g, dims)
    if not needed:
        return [slope, total]
    factor = scale if weight is None else w.map(Mul, scale, weight)
    count = float(math.prod([y.shape[d] for d in dims]))
    by_y = w.map(Div, w.map(Mul, w.map(Neg, slope), scale), count)
    gx = w.map(Add, w.map(Mul, y, along(w, by_y, y, dims)), g)
    gx = w.map(Sub, gx, along(w, w.map(Div, total, count), y, dims))
    return [w.map(Mul, gx, along(w, factor, y, dims)), slope, total]


NORM_RULES: dict[str, Callable[[Writer, Node], Any]] = {
    "LayerNorm": layer_norm,
    "LayerNormGrad": layer_norm_grad,
    "RowNorm": row_norm,
    "RowNormGrad": row_norm_grad,
    "GroupNorm": group_norm,
    "GroupNormGrad": group_norm_grad,
    "BatchNorm": batch_norm,
    "BatchNormGrad": batch_norm_grad,
    "ChannelNorm": channel_norm,
    "ChannelNormGrad": channel_norm_grad,
}
