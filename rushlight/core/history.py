"""What a write in place does to the graph: the written tensor, or the base of a view, gets a new
place in it.
"""

from __future__ import annotations

from typing import Any

from rushlight.core.node import Node, next_seq, required
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor, edge, needs_grad, refuse, replay
from rushlight.errors import GraphError


def check_write(x: Tensor) -> None:
    """Refuse a recorded write that autograd cannot express."""
    link = x._link
    if link is not None:
        if link.origin is not None:
            refuse(link.origin, "is being")
        if needs_grad(x) and link.base._node is None:
            raise GraphError(
                "a view of a leaf Variable that requires grad is being used in an in-place "
                "operation; "
                "write under no_grad(), or to a clone()."
            )
    if edge(x) is x:
        raise GraphError(
            "a leaf Variable that requires grad is being used in an in-place operation; write "
            "under no_grad(), or to a clone()."
        )


def rebase(x: Tensor, node: Node, had_grad: bool, at: int = 0) -> None:
    """``node`` now describes how x's memory was made; when x is a view, so it does for part of the
    base's. x was the node's input ``at``.
    """
    link = x._link
    if link is None:
        move_keepers(x, node)
        x._node, x._tracked, x._wants_grad = node, True, False
        return
    base = link.base
    slices = CopySlices(base, link.chain, node, edge(base), at)
    if had_grad:
        move_keepers(base, slices)
    base._node, base._tracked, base._wants_grad = slices, True, False
    if x._node is None:
        x._node = node  # so that `refresh` knows there is something to make again
    elif x._keeps_grad:
        x._node.drop_keeper(x)  # `refresh` lets it retain at its new node


def move_keepers(x: Tensor, node: Node) -> None:
    """A retained gradient follows the tensor to its new node."""
    old = x._node
    if old is not None and x._keeps_grad:
        old.drop_keeper(x)
        node.add_keeper(x)


class CopySlices(Node):
    """The base of a view after the view was written by ``inner``: the base's new place in the
    graph.
    """

    order: tuple[int, ...] | None = None

    def __init__(
        self, base: Tensor, chain: tuple[Any, ...], inner: Node, base_edge: Any, at: int = 0
    ) -> None:
        self.inner, self.chain, self.op, self.at = inner, chain, inner.op, at
        self.edges = (*inner.edges[:at], base_edge, *inner.edges[at + 1 :])
        self.like = (base._array.shape, base._array.dtype)
        if any([op.by_place for op, _ in chain]):  # then the gradient must lie as the base does
            steps = base._array.strides
            self.order = tuple(sorted(range(len(steps)), key=lambda d: -steps[d]))
        self.seq = next_seq()
        self.params, self.versions, self.specs, self.special = None, (), None, False
        inner.owner = self.make_view_node

    @property
    def saved(self) -> Any:
        """What the inner node saved: both are freed together."""
        return self.inner.saved

    @saved.setter
    def saved(self, value: Any) -> None:
        self.inner.saved = value

    def name(self) -> str:
        return self.called or "CopySlices"

    def make_view_node(self) -> Node | None:
        """The graph position of the view as it was right after the write."""
        t = required.zeros(*self.like)
        t._node, t._tracked = self, True
        previous, modes.grad = modes.grad, True
        try:
            return replay(t, self.chain)._node
        finally:
            modes.grad = previous

    def backward(self, g: Any, needed: Any = None) -> list[Any]:
        if self.saved is None:
            self.inner.fetch(0)
        if self.order is not None:
            g = clone_in_order(g, self.order)
        part, at = replay(g, self.chain), self.at
        if not part._array.flags.c_contiguous:  # rules are quicker in dense memory
            part = part.clone()
        inner_needed = None if needed is None else needed | {self.inner.edges[at]}
        grads = list(self.inner.backward(part, inner_needed))
        if self.edges[at] is None or (needed is not None and self.edges[at] not in needed):
            grads[at] = None
        elif grads[at] is part:  # as it came, like what lies around the view
            grads[at] = g
        else:
            result = g.clone() if self.order is None else clone_in_order(g, self.order)
            if grads[at] is None:
                replay(result, self.chain).zero_()
            else:
                replay(result, self.chain).copy_(grads[at])
            grads[at] = result
        return grads


def clone_in_order(g: Tensor, order: tuple[int, ...]) -> Tensor:
    """A copy of g in dense memory, with its dims in this order, the slowest first."""
    p = g.permute(order)
    p = p.clone() if p._array.flags.c_contiguous else p.contiguous()
    back = tuple(sorted(range(len(order)), key=order.__getitem__))
    return p.permute(back)
