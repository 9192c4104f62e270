"""Every elementwise op, compiled, against what it computes eagerly, for every dtype it takes."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import platform
import zlib

import numpy as np
import pytest

from rushlight import dtypes, ops
from rushlight.compiler import pipeline
from rushlight.core.elementwise import Elementwise
from rushlight.ops import rounding
from rushlight.ops.activation import Silu
from rushlight.ops.arithmetic import Add, Div, Mul
from rushlight.ops.compare import Lt
from rushlight.ops.copy import Cast
from rushlight.ops.math import Exp
from rushlight.ops.reduce import Sum
from rushlight.ops.select import Where

from .graphs import Builder, outputs_of

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
for module in pkgutil.iter_modules(ops.__path__):
    importlib.import_module(f"rushlight.ops.{module.name}")


def concrete(cls=Elementwise) -> list:
    """All ops below a kind, in order of name."""
    found = {}
    for c in cls.__subclasses__():
        if "instance" in vars(c) and c.__module__.startswith("rushlight.ops."):
            found[c.__name__] = c
        found.update({f.__name__: f for f in concrete(c)})
    return [found[name] for name in sorted(found)]


# what SciPy or a loop computes; compiled programs call the op
CALLED = {
    *("AiryAi", "BesselJ0", "BesselJ1", "BesselY0", "BesselY1", "ModifiedBesselK0"),
    *("ModifiedBesselK1", "ScaledBesselK0", "ScaledBesselK1"),
    *("ChebyshevT", "ChebyshevU", "ChebyshevV", "ChebyshevW", "HermiteH", "HermiteHe"),
    *("LaguerreL", "LegendreP", "ShiftedChebyshevT", "ShiftedChebyshevU", "ShiftedChebyshevV"),
    *("ShiftedChebyshevW", "Zeta", "Igamma", "Igammac"),
    *("Ndtri", "Erfcx", "LogNdtr", "Frexp"),
    *("BesselK0", "BesselK1", "Gcd", "Lcm"),
}
# formulas in float64 serve float32 and what is narrower; float64 itself is left to SciPy
CALLED_IN_FLOAT64 = {
    *("BesselI0", "BesselI1", "Digamma", "Erfinv", "I0", "I0e", "I1", "I1e", "Lgamma"),
    "Polygamma",
}
PARAMS = {
    "alpha": 2,
    "value": 3,
    "eps": 1e-3,
    "decimals": 2,
    "negative_slope": 0.1,
    "n": 1,
    "scale": 1.5,
    "input_scale": 0.5,
    "beta": 2.0,
    "threshold": 1,
    "low": -1.0,
    "high": 2.0,
    "lambd": 0.5,
    "nan": 0.5,
    "posinf": 1.5,
    "neginf": -1.5,
    "curve": Silu.instance,
    "min": -2,
    "max": 40,
    "quant_min": -8,
    "quant_max": 7,
    "weight": 0.3,
    "unbiased": 1.1,
}
DTYPES = [
    d.numpy
    for d in dtypes.by_name.values()
    if d.category != dtypes.COMPLEX and d.numpy not in dtypes.FLOAT8
]
NONZERO = ("FloorDivide", "DivFloor", "DivTrunc", "Remainder", "Fmod")  # their divisor
N = 83


def values(d, rng) -> np.ndarray:
    """Elements of every kind: extremes, zeros, small ones."""
    if d.kind == "b":
        return rng.integers(0, 2, N).astype(bool)
    if d.kind in "iu":
        info = np.iinfo(d)
        small = rng.integers(max(info.min, -9), 10, N).astype(d)
        wide = rng.integers(info.min, info.max, N, dtype=d, endpoint=True)
        ends = np.array([info.min, info.max, 0, 1, info.max - 1], d)
        return np.concatenate((ends, np.where(rng.random(N) < 0.5, small, wide)))[:N]
    ends = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 0.5, 2.0, -3.0]
    return np.concatenate((ends, rng.standard_normal(N) * 3))[:N].astype(d)


def operands(op, d, rng) -> list[np.ndarray]:
    """Arguments that the op accepts."""
    name = op.__name__
    x = [rng.permutation(values(d, rng)) for _ in op.instance.names]
    if name == "Where":
        x[0] = values(np.dtype(bool), rng)
    if name == "MaskedFill":
        x[1] = values(np.dtype(bool), rng)
    if name in NONZERO and d.kind in "iu":
        x[1] = np.where(x[1] == 0, d.type(3), x[1])
    if "n" in op.instance.names:  # the degree of a polynomial
        x[1] = rng.integers(0, 2 if d.kind == "b" else 6, N).astype(d)
    if name in ("LeftShift", "RightShift") or (name == "Pow" and d.kind in "iu"):
        x[1] = rng.integers(0, 2 if d.kind == "b" else 20, N).astype(d)
    return x


CASES = [
    pytest.param(op, d, id=f"{op.__name__}-{dtypes.of[d].name}")
    for op in concrete()
    for d in DTYPES
    if op.__name__ != "Slope" or d in dtypes.FLOATING_TYPES  # a gradient's
]


def digits(d) -> float:
    """How far a compiled result may be from the eager one, relatively."""
    return {2: 0.01, 4: 3e-6, 8: 1e-13}[d.itemsize]


@pytest.mark.parametrize("op, d", CASES)
def test_compiled_is_eager(op, d):
    rng = np.random.default_rng(zlib.crc32(op.__name__.encode()))
    keywords = [
        p.name for p in inspect.signature(op.scalar).parameters.values() if p.kind is p.KEYWORD_ONLY
    ]
    params = {name: PARAMS[name] for name in keywords}
    x = operands(op, d, rng)
    with np.errstate(all="ignore"):
        try:
            expected = op.instance.forward(list(x), params)
        except (TypeError, ValueError, ArithmeticError, RuntimeError):
            return  # eager code refuses the dtype, and so never compiles it
        b = Builder()
        out = b.op(op, *[b.input(a) for a in x], **params)
        b.returns(*(out if isinstance(out, list) else [out]))
        found = outputs_of(b.graph)
        program = pipeline.build(b.graph)
        program.run(b.arrays, found)
    many = isinstance(expected, (tuple, list))
    for right, got in zip(expected if many else [expected], found, strict=True):
        if right.dtype.kind in "biu":
            np.testing.assert_array_equal(got, right)
        else:
            e = digits(right.dtype)
            np.testing.assert_allclose(
                got.astype(np.float64), right.astype(np.float64), rtol=e, atol=e
            )
    called = any([type(s).__name__ == "Call" for s in program.lowering.steps])
    names = CALLED | CALLED_IN_FLOAT64 if d == np.float64 else CALLED
    assert called == (op.__name__ in names)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="processors differ")
@pytest.mark.parametrize("source", [dtypes.float32, dtypes.float64, dtypes.float16])
@pytest.mark.parametrize("d", ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"])
def test_floats_out_of_an_integers_range(source, d):
    values = [3e9, -3e9, 300.7, -300.7, 1e19, -1e19, 1e300, np.inf, -np.inf, np.nan, -1.5, 65536.0]
    values += [2.0**63, 1.2e19, 2.0**64, 2.0**32 + 5, -(2.0**40) - 5]
    with np.errstate(all="ignore"):
        x = np.tile(np.array(values), 5).astype(source)
        b = Builder()
        b.returns(b.op(Cast, b.op(Mul, b.input(x), b.input(np.ones(1, source))), dtype=np.dtype(d)))
        found = {name: outputs_of(b.graph) for name in ("reference", "loops", "llvm")}
        for name, (out,) in found.items():
            pipeline.build(b.graph, name).run(b.arrays, [out])
        found["eager"] = [Cast.instance.forward([x], {"dtype": np.dtype(d)})]
    for (out,) in found.values():
        np.testing.assert_array_equal(out, found["reference"][0])
    if d == "uint64" and source != dtypes.float16:
        assert found["llvm"][0][-4] == int(source.type(1.2e19))


@pytest.mark.parametrize("name", ["FloorDivide", "DivTrunc", "Remainder", "Fmod"])
def test_integers_are_not_divided_by_zero(name):
    op = getattr(rounding, name)
    b = Builder()
    x, y = np.arange(-40, 40), np.arange(1, 81)
    b.returns(b.op(op, b.input(x), b.input(y)))
    program = pipeline.build(b.graph)
    program.run([x, y], outputs_of(b.graph))
    with pytest.raises(RuntimeError, match="an integer divisor is zero"):
        program.run([x, y - 30], outputs_of(b.graph))
    b = Builder()
    b.returns(b.op(op, b.input(x), -7))
    program, found = pipeline.build(b.graph), outputs_of(b.graph)
    program.run([x], found)
    np.testing.assert_array_equal(found[0], op.instance.forward([x, -7], {}))


@pytest.mark.parametrize("d", [np.float32, np.float64, np.float16])
def test_truth_values_are_divided_as_numbers_are(d):
    """The masks of dropout are quotients, to the last bit, also by what has no reciprocal."""
    x = np.arange(37) % 3 == 0
    divisors = [0.9, 0.3, 1e-40, 0.0, -0.7, np.inf]
    b = Builder()
    number = b.op(Cast, b.input(x), dtype=np.dtype(d))
    b.returns(*[b.op(Div, number, by) for by in divisors])
    found, expected = outputs_of(b.graph), outputs_of(b.graph)
    pipeline.build(b.graph).run(b.arrays, found)
    pipeline.build(b.graph, "reference").run(b.arrays, expected)
    for got, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(got, right)
        np.testing.assert_array_equal(np.signbit(got), np.signbit(right))


def test_halves_are_rounded_to_nearest_even():
    """Every half, and floats halfway between two and next to that."""
    for d in (np.dtype(np.float16), dtypes.bfloat16):
        every = np.arange(2**16, dtype=np.uint16).view(d)
        with np.errstate(all="ignore"):
            exact = every.astype(np.float32)
            middle = (exact[:-1].astype(np.float64) + exact[1:]) / 2
            middle = middle.astype(np.float32)
            near = [np.nextafter(middle, np.float32(s)) for s in (-np.inf, np.inf)]
            x = np.concatenate((exact, middle, *near))
            right = x.astype(d)
        b = Builder()
        b.returns(
            b.op(Cast, b.input(x), dtype=d), b.op(Cast, b.input(every), dtype=np.dtype(np.float32))
        )
        found = outputs_of(b.graph)
        pipeline.build(b.graph).run(b.arrays, found)
        number = ~np.isnan(x)
        np.testing.assert_array_equal(
            found[0].view(np.uint16)[number], right.view(np.uint16)[number]
        )
        assert np.isnan(found[0][~number].astype(np.float32)).all()
        np.testing.assert_array_equal(found[1], exact)


@pytest.mark.parametrize("d", [np.dtype(np.float16), dtypes.bfloat16])
def test_halves_in_one_kernel(d):
    """Each op's result is rounded, as it is eagerly; a sum is rounded once."""
    rng = np.random.default_rng(0)
    x, y = [rng.standard_normal((5, 70)).astype(d) for _ in range(2)]
    b = Builder()
    u, v = b.input(x), b.input(y)
    product = b.op(Mul, b.op(Exp, u), v)
    total = b.op(Sum, product, dim=(1,), keepdim=False)
    b.returns(product, b.op(Lt, u, 0.1), b.op(Where, b.op(Lt, u, v), u, v), total)
    expected, found = outputs_of(b.graph), outputs_of(b.graph)
    pipeline.build(b.graph, "reference").run(b.arrays, expected)
    program = pipeline.build(b.graph)
    program.run(b.arrays, found)
    for right, got in zip(expected, found, strict=True):
        np.testing.assert_allclose(
            got.astype(np.float32), right.astype(np.float32), rtol=0.008, atol=0.008
        )
    assert not [s for s in program.lowering.steps if type(s).__name__ == "Call"]


@pytest.mark.parametrize("n", [1, 6])
def test_a_failed_check_leaves_states_as_they_were(n):
    """What a check needs runs before it, and writes nothing that the program was given."""
    b = Builder()
    count, z = b.input(np.arange(n), "state"), b.input(np.full(n, 100))
    new = b.op(Add, count, 1)
    b.returns(b.op(rounding.FloorDivide, z, b.op(Mul, new, 2)))
    b.graph.updates = [(b.graph.inputs[0], new)]
    program = pipeline.build(b.graph)
    state, out = np.arange(n), np.zeros(n, np.int64)
    program.run([state, np.full(n, 100)], [out, state])
    np.testing.assert_array_equal(out, 100 // (2 * np.arange(1, n + 1)))
    np.testing.assert_array_equal(state, np.arange(1, n + 1))
    state -= 2
    with pytest.raises(RuntimeError, match="an integer divisor is zero"):
        program.run([state, np.full(n, 100)], [out, state])
    np.testing.assert_array_equal(state, np.arange(-1, n - 1))
