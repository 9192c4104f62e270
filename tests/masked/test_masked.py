"""Masked functions against torch's, in values and gradients."""

import warnings

import numpy
import pytest
import torch

import rushlight
from rushlight.masked.maskedtensor import BINARY, UNARY

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


FUNCTIONS = {
    **{name: lambda lib, x, name=name: getattr(lib, name)(x / 8) for name in UNARY},
    **{
        name: lambda lib, x, name=name: getattr(lib, name)(x, x) for name in BINARY if name != "pow"
    },
    "method": lambda lib, x: x.log().add(x).mul_(2),
    "a tensor first": lambda lib, x: lib.ones(2, 3) + x,
    "transposed": lambda lib, x: x.t(),
    "split": lambda lib, x: x.split(1)[1],
    "select": lambda lib, x: lib.select(x, 0, 1),
    "expand": lambda lib, x: x[None].expand(2, 2, 3),
    "cat": lambda lib, x: lib.cat([x, x], 1),
    "stack": lambda lib, x: lib.stack([x, x]),
    "ones_like": lambda lib, x: lib.ones_like(x),
    "sum": lambda lib, x: lib.sum(x, 1),
    "softmax": lambda lib, x: lib.softmax(x, 1),
    "item": lambda lib, x: lib.masked.masked_tensor(
        lib.tensor(x.sum().item()), lib.tensor(x.numel() == 6)
    ),
}
ABSENT = {"bitwise_not", "clamp", "clip", "pow", "relu"}  # of torch's


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - ABSENT))
def test_functions_of_the_library(name):
    found = []
    for lib in (torch, rushlight):
        x = lib.arange(1.0, 7.0).view(2, 3)
        x = x.long() if name.startswith("bitwise") else x
        mask = lib.tensor([[True, False, True], [True, True, False]])
        r = FUNCTIONS[name](lib, lib.masked.masked_tensor(x, mask))
        mask = r.get_mask()
        found.append((mask.tolist(), str(r.dtype), r.get_data()[mask].tolist()))
    assert found[1][:2] == found[0][:2]
    assert found[1][2] == pytest.approx(found[0][2], rel=1e-5, nan_ok=True)
