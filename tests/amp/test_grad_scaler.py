"""GradScaler beside PyTorch's, on the CPU."""

import pytest
import torch

import rushlight

LIBRARIES = pytest.mark.parametrize("lib", [torch, rushlight])


def scaler_of(lib, **options):
    return lib.amp.GradScaler("cpu", **{"init_scale": 8.0, "growth_interval": 2, **options})


def run(lib, gradients, **options):
    """Steps with these gradients; what is seen after each."""
    w = lib.nn.Parameter(lib.tensor([1.0, 2.0]))
    optimizer, scaler = lib.optim.SGD([w], lr=0.1), scaler_of(lib, **options)
    seen = []
    for g in gradients:
        optimizer.zero_grad()
        scaler.scale((w * lib.tensor(g)).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        seen += [w.tolist(), w.grad.tolist(), scaler.get_scale(), scaler.state_dict()]
    return seen


@pytest.mark.parametrize(
    "options", [{}, {"growth_factor": 3.0, "backoff_factor": 0.25}, {"enabled": False}]
)
def test_scale_and_steps(options):
    inf, nan = float("inf"), float("nan")
    gradients = [[1.0, 2.0], [0.5, 0.5], [inf, 1.0], [1.0, 1.0], [nan, 0.0], [1.0, 0.0], [2.0, 1.0]]
    if "enabled" in options:
        gradients = gradients[:2]
    expected, got = (run(lib, gradients, **options) for lib in (torch, rushlight))
    torch.testing.assert_close(got, expected, equal_nan=True)


@LIBRARIES
def test_unscaled_gradients_can_be_clipped(lib):
    w = lib.nn.Parameter(lib.tensor([3.0, 4.0]))
    optimizer, scaler = lib.optim.SGD([w], lr=1.0), scaler_of(lib)
    scaler.scale((w * w).sum() / 2).backward()
    scaler.unscale_(optimizer)
    assert w.grad.tolist() == [3.0, 4.0]
    lib.nn.utils.clip_grad_norm_([w], 1.0)
    scaler.step(optimizer)
    scaler.update()
    assert w.tolist() == pytest.approx([2.4, 3.2], abs=1e-5)


@LIBRARIES
def test_order_of_calls(lib):
    w = lib.nn.Parameter(lib.ones(2))
    optimizer, scaler = lib.optim.SGD([w], lr=0.1), scaler_of(lib)
    scaler.scale(w.sum()).backward()
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="unscale_"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="step"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError):
        scaler.unscale_(optimizer)
    scaler.update()
    assert scaler.get_scale() == 8.0


@LIBRARIES
def test_its_numbers_can_be_read_and_replaced(lib):
    scaler = scaler_of(lib)
    for name, value in (("growth_factor", 4.0), ("backoff_factor", 0.1), ("growth_interval", 7)):
        getattr(scaler, f"set_{name}")(value)
        assert getattr(scaler, f"get_{name}")() == value == scaler.state_dict()[name]
    other = scaler_of(lib)
    other.load_state_dict(scaler.state_dict())
    assert other.get_growth_interval() == 7 and other.is_enabled()
    scaled = scaler.scale([lib.ones(2), (lib.ones(1),)])
    assert [scaled[0].tolist(), scaled[1][0].tolist()] == [[8.0, 8.0], [8.0]]
