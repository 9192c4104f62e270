"""Times of compiled convolution and pooling beside torch's (oneDNN), on one thread.

Each shape is run forward, for the input's gradient and for the weight's. Rounds alternate between
the two, results are compared in the same run, and figures are torch's time divided by ours, as
medians over rounds: above 1, we are faster. Times are the thread's processor time, which other
programs distort less. Nothing fails here but a wrong result.

    python benchmarks/conv.py [--rounds 15] [--only lenet] [--out conv.json]
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402
import torch  # noqa: E402

import rushlight  # noqa: E402
from rushlight.compiler import pipeline  # noqa: E402
from rushlight.compiler.graph import Graph, Input, Node  # noqa: E402
from rushlight.compiler.program import empty_outputs  # noqa: E402
from rushlight.ops import conv, pool  # noqa: E402

# name: images, channels, space, outputs, kernel, stride, padding, dilation, groups
SHAPES = {
    "lenet 1": (256, 1, 28, 6, 5, 1, 2, 1, 1),
    "lenet 2": (256, 6, 14, 16, 5, 1, 0, 1, 1),
    "lenet 3": (256, 16, 5, 120, 5, 1, 0, 1, 1),
    "lenet 1, one image": (1, 1, 28, 6, 5, 1, 2, 1, 1),
    "lenet 2, one image": (1, 6, 14, 16, 5, 1, 0, 1, 1),
    "alexnet 1": (8, 3, 224, 64, 11, 4, 2, 1, 1),
    "alexnet 2": (8, 64, 27, 192, 5, 1, 2, 1, 1),
    "alexnet 3": (8, 192, 13, 384, 3, 1, 1, 1, 1),
    "vgg 1": (2, 3, 224, 64, 3, 1, 1, 1, 1),
    "vgg 2": (2, 64, 112, 128, 3, 1, 1, 1, 1),
    "vgg 3": (4, 256, 56, 256, 3, 1, 1, 1, 1),
    "vgg 5": (4, 512, 14, 512, 3, 1, 1, 1, 1),
    "resnet stem": (8, 3, 224, 64, 7, 2, 3, 1, 1),
    "resnet 3-64 32": (32, 3, 32, 64, 3, 1, 1, 1, 1),
    "resnet 64 32": (32, 64, 32, 64, 3, 1, 1, 1, 1),
    "resnet 64-128 32/2": (32, 64, 32, 128, 3, 2, 1, 1, 1),
    "resnet 128 16": (32, 128, 16, 128, 3, 1, 1, 1, 1),
    "resnet 128-256 16/2": (32, 128, 16, 256, 3, 2, 1, 1, 1),
    "resnet 256 8": (32, 256, 8, 256, 3, 1, 1, 1, 1),
    "resnet 256-512 8/2": (32, 256, 8, 512, 3, 2, 1, 1, 1),
    "resnet 512 4": (32, 512, 4, 512, 3, 1, 1, 1, 1),
    "resnet 512 7": (8, 512, 7, 512, 3, 1, 1, 1, 1),
    "resnet 512 7, one image": (1, 512, 7, 512, 3, 1, 1, 1, 1),
    "resnet 1x1 512-1024 28/2": (8, 512, 28, 1024, 1, 2, 0, 1, 1),
    "resnet 1x1 64-128 32/2": (32, 64, 32, 128, 1, 2, 0, 1, 1),
    "resnet 1x1 256-512 8/2": (32, 256, 8, 512, 1, 2, 0, 1, 1),
    "resnet 1x1 256-64 56": (4, 256, 56, 64, 1, 1, 0, 1, 1),
    "mobilenet depthwise 112": (4, 32, 112, 32, 3, 1, 1, 1, 32),
    "mobilenet depthwise 56/2": (8, 128, 56, 128, 3, 2, 1, 1, 128),
    "mobilenet depthwise 14": (8, 512, 14, 512, 3, 1, 1, 1, 512),
    "mobilenet 1x1 512 14": (8, 512, 14, 512, 1, 1, 0, 1, 1),
    "vit 16": (8, 3, 224, 768, 16, 16, 0, 1, 1),
    "dilated 64 28": (8, 64, 28, 64, 3, 1, 2, 2, 1),
    "groups 32 of 4, 56": (4, 128, 56, 128, 3, 1, 1, 1, 32),
}
# name: images, channels, space, kernel, stride, padding
POOLS = {
    "max 2, 28": (256, 6, 28, 2, 2, 0),
    "max 3/2, 112": (8, 64, 112, 3, 2, 1),
    "max 2, 56": (8, 64, 56, 2, 2, 0),
}


def compiled(op, inputs, params, shapes):
    """A function that runs one op as a compiled program, and its outputs; shapes: (shape, dtype)
    of these.
    """
    graph = Graph()
    values = [None if a is None else graph.value(a.shape, a.dtype) for a in inputs]
    graph.inputs = [Input(v, "argument", k) for k, v in enumerate(values) if v is not None]
    graph.results = [graph.value(*s) for s in shapes]
    graph.nodes = [Node(op.instance, values, params, graph.results)]
    start = time.process_time()
    program = pipeline.build(graph, "llvm")
    seconds = time.process_time() - start
    arrays, outputs = [a for a in inputs if a is not None], empty_outputs(graph)
    return (lambda: program.run(arrays, outputs)), outputs, seconds


def convolutions(name):
    """(direction, ours, our outputs, compile seconds, torch's) of a shape."""
    n, c, size, o, k, stride, padding, dilation, groups = SHAPES[name]
    out = (size + 2 * padding - dilation * (k - 1) - 1) // stride + 1
    rng = np.random.default_rng(0)
    x, w, g = [
        rng.standard_normal(s).astype(np.float32)
        for s in ((n, c, size, size), (o, c // groups, k, k), (n, o, out, out))
    ]
    tx, tw, tg = [torch.from_numpy(a) for a in (x, w, g)]
    p = {
        "stride": (stride,) * 2,
        "padding": ((padding,) * 2,) * 2,
        "dilation": (dilation,) * 2,
        "groups": groups,
    }
    f = np.dtype(np.float32)
    yield (
        "forward",
        *compiled(conv.Conv, [x, w, None], p, [(g.shape, f)]),
        lambda: torch.conv2d(tx, tw, None, stride, padding, dilation, groups),
    )

    def back(which):
        mask = [which == 0, which == 1, False]
        return lambda: torch.ops.aten.convolution_backward(
            tg, tx, tw, None, [stride] * 2, [padding] * 2, [dilation] * 2, False, [0, 0], groups,
            mask,
        )[which]  # fmt: skip

    to_input = {"space": x.shape[2:], **p}
    yield (
        "input",
        *compiled(conv.ConvInput, [g, w, None], to_input, [(x.shape, f)]),
        back(0),
    )
    to_weight = {"kernel": w.shape[2:], **p}
    yield "weight", *compiled(conv.ConvWeight, [x, g], to_weight, [(w.shape, f)]), back(1)


def pools(name):
    """As ``convolutions``, of maxima."""
    n, c, size, k, stride, padding = POOLS[name]
    out = (size + 2 * padding - k) // stride + 1
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, c, size, size)).astype(np.float32)
    g = rng.standard_normal((n, c, out, out)).astype(np.float32)
    p = {
        "out": (out,) * 2, "kernel": (k,) * 2, "stride": (stride,) * 2,
        "padding": ((padding,) * 2,) * 2, "dilation": (1, 1),
    }  # fmt: skip
    tx, tg = torch.from_numpy(x), torch.from_numpy(g)
    kinds = [(g.shape, x.dtype), (g.shape, np.dtype(np.uint8))]
    ours, outputs, seconds = compiled(pool.MaxPool, [x], p, kinds)
    aten = torch.ops.aten
    options = [k] * 2, [stride] * 2, [padding] * 2, [1, 1], False
    yield (
        "forward", ours, outputs[:1], seconds,
        lambda: aten.max_pool2d_with_indices(tx, *options)[0],
    )  # fmt: skip
    ours()
    taps, where = outputs[1].copy(), aten.max_pool2d_with_indices(tx, *options)[1]
    made = compiled(pool.MaxPoolSpread, [g, taps], {"space": x.shape, **p}, [(x.shape, x.dtype)])
    yield (
        "input",
        *made,
        lambda: aten.max_pool2d_with_indices_backward(tg, tx, *options, where),
    )


def seconds(function, repeats):
    """Processor time of one call."""
    start = time.thread_time()
    for _ in range(repeats):
        function()
    return (time.thread_time() - start) / repeats


def measure(ours, outputs, theirs, rounds):
    """Our and torch's time (median, least) in ms, the ratio, and the largest difference of results
    relative to the largest result.
    """
    ours()
    want = theirs().numpy()
    error = float(np.abs(outputs[0] - want).max() / np.abs(want).max())
    repeats = max(1, min(200, int(0.01 / max(seconds(ours, 1), seconds(theirs, 1)))))
    pairs = [(seconds(ours, repeats), seconds(theirs, repeats)) for _ in range(rounds)]
    mine, other = [[1e3 * v for v in column] for column in zip(*pairs, strict=True)]
    return {
        "ms": statistics.median(mine),
        "torch_ms": statistics.median(other),
        "ratio": statistics.median([b / a for a, b in pairs]),
        "best": min(other) / min(mine),
        "least_ms": min(mine),
        "error": error,
    }


def main():
    """Run all shapes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", help="shapes whose name contains this")
    parser.add_argument("--out", type=Path, help="a JSON file to write")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rushlight.set_num_threads(1)
    results = {}
    print(f"{'shape':26s} {'':8s} {'ms':>8s} {'torch':>8s} {'ratio':>6s} {'best':>5s} GF/s compile")
    for name in [*SHAPES, *POOLS]:
        if args.only not in name:
            continue
        work = 0.0
        if name in SHAPES:
            n, c, size, o, k, stride, padding, dilation, groups = SHAPES[name]
            out = (size + 2 * padding - dilation * (k - 1) - 1) // stride + 1
            work = 2e-6 * n * o * out * out * (c // groups) * k * k
        for kind, ours, outputs, took, theirs in (convolutions if name in SHAPES else pools)(name):
            row = measure(ours, outputs, theirs, args.rounds)
            assert row["error"] < 1e-4, (name, kind, row)
            row["gflops"], row["compile_s"] = work / row["least_ms"], took
            results[f"{name}, {kind}"] = row
            print(
                f"{name:26s} {kind:8s} {row['ms']:8.3f} {row['torch_ms']:8.3f} "
                f"{row['ratio']:6.2f} {row['best']:5.2f} {row['gflops']:4.0f} {took:6.3f}",
                flush=True,
            )
    if args.out:
        args.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
