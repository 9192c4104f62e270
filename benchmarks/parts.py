"""Where the time of compiled steps goes, on one thread: matrix products and the share of the
processor's multiply-add peak at which they run, convolutions, attention, the rest.

    python benchmarks/parts.py [--only mlp,gpt] [--out benchmarks/parts.json]
"""

import argparse
import ctypes
import json
import math
import time
from pathlib import Path

import workloads

import rushlight as torch
from rushlight.compiler.backends.llvm import jit
from rushlight.compiler.explain import timed

MARKS = {  # parts of the names of ops
    "convolutions": ("Conv",),
    "attention": ("Attention",),
    "recurrence": ("RNN", "GRU", "LSTM"),
}
KINDS = ("products", *MARKS, "the rest")
CHAINS, REPEATS = 24, 1 << 20  # enough sums at a time to hide a multiply-add's latency


def peak():
    """Floating-point operations a second of one thread: the best of runs of nothing else."""
    lanes = jit.vector_bits() // 32
    vector = f"<{lanes} x float>"
    fma = f"@llvm.fma.v{lanes}f32"
    body = [
        f"define void @run(ptr %p, i64 %n) {{\nentry:\n  %a = load {vector}, ptr %p, align 4",
        "  br label %loop\nloop:",
        "  %i = phi i64 [0, %entry], [%j, %loop]",
        *[f"  %s{k} = phi {vector} [%a, %entry], [%t{k}, %loop]" for k in range(CHAINS)],
        *[
            f"  %t{k} = call {vector} {fma}({vector} %a, {vector} %a, {vector} %s{k})"
            for k in range(CHAINS)
        ],
        "  %j = add i64 %i, 1\n  %more = icmp ult i64 %j, %n",
        "  br i1 %more, label %loop, label %end\nend:",
        *[f"  store volatile {vector} %t{k}, ptr %p, align 4" for k in range(CHAINS)],
        f"  ret void\n}}\ndeclare {vector} {fma}({vector}, {vector}, {vector})\n",
    ]
    llvm, _, _ = jit.target()
    module = llvm.parse_assembly("\n".join(body))
    engine = llvm.create_mcjit_compiler(module, jit.machine())
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(
        engine.get_function_address("run")
    )
    numbers = torch.zeros(64)
    times = []
    for _ in range(50):
        start = time.perf_counter()
        run(numbers.data_ptr(), REPEATS)
        times.append(time.perf_counter() - start)
    return 2 * lanes * CHAINS * REPEATS / min(times)


def kind_of(step):
    """One of KINDS."""
    name = type(step.nodes[0].op).__name__
    if type(step).__name__ == "Product":
        return "products"
    for kind, marks in MARKS.items():
        if any(mark in name for mark in marks):
            return kind
    return "the rest"


def operations(step):
    """Multiplications and additions of a matrix product."""
    node = step.nodes[0]
    return 2 * math.prod(node.outputs[0].shape) * node.inputs[0].shape[-1]


def profile(name, limit):
    """Microseconds of each kind in one step, and the share of the limit that products reach."""
    compiled = []

    def compile(step):
        compiled.append(torch.compile(step))
        return compiled[-1]

    torch.manual_seed(0)
    one = workloads.ALL[name][0](torch, compile)
    for _ in range(4):
        one()
    (variants,) = compiled[0]._compiled.variants.values()
    us, work = dict.fromkeys(KINDS, 0.0), 0
    for step, _, seconds in timed(variants[0].program, variants[0].inputs):
        us[kind_of(step)] += seconds * 1e6
        if kind_of(step) == "products":
            work += operations(step)
    rate = work / us["products"] * 1e6 if work else 0
    return {"us": us, "peak": rate / limit}


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--only", default=",".join(workloads.ALL))
    options.add_argument("--out", type=Path, help="where to write the figures, as JSON")
    given = options.parse_args()
    torch.set_num_threads(1)
    limit = peak()
    record = {"peak": limit, "steps": {}}
    print(f"peak {limit / 1e9:.0f} GF/s")
    for name in given.only.split(","):
        row = record["steps"][name] = profile(name, limit)
        parts = ", ".join([f"{kind} {us:.0f}" for kind, us in row["us"].items() if us])
        print(
            f"{name:13} {sum(row['us'].values()):9.0f} us: {parts}; products at {row['peak']:.2f}"
        )
    if given.out:
        given.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
