"""Which nodes have which native form."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator
from typing import Any

from rushlight.compiler.formulas import formula, is_reduction, reduced_element
from rushlight.compiler.graph import Node, Value
from rushlight.compiler.loops import ZERO, Table
from rushlight.compiler.primitives import Assemble, Lookup, OneHot, Position
from rushlight.compiler.scalars import FLOATS, HALVES, INTEGERS, NATIVE, Scalar, UnsupportedError
from rushlight.compiler.windows import Windows, is_view

ADDRESSED = (OneHot, Lookup, Position)  # their elements depend on where they are


class Target(threading.local):
    """Whose kernels are asked for: "llvm" or "cuda", there with the architecture's numbers."""

    name, capability = "llvm", (9, 0)


target = Target()


@contextlib.contextmanager
def targeting(name: str, capability: tuple[int, int]) -> Iterator[None]:
    """Within it graphs become programs for another target."""
    before = target.name, target.capability
    target.name, target.capability = name, capability
    try:
        yield
    finally:
        target.name, target.capability = before


def is_free(node: Node) -> bool:
    """Whether a node only says where elements lie."""
    return is_view(node) or isinstance(node.op, Assemble)


def is_product(node: Node) -> bool:
    """Whether a node is a matrix product that has kernels."""
    if type(node.op).__name__ != "Matmul":
        return False
    a, b = node.inputs
    kinds = (*FLOATS, *HALVES, *INTEGERS) if target.name == "cuda" else FLOATS
    known = a.dtype == b.dtype and a.dtype in kinds
    return bool(
        known
        and len(a.shape) >= 2
        and len(b.shape) >= 2
        and math.prod(node.outputs[0].shape)
        and a.shape[-1]
    )


def has_template(node: Node) -> bool:
    """Whether a node has a kernel of its own."""
    if target.name == "cuda":
        from rushlight.compiler.backends.cuda import templates as cuda

        return cuda.supported(node)
    from rushlight.compiler.backends.llvm.templates import supported

    return supported(node)


def has_transforms(node: Node) -> bool:
    """Whether a convolution has transforms that save work."""
    if target.name == "cuda":
        return False
    from rushlight.compiler.backends.llvm import jit
    from rushlight.compiler.backends.llvm.convolution import shapes, transformed

    return transformed.suits(shapes.shape_of(node), node, jit.vector_bits())


def is_fusible(node: Node, numbers: set[int]) -> bool:
    """Whether a node becomes part of a kernel."""
    return not is_free(node) and not is_product(node) and fusible(node, numbers)


def fusible(node: Node, numbers: set[int]) -> bool:
    """Whether a node's formula can be written down."""
    table = Table()
    if len(node.outputs) > 1 or any(
        [n == 0 for v in node.inputs if isinstance(v, Value) for n in v.shape]
    ):
        return False
    if any([n == 0 for n in node.outputs[0].shape]):
        return False
    if isinstance(node.op, ADDRESSED):
        values = [v for v in (*node.inputs, *node.outputs) if isinstance(v, Value)]
        return all([v.dtype in NATIVE for v in values])
    try:
        operands: list[Any] = [
            Scalar(table, table.make("load", v.dtype, (), (v.number, ZERO)))
            if isinstance(v, Value)
            else v
            for v in node.inputs
        ]
        if is_reduction(node):
            reduced_element(node, operands[0])
        else:
            formula(node, table, operands, numbers)
    except UnsupportedError:
        return False
    return True


def is_whole(windows: Windows, v: Value) -> bool:
    """Whether a window's elements lie one after another."""
    steps, step = windows.layout(v)[1], 1
    for n, own in zip(reversed(v.shape), reversed(steps), strict=True):
        if n > 1 and own != step:
            return False
        step *= n
    return True


def strided(node: Node) -> bool:
    """Whether a node's template reads and writes rows that lie anywhere."""
    if target.name == "cuda":
        from rushlight.compiler.backends.cuda import templates as cuda

        return cuda.strided(node) and has_template(node)
    from rushlight.compiler.backends.llvm import templates

    return templates.strided(node) and has_template(node)


def suits_template(windows: Windows, node: Node, v: Value) -> bool:
    """Whether a node's template can read or write a window where it is."""
    if strided(node):
        return v.shape[-1] == 1 or windows.layout(v)[1][-1] == 1
    return is_whole(windows, v)


def suits_product(windows: Windows, v: Value) -> bool:
    """Whether the last two dims of a window are rows or columns that lie one after another."""
    _, strides, _ = windows.layout(v)
    (m, n), (s, t) = v.shape[-2:], strides[-2:]
    by_rows = (t == 1 or n == 1) and (s >= n or m == 1)
    by_columns = (s == 1 or m == 1) and (t >= m or n == 1)
    return by_rows or by_columns
