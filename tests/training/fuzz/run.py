"""Compare many random networks in training.

python -m tests.training.fuzz.run --start 0 --count 100          figures, seeds of what differs
python -m tests.training.fuzz.run --start 17 --count 1 --shrink  the shortest program that differs
python -m tests.training.fuzz.run --start 17 --count 1 --show    the program of a seed
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter

import torch

import rushlight
from tests.fuzz.common import Findings, Mismatch
from tests.training.fuzz.compare import MODES, compared
from tests.training.fuzz.generate import generate
from tests.training.fuzz.observe import observe
from tests.training.fuzz.shrink import shrink


class Report(Findings):
    """What a run has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.said: Counter[str] = Counter()

    def add(self, seed: int) -> list[Mismatch]:
        """Compare the program of a seed; what is not accepted."""
        text = generate(seed)
        expected, found = observe(text), []
        self.counts["programs"] += 1
        self.counts["programs that torch ends with an error"] += expected.error is not None
        for mode in MODES:
            mismatch, said = compared(text, mode, expected)
            self.said.update([re.sub(r"<\w+>:\d+", "#", s) for s in said])
            self.note(seed, mismatch)
            found += [mismatch] if mismatch is not None and not mismatch.reason else []
        return found

    def remarks(self) -> list[str]:
        """Why programs ran eagerly."""
        return [f"{n:5d} said: {why}" for why, n in self.said.most_common()]


def shortest(seed: int, kind: str) -> str:
    """The program of a seed, cut to what shows a kind of mismatch; its first word is the mode."""
    mode = kind.split()[0]

    def shows(text: str) -> bool:
        expected = observe(text)
        if expected.error and "error" not in kind:
            return False
        found = compared(text, mode, expected)[0]
        return found is not None and found.kind == kind and not found.reason

    return shrink(generate(seed), shows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--start", type=int, default=0, help="first seed")
    parser.add_argument("--count", type=int, default=100, help="number of programs")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so long")
    parser.add_argument("--show", action="store_true", help="print the programs")
    parser.add_argument("--shrink", action="store_true", help="print what differs, cut short")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rushlight.set_num_threads(2)
    report, begin = Report(), time.perf_counter()
    for seed in range(options.start, options.start + options.count):
        if options.show:
            print(f"# seed {seed}\n{generate(seed)}")
        for mismatch in report.add(seed):
            print(f"seed {seed}: {mismatch}", flush=True)
            if options.shrink:
                print(shortest(seed, mismatch.kind), flush=True)
        if time.perf_counter() - begin > options.seconds:
            break
    print(f"{report}\n{time.perf_counter() - begin:.0f} s")
    sys.exit(bool(report.found))


if __name__ == "__main__":
    main()
