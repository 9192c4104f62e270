"""The same function on rushlight and on torch: results, and gradients to second order."""

import numpy as np
import pytest
import torch

import rushlight


def evaluate(lib, function, arrays, orders):
    """What ``function(F, lib, *tensors)`` returns, and its gradients by floating-point tensors."""
    tensors = [lib.from_numpy(np.array(a)) for a in arrays]
    inputs = [t.requires_grad_() for t in tensors if t.is_floating_point()]
    out = function(lib.nn.functional, lib, *tensors)
    outs = list(out) if isinstance(out, (tuple, list)) else [out]
    found = [o.detach().numpy() for o in outs]
    loss = sum(((o * o).sum() * (i + 1) for i, o in enumerate(outs) if o.requires_grad), start=0)
    if not orders or not inputs:
        return found
    grads = lib.autograd.grad(loss, inputs, create_graph=orders > 1, allow_unused=True)
    if orders == 1:  # torch gives zeros for some inputs that cannot matter, we nothing
        return found + [
            np.zeros(t.shape) if g is None else g.numpy()
            for t, g in zip(inputs, grads, strict=True)
        ]
    grads = [g for g in grads if g is not None]
    found += [g.detach().numpy() for g in grads]
    again = lib.autograd.grad(sum((g * g).sum() for g in grads), inputs, allow_unused=True)
    return found + [g.numpy() for g in again if g is not None]


@pytest.fixture
def same():
    """``same(function, *arrays, orders=2)``: both libraries agree."""

    def check(function, *arrays, orders=2, rtol=1e-6, atol=1e-8):
        ours = evaluate(rushlight, function, arrays, orders)
        theirs = evaluate(torch, function, arrays, orders)
        assert len(ours) == len(theirs)
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            assert a.dtype == b.dtype, f"part {i}: {a.dtype}, torch has {b.dtype}"
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=f"part {i}")

    return check


@pytest.fixture
def raises_alike():
    """Both libraries raise, ours the same built-in type or a subclass of it."""

    def check(function, *arrays):
        errors = []
        for lib in (torch, rushlight):
            with pytest.raises(Exception) as caught:
                function(lib.nn.functional, lib, *[lib.from_numpy(np.array(a)) for a in arrays])
            errors.append(caught.value)
        theirs, ours = errors
        assert isinstance(ours, type(theirs)), f"{ours!r} against {theirs!r}"

    return check
