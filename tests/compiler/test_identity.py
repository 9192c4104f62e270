"""Which tensors are one: a program serves only calls whose arguments are as apart, from each other
and from what the function reaches besides, as those of the call that was captured. And which
tensors live on: none of a call's, and nothing of a function that is no more.
"""

from __future__ import annotations

import gc
import warnings
import weakref

import pytest

import rushlight as rl

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
pytestmark = pytest.mark.usefixtures("own_cache")


def world():
    """Tensors that a function reaches."""
    return rl.arange(1.0, 5), rl.full((4,), 3.0), rl.full((4,), 5.0)


def halves(t):
    return t[:2], t[2:]


PAIRS = [
    lambda w, y, z: (w, w),
    lambda w, y, z: (w, y),
    lambda w, y, z: (y, w),
    lambda w, y, z: (w, w.view(4)),
    lambda w, y, z: (w, w.detach()),
    lambda w, y, z: (y, z),
    lambda w, y, z: halves(w),
    lambda w, y, z: halves(w)[::-1],
    lambda w, y, z: (w[:3], w[1:]),
    lambda w, y, z: (rl.ones(4), rl.ones(4) * 2),
]


def reads(known, x, y):
    return x + 2 * y


def compares(known, x, y):
    return x + y if x is y else x - y


def writes(known, x, y):
    x.add_(1)
    return y * 2


def reads_besides(known, x, y):
    return (x + 2 * known[0][: len(x)]) * y


def compares_besides(known, x, y):
    return x * 2 if x is known[0] else x * 3 + known[0][: len(x)]


def writes_besides(known, x, y):
    known[0].mul_(1.5)
    return x + y


def writes_an_argument(known, x, y):
    y.mul_(1.5)
    return x + known[0][: len(x)]


FUNCTIONS = [
    reads, compares, writes, reads_besides, compares_besides, writes_besides, writes_an_argument,
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:compile")  # some are not captured, and say so
@pytest.mark.parametrize("first", [0, 1, 4, 6])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_calls_with_the_same_and_with_other_tensors(function, first):
    known, other = world(), world()
    compiled = rl.compile(lambda x, y: function(known, x, y), recompile_limit=50)
    for k in [first] * 4 + [*range(len(PAIRS)), first]:
        found = compiled(*PAIRS[k](*known))
        assert rl.equal(found, function(other, *PAIRS[k](*other))), k
        assert all(rl.equal(a, b) for a, b in zip(known, other, strict=True)), k


def test_views_of_a_known_tensor_share_a_program():
    data = rl.arange(12.0)
    w = rl.ones(3)

    @rl.compile
    def step(x):
        return (x * w).sum() + data[0]

    found = [step(data[i : i + 3]).item() for i in (0, 3, 6, 9) * 2]
    assert found == [3.0, 12.0, 21.0, 30.0] * 2
    assert step._compiled.traces == 1


def training_step():
    net = rl.nn.Linear(4, 1)
    optimizer = rl.optim.Adam(net.parameters())

    @rl.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = ((net(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    return step, net


def inference():
    net = rl.nn.Linear(4, 1).eval()
    return rl.compile(lambda x, y: net(x).detach() + y), net


def calls_of_the_host():
    net = rl.nn.Linear(4, 1)
    return rl.compile(lambda x, y: rl.fft.fft(net(x).detach()[:, 0]).abs() + y[:, 0]), net


def live_results():
    net = rl.nn.Linear(4, 1)
    return rl.compile(net), net


@pytest.mark.parametrize("make", [training_step, inference, calls_of_the_host, live_results])
def test_what_lives_on(make):
    step, net = make()
    given = (rl.randn(3, 4), rl.randn(3, 1))[: 1 if make is live_results else 2]
    for _ in range(5):
        out = step(*given)
    of_calls = [weakref.ref(x) for t in (*given, out) for x in (t, t._array)]
    del given, out
    gc.collect()
    assert [ref() for ref in of_calls[:-1]] == [None] * (len(of_calls) - 1)  # results are reused
    of_function = [weakref.ref(x) for x in (net, net.weight, step)]
    del step, net
    gc.collect()
    assert [ref() for ref in of_function] == [None] * 3


def scaled(x):
    return x * x.scale if hasattr(x, "scale") else x + 1


def scaled_by_default(x):
    return x * getattr(x, "scale", 3.0)


def caught(x):
    try:
        return x * x.scale
    except AttributeError:
        return -x


@pytest.mark.parametrize("f", [scaled, scaled_by_default, caught])
@pytest.mark.parametrize("standing", [False, True])
def test_what_users_put_on_tensors_is_looked_at_again(f, standing):
    x = rl.ones(3)
    run = rl.compile((lambda: f(x)) if standing else f)
    given = () if standing else (x,)
    for scale in (None, None, None, 2.0, 2.0, 2.0, 5.0, 5.0, None, None):
        if scale is None:
            x.__dict__.pop("scale", None)
        else:
            x.scale = scale
        assert run(*given).tolist() == f(x).tolist()
    assert run._compiled.eager is None


def test_leaves_and_what_was_computed_are_different_arguments():
    run = rl.compile(lambda x: x.detach() * (2 if x.is_leaf else 3))
    leaf = rl.ones(3, requires_grad=True)
    for x in (leaf, leaf, leaf, leaf * 1, leaf * 1, leaf * 1, leaf):
        assert run(x).tolist() == [2.0 if x is leaf else 3.0] * 3


class Batch:
    """No dataclass: what is in it is no argument."""

    def __init__(self, x):
        self.x = x


def test_objects_that_were_passed_once_live_no_longer():
    run, kept = rl.compile(lambda batch: batch.x * 2), []
    for k in range(4):
        batch = Batch(rl.full((2,), float(k)))
        kept.append(weakref.ref(batch))
        assert run(batch).tolist() == [2.0 * k] * 2
    del batch
    gc.collect()
    assert [ref() for ref in kept] == [None] * 4


def test_parts_of_one_memory_that_do_not_overlap_are_written_to():
    """Also where later calls bring some that do."""

    def step(x, y):
        x.add_(1)
        y.mul_(2)
        return (x * y).sum()

    run, found = rl.compile(step), []
    for function in (step, run):
        base = rl.arange(24.0).reshape(4, 6)
        apart, across = [(base[0], base[1]), (base[2], base[3])], (base[0], base.flatten()[1:7])
        found.append([function(*pair).item() for pair in [*apart, *apart, across, *apart]])
        found.append(base)
        if function is run:
            assert run._compiled.eager is None and run._compiled.variants
    assert found[0] == found[2] and rl.equal(found[1], found[3])


def test_running_statistics_in_one_memory():
    def made(compiled):
        statistics = rl.zeros(2, 4)
        mean, square = statistics

        def step(x):
            mean.lerp_(x.mean(0), 0.1)
            square.lerp_((x * x).mean(0), 0.1)
            return x - mean

        run = rl.compile(step, fullgraph=True) if compiled else step
        return [run(rl.full((2, 4), float(k))) for k in range(5)], statistics

    (expected, then), (found, now) = made(False), made(True)
    assert all(map(rl.allclose, found, expected)) and rl.allclose(now, then)


def joined(a, b, state):
    a.data = b.data


def turned(a, b, state):
    a.data = b.data.t()


def parts_of_one(a, b, state):
    memory = rl.arange(12.0) / 12
    a.data, b.data = memory[:9].view(3, 3), memory[3:].view(3, 3)


def separated(a, b, state):
    a.data = b.data.clone()


def gradients_joined(a, b, state):
    a.grad = b.grad


def gradients_separated(a, b, state):
    a.grad = rl.ones(3, 3)


def gradient_as_state(a, b, state):
    state["seen"] = a.grad


def weight_as_gradient(a, b, state):
    a.grad = b.detach()


CHANGES = [
    joined, turned, parts_of_one, separated, gradients_joined, gradients_separated,
    gradient_as_state, weight_as_gradient,
]  # fmt: skip


@pytest.mark.parametrize("second", [joined, separated, gradients_separated])
@pytest.mark.parametrize("first", CHANGES)
@pytest.mark.parametrize("clears", [False, True])
def test_tensors_that_come_to_share_memory_or_share_it_no_longer(first, second, clears):
    def trained(compiled):
        a, b = [(rl.arange(9.0).reshape(3, 3) / n).requires_grad_() for n in (9, 7)]
        optimizer, state = rl.optim.SGD([a, b], lr=0.01), {"seen": rl.zeros(3, 3)}

        def step(x):
            if clears:
                optimizer.zero_grad()
            loss = ((x @ a) ** 2).sum() + ((x @ b) ** 3).sum()
            loss.backward()
            optimizer.step()
            return loss.detach(), state["seen"] * 2

        run, found = rl.compile(step) if compiled else step, []
        for k in range(12):
            if k in (3, 7):
                (first if k == 3 else second)(a, b, state)
            found += [t.tolist() for t in (*run(rl.ones(2, 3) / 4), a, b, a.grad, b.grad)]
        return found

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that some run eagerly
        expected, found = trained(False), trained(True)
    for k, (then, now) in enumerate(zip(expected, found, strict=True)):
        assert rl.allclose(rl.tensor(then), rl.tensor(now), rtol=1e-4), (k // 5, k % 5)


@pytest.mark.filterwarnings("ignore:compile")
@pytest.mark.parametrize("write", [lambda a: a[0].add_(1), lambda a: a[1, :2].mul_(3)])
@pytest.mark.parametrize("first", ["apart", "expanded", "overlapping"])
def test_elements_that_share_their_memory_are_written_to(write, first):
    """Also where programs for memory with gaps are there."""

    def step(a):
        write(a)
        return a.sum()

    def trained(run):
        memory = rl.arange(64.0).reshape(8, 8)
        parts = {
            "apart": memory[:4, :4],
            "expanded": memory[4, :4].expand(4, 4),
            "overlapping": memory[5:].as_strided((4, 4), (1, 1)),
        }
        order = [first, *[name for name in parts if name != first]]
        return [run(parts[name]).item() for name in order for _ in range(4)], memory.tolist()

    assert trained(step) == trained(rl.compile(step))


def test_state_that_becomes_an_expanded_tensor():
    def trained(compiled):
        state = rl.zeros(3, 3)

        def step(x):
            state[0] += x
            return state.sum()

        run, found = rl.compile(step) if compiled else step, []
        for k in range(8):
            if k == 4:
                state.data = rl.arange(3.0).expand(3, 3)
            found.append(run(rl.ones(3)).item())
        return found

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it runs eagerly
        assert trained(False) == trained(True)


def test_results_that_are_one_tensor():
    a, b = rl.ones(3), rl.ones(3)
    b.data = a.data

    def step(a, b):
        part = a[1:]
        return part, [part, b], a, b

    run = rl.compile(step, fullgraph=True)
    for _ in range(4):
        part, (again, third), first, second = run(a, b)
        assert part is again and first is a and second is b and third is b
    assert run._compiled.variants


BY_STRIDES = [
    lambda x: x * x.stride(0),
    lambda x: x.reshape(16).add_(1),
    lambda x: x.reshape(16),
    lambda x: x.view(16) * 2,
    lambda x: x.as_strided((2, 2), (1, 2)) * 1,
    lambda x: x.as_strided((2, 2), (8, 5)) * 1,
]


@pytest.mark.filterwarnings("ignore:compile")
@pytest.mark.parametrize("kind", ["argument", "state"])
@pytest.mark.parametrize("function", BY_STRIDES)
def test_what_strides_decide(function, kind):
    """What is a view, or a copy; and where a window lies."""

    def called(compiled):
        memory, found, state = rl.arange(128.0), [], rl.zeros(4, 4)
        a, b = memory[:64].view(8, 8), memory[64:96].view(4, 8)
        parts = [a[:4, :4], a[::2, ::2], b[:, ::2], b[:, :4].t(), memory[112:].view(4, 4)]
        step = function if kind == "argument" else lambda: function(state)
        run = rl.compile(step) if compiled else step
        for part in [p for p in [*parts, *parts] for _ in range(3)]:
            state.data = part
            try:
                out = run(*([part] if kind == "argument" else []))
                shared = out.untyped_storage().data_ptr() == memory.untyped_storage().data_ptr()
                found.append((out.tolist(), shared))
            except RuntimeError as error:
                found.append(str(error))
        return found, memory.tolist()

    assert called(True) == called(False)


@pytest.mark.parametrize("wants", [False, True])
def test_a_tensor_that_gets_other_memory_is_returned_as_itself(wants):
    state = rl.ones(3, requires_grad=wants)

    def step(x):
        state.data = state.detach() * 2 + x
        return state, state.detach()[:2], x + 1

    run = rl.compile(step, fullgraph=True)
    for expected in (3, 7, 15, 31, 63):
        got, part, _ = run(rl.ones(3))
        assert got is state
        assert got.tolist() == [expected] * 3
        assert part.tolist() == [expected] * 2
        assert got.requires_grad == wants
