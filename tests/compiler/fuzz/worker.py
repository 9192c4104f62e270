"""Checks the seeds that it reads from its input, one a line, perhaps with the word "large"; answers
with one line of JSON each.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import sys
import time
import traceback

import rushlight as rl
from rushlight.compiler import pipeline
from tests.compiler.fuzz.compare import Outcome, check
from tests.compiler.fuzz.growth import generate
from tests.compiler.fuzz.program import Program
from tests.fuzz.common import Mismatch


def checked(program: Program) -> Outcome:
    """Compare; what should not raise is a mismatch too."""
    try:
        outcome = check(program)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} at {where.name}:{where.lineno}"
        outcome = Outcome(Mismatch("crash", text))
    rl.compiler.reset()
    return outcome


def main() -> None:
    faulthandler.enable()
    pipeline.checking = True
    gc.freeze()  # captures look through all objects for tensors: these are none
    for line in sys.stdin:
        start, (seed, *large) = time.perf_counter(), line.split()
        outcome = checked(generate(int(seed), bool(large)))
        answer = {"seed": int(seed), "eager": outcome.eager, "captured": outcome.captured}
        answer["seconds"] = time.perf_counter() - start
        if outcome.mismatch is not None:
            answer["mismatch"] = vars(outcome.mismatch)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
