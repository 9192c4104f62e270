"""Elementwise kernels for eager code: results and gradients against NumPy's, and who computes."""

import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.special

import rushlight as rl
import rushlight.special  # all ops are asked about, also those that are loaded late
from rushlight.compiler import eager
from rushlight.core.elementwise import Elementwise
from rushlight.core.native import LEAST, kernels, without_kernels
from rushlight.ops.activation import Gelu, LeakyRelu, Relu, Silu, Slope
from rushlight.ops.matmul import Linear
from rushlight.ops.rounding import Remainder, Round
from rushlight.ops.softmax import Softmax
from tests.compiler.operands import FLOATS, NUMPY, N, below, close, values

LEVELS = {"quant_min": -3, "quant_max": 4}
PARAMS = {
    "Clamp": {"min": -0.5, "max": 1.5},
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
    "Blend": {"weight": 0.3},
    "BlendVariance": {"eps": 1e-3, "unbiased": 1.1, "weight": 0.3},
    **dict.fromkeys(("InLevels", "FakeQuantizePerTensor", "FakeQuantizePerChannel"), LEVELS),
    "Logit": {"eps": None},
    "NanToNum": {"nan": 0.5, "posinf": 7.0, "neginf": -7.0},
    "MaskedFill": {"value": 2.0},
    "Slope": {"curve": Gelu.instance},
    "Derivative": {"curve": Gelu.instance},
}


MASKS = {"Where": 0, "MaskedFill": 1}  # the input that is a mask


# what computes as it sees fit, in NumPy
OWN_WAY = frozenset(("Where",))


# what kernels have no formula for
NUMPY_ONLY = frozenset(
    """
    Erfcx Polygamma Igamma Igammac LogNdtr Ndtri Zeta Frexp
    BesselJ0 BesselJ1 BesselY0 BesselY1 BesselK0 BesselK1
    ScaledBesselK0 ScaledBesselK1 AiryAi ChebyshevT ChebyshevU ChebyshevV ChebyshevW
    ShiftedChebyshevT ShiftedChebyshevU ShiftedChebyshevV ShiftedChebyshevW HermiteH HermiteHe
    LaguerreL LegendreP
    """.split()  # noqa: SIM905
)


SINGLE_ONLY = frozenset(  # not of float64
    ("Digamma", "Erfinv", "Lgamma", "I0", "I1", "I0e", "I1e", "BesselI0", "BesselI1")
)


def operands(name, dtype):
    """An array for each input."""
    arrays = [values(N, dtype, salt) for salt in range(len(OFFERED[name].names))]
    if PARAMS.get(name) is LEVELS:
        arrays[2] = np.round(arrays[2])  # the level that is zero
    return arrays


def offered():
    """The elementwise ops that are offered to kernels, by name."""
    found = {c.__name__: c.instance for c in below(Elementwise) if "instance" in c.__dict__}
    return {
        name: op
        for name, op in found.items()
        if op.compiled and type(op).__module__.startswith("rushlight.")
    }


OFFERED = offered()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", [n for n in OFFERED if n not in NUMPY_ONLY])
def test_elementwise(name, dtype):
    op, params = OFFERED[name], PARAMS.get(name, {})
    arrays = operands(name, dtype)
    if name in MASKS:
        arrays[MASKS[name]] = arrays[MASKS[name]] > 0
    out = eager.find(op, tuple(arrays), params)
    if name in SINGLE_ONLY and dtype == "float64":
        assert out is None
        return
    assert out is not None, f"{name} has no kernel"
    with np.errstate(all="ignore"), without_kernels():
        close(out, op.forward(arrays, params))


@pytest.mark.parametrize("name", [n for n in OFFERED if n in NUMPY_ONLY])
def test_numpy_only(name):
    """The list above is exact: what gets a formula leaves it."""
    op = OFFERED[name]
    if name not in ("Polygamma", "Frexp"):
        arrays = tuple([values(N, "float32", salt) for salt in range(len(op.names))])
        assert eager.find(op, arrays, {}) is None


def near(*points):
    """Float32 numbers around some."""
    r = np.random.default_rng(0)
    return np.concatenate(
        [p + r.standard_normal(1000) * 10.0**-k for p in points for k in (0, 1, 3, 6)]
    ).astype(np.float32)


SPECIAL = {
    "erfinv": near(0, 0.5, 0.95, 1, -1),
    "gammaln": near(0, 0.75, 1, 2, 2.5, 8, 30, 1e6),
    "i0": near(0, 1, 8, -8, 60, -90),
    "i0e": near(0, 1, 8, -8, 60, 1e5),
    "i1": near(0, 1, 8, -8, 60, -90),
    "i1e": near(0, 1, 8, -8, 60, 1e5),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_special_functions_are_rounded_once(name):
    """Within a unit in the last place of SciPy's float64 result."""
    x = SPECIAL[name]
    function = getattr(rl.special, name)
    with np.errstate(all="ignore"):
        exact = getattr(scipy.special, name)(x.astype(np.float64))
        expected = exact.astype(np.float32)
    out = function(rl.from_numpy(x)).numpy()
    np.testing.assert_array_max_ulp(out, expected, 1)
    ends = np.repeat(np.float32([0, -0.0, np.inf, -np.inf, np.nan, 1, -1, -3]), N)
    with without_kernels():
        expected = function(rl.from_numpy(ends)).numpy()
    out = function(rl.from_numpy(ends)).numpy()
    np.testing.assert_array_max_ulp(out, expected, 1)


LAYOUTS = {
    "rows": lambda x: x,
    "columns": lambda x: x.T,
    "permuted": lambda x: x.reshape(50, 20, -1).transpose(1, 0, 2),
    "every second": lambda x: x[:, ::2],
    "backwards": lambda x: x[::-1],
}


SLOPE = {"curve": Silu.instance}


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
    for a, b in ((x, np.asfortranarray(g)), (np.broadcast_to(g[:1], x.shape), x), (x, g[0])):
        with np.errstate(all="ignore"):
            expected = Slope.instance.plain(a, b, **SLOPE)
        out = eager.find(Slope.instance, (a, b), SLOPE)
        close(out, expected)
        assert out.strides == expected.strides
    assert eager.find(Slope.instance, (x.T[:, ::2], x.T[::-1, ::2]), SLOPE) is None
    assert eager.find(Silu.instance, (np.broadcast_to(x[0], x.shape),), {}) is None


@pytest.mark.parametrize("n", [LEAST - 1, LEAST, LEAST + 1, 3 * 4096, 5 * 4096 - 1])
def test_sizes(n):
    x = rl.randn(n)
    with without_kernels():
        expected = x.relu()
    assert rl.equal(x.relu(), expected)


def test_who_computes(monkeypatch):
    """Large arrays of floats, and small ones in formulas; nothing else asks."""
    asked, few, many = [], rl.rand(LEAST - 1), rl.randn(N)  # by a kernel, too

    def find(op, arrays, params):
        asked.append(type(op).__name__)

    monkeypatch.setattr(kernels, "find", find)
    for name in ("Relu", "Gelu"):
        OFFERED[name].ready.clear()
    few.log1p()
    many.exp()
    assert asked == []
    few.relu()
    rl.nn.functional.gelu(many)
    assert asked == ["Relu", "Gelu"]


@pytest.mark.parametrize("name", [n for n in OFFERED if n not in NUMPY_ONLY])
def test_every_way_in_asks(name, monkeypatch):
    """Applying an op offers its arrays, whichever closure does it."""
    op, asked = OFFERED[name], []
    tensors = [rl.rand(N) for _ in op.names]  # by a kernel, too
    if name in MASKS:
        tensors[MASKS[name]] = tensors[MASKS[name]] > 0.5
    monkeypatch.setattr(kernels, "find", lambda *call: asked.append(call[0]))
    op.ready.clear()
    type(op).bind(*tensors, **PARAMS.get(name, {}))
    assert (op in asked) == (name not in OWN_WAY)


@pytest.mark.parametrize("dtype", ["int64", "complex64", "bool"])
def test_other_dtypes(dtype):
    x = np.ones(N, dtype)
    assert eager.find(Relu.instance, (x,), {}) is None
    assert eager.find(Remainder.instance, (x, 3), {}) is None


@pytest.mark.parametrize(
    "code", ["k % 3", "k // 3", "k + 3", "k * 2 == 4", "k.clamp(1, 5)", "k ** 2"]
)
def test_integers_stay_integers(code):
    k = rl.arange(N)
    out, small = eval(code, {"k": k}), eval(code, {"k": k[:100]})
    assert out.dtype is small.dtype
    assert rl.equal(out[:100], small)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves(dtype):
    x = rl.randn(N).to(getattr(rl, dtype))
    with without_kernels():
        expected = rl.nn.functional.silu(x)
    out = rl.nn.functional.silu(x)
    assert out.dtype is x.dtype
    eps = rl.finfo(x.dtype).eps
    assert ((out - expected).float().abs() <= eps * expected.float().abs()).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", [n for n in OFFERED if n not in NUMPY_ONLY])
def test_elementwise_halves(name, dtype):
    """Kernels read and write halves as they are; between, all is float32, as in NumPy's way."""
    op, params = OFFERED[name], PARAMS.get(name, {})
    arrays = operands(name, NUMPY[dtype])
    if name in MASKS:
        arrays[MASKS[name]] = np.arange(N) % 3 == 0
    out = eager.find(op, tuple(arrays), params)
    assert out is not None, f"{name} has no kernel"
    with np.errstate(all="ignore"), without_kernels():
        expected = op.forward(list(arrays), params)
    assert out.dtype == expected.dtype
    eps = float(rl.finfo(getattr(rl, dtype)).eps)
    a, b = out.astype(np.float32), expected.astype(np.float32)
    np.testing.assert_allclose(a, b, rtol=eps, atol=eps * 1e-3)


PLAIN = ("a + b", "a * 0.1", "2.0 / a", "a < b", "a == 0.1", "a.exp()", "a + k", "k * a", "a + f")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("code", PLAIN)
def test_operands_are_converted_on_the_way(code, dtype):
    scope = {
        "a": rl.from_numpy(values((200, 150))).to(getattr(rl, dtype)),
        "b": rl.from_numpy(values((200, 150), salt=1)).to(getattr(rl, dtype)),
        "f": rl.from_numpy(values((200, 150), "float64", salt=2)),
        "k": rl.arange(30000).reshape(200, 150) % 1000 - 500,
    }
    with without_kernels():
        expected = eval(code, scope)
    out = eval(code, scope)
    assert out.dtype is expected.dtype
    assert rl.allclose(out, expected, rtol=2 * rl.finfo(scope["a"].dtype).eps, equal_nan=True)


@pytest.mark.parametrize("to", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("of", ["float16", "bfloat16", "float32"])
def test_conversions(of, to):
    """Of every half, in all roundings, infinities and NaN, to the bit."""
    bits = np.arange(1 << 16, dtype=np.uint16).view(np.int16)
    if of == "float32":
        bits = np.concatenate([(bits.astype(np.int32) << 16) + k for k in (0, 1, 0x7FFF, 0x8001)])
    t = rl.from_numpy(bits).view(getattr(rl, of))
    with without_kernels():
        expected = t.to(getattr(rl, to))
    out = t.to(getattr(rl, to))
    assert rl.equal(out.isnan(), expected.isnan())
    assert rl.equal(out.nan_to_num(), expected.nan_to_num())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sums_of_halves(dtype):
    x = rl.rand(50, 1000).to(getattr(rl, dtype))
    for f in (rl.sum, rl.mean):
        for dim in (None, 0, 1):
            with without_kernels():
                expected = f(x, dim)
            assert rl.allclose(f(x, dim), expected, rtol=rl.finfo(x.dtype).eps)


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


def test_clamp_by_nan():
    """A limit that is NaN makes all elements NaN; NaN stays between others."""
    x = rl.from_numpy(values(N))
    for limits in ((rl.nan, 1.0), (None, rl.nan), (-0.5, 0.5), (1.0, -1.0)):
        with without_kernels():
            expected = x.clamp(*limits)
        assert np.array_equal(x.clamp(*limits).numpy(), expected.numpy(), equal_nan=True)


def test_bounded(monkeypatch):
    """Parameters that are constants stop being compiled; the table forgets the oldest."""
    monkeypatch.setattr(eager, "_table", {})
    monkeypatch.setattr(eager, "_variants", {})
    monkeypatch.setattr(eager, "MOST", 5)
    x = np.ones(N, np.float64)
    found = [
        eager.find(Round.instance, (x,), {"decimals": k + 1}) is not None
        for k in range(eager.VARIANTS + 2)
    ]
    assert found == [True] * eager.VARIANTS + [False] * 2
    assert len(eager._table) == 5


def scores(t):
    """Softmax of a table of attention scores of a text of length ``t``, by a program or None."""
    return eager.find(Softmax.instance, (np.ones((1, 8, t, t), np.float32),), {"dim": 3})


def test_sizes_that_keep_changing():
    """Programs are made for some sizes; further ones have to be met often."""
    found = [scores(t) is not None for t in range(40, 52)]
    assert found == [True] * eager.NEAR + [False] * (12 - eager.NEAR)
    assert scores(40) is not None
    again = [scores(51) is not None for _ in range(2 * eager.OFTEN)]
    assert again == [False] * (eager.OFTEN - 2) + [True] * (eager.OFTEN + 2)


def test_layers_make_programs_of_their_own():
    """Other weights are another layer; the sizes of its inputs are counted anew."""
    x = np.ones((64, 256), np.float32)
    for n in range(64, 64 + eager.BROAD):
        w, b = np.ones((n, 256), np.float32), np.ones(n, np.float32)
        assert eager.find(Linear.instance, (x, w, b), {}) is not None
    assert eager.find(Linear.instance, (x, np.ones((9, 256), np.float32), b[:9]), {}) is None


def test_images_of_all_sizes():
    """Gradients of a layer for sizes without end: none of their operands stays alike."""
    conv = rl.nn.Conv2d(3, 4, 3)
    made = len(eager._table)
    for n in range(20, 60):
        conv(rl.randn(2, 3, n, n + 1, requires_grad=True)).sum().backward()
    assert len(eager._table) - made < 8 * eager.NEAR


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


IN_PLACE = (
    "a.relu_()", "a.clamp_(-1, 1)", "a.add_(b, alpha=0.1)", "a.lerp_(b, 0.3)", "a.hypot_(a)",
    "a.addcmul_(b, a, value=0.5)", "a.addcdiv_(b, c, value=2)", "a.sigmoid_()",
)  # fmt: skip


@pytest.mark.parametrize("n", [LEAST, N, 5 * 4096 - 1, 3 * 65536 + 5])
@pytest.mark.parametrize("code", IN_PLACE)
def test_in_place_is_out_of_place(code, n):
    """To the bit, the last elements too, which a unit of their own might do twice."""
    scope = {k: rl.from_numpy(values(n, salt=i)) for i, k in enumerate("abc")}
    expected = eval(code.replace("_(", "("), dict(scope))
    a = scope["a"]
    assert eval(code, scope) is a
    assert rl.equal(a.nan_to_num(), expected.nan_to_num())


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
import numpy as np
import rushlight as rl
from rushlight.core.native import kernels
x = rl.from_numpy(np.linspace(-3, 3, 20000, dtype=np.float32))
x[:100].log1p()
assert "rushlight.compiler.eager" not in sys.modules and kernels.on
print(float(rl.nn.functional.gelu(x).sum()))
assert kernels.on == (not hide)
assert ("llvmlite" in sys.modules and not hide) or hide
"""


@pytest.mark.parametrize("hide", [False, True])
def test_loading(hide):
    """The compiler is loaded by the first large array or formula; without it NumPy computes."""
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
