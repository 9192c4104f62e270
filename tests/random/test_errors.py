"""What cannot be drawn raises torch's built-in type, before anything is written or drawn."""

import pytest

import rushlight as rl

CASES = [
    ("t.rand()", TypeError),
    ("t.rand(-1)", RuntimeError),
    ("t.rand(2.0)", TypeError),
    ("t.rand(2, generator=3)", TypeError),
    ("t.rand(2, names=3)", TypeError),
    ("t.rand(2, dtype=t.int64)", NotImplementedError),
    ("t.rand(3, out=t.empty(3), dtype=t.float64)", RuntimeError),
    ("t.randn(2, dtype=t.bool)", NotImplementedError),
    ("t.randn(3, out=t.empty(2, dtype=t.int64))", NotImplementedError),
    ("t.randint(5)", TypeError),
    ("t.randint(5, 2)", TypeError),
    ("t.randint(2.5, (2,))", TypeError),
    ("t.randint(0, (3,))", RuntimeError),
    ("t.randint(7, 5, (3,))", RuntimeError),
    ("t.randint(2**63, (2,))", ValueError),
    ("t.randint(300, (2,), dtype=t.uint8)", RuntimeError),
    ("t.randint(-1, 5, (2,), dtype=t.uint8)", RuntimeError),
    ("t.randperm(-1)", RuntimeError),
    ("t.randperm(2.0)", TypeError),
    ("t.randperm(300, dtype=t.uint8)", RuntimeError),
    ("t.randperm(3000, dtype=t.float16)", RuntimeError),
    ("t.randperm(5, dtype=t.bool)", NotImplementedError),
    ("t.rand_like(t.zeros(3, dtype=t.int64))", NotImplementedError),
    ("t.normal(0.0, 1.0)", TypeError),
    ("t.normal(0.0, t.ones(1), (2,))", TypeError),
    ("t.normal(0.0, t.tensor(1.0, requires_grad=True), (2,))", TypeError),
    ("t.normal(0.0, -1.0, (2,))", RuntimeError),
    ("t.normal(0.0, float('nan'), (2,))", RuntimeError),
    ("t.normal(t.zeros(2), -t.ones(2))", RuntimeError),
    ("t.normal(t.zeros(2), t.ones(3))", RuntimeError),
    ("t.normal(t.zeros(2, dtype=t.int64), t.ones(2))", NotImplementedError),
    ("t.normal(1.0, t.tensor([1 + 1j]))", RuntimeError),
    ("t.empty(2).uniform_(1, 0)", RuntimeError),
    ("t.empty(2).uniform_(2)", RuntimeError),
    ("t.empty(2).uniform_(0, float('inf'))", RuntimeError),
    ("t.empty(2).uniform_(float('nan'), 1)", RuntimeError),
    ("t.empty(2).uniform_(-3e38, 3e38)", RuntimeError),
    ("t.empty(2, dtype=t.float16).uniform_(-70000, 0)", RuntimeError),
    ("t.empty(2, dtype=t.int64).uniform_()", NotImplementedError),
    ("t.empty(3).uniform_(2, 3, 4)", TypeError),
    ("t.empty(3).uniform_(low=3)", TypeError),
    ("t.empty(2).normal_(0, -1)", RuntimeError),
    ("t.empty(2, dtype=t.int64).normal_()", NotImplementedError),
    ("t.empty(2).exponential_(0)", RuntimeError),
    ("t.empty(2, dtype=t.int64).exponential_()", RuntimeError),
    ("t.empty(2).cauchy_(0, 0)", RuntimeError),
    ("t.empty(2, dtype=t.int64).cauchy_()", RuntimeError),
    ("t.empty(2).log_normal_(0, 0)", RuntimeError),
    ("t.empty(2, dtype=t.int64).log_normal_()", NotImplementedError),
    ("t.empty(2).geometric_(0)", RuntimeError),
    ("t.empty(2).geometric_(1)", RuntimeError),
    ("t.empty(2).geometric_()", TypeError),
    ("t.empty(2).random_(5, 5)", RuntimeError),
    ("t.empty(2).random_(0)", RuntimeError),
    ("t.empty(2).random_(2.5)", TypeError),
    ("t.empty(2).random_(**{'from': 2})", TypeError),
    ("t.empty(2, dtype=t.uint8).random_(257)", RuntimeError),
    ("t.empty(2, dtype=t.int8).random_(-200, 3)", RuntimeError),
    ("t.empty(2, dtype=t.complex64).random_()", NotImplementedError),
    ("t.empty(2).bernoulli_(-0.1)", RuntimeError),
    ("t.empty(2).bernoulli_(t.tensor([0.5, 0.5, 0.5]))", RuntimeError),
    ("t.empty(2).bernoulli_(t.tensor([1, 0]))", NotImplementedError),
    ("t.empty(2, dtype=t.complex64).bernoulli_()", NotImplementedError),
    ("t.bernoulli(t.tensor([1.5]))", RuntimeError),
    ("t.bernoulli(t.tensor([float('nan')]))", RuntimeError),
    ("t.bernoulli(t.zeros(2), p=1.5)", RuntimeError),
    ("t.empty(1).expand(3).uniform_()", RuntimeError),
    ("t.empty(1).expand(3).bernoulli_()", RuntimeError),
    ("t.poisson(t.tensor([-1.0]))", RuntimeError),
    ("t.poisson(t.tensor([1]))", NotImplementedError),
    ("t.binomial(t.tensor([1]), t.tensor([0.5]))", ValueError),
    ("t.binomial(t.ones(2), t.ones(3))", RuntimeError),
    ("t.multinomial(t.tensor([0.0, 0.0]), 1)", RuntimeError),
    ("t.multinomial(t.tensor([0.0, -1.0]), 1)", RuntimeError),
    ("t.multinomial(t.tensor([1.0, float('inf')]), 3, True)", RuntimeError),
    ("t.multinomial(t.tensor([0.0, 1.0]), 3)", RuntimeError),
    ("t.multinomial(t.tensor([0, 1]), 1)", RuntimeError),
    ("t.multinomial(t.tensor([[[0.0, 1.0]]]), 1)", RuntimeError),
    ("t.multinomial(t.ones(3), 0)", RuntimeError),
    ("t.multinomial(t.ones(3), 2.0)", TypeError),
    ("t.multinomial(t.ones(3), 2, out=t.empty(2))", RuntimeError),
]


@pytest.mark.parametrize(("source", "error"), CASES)
def test_refused(source, error):
    rl.manual_seed(0)
    before = rl.get_rng_state()
    with pytest.raises(error):
        eval(source, {"t": rl})
    assert rl.equal(before, rl.get_rng_state()), "an error must not use up random numbers"


@pytest.mark.parametrize(("source", "error"), CASES)
def test_torch_refuses_it_with_the_same_type(source, error):
    torch = pytest.importorskip("torch")
    with pytest.raises(error):
        eval(source, {"t": torch})


def test_bounds_that_floats_cannot_count_warn():
    with pytest.warns(UserWarning, match="Due to precision limitations"):
        rl.empty(2).random_(0, 2**30)
