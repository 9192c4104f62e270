"""Cases of convolutions, and how a graph of one node is run natively and by its op."""

import numpy as np

from rushlight.compiler import pipeline
from rushlight.compiler.backends.llvm import launch
from rushlight.compiler.graph import Graph, Input, Node
from rushlight.compiler.program import empty_outputs
from rushlight.core.native import without_kernels
from rushlight.ops import conv as C

# channels and outputs of a group, groups, images, space, kernel, stride, padding, dilation
CONVOLUTIONS = {
    "one": (1, 1, 1, 1, (1, 1), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    "lenet1": (1, 6, 1, 3, (28, 28), (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1)),
    "lenet2": (6, 16, 1, 4, (14, 14), (5, 5), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    "padded": (17, 20, 1, 2, (9, 11), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    "stride": (5, 9, 1, 3, (13, 10), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    "stride3": (3, 4, 1, 2, (23, 17), (5, 4), (3, 4), ((2, 2), (0, 1)), (1, 1)),
    "parts alike": (3, 5, 2, 2, (29, 26), (8, 6), (4, 5), ((3, 2), (1, 1)), (1, 1)),
    "many parts": (2, 3, 1, 2, (40, 33), (12, 9), (11, 8), ((2, 0), (0, 3)), (1, 1)),
    "parts without taps": (2, 3, 1, 2, (20, 33), (5, 5), (7, 7), ((2, 0), (0, 3)), (1, 1)),
    "dilation": (4, 7, 1, 2, (15, 14), (3, 2), (1, 1), ((2, 2), (1, 1)), (2, 3)),
    "both": (4, 7, 1, 2, (19, 21), (3, 3), (2, 3), ((2, 2), (1, 1)), (3, 2)),
    "pointwise": (40, 33, 1, 3, (7, 5), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    "pointwise groups": (12, 9, 3, 2, (7, 5), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    "pointwise stride": (16, 24, 1, 3, (8, 8), (1, 1), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    "pointwise, few": (3, 5, 1, 2, (20, 21), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    "pointwise, one image": (4, 1, 1, 1, (30,), (1,), (1,), ((0, 0),), (1,)),
    "groups": (5, 3, 3, 2, (9, 9), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    "depthwise": (1, 1, 19, 2, (12, 9), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    "depthwise, rows share": (1, 1, 7, 2, (21, 37), (5, 4), (1, 1), ((2, 2), (1, 2)), (1, 1)),
    "depthwise, tall": (1, 1, 3, 2, (40, 18), (35, 2), (1, 1), ((9, 8), (0, 0)), (1, 1)),
    "depthwise, strides": (1, 1, 5, 2, (30, 41), (7, 5), (2, 3), ((3, 3), (2, 1)), (1, 1)),
    "depthwise, dilation": (1, 1, 5, 2, (30, 41), (3, 3), (1, 1), ((2, 2), (3, 3)), (2, 3)),
    "depthwise stride": (1, 2, 5, 2, (12, 9), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    "narrow planes": (1, 1, 21, 3, (5, 4), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    "narrow planes, 7x7": (1, 1, 16, 2, (7, 4), (7, 7), (1, 1), ((3, 3), (3, 3)), (1, 1)),
    "narrow planes, stride": (1, 1, 35, 2, (9, 8), (5, 3), (2, 2), ((2, 1), (1, 1)), (1, 1)),
    "narrow planes, dilation": (1, 1, 24, 2, (8, 4), (3, 2), (1, 1), ((0, 1), (0, 0)), (3, 2)),
    "narrow line": (1, 1, 40, 3, (9,), (5,), (3,), ((2, 2),), (1,)),
    "small planes": (70, 30, 1, 7, (4, 4), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    "tiny planes": (8, 8, 1, 9, (2, 2), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    "wide": (3, 5, 1, 2, (6, 70), (2, 3), (1, 1), ((0, 0), (3, 0)), (1, 1)),
    "many positions": (2, 3, 1, 1, (40, 41), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    "line": (4, 6, 1, 3, (50,), (5,), (2,), ((2, 2),), (1,)),
    "long rows": (32, 32, 1, 4, (5, 40), (1, 11), (1, 1), ((0, 0), (5, 5)), (1, 1)),
    "long columns of groups": (32, 32, 2, 3, (37, 4), (10, 1), (1, 1), ((4, 12), (0, 0)), (1, 1)),
    "row of many vectors": (3, 5, 1, 2, (1003,), (3,), (1,), ((1, 1),), (1,)),
    "row of many vectors, stride": (3, 5, 1, 2, (1403,), (5,), (3,), ((1, 2),), (1,)),
    "row of many patches": (2, 4, 1, 1, (16 * 300,), (16,), (16,), ((0, 0),), (1,)),
    "row of many vectors, groups": (1, 1, 6, 2, (901,), (4,), (2,), ((3, 0),), (1,)),
    "long line": (32, 48, 1, 5, (150,), (17,), (1,), ((2, 0),), (1,)),
    "one window": (16, 12, 1, 6, (5, 4), (5, 4), (3, 1), ((0, 0), (0, 0)), (1, 1)),
    "one window, cube": (5, 24, 1, 8, (2, 3, 1), (2, 3, 1), (1, 1, 2), ((0, 0),) * 3, (1, 1, 1)),
    "one window, pixel": (24, 20, 1, 18, (1, 1), (1, 1), (1, 1), ((0, 0), (0, 0)), (2, 1)),
    "only borders": (3, 2, 1, 2, (1,), (1,), (2,), ((1, 1),), (2,)),
    "images": (6, 16, 1, 32, (14, 14), (5, 5), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    "more images": (1, 6, 1, 67, (9, 10), (5, 5), (1, 1), ((2, 2), (2, 1)), (1, 1)),
    "images, stride": (5, 7, 2, 70, (11, 10), (4, 5), (3, 2), ((1, 2), (2, 0)), (1, 1)),
    "images, dilation": (9, 13, 1, 32, (12, 13), (3, 9), (1, 1), ((4, 4), (0, 8)), (3, 1)),
    "images, depthwise": (1, 1, 10, 32, (9, 8), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    "tiles": (16, 48, 1, 3, (12, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    "odd tiles": (32, 16, 1, 5, (9, 11), (3, 3), (1, 1), ((1, 0), (0, 2)), (1, 1)),
    "one tile": (64, 32, 1, 70, (4, 4), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    "many channels": (256, 32, 1, 5, (8, 7), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    "strips of tiles": (16, 32, 1, 1, (50, 45), (3, 3), (1, 1), ((2, 2), (2, 2)), (1, 1)),
    "tiles, stride": (16, 48, 1, 3, (16, 16), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    "odd tiles, stride": (32, 16, 1, 15, (15, 23), (3, 3), (2, 2), ((2, 2), (0, 1)), (1, 1)),
    "strips, stride": (32, 32, 1, 1, (70, 81), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    "tiles, 5x5": (16, 48, 1, 3, (12, 8), (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1)),
    "tiles, 2x2": (16, 48, 1, 13, (14, 9), (2, 2), (1, 1), ((1, 0), (0, 1)), (1, 1)),
    "tiles, 4x4": (32, 16, 1, 5, (13, 11), (4, 4), (1, 1), ((1, 2), (2, 1)), (1, 1)),
    "tiles of groups": (16, 32, 3, 3, (17, 13), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    "tiles of groups, stride": (32, 32, 2, 15, (16, 24), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    "tiles of few channels": (13, 64, 1, 4, (15, 19), (4, 4), (1, 1), ((0, 1), (2, 0)), (1, 1)),
    "many weights": (176, 176, 1, 2, (22, 23), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    "tiles of a line": (48, 64, 1, 20, (5, 19), (1, 7), (1, 1), ((0, 0), (3, 3)), (1, 1)),
    "tiles of columns": (32, 32, 1, 3, (23, 6), (5, 1), (1, 1), ((2, 1), (0, 0)), (1, 1)),
    "tiles, one dim": (48, 32, 1, 3, (75,), (3,), (1,), ((2, 0),), (1,)),
    "tiles, stride in one dim": (128, 128, 1, 20, (90,), (3,), (2,), ((1, 1),), (1,)),
    "tiles, 2x4": (32, 48, 1, 3, (11, 14), (2, 4), (1, 1), ((0, 1), (2, 1)), (1, 1)),
    "smaller tiles": (64, 64, 1, 70, (6, 3), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    "smaller tiles, stride": (64, 64, 1, 70, (5, 14), (3, 3), (2, 2), ((1, 1), (1, 0)), (1, 1)),
    "phases": (16, 64, 1, 2, (25, 30), (7, 7), (2, 2), ((3, 3), (3, 2)), (1, 1)),
    "phases, borders": (6, 96, 1, 3, (32, 29), (11, 7), (4, 3), ((5, 0), (1, 0)), (1, 1)),
    "phases of groups": (8, 96, 2, 3, (29, 31), (5, 5), (2, 2), ((0, 0), (0, 1)), (1, 1)),
    "tiny tiles": (64, 64, 1, 70, (3, 2), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    "pairs of groups": (8, 8, 4, 3, (21, 14), (3, 3), (1, 1), ((1, 1), (1, 0)), (1, 1)),
    "pairs of groups, 5x5": (12, 8, 2, 3, (13, 14), (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1)),
    "patches": (16, 160, 1, 2, (10, 9), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    "patches of groups": (12, 160, 2, 2, (12, 9), (3, 3), (3, 3), ((0, 0), (0, 0)), (1, 1)),
    "patches as wide as vectors": (
        3,
        20,
        1,
        2,
        (32, 49),
        (16, 16),
        (16, 16),
        ((0, 0),) * 2,
        (1, 1),
    ),
    "patches that overlap": (2, 5, 1, 2, (37, 53), (20, 19), (16, 16), ((0, 0),) * 2, (1, 1)),
    "side by side": (96, 160, 1, 4, (5, 4), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    "side by side, groups": (64, 96, 2, 6, (3, 3), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    "side by side, stride": (96, 160, 1, 4, (9, 8), (1, 1), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    "side by side, patches": (24, 160, 2, 8, (6, 7), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    "apart": (64, 64, 1, 2, (17, 25), (3, 3), (1, 1), ((2, 2), (3, 1)), (2, 3)),
    "apart, padding that is no multiple": (
        64,
        64,
        1,
        2,
        (27, 26),
        (3, 3),
        (1, 1),
        ((7, 2), (3, 13)),
        (4, 6),
    ),
    "apart, 5x5": (48, 80, 1, 2, (9, 25), (5, 5), (1, 1), ((0, 2), (2, 2)), (1, 2)),
    "pointwise exchanged": (40, 12, 1, 3, (17, 15), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    "cube": (3, 5, 1, 2, (5, 6, 7), (3, 3, 3), (1, 1, 1), ((1, 1), (1, 1), (1, 1)), (1, 1, 1)),
    "cube, tiles": (16, 16, 1, 2, (3, 8, 8), (2, 3, 3), (1, 1, 1), ((1, 1),) * 3, (1, 1, 1)),
    "cube, stride": (
        4,
        6,
        2,
        2,
        (7, 8, 5),
        (3, 2, 3),
        (2, 1, 2),
        ((0, 1), (1, 0), (1, 1)),
        (1, 1, 1),
    ),
    "cube, stride 3": (
        4,
        6,
        1,
        2,
        (9, 4, 5),
        (2, 2, 3),
        (3, 1, 1),
        ((2, 0), (0, 0), (1, 1)),
        (1, 1, 1),
    ),
    "cube, dilation": (
        3,
        4,
        1,
        1,
        (9, 8, 7),
        (3, 2, 2),
        (2, 1, 1),
        ((3, 2), (0, 0), (1, 1)),
        (3, 2, 1),
    ),
    "cube, depthwise": (1, 2, 6, 2, (4, 5, 6), (3, 3, 3), (1, 1, 1), ((1, 1),) * 3, (1, 1, 1)),
    "cube, depth alone": (
        4,
        5,
        2,
        2,
        (6, 4, 5),
        (3, 1, 1),
        (2, 1, 1),
        ((1, 1), (0, 0), (0, 0)),
        (1, 1, 1),
    ),
    "cube, width alone": (
        4,
        5,
        1,
        2,
        (3, 4, 9),
        (1, 1, 3),
        (1, 1, 2),
        ((0, 0), (0, 0), (1, 1)),
        (1, 1, 2),
    ),
    "cube, pointwise": (9, 5, 1, 2, (3, 4, 5), (1, 1, 1), (1, 1, 1), ((0, 0),) * 3, (1, 1, 1)),
    "cube, pointwise stride": (
        9,
        5,
        1,
        2,
        (5, 4, 5),
        (1, 1, 1),
        (2, 2, 2),
        ((0, 0),) * 3,
        (1, 1, 1),
    ),
    "strips, 5x5": (32, 16, 1, 1, (31, 40), (5, 5), (1, 1), ((0, 4), (1, 2)), (1, 1)),
}


# those that are made of transforms, with vectors of either width
TRANSFORMED = (
    "tiles",
    "odd tiles",
    "one tile",
    "many channels",
    "strips of tiles",
    "tiles, stride",
    "odd tiles, stride",
    "strips, stride",
    "tiles, 5x5",
    "strips, 5x5",
    "tiles, 2x2",
    "tiles, 4x4",
    "tiles of groups",
    "tiles of groups, stride",
    "many weights",
    "tiles of a line",
    "tiles of columns",
    "tiles, one dim",
    "tiles, stride in one dim",
    "tiles, 2x4",
    "smaller tiles",
    "smaller tiles, stride",
    "tiny tiles",
)


# vectors hold channels
NARROW = tuple([case for case in CONVOLUTIONS if case.startswith("narrow")])


# vectors hold images
BATCHED = (
    "images",
    "more images",
    "images, stride",
    "images, dilation",
    "images, depthwise",
)


RNG = np.random.default_rng(0)


def graph_of(op, inputs, params, outputs):
    """A graph of one node: inputs are arrays or None, outputs (shape, dtype)."""
    g = Graph()
    values = [None if a is None else g.value(a.shape, a.dtype) for a in inputs]
    g.inputs = [Input(v, "argument", k) for k, v in enumerate(values) if v is not None]
    outs = [g.value(*o) for o in outputs]
    g.nodes = [Node(op.instance, values, params, outs)]
    g.results = outs
    return g


def both(op, inputs, params, outputs):
    """What native code and the op itself compute."""
    g = graph_of(op, inputs, params, outputs)
    native = pipeline.build(g, "llvm")
    assert native.native_only
    got, want = empty_outputs(g), empty_outputs(g)
    arrays = [a for a in inputs if a is not None]
    native.run(arrays, got)
    with without_kernels():
        pipeline.build(g, "reference").run(arrays, want)
    return list(zip(got, want, strict=True))


def three(x, w, y, options):
    """The op, inputs, options and result's shape of the three kernels of a convolution."""
    yield C.Conv, [x, w, None], options, y.shape
    yield C.ConvInput, [y, w, None], {"space": x.shape[2:], **options}, x.shape
    yield C.ConvWeight, [x, y], {"kernel": w.shape[2:], **options}, w.shape


def same_bits(op, inputs, params, outputs, threads, monkeypatch):
    """Run with one to three threads, which share even the least work."""
    monkeypatch.setattr(launch, "PATIENT", 0.0)
    monkeypatch.setattr(launch, "CHUNK", 1e-3)
    g = graph_of(op, inputs, params, outputs)
    native, found = pipeline.build(g, "llvm"), empty_outputs(g)
    bits = set()
    for count in (1, 2, 3):
        threads(count)
        for _ in range(3):
            native.run([a for a in inputs if a is not None], found)
            bits.add(b"".join([a.tobytes() for a in found]))
    assert len(bits) == 1


def draw(shape, d):
    return RNG.standard_normal(shape).astype(d)


def close(got, want, d):
    scale = np.abs(want).max() + 1e-6
    assert np.abs(got - want).max() <= scale * (3e-6 if d == np.float32 else 1e-14) * 5


def convolution(case, d):
    """Arrays and options of a case."""
    c, o, groups, n, space, kernel, stride, padding, dilation = CONVOLUTIONS[case]
    size = [s + a + b for s, (a, b) in zip(space, padding, strict=True)]
    out = tuple(
        [
            (s - e * (k - 1) - 1) // t + 1
            for s, k, t, e in zip(size, kernel, stride, dilation, strict=True)
        ]
    )
    x, w, y = (n, c * groups, *space), (o * groups, c, *kernel), (n, o * groups, *out)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return [draw(s, d) for s in (x, w, y)], options
