"""CUDA C of recurrent layers and of connectionist temporal classification."""

import numpy as np
import pytest

from rushlight.compiler.backends.cuda import clusters, recurrent, templates
from rushlight.compiler.fits import targeting
from rushlight.compiler.graph import Graph, Node
from rushlight.compiler.primitives import CtcGradients, CtcLosses
from rushlight.ops.recurrent import (
    GRU,
    LSTM,
    GRUGrad,
    LSTMGrad,
    RNNRelu,
    RNNReluGrad,
    RNNTanh,
    RNNTanhGrad,
)
from tests.compiler.cuda_emulator import needs_compiler
from tests.compiler.cuda_nodes import TARGETS, check, made

pytestmark = needs_compiler
rng = np.random.default_rng(0)

LAYERS = [
    (RNNTanh, RNNTanhGrad, (3, 3, 3, 3), False, 7, np.float32, 4),
    (RNNRelu, RNNReluGrad, (5, 3, 1), True, 33, np.float64, 1),
    (GRU, GRUGrad, (5, 5, 2, 1), False, 9, np.float32, 2),
    (LSTM, LSTMGrad, (6, 6, 3), True, 37, np.float32, 4),
    (LSTM, LSTMGrad, (2, 2), False, 5, np.float16, 2),
]


@pytest.mark.parametrize("op, grad, sizes, reverse, hidden, d, rows", LAYERS)
def test_layers(op, grad, sizes, reverse, hidden, d, rows, monkeypatch):
    """``rows``: sequences of a block, as there are with many."""
    monkeypatch.setattr(recurrent, "PROCESSORS", max(sizes) / rows)
    with targeting("cuda", (8, 0)):
        check_layer(op, grad, sizes, reverse, hidden, d)


@pytest.mark.parametrize("columns", [32, 2])
@pytest.mark.parametrize("op, grad, sizes, reverse, hidden, d, rows", LAYERS)
def test_clusters(op, grad, sizes, reverse, hidden, d, rows, columns, monkeypatch):
    """``columns``: of a block, of which there may be many."""
    monkeypatch.setattr(clusters, "COLUMNS", columns)
    monkeypatch.setattr(clusters, "PARTS", 4)  # threads are slow here
    monkeypatch.setattr(recurrent, "PROCESSORS", max(sizes) * 8 / rows)
    templates._written.clear()
    check_layer(op, grad, sizes, reverse, hidden, d, ("sm_90",))


def test_what_clusters_can_do():
    def plan(hidden, gates, everyone, backward=False, d=np.float32):
        kept = np.dtype(np.float32 if d is np.float16 else d)
        return clusters.plan(hidden, gates, everyone, backward, np.dtype(d), kept, 132)

    with targeting("cuda", (8, 0)):
        assert plan(256, 3, 32) is None
    with targeting("cuda", (9, 0)):
        assert plan(512, 4, 32) is None  # the weight is too large
        for given in (
            (256, 3, 32), (256, 4, 32, True), (300, 3, 1000), (10, 1, 1),
            (100, 4, 64, False, np.float64), (400, 4, 20, True, np.float16),
        ):  # fmt: skip
            memory, made = plan(*given)
            assert memory <= clusters.MEMORY < 227 * 1024
            assert made["TEAM"] * made["HC"] >= given[0]
            assert made["ROWS"] <= made["PARTS"] and made["THREADS"] <= clusters.THREADS
            assert made["SPAN"] * made["PARTS"] >= made["KNOWN"]


def check_layer(op, grad, sizes, reverse, hidden, d, targets=TARGETS):
    gates, lstm, everyone = recurrent.GATES[op.__name__], op is LSTM, max(sizes)
    x, weight, bias, h, c, g, gh, gc = [
        rng.standard_normal(shape).astype(d) * d(0.5)
        for shape in (
            (sum(sizes), gates * hidden), (gates * hidden, hidden), (gates * hidden,),
            (everyone, hidden), (everyone, hidden), (sum(sizes), hidden), (everyone, hidden),
            (everyone, hidden),
        )
    ]  # fmt: skip
    p = {"sizes": sizes, "reverse": reverse, "targets": targets}
    p["tolerance"] = 2e-3 if d is np.float16 else 1e-5
    states = (h, c) if lstm else (h,)
    outputs = check(op, x, weight, None if op is RNNRelu else bias, *states, **p)
    kept = {"GRU": outputs[2:], "LSTM": outputs[4:]}.get(op.__name__, outputs[:1])
    check(grad, g, *((gh, gc) if lstm else (gh,)), weight, *kept, **p)


@pytest.mark.parametrize("joined, d", [(False, np.float32), (True, np.float64)])
def test_ctc(joined, d):
    steps, samples, classes, longest = 9, 5, 6, 4
    counts = np.array([3, 0, 4, 1, 4])
    lengths = np.array([9, 4, 7, 0, 3])  # the last two are too short
    x = rng.standard_normal((steps, samples, classes)).astype(d)
    x -= np.log(np.exp(x).sum(2, keepdims=True))
    targets = rng.integers(1, classes, (samples, longest))
    targets[0, :3] = 2  # equal labels have blanks between them
    if joined:
        targets = np.concatenate([row[:n] for row, n in zip(targets, counts, strict=True)])
    p = {"blank": 0, "tolerance": 1e-5}
    check(CtcLosses, x, targets, lengths, counts, **p)
    g = np.array([0.5, 1, -2, 3, 0], d)
    check(CtcGradients, g, x, targets, lengths, counts, **p)


def test_wrong_lengths_and_labels_are_told():
    x = np.full((3, 4, 5), -1.5, np.float32)
    targets = np.array([[1, 2], [1, 7], [3, 3], [1, 1]])
    lengths, counts = np.array([3, 3, 4, 3]), np.array([2, 2, 1, -1])
    graph, given = Graph(), [x, targets, lengths, counts]
    inputs = [graph.value(a.shape, a.dtype) for a in given]
    outputs = [graph.value((4,), d) for d in (np.float32, np.int64)]
    fine = made(Node(CtcLosses.instance, inputs, {"blank": 0}, outputs), given)[1]
    assert fine.tolist() == [1, 0, 0, 0]
