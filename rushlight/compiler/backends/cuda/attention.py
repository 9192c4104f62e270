"""Attention and its gradients; weights are never in memory.

A block has some queries and goes through the keys, a tile at a time: it multiplies them, takes the
softmax of what it has seen so far (Dao et al., 2022, "FlashAttention"), and adds the weighted
values up in registers. The gradients make the weights again, for blocks of queries, and for blocks
of keys. Each element is added up by one block, in order. Operands may lie anywhere.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.compiler.backends.cuda import (
    attention_plain as plain,
    attention_tensor as tensor,
    texts,
)
from rushlight.compiler.backends.cuda.launch import Launch
from rushlight.compiler.backends.cuda.products import begin
from rushlight.compiler.fits import target
from rushlight.compiler.graph import Node

BOOL = np.dtype(bool)


def fits(node: Node) -> bool:
    """Whether attention is of floats of one dtype, with a mask of truths or of the same."""
    q, k, v, mask = node.inputs[-4:]
    values = [*node.inputs[:-1], *node.outputs]
    one = all([x.dtype == q.dtype for x in values]) and texts.is_float(q.dtype)
    known = mask is None or mask.dtype in (q.dtype, BOOL)
    return one and known and 0 not in (*q.shape, *k.shape, *v.shape)


def on_tensor_cores(node: Node) -> bool:
    """Whether a GPU has them for attention of this kind."""
    q, _, v, _ = node.inputs[-4:]
    wide = max(q.shape[-1], v.shape[-1]) > tensor.WIDEST
    return q.dtype.itemsize < 8 and not wide and target.capability >= (8, 0)


def constants(node: Node, steps: Any, names: str) -> dict[str, Any]:
    """What ``texts.text`` needs: sizes, where each operand's matrices begin, and the steps of its
    rows and columns. ``names`` are those of the operands that there are, in order.
    """
    values = [*node.inputs, *node.outputs]
    given = [(v, own) for v, own in zip(values, steps, strict=True) if v is not None]
    q, k, v, mask = node.inputs[-4:]
    d, batch = q.dtype, q.shape[:-2]
    made: dict[str, Any] = {
        "QUERIES": q.shape[-2], "KEYS": k.shape[-2], "E": q.shape[-1], "VALUES": v.shape[-1],
        "CAUSAL": bool(node.params["is_causal"]), "SCALE": texts.number(node.params["scale"], d),
        "LOWEST": texts.number(-math.inf, d), "MASKS": mask is not None,
        "Mask": "u8" if mask is None or mask.dtype == BOOL else "T", "MASKED": "", "MASK": "",
        "MASK_GIVEN": "nullptr",
    }  # fmt: skip
    far = 3 * math.prod(q.shape[:-1])
    for name, (x, own) in zip(names.split(), given, strict=True):
        where = begin(batch, x.shape, own).removeprefix("return ").removesuffix(";")
        far = max(far, sum([(n - 1) * abs(t) for n, t in zip(x.shape, own, strict=True)]))
        made[f"BEGIN_{name}"] = f"({where})"
        made[f"{name}_R"], made[f"{name}_C"] = own[-2:]
    if mask is not None:
        there = "mask[BEGIN_M + q * (I)M_R + k * (I)M_C]"
        truth = f"if (q < QUERIES && !{there}) return LOWEST;"
        more = f"if (q < QUERIES) s += load({there}) * UNIT;"
        made |= {
            "MASKED": truth if mask.dtype == BOOL else more,
            "MASK": ", const Mask* __restrict__ mask", "MASK_GIVEN": "mask",
        }  # fmt: skip
    made["index"] = texts.index_type(most=far)
    return made


def forward(node: Node, steps: Any) -> list[Launch]:
    """FlashAttention."""
    given = constants(node, steps, "Q K V Y" if node.inputs[3] is None else "Q K V M Y")
    family = tensor if on_tensor_cores(node) else plain
    return family.forward(node, given)


def backward(node: Node, steps: Any) -> list[Launch]:
    """FlashAttentionGrad."""
    names = "G Q K V DQ DK DV" if node.inputs[4] is None else "G Q K V M DQ DK DV"
    given = constants(node, steps, names)
    family = tensor if on_tensor_cores(node) else plain
    return family.backward(node, given)
