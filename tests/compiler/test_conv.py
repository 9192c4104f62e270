"""Native convolution against the ops' own NumPy code, over many shapes."""

import numpy as np
import pytest

import rushlight as rl
from rushlight.compiler import pipeline
from rushlight.compiler.backends.llvm import jit, recall, templates
from rushlight.compiler.backends.llvm.convolution import batched, channels, shapes, transformed
from rushlight.compiler.graph import Graph
from rushlight.compiler.program import empty_outputs
from rushlight.compiler.windows import Windows
from rushlight.nn import functional as F
from rushlight.ops import conv as C, pool as P
from tests.compiler.convolutions import (
    BATCHED,
    CONVOLUTIONS,
    NARROW,
    TRANSFORMED,
    both,
    close,
    convolution,
    draw,
    graph_of,
    same_bits,
    three,
)

pytest.importorskip("llvmlite")


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


def test_with_avx2(avx2):
    for case in ("lenet2", "stride", "small planes", "groups", *TRANSFORMED, *BATCHED, *NARROW):
        test_forward(case, np.float32)
        test_gradients(case, np.float32)


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
