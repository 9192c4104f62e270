"""Masked functions against torch's, in values and gradients."""

import warnings

import numpy
import pytest
import torch

import rushlight

REDUCTIONS = ["sum", "prod", "mean", "amax", "amin", "var", "std", "logsumexp", "norm", "median"]
ALONG = ["softmax", "log_softmax", "softmin", "cumsum", "cumprod", "argmax", "argmin"]


def result_of(fw, name, mask, dim, **kwargs):
    """Return the values and the gradient of a masked function."""
    fw.manual_seed(0)
    x = fw.randn(3, 4, 5, dtype=fw.float64).requires_grad_()
    kwargs["mask"] = fw.rand(mask) > 0.3 if mask is not None else None
    out = getattr(fw.masked, name)(x, dim=dim, **kwargs)
    if out.requires_grad:
        out.backward(fw.ones_like(out), retain_graph=True)
    return out.detach().numpy(), None if x.grad is None else x.grad.numpy()


@pytest.mark.parametrize("mask", [None, (3, 4, 5), (4, 1), (5,)])
@pytest.mark.parametrize("name", REDUCTIONS + ALONG)
def test_follows_torch(name, mask):
    dims = [1, -1] if name in [*ALONG, "median"] else [None, 0, (0, 2), (-1,)]
    for dim in dims:
        for keepdim in ({"keepdim": True}, {}) if name in REDUCTIONS else ({},):
            (ours, our_grad), (theirs, their_grad) = (
                result_of(fw, name, mask, dim, **keepdim) for fw in (rushlight, torch)
            )
            torch.testing.assert_close(ours, theirs, equal_nan=True)
            if their_grad is not None:  # where nothing is selected ours is 0, torch's may be nan
                there = ~numpy.isnan(their_grad)
                torch.testing.assert_close(our_grad[there], their_grad[there])


def test_nothing_selected():
    """The neutral element, or nan."""
    for name in [n for n in REDUCTIONS if n != "norm"]:
        ours, theirs = (
            getattr(fw.masked, name)(fw.ones(2, 3), dim=1, mask=fw.zeros(2, 3, dtype=fw.bool))
            for fw in (rushlight, torch)
        )
        torch.testing.assert_close(ours.numpy(), theirs.numpy(), equal_nan=True)


def test_masked_tensor():
    shown = []
    for fw in (rushlight, torch):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch: a prototype
            x = fw.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
            mask = fw.tensor([[True, False, True], [False, True, False]])
            m = fw.masked.masked_tensor(x, mask)
            shown += [f"{m} {m.sum(1)} {m * 2} {m.exp()} {(m + m).to_tensor(-1)} {m.amax()}"]
            assert fw.masked.is_masked_tensor(m)
            with pytest.raises(ValueError):
                m + fw.masked.masked_tensor(x, ~mask)
    assert shown[0] == shown[1]


@pytest.mark.parametrize("fw", [torch, rushlight])
def test_the_documentation_calls_them_by_another_module(fw):
    x, mask = fw.tensor([1.0, 2.0]), fw.tensor([True, False])
    assert fw.masked._ops.sum(x, 0, mask=mask).item() == 1
