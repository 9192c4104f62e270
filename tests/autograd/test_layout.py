"""How the gradients of leaves lie in memory: as their leaves, where these are dense."""

import pytest
import torch

import rushlight

LEAVES = {
    "rows": lambda lib: lib.randn(6, 4),
    "columns": lambda lib: lib.randn(4, 6).t(),
    "turned": lambda lib: lib.randn(3, 4, 6).permute(2, 0, 1),
    "with gaps": lambda lib: lib.randn(6, 8)[:, ::2],
    "vector": lambda lib: lib.randn(5),
}
LOSSES = {
    "transposed product": lambda lib, p: (lib.ones(8, p.shape[-1]) @ p.transpose(-1, -2)).tanh(),
    "sum": lambda lib, p: p.sum(0),
    "square": lambda lib, p: p**2,
}
CASES = [
    (leaf, loss)
    for leaf in LEAVES
    for loss in LOSSES
    if (leaf, loss) != ("vector", "transposed product")
]


def steps(lib, leaf, loss, wrap=lambda step: step):
    """The strides of the gradient after each of three steps."""
    p = LEAVES[leaf](lib).requires_grad_()

    @wrap
    def step():
        p.grad = None
        LOSSES[loss](lib, p).sum().backward()
        return p.grad.sum()

    made = []
    for _ in range(3):
        step()
        made.append(p.grad.stride())
    return made


@pytest.mark.parametrize(("leaf", "loss"), CASES)
def test_gradients_lie_as_their_leaves(leaf, loss):
    assert steps(rushlight, leaf, loss) == steps(torch, leaf, loss)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_of_leaves_in_rows_can_be_viewed_flat_after_compiled_steps(loss):
    pytest.importorskip("llvmlite", reason="native programs need llvmlite")
    assert steps(rushlight, "rows", loss, rushlight.compile) == [(4, 1)] * 3
