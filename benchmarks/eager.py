"""Times of eager operations on tiny tensors, and of training steps, beside torch's, on one core.

Each case is written once and made twice, with rushlight and with torch. Rounds alternate between
the two; the figure is the median of (our time / torch's time): machines differ, the ratio hardly.
Targets are goals to watch, not limits: nothing fails here.

    python benchmarks/eager.py [--rounds 25] [--only NAME] [--out benchmarks/results.json]
"""

import argparse
import gc
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy  # noqa: E402
import torch  # noqa: E402

import rushlight  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from steps import processor  # noqa: E402

CASES = {}  # name -> (make, target or None)


def case(name, target=None):
    """Register a maker: given a framework, it returns the function to time."""

    def register(make):
        CASES[name] = make, target
        return make

    return register


def expression(name, target, code, *shapes, grad=False):
    """Register a case that is one expression over tensors of ones named a, b, c."""

    def make(fw):
        tensors = [fw.ones(*shape, requires_grad=grad) for shape in shapes]
        return eval(f"lambda: {code}", dict(zip("abc", tensors, strict=False)))

    CASES[name] = make, target


FOUR = (4,)
expression("a + b", 0.7, "a + b", FOUR, FOUR)
expression("a * b, grad", 0.8, "a * b", FOUR, FOUR, grad=True)
expression("a * b + c", 0.7, "a * b + c", FOUR, FOUR, FOUR)
expression("a * b + c, grad", 0.85, "a * b + c", FOUR, FOUR, FOUR, grad=True)
expression("a * 2.0", 0.5, "a * 2.0", FOUR)
expression("(4, 1) + (4,)", 1.1, "a + b", (4, 1), FOUR)
expression("(4, 1) + (4,), grad", 1.1, "a + b", (4, 1), FOUR, grad=True)
expression("exp", 0.7, "a.exp()", FOUR)
expression("exp, grad", 0.9, "a.exp()", FOUR, grad=True)
expression("sum", 1.0, "a.sum()", FOUR)
expression("sum, grad", 1.1, "a.sum()", FOUR, grad=True)
expression("(x @ w + b).relu()", 0.9, "(a @ b + c).relu()", (10, 4), (4, 3), (3,))
expression("view", 1.3, "a.view(2, 2)", FOUR)
expression("view, grad", 1.4, "a.view(2, 2)", FOUR, grad=True)
expression("x[0]", 1.3, "a[0]", (4, 3))
expression("x[:, 0], grad", 1.4, "a[:, 0]", (4, 3), grad=True)
expression("transpose", 1.1, "a.transpose(0, 1)", (4, 3))
expression("x[1:3]", 1.1, "a[1:3]", (4, 3))
expression("add_", 0.9, "a.add_(b)", FOUR, FOUR)


@case("(x @ w + b).relu(), grad", 1.0)
def _(fw):
    x, w = fw.ones(10, 4), fw.ones(4, 3, requires_grad=True)
    b = fw.ones(3, requires_grad=True)
    return lambda: (x @ w + b).relu()


@case("x[0] = 1.0", 0.5)
def _(fw):
    x = fw.ones(4, 3)

    def assign():
        x[0] = 1.0

    return assign


@case("backward of 10 products", 0.7)
def _(fw):
    a, b, g = fw.ones(4, requires_grad=True), fw.ones(4), fw.ones(4)
    y = a
    for _ in range(10):
        y = y * b

    def backward():
        y.backward(g, retain_graph=True)
        a.grad = None

    return backward


@case("Module call", 0.5)
def _(fw):
    class Same(fw.nn.Module):
        def forward(self, x):
            return x

    net, x = Same(), fw.ones(4)
    return lambda: net(x)


@case("Linear call", 0.9)
def _(fw):
    net, x = fw.nn.Linear(4, 3), fw.ones(10, 4)
    return lambda: net(x)


def training_step(fw, net, x, y):
    # One loop over parameters on both sides: torch's default would first sort them into groups.
    optimizer = fw.optim.SGD(net.parameters(), lr=0.01, foreach=False)

    def step():
        optimizer.zero_grad()
        difference = net(x) - y
        (difference * difference).mean().backward()
        optimizer.step()

    return step


@case("linear regression step, SGD", 0.8)
def _(fw):
    return training_step(fw, fw.nn.Linear(4, 1), fw.ones(10, 4), fw.ones(10, 1))


@case("MLP step, 3 layers, SGD", 0.8)
def _(fw):
    nn = fw.nn
    net = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
    return training_step(fw, net, fw.ones(32, 4), fw.ones(32, 1))


def classifier_step(fw, net, batch=256):
    """One step on a batch the size of the examples': here kernels decide, not overhead."""
    x, y = fw.rand(batch, 1, 28, 28), fw.randint(0, 10, (batch,))
    optimizer = fw.optim.SGD(net.parameters(), lr=0.01, foreach=False)

    def step():
        optimizer.zero_grad()
        fw.nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()

    return step


@case("softmax regression step, batch 256")
def _(fw):
    return classifier_step(fw, fw.nn.Sequential(fw.nn.Flatten(), fw.nn.Linear(784, 10)))


@case("MLP 784-256-10 step, batch 256")
def _(fw):
    nn = fw.nn
    layers = nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Dropout(0.2), nn.Linear(256, 10)
    return classifier_step(fw, nn.Sequential(*layers))


@case("LeNet step, batch 256")
def _(fw):
    nn = fw.nn
    net = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Sigmoid(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.Sigmoid(), nn.Linear(120, 84), nn.Sigmoid(), nn.Linear(84, 10),
    )  # fmt: skip
    return classifier_step(fw, net)


def measure(make, rounds):
    """Return (our microseconds, torch's, ratio): medians over rounds that alternate."""
    ours, theirs = make(rushlight), make(torch)
    for _ in range(3):  # warm up
        ours()
        theirs()
    slower = max(seconds(ours, 3), seconds(theirs, 3))
    repeats = max(1, min(2000, int(0.004 / slower)))
    pairs = [(seconds(ours, repeats), seconds(theirs, repeats)) for _ in range(rounds)]
    ratio = statistics.median(a / b for a, b in pairs)
    return *(statistics.median(column) * 1e6 for column in zip(*pairs, strict=True)), ratio


def seconds(function, repeats):
    start = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - start) / repeats


def environment():
    return {
        "rushlight": rushlight.__version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "machine": processor(),
        "system": platform.system(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results.json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    rushlight.set_num_threads(1)
    gc.collect()
    gc.freeze()

    results = {}
    print(f"{'operation':34s} {'rushlight us':>12s} {'torch us':>9s} {'ratio':>6s} {'target':>6s}")
    for name, (make, target) in CASES.items():
        if args.only in name:
            ours, theirs, ratio = measure(make, args.rounds)
            results[name] = {"us": ours, "torch_us": theirs, "ratio": ratio, "target": target}
            goal = f"{target:6.2f}{'' if ratio <= target else '  above'}" if target else ""
            print(f"{name:34s} {ours:12.2f} {theirs:9.2f} {ratio:6.2f} {goal}", flush=True)
    if args.only:
        return
    for row in results.values():
        row.update((key, round(value, 3)) for key, value in row.items() if value is not None)
    record = {"environment": environment(), "eager": results}
    args.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    goals = [row["ratio"] <= row["target"] for row in results.values() if row["target"]]
    print(f"\n{sum(goals)} of {len(goals)} within target. Wrote {args.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
