"""Compiled matrix products beside torch.mm and torch.bmm (MKL), on one thread, in one process.

A case is two letters, N for a matrix that lies by rows and T for one by columns, and sizes m, n, k
of an (m, k) times a (k, n) matrix; `48 x` before it makes a batch. The kernels are called as
compiled programs call them, without Python around each product. Results are compared with float64
first; then rounds alternate between the two. A ratio is torch's median time / ours: above 1 is
faster; that of the best times suffers less from other work on the machine.

    python benchmarks/gemm.py [--random 100] [--seed 0] [--rounds 15] [--only REGEX] [--out FILE]

Random shapes are drawn beside the named ones, so that nothing is tuned to what is measured. The
exit status is 1 when a result differs. The goal: a median of 1.0, no ratio below 0.9.
"""

import argparse
import ctypes
import json
import os
import random
import re
import statistics
import sys
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402
import torch  # noqa: E402

from rushlight.compiler.backends.llvm import jit  # noqa: E402
from rushlight.compiler.backends.llvm.products import gemm, product  # noqa: E402
from rushlight.compiler.memory import address, aligned  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from eager import environment  # noqa: E402

NAMED = """
    mlp forward: NT 256 256 784; mlp weight: TN 256 784 256; mlp input: NN 256 784 256
    mlp head: NT 256 10 256; head weight: TN 10 256 256; head input: NN 256 256 10
    cube: NN 256 256 256; cube NT: NT 256 256 256; cube TN: TN 256 256 256; cube TT: TT 256 256 256
    gpt qkv: NT 768 384 128; gpt up: NT 768 512 128; gpt down: NT 768 128 512
    gpt vocab: NT 768 65 128; vocab weight: TN 65 128 768; vocab input: NN 768 128 65
    qkv weight: TN 384 128 768; qkv input: NN 768 128 384
    up weight: TN 512 128 768; down input: NN 768 512 128
    scores: 48 x NT 64 64 32; attention: 48 x NN 64 32 64; attention TN: 48 x TN 64 32 64
    gru step: NT 32 768 256; gru input: NN 32 256 768; gru all: NT 1120 768 256
    gru weight: TN 768 256 1120
    large: NN 1024 1024 1024; large NT: NT 1024 1024 1024; large TN: TN 1024 1024 1024
    wide: NT 512 3072 768; wide weight: TN 3072 768 512; wide input: NN 512 768 3072
    one row: NT 1 256 784; one row head: NT 1 10 256; one row input: NN 1 784 256
    one column: NN 1000 1 500; outer: NN 300 400 1; linreg: NN 10 1 2; softmax: NT 256 10 784
    tall: TN 256 10 256; tall NN: NN 2000 16 64; deep: NN 30 30 5000; odd: NN 101 67 253
"""
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-13}


def read(text):
    """Cases (name, layouts, (m, n, k), batch)."""
    cases = []
    for line in text.replace("\n", ";").split(";"):
        if line.strip():
            name, _, rest = line.partition(":")
            *batch, layouts, m, n, k = rest.replace(" x", "").split()
            batch = tuple(int(b) for b in batch)
            cases.append((name.strip(), layouts, (int(m), int(n), int(k)), batch))
    return cases


def drawn(count, seed):
    """Random cases: sizes up to 2048, every other a round one, of moderate work."""
    rng, cases = random.Random(seed), []
    while len(cases) < count:
        sizes = [
            rng.choice((16, 32, 64, 128, 256, 512, 1024))
            if rng.random() < 0.3
            else int(2 ** rng.uniform(0, 11))
            for _ in range(3)
        ]
        batch = (rng.choice((2, 3, 12, 48)),) if rng.random() < 0.2 else ()
        m, n, k = sizes
        total = int(np.prod(batch, dtype=int))
        if total * m * n * k <= 1e8 and total * (m * n + m * k + n * k) <= 8e6:
            layouts = rng.choice(("NN", "NT", "TN", "TT"))
            cases.append(("random", layouts, (m, n, k), batch))
    return cases


class Case:
    """Operands, and both ways to multiply them."""

    def __init__(self, layouts, sizes, batch, dtype):
        rng = np.random.default_rng(0)
        m, n, k = self.sizes = sizes
        self.batch = batch
        self.flops = 2 * m * n * k * int(np.prod(batch, dtype=int))
        self.memory = []
        a, b = (
            self.operand(rng, m, k, layouts[0], dtype),
            self.operand(rng, k, n, layouts[1], dtype),
        )
        self.c = self.array((*batch, m, n), dtype)
        self.want = np.matmul(a.astype(np.float64), b.astype(np.float64))
        self.a, self.b = torch.from_numpy(a), torch.from_numpy(b)
        self.out = torch.empty(self.c.shape, dtype=self.a.dtype)
        steps = [(m * k,), (k * n,)] if batch else [(), ()]
        distances = [k if layouts[0] == "N" else m, n if layouts[1] == "N" else k]
        rows = [letter == "N" for letter in layouts]
        shape = gemm.Matrices(m, n, k, distances[0], rows[0], distances[1], rows[1], batch, *steps)
        start = time.perf_counter()
        ir, units, scratch, *_ = product.written(shape, np.dtype(dtype), jit.vector_bits())
        (code,) = jit.kernels([ir])
        self.compile_ms = (time.perf_counter() - start) * 1e3
        self.at = np.array([address(x) for x in self.memory], np.int64)
        self.scratch = aligned(scratch)
        self.kernel = ctypes.CFUNCTYPE(
            None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p
        )(code)
        values = address(self.at), 0, units, address(self.scratch)
        kinds = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p
        self.arguments = [kind(value) for kind, value in zip(kinds, values, strict=True)]

    def array(self, shape, dtype):
        """Memory that begins at a cache line, as torch's does."""
        size = int(np.prod(shape, dtype=int)) * np.dtype(dtype).itemsize
        array = aligned(size).view(dtype).reshape(shape)
        self.memory.append(array)
        return array

    def operand(self, rng, rows, columns, letter, dtype):
        """A random operand in its layout."""
        shape = (rows, columns) if letter == "N" else (columns, rows)
        array = self.array((*self.batch, *shape), dtype)
        array[...] = rng.standard_normal(array.shape)
        return array if letter == "N" else array.swapaxes(-1, -2)

    def ours(self):
        self.kernel(*self.arguments)

    def torch(self):
        (torch.bmm if self.batch else torch.mm)(self.a, self.b, out=self.out)

    def differs(self, dtype):
        """How far both results are from float64's, relative to the largest element."""
        self.c.fill(np.nan)
        self.ours()
        self.torch()
        scale = np.abs(self.want).max()
        errors = [np.abs(x - self.want).max() / scale for x in (self.c, self.out.numpy())]
        return not max(errors) <= TOLERANCE[dtype]

    def times(self, rounds, seconds):
        """Seconds of each round, ours and torch's in turn: of this thread, whatever else runs."""
        start = time.thread_time()
        self.torch()
        count = max(1, int(seconds / (time.thread_time() - start)))
        found = [], []
        for _ in range(rounds):
            for run, mine in zip((self.ours, self.torch), found, strict=True):
                start = time.thread_time()
                for _ in range(count):
                    run()
                mine.append((time.thread_time() - start) / count)
        return found


def measure(case, dtype, rounds, seconds):
    """One row of results."""
    name, layouts, sizes, batch = case
    c = Case(layouts, sizes, batch, dtype)
    row = {"name": name, "layouts": layouts, "sizes": sizes, "batch": batch}
    row |= {"dtype": np.dtype(dtype).name, "equal": not c.differs(dtype)}
    ours, theirs = c.times(rounds, seconds)
    row |= {
        "ratio": round(statistics.median(theirs) / statistics.median(ours), 3),
        "ratio of best": round(min(theirs) / min(ours), 3),
        "us": round(min(ours) * 1e6, 2),
        "gflops": round(c.flops / min(ours) / 1e9, 1),
        "compile_ms": round(c.compile_ms, 1),
    }
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--random", type=int, default=60, help="random shapes for each dtype")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=2e-4, help="of a round, at least")
    parser.add_argument("--only", default="", help="names of cases to measure")
    parser.add_argument("--out", help="JSON file to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for dtype in (np.float32, np.float64):
        cases = read(NAMED) + drawn(options.random, options.seed)
        for case in [c for c in cases if re.search(options.only, c[0])]:
            row = measure(case, dtype, options.rounds, options.seconds)
            rows.append(row)
            sizes = " x ".join([str(n) for n in (*row["batch"], *row["sizes"])])
            print(
                f"{row['name']:14} {row['dtype']} {row['layouts']} {sizes:22} "
                f"{row['ratio']:6.2f} {row['ratio of best']:6.2f} {row['gflops']:7.1f} GF/s",
                f"{row['compile_ms']:6.0f} ms" + ("" if row["equal"] else "  DIFFERS"),
                flush=True,
            )
    summary = {}
    for dtype in ("float32", "float64"):
        for kind in ("named", "random"):
            mine = [r for r in rows if r["dtype"] == dtype]
            mine = [r for r in mine if (r["name"] == "random") == (kind == "random")]
            for key in ("ratio", "ratio of best"):
                if mine:
                    ratios = [r[key] for r in mine]
                    values = {"median": round(statistics.median(ratios), 3), "worst": min(ratios)}
                    summary[f"{kind} {dtype}: {key}"] = {"count": len(ratios), **values}
    for kind, values in summary.items():
        print(kind, *[f"{key} {value}" for key, value in values.items()])
    if options.out:
        record = {"environment": environment(), "summary": summary, "products": rows}
        Path(options.out).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    sys.exit(not all([r["equal"] for r in rows]))


if __name__ == "__main__":
    main()
