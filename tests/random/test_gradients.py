"""In-place draws forget the old value; samples do not depend on their parameters by gradient."""

import pytest

import rushlight as rl

FILLS = {
    "uniform_": (),
    "normal_": (),
    "random_": (5,),
    "bernoulli_": (0.5,),
    "exponential_": (),
    "cauchy_": (),
    "log_normal_": (),
    "geometric_": (0.5,),
}


@pytest.mark.parametrize("name", FILLS)
def test_fills_pass_a_zero_gradient_on(name):
    a = rl.ones(3, requires_grad=True)
    b = a * 2
    result = getattr(b, name)(*FILLS[name])
    assert result is b
    assert b._version == 1
    name = name.title().replace("_", "")
    assert type(b.grad_fn).__name__.startswith(name) or name in str(b.grad_fn)
    (b * 3).sum().backward()
    assert a.grad.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("name", FILLS)
def test_leaves_that_require_grad_are_only_filled_without_recording(name):
    a = rl.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        getattr(a, name)(*FILLS[name])
    with rl.no_grad():
        getattr(a, name)(*FILLS[name])
    assert a.requires_grad
    assert a.is_leaf


def test_a_fill_of_a_saved_tensor_is_noticed():
    a = rl.ones(3, requires_grad=True)
    b = rl.ones(3)
    c = (a * b).sum()
    b.uniform_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        c.backward()


def test_a_fill_of_a_view_reaches_its_base():
    a = rl.ones(4, requires_grad=True)
    b = a * 1
    b[1:3].normal_()
    b.sum().backward()
    assert a.grad.tolist() == [1.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    "source",
    [
        "t.bernoulli(p)",
        "t.zeros(3).bernoulli_(p)",
        "t.poisson(p)",
        "t.normal(p, 1.0)",
        "t.normal(0.0, p)",
        "t.normal(p, p)",
        "t.normal(p.expand(2, 3), 1.0)",
    ],
)
def test_samples_pass_a_zero_gradient_on(source):
    p = rl.full((3,), 0.5, requires_grad=True)
    eval(source, {"t": rl, "p": p}).sum().backward()
    assert p.grad.tolist() == [0.0, 0.0, 0.0]


def test_what_is_drawn_is_a_leaf():
    x = rl.randn(2, 3, requires_grad=True)
    assert x.is_leaf
    assert x.requires_grad
    assert not rl.multinomial(rl.ones(3, requires_grad=True), 2).requires_grad
