"""Memory that processes share, in both libraries."""

import multiprocessing

import pytest
import torch

import rushlight

LIBRARIES = pytest.mark.parametrize("lib", [torch, rushlight])


def fill(t, layer, queue):
    """What a child does: write to the memory of its parent, and send a part of it back."""
    t[1:] = 5.0
    for p in layer.parameters():
        p.data.add_(1)
    queue.put(t)
    queue.get()  # until the parent has it


@LIBRARIES
@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_children_write_to_the_memory_of_their_parent(lib, method):
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    t, layer = lib.zeros(3), lib.nn.Linear(2, 2)
    weight = layer.weight.detach().clone()
    assert not t.is_shared() and t.share_memory_() is t and t.is_shared()
    assert t.untyped_storage().is_shared() and t[1:].is_shared() and not t.clone().is_shared()
    layer.share_memory()
    assert layer.weight.is_shared() and isinstance(layer.weight, lib.nn.Parameter)
    child = context.Process(target=fill, args=(t, layer, queue))
    child.start()
    back = queue.get(timeout=60)
    queue.put(None)
    child.join()
    assert child.exitcode == 0 and t.tolist() == back.tolist() == [0.0, 5.0, 5.0]
    assert lib.equal(layer.weight.detach(), weight + 1) and layer.weight.requires_grad
    back[0] = 7.0
    assert t[0] == 7.0
