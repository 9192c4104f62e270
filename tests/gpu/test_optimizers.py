"""Every optimizer trains on a GPU as on the CPU; scalers; clipping."""

import io
import warnings

import numpy as np
import pytest

import rushlight as torch
from rushlight.core.native import without_kernels
from tests.optim.test_optimizers import ALL, Net


@pytest.fixture(autouse=True)
def quiet():
    """Rules make the steps, op by op, not programs; where no kernel is, the host computes, which is
    not the subject.
    """
    with warnings.catch_warnings(), without_kernels():
        warnings.simplefilter("ignore")
        yield


class NetOnGpu(Net):
    """The same net, all of it on a GPU."""

    def __init__(self, lib, *args, **kwargs):
        super().__init__(lib, *args, **kwargs)
        for p in self.all:
            p.data = p.data.cuda()
        self.x, self.y = self.x.cuda(), self.y.cuda()

    def values(self):
        return np.concatenate([p.detach().cpu().numpy().ravel() for p in self.all])


@pytest.mark.parametrize(("name", "options"), ALL)
def test_steps_equal_the_cpus(name, options):
    pairs = []
    for kind in (Net, NetOnGpu):
        net = kind(torch, matrices_only=name == "Muon")
        pairs.append((net, getattr(torch.optim, name)(net.params, **options)))
    for _ in range(4):
        losses = [net.step(optimizer).item() for net, optimizer in pairs]
        assert losses[0] == pytest.approx(losses[1], rel=1e-9)
    (here, _), (there, optimizer) = pairs
    np.testing.assert_allclose(there.values(), here.values(), rtol=1e-7, atol=1e-9)
    for p, state in optimizer.state.items():
        assert p.is_cuda
        for key, value in state.items():
            if isinstance(value, torch.Tensor) and value.dim():
                assert value.is_cuda, key
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    again = getattr(torch.optim, name)(there.params, **options)
    again.load_state_dict(torch.load(file, map_location="cpu"))
    for p, state in again.state.items():
        for key, value in state.items():
            if isinstance(value, torch.Tensor) and value.dim() and name != "LBFGS":
                assert value.device == p.device, key
    there.step(again)


def test_scaler():
    w = torch.nn.Parameter(torch.ones(3, device="cuda"))
    optimizer, scaler = torch.optim.SGD([w], lr=0.1), torch.amp.GradScaler("cuda", init_scale=4.0)
    assert scaler.is_enabled()
    scaler.scale((w * 2).sum()).backward()
    assert w.grad.tolist() == [8.0] * 3
    scaler.unscale_(optimizer)
    assert w.grad.tolist() == [2.0] * 3
    scaler.step(optimizer)
    scaler.update()
    assert w.tolist() == pytest.approx([0.8] * 3)
    w.grad = torch.full((3,), float("inf"), device="cuda")
    scaler.step(optimizer)
    scaler.update()
    assert w.tolist() == pytest.approx([0.8] * 3) and scaler.get_scale() == 2.0


def test_clipping():
    w = torch.nn.Parameter(torch.ones(4, device="cuda"))
    (w * 3).sum().backward()
    total = torch.nn.utils.clip_grad_norm_([w], 1.0)
    assert total.is_cuda and total.item() == pytest.approx(6.0)
    assert w.grad.norm().item() == pytest.approx(1.0, rel=1e-5)
    torch.nn.utils.clip_grad_value_([w], 0.1)
    assert w.grad.tolist() == pytest.approx([0.1] * 4)
    flat = torch.nn.utils.parameters_to_vector([w])
    torch.nn.utils.vector_to_parameters(flat * 2, [w])
    assert w.is_cuda and w.tolist() == [2.0] * 4


def test_autocast_chooses_by_the_device_of_the_tensors():
    x, y = torch.ones(2, 2), torch.ones(2, 2, device="cuda")
    with torch.autocast("cuda"):
        assert (y @ y).dtype is torch.float16 and (x @ x).dtype is torch.float32
        assert torch.is_autocast_enabled("cuda") and not torch.is_autocast_enabled("cpu")
        half = y @ y
        for function in (torch.exp, torch.sum, torch.softmax, torch.log_softmax, torch.cumsum):
            there = function(half, 0) if function not in (torch.exp, torch.sum) else function(half)
            assert there.dtype is torch.float32, function
        assert (half + 1).dtype is half.relu().dtype is half.mean().dtype is torch.float16
        assert torch.nn.functional.layer_norm(half, (2,)).dtype is torch.float32
        with pytest.raises(RuntimeError, match="binary_cross_entropy_with_logits"):
            torch.nn.functional.binary_cross_entropy(half.sigmoid(), y)
        assert torch.nn.functional.mse_loss((y @ y), y).dtype is torch.float32
        with torch.autocast("cuda", enabled=False):
            assert (y @ y).dtype is torch.float32
        with torch.autocast("cpu"):
            assert (x @ x).dtype is torch.bfloat16 and (y @ y).dtype is torch.float16
    with torch.autocast("cuda", dtype=torch.bfloat16):
        assert torch.nn.Linear(2, 2, device="cuda")(y).dtype is torch.bfloat16
    assert (y @ y).dtype is torch.float32
