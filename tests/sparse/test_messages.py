"""Graph networks without sparse tensors, as torch_geometric writes them: gathers along edges, and
scatters that reduce at the nodes. Their losses are PyTorch's.
"""

import numpy as np
import pytest
import torch

import rushlight
from tests.sparse.test_programs import CLASSES, FEATURES, LIBRARIES, NODES, graph, weights


def sage(lib, x, source, target, p):
    """Means of the neighbours: https://arxiv.org/abs/1706.02216."""
    for w, own in ((p[0], p[1]), (p[2], p[3])):
        total = lib.zeros(NODES, x.shape[1]).index_add(0, target, x[source])
        count = lib.bincount(target, minlength=NODES).clamp(min=1).unsqueeze(1)
        x = lib.relu(total / count @ w + x @ own)
    return x


def isomorphism(lib, x, source, target, p):
    """Sums: https://arxiv.org/abs/1810.00826."""
    for w, eps in ((p[0], 0.1), (p[2], 0.2)):
        where = target.unsqueeze(1).expand(-1, x.shape[1])
        total = lib.zeros_like(x).scatter_add(0, where, x[source])
        x = lib.tanh((total + (1 + eps) * x) @ w)
    return x


def attention(lib, x, source, target, p):
    """A softmax over the edges that end in a node: https://arxiv.org/abs/1710.10903."""
    for w, a in ((p[0], p[1]), (p[2], p[3])):
        h = x @ w
        k = h.shape[1]
        score = (h @ a[:k, 0])[source] + (h @ a[:k, 1])[target]
        score = lib.nn.functional.leaky_relu(score, 0.2)
        top = lib.full((NODES,), -1e9).scatter_reduce(0, target, score.detach(), "amax")
        e = (score - top[target]).exp()
        total = lib.zeros(NODES).scatter_add(0, target, e)
        share = e / (total[target] + 1e-16)
        x = lib.zeros(NODES, k).index_add(0, target, h[source] * share.unsqueeze(1))
        x = lib.nn.functional.elu(x)
    return x


def edges(lib, x, source, target, p):
    """Maxima of what pairs of nodes give: https://arxiv.org/abs/1801.07829."""
    for w, own in ((p[0], p[1]), (p[2], p[3])):
        message = lib.relu((x[source] - x[target]) @ w + x[target] @ own)
        where = target.unsqueeze(1).expand_as(message)
        out = lib.full((NODES, w.shape[1]), float("-inf"))
        out = out.scatter_reduce(0, where, message, "amax", include_self=False)
        x = out.masked_fill(out.isinf(), 0)
    return x


def deviations(lib, x, source, target, p):
    """Several reductions side by side: https://arxiv.org/abs/2004.05718."""
    for w, own in ((p[0], p[1]), (p[2], p[3])):
        message = x[source] @ own
        where = target.unsqueeze(1).expand_as(message)
        zeros = lib.zeros(NODES, message.shape[1])
        mean = zeros.scatter_reduce(0, where, message, "mean", include_self=False)
        square = zeros.scatter_reduce(0, where, message * message, "mean", include_self=False)
        low = zeros.scatter_reduce(0, where, message, "amin", include_self=False)
        x = mean + (lib.relu(square - mean * mean) + 1e-5).sqrt() + low * (x @ w).tanh()
    return x


def pooled(lib, x, source, target, p):
    """A sum for each of several graphs in a batch, after one step of messages."""
    x = sage(lib, x, source, target, p)
    batch = lib.arange(NODES) // 7
    count = int(batch.max()) + 1
    graphs = lib.zeros(count, x.shape[1]).index_add(0, batch, x)
    return graphs.index_select(0, batch)


PROGRAMS = [sage, isomorphism, attention, edges, deviations, pooled]


def train(lib, network, wrap=lambda f: f):
    ends, x, y = graph()
    source, target = lib.tensor(ends)
    x, y = lib.tensor(x), lib.tensor(y)
    shapes = [(FEATURES, 8), (FEATURES, 8), (8, CLASSES), (8, CLASSES)]
    p = [lib.tensor(weights(*s, seed=k), requires_grad=True) for k, s in enumerate(shapes)]
    optimizer = lib.optim.Adam(p, lr=0.02)

    def step():
        optimizer.zero_grad()
        loss = lib.nn.functional.cross_entropy(network(lib, x, source, target, p), y)
        loss.backward()
        optimizer.step()
        return loss

    step = wrap(step)
    return [step().item() for _ in range(10)]


@pytest.mark.parametrize("network", PROGRAMS)
def test_losses(network):
    ours, theirs = [train(lib, network) for lib in LIBRARIES]
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    assert ours[-1] < ours[0]


@pytest.mark.parametrize("network", [n for n in PROGRAMS if n is not pooled])
def test_captured_losses(network):
    compiled = train(rushlight, network, lambda f: rushlight.compile(f, fullgraph=True))
    np.testing.assert_allclose(compiled, train(torch, network), rtol=1e-4)
