"""What `torch.autograd.graph` says of the graph and of what is saved, in both libraries."""

from collections import OrderedDict

import pytest
import torch

import rushlight

LIBRARIES = pytest.mark.parametrize("lib", [torch, rushlight])


@LIBRARIES
def test_an_edge_stands_for_its_tensor(lib):
    x = lib.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 2
    second = y.split([1, 2])[1]
    places = [lib.autograd.graph.get_gradient_edge(t) for t in (x, y, second)]
    z = (y.sum() + 3 * second.sum()) ** 2
    found = lib.autograd.grad(z, places, retain_graph=True)
    assert [g.tolist() for g in found] == [[168.0, 672.0, 672.0], [84.0, 336.0, 336.0], [252.0] * 2]
    assert lib.autograd.grad(z, places[1])[0].tolist() == [84.0, 336.0, 336.0]
    assert places[2].output_nr == 1 and places[0].ownership_token is None


@LIBRARIES
def test_no_edge_without_gradient(lib):
    with pytest.raises(RuntimeError, match="does not require gradients"):
        lib.autograd.graph.get_gradient_edge(lib.ones(2))


@LIBRARIES
def test_hooks_on_saved_tensors_can_be_refused(lib):
    graph = lib.autograd.graph
    hooks = lambda: graph.saved_tensors_hooks(lambda t: t, lambda t: t)  # noqa: E731
    refused = graph.disable_saved_tensors_hooks
    with refused("not here"), pytest.raises(RuntimeError, match="not here"), hooks():
        pass
    with hooks(), pytest.raises(RuntimeError, match="nor here"), refused("nor here"):
        pass
    with hooks():
        assert (lib.ones(2, requires_grad=True) ** 2).requires_grad


@LIBRARIES
def test_a_write_by_other_means_is_noticed(lib):
    x = lib.ones(2, requires_grad=True)
    y = x * 1
    z = (y**2).sum()
    lib.autograd.graph.increment_version([y, y])
    assert y._version == 2
    with pytest.raises(RuntimeError):
        z.backward()


@LIBRARIES
def test_handles_of_hooks_that_a_program_keeps(lib):
    hooks, more = OrderedDict(), OrderedDict()
    handle = lib.utils.hooks.RemovableHandle(hooks, extra_dict=more)
    other = lib.utils.hooks.RemovableHandle(hooks, extra_dict=[more])
    for h in (handle, other):
        hooks[h.id] = more[h.id] = print
    handle.remove()
    assert list(hooks) == list(more) == [other.id]
    with other:
        pass
    assert not hooks and not more
