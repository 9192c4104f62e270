"""Rules for attention: operands are brought to one batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rushlight.compiler.graph import Node, Value
from rushlight.compiler.passes.writer import Writer
from rushlight.compiler.primitives import FlashAttention, FlashAttentionGrad
from rushlight.ops.view import Expand

Made = list[Value] | None


def together(w: Writer, values: list[Value], batch: tuple[int, ...]) -> list[Value]:
    """Operands expanded to one batch."""
    shapes = [(*batch, *v.shape[-2:]) for v in values]
    return [
        v if v.shape == shape else w.node(Expand, [v], shape, v.dtype, shape=shape)
        for v, shape in zip(values, shapes, strict=True)
    ]


def mask_of(w: Writer, mask: Value | None, shape: tuple[int, ...], d: np.dtype) -> Value | None:
    """The mask, expanded, as truths or numbers of one dtype."""
    if mask is None:
        return None
    if mask.dtype not in (d, np.dtype(bool)):
        mask = w.cast(mask, d)
    return mask if mask.shape == shape else w.node(Expand, [mask], shape, mask.dtype, shape=shape)


def attention(w: Writer, node: Node) -> Made:
    """The result."""
    q, k, v, mask = node.inputs
    (out,) = node.outputs
    if 0 in (*q.shape, *k.shape, *v.shape):
        return None
    batch = out.shape[:-2]
    shape = (*batch, q.shape[-2], k.shape[-2])
    given = [*together(w, [q, k, v], batch), mask_of(w, mask, shape, q.dtype)]
    return [w.node(FlashAttention, given, out.shape, out.dtype, **node.params)]


def attention_grad(w: Writer, node: Node) -> Made:
    """The gradients, in the shape of the batch."""
    g, q, k, v, mask = node.inputs
    batch = node.outputs[0].shape[:-2]
    if any([o.shape[:-2] != batch for o in node.outputs]) or 0 in (*q.shape, *k.shape, *v.shape):
        return None
    shape = (*batch, q.shape[-2], k.shape[-2])
    given = [*together(w, [g, q, k, v], batch), mask_of(w, mask, shape, q.dtype)]
    made = [w.graph.value(o.shape, o.dtype) for o in node.outputs]
    w.nodes.append(Node(FlashAttentionGrad.instance, given, node.params, made, w.line))
    return made


ATTENTION_RULES: dict[str, Callable[[Writer, Node], Made]] = {
    "Attention": attention,
    "AttentionGrad": attention_grad,
}
