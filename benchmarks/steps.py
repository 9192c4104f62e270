"""Whole training steps and inferences, eager and compiled, beside torch's, on one thread and two.

Each engine runs in a process of its own and they take turns, so that drift of the machine hits all
alike; a figure is a ratio of medians to torch's eager code in the same run. The losses of the first
steps are compared. Memory is how much the process grows until the peak of a step, compiling left
out. The first two calls, which make the model, run one step as it is, trace the next and compile
it, are timed with an empty cache of compiled code, and in a new process again; so are the first
five, of which three are steps of the program. These are the least of some tries, and on one thread
processor time, which other programs distort less.

    python benchmarks/steps.py [--threads 1 2] [--only mlp,gpt] [--rounds 7] [--torch-compile]
                               [--out benchmarks/steps.json]
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import workloads

FIRST = 5  # steps whose losses are compared
CAPTURED = 2  # calls until there is a program
TRIES = 3  # of the first calls
TOLERANCE = 2e-3  # between engines
# resnet18 amplifies rounding: torch's own fifth loss is 1e-3 from that of float64
TOLERANCES = {"resnet18": 5e-3}


def status(name):
    """Bytes of this process's memory: VmRSS now, VmHWM at most since ``forget_peak``."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def forget_peak():
    """Let VmHWM begin anew."""
    Path("/proc/self/clear_refs").write_text("5")


def work(engine, threads):
    """Serve one engine: a line of JSON in, a line out."""
    if engine.startswith("torch"):
        import torch
    else:
        import rushlight as torch
    torch.set_num_threads(threads)
    compiled = torch.compile if engine.endswith("compile") else lambda f: f
    first = compiled(lambda x: (x @ x).exp().sum())
    for _ in range(3):  # what the first of all calls loads, libraries and compilers
        first(torch.ones(64, 64))
    for line in sys.stdin:
        command = json.loads(line)
        clock = time.process_time if "load" in command and threads == 1 else time.perf_counter
        start = clock()
        if "load" in command:
            torch.manual_seed(0)
            before = status("VmRSS")
            one = workloads.ALL[command["load"]][0](torch, compiled)
            losses = [float(one().detach()) for _ in range(CAPTURED)]
            answer = {"captured": clock() - start}
            losses += [float(one().detach()) for _ in range(FIRST - CAPTURED)]
            answer["losses"] = losses
        elif "memory" in command:  # of what the workload keeps, and of a step at its largest
            forget_peak()
            one()
            answer = {"memory": status("VmHWM") - before}
        else:
            for _ in range(command["run"]):
                last = one()
            float(last.detach())
            answer = {}
        print(json.dumps({**answer, "seconds": clock() - start}), flush=True)


class Engine:
    """A process that runs ``work``."""

    def __init__(self, name, threads, cache):
        self.name = name
        folder = str(Path(cache, name))  # what another engine compiled is not there
        environment = {**os.environ, "RUSHLIGHT_CACHE_DIR": folder, "OMP_NUM_THREADS": str(threads)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # users' Python keeps its byte code
        command = [sys.executable, __file__, "--engine", name, "--threads", str(threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, **command):
        """Send a command; its answer."""
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} died at {command}; its error is above.")
        return json.loads(line)

    def end(self):
        """Let the process finish."""
        self.process.stdin.close()
        self.process.wait()


def measure(name, engines, threads, cache, rounds, seconds):
    """One workload: for each engine the time of a step, its ratio to torch, memory, first call."""
    live = [Engine(e, threads, cache) for e in engines]
    rows = {}
    for e in live:
        first = e.ask(load=name)
        rows[e.name] = {**e.ask(memory=True), **first}
    again = Engine("rushlight compile", threads, cache)  # finds its code; no memory for compiling
    own = rows["rushlight compile"]
    again.ask(load=name)
    own["memory"] = again.ask(memory=True)["memory"]
    again.end()
    check(name, rows)
    firsts = first_calls(name, threads, cache)
    counts = {}
    for e in live:
        n, t = 1, e.ask(run=1)["seconds"]
        while t < seconds / 4 and n < 1 << 20:
            n *= 4
            t = e.ask(run=n)["seconds"]
        counts[e.name] = max(1, round(n * seconds / t))
    times = {e.name: [] for e in live}
    for _ in range(rounds):
        for e in live:
            times[e.name].append(e.ask(run=counts[e.name])["seconds"] / counts[e.name])
    for e in live:
        e.end()
    base = statistics.median(times["torch"])
    record = {
        e: {
            "us": statistics.median(times[e]) * 1e6,
            "ratio": base / statistics.median(times[e]),
            "first": row["seconds"],
            "memory": row["memory"],
        }
        for e, row in rows.items()
    }
    record["rushlight compile"].update(firsts)
    return record


def first_calls(name, threads, cache):
    """The least seconds of the first calls: until there is a program, and five; "warm" with a cache
    of compiled code.
    """
    found = {}
    for k in range(TRIES):
        for captured, first in (("captured", "first"), ("captured_warm", "warm")):
            engine = Engine("rushlight compile", threads, str(Path(cache, f"try {k}")))
            answer = engine.ask(load=name)
            engine.end()
            for key, seconds in ((captured, answer["captured"]), (first, answer["seconds"])):
                found[key] = min(seconds, found.get(key, seconds))
    return found


def check(name, rows):
    """Engines must compute the same losses."""
    expected, tolerance = rows["torch"]["losses"], TOLERANCES.get(name, TOLERANCE)
    for engine, row in rows.items():
        for step, (a, b) in enumerate(zip(row["losses"], expected, strict=True)):
            if abs(a - b) > tolerance * max(1, abs(b)):
                raise SystemExit(f"{name}: step {step} of {engine} gives {a}, but torch {b}.")


def processor():
    """The name and model of the processor, where Linux tells them."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    told = dict([part.strip() for part in line.split(":", 1)] for line in lines if ":" in line)
    if "model name" not in told:
        return platform.processor() or platform.machine()
    return f"{told['model name']}, model {told.get('model', '?')}"


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options.add_argument("--only", default=",".join(workloads.ALL))
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--seconds", type=float, default=0.3, help="of each engine's turn")
    options.add_argument("--torch-compile", action="store_true", help="time torch.compile too")
    options.add_argument("--out", type=Path, help="where to write the figures, as JSON")
    options.add_argument("--engine", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.engine:
        work(given.engine, given.threads[0])
        return
    engines = ["torch", *["torch compile"] * given.torch_compile, "rushlight", "rushlight compile"]
    record = {"machine": processor(), "threads": {}}
    for threads in given.threads:
        rows = record["threads"][str(threads)] = {}
        for name in given.only.split(","):
            with tempfile.TemporaryDirectory() as cache:
                rows[name] = measure(name, engines, threads, cache, given.rounds, given.seconds)
            cells = [f"{e} {r['us']:.0f} us x{r['ratio']:.2f}" for e, r in rows[name].items()]
            own = rows[name]["rushlight compile"]
            memory = own["memory"] / max(1, rows[name]["torch"]["memory"])
            print(
                f"{threads} {name:13}", ", ".join(cells),
                f"| two calls {own['captured']:.2f} s, again {own['captured_warm']:.2f} s; "
                f"five {own['first']:.2f} s, again {own['warm']:.2f} s; memory x{memory:.2f}",
                flush=True,
            )  # fmt: skip
    if given.out:
        given.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
