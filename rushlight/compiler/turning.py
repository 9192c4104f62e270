"""Values with their dims in another order than that in which a kernel goes through them.

What a kernel makes and leaves in another order is written there at once, where the kernel reads in
that order too; else it is copied, by squares of elements that are turned in registers. So is what a
kernel would read in another order than most.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from rushlight.compiler.body import operand_index
from rushlight.compiler.graph import Node, Value
from rushlight.compiler.loops import ZERO, Affine, Index, flatten, unflatten
from rushlight.compiler.primitives import Settle
from rushlight.compiler.steps import Group
from rushlight.compiler.windows import Windows

LEAST = 8  # elements along each of two axes
FEW = 1024  # elements that are as well read one by one


def turned(group: Group, node: Node, views: Windows, windows: Windows) -> list[Index]:
    """The index of a copy of a view that has the dims of what a group makes in another order, if
    the group reads most of its operands in the copy's order.
    """
    if not isinstance(node.op, Settle):
        return []
    try:
        root, strides, offset = views.layout(node.inputs[0])
    except ValueError:  # it would be a copy, were it not part of another value
        return []
    own, shape = group.index.get(root.number), node.outputs[0].shape
    if own is None or offset or len(shape) < 2 or math.prod(shape) != math.prod(root.shape):
        return []
    order = sorted(range(len(shape)), key=lambda d: (-strides[d], d))
    lies = [1]
    for d in reversed(order):
        if shape[d] > 1 and strides[d] != lies[-1]:
            return []
        lies.append(lies[-1] * shape[d])
    found = unflatten(flatten(own, root.shape), tuple([shape[d] for d in order]), group.sizes)
    if found is None:
        return []
    index = [ZERO] * len(shape)
    for d, i in zip(order, found, strict=True):
        index[d] = i
    return [tuple(index)] if follows(group, flatten(tuple(index), shape), views, windows) else []


def follows(group: Group, where: Affine, views: Windows, windows: Windows) -> bool:
    """Whether more operands of a group have neighbours in memory along the axis along which what is
    stored at ``where`` has, than along others.
    """
    axis = next((a for a, c in where.terms if c == 1), None)
    votes = 0
    for _, _, read in reads(group, views, windows):
        along = [a for a, c in read.terms if c == 1]
        votes += 1 if axis in along else -len(along)
    return votes > 0


def reads(group: Group, views: Windows, windows: Windows) -> Iterator[tuple[Node, int, Affine]]:
    """What a group reads and does not make: the node, which of its inputs that is, and where in
    memory it lies.
    """
    for node in group.nodes:
        for at, v in enumerate(node.inputs):
            if isinstance(v, Value) and views.source(v).number not in group.index:
                index = operand_index(node, at, own(group, node))
                if index is not None:
                    yield node, at, windows.position(v, index)[1]


def strays(group: Group, views: Windows, windows: Windows) -> list[tuple[Node, int]]:
    """The operands of a group to copy before: nodes, and which of their inputs."""
    if all([isinstance(n.op, Settle) for n in group.nodes]):  # it is a copy itself
        return []
    found = [*reads(group, views, windows)]
    stored = [windows.position(v, group.index[v.number])[1] for v in group.writes]
    axis = lane_axis(group, {where for _, _, where in found}, stored)
    return [
        (node, at)
        for node, at, where in found
        if axis is not None
        and strayed(group, where, axis)
        and node.inputs[at].dtype.itemsize in (4, 8)
        and math.prod(node.inputs[at].shape) >= FEW
        and copied_along(group, node, at).of(axis) == 1
    ]


def strayed(group: Group, where: Affine, axis: int) -> bool:
    """Whether what is read has neighbours in memory along another axis than ``axis``, and both are
    long.
    """
    if where.of(axis) in (0, 1) or group.sizes[axis] < LEAST:
        return False
    return any([c == 1 and group.sizes[a] >= LEAST for a, c in where.terms])


def copied_along(group: Group, node: Node, at: int) -> Affine:
    """Where a group would read an operand of a node, were it copied."""
    index = operand_index(node, at, own(group, node))
    return ZERO if index is None else flatten(index, node.inputs[at].shape)


def lane_axis(group: Group, read: set[Affine], stored: list[Affine]) -> int | None:
    """The axis along which most of what a group reads and writes has neighbours in memory."""
    votes: dict[int, float] = {}
    for where in (*read, *stored):
        often = 1.0 if not group.cols or any([a in group.cols for a, _ in where.terms]) else 0.1
        for a in [a for a, c in where.terms if c == 1]:
            votes[a] = votes.get(a, 0) + often * (1.01 if where in stored else 1)
    return max(votes, key=lambda a: votes[a]) if votes else None


def own(group: Group, node: Node) -> Any:
    """The index at which a group computes a node."""
    number = node.outputs[0].number
    return group.inner.get(number, group.index[number])
