"""What goes into a compiled function, what comes out, and what it leaves behind are what they are
without ``compile``: each case runs both ways and says what there was to see.
"""

from __future__ import annotations

import collections
import datetime
import os
import time
from dataclasses import dataclass, field

import numpy as np
import pytest

import rushlight as rl

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
CALLS = 6
CASES = {}


def case(f):
    """Note a case."""
    CASES[f.__name__] = f
    return f


def seen(x):
    """What there is to see of a value."""
    if isinstance(x, rl.Tensor):
        values = x.detach().numpy()
        values = values.round(6) if x.is_floating_point() else values  # less is rounding
        return str(x.dtype), np.vectorize(lambda v: f"{v:.4g}")(values).tolist()
    if isinstance(x, (list, tuple, collections.deque)):
        return type(x).__name__, [seen(v) for v in x]
    if isinstance(x, dict):
        return type(x).__name__, [(k, seen(v)) for k, v in x.items()]
    return repr(x)


@pytest.mark.filterwarnings("ignore:compile")
@pytest.mark.parametrize("name", CASES)
def test_calls_are_those_of_the_function_itself(name):
    results = []
    for compile in (lambda f: f, rl.compile):
        rl.manual_seed(0)
        results.append([seen(x) for x in CASES[name](compile)])
    assert results[1] == results[0]


# Arguments that change


def arguments(f, make):
    """A case: calls of f with what ``make`` gives, which f changes."""

    def run(compile):
        g = compile(f)
        for k in range(CALLS):
            given = make(rl.full((2,), float(k)))
            yield g(given)
            yield given

    return run


def sort(x):
    x["order"].sort()
    return x["x"] * x["order"][0]


def grow(x):
    x["members"].add(3)
    return x["x"] * len(x["members"])


def write(x):
    x["array"][0] += 1
    return x["x"] * 2


CASES["an item is taken out of a list"] = arguments(lambda x: x.pop() * 2, lambda t: [t, t + 1])
CASES["items change their places"] = arguments(lambda x: x.reverse() or x[0] * 2, lambda t: [t, -t])
CASES["an item is taken out of a dict"] = arguments(lambda x: x.pop("x") * 2, lambda t: {"x": t})
CASES["an item goes into a dict"] = arguments(
    lambda x: x.setdefault("y", 5) * x["x"], lambda t: {"x": t}
)
CASES["a list of numbers is sorted"] = arguments(sort, lambda t: {"x": t, "order": [3, 1, 2]})
CASES["a set grows"] = arguments(grow, lambda t: {"x": t, "members": {1}})
CASES["an array is written to"] = arguments(write, lambda t: {"x": t, "array": np.zeros(3)})


@case
def a_generator_of_numpy_as_an_argument(compile):
    f, g = compile(lambda x, g: x * float(g.random())), np.random.default_rng(0)
    yield from [f(rl.ones(2), g) for _ in range(CALLS)]


@case
def objects_that_say_they_are_equal(compile):
    class Scale:
        def __init__(self, by):
            self.by = by

        def __eq__(self, other):
            return True

        def __hash__(self):
            return 1

    f = compile(lambda x, scale: x * scale.by)
    yield from [f(rl.ones(2), Scale(float(k // 3))) for k in range(3 * CALLS)]


@case
def objects_at_places_that_others_had(compile):
    class Scale:
        __hash__ = None

        def __init__(self, by):
            self.by = by

    f = compile(lambda x, scale: x * scale.by)
    yield from [f(rl.ones(2), Scale(float(k))) for k in range(5 * CALLS)]


@case
def zeros_of_two_signs(compile):
    f = compile(lambda x, by: 1 / (x * by))
    yield from [f(rl.ones(2), by) for by in (0.0, -0.0) * CALLS]


@case
def sets_and_dicts_of_other_kinds(compile):
    f = compile(lambda d: len(d) * 2 if type(d) is dict else len(d) * 3)
    kinds = (dict, collections.OrderedDict, collections.Counter)
    yield from [f(kind(a=1)) for kind in kinds * CALLS]


@case
def dataclasses_of_tensors(compile):
    f = compile(lambda batches, scale: sum([b.loss * scale.count for b in batches]) + scale.loss)
    for k in range(2 * CALLS):
        batches = [Output(rl.full((2,), float(k))), Output(rl.ones(2))]
        yield f(batches, Frozen(rl.ones(2) * k, k // 4))


@case
def a_dataclass_that_is_changed(compile):
    f = compile(lambda b: setattr(b, "loss", b.loss * 2) or b.loss.sum())
    for k in range(CALLS):
        batch = Output(rl.full((2,), float(k)))
        yield f(batch)
        yield batch.loss


# What a call leaves behind


@case
def the_gradient_mode(compile):
    f = compile(lambda x: (rl.set_grad_enabled(False) and None) or x * 2)
    for _ in range(CALLS):
        yield f(rl.ones(2))
        yield rl.is_grad_enabled()
        rl.set_grad_enabled(True)


@case
def the_default_dtype(compile):
    f = compile(lambda x: x + rl.ones(2))
    try:
        for k in range(3 * CALLS):
            rl.set_default_dtype((rl.float32, rl.float64)[k // 6 % 2])
            yield f(rl.ones(2, dtype=rl.float32))
    finally:
        rl.set_default_dtype(rl.float32)


def drawing(f):
    """A case: calls of f, and what is drawn behind each."""

    def run(compile):
        g = compile(f)
        for _ in range(CALLS):
            yield g(rl.ones(3))
            yield rl.rand(1)

    return run


def seeded(x):
    rl.manual_seed(5)
    return x + rl.rand(3)


def forked(x):
    with rl.random.fork_rng():
        rl.manual_seed(1)
        noise = rl.rand(3)
    return x + noise + rl.rand(3)


def drawn_twice(x):
    state = rl.get_rng_state()
    first = rl.rand(3)
    rl.set_rng_state(state)
    return first + rl.rand(3) + x


def own(x):
    return x + rl.rand(3, generator=rl.Generator().manual_seed(3))


CASES["random numbers that start anew"] = drawing(seeded)
CASES["random numbers of a fork"] = drawing(forked)
CASES["random numbers drawn twice"] = drawing(drawn_twice)
CASES["a generator of the call's own"] = drawing(own)


@case
def a_checkpoint_that_draws(compile):
    from rushlight.utils.checkpoint import checkpoint

    layer = rl.nn.Sequential(rl.nn.Linear(3, 3), rl.nn.Dropout(0.5))
    optimizer = rl.optim.SGD(layer.parameters(), lr=0.1)

    def step(x):
        optimizer.zero_grad()
        loss = checkpoint(layer, x, use_reentrant=False).square().sum()
        loss.backward()
        optimizer.step()
        return (loss.detach() * 1000).round()

    f = compile(step)
    yield from [f(rl.ones(4, 3)) for _ in range(CALLS)]


# Hooks, clocks and the system


def hooked(register):
    """A case: steps of training, with hooks from the fourth on, and without from the seventh."""

    def run(compile):
        weight, calls = rl.ones(3, requires_grad=True), []
        optimizer = rl.optim.SGD([weight], lr=0.1)

        def step(x):
            optimizer.zero_grad()
            loss = (weight * x).square().sum()
            loss.backward()
            optimizer.step()
            return loss.detach()

        f = compile(step)
        for k in range(12):
            if k == 4:
                handle = register(weight, optimizer, calls)
            if k == 8:
                handle.remove()
            yield f(rl.ones(3))
            yield weight
            yield len(calls)

    return run


CASES["a hook that only computes"] = hooked(lambda w, o, calls: w.register_hook(lambda g: g * 2))
CASES["a hook that counts"] = hooked(lambda w, o, calls: w.register_hook(lambda g: calls.append(1)))
CASES["a hook behind the gradient"] = hooked(
    lambda w, o, calls: w.register_post_accumulate_grad_hook(lambda p: calls.append(1))
)
CASES["a hook of an optimizer"] = hooked(
    lambda w, o, calls: o.register_step_post_hook(lambda *args: calls.append(1))
)


@case
def clocks_and_the_system(compile):
    f = compile(lambda x: (x * 2, time.perf_counter(), datetime.datetime.now(), os.urandom(8)))
    found = [f(rl.ones(2))[1:] for _ in range(CALLS)]
    yield len({t for t, _, _ in found}), len({r for _, _, r in found})


@case
def globals_by_name(compile):
    f = compile(lambda x: x * globals()["COUNT"])
    for k in range(CALLS):
        globals()["COUNT"] = float(k // 3)
        yield f(rl.ones(2))


@case
def what_was_put_on_an_argument(compile):
    f = compile(lambda x: x * x.scale)
    for k in range(CALLS):
        x = rl.ones(2)
        x.scale = float(k // 2)
        yield f(x)


# Results


@dataclass
class Output:
    """A result of a user's."""

    loss: object
    notes: list = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Frozen:
    """A result that nobody changes."""

    loss: object
    count: int = 3


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
