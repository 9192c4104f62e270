"""Element types and how they combine.

A public ``dtype`` wraps one NumPy dtype. Everything below the public functions speaks NumPy dtypes,
which are unique objects, so ``x.dtype is y.dtype`` decides the common case. bfloat16 and the floats
of eight bits come from ml_dtypes; their NumPy ``kind`` is ``V``: ask ``is_floating``.
"""

from __future__ import annotations

import functools
from typing import Any

import ml_dtypes
import numpy as np

from rushlight.errors import NotSupportedError


class dtype:
    """An element type, such as ``float32``. There is one object per type; compare with ``is`` or
    ``==``.

    Example:
        >>> import rushlight as torch
        >>> torch.float32.itemsize, torch.float32.is_floating_point
        (4, True)
    """

    __slots__ = ("name", "numpy", "category", "itemsize")

    def __init__(
        self, name: str, numpy_dtype: np.dtype[Any] | None, category: int, itemsize: int = 0
    ) -> None:
        self.name, self.category, self.itemsize = name, category, itemsize
        if numpy_dtype is not None:
            self.numpy, self.itemsize = numpy_dtype, numpy_dtype.itemsize

    def __getattr__(self, attribute: str) -> Any:
        if attribute != "numpy":
            raise AttributeError(f"torch.{self.name} has no {attribute}", name=attribute, obj=self)
        instead = "complex64" if self.is_complex else "int8 with a scale of your own, or float16"
        raise NotSupportedError(f"there are no tensors of {self.name}: use {instead}.")

    @property
    def is_floating_point(self) -> bool:
        """Whether it is a real floating-point type."""
        return self.category == FLOATING

    @property
    def is_complex(self) -> bool:
        """Whether it is a complex type."""
        return self.category == COMPLEX

    @property
    def is_signed(self) -> bool:
        """Whether it can hold negative numbers."""
        if self.category == FLOATING:
            return self.name != "float8_e8m0fnu"  # powers of two
        return self.category == COMPLEX or self.numpy.kind == "i"

    def to_real(self) -> dtype:
        """The real type of the same precision."""
        if self.name in UNHELD:
            return by_name["float16"] if self.is_complex else self
        return of[REAL_OF.get(self.numpy, self.numpy)]

    def to_complex(self) -> dtype:
        """The complex type of the same precision."""
        if self.name == "complex32":
            return self
        if self.numpy in FLOAT8:
            raise RuntimeError(
                f"Unknown Complex ScalarType for {self.name}: convert it to float32."
            )
        return of[COMPLEX_OF.get(self.numpy, self.numpy)]

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str | tuple[Any, ...]:
        return _by_name, (self.name,)


BOOL, INTEGER, FLOATING, COMPLEX = range(4)

_names = {
    "bool": (BOOL, np.bool_),
    "uint8": (INTEGER, np.uint8),
    "int8": (INTEGER, np.int8),
    "int16": (INTEGER, np.int16),
    "int32": (INTEGER, np.int32),
    "int64": (INTEGER, np.int64),
    "uint16": (INTEGER, np.uint16),
    "uint32": (INTEGER, np.uint32),
    "uint64": (INTEGER, np.uint64),
    "float16": (FLOATING, np.float16),
    "bfloat16": (FLOATING, ml_dtypes.bfloat16),
    "float8_e4m3fn": (FLOATING, ml_dtypes.float8_e4m3fn),
    "float8_e4m3fnuz": (FLOATING, ml_dtypes.float8_e4m3fnuz),
    "float8_e5m2": (FLOATING, ml_dtypes.float8_e5m2),
    "float8_e5m2fnuz": (FLOATING, ml_dtypes.float8_e5m2fnuz),
    "float8_e8m0fnu": (FLOATING, ml_dtypes.float8_e8m0fnu),
    "float32": (FLOATING, np.float32),
    "float64": (FLOATING, np.float64),
    "complex64": (COMPLEX, np.complex64),
    "complex128": (COMPLEX, np.complex128),
}
by_name = {
    name: dtype(name, np.dtype(scalar), category) for name, (category, scalar) in _names.items()
}
of = {d.numpy: d for d in by_name.values()}  # NumPy dtype -> dtype
# PyTorch's types that no tensor has here: programs look them up in tables, and compare with them
UNHELD = {
    name: dtype(name, None, category, itemsize)
    for name, category, itemsize in (
        ("complex32", COMPLEX, 4),
        ("quint8", INTEGER, 1),
        ("qint8", INTEGER, 1),
        ("qint32", INTEGER, 4),
        ("quint4x2", INTEGER, 1),
        ("quint2x4", INTEGER, 1),
    )
}
ALIASES = {
    "half": "float16",
    "float": "float32",
    "double": "float64",
    "short": "int16",
    "int": "int32",
    "long": "int64",
    "cfloat": "complex64",
    "cdouble": "complex128",
}

bool_, uint8, int8, int16, int32, int64 = (
    np.dtype(t) for t in ("bool", "u1", "i1", "i2", "i4", "i8")
)
float16, float32, float64 = np.dtype("f2"), np.dtype("f4"), np.dtype("f8")
bfloat16 = by_name["bfloat16"].numpy
complex64, complex128 = np.dtype("c8"), np.dtype("c16")
NUMBERS = frozenset((int, float, bool))  # Python's real ones
FLOATS = frozenset((float32, float64))  # what NumPy computes at full speed
HALVES = frozenset((float16, bfloat16))  # computed in float32 and rounded once
FLOAT8 = frozenset(d.numpy for d in by_name.values() if d.name.startswith("float8"))
FOREIGN = FLOAT8 | {bfloat16}  # of ml_dtypes, not NumPy's own
FLOATING_TYPES = FLOATS | HALVES | FLOAT8
COMPLEX_TYPES = frozenset((complex64, complex128))
DIFFERENTIABLE = FLOATING_TYPES | COMPLEX_TYPES
INTEGER_TYPES = frozenset(d.numpy for d in by_name.values() if d.category == INTEGER)
REAL_OF: dict[Any, np.dtype[Any]] = {complex64: float32, complex128: float64}
COMPLEX_OF: dict[Any, np.dtype[Any]] = {
    float32: complex64,
    float64: complex128,
    float16: complex64,
    bfloat16: complex64,
}
CATEGORY = {d.numpy: d.category for d in by_name.values()}


def _by_name(name: str) -> dtype:
    return by_name.get(name) or UNHELD[name]


def is_floating(d: np.dtype[Any]) -> bool:
    """Whether a NumPy dtype is real floating point, bfloat16 included."""
    return d in FLOATING_TYPES


def is_complex(d: np.dtype[Any]) -> bool:
    """Whether a NumPy dtype is complex."""
    return d in COMPLEX_TYPES


def from_numpy(d: Any) -> dtype:
    """The public dtype of a NumPy dtype; TypeError when there is none, ValueError when it is one in
    the other order of bytes.
    """
    found = of.get(np.dtype(d))
    if found is None:
        if not np.dtype(d).isnative:
            raise ValueError(
                f"the NumPy array's dtype, {np.dtype(d)}, has its bytes in the order of other "
                "machines; convert it with a.astype(a.dtype.newbyteorder('='))."
            )
        names = ", ".join(by_name)
        raise TypeError(
            f"can't convert np.ndarray of type {np.dtype(d)}; the supported types are: {names}."
        )
    return found


class finfo:
    """Limits of a floating-point type: ``eps``, ``max``, ``min``, ``tiny``, ``smallest_normal``,
    ``resolution``, ``bits``, ``dtype``.

    Example:
        >>> import rushlight as torch
        >>> torch.finfo(torch.float32).eps
        1.1920928955078125e-07
    """

    def __init__(self, type: dtype | None = None) -> None:
        d = get_default_dtype() if type is None else type
        if not isinstance(d, dtype) or d.category < FLOATING:
            raise TypeError(
                "torch.finfo() requires a floating point input type. Use torch.iinfo to handle "
                f"{d!r}"
            )
        real = d.to_real().numpy
        info = ml_dtypes.finfo(real)  # type: ignore[no-untyped-call]
        self.bits, self.dtype = real.itemsize * 8, of[real].name
        self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
        self.tiny = self.smallest_normal = float(info.tiny)
        self.resolution = 1.0 if real in FLOAT8 else 10.0**-info.precision

    def __repr__(self) -> str:
        fields = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        numbers = ", ".join(f"{n}={getattr(self, n):g}" for n in fields)
        return f"finfo({numbers}, dtype={self.dtype})"


@functools.cache
def integer_range(d: Any) -> tuple[int, int]:
    """The smallest and the largest number of a NumPy integer dtype."""
    info = np.iinfo(d)
    return int(info.min), int(info.max)


class iinfo:
    """Limits of an integer type: ``min``, ``max``, ``bits``, ``dtype``.

    Example:
        >>> import rushlight as torch
        >>> torch.iinfo(torch.int8).max
        127
    """

    def __init__(self, type: dtype) -> None:
        if not isinstance(type, dtype) or type.category not in (INTEGER, BOOL):
            raise TypeError(
                f"torch.iinfo() requires an integer input type. Use torch.finfo to handle {type!r}"
            )
        if type.category == BOOL:
            raise TypeError("torch.bool is not supported by torch.iinfo: it has no limits")
        info = np.iinfo(type.numpy)
        self.bits = info.bits
        self.min = int(info.min)
        self.max = int(info.max)
        self.dtype = type.name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


class _Default:
    """The floating-point type of Python floats; see ``set_default_dtype``."""

    float: np.dtype[Any] = float32
    complex: np.dtype[Any] = complex64


default = _Default()


def get_default_dtype() -> dtype:
    """The type that Python floats become: float32 unless changed.

    Example:
        >>> import rushlight as torch
        >>> torch.get_default_dtype()
        torch.float32
    """
    return of[default.float]


def set_default_dtype(d: dtype) -> None:
    """Make ``d``, a floating-point dtype, the type that Python floats become."""
    if not isinstance(d, dtype) or not d.is_floating_point or d.numpy in FLOAT8:
        raise TypeError(
            f"set_default_dtype: only floating-point types can be the default, but got {d}"
        )
    default.float, default.complex = d.numpy, COMPLEX_OF[d.numpy]


_promoted: dict[tuple[Any, Any], np.dtype[Any]] = {}


def promote(x: np.dtype[Any], y: np.dtype[Any]) -> np.dtype[Any]:
    """Result type of two operands of the same rank category."""
    if x is y:
        return x
    found = _promoted.get((x, y))
    if found is None:
        found = _promoted[x, y] = _promote(x, y)
    return found


def _promote(x: np.dtype[Any], y: np.dtype[Any]) -> np.dtype[Any]:
    if x in FLOAT8 or y in FLOAT8:
        raise RuntimeError(
            "Promotion for Float8 Types is not supported, attempted to promote "
            f"{of[x].name} and {of[y].name}; convert them to float32 first."
        )
    cx, cy = CATEGORY[x], CATEGORY[y]
    if cx < cy:
        x, y, cx, cy = y, x, cy, cx
    if cx == COMPLEX and cy == FLOATING:
        return promote(x, COMPLEX_OF[y])
    if cx != cy:
        return x
    if x in HALVES and y in HALVES and x is not y:
        return float32
    result = np.promote_types(x, y)
    if result not in CATEGORY or CATEGORY[result] != cx:
        raise RuntimeError(
            "Promotion for uint16, uint32, uint64 types is not supported, attempted to promote "
            f"{x} and {y}"
        )
    return result


def combine(higher: np.dtype[Any] | None, lower: np.dtype[Any] | None) -> np.dtype[Any] | None:
    """Result of two categories of operands: the lower one raises only the kind."""
    if higher is None or lower is None:
        return higher if lower is None else lower
    ch, cl = CATEGORY[higher], CATEGORY[lower]
    if ch == FLOATING and cl == COMPLEX:
        return COMPLEX_OF[higher]
    return promote(higher, lower) if cl > ch else higher


def of_number(number: Any) -> np.dtype[Any]:
    """Type of a Python number before it meets a tensor."""
    if isinstance(number, (bool, np.bool_)):
        return bool_
    if isinstance(number, (int, np.integer)):
        return int64
    return default.complex if isinstance(number, (complex, np.complexfloating)) else default.float


def result_type(operands: Any) -> np.dtype[Any]:
    """torch's rule: tensors with dims decide, then 0-dim tensors, then Python numbers; a later
    group only raises the kind.
    """
    dims = zeros = numbers = None
    for o in operands:
        if isinstance(o, np.ndarray) or (hasattr(o, "itemsize") and not isinstance(o, np.generic)):
            if o.ndim:
                dims = o.dtype if dims is None else promote(dims, o.dtype)
            else:
                zeros = o.dtype if zeros is None else promote(zeros, o.dtype)
        else:
            d = of_number(o)
            numbers = d if numbers is None else promote(numbers, d)
    result = combine(combine(dims, zeros), numbers)
    assert result is not None
    return result


def computed_with(name: str, d: Any) -> None:
    """Refuse floats of eight bits, which are for keeping numbers."""
    if d in FLOAT8:
        raise NotSupportedError(
            f"{name} is not implemented for {of[d].name}, which is for storage: convert to float32 "
            "or bfloat16, compute, and convert back."
        )


def to_float(d: np.dtype[Any]) -> np.dtype[Any]:
    """Integers and bool become the default float."""
    return d if d in DIFFERENTIABLE else default.float
