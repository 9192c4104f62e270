"""CUDA C of attention and its gradients."""

import ml_dtypes
import numpy as np
import pytest

from rushlight.compiler.backends.cuda import templates
from rushlight.compiler.fits import targeting
from rushlight.compiler.graph import Graph, Node
from rushlight.compiler.primitives import FlashAttention, FlashAttentionGrad
from rushlight.compiler.windows import Windows
from rushlight.ops.view import Permute
from tests.compiler.cuda_emulator import needs_compiler
from tests.compiler.cuda_nodes import TARGETS, check, garbage, made, node_of, run_launches

pytestmark = needs_compiler
rng = np.random.default_rng(0)

CASES = [  # batch, queries, keys, depth, values, causal, mask, dtype, and what it is compiled for
    ((2,), 66, 131, 20, 9, False, None, np.float32, TARGETS),
    ((1, 1), 67, 67, 5, 131, True, None, np.float32, ()),
    ((1, 2), 5, 66, 8, 8, False, bool, np.float64, ("sm_90",)),
    ((3,), 65, 3, 4, 5, False, float, np.float16, ("sm_80",)),
    ((2,), 35, 70, 64, 36, True, bool, np.float32, ("sm_90",)),
    ((1,), 70, 35, 128, 128, True, None, np.float32, ()),
    ((1,), 100, 100, 40, 72, True, None, np.float16, ("sm_90",)),
]


@pytest.mark.parametrize("case", CASES)
def test_attention(case):
    batch, queries, keys, depth, values, causal, kind, d, targets = case
    q, k, v, g = [
        rng.standard_normal((*batch, n, m)).astype(d)
        for n, m in ((queries, depth), (keys, depth), (keys, values), (queries, values))
    ]
    mask = None
    if kind is not None:
        mask = rng.random((*batch, queries, keys)) < 0.7
        mask[..., 1, :] = False  # this query may look at nothing
        if kind is float:
            mask = np.where(mask, rng.standard_normal(mask.shape), -np.inf).astype(d)
    p = {"scale": 0.3, "is_causal": causal}
    p["tolerance"] = 1e-2 if d is np.float16 else 2e-5
    p["targets"] = targets
    check(FlashAttention, q, k, v, mask, **p)
    check(FlashAttentionGrad, g, q, k, v, mask, **p)


def test_without_tensor_cores():
    q, k, v, g = [rng.standard_normal((2, 9, 8)).astype(np.float32) for _ in range(4)]
    p = {"scale": 0.3, "is_causal": True, "tolerance": 1e-5, "targets": ("sm_75",)}
    with targeting("cuda", (7, 5)):
        check(FlashAttention, q, k, v, None, **p)
        check(FlashAttentionGrad, g, q, k, v, None, **p)


def test_bfloat16():
    """Values of few digits, and their gradients."""
    q, k, v, g = [rng.standard_normal((2, 70, 40)).astype(np.float32) for _ in range(4)]
    v += 3  # of which weights' gradients have much in common
    p = {"scale": 0.3, "is_causal": True}
    for op, given in ((FlashAttention, [q, k, v]), (FlashAttentionGrad, [g, q, k, v])):
        halves = [x.astype(ml_dtypes.bfloat16) for x in given]
        node, expected, _ = node_of(op, [*[x.astype(np.float32) for x in halves], None], **p)
        graph = Graph()
        node.inputs = [*[graph.value(x.shape, x.dtype) for x in halves], None]
        node.outputs = [graph.value(x.shape, halves[0].dtype) for x in expected]
        graph.nodes = [node]
        assert templates.supported(node)
        for x, y in zip(made(node, [*halves, None], Windows(graph)), expected, strict=True):
            assert np.linalg.norm(x.astype(np.float32) - y) < 4e-3 * np.linalg.norm(y)


def test_heads_beside_each_other():
    """Operands (batch, length, heads, depth), seen as (batch, heads, length, depth)."""
    q, k, v = [rng.standard_normal((2, 9, 3, 4)).astype(np.float32) for _ in range(3)]
    turned = [np.ascontiguousarray(x.transpose(0, 2, 1, 3)) for x in (q, k, v)]
    p = {"scale": 0.5, "is_causal": False}
    node, (expected,), graph = node_of(FlashAttention, [*turned, None], **p)
    views = []
    for _ in range(3):
        whole = graph.value((2, 9, 3, 4), np.float32)
        view = graph.value((2, 3, 9, 4), np.float32)
        graph.nodes.append(Node(Permute.instance, [whole], {"dims": (0, 2, 1, 3)}, [view]))
        views.append(view)
    node.inputs = [*views, None]
    launches = templates.launches(node, Windows(graph))
    out = garbage(expected.shape, expected.dtype)
    run_launches(launches, [q, k, v, None, out])
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)
