"""What comes out of a compiled function, errors among it, is what it is without ``compile``: each
case runs both ways and says what there was to see.
"""

from __future__ import annotations

import collections

import numpy as np
import pytest

import rushlight as rl
from tests.compiler.seen import CALLS, Frozen, Output, both_ways

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
CASES = {}


def case(f):
    """Note a case."""
    CASES[f.__name__] = f
    return f


@pytest.mark.filterwarnings("ignore:compile")
@pytest.mark.parametrize("name", CASES)
def test_calls_are_those_of_the_function_itself(name):
    itself, compiled = both_ways(CASES[name])
    assert compiled == itself


class Named(collections.OrderedDict):
    """A dict whose items are attributes too."""

    def __init__(self, **items):
        super().__init__(**items)
        self.__dict__.update(items)


class Tagged(list):
    """A list with an attribute."""

    tag = 0


def tagged(x):
    made = Tagged([x * 2])
    made.tag = x.shape[0]
    return made


def grouped(x):
    made = collections.defaultdict(list)
    made["x"].append(x * 2)
    return made


def results(f, look):
    """A case: what there is to see of the results of f."""

    def run(compile):
        g = compile(f)
        for k in range(CALLS):
            out = g(rl.full((2, 3), float(k)))
            yield type(out).__name__
            yield look(out)

    return run


CASES["a dataclass"] = results(
    lambda x: Output(x * 2), lambda o: (o.loss, o.notes.append(1), o.notes)
)
CASES["a dataclass of the argument"] = results(Output, lambda o: o.loss)
CASES["a frozen dataclass in slots"] = results(lambda x: Frozen(x * 2), lambda o: (o.loss, o.count))
CASES["a dict of one's own"] = results(
    lambda x: Named(a=x * 2), lambda o: (o.a, o["a"], o.a is o["a"])
)
CASES["an ordered dict"] = results(lambda x: collections.OrderedDict(a=x * 2), dict)
CASES["a dict with a default"] = results(grouped, lambda o: (o["x"], o["y"]))
CASES["a list of one's own"] = results(tagged, lambda o: (list(o), o.tag))
CASES["a deque"] = results(lambda x: collections.deque([x * 2], 3), lambda o: (o, o.maxlen))
CASES["an array"] = results(lambda x: (x * 2, np.zeros(2)), lambda o: (o[0], o[1].__iadd__(1)))
CASES["a set"] = results(lambda x: {1, 2}, lambda o: (o.add(len(o)), sorted(o)))
CASES["a function"] = results(lambda x: lambda: x + 1, lambda o: o())
CASES["a generator"] = results(lambda x: (x * k for k in range(3)), list)
CASES["shapes and dtypes"] = results(lambda x: (x.shape, x.dtype, x.device), lambda o: o)


@case
def a_generator_function(compile):
    def f(x):
        for k in range(3):
            yield x * k

    g = compile(f)
    yield from [list(g(rl.full((2,), float(k)))) for k in range(CALLS)]


@case
def arguments_and_their_views(compile):
    f = compile(lambda x: (x, x.view(-1), x.t(), x[0], x * 2))
    for k in range(CALLS):
        x = rl.full((2, 3), float(k))
        itself, flat, turned, row, double = f(x)
        itself.add_(1)
        row.mul_(5)
        yield itself is x
        yield flat, turned, row, double, x


@case
def gradients_through_views_of_arguments(compile):
    f = compile(lambda x: (x.view(-1), x.detach(), x, x * 2))
    for _ in range(CALLS):
        x = rl.ones(2, 3, requires_grad=True)
        flat, detached, itself, double = f(x)
        (flat.sum() + 3 * itself.sum() + 5 * double.sum()).backward()
        yield x.grad, detached.requires_grad, itself is x


@case
def an_argument_that_was_written(compile):
    f = compile(lambda x: x.mul_(2))
    x = rl.ones(3)
    for _ in range(CALLS):
        yield f(x) is x
        yield x


@case
def parameters_and_buffers(compile):
    model = rl.nn.BatchNorm1d(3)
    f = compile(
        lambda x: (model(x).detach(), model.weight, model.weight.data, model.running_mean[1:])
    )
    for k in range(CALLS):
        out, weight, data, mean = f(rl.full((4, 3), float(k)))
        data.add_(1)
        yield weight is model.weight
        yield out, weight, mean, model.running_mean


@case
def gradients(compile):
    weight = rl.ones(3, requires_grad=True)

    def step(x):
        weight.grad = None
        (weight * x).sum().backward()
        return weight.grad, weight.grad[0], weight.grad.sum()

    f = compile(step)
    for k in range(CALLS):
        whole, first, total = f(rl.full((3,), float(k)))
        yield whole is weight.grad
        whole.add_(1)
        yield whole, first, total, weight.grad


@case
def one_result_in_several_places(compile):
    def f(x):
        y = x * 2
        return y[0], y, {"again": y}, y.detach()

    g = compile(f)
    for k in range(CALLS):
        row, y, other, detached = g(rl.full((2, 3), float(k)))
        y.add_(1)
        yield y is other["again"], detached is y
        yield row, y, detached


@case
def results_to_be_differentiated_in_several_places(compile):
    layer = rl.nn.Linear(3, 2)

    def f(x):
        y = layer(x)
        return y.detach(), y[0], y, y

    g = compile(f)
    for _ in range(CALLS):
        layer.zero_grad()
        detached, row, y, again = g(rl.ones(4, 3))
        (row.sum() + 2 * y.sum() + 3 * again.sum()).backward()
        yield detached.requires_grad, again is y
        yield layer.weight.grad, row, y


@case
def results_that_overlap(compile):
    def f(x):
        y = x * 2
        return y[:3], y[1:]

    g = compile(f)
    for k in range(CALLS):
        a, b = g(rl.full((5,), float(k)))
        a.add_(1)
        yield a, b


@case
def containers_from_outside(compile):
    kept = [1, 2]
    f = compile(lambda x: (x * 2, kept))
    yield from [f(rl.ones(2))[1] is kept for _ in range(CALLS)]


@case
def containers_that_were_passed(compile):
    f = compile(lambda d: d)
    for k in range(CALLS):
        d = {"x": rl.full((2,), float(k))}
        yield f(d) is d


@case
def learning_rates(compile):
    optimizer = rl.optim.SGD([rl.zeros(1, requires_grad=True)], lr=0.1)
    f = compile(lambda x: {"y": x * 2, "lr": optimizer.param_groups[0]["lr"]})
    for k in range(2 * CALLS):
        optimizer.param_groups[0]["lr"] = 0.1 * (k // 3)
        yield f(rl.ones(2))


@case
def hooks_and_gradients_of_what_was_passed(compile):
    f, calls = compile(lambda x: (x**3).sum()), []
    for leaf in (True, False) * CALLS:
        w = rl.ones(3, requires_grad=True)
        x = w if leaf else w * 2
        x.register_hook(lambda g: calls.append(1) or g * 2)
        x.retain_grad()
        f(x).backward()
        yield w.grad, x.grad, len(calls)


@case
def recursion(compile):
    made = []
    made.append(compile(lambda x, n: x if n == 0 else made[0](x * 2, n - 1)))
    yield from [made[0](rl.ones(2), k % 4) for k in range(3 * CALLS)]


# Errors


@case
def errors_that_the_function_catches(compile):
    def chosen(x, i):
        try:
            return x.index_select(0, i)
        except IndexError:
            return x * 0

    f = compile(chosen)
    yield from [f(rl.ones(3), rl.tensor([k % 5])) for k in range(3 * CALLS)]


@case
def what_is_done_in_the_end_whatever_happens(compile):
    calls = [0]

    def chosen(x, i):
        try:
            return x.index_select(0, i)
        finally:
            calls[0] += 1

    f = compile(chosen)
    for k in range(3 * CALLS):
        try:
            yield f(rl.ones(3), rl.tensor([k % 5]))
        except IndexError as error:
            yield type(error), calls


# Steps of training


def steps(make):
    """A case: some steps, and the parameters after each."""

    def run(compile):
        model = rl.nn.Linear(3, 2)
        optimizer = rl.optim.SGD(model.parameters(), lr=0.1)
        loss_of, extra = make(model)

        def step(x):
            optimizer.zero_grad()
            loss = loss_of(x)
            loss.backward()
            optimizer.step()
            extra()
            return loss.detach()

        f = compile(step)
        for _ in range(2 * CALLS):
            yield f(rl.ones(4, 3)), model.weight

    return run


def normal(model):
    def loss(x):
        d = rl.distributions.Normal(model(x), 1.0)
        return -d.log_prob(d.rsample().detach()).mean()

    return loss, lambda: None


def categorical(model):
    def loss(x):
        d = rl.distributions.Categorical(logits=model(x))
        return -d.log_prob(d.sample()).mean() - 0.1 * d.entropy().mean()

    return loss, lambda: None


def averaged(**options):
    def make(model):
        average = rl.optim.swa_utils.AveragedModel(model, **options)
        return (
            lambda x: (model(x) - average(x)).square().sum() + model(x).sum(),
            lambda: average.update_parameters(model),
        )

    return make


CAPTURED = {
    "a policy of normal actions": steps(normal),
    "a policy of choices": steps(categorical),
    "an averaged model": steps(averaged()),
    "a moving average": steps(averaged(multi_avg_fn=rl.optim.swa_utils.get_ema_multi_avg_fn(0.9))),
}
CASES.update(CAPTURED)


@pytest.mark.parametrize("name", CAPTURED)
def test_steps_that_are_captured_as_a_whole(name):
    rl.manual_seed(0)
    list(CAPTURED[name](lambda f: rl.compile(f, fullgraph=True)))


def test_parameters_of_distributions_are_checked_in_programs_too():
    f = rl.compile(lambda scale: rl.distributions.Normal(0.0, scale).log_prob(rl.ones(2)).sum())
    for _ in range(4):
        f(rl.ones(2))
    for _ in range(2):
        with pytest.raises(ValueError, match="Expected parameter scale"):
            f(-rl.ones(2))
        assert f(rl.ones(2)).item() == pytest.approx(-2.8379, abs=1e-3)
    assert f._compiled.traces == 1
