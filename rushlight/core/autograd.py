"""Recording: an op that was applied becomes a node of the graph."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any

from rushlight import dtypes
from rushlight.core.node import Node, new_node, output_of
from rushlight.core.state import modes, state
from rushlight.core.tensor import (
    UNSHARED,
    Tensor,
    alias,
    counter_of,
    edge,
    idle,
    needs_grad,
)
from rushlight.dtypes import NUMBERS
from rushlight.errors import HERE


def any_needs_grad(inputs: Any) -> bool:
    """Slow check for views made under no_grad of something that requires grad: no edge, yet they
    require grad.
    """
    for t in inputs:  # noqa: SIM110  see edges_of
        if isinstance(t, Tensor) and t._tracked and needs_grad(t):
            return True
    return False


def record(
    op: Any,
    inputs: Sequence[Any],
    out: Any,
    params: dict[str, Any] | None = None,
    edges: tuple[Any, ...] | None = None,
) -> Node | None:
    """Attach to ``out`` (a Tensor, or a list of them) a node for ``op``; no effect when no input
    needs gradient.
    """
    if edges is None:
        edges = edges_of(inputs)
    if not any_edge(edges) and not any_needs_grad(inputs):
        return None
    outs = out if out.__class__ is list else (out,)
    if not outs:  # unbind of an empty dim
        return None
    n: Node = new_node(op, edges, params)
    kept, wants_specs = op.kept(edges, len(outs))
    if kept:
        save(n, kept, inputs, outs)
    if wants_specs or (op.fits and not alike(inputs, outs[0]._array)):
        n.specs = specs_of(inputs)
    attach(n, out)
    if state.busy and modes.anomaly:
        n.stack = users_calls()
    return n


def users_calls() -> str:
    """The calls of a program that lead into rushlight, as a traceback shows them."""
    calls = traceback.extract_stack()
    outside = [i for i, c in enumerate(calls) if not c.filename.startswith((HERE, "<frozen runpy"))]
    return "".join(traceback.format_list(calls[outside[0] : outside[-1] + 1] if outside else calls))


# Loops instead of comprehensions: before Python 3.12 each of those is a function that is made and
# called, which costs as much as ten elements.


def edges_of(inputs: Sequence[Any]) -> tuple[Any, ...]:
    """Where the gradient of each input goes."""
    edges: list[Any] = []
    for t in inputs:
        edges.append(edge(t) if isinstance(t, Tensor) and t._tracked else None)
    return tuple(edges)


def specs_of(inputs: Sequence[Any]) -> tuple[Any, ...]:
    """Shape and dtype of each tensor."""
    specs: list[Any] = []
    for t in inputs:
        if isinstance(t, Tensor):
            a = t._array
            specs.append((a.shape, a.dtype))
        else:
            specs.append(None)
    return tuple(specs)


def any_edge(edges: tuple[Any, ...]) -> bool:
    """Whether a gradient goes anywhere."""
    for e in edges:  # noqa: SIM110  see edges_of
        if e is not None:
            return True
    return False


def save(n: Node, kept: tuple[int, ...], inputs: Sequence[Any], outs: Sequence[Tensor]) -> None:
    """Let n keep these of its inputs, and of the outputs counted on from there; outputs as arrays
    that are new, or as aliases, since they lead back to n.
    """
    count, busy = len(inputs), state.busy
    saved: list[Any] = [None] * (count + len(outs))
    versions: list[Any] = saved.copy()
    for i in kept:
        if i >= count and not busy and outs[i - count]._counter is UNSHARED:
            t = outs[i - count]
            saved[i], versions[i] = t._array, counter_of(t)
            continue
        t = saved[i] = inputs[i] if i < count else alias(outs[i - count])
        if isinstance(t, Tensor):
            versions[i] = t._counter.value
    n.saved, n.versions = tuple(saved), tuple(versions)
    if state.busy and modes.saved_hooks is not None:
        pack_saved(n)


def alike(inputs: Sequence[Any], like: Any) -> bool:
    """Whether all tensors have the shape and dtype of the array ``like``."""
    shape, d = like.shape, like.dtype
    for t in inputs:
        if isinstance(t, Tensor):
            a = t._array
            if a.shape != shape or a.dtype != d:
                return False
    return True


def attach(n: Node, out: Any) -> None:
    """Make ``n`` the node of ``out``; integer outputs stay outside the graph."""
    if out.__class__ is not list:
        out._node, out._tracked = n, True
        return
    n.special, n.out_specs = True, []
    for i, o in enumerate(out):
        a = o._array
        d = a.dtype
        n.out_specs.append((a.shape, d))
        if d in dtypes.DIFFERENTIABLE:
            o._node, o._tracked = output_of(n, i), True


def whole_node(out: Tensor) -> Any:
    """The node of ``out``, which all outputs of an operation share; None where it has none."""
    node = out._node
    return node.edges[0] if node is not None and node._is_output else node


def node_name(out: Tensor) -> str:
    """How users see the node of ``out``; empty where it has none."""
    node = whole_node(out)
    return "" if node is None else str(node.name())


def known_as(name: str, out: Tensor) -> Tensor:
    """``out``, whose node users see as ``name``: several operations here, one in PyTorch."""
    node = whole_node(out)
    if node is not None:
        node.called = name
    return out


def pack_saved(n: Node) -> None:
    """Hand what the node saves to the user's pack hook; ``versions`` then holds the unpack hook."""
    assert modes.saved_hooks is not None
    pack, unpack = modes.saved_hooks
    saved = list(n.saved)
    versions = list(n.versions)
    for i in dict.fromkeys([*n.op.reading_order(), *range(len(saved))]):
        t = saved[i] if i < len(saved) else None
        if isinstance(t, Tensor):
            saved[i], versions[i] = pack(t), unpack
    n.saved, n.versions = tuple(saved), tuple(versions)


def record_unary(op: Any, a: Tensor, t: Tensor, params: dict[str, Any] | None = None) -> None:
    """``record`` for one input."""
    if a._link is not None and idle(a):
        return
    e = edge(a)
    if e is None and not needs_grad(a):
        return
    n = t._node = new_node(op, (e,), params)
    t._tracked = True
    keep_a, keep_out, specs = op.keep_only
    if keep_a or keep_out:
        n.saved = (a if keep_a else None, t._array if keep_out else None)
        n.versions = (
            a._counter.value if keep_a else None,
            counter_of(t) if keep_out else None,
        )
    if specs:
        x = a._array
        n.specs = ((x.shape, x.dtype),)


def record_binary(
    op: Any, a: Tensor, b: Any, t: Tensor, params: dict[str, Any] | None = None
) -> None:
    """``record`` for two inputs, the second of which may be a number."""
    if not (a._tracked and a._link is None) and idle(a) and (b.__class__ in NUMBERS or idle(b)):
        return
    ea = edge(a) if a._tracked else None
    if b.__class__ in NUMBERS:
        eb, number = None, True
    else:
        eb, number = edge(b) if b._tracked else None, False
    if eb is None:
        if ea is None and not any_needs_grad((a, b)):
            return
        keep_a, keep_b, keep_out, specs = op.keep_first
    else:
        keep_a, keep_b, keep_out, specs = op.keep_second if ea is None else op.keep_both
    n = t._node = new_node(op, (ea, eb), params)
    t._tracked = True
    if keep_a or keep_b or keep_out:
        n.saved = (a if keep_a else None, b if keep_b else None, t._array if keep_out else None)
        n.versions = (
            a._counter.value if keep_a else None,
            b._counter.value if keep_b and not number else None,
            counter_of(t) if keep_out else None,
        )
    if not number:
        shape, other = a._array.shape, b._array.shape
        if specs or (op.fits and shape != other):
            n.specs = ((shape, a._array.dtype), (other, b._array.dtype))
