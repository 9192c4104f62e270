"""Kill a process while it saves, again and again, and look at the file after each time.

    python tests/serialization/kill_during_save.py [times] [seed]

A child saves checkpoints to one path, as fast as it can: each holds its number, in a tensor of 8
MB and outside it. After every finished save it tells the number. The parent kills it at a random
moment and loads the file, which must be whole and as new as the last number told. At the end
nothing but the checkpoint may lie in the folder after one more save.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

CHILD = """
import sys
import rushlight as torch
from rushlight.serialization import save

path, number = sys.argv[1], int(sys.argv[2])
while True:
    save({"number": number, "values": torch.full((2_000_000,), float(number))}, path)
    print(number, flush=True)
    number += 1
"""


def check(path, least):
    """The number in the file, which must be whole and no older than ``least``."""
    from rushlight.serialization import load

    saved = load(path)
    number, values = saved["number"], saved["values"]._array
    assert number >= least, f"{number} is older than {least}, which had been saved"
    assert values.size == 2_000_000 and (values == number).all(), "two checkpoints mixed"
    return number


def kill_once(path, number, seconds):
    """Save from ``number`` on for about so long; the last number that the child told."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), str(number)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    told = [child.stdout.readline()]  # starting up is not what is tested
    time.sleep(seconds)
    child.kill()
    told += child.stdout.readlines()
    child.wait()
    child.stdout.close()
    lines = [line for line in told if line.endswith(b"\n")]
    assert lines, "the child failed"
    return int(lines[-1])


def run(times, seed):
    """Kill ``times`` savers; how many of them were in the middle of a save."""
    dice = random.Random(seed)
    interrupted = 0
    with tempfile.TemporaryDirectory() as folder:
        path, number = Path(folder, "checkpoint.pt"), 0
        for _ in range(times):
            last = kill_once(path, number, dice.uniform(0, 0.05))
            interrupted += len(os.listdir(folder)) > 1
            number = check(path, last) + 1
        from rushlight.serialization import save

        save({}, path)
        assert os.listdir(folder) == ["checkpoint.pt"], os.listdir(folder)
    return interrupted


def main():
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    print(f"seed {seed}", flush=True)
    start = time.perf_counter()
    interrupted = run(times, seed)
    print(
        f"{times} processes killed while saving, {interrupted} of them with a file half "
        f"written: 0 checkpoints lost, in {time.perf_counter() - start:.0f} s"
    )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
