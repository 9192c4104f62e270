"""Ops that have kernels of their own: what fits, and the launches that run one step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rushlight.compiler.backends.llvm import (
    attention,
    bags,
    ctc,
    recurrent,
    rows,
    serial,
    tops,
)
from rushlight.compiler.backends.llvm.convolution import (
    batched,
    channels,
    conv,
    pool,
    shapes,
    transformed,
)
from rushlight.compiler.backends.llvm.draws import exact, normals, twister, uniform
from rushlight.compiler.backends.llvm.ir.code import kernel
from rushlight.compiler.backends.llvm.launch import Launch
from rushlight.compiler.backends.llvm.recall import recalled
from rushlight.compiler.graph import Node
from rushlight.compiler.windows import Windows

Launches = Callable[[Node, int], list[Launch]]


def alone(write: Any, units: Callable[[Node], int]) -> Launches:
    """The writer of a single launch: ``write(f, node, addresses, scratch)`` fills the function in,
    and returns the elements of scratch memory that it needs.
    """

    def launches(node: Node, width: int) -> list[Launch]:
        f = kernel(width, node.outputs[0].dtype)
        given = [k for k, v in enumerate((*node.inputs, *node.outputs)) if v is not None]
        places = [""] * (len(node.inputs) + len(node.outputs))
        for number, k in enumerate(given):
            places[k] = f.operand(number)
        size = write(f, node, places, "%scratch")
        f.end()
        cost = 0.05 * math.prod(node.outputs[0].shape)
        operands = tuple([(k, 0) for k in given])
        return [Launch(f.module.text(), operands, units(node), size * f.size, 0, cost)]

    return launches


def convolution(usual: Launches) -> Launches:
    """The writer of a convolution: with transforms, or channels or images in vectors, where these
    suit.
    """

    def launches(node: Node, width: int) -> list[Launch]:
        s = shapes.shape_of(node)
        if transformed.suits(s, node, width):
            return transformed.launches(s, node, width)
        if channels.suits(s, node, width):
            return channels.launches(s, node, width)
        if batched.suits(s, node, width):
            return batched.launches(s, node, width)
        return usual(node, width)

    return launches


# what fits, and the launches of a node for vectors of some bits
WRITERS = {
    "Conv": (shapes.fits, convolution(conv.forward_launches)),
    "ConvInput": (shapes.fits, convolution(conv.input_launches)),
    "ConvWeight": (shapes.fits, convolution(conv.weight_launches)),
    "MaxPool": (pool.fits, alone(pool.write_max, pool.units)),
    "MaxPoolValues": (pool.fits, alone(pool.write_max, pool.units)),
    "MaxPoolSpread": (pool.fits, alone(pool.write_spread, pool.units)),
    **dict.fromkeys(recurrent.GATES, (recurrent.fits, recurrent.write_forward)),
    **{f"{name}Grad": (recurrent.fits, recurrent.write_backward) for name in recurrent.GATES},
    "Truths": (twister.fits, uniform.write_truths),
    "Uniforms": (twister.fits, uniform.write_uniforms),
    "Integers": (twister.fits, uniform.write_integers),
    "Normals": (twister.fits, normals.write_normals),
    "Waits": (twister.fits, exact.write_waits),
    "Shuffled": (twister.fits, uniform.write_shuffled),
    "Slopes": (twister.fits, exact.write_slopes),
    "CtcLosses": (ctc.fits, ctc.write),
    "CtcGradients": (ctc.fits, ctc.write),
    "BagMaxima": (bags.fits, bags.write),
    "Ranked": (tops.fits, tops.write),
    "PlaceRows": (rows.fits_place, rows.write_place),
    "Cumsum": (rows.fits_scan, rows.write_scan),
    "Cumprod": (rows.fits_scan, rows.write_scan),
    "Recurrence": (rows.fits_recurrence, rows.write_recurrence),
    **dict.fromkeys(serial.RUNNING, (serial.fits_scan, serial.write_scan)),
}
# those that read and write rows which lie anywhere, given the strides of their operands
STRIDED = {
    "FlashAttention": (attention.fits, attention.write_forward),
    "FlashAttentionGrad": (attention.fits, attention.write_backward),
}
_written: dict[Any, list[Launch]] = {}


def supported(node: Node) -> bool:
    """Whether a node has a template that fits it."""
    op = type(node.op)
    ours = op.__module__.startswith(("rushlight.ops", "rushlight.compiler"))
    found = (WRITERS.get(op.__name__) or STRIDED.get(op.__name__)) if ours else None
    return found is not None and found[0](node)


def strided(node: Node) -> bool:
    """Whether a node's operands need not lie one element after another, but in their rows."""
    return type(node.op).__name__ in STRIDED


def launches(node: Node, width: int, windows: Windows) -> list[Launch]:
    """The launches of a node. Their operands are positions among its inputs and outputs. Equal
    nodes are written once.
    """
    values = [*node.inputs, *node.outputs]
    specs = [None if v is None else (v.shape, v.dtype) for v in values]
    params = {k: v for k, v in node.params.items() if k != "engine"}
    steps: Any = ()
    if strided(node):
        steps = tuple([() if v is None else windows.layout(v)[1] for v in values])
    key = (type(node.op), repr(params), repr(specs), steps, width)
    if key not in _written:
        _written[key] = recalled(key, lambda: written(node, width, steps))
    return _written[key]


def written(node: Node, width: int, steps: Any) -> list[Launch]:
    """Write the launches of a node, whose operands have ``steps`` if these matter."""
    name = type(node.op).__name__
    if strided(node):
        return STRIDED[name][1](node, width, steps)
    return WRITERS[name][1](node, width)
