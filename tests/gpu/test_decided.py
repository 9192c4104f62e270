"""What the values of a tensor on a GPU decide: places of truths, distinct elements, draws."""

import warnings

import numpy as np
import pytest

import rushlight as torch
from rushlight.tensor_api import on_gpu


@pytest.fixture(autouse=True)
def quiet():
    """Simulated GPUs have no kernels; that is not the subject."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


SELECTIONS = {
    "nonzero": lambda x: x.nonzero(),
    "as_tuple": lambda x: torch.stack(x.nonzero(as_tuple=True)),
    "of truths": lambda x: (x > 0).nonzero(),
    "all": lambda x: (x < 9).nonzero(),
    "none": lambda x: (x > 9).nonzero(),
    "index": lambda x: x[x > 0],
    "index of none": lambda x: x[x > 9],
    "rows": lambda x: x[x.reshape(len(x), -1).sum(1) > 0],
    "masked_select": lambda x: x.masked_select(x > 0),
    "where": lambda x: torch.where(x > 0)[0],
    "argwhere": lambda x: torch.argwhere(x > 0.5),
}


@pytest.mark.parametrize("shape", [(5,), (4, 3), (2, 3, 4), (70, 300)], ids=str)
@pytest.mark.parametrize("name", SELECTIONS)
def test_places_of_truths(name, shape):
    torch.manual_seed(0)
    x, f = torch.randn(shape), SELECTIONS[name]
    here, there = f(x), f(x.cuda())
    assert there.is_cuda and there.dtype is here.dtype
    np.testing.assert_array_equal(there.cpu().numpy(), here.numpy())


def changed(x):
    x = x.clone()
    x[x > 1] = 5
    x[x < -1] *= 2
    x[x > 2] = x[x > 2] - 3
    return x


def test_masks_are_written_by_and_have_gradients():
    torch.manual_seed(0)
    x = torch.randn(6, 7)
    np.testing.assert_array_equal(changed(x.cuda()).cpu().numpy(), changed(x).numpy())
    found = []
    for device in ("cpu", "cuda"):
        leaf = x.clone().to(device).detach().requires_grad_()
        ((leaf[leaf > 0] ** 2).sum() + (leaf.masked_select(leaf < 0) ** 3).sum()).backward()
        found.append(leaf.grad.cpu().numpy())
    np.testing.assert_allclose(found[1], found[0], 1e-6)


@pytest.mark.parametrize("d", [torch.int64, torch.float32, torch.int32], ids=str)
def test_distinct_elements(d, monkeypatch):
    monkeypatch.setattr(on_gpu, "LEAST", 1)
    torch.manual_seed(0)
    for x in (torch.randint(0, 9, (5, 8)).to(d), torch.ones(1).to(d), torch.arange(40).to(d)):
        here = torch.unique(x, return_inverse=True, return_counts=True)
        there = torch.unique(x.cuda(), return_inverse=True, return_counts=True)
        for a, b in zip(there, here, strict=True):
            assert a.is_cuda and a.dtype is b.dtype
            np.testing.assert_array_equal(a.cpu().numpy(), b.numpy())
        np.testing.assert_array_equal(torch.unique(x.cuda()).cpu().numpy(), here[0].numpy())


def test_categories_are_drawn_by_weight(monkeypatch):
    monkeypatch.setattr(on_gpu, "LEAST", 1)
    torch.manual_seed(0)
    weights = torch.tensor([0.0, 1.0, 3.0, 6.0], device="cuda").expand(4000, 4)
    drawn = torch.multinomial(weights, 1)
    assert drawn.is_cuda and drawn.shape == (4000, 1) and drawn.dtype is torch.int64
    share = np.bincount(drawn.cpu().numpy()[:, 0], minlength=4) / 4000
    np.testing.assert_allclose(share, [0, 0.1, 0.3, 0.6], atol=0.03)
    several = torch.multinomial(weights, 3).cpu().numpy()
    assert (np.sort(several, 1) == [1, 2, 3]).all()  # each once, and none of weight 0
    with pytest.raises(RuntimeError, match="inf"):
        torch.multinomial(torch.tensor([1.0, -1.0], device="cuda"), 1)
    with pytest.raises(RuntimeError, match="sum of probabilities"):
        torch.multinomial(torch.zeros(2, device="cuda"), 1)


def test_what_nonzero_may_write_to_is_checked():
    x, out = (
        torch.tensor([0, 3, 4], device="cuda"),
        torch.empty(0, dtype=torch.int64, device="cuda"),
    )
    assert torch.nonzero(x, out=out) is out and out.tolist() == [[1], [2]]
    with pytest.raises(RuntimeError, match="as_tuple"):
        torch.nonzero(x, out=out, as_tuple=True)
    with pytest.raises(RuntimeError, match="int64"):
        torch.nonzero(x, out=out.float())
