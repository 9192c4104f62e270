"""Runs programs written for PyTorch with torch and with rushlight, and compares what they print.

    python tests/programs/runner.py PROGRAM.py...

prints the lines that differ and exits with the number of programs that have some. Text has to be
equal, numbers to 1e-4 relative or to the last digit printed.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import re
import runpy
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NUMBER = re.compile(r"[-+]?(?:\d+\.\d*(?:e[-+]?\d+)?|\.\d+|\d+e[-+]?\d+|\d+)")
RELATIVE, ABSOLUTE = 1e-4, 1e-6


def run(path, output):
    """Run one program in an empty folder, its stdout in a file; an uncaught error ends it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        open(output, "w") as stdout,
        contextlib.redirect_stdout(stdout),
        contextlib.chdir(folder),
    ):
        try:
            runpy.run_path(path, run_name="__main__")
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            print(f"UNCAUGHT {type(error).__name__}: {error} ({where.filename}:{where.lineno})")


def serve(framework, paths, folder):
    """Run every program in a fork of this process, which has imported the framework."""
    if framework == "rushlight":
        from rushlight import alias

        alias.install()
    import torch

    torch.set_num_threads(1)
    modules = ("nn.functional", "utils.data", "optim", "distributions", "autograd.functional")
    for name in modules if framework == "rushlight" else (*modules, "_dynamo"):
        importlib.import_module(f"torch.{name}")
    for path in paths:
        child = os.fork()
        if child == 0:
            run(path, Path(folder, Path(path).stem))
            os._exit(0)
        os.waitpid(child, 0)


def outputs(framework, paths):
    """What each program prints with a framework."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-W", "ignore", __file__, "--serve", framework, folder]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        subprocess.run([*command, *map(str, paths)], env=environment, check=True)
        return {path: Path(folder, Path(path).stem).read_text() for path in paths}


def close(a, b):
    """Whether two printed numbers are equal up to rounding."""
    x, y = float(a), float(b)
    digits = len(a.partition(".")[2]) if "." in a and "e" not in a + b else 9
    return (
        abs(x - y) <= max(RELATIVE * max(abs(x), abs(y)) + ABSOLUTE, 1.01 * 10.0**-digits) or x == y
    )


def skeleton(line):
    """The line without its numbers, and with single spaces."""
    return " ".join(NUMBER.sub("#", line).split())


def same(a, b):
    """Whether two lines agree."""
    numbers = zip(NUMBER.findall(a), NUMBER.findall(b), strict=False)
    return a == b or (skeleton(a) == skeleton(b) and all(close(x, y) for x, y in numbers))


def differences(expected, got):
    """The lines in which two outputs differ, as a report."""
    a, b = expected.splitlines(), got.splitlines()
    matcher = difflib.SequenceMatcher(None, [skeleton(x) for x in a], [skeleton(x) for x in b])
    report = []
    for tag, i, j, k, n in matcher.get_opcodes():
        pairs = list(zip(a[i:j], b[k:n], strict=False)) if tag == "equal" else []
        report += [f"- {x}\n+ {y}" for x, y in pairs if not same(x, y)]
        if tag != "equal":
            report += [f"- {x}" for x in a[i:j]] + [f"+ {y}" for y in b[k:n]]
    return report


def main(paths):
    """Compare the programs; how many differ."""
    expected, got = outputs("torch", paths), outputs("rushlight", paths)
    failed = 0
    for path in paths:
        report = differences(expected[path], got[path])
        failed += bool(report)
        print(path, "differs:" if report else "ok")
        print("\n".join(report[:20]), end="\n" if report else "")
    return failed


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(sys.argv[2], sys.argv[4:], sys.argv[3])
    else:
        sys.exit(main([Path(path).resolve() for path in sys.argv[1:]]))
