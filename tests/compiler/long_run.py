"""A million compiled steps in one process: memory stays flat, and results do not depend on threads.

python -m tests.compiler.long_run                    two processes, one with a single thread
python -m tests.compiler.long_run --steps 20000 --width 256 --batch 512    where threads share work
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import time
from pathlib import Path

import rushlight as rl
from rushlight import nn
from rushlight.nn import functional as F

ALLOWED = 2 << 20  # bytes by which the process may grow after the first tenth


def resident() -> int:
    """Bytes of memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def train(steps: int, width: int, size: int) -> str:
    """Train a small model; prints the memory on the way and returns a digest of all state."""
    rl.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, width), nn.Tanh(), nn.Linear(width, 3))
    optimizer = rl.optim.Adam(model.parameters(), lr=1e-3)
    batches = [(rl.randn(size, 8), rl.randint(0, 3, (size,))) for _ in range(32)]

    @rl.compile(fullgraph=True)
    def step(x: rl.Tensor, y: rl.Tensor) -> rl.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    kept, start, settled = [], time.perf_counter(), 0
    for k in range(steps):
        x, y = batches[k % 32]
        if k % 1000 == 999:  # a schedule, a smaller batch, a result that is kept
            optimizer.param_groups[0]["lr"] = 1e-3 / (1 + k / steps)
            x, y = x[: size // 3], y[: size // 3]
        loss = step(x, y)
        if k % 1000 == 0:
            kept = [*kept[-9:], loss]
        if (k + 1) % max(1, steps // 10) == 0:
            now, seconds = resident(), time.perf_counter() - start
            settled = settled or now
            print(f"{k + 1:9d} steps  {seconds:7.1f} s  {now / 2**20:8.2f} MiB", flush=True)
    grown = resident() - settled
    assert grown <= ALLOWED, f"memory grew by {grown} bytes after the first tenth"
    assert step._compiled.traces == 2, step._compiled.reasons
    digest = hashlib.sha256()
    for t in (*model.state_dict().values(), *kept):
        digest.update(t.detach().numpy().tobytes())
    for state in optimizer.state_dict()["state"].values():
        for t in state.values():
            digest.update(t.numpy().tobytes())
    return digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=16, help="of the hidden layer")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=0, help="run here, with so many threads")
    options = parser.parse_args()
    if options.threads:
        rl.set_num_threads(options.threads)
        print(train(options.steps, options.width, options.batch))
        return
    digests = []
    for threads in (2, 1):
        command = [sys.executable, "-m", "tests.compiler.long_run", "--threads", str(threads)]
        for name in ("steps", "width", "batch"):
            command += [f"--{name}", str(getattr(options, name))]
        print(f"{threads} threads", flush=True)
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        print(out, flush=True)
        digests.append(out.split()[-1])
    assert digests[0] == digests[1], "results depend on the number of threads"
    print("results are equal, memory is flat")


if __name__ == "__main__":
    main()
