"""Compare many random programs, compiled and eager.

python -m tests.compiler.fuzz.run --start 0 --count 1000         figures, seeds of what differs
python -m tests.compiler.fuzz.run --start 17 --count 1 --show    the program of a seed
python -m tests.compiler.fuzz.run --large                        programs of larger tensors
"""

from __future__ import annotations

import argparse
import contextlib
import json
import queue
import re
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rushlight.compiler import pipeline
from tests.compiler.fuzz.growth import generate
from tests.compiler.fuzz.program import Program
from tests.compiler.fuzz.shrink import shrink
from tests.compiler.fuzz.worker import checked
from tests.fuzz.common import Findings, Mismatch

TIMEOUT = 120.0  # seconds for one program
FRESH = 500  # programs that one process checks


class Worker:
    """A process that checks programs."""

    def __init__(self, large: bool = False) -> None:
        self.process: Any = None
        self.left = 0
        self.large = " large" if large else ""

    def ask(self, seed: int) -> dict[str, Any]:
        """The answer for a seed; a crash or a hang is one too."""
        if self.left == 0:
            self.start()
        self.left -= 1
        with contextlib.suppress(BrokenPipeError):  # it has died already, and says nothing
            self.process.stdin.write(f"{seed}{self.large}\n")
            self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], TIMEOUT)
        line = self.process.stdout.readline() if ready else ""
        if line:
            return json.loads(line)
        code = self.process.poll() if ready else None
        self.stop()
        kind = "died" if ready else "hang"
        detail = f"exit status {code}" if ready else f"more than {TIMEOUT:.0f} s"
        return {"seed": seed, "eager": None, "captured": 0, "seconds": 0.0,
                "mismatch": {"kind": kind, "detail": detail, "reason": None}}  # fmt: skip

    def start(self) -> None:
        """A new process."""
        self.stop()
        command = [sys.executable, "-m", "tests.compiler.fuzz.worker"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.left = FRESH

    def stop(self) -> None:
        """End the process."""
        self.left = 0
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            self.process.stdout.close()
            self.process = None


class Report(Findings):
    """What a run has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.eager: Counter[str] = Counter()

    def add(self, answer: dict[str, Any]) -> Mismatch | None:
        """Note an answer; a mismatch that is not accepted."""
        self.counts["programs"] += 1
        self.counts["captured"] += answer["captured"]
        if answer["eager"] is not None:
            self.eager[re.sub(r"fuzz|\S+:\d+|\d+", "#", answer["eager"])[:110]] += 1
        found = answer.get("mismatch")
        mismatch = None if found is None else Mismatch(**found)
        self.note(answer["seed"], mismatch)
        return None if mismatch is None or mismatch.reason else mismatch

    def remarks(self) -> list[str]:
        """Why programs ran eagerly."""
        return [f"{n:5d} eager: {why}" for why, n in self.eager.most_common()]


def answers(options: Any) -> Iterator[dict[str, Any]]:
    """Those of all seeds, in order."""
    free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    workers = [Worker(options.large) for _ in range(options.jobs)]
    for worker in workers:
        free.put(worker)

    def ask(seed: int) -> dict[str, Any]:
        worker = free.get()
        try:
            return worker.ask(seed)
        finally:
            free.put(worker)

    pool = ThreadPoolExecutor(options.jobs)
    try:
        yield from pool.map(ask, range(options.start, options.start + options.count))
    finally:
        pool.shutdown(cancel_futures=True)
        for worker in workers:
            worker.stop()


def shortest(program: Program, kind: str) -> Program:
    """The program, cut to what shows the same kind of mismatch."""

    def shows(p: Program) -> bool:
        found = checked(p).mismatch
        return found is not None and found.kind == kind and not found.reason

    return shrink(program, shows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--start", type=int, default=0, help="first seed")
    parser.add_argument("--count", type=int, default=1000, help="number of programs")
    parser.add_argument("--large", action="store_true", help="tensors of up to 150,000 elements")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so long")
    parser.add_argument("--show", action="store_true", help="print the programs")
    parser.add_argument("--shrink", type=int, default=3, help="how many mismatches to shrink")
    options = parser.parse_args()
    pipeline.checking = True
    report, begin, to_shrink = Report(), time.perf_counter(), options.shrink
    for answer in answers(options):
        seed = answer["seed"]
        if options.show:
            print(f"# seed {seed}\n{generate(seed, options.large).source()}\n")
        found = report.add(answer)
        if report.counts["programs"] % 1000 == 0:
            print(f"{report.counts['programs']} programs", flush=True)
        if time.perf_counter() - begin > options.seconds:
            break
        if found is None:
            continue
        print(f"seed {seed}: {found}", flush=True)
        if to_shrink and found.kind not in ("died", "hang"):  # in this process, which must survive
            to_shrink -= 1
            small = shortest(generate(seed, options.large), found.kind)
            print(f"\n# seed {seed}\n{small.source()}\n# {checked(small).mismatch}\n", flush=True)
    print(f"{report}\n{time.perf_counter() - begin:.0f} s")
    sys.exit(bool(report.found))


if __name__ == "__main__":
    main()
