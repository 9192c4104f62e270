"""Vector math: errors in units of the last place against more digits, and values at the edges."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import rushlight as rl
from rushlight.compiler import pipeline
from rushlight.ops import math, special, trigonometry
from rushlight.ops.arithmetic import Pow
from rushlight.ops.copy import Cast
from rushlight.ops.rounding import Fmod

from .graphs import Builder, outputs_of

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
from rushlight.compiler.backends.llvm import jit
from rushlight.compiler.backends.llvm.ir.math import FUNCTIONS

OPS = {
    op.__name__.lower(): op
    for op in [
        *(math.Exp, math.Exp2, math.Expm1, math.Log, math.Log2, math.Log10, math.Log1p, Pow),
        *(
            trigonometry.Sinh,
            trigonometry.Cosh,
            trigonometry.Tanh,
            trigonometry.Asinh,
            trigonometry.Acosh,
            trigonometry.Atanh,
        ),
        *(
            trigonometry.Sin,
            trigonometry.Cos,
            trigonometry.Tan,
            trigonometry.Asin,
            trigonometry.Acos,
            trigonometry.Atan,
            trigonometry.Atan2,
            math.Hypot,
        ),
        *(special.Erf, special.Erfc),
    ]
}
NUMPY = {
    **{name: name for name in OPS},
    **{f"a{n}": f"arc{n}" for n in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "tan2")},
    "pow": "power",
}
F, I = np.float32, np.int32
TWO = ("pow", "atan2", "hypot", "fmod", "nextafter")
EDGES = [
    *(0.0, 1.0, np.inf, np.nan, 0.5, 2.0, 3.0, np.pi / 2, np.pi, 1e-40, 1e-320, 0.75, 1e5, 1e30),
    *(88.7, 88.8, 89.5, 87.3, 103.9, 104.1, 127.9, 128.0, 149.0, 150.1, 9.1, 10.06, 4.0),
    *(709.7, 709.8, 710.5, 708.3, 745.1, 745.3, 1023.9, 1024.0, 1074.5, 1075.1, 19.1, 27.2, 6.0),
]


@pytest.fixture(params=["widest", "x86-64-v3"])
def cpu(request, monkeypatch, tmp_path_factory):
    """Code for this processor, and for one with vectors of 256 bits, or another."""
    if request.param != "widest":
        if not jit.on_x86():
            pytest.skip("code for x86 needs an x86 processor")
        monkeypatch.setenv(jit.CPU_VARIABLE, request.param)
    monkeypatch.setenv("RUSHLIGHT_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "objects"))
    jit.target.cache_clear()
    yield request.param
    monkeypatch.undo()
    jit.target.cache_clear()


def edges(d) -> np.ndarray:
    """Numbers where functions change: with both signs, and their neighbours."""
    info = np.finfo(d)
    x = np.array(EDGES).astype(d)
    x = np.concatenate((x, [info.max, info.tiny, info.smallest_subnormal]), dtype=d)
    with np.errstate(all="ignore"):
        x = np.concatenate((x, np.nextafter(x, d(0)), np.nextafter(x, d(np.inf))))
    return np.concatenate((x, -x))


def points(d, n: int, rng) -> np.ndarray:
    """Edges, numbers of every exponent, and dense ones around 0 and 1."""
    whole = {4: np.uint32, 8: np.uint64}[np.dtype(d).itemsize]
    bits = rng.integers(0, 2 ** (8 * np.dtype(d).itemsize), n, dtype=np.uint64)
    spread = [rng.uniform(-s, s, n) for s in (0.6, 1, 3, 12, 90, 720)]
    near = 1 + rng.uniform(-1, 1, n) * 2.0 ** -rng.integers(1, 40, n)
    with np.errstate(invalid="ignore"):
        bits = bits.astype(whole).view(d) * d(1)  # quiet NaN only
    return np.concatenate((edges(d), bits, *spread, near), dtype=d, casting="unsafe")


def operands(name: str, d, rng) -> list[np.ndarray]:
    """Arguments of a function."""
    x = points(d, 400 if "erf" in name else 5000, rng)
    if name not in TWO:
        return [x]
    a, b = [m.ravel() for m in np.meshgrid(edges(d), edges(d))]
    other = rng.permutation(x)
    if name != "pow":
        with np.errstate(over="ignore"):
            near = (x * rng.uniform(-3, 3, x.size)).astype(d)
        return [np.concatenate((a, x, x)), np.concatenate((b, other, near))]
    positive = np.abs(x)
    log = np.log(np.where((positive > 0) & (positive < np.inf), positive, 2).astype(np.longdouble))
    span = rng.uniform(-1.1, 1.1, x.size) * np.log(np.finfo(d).max)
    exponent = (span / np.where(log == 0, 1, log)).astype(d)
    return [np.concatenate((a, x, positive)), np.concatenate((b, np.round(other), exponent))]


def exact(name: str, x: list[np.ndarray]) -> np.ndarray:
    """The function's values with more digits than ``x`` has."""
    if name not in ("erf", "erfc"):
        wide = np.float64 if x[0].dtype == np.float32 and name != "pow" else np.longdouble
        return getattr(np, NUMPY[name])(*[a.astype(wide) for a in x])
    if x[0].dtype == np.float32:
        from scipy import special

        return getattr(special, name)(x[0].astype(np.float64))
    import mpmath

    def one(v: float) -> np.longdouble:
        if not 1e-300 < abs(v) < 100:
            return np.longdouble(2 / np.sqrt(np.pi) * v) if name == "erf" and abs(v) < 1 else None
        with mpmath.workdps(25):
            return np.longdouble(mpmath.nstr(getattr(mpmath, name)(mpmath.mpf(v)), 22))

    from scipy import special

    ends = getattr(special, name)(x[0])
    found = [one(float(v)) for v in x[0]]
    return np.array(
        [np.longdouble(e) if f is None else f for f, e in zip(found, ends, strict=True)]
    )


def units(found: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The error in units of the last place of the rounded right value; infinite where one is
    infinite or NaN and the other is not.
    """
    d = found.dtype
    rounded = right.astype(d)
    unit = np.maximum(np.spacing(np.abs(rounded)), np.finfo(d).smallest_subnormal)
    error = np.abs(found.astype(right.dtype) - right) / unit.astype(right.dtype)
    same = (found == rounded) | (np.isnan(found) & np.isnan(rounded))
    finite = np.isfinite(rounded) & np.isfinite(found)
    # a value next to the largest number may round to either side
    last = np.abs(np.abs(right) / right.dtype.type(np.finfo(d).max) - 1) < 2 * np.finfo(d).eps
    return np.where(same, 0, np.where(finite, error, np.where(last, 1, np.inf)))


def test_every_function_is_tested():
    assert set(FUNCTIONS) == set(OPS) | {"fmod", "nextafter"}


@pytest.mark.parametrize("d", [np.float32, np.float64])
@pytest.mark.parametrize("op, name", [(Fmod, "fmod"), (math.Nextafter, "nextafter")])
def test_exact_functions(op, name, d, cpu):
    x = operands(name, d, np.random.default_rng(1))
    b = Builder()
    b.returns(b.op(op, *[b.input(a) for a in x]))
    (out,) = outputs_of(b.graph)
    pipeline.build(b.graph).run(b.arrays, [out])
    with np.errstate(all="ignore"):
        right = getattr(np, name)(*x)
    np.testing.assert_array_equal(out, right)
    zero = right == 0
    assert (np.signbit(out) == np.signbit(right))[zero].all()


@pytest.mark.parametrize("d", [np.float32, np.float64])
@pytest.mark.parametrize("name", sorted(OPS))
def test_errors_are_at_most_two_units(name, d, cpu):
    x = operands(name, d, np.random.default_rng(1))
    b = Builder()
    b.returns(b.op(OPS[name], *[b.input(a) for a in x]))
    (out,) = outputs_of(b.graph)
    pipeline.build(b.graph).run(b.arrays, [out])
    with np.errstate(all="ignore"):
        right = exact(name, x)
        error = units(out, right)
    worst = int(np.argmax(error))
    at = [a[worst] for a in x]
    assert error[worst] <= 2, f"{name}{at} is {right[worst]}, not {out[worst]}"
    zero = (out == 0) & (right == 0)
    assert (np.signbit(out) == np.signbit(right))[zero].all(), f"{name}: the sign of zero"


@pytest.mark.parametrize("lanes", [1, 2, 3, 5, 17, 70])
def test_any_number_of_lanes(lanes, cpu):
    """Huge angles among the lanes, for which the C library is called."""
    x = np.linspace(-3, 5, lanes).astype(np.float32)
    x[lanes // 2] = 1e30
    b = Builder()
    v = b.input(x)
    b.returns(*[b.op(OPS[name], v) for name in ("sin", "tan", "exp", "log1p")])
    out = outputs_of(b.graph)
    pipeline.build(b.graph).run(b.arrays, out)
    with np.errstate(all="ignore"):
        for name, found in zip(("sin", "tan", "exp", "log1p"), out, strict=True):
            right = getattr(np, name)(x.astype(np.float64)).astype(np.float32)
            np.testing.assert_allclose(found, right, rtol=3e-7)


@pytest.mark.parametrize("cpu", ["widest", "x86-64"], indirect=True)
def test_float16(cpu):
    """All of them, and what is near to them or to the middle of two, with and without instructions
    that convert.
    """
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    near = np.add.outer([-4097, -4096, -4095, -1, 0, 1, 4095, 4096], halves.astype(F).view(I))
    x = np.concatenate((near.astype(I).ravel().view(F), edges(F)))
    b = Builder()
    wide = b.op(Cast, b.input(halves), dtype=np.dtype(F))
    b.returns(wide, b.op(Cast, b.input(x), dtype=np.dtype(np.float16)))
    found = outputs_of(b.graph)
    pipeline.build(b.graph).run(b.arrays, found)
    with np.errstate(all="ignore"):
        right = halves.astype(F), x.astype(np.float16)
    for a, b in zip(found, right, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (np.signbit(a) == np.signbit(b))[~np.isnan(b)].all()


def test_powers_by_numbers_are_roots_whatever_the_number_is_at_each_call():
    """Of -0.0 and -inf, roots are others than powers; float16 and tensors have powers."""
    run = rl.compile(lambda x, n: (x**n, x.half() ** n, x.bfloat16() ** n), fullgraph=True)
    dtypes = (rl.float32, rl.float16, rl.bfloat16)
    values = [-0.0, 0.0, 4.0, -np.inf, np.inf, np.nan]
    for n in (2.0, 3.0, 0.5, 1.5, 0.5, -0.5, 2.5, 0.5, -0.5, -1.0, 0.0):
        for got, base in zip(run(rl.tensor(values), n), dtypes, strict=True):
            expected = torch.tensor(values).to(getattr(torch, str(base).split(".")[-1])) ** n
            np.testing.assert_array_equal(repr(got.tolist()), repr(expected.tolist()))


@pytest.mark.parametrize("n", [0.5, -0.5])
def test_powers_by_constants_are_roots(n):
    x = [-0.0, 0.0, 4.0, -np.inf, np.inf, np.nan]
    run = rl.compile(lambda x: x**n, fullgraph=True)
    for _ in range(3):
        assert repr(run(rl.tensor(x)).tolist()) == repr((torch.tensor(x) ** n).tolist())
