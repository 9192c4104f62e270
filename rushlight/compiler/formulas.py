"""What one element of a node's result is, as an expression of its operands' elements."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.compiler.graph import Node, Value
from rushlight.compiler.loops import Table
from rushlight.compiler.scalars import (
    BOOL,
    FLOATS,
    NATIVE,
    Scalar,
    ScalarMath,
    UnsupportedError,
    constant,
)
from rushlight.core.op import Elementwise

# ops whose formula is right for integers too; others round or check them in ways of their own
INTEGRAL = frozenset(
    [
        "Add",
        "Sub",
        "Mul",
        "Neg",
        "Eq",
        "Ne",
        "Lt",
        "Le",
        "Gt",
        "Ge",
        "Maximum",
        "Minimum",
        "Bitwise",
        "BitwiseAnd",
        "BitwiseOr",
        "BitwiseXor",
        "BitwiseNot",
        "LogicalAnd",
        "LogicalOr",
        "LogicalXor",
        "LogicalNot",
        "AddScaled",
        "Square",
        "Relu",
        "ReluGrad",
        "ClampMin",
        "ClampMax",
        "Isnan",
        "Addcmul",
    ]
)
OPAQUE = frozenset(("Frexp", "Nextafter", "Conj", "Angle", "Prelu"))


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
    if name in ("Cast", "Settle"):
        return x[0].astype(d)
    if name in ("Fill", "Full"):
        return constant(table, node.params["value"], d)
    if name == "Where":
        a, b = [lifted(table, v, d) for v in x[1:]]
        return ScalarMath(table).where(x[0], a, b)
    if name == "MaskedFill":
        return ScalarMath(table).where(x[1], lifted(table, node.params["value"], d), x[0].astype(d))
    if name == "Clamp":
        limits = {k: None if v is None else lifted(table, v, d) for k, v in node.params.items()}
        result: Scalar = node.op.scalar(ScalarMath(table), x[0].astype(d), **limits)
        return result
    return None


def lifted(table: Table, v: Any, d: Any) -> Scalar:
    """An operand in dtype d."""
    return v.astype(d) if isinstance(v, Scalar) else constant(table, v, d)


def formula(node: Node, table: Table, operands: list[Any], numbers: set[int]) -> Scalar:
    """The node's element. Raises UnsupportedError where there is no native form."""
    d = node.outputs[0].dtype
    if d not in NATIVE or any([isinstance(o, Scalar) and o.dtype not in NATIVE for o in operands]):
        raise UnsupportedError(str(d))
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


def general(node: Node, table: Table, operands: list[Any], numbers: set[int]) -> Any:
    """An elementwise op's own formula."""
    op = node.op
    name = type(op).__name__
    if not isinstance(op, Elementwise) or name in OPAQUE or len(node.outputs) > 1:
        raise UnsupportedError(name)
    work = np.dtype(op.compute_dtype(standins(node, numbers)))
    if work not in NATIVE or (work not in FLOATS and name not in INTEGRAL):
        raise UnsupportedError(f"{name} of {work}")
    scalar: Callable[..., Any] = op.scalar  # type: ignore[attr-defined]
    return scalar(ScalarMath(table), *[lifted(table, o, work) for o in operands], **node.params)


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
    if kind in ("any", "all"):
        if d != BOOL:
            raise UnsupportedError("truth as uint8")
        return kind, x if x.dtype == BOOL else x != 0
    if kind == "count":
        return "sum", (x if x.dtype == BOOL else x != 0).astype(d)
    return kind, x.astype(d)


def is_reduction(node: Node) -> bool:
    """Whether a node reduces dims in a way that kernels know."""
    return (
        type(node.op).__name__ in REDUCTIONS and type(node.op).__module__ == "rushlight.ops.reduce"
    )


def native_dtype(d: Any) -> bool:
    """Whether kernels compute with a dtype."""
    return d in NATIVE and d not in dtypes.HALVES
