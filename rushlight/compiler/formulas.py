"""What one element of a node's result is, as an expression of its operands' elements."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.compiler.graph import Node, Value
from rushlight.compiler.loops import Table
from rushlight.compiler.scalars import (
    BOOL,
    F32,
    FLOATS,
    HALVES,
    NATIVE,
    Scalar,
    ScalarMath,
    UnsupportedError,
    constant,
)
from rushlight.core.elementwise import Elementwise
from rushlight.ops.rounding import Step


@functools.lru_cache(4096)
def standin(shape: tuple[int, ...], d: Any) -> Any:
    """An array of a shape and dtype that takes no memory."""
    return np.broadcast_to(np.zeros((), d), shape)


def standins(node: Node, numbers: set[int]) -> list[Any]:
    """What the op's rules for dtypes see."""
    return [
        v if not isinstance(v, Value) else 1.5 if v.number in numbers else standin(v.shape, v.dtype)
        for v in node.inputs
    ]


def special(node: Node, table: Table, x: list[Any]) -> Scalar | None:
    """Formulas of ops that are no formulas in the framework."""
    name, d = type(node.op).__name__, node.outputs[0].dtype
    if name in ("Cast", "Settle", "Conj"):
        return x[0].astype(d)
    if (isinstance(node.op, Step) or name == "NanToNum") and d not in (*FLOATS, *HALVES):
        return x[0]
    if name in ("Fill", "Full"):
        return constant(table, node.params["value"], d)
    if name == "Pow" and d in HALVES:  # powers of float16 are never taken as roots
        a, b = [lifted(table, v, F32) for v in x]
        s = ScalarMath(table)
        return s.power(a, b) if d == np.float16 else s.pow(a, b)
    if name == "Where":
        a, b = [lifted(table, v, d) for v in x[1:]]
        return ScalarMath(table).where(x[0], a, b)
    if name == "MaskedFill":
        return ScalarMath(table).where(x[1], lifted(table, node.params["value"], d), x[0].astype(d))
    if name == "Clamp":
        if any([v.__class__ is float and v != v for v in node.params.values()]):
            raise UnsupportedError("a limit that is NaN, and makes all elements NaN")
        work = F32 if d in HALVES else d
        limits = {k: None if v is None else lifted(table, v, work) for k, v in node.params.items()}
        result: Scalar = node.op.scalar(ScalarMath(table), x[0].astype(work), **limits)
        return result
    if name == "Angle":
        v = x[0].astype(F32 if d in HALVES else d)
        s = ScalarMath(table)
        return s.where(v < 0, math.pi, s.where(v != v, v, 0))
    return None


def lifted(table: Table, v: Any, d: Any) -> Scalar:
    """An operand in dtype d."""
    return v.astype(d) if isinstance(v, Scalar) else constant(table, v, d)


def formula(node: Node, table: Table, operands: list[Any], numbers: set[int]) -> Scalar:
    """The node's element. Raises UnsupportedError where there is no native form."""
    d = node.outputs[0].dtype
    if d not in NATIVE or any([isinstance(o, Scalar) and o.dtype not in NATIVE for o in operands]):
        raise UnsupportedError(str(d))
    if any([isinstance(p, Value) for p in node.params.values()]):
        node = with_numbers(node, table)
    try:
        out = special(node, table, operands)
        if out is None:
            out = general(node, table, operands, numbers)
    except (
        TypeError,
        AttributeError,
        ValueError,
        OverflowError,
        NotImplementedError,
        KeyError,
    ) as error:
        raise UnsupportedError(str(error)) from error
    return lifted(table, out, d)


def with_numbers(node: Node, table: Table) -> Node:
    """The node, whose parameters that the call gives are elements."""
    params = {
        k: Scalar(table, table.make("number", np.float64, (), p.number))
        if isinstance(p, Value)
        else p
        for k, p in node.params.items()
    }
    return Node(node.op, node.inputs, params, node.outputs, node.line)


def general(node: Node, table: Table, operands: list[Any], numbers: set[int]) -> Any:
    """An elementwise op's own formula."""
    op = node.op
    if not isinstance(op, Elementwise) or len(node.outputs) > 1:
        raise UnsupportedError(type(op).__name__)
    d = work = np.dtype(op.compute_dtype(standins(node, numbers)))
    if d not in NATIVE:
        raise UnsupportedError(f"{type(op).__name__} of {d}")
    if d in HALVES:
        work = F32
        if op.out_dtype is not None:  # numbers are compared as the halves nearest to them
            operands = [lifted(table, o, d) for o in operands]
    scalar: Callable[..., Any] = op.scalar
    s = ScalarMath(table, work if work in FLOATS else None)
    params = {k: p.astype(work) if isinstance(p, Scalar) else p for k, p in node.params.items()}
    return scalar(s, *[lifted(table, o, work) for o in operands], **params)


REDUCTIONS = {
    "Sum": "sum",
    "Prod": "prod",
    "Amax": "max",
    "Amin": "min",
    "Max": "max",
    "Min": "min",
    "AnyTrue": "any",
    "AllTrue": "all",
    "CountNonzero": "count",
}


def reduced_element(node: Node, x: Scalar) -> tuple[str, Scalar]:
    """The kind of a reduction and what it accumulates."""
    kind, d = REDUCTIONS[type(node.op).__name__], node.outputs[0].dtype
    if d not in NATIVE or x.dtype not in NATIVE:
        raise UnsupportedError(str(d))
    x = x.astype(F32) if x.dtype in HALVES else x
    if kind in ("any", "all"):
        if d != BOOL:
            raise UnsupportedError("truth as uint8")
        return kind, x if x.dtype == BOOL else x != 0
    if kind == "count":
        return "sum", (x if x.dtype == BOOL else x != 0).astype(d)
    return kind, x.astype(F32 if d in HALVES else d)  # lower.py rounds halves after the last


def is_reduction(node: Node) -> bool:
    """Whether a node reduces dims in a way that kernels know."""
    return (
        type(node.op).__name__ in REDUCTIONS and type(node.op).__module__ == "rushlight.ops.reduce"
    )
