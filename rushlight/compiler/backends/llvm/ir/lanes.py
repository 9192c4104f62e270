"""Vectors as operands of Python's operators, for formulas that are longer than a few instructions.

Nothing written here is merged or reordered by LLVM, so that the rounding errors that a formula
computes are those it makes.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from rushlight.compiler.backends.llvm.ir.coefficients import COEFFICIENTS
from rushlight.compiler.backends.llvm.ir.text import mangled, scalar_type, vector_type

if TYPE_CHECKING:
    from rushlight.compiler.backends.llvm.ir.math import Vectors

BOOL, F32, F64 = np.dtype(bool), np.dtype(np.float32), np.dtype(np.float64)
# integers of the size of a float
WHOLE: dict[Any, np.dtype[Any]] = {F32: np.dtype(np.int32), F64: np.dtype(np.int64)}
DIGITS = {F32: 23, F64: 52}  # stored bits of the fraction
BIAS = {F32: 127, F64: 1023}
FLOAT = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
ORDERED = {"lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une"}


class Wide:
    """A vector, or one element, of floats, integers or truth values."""

    __slots__ = ("v", "d", "name")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, v: Vectors, d: Any, name: str) -> None:
        self.v, self.d, self.name = v, np.dtype(d), name

    def lift(self, o: Any) -> Wide:
        """A number as a constant of this type."""
        return o if isinstance(o, Wide) else Wide(self.v, self.d, self.v.c(o, self.d))

    def binary(self, op: str, a: Any, b: Any) -> Wide:
        a, b = self.lift(a), self.lift(b)
        op = FLOAT[op] if self.d.kind == "f" else op
        return Wide(self.v, self.d, self.v.op(f"{op} {self.v.type(self.d)} {a.name}, {b.name}"))

    def compare(self, op: str, o: Any) -> Wide:
        t, o = self.v.type(self.d), self.lift(o)
        if self.d.kind == "f":
            text = f"fcmp {ORDERED[op]} {t} {self.name}, {o.name}"
        else:
            text = f"icmp {'' if op in ('eq', 'ne') else 's'}{op} {t} {self.name}, {o.name}"
        return Wide(self.v, BOOL, self.v.op(text))

    def __add__(self, o: Any) -> Wide:
        return self.binary("add", self, o)

    def __sub__(self, o: Any) -> Wide:
        return self.binary("sub", self, o)

    def __mul__(self, o: Any) -> Wide:
        return self.binary("mul", self, o)

    def __truediv__(self, o: Any) -> Wide:
        return self.binary("div", self, o)

    def __radd__(self, o: Any) -> Wide:
        return self.binary("add", o, self)

    def __rsub__(self, o: Any) -> Wide:
        return self.binary("sub", o, self)

    def __rmul__(self, o: Any) -> Wide:
        return self.binary("mul", o, self)

    def __rtruediv__(self, o: Any) -> Wide:
        return self.binary("div", o, self)

    def __and__(self, o: Any) -> Wide:
        return self.binary("and", self, o)

    def __or__(self, o: Any) -> Wide:
        return self.binary("or", self, o)

    def __xor__(self, o: Any) -> Wide:
        return self.binary("xor", self, o)

    def __invert__(self) -> Wide:
        return self.binary("xor", self, 1 if self.d == BOOL else -1)

    def __lshift__(self, o: Any) -> Wide:
        return self.binary("shl", self, o)

    def __rshift__(self, o: Any) -> Wide:
        """Zeros come in from the left."""
        return self.binary("lshr", self, o)

    def __neg__(self) -> Wide:
        if self.d.kind != "f":
            return 0 - self
        return Wide(self.v, self.d, self.v.op(f"fneg {self.v.type(self.d)} {self.name}"))

    def __lt__(self, o: Any) -> Wide:
        return self.compare("lt", o)

    def __le__(self, o: Any) -> Wide:
        return self.compare("le", o)

    def __gt__(self, o: Any) -> Wide:
        return self.compare("gt", o)

    def __ge__(self, o: Any) -> Wide:
        return self.compare("ge", o)

    def __eq__(self, o: object) -> Wide:  # type: ignore[override]
        return self.compare("eq", o)

    def __ne__(self, o: object) -> Wide:  # type: ignore[override]
        return self.compare("ne", o)


Pair = tuple[Wide, Wide]  # a value as the sum of two, the second below the first's last bit


class Formulas:
    """What formulas are made of, for floats of one dtype."""

    def __init__(self, v: Vectors, d: Any) -> None:
        self.v = v
        self.d: np.dtype[Any] = np.dtype(d)
        self.whole: np.dtype[Any] = WHOLE[self.d]
        self.digits, self.bias = DIGITS[self.d], BIAS[self.d]

    def pick(self, single: Any, double: Any) -> Any:
        """What depends on the precision."""
        return single if self.d == F32 else double

    def parts(self, digits: str, count: int = 2) -> list[float]:
        """A constant as the sum of ``count`` floats, each what those before leave."""
        rest, found = Fraction(digits), []
        for _ in range(count):
            found.append(float(self.d.type(float(rest))))
            rest -= Fraction(found[-1])
        return found

    def const(self, value: float) -> Wide:
        return Wide(self.v, self.d, self.v.c(value, self.d))

    def named(self, d: Any, text: str) -> Wide:
        return Wide(self.v, d, self.v.op(text))

    def intrinsic(self, name: str, *x: Wide) -> Wide:
        d = x[0].d
        t = self.v.type(d)
        suffix = mangled(scalar_type(d), self.v.lanes)
        return Wide(self.v, d, self.v.intrinsic(name, suffix, t, [(t, a.name) for a in x]))

    def fma(self, a: Any, b: Any, c: Any) -> Wide:
        """``a b + c``, rounded once."""
        like = next(x for x in (a, b, c) if isinstance(x, Wide))
        return self.intrinsic("fma", like.lift(a), like.lift(b), like.lift(c))

    def abs(self, x: Wide) -> Wide:
        return self.intrinsic("fabs", x)

    def sqrt(self, x: Wide) -> Wide:
        return self.intrinsic("sqrt", x)

    def rint(self, x: Wide) -> Wide:
        return self.intrinsic("rint", x)

    def copysign(self, x: Wide, sign: Wide) -> Wide:
        return self.intrinsic("copysign", x, sign)

    def where(self, c: Wide, a: Any, b: Any) -> Wide:
        """a where c, else b."""
        like = a if isinstance(a, Wide) else b if isinstance(b, Wide) else self.const(0.0)
        a, b = like.lift(a), like.lift(b)
        t = self.v.type(like.d)
        return self.named(
            like.d, f"select {self.v.type(BOOL)} {c.name}, {t} {a.name}, {t} {b.name}"
        )

    def at_most(self, x: Wide, limit: Any) -> Wide:
        """The smaller; NaN stays."""
        return self.where(x > limit, limit, x)

    def at_least(self, x: Wide, limit: Any) -> Wide:
        """The larger; NaN stays."""
        return self.where(x < limit, limit, x)

    def isnan(self, x: Wide, y: Wide | None = None) -> Wide:
        """Whether x, or y, is NaN."""
        return self.named(BOOL, f"fcmp uno {self.v.type(self.d)} {x.name}, {(y or x).name}")

    def bits(self, x: Wide) -> Wide:
        """A float's bits as an integer."""
        t = self.v.type(self.whole)
        return self.named(self.whole, f"bitcast {self.v.type(self.d)} {x.name} to {t}")

    def floated(self, x: Wide) -> Wide:
        """Bits as a float."""
        t = self.v.type(self.d)
        return self.named(self.d, f"bitcast {self.v.type(self.whole)} {x.name} to {t}")

    def pattern(self, value: float) -> int:
        """A constant's bits."""
        return int(self.d.type(value).view(self.whole))

    def below(self, x: Wide, limit: int) -> Wide:
        """Whether an integer without sign is smaller than a constant."""
        t = self.v.type(x.d)
        return self.named(BOOL, f"icmp ult {t} {x.name}, {x.lift(limit).name}")

    def polynomial(self, name: str, x: Wide) -> Wide:
        """A polynomial of the table, by Horner's rule."""
        first, second, *rest = COEFFICIENTS[name][self.d.name]
        p = self.fma(first, x, second)
        for c in rest:
            p = self.fma(p, x, c)
        return p

    # Pairs

    def sum2(self, a: Any, b: Wide) -> Pair:
        """``a + b`` and its rounding error, for ``|a| >= |b|`` or a = 0."""
        s = a + b
        return s, b - (s - a)

    def plus(self, a: Any, b: Wide) -> Pair:
        """``a + b`` and its rounding error."""
        s = a + b
        t = s - a
        return s, (a - (s - t)) + (b - t)

    def times(self, a: Wide, b: Wide) -> Pair:
        """``a b`` and its rounding error."""
        p = a * b
        return p, self.fma(a, b, -p)

    def over(self, a: Pair, b: Pair) -> Pair:
        """A quotient."""
        y = 1.0 / b[0]
        q = a[0] * y
        rest = self.fma(-q, b[0], a[0]) + self.fma(-q, b[1], a[1])
        return q, rest * y

    def root(self, a: Pair) -> Pair:
        """The square root of a positive number."""
        s = self.sqrt(a[0])
        return s, (self.fma(-s, s, a[0]) + a[1]) / (s + s)

    # Branches

    def rarely(self, mask: Wide, values: list[Wide], then: Callable[[], list[Wide]]) -> list[Wide]:
        """``then()`` in place of ``values`` where some lane of the mask is set."""
        f, v = self.v.f, self.v
        some = mask.name
        if v.lanes:
            t = vector_type("i1", v.lanes)
            suffix = mangled("i1", v.lanes)
            some = v.intrinsic("vector.reduce.or", suffix, "i1", [(t, some)])
        rare, after, before = f.name_of("R"), f.name_of("J"), f.block
        f.do(f"br i1 {some}, label %{rare}, label %{after}")
        f.label(rare)
        new = then()
        last = f.block
        f.do(f"br label %{after}")
        f.label(after)
        return [
            self.named(a.d, f"phi {v.type(a.d)} [ {a.name}, %{before} ], [ {b.name}, %{last} ]")
            for a, b in zip(values, new, strict=True)
        ]
