"""Where the elements of views lie in the values that they look at."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.compiler.graph import Graph, Node, Value
from rushlight.compiler.loops import ZERO, Affine, Index
from rushlight.compiler.scalars import FLOATS, HALVES, INTEGERS
from rushlight.core.view import View
from rushlight.ops.compare import Eq, Ne
from rushlight.ops.copy import Cast
from rushlight.ops.rounding import Step
from rushlight.ops.view import look

OTHER_BYTES = ("ViewDtype", "Real", "Imag", "ViewAsReal", "ViewAsComplex")


def is_view(node: Node) -> bool:
    """Whether a node only rearranges the elements of its input."""
    op = node.op
    return isinstance(op, View) and not op.multi and type(op).__name__ not in OTHER_BYTES


Places = dict[int, tuple[Value, Any]]  # parts of other values, by number: of which, and the chain


def asks_last_digits(node: Node) -> bool:
    """Whether a node asks if floats are the same, of which one may be computed in two places, or
    makes them whole, where a digit that eager code has not may be one more or less.
    """
    whole = isinstance(node.op, Step) or (
        isinstance(node.op, Cast) and node.outputs[0].dtype in INTEGERS
    )
    return (whole or type(node.op) in (Eq, Ne)) and all(
        [isinstance(v, Value) and v.dtype in (*FLOATS, *HALVES) for v in node.inputs]
    )


class Windows:
    """For each value its root, which is not a view, and a window on the root's memory.

    Windows are found by letting the view ops look at arrays of bytes, which are never touched and
    all begin at the same place.
    ``places``: values that have no memory of their own, but are parts of others.
    """

    def __init__(self, graph: Graph, places: Places | None = None) -> None:
        self.producer = {v.number: n for n in graph.nodes for v in n.outputs}
        self.exact = any(map(asks_last_digits, graph.nodes))
        self.places = places or {}
        self.known: dict[int, tuple[Value, Any]] = {}
        self.memory = np.empty(0, np.int8)
        self.bases: dict[int, int] = {}

    def window(self, value: Value) -> tuple[Value, Any]:
        """The root and a view of an array of bytes in the root's shape; ValueError where a copy
        would be needed.
        """
        found = self.known.get(value.number)
        if found is not None:
            return found
        node = self.producer.get(value.number)
        if value.number in self.places:
            whole, chain = self.places[value.number]
            root, memory = self.window(whole)
            found = root, look(memory, chain)
        elif node is None or not is_view(node):
            memory = self.untouched(value.shape)
            self.bases[value.number] = memory.__array_interface__["data"][0]
            found = value, memory
        else:
            root, memory = self.window(node.inputs[0])
            seen = node.op.eager(np, memory, **node.params)
            if not isinstance(seen, np.ndarray) or (
                seen.size and not np.may_share_memory(seen, memory)
            ):
                raise ValueError("a copy would be needed")
            found = root, seen
        self.known[value.number] = found
        return found

    def untouched(self, shape: tuple[int, ...]) -> Any:
        """An array of bytes, which nobody may read or write."""
        size = math.prod(shape)
        if size > len(self.memory):
            self.memory = np.empty(size, np.int8)
        return self.memory[:size].reshape(shape)

    def layout(self, value: Value) -> tuple[Value, tuple[int, ...], int]:
        """The root, and the strides and offset in elements of the value on the root."""
        root, seen = self.window(value)
        offset = seen.__array_interface__["data"][0] - self.bases[root.number] if seen.size else 0
        return root, seen.strides, offset

    def source(self, value: Value) -> Value:
        """What the value looks at, through views alone."""
        node = self.producer.get(value.number)
        while node is not None and is_view(node):
            value = node.inputs[0]
            node = self.producer.get(value.number)
        return value

    def root(self, value: Value) -> Value:
        """What the value looks at."""
        return self.window(value)[0]

    def position(self, value: Value, index: Index) -> tuple[Value, Affine]:
        """The root, and the row-major position in it of an element of the value."""
        root, strides, offset = self.layout(value)
        flat = Affine(offset)
        for i, n, stride in zip(index, value.shape, strides, strict=True):
            if n > 1:
                flat = flat.plus(i, stride)
        return root, flat


def broadcast(index: Index, shape: tuple[int, ...]) -> Index:
    """The index of an operand of ``shape`` when the result is read at ``index``."""
    own = index[len(index) - len(shape) :]
    return tuple([i if n > 1 else ZERO for i, n in zip(own, shape, strict=True)])
