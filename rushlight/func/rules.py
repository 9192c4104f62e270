"""How an op is applied to all samples at once: one rule for each kind of op.

A rule gets the node of one sample, and the operands, each with whether it has a first dim of all
samples; it returns the results with such a dim, or None where it does not know how.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.compiler.graph import Node
from rushlight.core.elementwise import Elementwise
from rushlight.core.op import Op
from rushlight.core.reduction import Reduction
from rushlight.core.tensor import Tensor
from rushlight.ops import conv, copy, join, matmul, pool, random, softmax, view
from rushlight.tensor_api.joining import stack

Operands = list[tuple[Any, bool]]
Rule = Callable[[Node, Operands, int], Any]


def call(op: Op, inputs: list[Any], params: dict[str, Any]) -> Any:
    """The op applied to tensors."""
    return type(op).bind(*inputs, **params)


def of(op: Op) -> Rule | None:
    """The rule of an op, or None."""
    if isinstance(op, Elementwise):
        return elementwise
    if isinstance(op, Reduction):
        return reduction
    if isinstance(op, view.Movement):
        return movement
    return RULES.get(type(op))


BY_ELEMENT = (
    random.BernoulliEach, random.BernoulliSample, random.NormalSample, random.Poisson,
    random.Binomial, random.StandardGamma,
)  # fmt: skip


def can_draw(node: Node) -> bool:
    """Whether ``drawn`` knows how to draw for all samples at once."""
    if isinstance(node.op, random.Multinomial):
        return len(node.outputs[0].shape) == 1
    return isinstance(node.op, (random.Draw, random.Dirichlet, *BY_ELEMENT))


def drawn(node: Node, operands: Operands, size: int) -> Tensor:
    """Random values for all samples, drawn as one tensor; permutations one after the other."""
    full = [  # all samples' memory decides the order of what is drawn into it
        t if many or not isinstance(t, Tensor) else t.expand(size, *t.shape).contiguous()
        for t, many in operands
    ]
    if isinstance(node.op, random.Permutation):
        return stack([call(node.op, [row], node.params) for row in full[0].unbind(0)])
    if isinstance(node.op, BY_ELEMENT):
        rank = len(node.outputs[0].shape)
        full = [widened(t, rank) if isinstance(t, Tensor) else t for t in full]
    drawn: Tensor = call(node.op, full, node.params)
    return drawn


def widened(t: Tensor, rank: int) -> Tensor:
    """All samples of a tensor, each with dims of size 1 in front, up to ``rank``."""
    n, *shape = t.shape
    return t if len(shape) >= rank else t.reshape(n, *[1] * (rank - len(shape)), *shape)


def elementwise(node: Node, operands: Operands, size: int) -> Any:
    rank = len(node.outputs[0].shape)
    return call(node.op, [widened(t, rank) if many else t for t, many in operands], node.params)


def same(node: Node, operands: Operands, size: int) -> Any:
    """Ops of one operand to which its first dims mean nothing."""
    return call(node.op, [t for t, _ in operands], node.params)


def reduction(node: Node, operands: Operands, size: int) -> Any:
    ((t, _),) = operands[:1]
    rank = t.dim() - 1
    dim = node.params.get("dim", ())
    if len(operands) > 1 or (dim is None and node.params.get("keepdim")):
        return None
    if not rank:
        t, dims = t.unsqueeze(1), [1]
    else:
        given = range(rank) if dim is None else dim if isinstance(dim, (tuple, list)) else (dim,)
        dims = [d % rank + 1 for d in given]
    whole: Any = tuple(dims) if dim is None or isinstance(dim, (tuple, list)) else dims[0]
    return call(node.op, [t], {**node.params, "dim": whole})


# Views

NO_DIMS = (view.Real, view.Imag, view.ViewAsReal, view.ViewAsComplex)


def shifted(op: Op, params: dict[str, Any], shape: Any, out: Any, size: int) -> Any:
    """The parameters of a view for all samples, given the shapes of one; None where unknown."""
    rank, kind = len(shape), type(op)
    if kind is view.Reshape:
        return {"shape": (size, *out)}
    if kind is view.Expand:
        return {"shape": (size, *out)} if len(out) == rank else None
    if kind is view.Permute:
        return {"dims": (0, *[d % rank + 1 for d in params["dims"]])}
    if kind is view.BasicIndex:
        return {"index": (slice(None), *params["index"])}
    if kind is view.Squeeze:
        dim = params["dim"]
        dims = dim if isinstance(dim, (tuple, list)) else (dim,)
        return {"dim": tuple([d % rank + 1 for d in dims])} if rank else None
    if kind is view.Unsqueeze:
        return {"dim": params["dim"] % (rank + 1) + 1}
    if kind in NO_DIMS:
        return params
    dims = [k for k in params if k in ("dim", "dim0", "dim1", "dim2")]
    known = (view.Transpose, view.Diagonal, view.Unfold, view.SplitPick, view.UnbindPick)
    if kind in known and rank:
        return {**params, **{k: params[k] % rank + 1 for k in dims}}
    return None


def movement(node: Node, operands: Operands, size: int) -> Any:
    ((t, _),) = operands
    shape, out = t.shape[1:], node.outputs[0].shape
    kind = type(node.op)
    if kind is view.T:
        return t.transpose(1, 2) if len(shape) == 2 else t if len(shape) < 2 else None
    if kind is view.Reshape:
        return t.reshape(size, *out)
    if kind is view.Expand:
        return widened(t, len(out)).expand(size, *out)
    params = shifted(node.op, node.params, shape, out, size)
    return None if params is None else call(node.op, [t], params)


def embed(node: Node, operands: Operands, size: int) -> Any:
    """The gradient of views."""
    ((t, _),) = operands
    shape, chain = node.params["shape"], []
    like = np.broadcast_to(np.int8(0), shape)
    for op, params in node.params["chain"]:
        out = view.look_or_copy(like, ((op, params),))
        moved = shifted(op, params, like.shape, out.shape, size)
        if moved is None:
            return None
        chain.append((op, moved))
        like = out
    return call(node.op, [t], {**node.params, "shape": (size, *shape), "chain": tuple(chain)})


# Ops along a dim


def along(node: Node, operands: Operands, size: int) -> Any:
    """Ops along ``dim`` of operands of one rank."""
    full = [t if many else t.expand(size, *t.shape) for t, many in operands]
    rank = full[0].dim() - 1 + (type(node.op) is join.Stack)
    return (
        call(node.op, full, {**node.params, "dim": node.params["dim"] % rank + 1}) if rank else None
    )


# Products


def product(node: Node, operands: Operands, size: int) -> Any:
    (a, of_a), (b, of_b) = operands
    ranks = a.dim() - of_a, b.dim() - of_b
    if not of_a and ranks == (2, 1):
        return b @ a.t()  # a matrix by all vectors, as one product
    if not of_b and ranks[1] == 2:
        return a @ b
    if ranks[0] == 1:
        a = a.unsqueeze(-2)
    if ranks[1] == 1:
        b = b.unsqueeze(-1)
    rank = max(*ranks, 2)
    out = (widened(a, rank) if of_a else a) @ (widened(b, rank) if of_b else b)
    if ranks[1] == 1:
        out = out.squeeze(-1)
    return out.squeeze(-2 if ranks[1] != 1 else -1) if ranks[0] == 1 else out


def linear(node: Node, operands: Operands, size: int) -> Any:
    (x, of_x), (w, of_w), (b, of_b) = operands
    if not of_w and not of_b:
        return call(node.op, [x, w, b], node.params)
    rank = x.dim() - of_x
    if not rank:
        return None
    rows = x.reshape(*([size] if of_x else []), -1, x.shape[-1])
    out = rows @ w.transpose(-1, -2)
    if b is not None:
        out = out + (b.unsqueeze(1) if of_b else b)
    return out.reshape(size, *node.outputs[0].shape)


# Images: samples join the batch, or the groups where they have weights of their own


def batched(t: Tensor) -> Tensor:
    """(n, N, C, ...) -> (n N, C, ...)."""
    return t.reshape(-1, *t.shape[2:])


def grouped(t: Any, many: bool, size: int) -> Any:
    """(n, N, C, ...) -> (N, n C, ...)."""
    t = t if many else t.expand(size, *t.shape)
    n, rows, channels, *space = t.shape
    return t.transpose(0, 1).reshape(rows, n * channels, *space)


def convolution(node: Node, operands: Operands, size: int) -> Any:
    (x, of_x), (w, of_w), (b, of_b) = operands
    out, rank = node.outputs[0].shape, len(node.outputs[0].shape)
    if of_b:
        b, bias = None, b.reshape(size, 1, -1, *[1] * (rank - 2))
    if not of_w:
        found = call(node.op, [batched(x) if of_x else x, w, b], node.params)
        found = found.reshape(size, *out) if of_x else found
    else:
        if b is not None:
            b, bias, of_b = None, b.reshape(-1, *[1] * (rank - 2)), True
        params = {**node.params, "groups": node.params["groups"] * size}
        found = call(node.op, [grouped(x, of_x, size), batched(w), b], params)
        found = found.reshape(out[0], size, *out[1:]).transpose(0, 1)
    return found + bias if of_b else found


def of_weight(node: Node, operands: Operands, size: int) -> Any:
    inputs = [grouped(t, many, size) for t, many in operands]
    params = {**node.params, "groups": node.params["groups"] * size}
    return call(node.op, inputs, params).reshape(size, *node.outputs[0].shape)


def pooled(node: Node, operands: Operands, size: int) -> Any:
    full = [batched(t if many else t.expand(size, *t.shape)) for t, many in operands]
    params = node.params
    space = params.get("space")
    if space is not None and len(space) == full[0].dim():
        params = {**params, "space": (size * space[0], *space[1:])}
    found = call(node.op, full, params)
    found = found if found.__class__ in (list, tuple) else [found]
    return [t.reshape(size, -1, *t.shape[1:]) for t in found]


RULES: dict[type[Op], Rule] = {
    view.Embed: embed,
    copy.Clone: same,
    copy.Contiguous: same,
    copy.Cast: same,
    copy.Copy: elementwise,
    softmax.Softmax: along,
    softmax.SoftmaxGrad: along,
    softmax.LogSoftmax: along,
    softmax.LogSoftmaxGrad: along,
    join.Cat: along,
    join.Stack: along,
    matmul.Matmul: product,
    matmul.Linear: linear,
    conv.Conv: convolution,
    conv.ConvInput: convolution,
    conv.ConvWeight: of_weight,
    pool.MaxPool: pooled,
    pool.MaxPoolSpread: pooled,
}
