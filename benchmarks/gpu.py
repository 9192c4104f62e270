"""Whole training steps and inferences on a GPU, eager and compiled, beside torch's on the same GPU.

The engines take turns in one process; a figure is a ratio of medians to torch's eager code. A turn
ends when the GPU has done all work. Losses of the first steps are compared, but for dropout, whose
random numbers differ.

    python benchmarks/gpu.py [--only mlp/gpt] [--rounds 5] [--seconds 0.2]
                             [--out benchmarks/gpu.json]
"""

import argparse
import functools
import json
import statistics
import time
import traceback
from pathlib import Path

import workloads

FIRST = 4  # steps whose losses are compared
LARGE = {
    "resnet18 of 256": functools.partial(workloads.resnet18, batch=256),
    "gpt, 6 x 384, 64 x 256": functools.partial(
        workloads.gpt, layers=6, heads=6, width=384, time=256, batch=64
    ),
}
ALL = {**{name: make for name, (make, _) in workloads.ALL.items()}, **LARGE}
TOLERANCE = 5e-3  # torch's convolutions round their inputs to 10 bits, and so do ours


def engines():
    """The engines: a module, and what one call of it is wrapped in."""
    import torch

    import rushlight

    return {
        "torch": (torch, lambda f: f),
        "rushlight": (rushlight, lambda f: f),
        "rushlight compile": (rushlight, rushlight.compile),
    }


def timed(one, count, wait):
    """Seconds of ``count`` calls and all their work."""
    wait()
    start = time.perf_counter()
    for _ in range(count):
        one()
    wait()
    return time.perf_counter() - start


def measure(name, rounds, seconds):
    """One workload: for each engine the time of a step, and its ratio to torch."""
    ready, losses, first = {}, {}, {}
    for engine, (torch, compiled) in engines().items():
        torch.manual_seed(0)
        start = time.perf_counter()
        try:
            one = ALL[name](torch, compiled)
            losses[engine] = [float(one().detach()) for _ in range(FIRST)]
        except Exception:
            print(f"{name}: {engine} fails\n{traceback.format_exc()[-1500:]}", flush=True)
            continue
        first[engine] = time.perf_counter() - start
        for a, b in zip(losses[engine], losses["torch"], strict=True):
            if abs(a - b) > TOLERANCE * max(1, abs(b)) and name != "dropout_adam":
                print(f"{name}: {engine} gives {losses[engine]}, torch {losses['torch']}")
                break
        ready[engine] = one, torch.cuda.synchronize
    counts = {}
    for engine, (one, wait) in ready.items():
        n, t = 1, timed(one, 1, wait)
        while t < seconds / 4:
            n *= 4
            t = timed(one, n, wait)
        counts[engine] = max(1, round(n * seconds / t))
    times = {engine: [] for engine in ready}
    for _ in range(rounds):
        for engine, (one, wait) in ready.items():
            times[engine].append(timed(one, counts[engine], wait) / counts[engine])
    base = statistics.median(times["torch"])
    return {
        engine: {
            "us": statistics.median(t) * 1e6,
            "ratio": base / statistics.median(t),
            "first": first[engine],
        }
        for engine, t in times.items()
    }


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--only", default="/".join(ALL), help="names, with / between them")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=0.2, help="of each engine's turn")
    options.add_argument("--out", type=Path, help="where to write the figures, as JSON")
    given = options.parse_args()
    import torch

    workloads.device = "cuda"
    record = {"machine": torch.cuda.get_device_name(), "torch": torch.__version__, "steps": {}}
    for name in given.only.split("/"):
        rows = record["steps"][name] = measure(name, given.rounds, given.seconds)
        cells = [
            f"{e} {r['us']:.0f} us x{r['ratio']:.2f} ({r['first']:.1f} s)" for e, r in rows.items()
        ]
        print(f"{name:24}", ", ".join(cells), flush=True)
    if given.out:
        given.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
