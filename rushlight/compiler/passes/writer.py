"""What rules write nodes with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.compiler.graph import Graph, Input, Node, Value
from rushlight.compiler.primitives import Assemble, Full, Position, Require
from rushlight.ops.copy import Cast
from rushlight.ops.matmul import Matmul
from rushlight.ops.reduce import AllTrue, Sum
from rushlight.ops.view import BasicIndex, Reshape


class Writer:
    """Collects the nodes that replace one."""

    def __init__(self, graph: Graph, line: str, used: set[int], constants: dict[int, Any]) -> None:
        self.graph, self.line, self.used, self.constants = graph, line, used, constants
        self.nodes: list[Node] = []

    def node(self, op: Any, inputs: list[Any], shape: Any, d: Any, /, **params: Any) -> Value:
        """A node of one output."""
        out = self.graph.value(tuple(shape), d)
        self.nodes.append(Node(op.instance, inputs, params, [out], self.line))
        return out

    def map(self, op: Any, *inputs: Any, dtype: Any = None) -> Value:
        """An elementwise node; its dtype is the first value's unless given."""
        values = [v for v in inputs if isinstance(v, Value)]
        shape = np.broadcast_shapes(*[v.shape for v in values])
        return self.node(op, list(inputs), shape, values[0].dtype if dtype is None else dtype)

    def reduce(
        self, op: Any, x: Value, dim: tuple[int, ...], keepdim: bool = False, dtype: Any = None
    ) -> Value:
        """A reduction over dims."""
        if keepdim:
            shape = [1 if i in dim else n for i, n in enumerate(x.shape)]
        else:
            shape = [n for i, n in enumerate(x.shape) if i not in dim]
        return self.node(op, [x], shape, dtype or x.dtype, dim=dim, keepdim=keepdim)

    def cast(self, x: Value, d: Any) -> Value:
        """The same elements in another dtype."""
        return x if x.dtype == d else self.node(Cast, [x], x.shape, d, dtype=np.dtype(d))

    def product(self, a: Value, b: Value) -> Value:
        """A matrix product."""
        shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
        return self.node(Matmul, [a, b], shape, a.dtype)

    def shaped(self, x: Value, shape: Any) -> Value:
        """The same elements in another shape; one size may be -1."""
        if -1 in shape:
            rest = -math.prod(shape)
            shape = [math.prod(x.shape) // rest if n == -1 else n for n in shape]
        return (
            x
            if tuple(shape) == x.shape
            else self.node(Reshape, [x], shape, x.dtype, shape=tuple(shape))
        )

    def sum_all(self, x: Value) -> Value:
        """The sum of all elements."""
        return self.reduce(Sum, x, tuple(range(len(x.shape))))

    def full(self, shape: Any, value: Any, d: Any) -> Value:
        """One number everywhere."""
        shape = tuple(shape)
        return self.node(Full, [], shape, d, shape=shape, value=value, dtype=np.dtype(d))

    def position(self, shape: Any, dim: int) -> Value:
        """Each element's index along a dim."""
        return self.node(Position, [], shape, np.int64, shape=tuple(shape), dim=dim)

    def part(self, x: Value, dim: int, start: int, stop: int) -> Value:
        """Some slices of a dim."""
        index = (*[slice(None)] * dim, slice(start, stop))
        shape = (*x.shape[:dim], stop - start, *x.shape[dim + 1 :])
        return self.node(BasicIndex, [x], shape, x.dtype, index=index)

    def assemble(self, parts: list[tuple[Value, Any]], shape: Any) -> Value:
        """A value made of parts, each with the chain of views that it lies under."""
        chains = tuple([tuple(chain) for _, chain in parts])
        values = [v for v, _ in parts]
        shape = tuple(shape)
        return self.node(Assemble, values, shape, values[0].dtype, shape=shape, chains=chains)

    def require(self, condition: Value) -> None:
        """Stop the program unless all of a condition holds."""
        every = tuple(range(len(condition.shape)))
        self.node(Require, [self.reduce(AllTrue, condition, every)], (), np.bool_)

    def array(self, a: Any) -> Value:
        """A constant."""
        out = self.graph.value(a.shape, a.dtype)
        self.graph.inputs.append(Input(out, "constant", a))
        self.constants[out.number] = a
        return out

    def constant(self, x: Value) -> Any:
        """The array of a value that is always the same, else None."""
        return self.constants.get(x.number)
