"""What the CUDA C of templates begins with: the types and the constants of one node.

A template's C is written once, in names; the sizes, dtypes and options of a node stand before it:

    T, W        an element in memory, and what is computed with it: float for halves
    load, store from T to W, and back
    I           integers that count all elements of the largest operand
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.compiler.backends.cuda.launch import Launch
from rushlight.compiler.backends.cuda.source import TYPES
from rushlight.compiler.graph import Node, Value

BLOCK = 256  # threads
NAMES = {**TYPES, "bool": "u8"}  # truths are copied and compared as they are
HALVES = {"float16": "narrow_half", "bfloat16": "narrow_bfloat"}
Grid = tuple[tuple[int, int, int], tuple[int, int, int]]


def name_of(d: Any) -> str:
    """A dtype's name."""
    return str(dtypes.of[np.dtype(d)].name)


def is_half(d: Any) -> bool:
    """Whether a dtype is computed with in float32."""
    return name_of(d) in HALVES


def is_float(d: Any) -> bool:
    """Whether a dtype has fractions."""
    return is_half(d) or np.dtype(d).kind == "f"


def type_of(d: Any) -> str:
    """The C type of an element."""
    return NAMES[name_of(d)]


def work_of(d: Any) -> str:
    """The C type that an element is computed with."""
    return "float" if is_half(d) else type_of(d)


def number(value: Any, d: Any) -> str:
    """A number of a dtype, or of what that is computed with, as C has it."""
    bits = 64 if np.dtype(d).itemsize == 8 else 32
    if not is_float(d):
        return f"({type_of(d)})({int(value)}{'ull' if value > 2**63 - 1 else 'll'})".replace(
            "(-9223372036854775808ll)", "(1ull << 63)"
        )
    if math.isnan(value):
        return f"NAN{bits}"
    if math.isinf(value):
        return f"({'-' if value < 0 else ''}INF{bits})"
    return f"({work_of(d)})({float(value)!r})"


def lowest(d: Any) -> str:
    """What no element is below."""
    if is_float(d):
        return number(-math.inf, d)
    return "0" if np.dtype(d).kind == "b" else number(np.iinfo(d).min, d)


def highest(d: Any) -> str:
    """What no element is above."""
    if is_float(d):
        return number(math.inf, d)
    return "1" if np.dtype(d).kind == "b" else number(np.iinfo(d).max, d)


def index_type(*values: Value | None, most: int = 0) -> str:
    """What counts the elements of the largest value, or ``most``."""
    sizes = [math.prod(v.shape) for v in values if v is not None]
    return "i32" if max([*sizes, most]) < 2**30 else "i64"


def text(body: str, d: Any, index: str = "i32", **constants: Any) -> str:
    """``body`` behind T, W, I and the constants: whole numbers, dtypes (as type names), or C."""
    lines = [
        f"typedef {type_of(d)} T; typedef {work_of(d)} W; typedef {index} I;",
        f"__device__ __forceinline__ W load(T x) {{ return {'widen(x)' if is_half(d) else 'x'}; }}",
        "__device__ __forceinline__ T store(W x) { return "
        f"{HALVES[name_of(d)] + '(x)' if is_half(d) else 'x'}; }}",
    ]
    for name, value in constants.items():
        if isinstance(value, bool):
            lines.append(f"constexpr bool {name} = {str(value).lower()};")
        elif isinstance(value, int):
            kind = "int" if abs(value) < 2**31 else "i64"
            lines.append(f"constexpr {kind} {name} = {value};")
        elif isinstance(value, np.dtype):
            lines.append(f"typedef {type_of(value)} {name};")
        else:
            lines.append(f"#define {name} {value}")
    return "\n".join([*lines, body.strip(), ""])


def over(count: int, block: int = BLOCK) -> Grid:
    """Blocks that have a thread for each of so many things, which the C of ``each`` gives it."""
    return (max(1, -(-count // block)), 1, 1), (block, 1, 1)


def each(count: str = "COUNT", name: str = "i") -> str:
    """C that gives each thread one of so many things."""
    return f"I {name} = (I)blockIdx.x * blockDim.x + threadIdx.x;\n  if ({name} >= {count}) return;"


def places(node: Node) -> tuple[tuple[int, int], ...]:
    """The operands of a launch that takes all that a node has."""
    given = (*node.inputs, *node.outputs)
    return tuple([(k, 0) for k, v in enumerate(given) if v is not None])


def alone(c: str, node: Node, grid: Grid, **more: Any) -> list[Launch]:
    """A single launch that takes all operands of a node."""
    return [Launch(c, places(node), *grid, **more)]
