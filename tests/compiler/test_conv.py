"""Native convolution and pooling against the ops' own NumPy code, over many shapes."""

import itertools

import numpy as np
import pytest

import rushlight as rl
from rushlight.compiler import pipeline
from rushlight.compiler.backends.llvm import jit, launch, recall, templates
from rushlight.compiler.backends.llvm.convolution import batched, channels, shapes, transformed
from rushlight.compiler.graph import Graph, Input, Node
from rushlight.compiler.program import empty_outputs
from rushlight.compiler.windows import Windows
from rushlight.core.native import without_kernels
from rushlight.nn import functional as F
from rushlight.ops import conv as C, pool as P

pytest.importorskip("llvmlite")

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


@pytest.fixture
def threads():
    before = rl.get_num_threads()
    yield rl.set_num_threads
    rl.set_num_threads(before)


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


@pytest.mark.parametrize("case", TRANSFORMED + BATCHED)
def test_what_is_chosen(case):
    (x, w, y), options = convolution(case, np.float32)
    for op, inputs, params, shape in three(x, w, y, options):
        node = graph_of(op, inputs, params, [(shape, np.float32)]).nodes[0]
        for width in (256, 512):
            s = shapes.shape_of(node)
            assert transformed.suits(s, node, width) == (case in TRANSFORMED)
            assert case in TRANSFORMED or batched.suits(s, node, width)


@pytest.mark.parametrize("case", ["apart", "apart, 5x5", "apart, padding that is no multiple"])
def test_dilated_images_are_taken_apart(case):
    (x, w, y), options = convolution(case, np.float32)
    count = np.prod(options["dilation"])
    for op, inputs, params, shape in three(x, w, y, options):
        program = pipeline.build(graph_of(op, inputs, params, [(shape, np.float32)]), "llvm")
        (node,) = [s.nodes[0] for s in program.lowering.steps if type(s).__name__ == "Template"]
        assert node.inputs[0].shape[0] == count * len(x)
        assert node.params["dilation"] == (1, 1)


@pytest.mark.skipif(jit.vector_bits() < 512, reason="8 outputs fill a vector")
@pytest.mark.parametrize("case", ["pairs of groups", "pairs of groups, 5x5"])
def test_small_groups_are_joined_in_pairs(case):
    (x, w, y), options = convolution(case, np.float32)
    for op, inputs, params, shape in three(x, w, y, options):
        program = pipeline.build(graph_of(op, inputs, params, [(shape, np.float32)]), "llvm")
        (node,) = [s.nodes[0] for s in program.lowering.steps if type(s).__name__ == "Template"]
        outputs = w.shape[1] if op is C.ConvInput else w.shape[0] // options["groups"]
        assert node.params["groups"] == options["groups"] // (2 if outputs == 8 else 1)


@pytest.mark.parametrize(
    "case", ["pointwise", "pointwise groups", "pointwise stride", "patches", "patches of groups"]
)
def test_single_points_of_small_planes_are_products(case):
    (x, w, y), options = convolution(case, np.float32)
    for op, inputs, params, shape in [*three(x, w, y, options)][:2]:
        program = pipeline.build(graph_of(op, inputs, params, [(shape, np.float32)]), "llvm")
        assert "Product" in [type(s).__name__ for s in program.lowering.steps]


@pytest.mark.parametrize("case", [case for case in CONVOLUTIONS if case.startswith("one window")])
def test_a_single_window_is_a_product(case):
    (x, w, y), options = convolution(case, np.float32)
    for op, inputs, params, shape in three(x, w, y, options):
        program = pipeline.build(graph_of(op, inputs, params, [(shape, np.float32)]), "llvm")
        assert [type(s).__name__ for s in program.lowering.steps] == ["Product"]


@pytest.mark.parametrize("case", ["pointwise, few", "pointwise, one image"])
def test_gradients_of_few_weights_are_products(case):
    (x, w, y), options = convolution(case, np.float32)
    op, inputs, params, shape = [*three(x, w, y, options)][2]
    program = pipeline.build(graph_of(op, inputs, params, [(shape, np.float32)]), "llvm")
    assert type(program.lowering.steps[0]).__name__ == "Product"


def test_products_are_written_in_the_shape_of_the_result():
    (x, w, y), options = convolution("pointwise", np.float32)
    for op, inputs, params, shape in [*three(x, w, y, options)][:2]:
        program = pipeline.build(graph_of(op, inputs, params, [(shape, np.float32)]), "llvm")
        assert [type(s).__name__ for s in program.lowering.steps] == ["Product"]


@pytest.mark.parametrize("case", [case for case in CONVOLUTIONS if case.startswith("side by side")])
def test_pixels_of_all_images_are_multiplied_at_once(case):
    (x, w, y), options = convolution(case, np.float32)
    graph = graph_of(C.Conv, [x, w, None], options, [(y.shape, np.float32)])
    steps = pipeline.build(graph, "llvm").lowering.steps
    (node,) = [s.nodes[0] for s in steps if type(s).__name__ == "Product"]
    groups, rows, columns = node.outputs[0].shape
    assert (groups * rows, columns) == (w.shape[0], y.size // w.shape[0])
    assert [type(s).__name__ for s in steps] == ["Group", "Product", "Group"]


@pytest.mark.parametrize("case", ["phases", "phases, borders", "phases of groups"])
def test_strided_images_become_channels(case):
    (x, w, y), options = convolution(case, np.float32)
    many = np.prod(options["stride"])
    for op, inputs, params, shape in three(x, w, y, options):
        program = pipeline.build(graph_of(op, inputs, params, [(shape, np.float32)]), "llvm")
        (node,) = [s.nodes[0] for s in program.lowering.steps if type(s).__name__ == "Template"]
        if op is C.ConvInput and many * x.shape[1] // options["groups"] % (jit.vector_bits() // 32):
            assert node.params["stride"] == options["stride"]  # its outputs fill no vectors
            continue
        channels = node.outputs[0] if op is C.ConvInput else node.inputs[0]
        assert channels.shape[1] == many * x.shape[1]
        assert node.params["stride"] == (1, 1)


@pytest.mark.parametrize("case", [case for case in CONVOLUTIONS if case.startswith("long")])
def test_long_rows_of_taps_are_cut(case):
    (x, w, y), options = convolution(case, np.float32)
    for op, inputs, params, shape in three(x, w, y, options):
        program = pipeline.build(graph_of(op, inputs, params, [(shape, np.float32)]), "llvm")
        (node,) = [s.nodes[0] for s in program.lowering.steps if type(s).__name__ == "Template"]
        assert node.inputs[0].shape[1] == -(-max(w.shape[2:]) // 7) * inputs[0].shape[1]
        assert transformed.suits(shapes.shape_of(node), node, jit.vector_bits())


def test_kernels_that_another_process_wrote_are_read(tmp_path, monkeypatch):
    """They are those that would be written; another compiler writes its own."""
    monkeypatch.setenv("RUSHLIGHT_CACHE_DIR", str(tmp_path))
    (x, w, y), options = convolution("tiles", np.float32)
    nodes = [
        graph_of(op, inputs, params, [(shape, np.float32)]).nodes[0]
        for op, inputs, params, shape in three(x, w, y, options)
    ]
    asked = []

    def written(node, width, steps):
        asked.append(node)
        return write(node, width, steps)

    write = templates.written
    monkeypatch.setattr(templates, "written", written)

    def launches():
        monkeypatch.setattr(templates, "_written", {})
        return [templates.launches(node, 256, Windows(Graph())) for node in nodes]

    first = launches()
    assert asked == nodes
    assert launches() == first
    assert asked == nodes
    monkeypatch.setattr(recall, "compiler", lambda: "another")
    assert launches() == first
    assert asked == [*nodes, *nodes]
    monkeypatch.setattr(recall, "compiler", lambda: "")  # without sources, nothing is kept
    assert launches() == launches() == first
    assert asked == 4 * nodes


@pytest.mark.parametrize("case", TRANSFORMED)
def test_transforms_are_nearly_as_accurate_as_direct_sums(case, monkeypatch):
    """Errors against float64, relative to the results' size."""
    (x, w, y), options = convolution(case, np.float32)
    for op, inputs, params, shape in three(x, w, y, options):
        errors = []
        wide = [None if a is None else a.astype(np.float64) for a in inputs]
        exact = op.instance.forward(wide, params)
        for suits in (transformed.suits, lambda *_: False):
            monkeypatch.setattr(transformed, "suits", suits)
            monkeypatch.setattr(batched, "suits", lambda *_: False)
            monkeypatch.setenv("RUSHLIGHT_CACHE_DIR", "")  # written here, not read from there
            templates._written.clear()
            recall.recent.clear()
            g = graph_of(op, inputs, params, [(shape, np.float32)])
            native, found = pipeline.build(g, "llvm"), empty_outputs(g)
            native.run([a for a in inputs if a is not None], found)
            errors.append(np.sqrt(np.mean((found[0] - exact) ** 2)) / exact.std())
        monkeypatch.undo()
        templates._written.clear()
        assert errors[0] != errors[1]  # two kernels
        assert errors[0] < 7 * errors[1] < 3e-6, (op, errors)


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_threads_give_the_same_bits(case, threads, monkeypatch):
    (x, w, y), options = convolution(case, np.float32)
    for op, inputs, params, shape in three(x, w, y, options):
        same_bits(op, inputs, params, [(shape, np.float32)], threads, monkeypatch)


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


@pytest.mark.parametrize("d", [np.float32, np.float64])
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_forward(case, d):
    (x, w, y), options = convolution(case, d)
    for bias in (None, draw(w.shape[0], d)):
        for got, want in both(C.Conv, [x, w, bias], options, [(y.shape, d)]):
            close(got, want, d)


@pytest.mark.parametrize("d", [np.float32, np.float64])
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_gradients(case, d):
    (x, w, y), options = convolution(case, d)
    to_input = {"space": x.shape[2:], **options}
    for got, want in both(C.ConvInput, [y, w, None], to_input, [(x.shape, d)]):
        close(got, want, d)
    to_weight = {"kernel": w.shape[2:], **options}
    for got, want in both(C.ConvWeight, [x, y], to_weight, [(w.shape, d)]):
        close(got, want, d)


@pytest.mark.parametrize("case", NARROW)
def test_channels_of_narrow_planes_fill_vectors(case):
    (x, w, y), options = convolution(case, np.float32)
    for op, inputs, params, shape in three(x, w, y, options):
        node = graph_of(op, inputs, params, [(shape, np.float32)]).nodes[0]
        for width in (256, 512):
            assert channels.suits(shapes.shape_of(node), node, width)


def test_forced_avx2(monkeypatch):
    from rushlight.compiler.backends.llvm import jit

    monkeypatch.setenv(jit.CPU_VARIABLE, "x86-64-v3")
    jit.target.cache_clear()
    try:
        for case in ("lenet2", "stride", "small planes", "groups", *TRANSFORMED, *BATCHED, *NARROW):
            test_forward(case, np.float32)
            test_gradients(case, np.float32)
        for case in ("overlapping", "rows of three", "many halves"):
            test_max(case)
    finally:
        monkeypatch.delenv(jit.CPU_VARIABLE)
        jit.target.cache_clear()


# planes, space, kernel, stride, padding, dilation
POOLS = {
    "halves": ((2, 3), (8, 10), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    "odd": ((3, 2), (9, 7), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    "overlapping": ((2, 3), (13, 11), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    "dilated": ((2, 2), (13, 17), (3, 2), (1, 3), ((1, 1), (0, 0)), (2, 2)),
    "beyond": ((2, 2), (7, 7), (3, 3), (2, 2), ((0, 2), (1, 2)), (1, 1)),
    "large": ((1, 2), (20, 20), (5, 5), (5, 5), ((0, 0), (0, 0)), (1, 1)),
    "all": ((2, 5), (4, 4), (4, 4), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    "none": ((2, 5), (3, 7), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    "huge": ((1, 1), (40, 40), (17, 17), (3, 3), ((0, 0), (0, 0)), (1, 1)),
    "line": ((3, 4), (21,), (3,), (2,), ((1, 1),), (1,)),
    "row of many vectors": ((2, 2), (1501,), (3,), (2,), ((1, 1),), (1,)),
    "rows of three": ((2, 3), (11, 37), (3, 2), (3, 2), ((0, 0), (0, 0)), (1, 1)),
    "overlapping, wide": ((2, 2), (9, 63), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    "overlapping, high": ((2, 2), (40, 9), (5, 4), (3, 1), ((2, 2), (1, 2)), (1, 1)),
    "many halves": ((5, 4), (6, 64), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
}


def pooling(case):
    lead, space, kernel, stride, padding, dilation = POOLS[case]
    size = [s + a + b for s, (a, b) in zip(space, padding, strict=True)]
    out = tuple(
        [
            (s - e * (k - 1) - 1) // t + 1
            for s, k, t, e in zip(size, kernel, stride, dilation, strict=True)
        ]
    )
    options = {
        "out": out, "kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation
    }  # fmt: skip
    return (*lead, *space), (*lead, *out), options


@pytest.mark.parametrize("case", POOLS)
def test_max(case):
    shape, out, options = pooling(case)
    codes = np.uint8 if np.prod(options["kernel"]) <= 256 else np.int32
    for d, special in itertools.product((np.float32, np.float64), (False, True)):
        x = RNG.integers(-3, 4, shape).astype(d)  # with ties
        if special:
            x.flat[RNG.integers(0, x.size, 9)] = np.nan
            x.flat[RNG.integers(0, x.size, 9)] = -np.inf
        for got, want in both(P.MaxPool, [x], options, [(out, d), (out, codes)]):
            np.testing.assert_array_equal(got, want)
        for got, want in both(P.MaxPoolValues, [x], options, [(out, d)]):
            np.testing.assert_array_equal(got, want)
        g, taps = draw(out, d), want_taps(x, options)
        spread = {"space": shape, **options}
        for got, want in both(P.MaxPoolSpread, [g, taps], spread, [(shape, d)]):
            close(got, want, d)


@pytest.mark.parametrize("case", POOLS)
def test_threads_give_the_same_maxima(case, threads, monkeypatch):
    shape, out, options = pooling(case)
    codes = np.uint8 if np.prod(options["kernel"]) <= 256 else np.int32
    x = draw(shape, np.float32)
    outputs = [(out, np.float32), (out, codes)]
    same_bits(P.MaxPool, [x], options, outputs, threads, monkeypatch)
    inputs, spread = [draw(out, np.float32), want_taps(x, options)], {"space": shape, **options}
    same_bits(P.MaxPoolSpread, inputs, spread, [(shape, np.float32)], threads, monkeypatch)


def want_taps(x, options):
    return P.MaxPool.instance.forward([x], options)[1]


@pytest.mark.parametrize("pool", [F.max_pool2d, F.avg_pool2d])
def test_step_equals_eager(pool):
    """Two convolutions with pooling, trained for a few steps."""

    def train(wrap):
        rl.manual_seed(3)
        model = rl.nn.Sequential(
            rl.nn.Conv2d(2, 5, 3, padding=1), rl.nn.ReLU(), rl.nn.Conv2d(5, 4, 3, stride=2)
        )
        optimizer = rl.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        x, y = rl.randn(6, 2, 12, 12), rl.randn(6, 4, 2, 2)

        def step(x, y):
            optimizer.zero_grad()
            loss = F.mse_loss(pool(model(x), 2), y)
            loss.backward()
            optimizer.step()
            return loss

        run = wrap(step)
        losses = [run(x, y).item() for _ in range(5)]
        return losses, [p.detach().numpy() for p in model.parameters()]

    (a, p), (b, q) = train(lambda f: f), train(rl.compile)
    np.testing.assert_allclose(a, b, rtol=1e-5)
    for u, v in zip(p, q, strict=True):
        np.testing.assert_allclose(u, v, rtol=1e-4, atol=1e-6)


def test_transposed_views():
    """Inputs that do not lie one after another are copied first."""
    w, x = rl.randn(4, 3, 3, 3), rl.randn(2, 8, 3, 8)

    def f(x, w):
        return F.conv2d(x.transpose(1, 2), w.flip(-1), padding=1)

    run = rl.compile(f)
    for _ in range(3):
        got = run(x, w)
    np.testing.assert_allclose(got.numpy(), f(x, w).numpy(), rtol=1e-4, atol=1e-5)


def test_transpose():
    """Transposed convolution, with bias and output padding."""
    x, w, b = rl.randn(2, 3, 5, 6), rl.randn(3, 4, 3, 3), rl.randn(4)

    def f(x, w, b):
        return F.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1)

    run = rl.compile(f)
    for _ in range(3):
        got = run(x, w, b)
    np.testing.assert_allclose(got.numpy(), f(x, w, b).numpy(), rtol=1e-4, atol=1e-5)


def test_large_strides_have_little_code():
    """Parts that differ only in place share code, and huge kernels are left to NumPy."""

    def text(stride):
        x = rl.randn(2, 3, 4, 4)
        spec, w = x.numpy(), draw((3, 5, 2 * stride, 2 * stride), np.float32)
        size = 5 * stride
        params = {
            "space": (size, size), "stride": (stride,) * 2, "padding": ((0, 0),) * 2,
            "dilation": (1, 1), "groups": 1,
        }  # fmt: skip
        g = graph_of(C.ConvInput, [spec, w, None], params, [((2, 5, size, size), np.float32)])
        (node,) = g.nodes
        fits, write = templates.WRITERS["ConvInput"]
        return sum(len(part.ir) for part in write(node, 512)) if fits(node) else None

    assert text(12) < 1.5 * text(4) and text(17) is None


@pytest.mark.parametrize("stride", [1, 2, 5])
def test_long_rows_have_little_code(stride):
    """Audio has rows of many thousand elements, which take a loop, not code for each vector."""

    def lines(width):
        out = (width - 5) // stride + 1
        x, w, g = [draw(s, np.float32) for s in ((2, 3, width), (4, 3, 5), (2, 4, out))]
        options = {"stride": (stride,), "padding": ((0, 0),), "dilation": (1,), "groups": 1}
        pool = {"out": (out,), "kernel": (5,), **options}
        del pool["groups"]
        d = np.float32
        graphs = [
            graph_of(C.Conv, [x, w, None], options, [(g.shape, d)]),
            graph_of(C.ConvInput, [g, w, None], {**options, "space": (width,)}, [(x.shape, d)]),
            graph_of(C.ConvWeight, [x, g], {**options, "kernel": (5,)}, [(w.shape, d)]),
            graph_of(P.MaxPool, [x], pool, [((2, 3, out), d), ((2, 3, out), np.uint8)]),
        ]
        found = []
        for graph in graphs:
            (node,) = graph.nodes
            parts = templates.WRITERS[type(node.op).__name__][1](node, 512)
            found.append(sum(part.ir.count("\n") for part in parts))
        return found

    for few, many in zip(lines(3000), lines(30000), strict=True):
        assert many < 2 * few
