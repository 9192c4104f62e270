"""What a program takes for granted is checked before each call, also on the short way in."""

import threading

import numpy as np
import pytest

import rushlight as rl
from rushlight import nn
from rushlight.compiler import layout

pytest.importorskip("llvmlite")
F = nn.functional


def settled(run, *args, times=4):
    """Call until the program is entered directly."""
    for _ in range(times):
        out = run(*args)
    return out


def is_direct(run):
    """Whether the last call would be entered directly again."""
    last = run._compiled.last
    return last is not None and last.entry is not None


def training(lr=0.1, make=lambda: nn.Linear(3, 1), make_optimizer=rl.optim.SGD):
    rl.manual_seed(0)
    model = make()
    optimizer = make_optimizer(model.parameters(), lr=lr)

    def step(x, y):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return model, optimizer, step


X, Y = rl.arange(12.0).reshape(4, 3) / 10, rl.ones(4, 1)


def test_the_layout_of_objects_is_known_here():
    """Otherwise nothing else in this file tests the short way."""
    assert layout.available()
    of_tensors = {"_array", "_wants_grad", "_tracked", "_node", "_link", "_grad", "_counter"}
    assert set(layout.slots()) == {*of_tensors, "base"}


@pytest.mark.parametrize("make_optimizer", [rl.optim.SGD, rl.optim.Adam])
def test_many_steps_equal_eager(make_optimizer):
    a, _, plain = training(make_optimizer=make_optimizer)
    b, _, step = training(make_optimizer=make_optimizer)
    run = rl.compile(step, fullgraph=True)
    for _ in range(50):
        expected, found = plain(X, Y), run(X, Y)
        assert found.item() == pytest.approx(expected.item(), rel=1e-4)
    assert is_direct(run)
    rl.testing.assert_close(b.weight, a.weight)
    rl.testing.assert_close(b.weight.grad, a.weight.grad, rtol=1e-3, atol=1e-5)
    assert b.weight._version == a.weight._version


def test_learning_rates_change_without_another_way_in():
    model, optimizer, step = training()
    run = rl.compile(step, fullgraph=True)
    settled(run, X, Y)
    way = run._compiled.last.entry
    for lr in (0.5, 0.0, 0.0):
        optimizer.param_groups[0]["lr"] = lr
        before = model.weight.detach().clone()
        run(X, Y)
        moved = (model.weight - before).abs().sum().item()
        assert moved == pytest.approx((lr * model.weight.grad).abs().sum().item(), rel=1e-4)
        assert run._compiled.last.entry is way
    optimizer.param_groups[0]["momentum"] = 0.9
    settled(run, X, Y)
    assert run._compiled.traces == 2
    assert "momentum" in run._compiled.reasons[-1]


def test_results_and_gradients_that_are_kept_stay_as_they_are():
    model, _, step = training()
    run = rl.compile(step, fullgraph=True)
    kept = [(run(X, Y), model.weight.grad) for _ in range(12)]
    values = [(loss.item(), g.tolist()) for loss, g in kept]
    other, _, plain = training()
    for loss, g in values:
        assert plain(X, Y).item() == pytest.approx(loss, rel=1e-5)
        assert other.weight.grad.tolist() == [pytest.approx(g[0], rel=1e-4)]


def test_views_of_results_keep_them():
    run = rl.compile(lambda x: x * 2, fullgraph=True)
    seen = [settled(run, X).numpy()[0]]
    first = seen[0].copy()
    for k in range(5):
        seen.append(run(X + k)[1:].numpy())
    np.testing.assert_array_equal(seen[0], first)


def test_one_tensor_as_several_arguments():
    """As models that learn to go on with a text are given it, and it again as labels."""

    def add(x, y, *, labels=None):
        return x + 2 * y - (0 if labels is None else labels)

    run, other = rl.compile(add, fullgraph=True), X * 3
    for x, y, labels in ((X, X, X), (X, other, X), (other, X, X), (X, X, None)):
        for _ in range(4):
            run(x, y, labels=labels)
        assert is_direct(run)
    for k in range(12):
        a, b = X + k, X * k
        for x, y, labels in ((a, a, a), (a, b, a), (b, a, a), (a, a, b), (a, b, b), (b, b, None)):
            expected = add(x, y, labels=labels)
            assert run(x, y, labels=labels).tolist() == expected.tolist()


def test_other_shapes_dtypes_and_layouts():
    run = rl.compile(lambda x, y: x + y, fullgraph=True)
    settled(run, X, X)
    wide = rl.arange(24.0).reshape(4, 6)
    for x, y in ((X, wide[:, ::2]), (X.double(), X), (X[:2], X[:2]), (X.t(), X.t()), (X, X * 2)):
        for _ in range(3):
            rl.testing.assert_close(run(x, y), x + y)


def test_one_tensor_for_two_arguments():
    def f(x, y):
        return x * 2 + y

    run = rl.compile(f, fullgraph=True)
    for pair in ((X, X), (X, X + 1), (X + 1, X)) * 4:
        rl.testing.assert_close(run(*pair), f(*pair))


def test_an_argument_that_is_the_state_itself():
    w = rl.ones(3)

    def f(x):
        w.mul_(2)
        return x + 1

    run = rl.compile(f)
    x = rl.zeros(3)
    settled(run, x)
    with pytest.warns(UserWarning):  # it runs eagerly from then on
        for _ in range(3):
            before = w.clone()
            rl.testing.assert_close(run(w.detach()[:3]), before * 2 + 1)


def test_numbers_in_closures_globals_and_modules():
    factor = 2.0

    def f(x):
        return x * factor + OFFSET[0]

    run = rl.compile(f, fullgraph=True)
    global OFFSET
    for factor in (2.0, 3.0, 2.0):
        for offset in (1.0, 5.0):
            OFFSET = (offset,)
            for _ in range(4):
                rl.testing.assert_close(run(X), X * factor + offset)
    drop = nn.Dropout(0.5)
    drop_all = rl.compile(lambda x: drop(x), fullgraph=True)
    settled(drop_all, X)
    drop.p = 1.0
    assert settled(drop_all, X).abs().sum() == 0


OFFSET = (0.0,)


def test_a_parameter_replaced_by_another():
    model = nn.Linear(3, 2)
    run = rl.compile(rl.no_grad()(lambda x: model(x)), fullgraph=True)
    settled(run, X)
    model.weight = nn.Parameter(rl.ones(2, 3))
    rl.testing.assert_close(settled(run, X), model(X).detach())
    model.weight.data = rl.zeros(2, 3)
    rl.testing.assert_close(settled(run, X), model(X).detach())
    model.bias = None
    rl.testing.assert_close(settled(run, X), model(X).detach())


def test_gradient_mode_and_autocast():
    run = rl.compile(lambda x, y: (x @ y).detach(), fullgraph=True)
    settled(run, X, X.t())
    with rl.autocast("cpu", rl.bfloat16):
        assert settled(run, X, X.t()).dtype == rl.bfloat16
    assert settled(run, X, X.t()).dtype == rl.float32


def test_a_gradient_removed_between_calls():
    model, _, step = training()
    run = rl.compile(step, fullgraph=True)
    settled(run, X, Y)
    model.zero_grad()
    run(X, Y)
    held = model.weight.grad
    value = held.clone()
    run(X, Y)
    assert held.tolist() == value.tolist()
    assert model.weight.grad is not held


def test_out_of_range_targets_raise_on_the_short_way_too():
    run = rl.compile(lambda x, y: F.cross_entropy(x, y), fullgraph=True)
    settled(run, X, rl.tensor([0, 1, 2, 0]))
    assert is_direct(run)
    with pytest.raises(IndexError, match="3"):
        run(X, rl.tensor([0, 1, 3, 0]))
    run(X, rl.tensor([0, 1, 2, 0]))


def test_two_threads_with_one_function():
    model = nn.Sequential(nn.Linear(40, 300), nn.Tanh(), nn.Linear(300, 300))
    run = rl.compile(rl.no_grad()(lambda x: model(x)), fullgraph=True)
    inputs = [rl.randn(200, 40) for _ in range(2)]
    with rl.no_grad():
        expected = [model(x) for x in inputs]
        settled(run, inputs[0])
    wrong = []

    def work(x, y):
        with rl.no_grad():
            for _ in range(30):
                if not rl.allclose(run(x), y, atol=1e-5):
                    wrong.append(x)

    threads = [threading.Thread(target=work, args=a) for a in zip(inputs, expected, strict=True)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_programs_that_let_go_of_the_lock_are_entered_too(monkeypatch):
    """Long programs hold no reference of their own to gradients and results."""
    from rushlight.compiler.backends.llvm.entry import Entry
    from rushlight.compiler.backends.llvm.program import Native

    numbers, plain = [], Entry.run_parts

    def noted(self, number, args):
        numbers.append(plain(self, number, args))
        return numbers[-1]

    monkeypatch.setattr(Native, "FREELY", 0.0)
    monkeypatch.setattr(Entry, "run_parts", noted)
    w = rl.ones(5, requires_grad=True)
    optimizer = rl.optim.SGD([w], lr=0.1)

    def step(x):
        optimizer.zero_grad()
        loss = (w * x).square().sum()
        loss.backward()
        optimizer.step()
        return loss

    run = rl.compile(step, fullgraph=True)
    places = set()
    for k in range(8):
        loss = run(rl.full((5,), float(k)))
        places.add(w.grad.data_ptr())
        assert loss.item() >= 0
    assert len(numbers) >= 4 and min(numbers) >= 0
    assert len(places) <= 3


def test_results_that_are_all_kept_need_no_other_way_in():
    run = rl.compile(lambda x: (x * 2, x.sum()), fullgraph=True)
    settled(run, X)
    way, kept = run._compiled.last.entry, []
    for k in range(20):
        kept.append(run(X + k))
    assert run._compiled.last.entry is way
    for k, (double, total) in enumerate(kept):
        rl.testing.assert_close((double, total), ((X + k) * 2, (X + k).sum()))


def test_globals_are_looked_at_in_memory():
    """Only those that the function names: a loop binds its losses to others."""
    names = {"rl": rl, "scale": 2.0, "shift": rl.ones(3), "rows": [1.0]}
    exec("def f(x):\n    return (x * scale + shift * rows[0]).sum()", names)
    run = rl.compile(names["f"], fullgraph=True)
    assert settled(run, X).item() == pytest.approx((X.numpy() * 2 + 1).sum())
    last = run._compiled.last
    assert last.bare
    for k in range(50):
        names[f"loss {k}"] = run(X)
    assert run._compiled.last is last
    names["scale"] = 3.0
    assert run(X).item() == pytest.approx((X.numpy() * 3 + 1).sum())
    names["rows"].append(2.0)
    names["rows"][0] = 5.0
    assert run(X).item() == pytest.approx((X.numpy() * 3 + 5).sum())
    names["shift"] = rl.zeros(3)
    assert run(X).item() == pytest.approx((X.numpy() * 3).sum())
    del names["scale"]
    with pytest.raises(NameError):
        run(X)


W = rl.tensor([[1.0], [2.0], [3.0]])
BATCHES = {
    "a dict": lambda f: (lambda b: f(b["x"], b["y"]), lambda x, y: ([{"x": x, "y": y}], {})),
    "a list": lambda f: (lambda b: f(*b), lambda x, y: ([[x, y]], {})),
    "a tuple in a dict": lambda f: (
        lambda b: f(b["in"][0], b["out"]),
        lambda x, y: ([{"in": (x, None), "out": y, "kind": "plain"}], {}),
    ),
    "by name": lambda f: (lambda **b: f(b["x"], b["y"]), lambda x, y: ([], {"x": x, "y": y})),
    "both": lambda f: (lambda x, *, y: f(x, y), lambda x, y: ([x], {"y": y})),
}


@pytest.mark.parametrize("batch", BATCHES)
def test_batches_in_containers_are_entered(batch):
    step, given = BATCHES[batch](lambda x, y: ((x @ W - y) * 2, x))
    run = rl.compile(step)

    def check(x, y):
        args, named = given(x, y)
        before = repr((args, named))
        for expected, found in zip(step(*args, **named), run(*args, **named), strict=True):
            assert rl.equal(expected, found)
        assert run(*args, **named)[1] is x
        assert repr((args, named)) == before

    for k in range(4):
        check(X + k, Y)
    assert is_direct(run)
    last = run._compiled.last
    for k in range(4):
        check(X + k, Y - k)
    assert run._compiled.last is last
    for x, y in [(X[:2], Y[:2]), (X, X[:, :1]), (X.double(), Y), (X, 2 * Y), (X, Y.expand(4, 1))]:
        if x.dtype == rl.float64:
            with pytest.raises(RuntimeError):
                run(*given(x, y)[0], **given(x, y)[1])
        else:
            check(x, y)


def test_other_containers_are_other_calls():
    def step(b):
        return sum(b.values()) if isinstance(b, dict) else b[0] - b[1]

    run = rl.compile(step, recompile_limit=20)
    one, two = rl.ones(2), rl.full((2,), 2.0)
    batches = [
        {"a": one, "b": two}, {"a": one}, {"a": one, "b": two, "c": one}, [one, two], (one, two),
        {"b": two, "a": one}, {"a": one, "b": 3}, {"a": one, "b": 4.5}, {"a": two, "b": two},
        {"a": one, 1: two}, {"a": one, True: two},
    ]  # fmt: skip
    for _ in range(3):
        for b in batches:
            for _ in range(3):
                assert rl.equal(run(b), step(b))


def test_keys_that_are_tensors_are_told_apart_by_identity():
    run = rl.compile(lambda b: sum(b.values()) * 2)
    keys = [rl.ones(3), rl.ones(3)]
    for key in (*keys[:1] * 4, *keys, *keys):
        assert rl.equal(run({key: X, "x": X.clone()}), X * 4)


def test_names_are_no_dict():
    def step(*args, **named):
        x = args[0]["x"] if args else named["x"]
        return x * (2 if args else 3)

    run = rl.compile(step)
    x = rl.ones(3)
    for _ in range(4):
        assert rl.equal(run(x=x), x * 3)
    for _ in range(4):
        assert rl.equal(run({"x": x}), x * 2)
        assert rl.equal(run(x=x), x * 3)


def test_calls_within_autocast_are_captured():
    """What a program casts is part of it, and each way to cast has a program of its own."""
    rl.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 4))
    run = rl.compile(lambda x: net(x).relu(), fullgraph=True)
    kinds = [None, rl.bfloat16, rl.float16]
    with rl.no_grad():
        for k in range(6):
            for kind in kinds:
                for _ in range(3):
                    x = X + k
                    with rl.autocast("cpu", dtype=kind, enabled=kind is not None):
                        found, expected = run(x), net(x).relu()
                    assert found.dtype == expected.dtype == (kind or rl.float32)
                    rl.testing.assert_close(found, expected)
    assert run._compiled.traces == 3
    assert is_direct(run)


def test_steps_within_autocast_train_as_eager_ones():
    models, losses = [], []
    for compiled in (False, True):
        rl.manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))
        optimizer = rl.optim.SGD(net.parameters(), lr=0.05)
        call = rl.compile(net) if compiled else net
        for _ in range(6):
            optimizer.zero_grad()
            with rl.autocast("cpu", dtype=rl.bfloat16):
                loss = F.mse_loss(call(X), Y)
            loss.backward()
            optimizer.step()
        models.append(net)
        losses.append(loss)
    assert models[1]._compiled_call_impl._compiled.traces == 1
    rl.testing.assert_close(losses[1], losses[0])
    for p, q in zip(models[0].parameters(), models[1].parameters(), strict=True):
        rl.testing.assert_close(p, q, rtol=1e-2, atol=1e-3)


class Settings:
    def __init__(self):
        self.scale, self.last = 2.0, None


def test_objects_in_containers_are_looked_at():
    def step(b):
        b["settings"].last = b["x"]
        return b["x"] * b["settings"].scale

    settings = Settings()
    run = rl.compile(step)
    for scale in (2.0, 2.0, 2.0, 2.0, 3.0, 3.0, 4.0):
        settings.scale = scale
        b = {"x": rl.full((2,), scale), "settings": settings}
        assert rl.equal(run(b), b["x"] * scale)
        assert settings.last is b["x"]


def hooked(model, what, seen):
    """Hook a part of a model that has been compiled; the handle."""
    hook = lambda *args: seen.append(1)  # noqa: E731
    if what == "everywhere":
        return nn.modules.module.register_module_forward_hook(hook)
    if what == "before":
        return model[1].register_forward_pre_hook(hook)
    return (model if what == "whole" else model[1]).register_forward_hook(hook)


@pytest.mark.parametrize("what", ["whole", "part", "before", "everywhere"])
def test_hooks_run_as_long_as_they_are_there(what):
    model = rl.compile(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)))
    model.requires_grad_(False)
    x, seen = rl.ones(4, 2), []
    expected = [model(x) for _ in range(3)].pop()
    handle = hooked(model, what, seen)
    results = [model(x) for _ in range(6)]
    assert len(seen) == 6 * (4 if what == "everywhere" else 1)
    handle.remove()
    seen.clear()
    results += [model(x) for _ in range(3)]
    assert not seen
    for r in results:
        np.testing.assert_allclose(r.numpy(), expected.numpy(), rtol=1e-6)


def test_functions_that_reach_very_many_objects_stay_eager():
    """Comparing them at each call would take longer than most steps."""
    things = [Settings() for _ in range(4000)]

    def step(x):
        return x * things[-1].scale

    run = rl.compile(step)
    run(X)
    with pytest.warns(UserWarning, match=r"\d{4} objects, too many to be compared"):
        run(X)
    things[-1].scale = 5.0
    assert rl.equal(run(X), X * 5)
