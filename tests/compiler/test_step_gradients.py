"""Captured steps whose gradients, draws and memory change between calls give what eager gives."""

from __future__ import annotations

import pytest

import rushlight as rl
from rushlight import nn


def agree(make, calls, between=None):
    """Run what ``make`` makes eagerly and compiled, and compare after each call.

    make: returns the step, and a function of no arguments that returns what to compare.
    between: what happens before call k, given k and what ``make`` returned third, if anything.
    """
    seen = []
    for wrap in (lambda f: f, lambda f: rl.compile(f, fullgraph=True)):
        rl.manual_seed(0)
        step, look, *rest = make()
        run = wrap(step)
        mine = []
        for k, arguments in enumerate(calls):
            if between is not None:
                between(k, *rest)
            run(*arguments)
            mine.append([None if t is None else t.detach().clone() for t in look()])
        seen.append(mine)
    for k, (x, y) in enumerate(zip(*seen, strict=True)):
        for a, b in zip(x, y, strict=True):
            assert (a is None) == (b is None), k
            if a is not None:
                rl.testing.assert_close(b, a, msg=f"call {k}")
    return run._compiled


def weighted():
    w = rl.ones(3, requires_grad=True)
    v = rl.ones(3, requires_grad=True)

    def step(x):
        (w * v * x).sum().backward()

    return step, lambda: [w, v, w.grad, v.grad], w


ONES = [(rl.ones(3),)] * 6


def test_frozen_parameters_are_another_variant():
    def between(k, w):
        w.requires_grad_(k < 3)

    assert agree(weighted, ONES, between).traces == 2


def test_gradients_that_were_dropped_are_not_accumulated_into():
    def between(k, w):
        if k in (1, 3):
            w.grad = None

    agree(weighted, ONES, between)


def test_gradients_of_arguments():
    def step(x):
        (x * x).sum().backward()

    run = rl.compile(step, fullgraph=True)
    for k in range(4):
        x = rl.full((2,), float(k), requires_grad=True)
        run(x)
        assert x.grad.tolist() == [2 * k, 2 * k]
    for _ in range(3):
        run(x)
    assert x.grad.tolist() == [24, 24]


def test_gradients_dropped_within_a_step():
    def make():
        w = rl.ones(3, requires_grad=True)

        def step(x):
            (w * x).sum().backward()
            with rl.no_grad():
                w.sub_(0.1 * w.grad)
            w.grad = None

        return step, lambda: [w, w.grad], w

    def between(k, w):
        w.grad = rl.ones(3) if k % 2 else None

    agree(make, ONES, between)


@pytest.mark.parametrize(
    "draw",
    [
        lambda x: rl.rand(3),
        lambda x: rl.randn(3),
        lambda x: rl.randint(0, 100, (3,)),
        lambda x: rl.randperm(3),
        lambda x: rl.rand_like(x),
        lambda x: rl.randn_like(x),
        lambda x: rl.randint_like(x, 100),
        lambda x: rl.rand(3, dtype=rl.complex64).real,
        lambda x: rl.normal(0.0, 1.0, (3,)),
    ],
    ids=[
        "rand",
        "randn",
        "randint",
        "randperm",
        "rand_like",
        "randn_like",
        "randint_like",
        "complex",
        "normal",
    ],
)
def test_draws_differ_from_call_to_call_as_in_eager_code(draw):
    def make():
        out = rl.zeros(3)

        def step(x):
            out.copy_(x + draw(x))

        return step, lambda: [out, rl.get_rng_state()]

    agree(make, ONES)


def test_memory_that_is_exchanged_under_a_tensor_seen_through_data():
    def make():
        w, seen = rl.ones(3), rl.zeros(3)

        def step(x):
            w.data.mul_(2)
            seen.copy_(w.detach() + x)

        return step, lambda: [w, seen], w

    def between(k, w):
        if k in (3, 4):
            w.data = rl.full((3,), float(k))

    agree(make, ONES, between)


def test_views_of_arguments_that_lie_column_by_column():
    """What is a view of such memory would be a copy of rows."""

    def f(x):
        y = x.t().view(2, 6)
        y[0, 1:4] = 0.5
        x.t().reshape(-1)[-1:].add_(1)
        return x * 1, y.sum(1)

    run = rl.compile(f, fullgraph=True)
    for _ in range(4):
        columns = rl.arange(12.0).view(4, 3)
        a, b = columns.t(), columns.clone().t()
        for got, expected in zip(run(a), f(b), strict=True):
            rl.testing.assert_close(got, expected)
        rl.testing.assert_close(a, b)


def test_a_failing_check_comes_before_any_write():
    """The kernel that computes what is checked does not accumulate the gradient as well."""
    w = rl.full((1,), 2.0, requires_grad=True)

    @rl.compile(fullgraph=True)
    def step(x, y):
        loss = nn.functional.binary_cross_entropy(rl.xlogy(x, w), y)
        loss.backward()
        return loss

    for _ in range(3):
        step(rl.full((1,), 0.5), rl.ones(1))
    before = w.grad.item()
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        w.data.fill_(9)
        step(rl.ones(1), rl.ones(1))
    assert w.grad.item() == before


def test_a_check_behind_a_kernel_that_reads_what_is_written():
    """The kernel of the lookup makes what is checked, and reads what the update is made of."""

    table = rl.zeros(16, 1)

    @rl.compile(fullgraph=True)
    def step(x, index):
        y = x * x + 1
        table.lerp_(y, 0.5)
        return nn.functional.embedding(index.clamp(max=20), y)

    for k in range(3):
        step(rl.full((16, 1), float(k)), rl.tensor([1, 2, 3]))
    before = table.clone()
    with pytest.raises(IndexError):
        step(rl.ones(16, 1), rl.tensor([1, 2, 18]))
    assert rl.equal(table, before)


def test_gradients_zeroed_or_missing():
    def make():
        w, v = rl.ones(3, requires_grad=True), rl.ones(3, requires_grad=True)
        optimizer = rl.optim.SGD([w, v], lr=0.1)

        def step(x):
            optimizer.zero_grad(set_to_none=False)
            (v * x).sum().backward()

        return step, lambda: [w.grad, v.grad], w

    def between(k, w):
        w.grad = None if k in (0, 4) else rl.full((3,), float(k))

    agree(make, ONES, between)


@pytest.mark.parametrize("write", ["uniform_", "bernoulli_", "exponential_"])
def test_draws_into_memory_of_any_order(write):
    def make():
        out = rl.zeros(2, 10, 4)

        def step(x):
            columns = rl.zeros(4, 10).t() + 0
            out[0].copy_(getattr(columns, write)())
            getattr(out[1, :, ::2], write)()
            getattr(out[1, :, 1], write)()

        return step, lambda: [out, rl.get_rng_state()]

    agree(make, ONES)


@pytest.mark.parametrize("dtype", [rl.float32, rl.float64])
def test_numbers_that_an_optimizer_computes(dtype):
    """NAdam keeps a product of numbers that change with the step."""

    def make():
        w = rl.ones(3, dtype=dtype, requires_grad=True)
        optimizer = rl.optim.NAdam([w], lr=0.01)

        def step(x):
            optimizer.zero_grad()
            (w * x).square().sum().backward()
            optimizer.step()

        return step, lambda: [w, optimizer.state[w]["mu_product"]]

    agree(make, ONES)


def test_gradient_rules_do_not_depend_on_the_values_that_were_traced():
    """A zero in a product, and NaN among the largest, come only after the capture."""
    w = rl.ones(3, requires_grad=True)

    def step(x):
        w.grad = None
        ((w * x).prod(0) + (w * x).amax(0) + (w * x).cumprod(0).sum()).backward()
        return w.grad.clone()

    run = rl.compile(step, fullgraph=True)
    for last in (3.0, 3.0, 0.0, float("nan"), 1.0):
        x = rl.tensor([1.0, 2.0, last])
        rl.testing.assert_close(run(x), step(x), equal_nan=True)


@pytest.mark.parametrize("name", ["prod", "cumprod"])
def test_gradients_of_products_of_nothing(name):
    w = rl.ones(0, 2, requires_grad=True)

    def step(x):
        w.grad = None
        getattr(w * x, name)(0).sum().backward()
        return w.grad.clone()

    run = rl.compile(step, fullgraph=True)
    for _ in range(4):
        assert run(rl.ones(2)).shape == (0, 2)


@pytest.mark.parametrize("of_both", [False, True])
def test_hooks_on_leaves_that_come_and_go_between_calls_of_grad(of_both):
    def found(compiled):
        w, values, hooks = rl.ones(3, requires_grad=True), [], []

        def f(x):
            h = w * 2
            return rl.autograd.grad((h * x).sum(), [h, w] if of_both else [w])

        run = rl.compile(f, fullgraph=True) if compiled else f
        for k in range(12):
            if k in (4, 8):
                hooks.append(w.register_hook(lambda g: g * 0.5))
            if k == 10:
                hooks.pop().remove()
            values.append([g.tolist() for g in run(rl.ones(3))])
        return values

    assert found(True) == found(False)


@pytest.mark.parametrize("shape", [(7, 5, 3), (64, 50, 3), (300, 40, 3)])
@pytest.mark.parametrize("name", ["amin", "amax"])
@pytest.mark.parametrize("dim", [(0,), (2,), (0, 1, 2)])
def test_elements_are_equal_to_their_extreme_where_they_are_computed_again(name, shape, dim):
    """Also where a product that is added is kept, and so rounded, in one place and not in another:
    no element would equal the extreme, and its gradient would be 0 / 0.
    """
    p = rl.ones(3, requires_grad=True)
    x, r, s = rl.randn(shape), rl.randn(shape), rl.rand(shape)

    def step(x, r, s):
        product = (x * p) * r
        getattr(product + s, name)(dim).sum().backward()
        return product.detach()

    found = []
    for run in (step, rl.compile(step, fullgraph=True)):
        for _ in range(3):
            p.grad = None
            run(x, r, s)
        found.append(p.grad)
    assert rl.isfinite(found[1]).all()
    assert rl.allclose(*found, rtol=1e-4, atol=1e-4)


def test_kernels_that_differ_in_how_they_round_are_written_apart():
    x, y = rl.rand(50), rl.rand(50)

    def texts(run):
        run = rl.compile(run, fullgraph=True)
        for _ in range(3):
            run(x, y)
        (variants,) = run._compiled.variants.values()
        return [launch.ir for _, launch in variants[0].program.launches]

    plain = texts(lambda x, y: x * y + x)
    compared = texts(lambda x, y: (x * y + x, x == y))
    assert "contract" in plain[0] and "contract" not in compared[0]


@pytest.mark.parametrize("whole", [lambda x: x.long(), rl.floor, rl.ceil, rl.trunc, rl.round])
def test_numbers_become_the_whole_ones_of_eager_code(whole):
    """As in averages of counts: 0.9 * 6 + 0.1 * 16 is 7, or less by what a product loses."""
    counts = rl.arange(60)
    shift = 0.5 if whole is rl.round else 0.0

    def step(x):
        return whole(x * 0.9 + counts * (1 - 0.9) + shift)

    run = rl.compile(step, fullgraph=True)
    for n in range(40):
        assert run(rl.tensor(n)).tolist() == step(rl.tensor(n)).tolist()


@pytest.mark.parametrize("value", [0.5, 1.5, 2])
def test_integers_take_no_fraction_of_a_factor(value):
    x = rl.arange(6)
    run = rl.compile(lambda x: x.addcmul(x, x, value=value), fullgraph=True)
    assert [run(x).tolist() for _ in range(3)] == [x.addcmul(x, x, value=value).tolist()] * 3
