"""Whole programs with sparse tensors: their losses are PyTorch's."""

import numpy as np
import pytest
import torch

import rushlight

LIBRARIES = rushlight, torch
NODES, FEATURES, CLASSES = 60, 12, 4


def graph():
    """A random graph with loops: edges, features and labels."""
    random = np.random.default_rng(1)
    edges = random.integers(0, NODES, (2, 240))
    edges = np.concatenate([edges, edges[::-1], np.tile(np.arange(NODES), (2, 1))], 1)
    edges = np.unique(edges, axis=1)
    x = random.standard_normal((NODES, FEATURES)).astype(np.float32)
    return edges, x, random.integers(0, CLASSES, NODES)


def weights(*shape, seed=0):
    random = np.random.default_rng(seed)
    return (random.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)


def gcn(lib, edges, x, y, layout):
    """As pygcn writes it: https://arxiv.org/abs/1609.02907."""
    nn, F = lib.nn, lib.nn.functional

    class GraphConvolution(nn.Module):
        def __init__(self, fan_in, fan_out, seed):
            super().__init__()
            self.weight = nn.Parameter(lib.tensor(weights(fan_in, fan_out, seed=seed)))
            self.bias = nn.Parameter(lib.zeros(fan_out))

        def forward(self, input, adj):
            return lib.spmm(adj, lib.mm(input, self.weight)) + self.bias

    class GCN(nn.Module):
        def __init__(self):
            super().__init__()
            self.gc1, self.gc2 = GraphConvolution(FEATURES, 16, 1), GraphConvolution(16, CLASSES, 2)

        def forward(self, x, adj):
            return F.log_softmax(self.gc2(F.relu(self.gc1(x, adj)), adj), dim=1)

    degree = np.bincount(edges[0], minlength=NODES)
    values = lib.tensor((1 / degree[edges[0]]).astype(np.float32))
    adj = lib.sparse.FloatTensor(lib.tensor(edges), values, lib.Size((NODES, NODES)))
    adj = adj.to_sparse_csr() if layout == "csr" else adj
    model, features, labels = GCN(), lib.tensor(x), lib.tensor(y)
    optimizer = lib.optim.Adam(model.parameters(), lr=0.02, weight_decay=5e-4)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = F.nll_loss(model(features, adj), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def gat(lib, edges, x, y, layout):
    """Attention over a node's neighbours: a softmax along rows, then a product, both sparse."""
    nn, F = lib.nn, lib.nn.functional

    class Attention(nn.Module):
        def __init__(self, fan_in, fan_out, seed):
            super().__init__()
            self.weight = nn.Parameter(lib.tensor(weights(fan_in, fan_out, seed=seed)))
            self.target = nn.Parameter(lib.tensor(weights(fan_out, 1, seed=seed + 1)))
            self.source = nn.Parameter(lib.tensor(weights(fan_out, 1, seed=seed + 2)))

        def forward(self, x, edges):
            h = x @ self.weight
            scores = (h @ self.target)[edges[0]] + (h @ self.source)[edges[1]]
            scores = F.leaky_relu(scores.squeeze(1), 0.2)
            a = lib.sparse.softmax(lib.sparse_coo_tensor(edges, scores, (NODES, NODES)), 1)
            return lib.sparse.mm(a, h)

    first, second = Attention(FEATURES, 8, 3), Attention(8, CLASSES, 6)
    features, labels, edges = lib.tensor(x), lib.tensor(y), lib.tensor(edges)
    optimizer = lib.optim.Adam([*first.parameters(), *second.parameters()], lr=0.02)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        out = second(F.elu(first(features, edges)), edges)
        loss = F.cross_entropy(out, labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("layout", ["coo", "csr"])
@pytest.mark.parametrize("program", [gcn, gat])
def test_graph_networks(program, layout):
    if program is gat and layout == "csr":
        pytest.skip("softmax is for COO tensors, in PyTorch too")
    ours, theirs = [program(lib, *graph(), layout) for lib in LIBRARIES]
    np.testing.assert_allclose(ours, theirs, rtol=2e-5)
    assert ours[-1] < ours[0]


@pytest.mark.parametrize("name", ["SparseAdam", "SGD", "Adagrad"])
def test_matrix_factorisation(name):
    def train(lib):
        random = np.random.default_rng(5)
        users, items = [lib.nn.Embedding(n, 6, sparse=True) for n in (40, 30)]
        with lib.no_grad():
            for seed, e in enumerate((users, items)):
                e.weight.copy_(lib.tensor(weights(*e.weight.shape, seed=seed)))
        parameters = [*users.parameters(), *items.parameters()]
        optimizer = getattr(lib.optim, name)(parameters, lr=0.05)
        losses = []
        for _ in range(15):
            u, i = [lib.tensor(random.integers(0, n, 64)) for n in (40, 30)]
            rating = lib.tensor(random.standard_normal(64).astype(np.float32))
            optimizer.zero_grad()
            predicted = (users(u) * items(i)).sum(1)
            loss = lib.nn.functional.mse_loss(predicted, rating)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    ours, theirs = [train(lib) for lib in LIBRARIES]
    np.testing.assert_allclose(ours, theirs, rtol=2e-5)


def test_chebyshev_filters():
    """Powers of a sparse Laplacian, made of sums and products of sparse matrices."""

    def filtered(lib):
        edges, x, _ = graph()
        values = lib.ones(edges.shape[1])
        adj = lib.sparse_coo_tensor(lib.tensor(edges), values, (NODES, NODES)).coalesce()
        degree = lib.sparse.sum(adj, 1).to_dense()
        root = degree.pow(-0.5)
        eye = lib.sparse_coo_tensor(
            lib.arange(NODES).repeat(2, 1), lib.ones(NODES), (NODES, NODES)
        ).coalesce()
        i = adj.indices()
        scaled = lib.sparse_coo_tensor(
            i, adj.values() * root[i[0]] * root[i[1]], (NODES, NODES)
        ).coalesce()
        laplacian = eye - scaled
        second = lib.sparse.mm(laplacian, laplacian) * 2 - eye
        w = lib.tensor(weights(FEATURES, 3), requires_grad=True)
        h = lib.tensor(x) @ w
        out = lib.sparse.mm(laplacian, h) + lib.sparse.mm(second, h)
        out.square().sum().backward()
        return out.detach().numpy(), w.grad.numpy()

    for ours, theirs in zip(*[filtered(lib) for lib in LIBRARIES], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_messages_by_scatter():
    """What torch_geometric does without sparse tensors: gathers, and scatters that reduce."""

    def run(lib):
        edges, x, _ = graph()
        source, target = lib.tensor(edges)
        w = lib.tensor(weights(FEATURES, 8), requires_grad=True)
        h = lib.tensor(x) @ w
        messages = h[source] * lib.sigmoid(h[target])
        where = target.unsqueeze(1).expand_as(messages)
        zeros = lib.zeros(NODES, 8)
        found = [
            zeros.scatter_add(0, where, messages),
            zeros.index_add(0, target, messages),
            zeros.scatter_reduce(0, where, messages, "mean", include_self=False),
            zeros.scatter_reduce(0, where, messages, "amax", include_self=False),
            zeros.scatter_reduce(0, where, messages, "amin", include_self=False),
            zeros.index_reduce(0, target, messages, "mean", include_self=False),
            lib.segment_reduce(
                messages[lib.argsort(target, stable=True)], "max",
                lengths=lib.bincount(target, minlength=NODES),
            ),
        ]  # fmt: skip
        sum((f.sin() * (k + 1)).sum() for k, f in enumerate(found)).backward()
        return [f.detach().numpy() for f in found] + [w.grad.numpy()]

    for ours, theirs in zip(*[run(lib) for lib in LIBRARIES], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
