"""What each public function is called with, written once; `test_generic.py` does the rest.

An `Op` holds the samples of one function: `S(T(2, 3), T(3), alpha=2)` calls it with two new
tensors. `T` takes the dtype under test, `I` is int64 and `B` bool. Errors are samples that both
libraries refuse with the same built-in exception.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Tensor:
    """A tensor to be made: of the dtype under test unless `dtype` names one."""

    shape: tuple[int, ...]
    low: float = -2.0
    high: float = 2.0
    dtype: str | None = None
    distinct: bool = False  # no two elements are equal
    grad: bool = True  # whether it takes part in gradient tests
    transposed: bool = False  # first and last dim exchanged in memory
    values: Any = None  # given, instead of drawn

    def __repr__(self) -> str:
        if self.values is not None:
            return f"{self.dtype}{self.values}"
        marks = "".join(m for m, on in (("D", self.distinct), ("^T", self.transposed)) if on)
        return f"{self.dtype or 'T'}{self.shape}{marks}"


def T(*shape: int, **options: Any) -> Tensor:
    """A tensor of the dtype under test, by default between -2 and 2."""
    return Tensor(shape, **options)


def P(*shape: int, **options: Any) -> Tensor:
    """A positive tensor, from 0.2 to 2."""
    return Tensor(shape, low=0.2, high=2.0, **options)


def I(*shape: int, high: int, low: int = 0, **options: Any) -> Tensor:  # noqa: E743
    """An int64 tensor (another with `dtype`) with elements in [low, high)."""
    return Tensor(shape, low=low, high=high - 1, **{"dtype": "int64", **options})


def B(*shape: int) -> Tensor:
    """A bool tensor."""
    return Tensor(shape, dtype="bool")


def V(values: Any, dtype: str = "int64", **options: Any) -> Tensor:
    """A tensor of these values."""
    return Tensor((), values=values, dtype=dtype, **options)


@dataclass(frozen=True)
class DType:
    """A dtype by its name."""

    name: str


@dataclass(frozen=True)
class Sample:
    """Arguments of one call."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __str__(self) -> str:
        named = [f"{k}={v!r}" for k, v in self.kwargs.items()]
        return f"({', '.join([*map(repr, self.args), *named])})"


def S(*args: Any, **kwargs: Any) -> Sample:
    """The arguments of one call."""
    return Sample(args, kwargs)


@dataclass
class Op:
    """A function's samples, of dtype `base`; the first one also runs with `dtypes`."""

    samples: list[Sample]
    errors: list[Sample] = field(default_factory=list)
    base: str = "float64"
    dtypes: tuple[str, ...] = (
        "bool", "uint8", "int8", "int32", "int64", "float16", "bfloat16", "float32",
        "complex64", "complex128",
    )  # fmt: skip
    grad: bool = True
    complex_grad: bool = True
    second: bool = True  # second derivatives
    oracle: bool = True  # gradients against torch's; False where torch's are wrong or missing
    differences: bool = True  # gradients against finite differences
    out: bool = True  # compare out= where torch has it
    inplace: bool = True  # compare name_ where torch has it
    rtol: float = 1.0  # factor on the tolerance


FLOATS = ("float16", "bfloat16", "float32")
REALS = ("uint8", "int8", "int32", "int64", *FLOATS)
OPS: dict[str, Op] = {}


def op(names: str, *samples: Sample, errors: Any = (), **options: Any) -> None:
    """Register the same samples for several functions."""
    for name in names.split():
        assert name not in OPS, name
        OPS[name] = Op(list(samples), list(errors), **options)


def load() -> dict[str, Op]:
    """All families."""
    if not OPS:
        for info in pkgutil.iter_modules(__path__):
            importlib.import_module(f"{__name__}.{info.name}")
    return OPS
