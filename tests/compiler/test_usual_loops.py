"""Ordinary training loops around a compiled model leave what eager ones leave."""

import copy
import io

import pytest

import rushlight as rl
from rushlight import nn
from rushlight.utils.data import DataLoader, TensorDataset

F = nn.functional


class Net(nn.Module):
    """A small network with what differs between training and evaluation."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)

    def forward(self, x):
        return self.last(F.dropout(self.norm(self.first(x)).tanh(), 0.25, self.training))


class Run:
    """A model, its optimizer, batches, and what a loop found on the way."""

    def __init__(self, compiled, make=Net, optimizer=rl.optim.SGD):
        rl.manual_seed(0)
        self.compiled, self.model, self.found = compiled, make(), []
        self.optimizer = optimizer(self.model.parameters(), lr=0.1)
        self.loss = nn.CrossEntropyLoss()
        self.x, self.y = rl.randn(40, 6), rl.randint(0, 3, (40,))
        self.run = self.wrap(self.model)

    def wrap(self, f):
        return rl.compile(f) if self.compiled else f

    def batches(self, size=8, epochs=2):
        """Batches of each epoch; the last one of an epoch may be smaller."""
        for _ in range(epochs):
            yield from zip(self.x.split(size), self.y.split(size), strict=True)

    def step(self, loss):
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.found.append(loss.item())

    def state(self):
        own = [*self.model.state_dict().values()]
        for kept in self.optimizer.state.values():
            own += [v for v in kept.values() if isinstance(v, rl.Tensor)]
        return [t.detach().clone() for t in own]


def plain(r):
    for x, y in r.batches():
        r.step(r.loss(r.run(x), y))


def cleared_after_the_step(r):
    for x, y in r.batches():
        loss = r.loss(r.run(x), y)
        loss.backward()
        r.optimizer.step()
        r.optimizer.zero_grad()
        r.found.append(loss.item())


def filled_with_zeros(r):
    for x, y in r.batches():
        r.optimizer.zero_grad(set_to_none=False)
        r.loss(r.run(x), y).backward()
        r.optimizer.step()


def a_compiled_loss(r):
    loss = r.wrap(lambda out, y: r.loss(out, y) + 0.01 * (out * out).mean())
    for x, y in r.batches():
        r.step(loss(r.run(x), y))


def compiled_in_place(r):
    if r.compiled:
        r.model.compile()
    for x, y in r.batches():
        r.step(r.loss(r.model(x), y))


def a_method(r):
    forward = r.wrap(r.model.forward)
    for x, y in r.batches():
        r.step(r.loss(forward(x), y))


def several_calls_before_backward(r):
    for x, y in r.batches():
        a, b = r.run(x), r.run(x * 0.5)
        r.step(r.loss(a, y) + F.mse_loss(a, b) + r.loss(r.run(x + 1), y))


def two_passes_through_one_graph(r):
    for x, y in r.batches():
        out = r.run(x)
        loss = r.loss(out, y)
        r.optimizer.zero_grad()
        loss.backward(retain_graph=True)
        out.mean().backward()
        r.optimizer.step()
        with pytest.raises(RuntimeError, match="second time"):
            out.sum().backward()


def gradients_that_add_up(r):
    for k, (x, y) in enumerate(r.batches(4)):
        (r.loss(r.run(x), y) / 2).backward()
        if k % 2:
            r.found += [p.grad.norm().item() for p in r.model.parameters()]
            r.optimizer.step()
            r.optimizer.zero_grad()


def evaluation_between_epochs(r):
    for _ in range(3):
        r.model.train()
        for x, y in r.batches(epochs=1):
            r.step(r.loss(r.run(x), y))
        r.model.eval()
        with rl.no_grad():
            for x, y in r.batches(epochs=1):
                out = r.run(x)
                assert not out.requires_grad
                r.found.append(r.loss(out, y).item())


def smaller_last_batches(r):
    for x, y in r.batches(11, 3):
        r.step(r.loss(r.run(x), y))


def under_autocast(r):
    for x, y in r.batches():
        with rl.autocast("cpu", dtype=rl.bfloat16):
            out = r.run(x)
            assert out.dtype is rl.bfloat16
            loss = r.loss(out.float(), y)
        r.step(loss)


def clipped(r):
    for x, y in r.batches():
        r.optimizer.zero_grad()
        r.loss(r.run(x), y).backward()
        r.found.append(nn.utils.clip_grad_norm_(r.model.parameters(), 0.1).item())
        r.optimizer.step()


def scaled(r):
    scaler = rl.amp.GradScaler("cpu", init_scale=64.0, growth_interval=3)
    for k, (x, y) in enumerate(r.batches()):
        r.optimizer.zero_grad()
        loss = r.loss(r.run(x), y)
        scaler.scale(loss * (float("inf") if k == 5 else 1)).backward()
        scaler.unscale_(r.optimizer)
        nn.utils.clip_grad_norm_(r.model.parameters(), 1.0)
        scaler.step(r.optimizer)
        scaler.update()
        r.found.append(scaler.get_scale())


def scheduled(r):
    scheduler = rl.optim.lr_scheduler.OneCycleLR(r.optimizer, 0.2, total_steps=20)
    for x, y in r.batches():
        r.step(r.loss(r.run(x), y))
        scheduler.step()
        r.found.append(scheduler.get_last_lr()[0])


def hooked(r):
    weight = r.model.first.weight
    weight.register_hook(lambda g: g * 0.5)
    weight.register_post_accumulate_grad_hook(lambda p: r.found.append(p.grad.sum().item()))
    for x, y in r.batches():
        r.step(r.loss(r.run(x), y))


def checkpointed(r):
    for k, (x, y) in enumerate(r.batches()):
        r.step(r.loss(r.run(x), y))
        if k in (3, 7):
            file = io.BytesIO()
            rl.save({"model": r.model.state_dict(), "opt": r.optimizer.state_dict()}, file)
            file.seek(0)
            kept = rl.load(file)
            assert [*kept["model"]] == [*Net().state_dict()]
            with rl.no_grad():
                r.model.first.weight.zero_()
            r.model.load_state_dict(kept["model"])
            r.optimizer.load_state_dict(kept["opt"])


def averaged_in_a_copy(r):
    shadow = copy.deepcopy(r.run)
    for x, y in r.batches():
        r.step(r.loss(r.run(x), y))
        with rl.no_grad():
            for a, b in zip(shadow.parameters(), r.model.parameters(), strict=True):
                a.lerp_(b, 0.1)
    r.found.append(shadow.eval()(r.x).sum().item())


def loaded_in_batches(r):
    data = TensorDataset(r.x, r.y)
    generator = rl.Generator().manual_seed(3)
    for _ in range(2):
        for x, y in DataLoader(data, 16, shuffle=True, generator=generator):
            r.step(r.loss(r.run(x), y))


def frozen_for_a_while(r):
    for k, (x, y) in enumerate(r.batches(epochs=3)):
        r.model.first.requires_grad_(not 4 < k < 9)
        r.step(r.loss(r.run(x), y))


def gradients_of_inputs(r):
    for x, y in r.batches():
        x = x.clone().requires_grad_()
        r.step(r.loss(r.run(x), y))
        r.found.append(x.grad.sum().item())


def gradients_asked_for(r):
    params = [*r.model.parameters()]
    for x, y in r.batches():
        gs = rl.autograd.grad(r.loss(r.run(x), y), params)
        with rl.no_grad():
            for p, g in zip(params, gs, strict=True):
                p -= 0.1 * g


LOOPS = [
    plain, cleared_after_the_step, filled_with_zeros, a_compiled_loss, compiled_in_place, a_method,
    several_calls_before_backward, two_passes_through_one_graph, gradients_that_add_up,
    evaluation_between_epochs, smaller_last_batches, under_autocast, clipped, scaled, scheduled,
    hooked, checkpointed, averaged_in_a_copy, loaded_in_batches, frozen_for_a_while,
    gradients_of_inputs, gradients_asked_for,
]  # fmt: skip


@pytest.mark.parametrize("loop", LOOPS, ids=lambda f: f.__name__)
def test_loops_around_a_compiled_model(loop):
    runs = Run(True), Run(False)
    for r in runs:
        rl.manual_seed(1)
        loop(r)
    ours, eager = runs
    loose = {"rtol": 2e-2, "atol": 2e-2} if loop is under_autocast else {"rtol": 1e-4, "atol": 1e-5}
    assert ours.found == pytest.approx(eager.found, rel=loose["rtol"], abs=loose["atol"])
    rl.testing.assert_close(ours.state(), eager.state(), **loose)
    compiled = ours.model._compiled_call_impl._compiled
    assert compiled.eager is None
    assert compiled.traces <= 3


@pytest.mark.parametrize("loop", [plain, clipped, scheduled], ids=lambda f: f.__name__)
def test_loops_with_adam(loop):
    runs = [Run(compiled, optimizer=rl.optim.AdamW) for compiled in (True, False)]
    for r in runs:
        rl.manual_seed(1)
        loop(r)
    assert runs[0].found == pytest.approx(runs[1].found, rel=1e-3)


def variants_of(model):
    found = model._compiled_call_impl._compiled.variants.values()
    return [v for variants in found for v in variants]


@pytest.mark.parametrize("loop", [plain, gradients_that_add_up, evaluation_between_epochs])
def test_passes_like_the_last_one_are_entered_directly(loop, monkeypatch):
    r = Run(True)
    loop(r)
    r.model.train()
    (second,) = [v.second for v in variants_of(r.model) if hasattr(v, "second")]
    before = r.model.first.weight.detach().clone()
    monkeypatch.setattr(second, "arm", None)  # which other passes need
    plain(r)
    assert not rl.equal(before, r.model.first.weight)


def test_results_that_nothing_used_are_entered_directly_too():
    net = nn.ModuleList([nn.Linear(3, 2), nn.Linear(3, 2)])
    both = rl.compile(lambda x: (net[0](x).tanh(), net[1](x).tanh()))
    for used in (0, 1, 0, 0, 1, 0, 0):
        net.zero_grad()
        both(rl.ones(4, 3))[used].sum().backward()
        assert [m.weight.grad is None for m in net] == [used == 1, used == 0]
    ((variant,),) = both._compiled.variants.values()
    assert variant.second.vain < 8


def test_bits_do_not_depend_on_how_a_pass_is_entered(monkeypatch):
    entered, looked_at = Run(True), Run(True)
    rl.manual_seed(1)
    plain(entered)
    rl.manual_seed(1)
    with monkeypatch.context() as m:
        m.setattr("rushlight.compiler.second.Second.enter", lambda *given: False)
        plain(looked_at)
    for a, b in zip(entered.state(), looked_at.state(), strict=True):
        assert a.numpy().tobytes() == b.numpy().tobytes()


def test_gradients_that_are_expanded_or_of_another_order():
    """A sum's gradient has gaps: it is copied in order."""
    r = Run(True)
    grads = []
    for k in range(6):
        r.model.zero_grad()
        out = r.run(r.x)
        if k % 2:
            out.sum().backward()
        else:
            out.backward(rl.ones(3, 40).t())
        grads.append(r.model.last.bias.grad.clone())
    assert [g.tolist() for g in grads] == [[40.0] * 3] * 6


def test_files_of_compiled_modules_of_pytorch():
    """There a compiled module is within another, which names and programs show."""
    make = lambda: nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))  # noqa: E731
    theirs, ours = make(), rl.compile(make())
    kept = theirs.state_dict()
    given = type(kept)({f"_orig_mod.{k}": v for k, v in kept.items()})
    given._metadata = {f"_orig_mod.{k}".strip("."): v for k, v in kept._metadata.items()}
    assert str(ours.load_state_dict(given)) == "<All keys matched successfully>"
    rl.testing.assert_close(dict(ours.state_dict()), dict(kept))
    assert ours._orig_mod is ours
    assert not hasattr(theirs, "_orig_mod")
    with pytest.raises(RuntimeError, match="Unexpected key"):
        theirs.load_state_dict(given)
