"""Compare many random programs.

python -m tests.fuzz.run --start 0 --count 1000           figures and the seeds of what differs
python -m tests.fuzz.run --start 17 --count 1 --shrink    the shortest program that still differs
"""

from __future__ import annotations

import argparse
import importlib
import re
import time
import traceback
from typing import Any

import torch

from tests.fuzz.common import Findings, Mismatch
from tests.fuzz.compare import difference
from tests.fuzz.generate import generate
from tests.fuzz.observe import observe
from tests.fuzz.shrink import shrink, source
from tests.fuzz.watch import Watch

NUMBERS = re.compile(r"\(?-?\d[\d., )]*")


class Report(Findings):
    """What a run has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.missing: set[str] = set()

    def add(self, seed: int, lib: Any, length: int) -> Mismatch | None:
        """Generate the program of `seed`, run it on `lib`, and note what differs."""
        m = generate(seed, length, lib)
        self.missing |= m.missing
        self.counts["programs"] += 1
        self.counts["steps"] += len(m.steps)
        self.counts["steps that raise"] += sum(o.error is not None for o in m.seen.outcomes)
        self.counts["backward passes"] += sum(
            s.kind in ("backward", "grad") and o.error is None
            for s, o in zip(m.steps, m.seen.outcomes, strict=True)
        )
        try:
            mismatch = difference(m.steps, torch, lib, (m.seen, m.watch))
        except Exception as error:  # an error no operation should raise: a bug in the library
            where = traceback.extract_tb(error.__traceback__)[-1]
            mismatch = Mismatch(
                "crash", f"{type(error).__name__}: {error} at {where.name}:{where.lineno}"
            )
        self.note(seed, mismatch, "" if mismatch is None else group(mismatch))
        return mismatch

    def remarks(self) -> list[str]:
        """Operations that a library lacks."""
        return [f"not there, so not used: {', '.join(sorted(self.missing))}"] * bool(self.missing)


def group(mismatch: Mismatch) -> str:
    """Mismatches that probably have one cause."""
    if mismatch.kind in ("outcome", "error type", "result", "crash"):
        return f"{mismatch.kind}: {NUMBERS.sub('#', mismatch.detail)[:120]}"
    return mismatch.kind


def shortest(seed: int, lib: Any, length: int, kind: str) -> str:
    """The program of `seed`, cut to what shows the same kind of mismatch."""

    def shows(steps: Any) -> bool:
        try:
            found = difference(steps, torch, lib)
        except Exception:
            return kind == "crash"
        return found is not None and found.kind == kind and not found.reason

    steps = shrink(generate(seed, length, lib).steps, shows)
    found = None if kind == "crash" else difference(steps, torch, lib)
    return f"{source(steps, observe(steps, torch, watch=Watch()))}\n# {found}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--start", type=int, default=0, help="first seed")
    parser.add_argument("--count", type=int, default=1000, help="number of programs")
    parser.add_argument("--length", type=int, default=28, help="steps after the first three")
    parser.add_argument("--shrink", action="store_true", help="print each kind's shortest program")
    parser.add_argument("--show", action="store_true", help="print the programs")
    parser.add_argument(
        "--impl", default="rushlight", help="the module that is compared with torch"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    lib, report, begin = importlib.import_module(options.impl), Report(), time.perf_counter()
    for seed in range(options.start, options.start + options.count):
        mismatch = report.add(seed, lib, options.length)
        if options.show:
            m = generate(seed, options.length, lib)
            print(f"# seed {seed}: {mismatch}\n{source(m.steps, m.seen)}\n")
        elif mismatch is not None and not mismatch.reason:
            print(f"seed {seed}: {mismatch.kind}: {mismatch.detail}", flush=True)
    print(f"{report}\n{time.perf_counter() - begin:.0f} s")
    if options.shrink:
        for name, cases in report.found.items():
            seed, mismatch = cases[0]
            print(f"\n# {name}: seed {seed}\n{shortest(seed, lib, options.length, mismatch.kind)}")


if __name__ == "__main__":
    main()
