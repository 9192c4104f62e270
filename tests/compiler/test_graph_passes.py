"""Each pass, before and after."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight.compiler.backends.reference import evaluate
from rushlight.compiler.counted import Makers, source_of
from rushlight.compiler.graph import Graph, Input, Node, verify
from rushlight.compiler.passes.dead import drop_dead
from rushlight.compiler.passes.expand import expand
from rushlight.compiler.passes.fold import fold_constants
from rushlight.compiler.passes.merge import merge_equal
from rushlight.compiler.passes.slopes import keep_slopes
from rushlight.ops.activation import Gelu, LeakyRelu, Silu, Slope
from rushlight.ops.arithmetic import Add, Mul, Sub
from rushlight.ops.class_losses import CrossEntropy
from rushlight.ops.copy import Clone
from rushlight.ops.math import Exp
from rushlight.ops.matmul import Linear
from rushlight.ops.random import Uniform
from rushlight.ops.softmax import LogSoftmax, Softmax
from rushlight.ops.view import Expand

from .graphs import Builder

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def body(graph):
    """Nodes as text, without shapes."""
    return [
        f"{n.outputs[0]} = {type(n.op).__name__}({', '.join(map(repr, n.inputs))})"
        for n in graph.nodes
    ]


def test_dead_nodes_are_dropped_but_not_draws():
    b = Builder()
    x = b.input(X)
    kept = b.op(Exp, x)
    b.op(Add, x, 1.0)
    b.op(Uniform, x, engine=FakeEngine(), low=0.0, high=1.0)
    after = drop_dead(b.returns(kept).graph)
    verify(after)
    assert body(after) == ["%2 = Exp(%1)", "%4 = Uniform(%1)"]
    assert len(b.graph.nodes) == 3  # the argument is as it was


class FakeEngine:
    def doubles(self, n):
        return np.zeros(n)

    def raw32(self, n):
        return np.zeros(n, np.uint32)

    def __getattr__(self, name):
        return lambda n, *rest: np.zeros(n, np.uint32)


def test_constants_are_folded():
    b = Builder()
    x = b.input(X)
    c = b.input(np.float32(3).reshape(()), "constant")
    y = b.op(Mul, c, 2.0)
    out = b.op(Add, x, y)
    after = fold_constants(b.returns(out).graph)
    verify(after)
    assert body(after) == ["%4 = Add(%1, %3)"]
    assert isinstance(after.inputs[-1], Input) and after.inputs[-1].source == 6


def test_constants_without_dims_are_folded_further():
    b = Builder()
    c = b.input(np.float32(3).reshape(()), "constant")
    y = b.op(Expand, b.op(Mul, c, 2.0), shape=())
    after = fold_constants(b.returns(y).graph)
    assert body(after) == [] and after.inputs[-1].source.shape == ()


def test_composites_of_nothing_stay():
    b = Builder()
    out = b.op(Softmax, b.input(X[:, :0]), dim=1)
    assert body(expand(b.returns(out).graph)) == ["%2 = Softmax(%1)"]


def test_equal_nodes_are_merged_and_numbers_told_apart():
    b = Builder()
    x = b.input(X)
    first, second = b.op(Add, x, 1.0), b.op(Add, x, 1.0)
    third, negative = b.op(Add, x, 0.0), b.op(Add, x, -0.0)
    after = merge_equal(b.returns(b.op(Sub, first, second), third, negative).graph)
    verify(after)
    assert body(after) == [
        "%2 = Add(%1, 1.0)",
        "%4 = Add(%1, 0.0)",
        "%5 = Add(%1, -0.0)",
        "%6 = Sub(%2, %2)",
    ]


def test_composites_are_written_out_and_copies_disappear():
    b = Builder()
    x = b.input(X)
    after = expand(b.returns(b.op(Softmax, b.op(Clone, x), dim=1)).graph)
    verify(after)
    assert body(after) == [
        "%4 = Amax(%1)",
        "%5 = Sub(%1, %4)",
        "%6 = Exp(%5)",
        "%7 = Sum(%6)",
        "%8 = Div(%6, %7)",
    ]


def test_expansion_keeps_values():
    rng = np.random.default_rng(0)
    b = Builder()
    x, w = (
        b.input(rng.standard_normal((8, 5)).astype("f")),
        b.input(rng.standard_normal((40, 5)).astype("f")),
    )
    y = b.op(Linear, x, w, b.input(np.ones(40, "f")))
    z = b.op(LogSoftmax, y, dim=1)
    t = b.input(np.array([1, 2, -100, 0, 39, 5, 6, 7]))
    loss = b.op(CrossEntropy, z, y, t, None, reduction="mean", ignore_index=-100)
    graph = b.returns(z, loss).graph
    after = expand(graph)
    verify(after)
    old, new = evaluate(graph, b.arrays), evaluate(after, b.arrays)
    for v, e in zip(graph.ends(), after.ends(), strict=True):
        np.testing.assert_allclose(new[e.number], old[v.number], rtol=1e-5, atol=1e-6)


def layer(curve=Gelu, used=False, options=None):
    """An activation of a sum, and later its gradient."""
    rng = np.random.default_rng(0)
    b = Builder()
    v, w, g = [b.input(rng.standard_normal((4, 33)).astype("f")) for _ in range(3)]
    x = b.op(Add, v, w)
    y = b.op(curve, x, **(options or {}))
    d = b.op(Slope, g, x, curve=curve.instance, **(options or {}))
    return b.returns(y, d, *([b.op(Exp, x)] if used else []))


@pytest.mark.parametrize("curve", [Gelu, Silu])
def test_derivatives_are_kept_instead_of_arguments(curve):
    b = layer(curve)
    after = keep_slopes(b.graph)
    verify(after)
    name = curve.__name__
    assert body(after) == [
        "%4 = Add(%1, %2)",
        f"%5 = {name}(%4)",
        "%7 = Derivative(%4)",
        "%6 = Mul(%3, %7)",
    ]
    old, new = evaluate(b.graph, b.arrays), evaluate(after, b.arrays)
    for v in b.graph.ends():
        np.testing.assert_array_equal(new[v.number], old[v.number])


def test_arguments_that_are_kept_anyway_and_slopes_of_lines_stay():
    for b in (layer(used=True), layer(LeakyRelu, options={"negative_slope": 0.1})):
        assert body(keep_slopes(b.graph)) == body(b.graph)
    b = layer()
    b.graph.results.append(b.graph.nodes[0].outputs[0])
    assert body(keep_slopes(b.graph)) == body(b.graph)
    b = Builder()
    x, g = b.input(X), b.input(X)
    y, d = b.op(Gelu, x), b.op(Slope, g, x, curve=Gelu.instance)
    b.returns(y, d)
    assert body(keep_slopes(b.graph)) == body(b.graph)


class Watched(list):
    """A list that knows how often all of it was gone through."""

    times = 0

    def __iter__(self):
        self.times += 1
        return list.__iter__(self)


def test_what_makes_a_value_is_found_while_a_graph_grows():
    """Without going through all of it: an optimizer counts steps for each parameter."""
    graph = Graph()
    graph.inputs, graph.nodes, makers = Watched(), Watched(), Makers(graph)
    for k in range(20):
        start, counted = graph.value((), np.float32), graph.value((), np.float32)
        graph.inputs.append(Input(start, "state", rl.tensor(float(k))))
        graph.nodes.append(Node(Add.instance, [start, 1], {}, [counted]))
        assert makers.of(start) is graph.inputs[-1] and makers.of(counted) is graph.nodes[-1]
        assert source_of(counted, makers)() == k + 1
    assert makers.of(graph.value((), np.float32)) is None
    assert graph.inputs.times == graph.nodes.times == 0
