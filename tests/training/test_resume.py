"""Training that stops and starts again ends with the same bits as training that never stopped.

A checkpoint holds model, optimizer, scheduler and random generator. The stop is a new process, or a
kill in the middle of a step, even while the checkpoint is being written.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import rushlight as rl
from rushlight.optim import fused

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import os, signal, sys
import rushlight as torch
from rushlight import nn, optim

path, stop, result, last = sys.argv[1], int(sys.argv[2]), sys.argv[3], 12
schedules = optim.lr_scheduler

class Run:
    def __init__(self, make_optimizer):
        self.model = nn.Sequential(
            nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3)
        )
        self.optimizer = make_optimizer(self.model.parameters())
        parts = [schedules.LinearLR(self.optimizer, 0.1, total_iters=4),
                 schedules.CosineAnnealingLR(self.optimizer, 8)]
        self.scheduler = schedules.SequentialLR(self.optimizer, parts, milestones=[4])

    def loss(self):
        chosen = torch.randperm(24)[:8]
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(x[chosen]), y[chosen])
        loss.backward()
        return loss

    def state(self):
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
                "scheduler": self.scheduler.state_dict()}

    def load(self, saved):
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scheduler.load_state_dict(saved["scheduler"])

torch.manual_seed(0)
x, y = torch.randn(24, 6), torch.randint(0, 3, (24,))
runs = {
    "sgd": Run(lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True)),
    "adam": Run(lambda p: optim.Adam(p, lr=0.01, amsgrad=True)),
    "adamw": Run(lambda p: optim.AdamW(p, lr=0.01, weight_decay=0.1)),
    "nadam": Run(lambda p: optim.NAdam(p, lr=0.01)),
    "rprop": Run(lambda p: optim.Rprop(p, lr=0.01)),
    "adafactor": Run(lambda p: optim.Adafactor(p, lr=0.01)),
    "lbfgs": Run(lambda p: optim.LBFGS(p, lr=0.1, max_iter=2)),
}
start = 0
if os.path.exists(path):
    saved = torch.load(path)
    for name, run in runs.items():
        run.load(saved[name])
    torch.set_rng_state(saved["rng"])
    start = saved["step"]
    print("resumed at", start)

for step in range(start, last):
    for run in runs.values():
        if step == stop and run is runs["lbfgs"]:  # in the middle of a step
            run.loss()
            os.kill(os.getpid(), signal.SIGKILL)
        run.optimizer.step(run.loss)
        run.scheduler.step()
    if step % 3 == 2:
        state = {name: run.state() for name, run in runs.items()}
        torch.save({**state, "rng": torch.get_rng_state(), "step": step + 1}, path)

torch.save({name: run.model.state_dict() for name, run in runs.items()}, result)
"""

NEVER = -1


def run_program(program, *args):
    """Run a program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, args)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def test_resumes_to_the_same_bits_after_a_kill(tmp_path):
    whole = run_program(PROGRAM, tmp_path / "a.pt", NEVER, tmp_path / "whole.pt")
    assert whole.returncode == 0, whole.stderr
    killed = run_program(PROGRAM, tmp_path / "b.pt", 7, tmp_path / "never.pt")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "never.pt").exists()
    resumed = run_program(PROGRAM, tmp_path / "b.pt", NEVER, tmp_path / "resumed.pt")
    assert resumed.stdout == "resumed at 6\n", resumed.stderr
    a, b = rl.load(tmp_path / "whole.pt"), rl.load(tmp_path / "resumed.pt")
    for optimizer, weights in a.items():
        assert list(weights) == list(b[optimizer])
        for name, value in weights.items():
            same = value.numpy().tobytes() == b[optimizer][name].numpy().tobytes()
            assert same, (optimizer, name)


KILLED_WHILE_WRITING = """
import os, signal, sys
import rushlight as torch

class Last:
    # pickled when half of the file is written: ends the process there
    def __reduce__(self):
        os.kill(os.getpid(), signal.SIGKILL)

torch.save({"weights": torch.zeros(100000), "last": Last()}, sys.argv[1])
"""

KILLED_BEFORE_THE_END = """
import os, signal, sys
import rushlight as torch

def kill(*args):
    os.kill(os.getpid(), signal.SIGKILL)

os.fsync = os.replace = os.rename = kill
torch.save({"weights": torch.zeros(100000)}, sys.argv[1])
"""


@pytest.mark.parametrize("program", [KILLED_WHILE_WRITING, KILLED_BEFORE_THE_END])
def test_a_kill_while_writing_leaves_the_old_checkpoint(program, tmp_path):
    path = tmp_path / "checkpoint.pt"
    rl.save({"weights": rl.ones(100000)}, path)
    ended = run_program(program, path)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert rl.load(path)["weights"].sum().item() == 100000


ADDING_UP = {  # optimizers whose steps sum elements
    "adafactor": lambda p: rl.optim.Adafactor(p, lr=0.02),
    "muon": lambda p: rl.optim.Muon(p, lr=0.02),
}


@pytest.mark.parametrize("stop", [1, 2, 4])
@pytest.mark.parametrize("name", ADDING_UP)
def test_resumes_to_the_same_bits_where_programs_make_the_steps(name, stop):
    rl.manual_seed(0)
    start, gradients = rl.randn(300, 500), rl.randn(6, 300, 500)
    assert start.numel() >= fused.LEAST

    def fresh():
        p = rl.nn.Parameter(start.clone())
        optimizer = ADDING_UP[name]([p])
        return p, optimizer, rl.optim.lr_scheduler.StepLR(optimizer, 2, 0.7)

    def go(p, optimizer, scheduler, gradients):
        for g in gradients:
            p.grad = g.clone()
            optimizer.step()
            scheduler.step()

    whole, first, then = fresh(), fresh(), fresh()
    go(*whole, gradients)
    go(*first, gradients[:stop])
    then[0].data.copy_(first[0].data)
    for new, old in zip(then[1:], first[1:], strict=True):
        new.load_state_dict(old.state_dict())
    go(*then, gradients[stop:])
    assert rl.equal(then[0], whole[0])
    for a, b in zip(
        then[1].state[then[0]].values(), whole[1].state[whole[0]].values(), strict=True
    ):
        assert rl.equal(a, b)
