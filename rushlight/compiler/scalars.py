"""Elements of arrays as expressions: an op's ``scalar`` formula, called with these, writes down
what it computes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.compiler.loops import Expr, Table
from rushlight.compiler.special import SPECIAL, bell

BOOL, INT64 = np.dtype(bool), np.dtype(np.int64)
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
F32 = FLOATS[0]
HALVES = (dtypes.float16, dtypes.bfloat16)  # kept so in memory, computed in float32
INTEGERS = tuple([np.dtype(t) for t in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")])
NATIVE = (*FLOATS, *HALVES, BOOL, *INTEGERS)


class UnsupportedError(Exception):
    """The formula uses something that has no native form."""


class Scalar:
    """An operand of a formula."""

    __slots__ = ("table", "expr")
    __array_ufunc__ = None  # NumPy scalars leave mixed arithmetic to this class
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, table: Table, expr: Expr) -> None:
        self.table, self.expr = table, expr

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type."""
        return self.expr.dtype

    def astype(self, d: Any) -> Scalar:
        """Converted to another type."""
        d = np.dtype(d)
        if d == self.dtype:
            return self
        if d not in NATIVE or self.dtype not in NATIVE:
            raise UnsupportedError(f"conversion to {d}")
        if self.expr.op == "const":
            return constant(self.table, self.expr.data, d)
        if d != F32 and self.dtype != F32 and (d in HALVES or self.dtype in HALVES):
            return self.astype(F32).astype(d)
        return Scalar(self.table, self.table.make("cast", d, (self.expr,)))

    def call(self, op: str, *others: Any, dtype: Any = None) -> Scalar:
        """A function of this and others of one type; numbers become that type."""
        operands = together(self.table, self, *others)
        d = operands[0].dtype
        args = tuple([o.expr for o in operands])
        return Scalar(self.table, self.table.make(op, d if dtype is None else dtype, args))

    def __add__(self, o: Any) -> Any:
        a, b = together(self.table, self, o)
        return a.call("or" if a.dtype == BOOL else "add", b)

    def __radd__(self, o: Any) -> Any:
        return self + o

    def __sub__(self, o: Any) -> Any:
        return self.call("sub", o)

    def __rsub__(self, o: Any) -> Any:
        return lift(self.table, o, self).call("sub", self)

    def __mul__(self, o: Any) -> Any:
        a, b = together(self.table, self, o)
        if b.expr.op == "const" and b.expr.data == 1:
            return a
        return a.call("and" if a.dtype == BOOL else "mul", b)

    def __rmul__(self, o: Any) -> Any:
        return self * o

    def __truediv__(self, o: Any) -> Any:
        a, b = together(self.table, self, o)
        if a.dtype not in FLOATS:
            raise UnsupportedError("true division of integers")
        if a.expr.op == "cast" and a.expr.args[0].dtype == BOOL and b.is_moderate():
            truth = Scalar(self.table, a.expr.args[0])  # of two quotients; 0 / b is 0
            one = a.dtype.type(1) / a.dtype.type(b.expr.data)
            return ScalarMath(self.table).where(truth, constant(self.table, one, a.dtype), 0.0)
        return a.call("div", b)

    def source(self) -> Any:
        """The expression that this is, whatever it was converted to."""
        e = self.expr
        while e.op == "cast":
            e = e.args[0]
        return e

    def is_moderate(self) -> bool:
        """Whether this is a number that has a reciprocal, and is above 0."""
        return self.expr.op == "const" and 1e-30 < self.expr.data < 1e30

    def __rtruediv__(self, o: Any) -> Any:
        return lift(self.table, o, self) / self

    def __pow__(self, o: Any) -> Any:
        return ScalarMath(self.table).pow(self, o)

    def __lshift__(self, o: Any) -> Any:
        """Bits moved up, as in torch: a shift by the width or more leaves none."""
        a, b, inside = self.shifted(o)
        s = ScalarMath(self.table)
        return s.where(inside, a.call("shl", s.where(inside, b, 0)), 0)

    def __rshift__(self, o: Any) -> Any:
        """Bits moved down; a shift by the width or more leaves the sign."""
        a, b, inside = self.shifted(o)
        s = ScalarMath(self.table)
        y = a.call("shr", s.where(inside, b, 8 * a.dtype.itemsize - 1))
        return y if a.dtype.kind == "i" else s.where(inside, y, 0)

    def shifted(self, o: Any) -> tuple[Scalar, Scalar, Scalar]:
        """Both operands, and whether the second is a number of bits that the first has."""
        a, b = together(self.table, self, o)
        if a.dtype not in INTEGERS:
            raise UnsupportedError("bits of a float")
        inside = b < 8 * a.dtype.itemsize
        return a, b, inside & (b >= 0) if b.dtype.kind == "i" else inside

    @property
    def imag(self) -> Scalar:
        """Of a real number."""
        return constant(self.table, 0, self.dtype)

    @property
    def real(self) -> Scalar:
        """Of a real number."""
        return self

    def __neg__(self) -> Any:
        return self.call("neg")

    def __invert__(self) -> Any:
        return self.call("not")

    def __and__(self, o: Any) -> Any:
        return self.call("and", o)

    def __or__(self, o: Any) -> Any:
        return self.call("or", o)

    def __xor__(self, o: Any) -> Any:
        return self.call("xor", o)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __lt__(self, o: Any) -> Any:
        return self.call("lt", o, dtype=BOOL)

    def __le__(self, o: Any) -> Any:
        return self.call("le", o, dtype=BOOL)

    def __gt__(self, o: Any) -> Any:
        return self.call("gt", o, dtype=BOOL)

    def __ge__(self, o: Any) -> Any:
        return self.call("ge", o, dtype=BOOL)

    def __eq__(self, o: Any) -> Any:
        return self.call("eq", o, dtype=BOOL)

    def __ne__(self, o: Any) -> Any:
        return self.call("ne", o, dtype=BOOL)

    def __bool__(self) -> bool:
        raise UnsupportedError("a decision that depends on an element")

    def __getattr__(self, name: str) -> Any:
        raise UnsupportedError(f"attribute {name} of an element")


def constant(table: Table, value: Any, d: Any) -> Scalar:
    """A number as an element of type d."""
    d = np.dtype(d)
    if d == BOOL:
        value = bool(value)
    elif d in HALVES:
        single = table.make("const", F32, (), float(d.type(value)))
        return Scalar(table, table.make("cast", d, (single,)))
    elif d in FLOATS:
        value = float(d.type(value))
    else:
        value = int(np.asarray(int(value) & 0xFFFFFFFFFFFFFFFF, np.uint64).astype(d))
    return Scalar(table, table.make("const", d, (), value))


def lift(table: Table, o: Any, like: Scalar) -> Scalar:
    """A number beside an element; elements as they are."""
    if isinstance(o, Scalar):
        return o
    if isinstance(o, np.ndarray) and o.ndim == 0:
        o = o[()]
    if isinstance(o, np.generic) and o.dtype in NATIVE:
        o = o.item()
    if isinstance(o, bool) and like.dtype == BOOL:
        return constant(table, o, BOOL)
    if isinstance(o, (bool, int)):
        return constant(table, o, INT64 if like.dtype == BOOL else like.dtype)
    if isinstance(o, float):
        return constant(table, o, like.dtype if like.dtype in FLOATS else FLOATS[1])
    raise UnsupportedError(f"operand {type(o).__name__}")


def together(table: Table, *operands: Any) -> list[Scalar]:
    """Operands in the type that NumPy would compute in."""
    like = next((o for o in operands if isinstance(o, Scalar)), None)
    if like is None:
        raise UnsupportedError("a function of numbers alone")
    lifted = [lift(table, o, like) for o in operands]
    d = np.result_type(*[o.dtype for o in lifted])
    return [o.astype(d) for o in lifted]


UNARY = [
    "exp",
    "log",
    "log2",
    "log10",
    "log1p",
    "expm1",
    "exp2",
    "sqrt",
    "floor",
    "ceil",
    "trunc",
    "rint",
    "rounded",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "erf",
    "erfc",
]


WHOLE = ("floor", "ceil", "trunc", "rint")


class ScalarMath:
    """``s`` of a formula: functions of elements."""

    def __init__(self, table: Table, real: Any = None) -> None:
        """``real``: the dtype of results that numbers alone decide."""
        self.table, self.real = table, real

    def __getattr__(self, name: str) -> Any:
        if name in UNARY:
            return lambda x: self.floating(name, x)
        if name in SPECIAL:
            return lambda x: self.special(name, x)
        raise UnsupportedError(f"function {name}")

    def floating(self, name: str, x: Any) -> Scalar:
        """A function of a real number; integers are whole."""
        if name in WHOLE and isinstance(x, Scalar) and x.dtype not in FLOATS:
            return x
        if not isinstance(x, Scalar) or x.dtype not in FLOATS:
            raise UnsupportedError(f"{name} of a number or an integer")
        return x.call(name)

    def special(self, name: str, x: Any) -> Scalar:
        """A special function of a float32 element, computed in float64."""
        if not isinstance(x, Scalar) or x.dtype != F32:
            raise UnsupportedError(f"{name} of other than float32")
        y: Scalar = SPECIAL[name](self, x.astype(FLOATS[1]))
        return y.astype(F32)

    def abs(self, x: Scalar) -> Scalar:
        """Magnitude."""
        if x.dtype == BOOL or x.dtype.kind == "u":
            return x
        return x.call("abs") if x.dtype in FLOATS else self.where(x < 0, -x, x)

    def sign(self, x: Scalar) -> Scalar:
        """-1, 0 or 1; NaN stays."""
        if x.dtype == BOOL:
            return x
        return self.where(
            x > 0, 1, self.where(x < 0, -1 if x.dtype.kind != "u" else 0, self.where(x == x, 0, x))
        )

    def where(self, c: Any, a: Any, b: Any) -> Scalar:
        """a where c, else b."""
        if not isinstance(c, Scalar):
            raise UnsupportedError("where of a number")
        if not isinstance(a, Scalar) and not isinstance(b, Scalar):
            if isinstance(a, float) or isinstance(b, float):
                if self.real is None:
                    raise UnsupportedError("where of two numbers")
                a = constant(self.table, a, self.real)
            else:
                a = constant(self.table, a, INT64)
        x, y = together(self.table, a, b)
        if c.dtype != BOOL:
            c = c != 0
        return Scalar(self.table, self.table.make("where", x.dtype, (c.expr, x.expr, y.expr)))

    def maximum(self, a: Any, b: Any) -> Scalar:
        """The larger; NaN if either is."""
        x, y = together(self.table, a, b)
        return x.call("max", y)

    def minimum(self, a: Any, b: Any) -> Scalar:
        """The smaller; NaN if either is."""
        x, y = together(self.table, a, b)
        return x.call("min", y)

    def pow(self, x: Any, y: Any) -> Scalar:
        """Power; constant exponents that are roots or products become such. Those of numbers that
        calls give may be roots, too, which differ from powers for -0.0 and -inf.
        """
        a, b = together(self.table, x, y)
        if a.dtype not in FLOATS:
            return self.power(a, b)
        plain = b.source()
        is_root = plain.op == "const" and plain.data in (0.5, -0.5)
        if not is_root and plain.op != "number":
            return self.power(a, b)
        root = a.call("sqrt")
        if is_root:
            return root if plain.data > 0 else 1 / root
        return self.where(b == 0.5, root, self.where(b == -0.5, 1 / root, self.power(a, b)))

    def power(self, a: Scalar, b: Scalar) -> Scalar:
        """Power, without roots."""
        if a.dtype not in FLOATS:
            if b.expr.op == "const" and b.expr.data in (1, 2, 3):
                return a if b.expr.data == 1 else a * a if b.expr.data == 2 else a * a * a
            return self.integer_power(a, b)
        if b.expr.op == "const":
            simple: dict[Any, Callable[[], Any]] = {
                1: lambda: a,
                2: lambda: a * a,
                -1: lambda: 1 / a,
                3: lambda: a * a * a,
            }
            e = b.expr.data
            if e in simple:
                return simple[e]()
        return a.call("pow", b)

    def integer_power(self, a: Scalar, b: Scalar) -> Scalar:
        """Powers wrap; to a negative power only 1 and -1 have a value, the rest give 0."""
        if a.dtype == BOOL:
            raise UnsupportedError("power of truth values")
        if a.dtype.kind == "u":
            return a.call("pow", b)
        sign = self.where((b & 1) == 0, 1, a)
        below = self.where(a == 1, 1, self.where(a == -1, sign, 0))
        return self.where(b < 0, below, a.call("pow", self.maximum(b, 0)))

    def quotient(self, a: Scalar, b: Scalar) -> Scalar:
        """Integer quotient, towards 0. Division by 0 gives anything: a check stops the program."""
        if b.expr.op == "const" and b.expr.data == 0:
            raise UnsupportedError("division by 0")
        if b.expr.op == "const" and b.expr.data != -1:
            return a.call("quotient", b)
        if a.dtype.kind == "u":
            return a.call("quotient", self.where(b == 0, 1, b))
        safe = self.where((b == 0) | (b == -1), 1, b)  # the smallest by -1 would be a trap
        return self.where(b == -1, -a, a.call("quotient", safe))

    def trunc_divide(self, x: Any, y: Any) -> Scalar:
        """Quotient rounded towards 0."""
        a, b = together(self.table, x, y)
        return self.trunc(a / b) if a.dtype in FLOATS else self.quotient(a, b)

    def fmod(self, x: Any, y: Any) -> Scalar:
        """Remainder with the first's sign."""
        a, b = together(self.table, x, y)
        return a.call("fmod", b) if a.dtype in FLOATS else a - self.quotient(a, b) * b

    def remainder(self, x: Any, y: Any) -> Scalar:
        """Remainder with the second's sign; a zero has the first's."""
        a, b = together(self.table, x, y)
        r = self.fmod(a, b)
        return self.where((r != 0) & ((r < 0) != (b < 0)), r + b, r)

    def floor_divide(self, x: Any, y: Any) -> Scalar:
        """Quotient rounded down; of floats the one that belongs to their remainder."""
        a, b = together(self.table, x, y)
        if a.dtype not in FLOATS:
            q = self.quotient(a, b)
            return self.where((q * b != a) & ((a < 0) != (b < 0)), q - 1, q)
        r = self.fmod(a, b)
        q = (a - r) / b
        q = self.where((r != 0) & ((r < 0) != (b < 0)), q - 1.0, q)
        low = self.floor(q)
        low = self.where(q - low > 0.5, low + 1.0, low)
        exact = a / b
        low = self.where(q == 0, self.copysign(0.0 * low, exact), low)
        return self.where(b == 0, exact, low)

    def nextafter(self, a: Any, b: Any) -> Scalar:
        """The neighbour of a on the way to b."""
        return self.two("nextafter", a, b)

    def ndtr(self, x: Scalar) -> Scalar:
        """Area under the bell curve up to x."""
        return self.erfc(x * -math.sqrt(0.5)) * 0.5

    def area(self, x: Scalar) -> Scalar:
        """Area under the bell curve up to x, as exactly as is needed beside 1."""
        return self.bell(x)[0]

    def bell(self, x: Scalar) -> tuple[Scalar, Scalar]:
        """The same, and ``exp(-x^2 / 2)``."""
        if x.dtype == F32:
            return bell(self, x)
        return (self.erf(x * math.sqrt(0.5)) + 1) * 0.5, self.exp(x * x * -0.5)

    def entr(self, x: Scalar) -> Scalar:
        """``-x log x``."""
        low = self.where(x == 0, 0.0, self.where(x < 0, -math.inf, -x * self.log(x)))
        return self.where(x != x, x, low)

    def two(self, name: str, a: Any, b: Any) -> Scalar:
        """A function of two reals."""
        x, y = together(self.table, a, b)
        if x.dtype not in FLOATS:
            raise UnsupportedError(f"{name} of integers")
        return x.call(name, y)

    def atan2(self, a: Any, b: Any) -> Scalar:
        """Angle."""
        return self.two("atan2", a, b)

    def hypot(self, a: Any, b: Any) -> Scalar:
        """Length."""
        return self.two("hypot", a, b)

    def copysign(self, a: Any, b: Any) -> Scalar:
        """a with b's sign."""
        return self.two("copysign", a, b)

    def isnan(self, x: Scalar) -> Scalar:
        """Whether not a number."""
        return x != x

    def isinf(self, x: Scalar) -> Scalar:
        """Whether infinite."""
        return self.abs(x) == math.inf if x.dtype in FLOATS else x != x

    def isfinite(self, x: Scalar) -> Scalar:
        """Whether neither infinite nor NaN."""
        return self.abs(x) < math.inf if x.dtype in FLOATS else x == x

    def conj(self, x: Any) -> Any:
        """Reals are their own conjugates."""
        return x

    def logical_and(self, a: Any, b: Any) -> Any:
        """Whether both are nonzero."""
        return self.truth(a) & self.truth(b)

    def logical_or(self, a: Any, b: Any) -> Any:
        """Whether one is nonzero."""
        return self.truth(a) | self.truth(b)

    def truth(self, x: Any) -> Any:
        """Whether nonzero."""
        if not isinstance(x, Scalar):
            return bool(x)
        return x if x.dtype == BOOL else x != 0
