"""Times of eager operations on 10 to 10^7 elements beside torch's, on one thread, in one process.

A case is one expression (`op_cases.txt`) over named inputs (`op_inputs.py`), written once and
evaluated twice, with `fw` as rushlight and as torch, on the same numbers. Results are compared
first; then rounds alternate between the two. A ratio is our median time / torch's: below 1 is
faster.

    python benchmarks/ops.py [--only REGEX] [--sizes 10,1000] [--seconds 0.1] [--out FILE]

The exit status is 1 when results differ. The goal: no ratio above 2, half of them at most 1.
"""

import argparse
import gc
import json
import os
import re
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402
import torch  # noqa: E402

import rushlight  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from eager import environment, seconds  # noqa: E402
from op_inputs import INPUTS  # noqa: E402

SIZES = (10, 1000, 100_000, 10_000_000)
CASES = Path(__file__).with_name("op_cases.txt")
LIMIT = 2.0  # no operation should take longer than this many times torch's time


@dataclass
class Case:
    family: str
    code: str
    grad: bool  # time the gradients of all floating-point inputs
    unchecked: bool  # results are random
    most: int  # elements; larger sizes would take too long

    @property
    def name(self):
        return ("backward of " if self.grad else "") + self.code


def read_cases(path=CASES):
    """The cases of a file: headings `[family option ...]`, and one expression a line."""
    cases, family, options = [], "", {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            family, *words = line.strip("[]").split()
            options = dict(word.split("=") if "=" in word else (word, True) for word in words)
        elif line and not line.startswith("#"):
            most = int(options.get("most", SIZES[-1]))
            cases.append(Case(family, line, "grad" in options, "unchecked" in options, most))
    return cases


def prepare(fw, case, n):
    """The function to time, and the tensors whose gradients it returns, if any."""
    code = compile(case.code, case.code, "eval")
    rng = np.random.default_rng(0)
    arrays = {name: INPUTS[name](rng, n) for name in code.co_names if name in INPUTS}
    tensors = {k: fw.tensor(v) if isinstance(v, np.ndarray) else v for k, v in arrays.items()}
    scope = {"fw": fw, "F": fw.nn.functional, **tensors}
    if not case.grad:
        return eval(f"lambda: {case.code}", scope)
    leaves = [t.requires_grad_() for t in tensors.values() if is_float(t, fw)]
    y = eval(code, scope)
    g = fw.tensor(rng.standard_normal(y.shape).astype(np.float32))
    return lambda: fw.autograd.grad(y, leaves, g, retain_graph=True)


def is_float(t, fw):
    return isinstance(t, fw.Tensor) and t.is_floating_point()


def values(result):
    """Every tensor of a result, as arrays."""
    if isinstance(result, (tuple, list)):
        return [v for part in result for v in values(part)]
    if not hasattr(result, "detach"):
        return [np.asarray(result)]
    half = str(result.dtype).endswith("bfloat16")  # which NumPy does not have
    return [(result.float() if half else result).detach().numpy()]


def difference(ours, theirs):
    """What differs between two results, or None. Sums may run in another order."""
    ours, theirs = values(ours), values(theirs)
    if len(ours) != len(theirs):
        return f"{len(ours)} results, torch has {len(theirs)}"
    for a, b in zip(ours, theirs, strict=True):
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"{a.dtype}{a.shape}, torch has {b.dtype}{b.shape}"
        if a.dtype.kind not in "fc":
            if not np.array_equal(a, b):
                return f"{(a != b).sum()} of {a.size} values differ"
        elif a.size:
            scale = np.abs(b[np.isfinite(b)]).max(initial=0)
            rough = 2e-3 if a.dtype == np.float16 else 1e-4
            if not np.allclose(a, b, rtol=rough, atol=max(1e-30, rough / 10 * scale)):
                return f"values differ by up to {np.nanmax(np.abs(a - b))} of {scale}"
    return None


def measure(ours, theirs, budget):
    """(our seconds, torch's, ratio of medians, ratio of minima) over rounds that alternate."""
    once = max(seconds(ours, 1), seconds(theirs, 1))
    repeats = max(1, min(1000, int(0.002 / once)))
    pairs, stop = [], time.perf_counter() + budget
    while len(pairs) < 5 or (time.perf_counter() < stop and len(pairs) < 200):
        pairs.append((seconds(ours, repeats), seconds(theirs, repeats)))
        if len(pairs) >= 3 and once > 1:
            break
    a, b = zip(*pairs, strict=True)
    median = statistics.median(a), statistics.median(b)
    return *median, median[0] / median[1], min(a) / min(b)


def run(case, n, budget):
    """One row of the result."""
    rushlight.manual_seed(0)
    torch.manual_seed(0)
    ours, theirs = prepare(rushlight, case, n), prepare(torch, case, n)
    row = {"family": case.family, "case": case.name, "n": n}
    row["differs"] = None if case.unchecked else difference(ours(), theirs())
    a, b, median, least = measure(ours, theirs, budget)
    row.update(us=a * 1e6, torch_us=b * 1e6, ratio=median, ratio_of_minima=least)
    return row


def show(row):
    flag = "  above" if min(row["ratio"], row["ratio_of_minima"]) > LIMIT else ""
    if row["differs"]:
        flag += "  DIFFERS: " + row["differs"]
    print(
        f"{row['family']:12s} {row['case']:58s} {row['n']:9d} {row['us']:11.1f} "
        f"{row['torch_us']:11.1f} {row['ratio']:7.2f} {row['ratio_of_minima']:6.2f}{flag}",
        flush=True,
    )


def summary(rows):
    """The figures of the goal, overall and for each size."""
    ratios = sorted(r["ratio"] for r in rows)
    out = {"cases": len(rows), "median": statistics.median(ratios), "worst": ratios[-1]}
    out["above_2"] = sum(r > LIMIT for r in ratios)
    for n in sorted({r["n"] for r in rows}):
        out[f"median_{n}"] = statistics.median(r["ratio"] for r in rows if r["n"] == n)
    return {k: round(v, 3) for k, v in out.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="cases whose 'family name' matches this")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--seconds", type=float, default=0.1, help="for each case, at least")
    parser.add_argument("--out", type=Path, help="JSON file to write; rows of other cases stay")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rushlight.set_num_threads(1)
    gc.collect()
    gc.freeze()

    rows = []
    for case in read_cases():
        if re.search(args.only, f"{case.family} {case.name}"):
            for n in map(int, args.sizes.split(",")):
                if n <= case.most:
                    rows.append(run(case, n, args.seconds))
                    show(rows[-1])
    if not rows:
        parser.error(f"no case matches {args.only!r}")
    print(summary(rows))
    if args.out:
        save(args.out, rows)
    sys.exit(any(r["differs"] for r in rows))


def save(path, rows):
    """Write the rows, beside those of an earlier run that this one did not repeat."""
    known = {(c.family, c.name) for c in read_cases()}
    old = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    merged = {(r["family"], r["case"], r["n"]): r for r in [*old, *map(rounded, rows)]}
    kept = [r for key, r in sorted(merged.items()) if key[:2] in known]
    head = json.dumps({"environment": environment(), "summary": summary(kept)}, indent=1)
    lines = ",\n".join("  " + json.dumps(row) for row in kept)  # a line each, to be read by people
    path.write_text(f'{head[:-2]},\n "rows": [\n{lines}\n ]\n}}\n', encoding="utf-8")


def rounded(row):
    return {k: round(v, 2) if isinstance(v, float) else v for k, v in row.items() if v is not None}


if __name__ == "__main__":
    main()
