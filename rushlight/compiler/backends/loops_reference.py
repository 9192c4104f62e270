"""Runs a graph's steps with NumPy, kernels by what their loops say: the definition of the loop IR.

A kernel's expressions are evaluated for all points of its axes at once: axis k of a kernel is dim
k of every array here, of size 1 where an expression does not depend on it. All loads of a kernel
see the memory as it was before the kernel; products, templates and calls run their nodes' ops.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from rushlight.compiler.backends.reference import Reference, apply, stored
from rushlight.compiler.graph import Graph, Node, Value
from rushlight.compiler.loops import WIDE, Affine, Expr, Kernel
from rushlight.compiler.lower import Lowering
from rushlight.compiler.steps import Check, Group, Product, Step

Array = Any
Read = Callable[[int], Array]  # a value's elements, row by row, by the value's number


def _erf(x: Array) -> Array:
    from scipy.special import erf

    return erf(x)


def _erfc(x: Array) -> Array:
    from scipy.special import erfc

    return erfc(x)


def _quotient(x: Array, y: Array) -> Array:
    q = np.floor_divide(x, y)
    return q + ((q < 0) & (q * y != x))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    "not": np.invert,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "where": np.where,
    "max": np.maximum,
    "min": np.minimum,
    "abs": np.abs,
    "pow": np.power,
    "atan2": np.arctan2,
    "hypot": np.hypot,
    "copysign": np.copysign,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "fmod": np.fmod,
    "rounded": np.positive,
    "nextafter": np.nextafter,
    "quotient": _quotient,
    "shl": np.left_shift,
    "shr": np.right_shift,
    "erf": _erf,
    "erfc": _erfc,
    **{
        name: getattr(np, name)
        for name in (
            *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt"),
            *("floor", "ceil", "trunc", "rint", "sin", "cos", "tan", "sinh", "cosh", "tanh"),
        )
    },
}
REDUCTIONS: dict[str, Any] = {
    "sum": np.add,
    "prod": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "any": np.logical_or,
    "all": np.logical_and,
}


class Points:
    """The points of a kernel's axes, and the values of expressions at them."""

    def __init__(self, kernel: Kernel, read: Read) -> None:
        self.axes = [*kernel.rows, *kernel.cols]
        self.sizes = [kernel.sizes[a] for a in self.axes]
        self.cols = tuple([self.axes.index(a) for a in kernel.cols])
        self.read = read
        self.known: dict[int, Array] = {}

    def position(self, where: Affine) -> Array:
        """An affine's value at every point."""
        total: Array = np.full([1] * len(self.axes), where.const, np.int64)
        for axis, c in where.terms:
            d = self.axes.index(axis)
            ramp = np.arange(self.sizes[d], dtype=np.int64) * c
            total = total + ramp.reshape([-1 if k == d else 1 for k in range(len(self.axes))])
        return total

    def value(self, e: Expr) -> Array:
        """An expression's value at every point."""
        if e.number not in self.known:
            self.known[e.number] = self.computed(e)
        return self.known[e.number]

    def computed(self, e: Expr) -> Array:
        if e.op == "const":
            return np.asarray(e.data, e.dtype)
        if e.op == "load":
            return self.read(e.data[0])[self.position(e.data[1])]
        if e.op == "gather":
            return self.read(e.data[0])[self.position(e.data[1]) + self.value(e.args[0])]
        if e.op == "number":
            return np.asarray(self.read(e.data)[0], np.float64)
        if e.op == "axis":
            return self.position(e.data)
        args = [self.value(a) for a in e.args]
        if e.op == "cast":
            return cast(args[0], e.dtype)
        if e.op == "reduce":
            return self.reduced(e, args[0])
        return np.asarray(FUNCTIONS[e.op](*args)).astype(e.dtype, copy=False)

    def reduced(self, e: Expr, x: Array) -> Array:
        """x, at all columns, combined."""
        rows = x.shape if x.ndim else (1,) * len(self.axes)
        shape = [n if d in self.cols else rows[d] for d, n in enumerate(self.sizes)]
        whole = np.broadcast_to(x, shape)
        return REDUCTIONS[e.data].reduce(whole, axis=self.cols, dtype=e.dtype, keepdims=True)


def cast(x: Array, d: Any) -> Array:
    """Conversion of elements; floats become short integers through int32."""
    if np.asarray(x).dtype.kind == "f" and np.dtype(d).kind in "iu" and d != np.uint64:
        x = np.asarray(x).astype(np.int64 if d in WIDE else np.int32)
    return np.asarray(x).astype(d)


def run_kernel(kernel: Kernel, read: Read) -> None:
    """Compute all stores' values, then store them."""
    points = Points(kernel, read)
    stores = [(s, points.value(s.expr)) for s in kernel.stores]
    for s, x in stores:
        where = points.position(s.where)
        read(s.buffer.number)[where] = np.broadcast_to(x, where.shape)


class LoopsReference:
    """A program that interprets the steps of a lowered graph."""

    def __init__(self, graph: Graph, expanded: Graph, given: int) -> None:
        self.graph, self.given = graph, given
        self.eager = Reference(graph, given)
        self.lowering = Lowering(expanded)
        self.inputs = self.lowering.graph.inputs

    def run(self, inputs: list[Any], outputs: list[Array]) -> None:
        """Run the steps in order; where a check fails, run the ops, which say why."""
        whole = [*inputs[: self.given], *[i.source for i in self.inputs[self.given :]]]
        self.memory: dict[int, Array] = {
            i.value.number: np.ascontiguousarray(a, i.value.dtype).reshape(-1)
            for i, a in zip(self.inputs, whole, strict=True)
        }
        for v, out in zip(self.lowering.graph.ends(), outputs, strict=True):
            self.memory[v.number] = out.reshape(-1)
        if not all([self.step(s) for s in self.lowering.steps]):
            self.eager.run(inputs, outputs)

    def step(self, step: Step) -> bool:
        """Run one step; False where a check fails."""
        for v in step.buffers:
            self.memory.setdefault(v.number, np.empty(math.prod(v.shape), v.dtype))
        if isinstance(step, Check):
            return bool(np.all(self.array(step.nodes[0].inputs[0])))
        if isinstance(step, Group) and step.kernel is not None:
            run_kernel(step.kernel, self.memory.__getitem__)
            return True
        if isinstance(step, Product) and step.kernel is not None:
            product = step.nodes[0].outputs[0]
            self.memory.setdefault(
                product.number, np.empty(math.prod(product.shape), product.dtype)
            )
            self.call(step.nodes[0])
            run_kernel(step.kernel, self.memory.__getitem__)
            return True
        for node in step.nodes:
            self.call(node)
        return True

    def call(self, node: Node) -> None:
        """Run an op's own code."""
        operands = [self.array(v) if isinstance(v, Value) else v for v in node.inputs]
        for v, array in zip(node.outputs, apply(node, operands), strict=True):
            self.array(v)[...] = stored(array, v)

    def array(self, v: Value) -> Array:
        """A value's array, or its number."""
        if v.number in self.lowering.numbers:
            return float(self.memory[v.number][0])
        root, strides, offset = self.lowering.windows.layout(v)
        flat = self.memory[root.number]
        steps = tuple([s * root.dtype.itemsize for s in strides])
        return as_strided(flat[offset:], v.shape, steps, writeable=True)

    def describe(self) -> str:
        """The steps, in order."""
        return self.lowering.describe()
