"""Kernels for eager code: results, layouts and gradients against NumPy's, and who computes."""

import os
import subprocess
import sys

import numpy as np
import pytest

import rushlight as rl
from rushlight.compiler import eager
from rushlight.core.native import LEAST, kernels, without_kernels
from rushlight.core.op import Elementwise
from rushlight.ops.activation import Gelu, LeakyRelu, Relu, Silu, Slope

N = LEAST + 4096 + 77  # more than two units, and a rest
FLOATS = ("float32", "float64")
PARAMS = {
    "LeakyRelu": {"negative_slope": 0.1},
    "Elu": {"alpha": 1.5, "scale": 1.1, "input_scale": 1.0},
    "Softplus": {"beta": 2.0, "threshold": 20.0},
    "Hardtanh": {"low": -1.0, "high": 1.0},
    "Hardshrink": {"lambd": 0.5},
    "Softshrink": {"lambd": 0.5},
    "Threshold": {"threshold": 0.1, "value": 3.0},
    "AddScaled": {"alpha": 0.3},
    "Addcmul": {"value": 0.3},
    "Addcdiv": {"value": 0.3},
    "Logit": {"eps": None},
    "NanToNum": {"nan": 0.5, "posinf": 7.0, "neginf": -7.0},
    "MaskedFill": {"value": 2.0},
    "Slope": {"curve": Gelu.instance, "options": {}},
}
MASKS = {"Where": 0, "MaskedFill": 1}  # the input that is a mask
# what kernels have no formula for
NUMPY_ONLY = frozenset(
    """
    Erfinv Erfcx Lgamma Digamma Polygamma I0 I1 I0e I1e Igamma Igammac LogNdtr
    Ndtri Zeta Frexp BesselJ0 BesselJ1 BesselY0 BesselY1 BesselI0 BesselI1 BesselK0 BesselK1
    ScaledBesselK0 ScaledBesselK1 AiryAi ChebyshevT ChebyshevU ChebyshevV ChebyshevW
    ShiftedChebyshevT ShiftedChebyshevU ShiftedChebyshevV ShiftedChebyshevW HermiteH HermiteHe
    LaguerreL LegendreP
    """.split()  # noqa: SIM905
)


def below(kind):
    """All classes derived from one."""
    for c in kind.__subclasses__():
        yield c
        yield from below(c)


def offered():
    """The elementwise ops that are offered to kernels, by name."""
    found = {c.__name__: c.instance for c in below(Elementwise) if "instance" in c.__dict__}
    return {
        name: op
        for name, op in found.items()
        if op.compiled and type(op).__module__.startswith("rushlight.")
    }


OFFERED = offered()


def values(shape, dtype="float32", salt=0):
    """Normal values and all special ones."""
    r = np.random.default_rng(salt)
    x = (r.standard_normal(shape) * 3).astype(dtype)
    flat = x.reshape(-1)
    flat[:7] = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0]
    r.shuffle(flat[:50])
    return x


def close(a, b):
    """Equal up to rounding; NaN and infinities in the same places."""
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    if a.dtype.kind != "f":
        np.testing.assert_array_equal(a, b)
        return
    eps = np.finfo(a.dtype).eps
    np.testing.assert_allclose(a, b, rtol=64 * eps, atol=128 * eps)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", [n for n in OFFERED if n not in NUMPY_ONLY])
def test_elementwise(name, dtype):
    op, params = OFFERED[name], PARAMS.get(name, {})
    arrays = [values(N, dtype, salt) for salt in range(len(op.names))]
    if name in MASKS:
        arrays[MASKS[name]] = arrays[MASKS[name]] > 0
    out = eager.find(op, tuple(arrays), params)
    assert out is not None, f"{name} has no kernel"
    with np.errstate(all="ignore"):
        close(out, np.asarray(op.plain(*arrays, **params)))


@pytest.mark.parametrize("name", [n for n in OFFERED if n in NUMPY_ONLY])
def test_numpy_only(name):
    """The list above is exact: what gets a formula leaves it."""
    op = OFFERED[name]
    if name not in ("Polygamma", "Frexp"):
        arrays = tuple([values(N, "float32", salt) for salt in range(len(op.names))])
        assert eager.find(op, arrays, {}) is None


LAYOUTS = {
    "rows": lambda x: x,
    "columns": lambda x: x.T,
    "permuted": lambda x: x.reshape(50, 20, -1).transpose(1, 0, 2),
    "every second": lambda x: x[:, ::2],
    "backwards": lambda x: x[::-1],
}
SLOPE = {"curve": Silu.instance, "options": {}}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout):
    """Results lie in memory as NumPy's do, for one array and for two of the same layout."""
    x = LAYOUTS[layout](values((200, 150)))
    g = LAYOUTS[layout](values((200, 150), salt=1))
    for op, arrays, params in (
        (Silu.instance, (x,), {}),
        (Slope.instance, (g, x), SLOPE),
    ):
        out = eager.find(op, arrays, params)
        with np.errstate(all="ignore"):
            expected = op.plain(*arrays, **params)
        close(out, expected)
        assert out.strides == expected.strides


def test_mixed_layouts():
    x, g = values((200, 150)), values((200, 150), salt=1)
    for a, b in ((x, np.asfortranarray(g)), (np.broadcast_to(g[:1], x.shape), x)):
        with np.errstate(all="ignore"):
            expected = Slope.instance.plain(a, b, **SLOPE)
        out = eager.find(Slope.instance, (a, b), SLOPE)
        close(out, expected)
        assert out.strides == expected.strides
    assert eager.find(Slope.instance, (x.T[:, ::2], x.T[::-1, ::2]), SLOPE) is None
    assert eager.find(Slope.instance, (x, x[0]), SLOPE) is None
    assert eager.find(Silu.instance, (np.broadcast_to(x[0], x.shape),), {}) is None


@pytest.mark.parametrize("n", [LEAST - 1, LEAST, LEAST + 1, 3 * 4096, 5 * 4096 - 1])
def test_sizes(n):
    x = rl.randn(n)
    with without_kernels():
        expected = x.relu()
    assert rl.equal(x.relu(), expected)


def test_who_computes(monkeypatch):
    """Large arrays of floats; nothing else asks."""
    asked = []

    def find(op, arrays, params):
        asked.append(type(op).__name__)

    monkeypatch.setattr(kernels, "find", find)
    rl.randn(LEAST - 1).relu()
    rl.randn(N).exp()
    assert asked == []
    rl.randn(N).relu()
    rl.nn.functional.gelu(rl.randn(N))
    assert asked == ["Relu", "Gelu"]


@pytest.mark.parametrize("dtype", ["int64", "complex64", "bool"])
def test_other_dtypes(dtype):
    x = np.ones(N, dtype)
    assert eager.find(Relu.instance, (x,), {}) is None


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves(dtype):
    x = rl.randn(N).to(getattr(rl, dtype))
    with without_kernels():
        expected = rl.nn.functional.silu(x)
    out = rl.nn.functional.silu(x)
    assert out.dtype is x.dtype
    eps = rl.finfo(x.dtype).eps
    assert ((out - expected).float().abs() <= eps * expected.float().abs()).all()


def test_numbers():
    """Numbers beside arrays are operands of the kernel, not constants in it."""
    x = rl.randn(N)
    before = len(eager._table)
    for weight in (0.25, 0.5, 0.75):
        with without_kernels():
            expected = rl.lerp(x, x * 2, weight)
        assert rl.allclose(rl.lerp(x, x * 2, weight), expected)
    assert len(eager._table) <= before + 1


def test_parameters_are_told_apart():
    x = -np.ones(N, np.float32)
    for slope in (0.0, -0.0, 1, 1.0, 0.5):
        out = eager.find(LeakyRelu.instance, (x,), {"negative_slope": slope})
        if out is not None:
            expected = LeakyRelu.instance.plain(x, negative_slope=slope)
            close(out, expected)
            assert np.array_equal(np.signbit(out), np.signbit(expected))
    assert eager.find(LeakyRelu.instance, (x,), {"negative_slope": np.ones(2)}) is None


def test_bounded(monkeypatch):
    """One-off parameters stop being compiled; the table forgets the oldest."""
    monkeypatch.setattr(eager, "_table", {})
    monkeypatch.setattr(eager, "_variants", {})
    monkeypatch.setattr(eager, "MOST", 5)
    x = np.ones(N, np.float64)
    found = [
        eager.find(LeakyRelu.instance, (x,), {"negative_slope": k / 64}) is not None
        for k in range(eager.VARIANTS + 2)
    ]
    assert found == [True] * eager.VARIANTS + [False] * 2
    assert len(eager._table) == 5


def test_in_place():
    for size in ((N,), (200, 150)):
        x = rl.randn(*size)
        with without_kernels():
            expected = x.sigmoid()
        view, version = x.view(-1), x._version
        assert x.sigmoid_() is x
        assert rl.allclose(x, expected)
        assert rl.equal(view, x.view(-1))
        assert x._version == version + 1
        x[::2].sigmoid_()
        assert rl.allclose(x[::2], expected[::2].sigmoid())
        assert rl.allclose(x[1::2], expected[1::2])


def test_out():
    x, out = rl.randn(N), rl.empty(N)
    with without_kernels():
        expected = x.sigmoid()
    assert rl.sigmoid(x, out=out) is out
    assert rl.allclose(out, expected)
    rl.sigmoid(x, out=x)
    assert rl.allclose(x, expected)


@pytest.mark.parametrize("name", ["gelu", "silu", "mish", "elu", "sigmoid", "relu", "softplus"])
def test_gradients(name):
    """Of orders 1 and 2."""
    f = getattr(rl.nn.functional, name)
    x = rl.randn(N, dtype=rl.float64).requires_grad_()
    v = rl.randn(N, dtype=rl.float64)

    def gradients():
        (g,) = rl.autograd.grad((f(x) * v).sum(), x, create_graph=True)
        return [g.detach(), *rl.autograd.grad((g * g).sum(), x, allow_unused=True)]

    with without_kernels():
        expected = gradients()
    for a, b in zip(gradients(), expected, strict=True):
        assert (a is None) == (b is None)
        assert a is None or rl.allclose(a, b, rtol=1e-10, atol=1e-12)


def test_equal_calls_give_equal_bits():
    """The first call is no different, nor are other sizes, places in memory, or thread counts."""
    x = rl.randn(1 << 20)
    first = rl.nn.functional.mish(x)
    assert rl.equal(rl.nn.functional.mish(x), first)
    assert rl.equal(rl.nn.functional.mish(x[3:-1].clone()), first[3:-1])
    before = rl.get_num_threads()
    try:
        for threads in (1, 2, 3):
            rl.set_num_threads(threads)
            assert rl.equal(rl.nn.functional.mish(x), first)
    finally:
        rl.set_num_threads(before)


def test_inside_a_compiled_call():
    x = rl.randn(N)
    run = rl.compile(lambda x: rl.nn.functional.gelu(x) * 2)
    expected = rl.nn.functional.gelu(x) * 2
    for _ in range(3):
        assert rl.allclose(run(x), expected, atol=1e-6)


SCRIPT = """
import sys
class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "llvmlite":
            raise ModuleNotFoundError(name)
hide = {hide}
if hide:
    sys.meta_path.insert(0, Without())
    sys.modules["llvmlite"] = None
import rushlight as rl
from rushlight.core.native import kernels
x = rl.linspace(-3, 3, 20000)
x[:100].relu()
assert "rushlight.compiler.eager" not in sys.modules and kernels.on
print(float(rl.nn.functional.gelu(x).sum()))
assert kernels.on == (not hide)
assert ("llvmlite" in sys.modules and not hide) or hide
"""


@pytest.mark.parametrize("hide", [False, True])
def test_loading(hide):
    """The compiler is loaded by the first large array; without llvmlite NumPy computes."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(hide=hide)],
        capture_output=True,
        text=True,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr
    x = rl.linspace(-3, 3, 20000)
    with without_kernels():
        expected = float(rl.nn.functional.gelu(x).sum())
    assert abs(float(done.stdout) - expected) < 1e-2
