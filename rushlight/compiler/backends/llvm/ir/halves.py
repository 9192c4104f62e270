"""Conversions between float32 and numbers of 16 bits, rounded to the nearest, halfway to even."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rushlight import dtypes
from rushlight.compiler.backends.llvm import jit
from rushlight.compiler.backends.llvm.ir.lanes import F32, Formulas, Wide
from rushlight.compiler.backends.llvm.ir.text import mangled, scalar_type, vector_type

if TYPE_CHECKING:
    from rushlight.compiler.backends.llvm.ir.math import Vectors

I32 = np.dtype(np.int32)
# bits of float16: all but the sign, and those of infinity, beyond which are NaN
REST, INFINITE = 0x7FFF, 0x7C00
SHIFT = 13  # places that float32 has behind the last of float16


def cast(v: Vectors, x: str, a: np.dtype[Any], d: np.dtype[Any]) -> str:
    """x of dtype a as d, one of which is float32, and the other float16 or bfloat16."""
    narrow = d != F32
    bits, whole = v.type(d if narrow else a), v.type(I32)
    if dtypes.float16 in (a, d) and jit.converts_halves():
        return by_instruction(v, x, narrow, bits)
    f = Formulas(v, F32)
    if narrow:
        write = to_float16 if d == dtypes.float16 else to_bfloat16
        return v.op(f"trunc {whole} {write(f, Wide(v, F32, x)).name} to {bits}")
    wide = Wide(v, I32, v.op(f"zext {bits} {x} to {whole}"))
    return (from_float16(f, wide) if a == dtypes.float16 else f.floated(wide << 16)).name


def by_instruction(v: Vectors, x: str, narrow: bool, bits: str) -> str:
    """x as float16, or one of these as float32, where the processor does that."""
    half, single = vector_type("half", v.lanes), v.type(F32)
    if not narrow:
        return v.op(f"fpext {half} {v.op(f'bitcast {bits} {x} to {half}')} to {single}")
    # LLVM may join this with a rounding before, which gives another number
    suffix = mangled(scalar_type(F32), v.lanes)
    x = v.intrinsic("arithmetic.fence", suffix, single, [(single, x)])
    return v.op(f"bitcast {half} {v.op(f'fptrunc {single} {x} to {half}')} to {bits}")


def from_float16(f: Formulas, x: Wide) -> Wide:
    """A float32 of the bits of a float16."""
    rest = x & REST
    value = f.bits(f.floated(rest << SHIFT) * 2.0**112)  # exponents begin at other numbers
    value = f.where(rest < INFINITE, value, value | f.pattern(np.inf))
    return f.floated(value | (x & 0x8000) << 16)


def to_float16(f: Formulas, x: Wide) -> Wide:
    """The bits of a float16."""
    own = f.bits(x)
    rest = own & 0x7FFFFFFF
    up = ((rest >> SHIFT) & 1) + 0xFFF  # halfway to even
    usual = (rest - (112 << 23) + up) >> SHIFT
    # below 2**-14, steps are those of numbers from 1/2 on
    small = f.bits(f.floated(rest) + 0.5) - f.pattern(0.5)
    nan = (rest >> SHIFT) & 0x3FF | 0x7E00
    large = f.where(f.isnan(x), nan, f.where(rest < f.pattern(2.0**16), usual, INFINITE))
    return f.where(rest < f.pattern(2.0**-14), small, large) | (own >> 16) & 0x8000


def to_bfloat16(f: Formulas, x: Wide) -> Wide:
    """The bits of a bfloat16."""
    own = f.bits(x)
    up = ((own >> 16) & 1) + 0x7FFF
    return f.where(f.isnan(x), own | 0x400000, own + up) >> 16
