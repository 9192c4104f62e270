"""The same seed gives torch's numbers and leaves torch's state."""

import warnings

import numpy as np
import pytest

import rushlight as rl

torch = pytest.importorskip("torch")

FLOATS = ("float32", "float64", "float16", "bfloat16")
INTEGERS = ("bool", "uint8", "int8", "int16", "int32", "int64")
COUNTS = (0, 1, 5, 15, 16, 17, 33, 100, 1000)
LONG = 50_001  # more than one chunk, and no multiple of 16


def draw(package, source, seed):
    package.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = eval(source, {"t": package})
    return values, package.get_rng_state().numpy()


def as_array(values):
    return (values.float() if "bfloat16" in str(values.dtype) else values).numpy()


def check(source, seed=9):
    """`source`, an expression in the package `t`, has the same value and leaves the same state."""
    (a, state_a), (b, state_b) = draw(torch, source, seed), draw(rl, source, seed)
    assert str(a.dtype) == str(b.dtype)
    assert tuple(a.shape) == tuple(b.shape)
    assert not a.numel() or a.stride() == tuple(b.stride())
    x, y = as_array(a), as_array(b)
    np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(state_a, state_b)


@pytest.mark.parametrize("seed", [0, 1, -1, 2**31, 2**32 + 5, 2**63 + 9, -(2**63)])
def test_seeds(seed):
    check("t.rand(700)", seed=seed)
    assert rl.initial_seed() == torch.initial_seed()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [*COUNTS, LONG])
def test_continuous(n, dtype):
    empty = f"t.empty({n}, dtype=t.{dtype})"
    strided = f"t.empty({2 * n}, dtype=t.{dtype})[::2]"
    check(f"t.rand({n}, dtype=t.{dtype})")
    check(f"{empty}.uniform_(-0.3, 1.7)")
    check(f"t.randn({n}, dtype=t.{dtype})")
    check(f"{empty}.normal_(0.3, 1.7)")
    check(f"{strided}.normal_(0.3, 1.7)")
    check(f"{empty}.exponential_(1.3)")
    check(f"{empty}.cauchy_(0.3, 1.7)")
    check(f"{empty}.log_normal_(0.3, 1.7)")


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
@pytest.mark.parametrize("n", [1, 17, LONG])
def test_discrete(n, dtype):
    empty = f"t.empty({n}, dtype=t.{dtype})"
    check(f"{empty}.bernoulli_(0.3)")
    check(f"{empty}.random_()")
    if dtype != "bool":
        check(f"{empty}.random_(100)")
        check(f"{empty}.random_(3, 100)")
        check(f"{empty}.geometric_(0.3)")
    if dtype in FLOATS:
        check(f"t.bernoulli(t.linspace(0, 1, {n}, dtype=t.float64).to(t.{dtype}))")


@pytest.mark.parametrize(
    "bounds",
    [
        "(10)",
        "(-5, 7)",
        "(2**28 - 1)",
        "(2**28)",
        "(2**32 + 1)",
        "(-(2**62), 2**62)",
        "(2**63 - 1)",
    ],
)
def test_randint_takes_two_words_from_a_width_of_28_bits(bounds):
    check(f"t.randint({bounds[1:-1]}, (50,))")


@pytest.mark.parametrize(
    "source",
    [
        "t.empty(9, dtype=t.int64).random_(-(2**63), None)",
        "t.empty(9, dtype=t.int64).random_(-5, None)",
        "t.empty(9, dtype=t.int32).random_(2**31 - 5, None)",
        "t.empty(9, dtype=t.bool).random_(0, None)",
        "t.empty(9).random_(3, None)",
        "t.empty(9).random_(0, 2**30)",
        "t.empty(9).random_(-(2**40), 2**40)",
        "t.empty(9, dtype=t.float64).random_(-(2**60), 2**60)",
        "t.empty(9, dtype=t.float16).random_(-5000, 5000)",
        "t.empty(9, dtype=t.bfloat16).random_(3, None)",
    ],
)
def test_random_at_the_limits_of_a_dtype(source):
    check(source)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 100, 513, 1000, 5000, 40_000])
def test_randperm(n):
    for seed in range(4):
        check(f"t.randperm({n})", seed=seed)


def test_the_second_normal_of_a_pair_is_kept_for_the_next_call():
    check("t.stack([t.randn(3)[2], t.randn(2)[1], t.rand(1)[0], t.randn(1)[0]])")
    check("(t.randn(3), t.empty(4).log_normal_())[1]")
    check("(t.randn(1, dtype=t.float64), t.randn(20), t.randn(1))[2]")
    check("(t.randn(1), t.manual_seed(3), t.randn(1))[2]")


@pytest.mark.parametrize("p", [0.0, 1.0, 0.5, 1e-20, 1 - 1e-16, 1 / 3])
def test_bernoulli_at_its_limits(p):
    check(f"t.empty(1000).bernoulli_({p!r})")


@pytest.mark.parametrize(
    "source",
    [
        "t.rand(4, 3).t().uniform_()",
        "t.empty(4, 5).t().normal_()",
        "t.empty(2, 3, 4).permute(2, 0, 1).exponential_()",
        "t.empty(8, 6)[::2, ::3].t().uniform_(-1, 1)",
        "t.empty(4, 3).t().bernoulli_()",
        "t.empty(4, 3).t().bernoulli_(t.linspace(0, 1, 12).view(4, 3).t())",
        "t.empty(4, 3).t().bernoulli_(t.linspace(0, 1, 12).view(3, 4))",
        "t.empty(3, 4).bernoulli_(t.linspace(0, 1, 4))",
        "t.bernoulli(t.linspace(0, 1, 12).view(4, 3).t())",
        "t.randint_like(t.empty(4, 5).t(), 100)",
        "t.rand_like(t.empty(4, 5).t())",
        "t.multinomial(t.arange(12.0).view(4, 3).t(), 2)",
    ],
)
def test_strided_memory_is_filled_in_memory_order(source):
    check(source)


@pytest.mark.parametrize(
    "source",
    [
        "t.randn(3, 7, 11)",
        "t.randn(20, dtype=t.complex64)",
        "t.empty(20, dtype=t.complex64).normal_(1, 2)",
        "t.randn_like(t.empty(4, 5).t())",
        "t.normal(t.arange(20.0), 2.0)",
        "t.normal(2.0, t.arange(20.0))",
        "t.normal(t.arange(20.0), t.linspace(1, 2, 20))",
        "t.normal(t.arange(40.0).view(4, 10).t(), t.arange(10.0).view(10, 1))",
        "t.normal(0.5, 2.0, (4, 5))",
    ],
)
def test_vectorised_normal(source):
    check(source)


@pytest.mark.parametrize(
    "source",
    [
        "t.randn(7, dtype=t.complex64)",
        "t.randn(20, dtype=t.complex128)",
        "t.rand(5, dtype=t.complex64)",
        "t.empty(4, 3, dtype=t.complex64).t().uniform_(1, 2)",
        "t.normal(t.zeros(3, dtype=t.float64), t.ones(2, 3))",
        "t.normal(t.zeros(3), t.ones(2, 3, dtype=t.float64))",
        "t.bernoulli(t.ones(5, dtype=t.int64), 0.5)",
        "t.bernoulli(t.ones(5), p=t.tensor(0.5))",
        "t.empty(5).bernoulli_(t.tensor(0.5))",
        "t.randint(5, (2, 3), dtype=t.float32)",
        "t.randint(low=2, high=5, size=(4,))",
        "t.randint(3, high=8, size=(4,))",
        "t.randperm(9, dtype=t.float32)",
        "t.rand(size=(2,))",
        "t.rand([2, 3])",
        "t.rand(())",
        "t.rand(2, 3, out=t.empty(0))",
        "t.rand(2, 3, out=t.empty(3, 2).t())",
        "t.randint(9, (4,), out=t.empty(4, dtype=t.int32))",
        "t.randperm(5, out=t.empty(9, dtype=t.int64))",
        "t.bernoulli(t.full((3,), 0.5), out=t.empty(3, dtype=t.int64))",
        "t.rand(5, generator=t.Generator())",
        "t.randint_like(t.zeros(3), low=2, high=5, dtype=t.int64)",
        "t.empty(3).uniform_(**{'from': 2, 'to': 8})",
        "t.empty(3).random_(**{'from': 2, 'to': 8})",
        "t.full((4,), 2.0).uniform_(2.0, 2.0)",
        "t.empty(3).exponential_(float('inf'))",
        "t.nn.functional.rrelu(-t.ones(50), training=True)",
        "t.nn.functional.rrelu(-t.ones(50), 0.1, 0.7, training=True)",
        "t.nn.functional.dropout(t.ones(50), 0.3)",
        "t.native_dropout(t.ones(50), 0.3, True)[0]",
        "t.native_dropout(t.ones(50), 0.3, None)[1].double()",
        "t.native_dropout(t.ones(50), 0.0, True)[0]",
        "t.nn.init.trunc_normal_(t.empty(20, 16), 0.1, 0.7, -1.0, 2.0)",
        "t.distributions.Laplace(0.5, 2.0).sample((100,))",
    ],
)
def test_signatures(source):
    check(source)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_samplers_that_reject(dtype):
    check(f"t.poisson(t.linspace(0, 40, 500, dtype=t.{dtype}))")
    check(f"t.poisson(t.linspace(0, 1e6, 50, dtype=t.{dtype}))")
    counts = f"t.arange(500, dtype=t.{dtype}) % 200"
    check(f"t.binomial({counts}, t.linspace(0, 1, 500, dtype=t.{dtype}))")
    check(f"t.poisson(t.full((3,), 1e-3, dtype=t.{dtype}))")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gamma_and_dirichlet(dtype):
    from rushlight.tensor_api.random_samples import _sample_dirichlet, _standard_gamma

    shapes = np.linspace(0.01, 8, 500).astype(dtype)
    torch.manual_seed(3), rl.manual_seed(3)
    expected = torch._standard_gamma(torch.from_numpy(shapes)).numpy()
    found = _standard_gamma(rl.from_numpy(shapes)).numpy()
    np.testing.assert_array_equal(expected, found)
    shapes = shapes.reshape(50, 10)
    expected = torch._sample_dirichlet(torch.from_numpy(shapes)).numpy()
    found = _sample_dirichlet(rl.from_numpy(shapes)).numpy()
    np.testing.assert_allclose(expected, found, rtol=1e-6 if dtype == "float32" else 1e-14)
    np.testing.assert_array_equal(torch.get_rng_state().numpy(), rl.get_rng_state().numpy())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("before", ["t.rand(1)", "t.randn(3)"])
@pytest.mark.parametrize("low", [0.4, 1.0, 1.4, 5.0])
@pytest.mark.parametrize("width", [0, 3, 100])
def test_gamma_in_bulk(width, low, before, dtype):
    from rushlight.tensor_api.random_samples import _standard_gamma

    for count in (31, 32, 5000):
        shapes = (low + np.random.RandomState(count).rand(count) * width).astype(dtype)
        results = []
        for t, sample in ((torch, torch._standard_gamma), (rl, _standard_gamma)):
            t.manual_seed(count)
            eval(before, {"t": t})
            values = sample(t.from_numpy(shapes)).numpy()
            results.append((values, t.get_rng_state().numpy(), t.randn(1).numpy()))
        for expected, found in zip(*results, strict=True):
            np.testing.assert_array_equal(expected, found)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("count", [1, 2, 10])
def test_multinomial(count, replacement, dtype):
    weights = f"(t.arange(60, dtype=t.{dtype}) % 7).view(3, 20)"
    check(f"t.multinomial({weights}, {count}, {replacement})")
    check(f"t.multinomial({weights}[1], {count}, {replacement})")


def test_multinomial_of_no_rows():
    check("t.multinomial(t.zeros(0, 3), 2)")


@pytest.mark.parametrize("size", [131072, 131073, 196613])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("method, arguments", [("uniform_", (-2, 3)), ("normal_", (1, 2))])
def test_large_tensors_are_filled_in_parts(size, dtype, method, arguments):
    results = []
    for lib in (torch, rl):
        lib.manual_seed(3)
        x = getattr(lib.empty(size, dtype=getattr(lib, dtype)), method)(*arguments)
        results.append((x.double().numpy().tobytes(), lib.rand(1).item()))
    assert results[0] == results[1]


def test_a_size_goes_with_tensors_of_no_dims():
    for mean, std in ((0, 2.0), (1.0, 3), (1, 2.0)):
        found = []
        for t in (torch, rl):
            t.manual_seed(0)
            found += [t.normal(t.tensor(mean), t.tensor(std), (3,)).tolist()]
            t.manual_seed(0)
            assert t.normal(mean, t.tensor(std), size=(3,)).tolist() == found[-1]
        assert found[0] == found[1]
