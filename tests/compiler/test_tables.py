"""Products with rows looked up in small tables."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.compiler import pipeline
from rushlight.ops import view
from rushlight.ops.embedding import Embedding, EmbeddingGrad
from rushlight.ops.matmul import Linear, Matmul

from .graphs import Builder, check, verify

pytestmark = pytest.mark.usefixtures("own_cache")

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def layer(rows, used=False):
    """A linear layer on rows of a table, and its gradients by weight and table."""
    b = Builder()
    table, index = b.input(normal(rows, 24)), b.input(RNG.integers(0, rows, (5, 8)))
    weight, bias, g = b.input(normal(40, 24)), b.input(normal(40)), b.input(normal(5, 8, 40))
    x = b.op(Embedding, table, index, padding_idx=None, by_frequency=False)
    y = b.op(Linear, x, weight, bias)
    flat = b.op(view.Reshape, g, shape=(40, 40))
    by_weight = b.op(Matmul, b.op(view.T, flat), b.op(view.Reshape, x, shape=(40, 24)))
    by_x = b.op(Matmul, g, weight)
    by_table = b.op(EmbeddingGrad, by_x, index, rows=rows, padding_idx=None, by_frequency=False)
    b.returns(y, by_weight, by_table, *([by_x] if used else []))
    return b


def products(graph):
    """Shapes of the left operands of all products."""
    graph = pipeline.expanded(pipeline.simplified(graph))
    verify(graph)
    return sorted([n.inputs[0].shape for n in graph.nodes if type(n.op).__name__ == "Matmul"])


@pytest.mark.parametrize("rows", [6, 20, 21])
def test_values(rows):
    pytest.importorskip("llvmlite", reason="native programs need llvmlite")
    for used in (False, True):
        check(layer(rows, used), 1e-4)


def test_small_tables_are_multiplied_themselves():
    assert products(layer(6).graph) == [(6, 24), (6, 40), (40, 6)]


def test_large_tables_are_not():
    assert products(layer(21).graph) == [(5, 8, 40), (40, 24), (40, 40)]


def test_a_product_that_is_read_elsewhere_stays():
    assert (5, 8, 40) in products(layer(6, used=True).graph)
