"""A run with compiled functions that goes on from a checkpoint has the bits of one that never
stopped: new objects, their state loaded, in this process or a new one.
"""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rushlight as rl
from rushlight import nn, optim

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
ROOT = Path(__file__).resolve().parents[2]
STEPS = 6


class Recurrent(nn.Module):
    """A GRU, whose last output is classified."""

    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(6, 24, batch_first=True), nn.Linear(24, 4)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


class Block(nn.Module):
    """A part of a GPT."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.one, self.two = nn.LayerNorm(16), nn.LayerNorm(16)
        self.wide = nn.Sequential(nn.Linear(16, 64), nn.GELU(), nn.Linear(64, 16), nn.Dropout(0.1))

    def forward(self, x):
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        y = self.one(x)
        x = x + self.attention(y, y, y, attn_mask=mask, need_weights=False)[0]
        return x + self.wide(self.two(x))


def perceptron(width=64):
    return nn.Sequential(nn.Linear(40, width), nn.ReLU(), nn.Dropout(0.3), nn.Linear(width, 4))


def lenet():
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2),
        nn.Linear(8 * 16, 24), nn.ReLU(), nn.Linear(24, 4),
    )  # fmt: skip


def gpt():
    return nn.Sequential(Block(), Block(), nn.LayerNorm(16), nn.Flatten(), nn.Linear(16 * 9, 4))


MODELS = {
    "perceptron": (perceptron, (40,)),
    "lenet": (lenet, (2, 8, 8)),
    "recurrent": (Recurrent, (7, 6)),
    "gpt": (gpt, (9, 16)),
}
OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: optim.Adam(p, lr=0.01),
    "adamw": lambda p: optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.05),
    "nadam": lambda p: optim.NAdam(p, lr=0.01),
    "adafactor": lambda p: optim.Adafactor(p, lr=0.02),
}


class Run:
    """Everything that a training run makes anew when it starts. ``how`` says what is compiled: the
    whole step or the module; ``clip`` and ``parts`` ask for clipping and accumulation.
    """

    def __init__(self, model, optimizer, how="step", clip=False, parts=1):
        (make, self.shape), self.clip, self.parts = MODELS[model], clip, parts
        self.model, self.steps, self.losses = make(), 0, []
        self.optimizer = OPTIMIZERS[optimizer](self.model.parameters())
        self.scheduler = optim.lr_scheduler.StepLR(self.optimizer, 2, 0.7)
        if how == "module":
            self.model = rl.compile(self.model)
        self.step = rl.compile(self.whole) if how == "step" else self.whole

    def whole(self, x, y):
        self.optimizer.zero_grad()
        for a, b in zip(x.chunk(self.parts), y.chunk(self.parts), strict=True):
            loss = nn.functional.cross_entropy(self.model(a), b) / self.parts
            loss.backward()
        if self.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), 0.5)
        self.optimizer.step()
        self.steps += 1
        return loss.detach()

    def go(self, stop):
        """Make steps; the last batch of each four is smaller."""
        for k in range(len(self.losses), stop):
            draws = rl.Generator().manual_seed(k)
            rows = 4 if k % 4 == 3 else 8
            x = rl.randn(rows, *self.shape, generator=draws)
            y = rl.randint(0, 4, (rows,), generator=draws)
            self.losses.append(self.step(x, y).clone())
            self.scheduler.step()

    def save(self, file):
        state = {n: getattr(self, n).state_dict() for n in ("model", "optimizer", "scheduler")}
        rl.save({**state, "rng": rl.get_rng_state(), "losses": self.losses}, file)

    def load(self, file):
        saved = rl.load(file)
        for n in ("model", "optimizer", "scheduler"):
            getattr(self, n).load_state_dict(saved[n])
        rl.set_rng_state(saved["rng"])
        self.losses = saved["losses"]

    def bits(self):
        return bits([self.model.state_dict(), self.optimizer.state_dict(), self.losses])


def bits(x):
    """All tensors in nested dicts and lists, as bytes, with what else there is."""
    if isinstance(x, rl.Tensor):
        return x.numpy().tobytes()
    if isinstance(x, dict):
        return {k: bits(v) for k, v in x.items()}
    return [bits(v) for v in x] if isinstance(x, (list, tuple)) else x


def run_to(stop, *what, **how):
    rl.manual_seed(0)
    run = Run(*what, **how)
    run.go(stop)
    return run


def ends_alike(*what, stops=(1, 3), **how):
    """Assert that runs that stop after some steps, and go on, end as one that does not stop."""
    wanted = run_to(STEPS, *what, **how).bits()
    for stop in stops:
        kept = io.BytesIO()
        run_to(stop, *what, **how).save(kept)
        kept.seek(0)
        rl.compiler.reset()
        then = Run(*what, **how)
        then.load(kept)
        then.go(STEPS)
        assert then.bits() == wanted, stop


@pytest.mark.parametrize("how", ["step", "module"])
@pytest.mark.parametrize("model", MODELS)
def test_models(model, how):
    ends_alike(model, "adam", how=how)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers(optimizer):
    ends_alike("perceptron", optimizer)


@pytest.mark.parametrize("how", ["step", "module"])
def test_clipping_and_accumulation(how):
    ends_alike("perceptron", "adamw", how=how, clip=True, parts=2, stops=(3,))


WHAT = {
    "perceptron": "momentum", "lenet": "adamw", "recurrent": "nadam", "gpt": "adafactor"
}.items()  # fmt: skip


def test_a_new_process(tmp_path):
    for what in WHAT:
        run_to(3, *what).save(tmp_path / what[0])
    program = """
import sys
from tests.compiler.test_resumed import STEPS, WHAT, Run, rl
for what in WHAT:
    run = Run(*what)
    run.load(f"{sys.argv[1]}/{what[0]}")
    run.go(STEPS)
    run.save(f"{sys.argv[1]}/{what[0]}")
"""
    environ = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, env=environ, check=True
    )
    for what in WHAT:
        found = Run(*what)
        found.load(tmp_path / what[0])
        assert found.bits() == run_to(STEPS, *what).bits(), what


def steps(step, calls=4):
    """What is in a parameter after each call of a function of it."""
    rl.manual_seed(0)
    w, found = rl.randn(300, 40).requires_grad_(), []
    for _ in range(calls):
        step(w)
        found.append(w.detach().clone())
    return found


def sums(w, x):
    """A step whose bits depend on who makes it."""
    (w @ x).tanh().sum().backward()
    with rl.no_grad():
        w -= 0.1 * w.grad
        w.grad = None


def test_what_stays_eager_is_eager_from_the_start(tmp_path):
    x = rl.randn(40, 50)

    def step(w, file):
        sums(w, x)
        file.write("a step\n")

    with open(tmp_path / "log", "w") as file:
        run = rl.compile(step)
        with pytest.warns(UserWarning, match="it writes to a file"):
            found = steps(lambda w: run(w, file))
        assert bits(found) == bits(steps(lambda w: step(w, file)))
    assert (tmp_path / "log").read_text() == "a step\n" * 8


def test_a_first_call_that_writes_by_numpy_to_what_it_read():
    buffer = np.ones((40, 50), np.float32)
    x = rl.from_numpy(buffer)

    def fill():
        buffer[:] = buffer + 1

    def step(w):
        sums(w, x)
        fill()

    (expected,) = steps(step, 1)
    buffer[:] = 1
    (found,) = steps(rl.compile(step), 1)
    assert (found - expected).abs().max() < 1e-5
    assert buffer[0, 0] == 2


def test_code_that_is_not_known_yet_gets_arrays_and_no_marks():
    seen = []

    def look(a, n):
        seen.append((type(a), bytes(memoryview(a))[:4], type(n)))

    def step(w, a):
        sums(w, rl.from_numpy(a))
        look(a, a.mean())
        return rl.compiler.is_compiling()

    a = np.ones((40, 50), np.float32)
    w = rl.randn(300, 40).requires_grad_()
    assert rl.compile(step)(w, a) is True
    assert seen == [(np.ndarray, a.tobytes()[:4], np.float32)]


def test_numbers_of_a_first_call_that_fails_are_pythons_own():
    class Kept:
        last, all = 0.0, []

    @rl.compile
    def run(x):
        Kept.last = x.sum().item()
        Kept.all.append(Kept.last * 2)
        raise ValueError("in vain")

    with pytest.raises(ValueError, match="in vain"):
        run(rl.ones(3))
    assert [type(x) for x in (Kept.last, *Kept.all)] == [float, float]
