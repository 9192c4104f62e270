"""Ops that are no fused loops and have kernels of their own: what fits, and the launches that run
one node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.compiler.backends.cuda import (
    attention,
    conv,
    ctc,
    draws,
    pools,
    recurrent,
    rows,
    scans,
    sorts,
)
from rushlight.compiler.backends.cuda.launch import Launch
from rushlight.compiler.fits import target
from rushlight.compiler.graph import Node
from rushlight.compiler.windows import Windows

Fits = Callable[[Node], bool]

# what fits, and the launches of a node, whose operands lie one element after another
WRITERS: dict[str, tuple[Fits, Callable[[Node], list[Launch]]]] = {
    "Conv": (conv.fits, conv.forward),
    "ConvInput": (conv.fits, conv.to_input),
    "ConvWeight": (conv.fits, conv.to_weight),
    "MaxPool": (pools.fits, pools.maxima),
    "MaxPoolValues": (pools.fits, pools.maxima),
    "MaxPoolSpread": (pools.fits, pools.spread),
    "AvgPool": (pools.fits, pools.means),
    "AvgPoolSpread": (pools.fits, pools.means_spread),
    "Gathered": (pools.fits_runs, pools.runs),
    **dict.fromkeys(recurrent.GATES, (recurrent.fits, recurrent.forward)),
    **{f"{name}Grad": (recurrent.fits, recurrent.backward) for name in recurrent.GATES},
    "CtcLosses": (ctc.fits, ctc.write),
    "CtcGradients": (ctc.fits, ctc.write),
    "Truths": (draws.fits, draws.truths),
    "Uniforms": (draws.fits, draws.uniforms),
    "Slopes": (draws.fits, draws.uniforms),
    "Normals": (draws.fits, draws.normals),
    "Waits": (draws.fits, draws.waits),
    "Integers": (draws.fits, draws.integers),
    "Shuffled": (draws.fits, draws.shuffled),
    "PlaceRows": (rows.fits_place, rows.place),
    "BagMaxima": (rows.fits_bags, rows.bag_maxima),
    "Chosen": (rows.fits_chosen, rows.chosen),
    "Ranked": (sorts.fits, sorts.ranked),
    **dict.fromkeys(scans.KINDS, (scans.fits, scans.write)),
    "Recurrence": (scans.fits_recurrence, scans.recurrence),
}
# those whose operands may lie anywhere, given their strides in elements
STRIDED: dict[str, tuple[Fits, Callable[[Node, Any], list[Launch]]]] = {
    "FlashAttention": (attention.fits, attention.forward),
    "FlashAttentionGrad": (attention.fits, attention.backward),
}
_written: dict[Any, list[Launch]] = {}


def supported(node: Node) -> bool:
    """Whether a node has a template that fits it."""
    op = type(node.op)
    ours = op.__module__.startswith(("rushlight.ops", "rushlight.compiler"))
    found: Any = (WRITERS.get(op.__name__) or STRIDED.get(op.__name__)) if ours else None
    return found is not None and found[0](node)


def strided(node: Node) -> bool:
    """Whether a node's operands may lie anywhere."""
    return type(node.op).__name__ in STRIDED


def launches(node: Node, windows: Windows | None = None) -> list[Launch]:
    """The launches of a node, in order. Their operands are positions among (*inputs, *outputs).
    Equal nodes are written once. ``windows`` say where operands of what is ``strided`` lie.
    """
    values = [*node.inputs, *node.outputs]
    specs = [None if v is None else (v.shape, v.dtype) for v in values]
    params = [(k, part(v)) for k, v in node.params.items() if k != "engine"]
    steps: Any = ()
    if strided(node):
        assert windows is not None
        steps = tuple([() if v is None else windows.layout(v)[1] for v in values])
    key = (type(node.op), tuple(params), repr(specs), steps, target.capability)
    if key not in _written:
        name = type(node.op).__name__
        _written[key] = STRIDED[name][1](node, steps) if steps else WRITERS[name][1](node)
    return _written[key]


def part(v: Any) -> Any:
    """A parameter as part of a key: the text of an array leaves elements out."""
    if isinstance(v, (tuple, list)):
        return tuple([part(x) for x in v])
    return (v.shape, v.dtype, v.tobytes()) if isinstance(v, np.ndarray) else repr(v)
