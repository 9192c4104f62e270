"""Files, pickles and copies."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch

import rushlight
from tests.sparse.common import operands, plain, same

KINDS = ["s", "u", "csr", "h"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weights_only", [True, False])
def test_files(kind, weights_only):
    ours, theirs = [operands(lib) for lib in (rushlight, torch)]
    file = io.BytesIO()
    rushlight.save({"x": getattr(ours, kind)}, file)
    for lib in (rushlight, torch):
        file.seek(0)
        same(getattr(ours, kind), lib.load(file, weights_only=weights_only)["x"])
    file = io.BytesIO()
    torch.save({"x": getattr(theirs, kind)}, file)
    file.seek(0)
    same(rushlight.load(file, weights_only=weights_only)["x"], getattr(theirs, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_pickles_and_copies(kind):
    x = getattr(operands(rushlight), kind)
    for made in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x), copy.copy(x)):
        assert made.layout is x.layout and made.shape == x.shape
        np.testing.assert_array_equal(plain(made), plain(x))
        if kind != "csr":
            assert made.is_coalesced() == x.is_coalesced()
    made = copy.deepcopy(x.requires_grad_())
    assert made.requires_grad
    made.detach().mul_(2)
    assert not np.array_equal(plain(made), plain(x))


def test_state_dict():
    class Graph(rushlight.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("adjacency", operands(rushlight).s)

    graph = Graph()
    file = io.BytesIO()
    rushlight.save(graph.state_dict(), file)
    file.seek(0)
    other = Graph()
    other.adjacency.zero_()
    other.load_state_dict(rushlight.load(file))
    np.testing.assert_array_equal(plain(other.adjacency), plain(graph.adjacency))
    assert graph.double().to("cpu").adjacency.is_sparse
    assert graph.float().adjacency.dtype is rushlight.float32
