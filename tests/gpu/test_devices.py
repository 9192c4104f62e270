"""What programs do with devices: factories, random numbers, files, printing, errors."""

import copy
import gc
import io
import pickle
import warnings

import numpy as np
import pytest

import rushlight as torch
from tests.gpu.simulated import simulated


@pytest.fixture(autouse=True)
def quiet():
    """Where no kernel is, the host computes; that is not the subject."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


MAKERS = {
    "zeros": lambda **o: torch.zeros(2, 3, **o),
    "ones": lambda **o: torch.ones((2, 3), **o),
    "full": lambda **o: torch.full((2,), 1.5, **o),
    "eye": lambda **o: torch.eye(3, **o),
    "arange": lambda **o: torch.arange(5, **o),
    "range": lambda **o: torch.arange(0.0, 1, 0.3, **o),
    "linspace": lambda **o: torch.linspace(0, 1, 5, **o),
    "tensor": lambda **o: torch.tensor([1.5], **o),
    "logspace": lambda **o: torch.logspace(0, 1, 5, **o),
    "as_tensor": lambda **o: torch.as_tensor([1], **o),
    "scalar": lambda **o: torch.scalar_tensor(2.0, **o),
    "rand": lambda **o: torch.rand(3, **o),
    "randn": lambda **o: torch.randn(2, 3, **o),
    "randint": lambda **o: torch.randint(9, (4,), **o),
    "randperm": lambda **o: torch.randperm(7, **o),
    "normal": lambda **o: torch.normal(0.0, 1.0, (3,), **o),
    "complex": lambda **o: torch.randn(3, dtype=torch.complex64, **o),
    "hann": lambda **o: torch.hann_window(5, **o),
    "triangle": lambda **o: torch.tril_indices(3, 3, **o),
    "fftfreq": lambda **o: torch.fft.fftfreq(4, **o),
    "asarray": lambda **o: torch.asarray([1, 2], **o),
    "kaiser": lambda **o: torch.signal.windows.kaiser(4, **o),
}


@pytest.mark.parametrize("name", MAKERS)
def test_makers(name, gpus):
    make = MAKERS[name]
    made = []
    for options in ({}, {"device": "cuda"}):
        torch.manual_seed(5)
        made.append(make(**options))
    with torch.device("cuda"):
        torch.manual_seed(5)
        made.append(make())
    here, *there = made
    assert here.is_cpu
    philox = gpus is None and name.startswith(("rand", "normal"))  # which draws other numbers
    expected = there[0].cpu() if philox else here
    for t in there:
        assert t.device == torch.device("cuda:0") and t.dtype is here.dtype
        assert torch.equal(t.cpu(), expected) and t._version == here._version and t.is_leaf


def test_makers_that_follow_a_tensor():
    x = torch.arange(6.0, device="cuda").reshape(2, 3).t()
    for t in (
        torch.zeros_like(x), torch.ones_like(x), torch.full_like(x, 2), torch.empty_like(x),
        torch.rand_like(x), torch.randn_like(x), torch.randint_like(x, 5), x.new_zeros(2),
        x.new_tensor([1, 2]), x.new_full((2,), 3), x.new_ones(1), x.new_empty(3), x.clone(),
    ):  # fmt: skip
        assert t.is_cuda
    assert torch.ones_like(x).stride() == x.stride() == torch.rand_like(x).stride()
    assert torch.zeros_like(x, device="cpu").is_cpu and x.new_zeros(2, device="cpu").is_cpu
    assert torch.empty_strided((2, 3), (1, 2), device="cuda").stride() == (1, 2)
    assert torch.ones(2, 3, requires_grad=True, device="cuda").requires_grad
    images = torch.zeros(2, 3, 4, 5, device="cuda").to(memory_format=torch.channels_last)
    assert images.is_contiguous(memory_format=torch.channels_last)
    for same in (images * 2, images + torch.ones(3, 1, 1, device="cuda"), images.exp().relu()):
        assert same.is_contiguous(memory_format=torch.channels_last)
    assert (images + images.contiguous()).stride() == (
        images.cpu() + images.contiguous().cpu()
    ).stride()


def test_default_device():
    torch.set_default_device("cuda")
    try:
        assert torch.ones(2).is_cuda and torch.get_default_device() == torch.device("cuda:0")
        assert torch.nn.Linear(2, 3).weight.is_cuda and torch.tensor([1]).is_cuda
        assert torch.ones(2, device="cpu").is_cpu
    finally:
        torch.set_default_device(None)
    assert torch.ones(2).is_cpu


def test_random_numbers_of_a_gpu():
    torch.manual_seed(3)
    first = torch.rand(4, device="cuda"), torch.rand(4)
    torch.manual_seed(3)
    assert torch.equal(first[1], torch.rand(4)) and torch.equal(
        first[0], torch.rand(4, device="cuda")
    )
    state = torch.cuda.get_rng_state()
    a = torch.empty(3, device="cuda").normal_()
    torch.rand(5)
    torch.cuda.set_rng_state(state)
    assert torch.equal(torch.empty(3, device="cuda").normal_(), a)
    torch.cuda.manual_seed(7)
    b = torch.empty(5, device="cuda").uniform_(-1, 1).bernoulli_(0.5)
    torch.cuda.manual_seed_all(7)
    assert torch.equal(torch.empty(5, device="cuda").uniform_(-1, 1).bernoulli_(0.5), b)
    generator = torch.Generator("cuda").manual_seed(1)
    assert generator.device == torch.device("cuda:0")
    c = torch.randn(3, device="cuda", generator=generator)
    assert torch.equal(torch.randn(3, device="cuda", generator=generator.manual_seed(1)), c)
    with pytest.raises(RuntimeError, match="device type for generator"):
        torch.empty(3, device="cuda").normal_(generator=torch.Generator())
    with pytest.raises(RuntimeError, match="device type for generator"):
        torch.rand(3, generator=generator)
    with torch.random.fork_rng():
        torch.rand(3, device="cuda")
    drop = torch.nn.Dropout(0.5)
    torch.manual_seed(1)
    d = drop(torch.ones(8, device="cuda"))
    torch.manual_seed(1)
    assert torch.equal(d, drop(torch.ones(8, device="cuda"))) and d.is_cuda
    weights = torch.tensor([0.0, 1.0, 0.0], device="cuda")
    assert torch.multinomial(weights, 2, True).tolist() == [1, 1]
    assert torch.distributions.Normal(weights, 1.0).sample((2,)).is_cuda
    for distribution in (
        torch.distributions.Normal(weights, 1.0), torch.distributions.StudentT(weights + 3),
        torch.distributions.MultivariateNormal(weights, torch.eye(3, device="cuda")),
        torch.distributions.LowRankMultivariateNormal(weights, weights[:, None], weights + 1),
        torch.distributions.Wishart(weights[1] + 3, torch.eye(2, device="cuda")),
        torch.distributions.LogisticNormal(weights, weights + 1),
    ):  # fmt: skip
        assert distribution.rsample().is_cuda, distribution


def test_printing():
    x = torch.tensor([1.0, 2.0], device="cuda", requires_grad=True)
    assert repr(x) == "tensor([1., 2.], device='cuda:0', requires_grad=True)"
    assert repr(x.detach().long()) == "tensor([1, 2], device='cuda:0')"
    assert repr(x * 2) == "tensor([2., 4.], device='cuda:0', grad_fn=<MulBackward0>)"
    assert repr(x.detach()[:0]) == "tensor([], device='cuda:0')"
    assert f"{x[1].detach():.2f}" == "2.00" and str(torch.nn.Parameter(x.detach())[0]).startswith(
        "tensor(1."
    )
    assert "device='cuda:0'" in repr(torch.rand(2000, device="cuda"))
    assert x.type() == "torch.cuda.FloatTensor" and isinstance(x, torch.cuda.FloatTensor)
    assert not isinstance(x, torch.FloatTensor)
    assert x.detach().cpu().type("torch.cuda.DoubleTensor").is_cuda


def test_numbers():
    x = torch.tensor([3], device="cuda")
    assert x.item() == 3 and int(x) == 3 and float(x) == 3.0 and bool(x) and x.tolist() == [3]
    assert [10, 20, 30, 40][x] == 40 and 3 in x and 4 not in x and len(x) == 1
    assert [t.item() for t in torch.arange(3, device="cuda")] == [0, 1, 2]
    assert torch.tensor([x[0], x[0]]).tolist() == [3, 3]
    with pytest.raises(TypeError, match=r"Tensor\.cpu\(\) to copy"):
        x.numpy()
    with pytest.raises(TypeError, match=r"Tensor\.cpu\(\) to copy"):
        np.asarray(x)
    assert x.numpy(force=True).tolist() == [3]
    y = torch.zeros(3, device="cuda")
    y.apply_(lambda v: v + 1)
    assert y.tolist() == [1.0] * 3


def test_indexing():
    x, y = [torch.arange(24.0).reshape(4, 6).to(d) for d in ("cpu", "cuda")]
    rows, mask = torch.tensor([2, 0, 2]), x > 10
    for key, other in (
        (rows, rows.cuda()), ((rows, rows), (rows.cuda(), rows)), (mask, mask.cuda()),
        ([1, 3], [1, 3]),
        ((slice(None), rows), (slice(None), rows.cuda())), (mask, mask), (rows, rows), (None, None),
        ((rows[:, None], [0, 1]), (rows[:, None].cuda(), [0, 1])), (rows[1], rows[1].cuda()),
        ((mask[:, 0], 2), (mask[:, 0].cuda(), 2)), ((..., 1), (..., 1)), (True, True),
    ):  # fmt: skip
        assert torch.equal(y[other].cpu(), x[key]), key
        for value in (7.0, torch.tensor(5.0)):
            a, b = x.clone(), y.clone()
            a[key] = value
            b[other] = value
            assert torch.equal(b.cpu(), a), key
    a, b = x.clone(), y.clone()
    a[rows] += 1
    b[rows.cuda()] += 1
    a[1:3, ::2] *= 2
    b[1:3, ::2] *= 2
    a[0], b[0] = torch.ones(6), torch.ones(6, device="cuda")
    assert torch.equal(b.cpu(), a) and b._version == a._version
    with pytest.raises(IndexError):
        y[torch.tensor([9], device="cuda")].cpu()
    with pytest.raises(RuntimeError, match="same device"):
        y[rows] = torch.ones(3, 6)


def test_mixed_devices():
    here, there = torch.ones(2, 2), torch.ones(2, 2, device="cuda")
    for mixed in (
        lambda: here + there, lambda: there * here, lambda: here @ there, lambda: there.add_(here),
        lambda: here.add_(there), lambda: torch.cat([here, there]),
        lambda: torch.stack([there, here]), lambda: torch.equal(here, there),
        lambda: torch.where(there > 0, here, there), lambda: there.gather(0, here.long()),
        lambda: torch.nn.functional.linear(here, there),
        lambda: there.index_select(0, torch.tensor([1])),
        lambda: here.sub_(there[0, 0]), lambda: torch.add(here, here, out=there),
        lambda: torch.nn.functional.mse_loss(here, there), lambda: torch.lerp(here, there, 0.5),
        lambda: there.masked_fill_(here > 0, 1.0),
        lambda: torch.nn.functional.cross_entropy(here, torch.tensor([0, 1], device="cuda")),
        lambda: torch.nn.functional.cross_entropy(there, torch.tensor([0, 1])),
        lambda: torch.nn.functional.cross_entropy(here, torch.tensor([0, 1]), there[0]),
        lambda: torch.nn.functional.cross_entropy(here, there),
    ):  # fmt: skip
        with pytest.raises(RuntimeError, match=r"same device, but got [\w ]+ is on (cpu|cuda:0)"):
            mixed()
    number = torch.tensor(2.0, requires_grad=True)
    result = there * number + torch.tensor(1.0)
    assert result.is_cuda and result.tolist() == [[3.0, 3.0]] * 2
    result.sum().backward()
    assert number.grad.is_cpu and number.grad.item() == 4.0
    assert (number.detach() * torch.tensor(3.0, device="cuda")).is_cuda
    assert torch.clamp(there, max=torch.tensor(0.5)).tolist() == [[0.5, 0.5]] * 2


def test_which_devices_there_are(gpus):
    count = torch.cuda.device_count()
    assert torch.cuda.is_available() and torch.accelerator.is_available()
    assert torch.accelerator.current_accelerator() == torch.device("cuda")
    with pytest.raises(RuntimeError, match="invalid device ordinal"):
        torch.ones(2, device=f"cuda:{count}")
    assert torch.cuda.get_device_name(0) == torch.cuda.get_device_properties(0).name
    assert torch.cuda.get_device_capability()[0] >= 5
    free, total = torch.cuda.mem_get_info()
    assert 0 < free <= total
    gc.collect()
    before = torch.cuda.memory_allocated()
    x = torch.zeros(1000, device="cuda")
    assert torch.cuda.memory_allocated() - before == 4000 == x.nbytes
    assert torch.cuda.max_memory_allocated() >= before + 4000
    torch.cuda.empty_cache()
    torch.cuda.synchronize()
    if gpus is not None:
        with torch.cuda.device(1):
            assert torch.cuda.current_device() == 1 and torch.ones(1).cuda().get_device() == 1
        torch.cuda.set_device(1)
        assert torch.ones(1, device="cuda").get_device() == 1 and torch.cuda.current_device() == 1
        torch.cuda.set_device(0)
        moved = torch.arange(3, device="cuda:0").to("cuda:1")
        assert moved.get_device() == 1 and moved.tolist() == [0, 1, 2]
        with pytest.raises(RuntimeError, match=r"is on cuda:1, different from .* on cuda:0"):
            torch.ones(3, device="cuda:0") + moved


def test_marks_and_queues():
    begin, end = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
    with pytest.raises(RuntimeError, match="must be recorded"):
        begin.elapsed_time(end)
    begin.record()
    torch.ones(10, device="cuda").sum()
    end.record()
    end.synchronize()
    assert begin.elapsed_time(end) > 0 and end.query()
    with pytest.raises(RuntimeError, match="enable_timing=True"):
        begin.elapsed_time(torch.cuda.Event())
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        x = torch.ones(3, device="cuda") * 2
    torch.cuda.current_stream().wait_stream(side)
    side.synchronize()
    assert x.tolist() == [2.0] * 3 and side.query() and torch.cuda.current_stream() == side


def saved(value):
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return file


def test_files(gpus):
    x = torch.arange(6.0).reshape(2, 3)
    state = {"a": x.cuda(), "part": x.cuda()[:, 1:], "here": x, "w": torch.nn.Parameter(x.cuda())}
    state["tied"] = state["a"][0]
    got = torch.load(saved(state))
    for name, t in state.items():
        assert got[name].device == t.device and torch.equal(got[name], t), name
        assert got[name].stride() == t.stride() and got[name].requires_grad == t.requires_grad
    assert got["tied"].untyped_storage() is got["a"].untyped_storage()
    for where, name in (
        ("cpu", "cpu"), ("cuda", "cuda:0"), (torch.device("cuda:0"), "cuda:0"),
        ({"cuda:0": "cpu"}, "cpu"), (lambda storage, tag: storage, "cpu"),
        (lambda storage, tag: storage.cuda(), "cuda:0"),
    ):  # fmt: skip
        got = torch.load(saved(state["a"]), map_location=where)
        assert str(got.device) == name and torch.equal(got.cpu(), x)
    net = torch.nn.Linear(2, 3).cuda()
    other = torch.nn.Linear(2, 3)
    other.load_state_dict(torch.load(saved(net.state_dict()), weights_only=True))
    assert other.weight.is_cpu and torch.equal(other.weight, net.weight.cpu())
    if gpus is None:
        return
    file = saved(torch.ones(2, device="cuda:1"))
    with simulated(1), pytest.raises(RuntimeError, match=r"device_count\(\) is 1"):
        torch.load(file)
    file.seek(0)
    with simulated(0):
        with pytest.raises(RuntimeError, match=r"is_available\(\) is False"):
            torch.load(file)
        file.seek(0)
        assert torch.load(file, map_location="cpu").tolist() == [1.0, 1.0]


@pytest.mark.parametrize("how", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_copies(how):
    x = torch.arange(6.0, device="cuda").reshape(2, 3).t()
    y = how(x)
    assert y.device == x.device and torch.equal(x, y) and y.stride() == x.stride()
    y.zero_()
    assert x[1, 0].item() == 1.0
    a, b = how([x, x[0]])
    a.fill_(9)
    assert b.tolist() == [9.0, 9.0] or how is not copy.deepcopy


def test_storages():
    x = torch.arange(4.0, device="cuda")
    s = x[1:].untyped_storage()
    assert (
        s is x.untyped_storage() and s.nbytes() == 16 and s.is_cuda and s.data_ptr() == x.data_ptr()
    )
    assert s.device == torch.device("cuda:0") and s.cpu().device == torch.device("cpu")
    assert x.storage().tolist() == [0.0, 1.0, 2.0, 3.0]
    y = torch.empty(0, device="cuda").set_(s, 1, (2,), (2,))
    y.fill_(8)
    assert x.tolist() == [0.0, 8.0, 2.0, 8.0]
    x.resize_(2, 3)
    assert x.shape == (2, 3) and x.is_cuda and x[0].tolist() == [0.0, 8.0, 2.0]
    z = torch.tensor([1.0], device="cuda")
    x.data = z
    assert x.data_ptr() == z.data_ptr() and x.is_set_to(z)
    assert x.is_shared() and x.share_memory_() is x


def test_other_libraries_see_the_memory():
    x = torch.arange(6.0, device="cuda").reshape(2, 3)
    told = x.__cuda_array_interface__
    assert (
        told["shape"] == (2, 3)
        and told["data"] == (x.data_ptr(), False)
        and told["strides"] is None
    )
    assert x.t().__cuda_array_interface__["strides"] == (4, 12)
    assert not hasattr(torch.ones(2), "__cuda_array_interface__")
    assert x.__dlpack_device__() == (2, 0)

    class Theirs:
        __cuda_array_interface__ = x.t().__cuda_array_interface__

    for seen in (torch.as_tensor(Theirs()), torch.from_dlpack(Theirs())):
        assert seen.is_cuda and torch.equal(seen.cpu(), x.t().cpu())
        seen[0, 0] += 1
    assert x[0, 0].item() == 2.0


def test_gradients_stay_on_their_device():
    x = torch.ones(3, device="cuda", requires_grad=True)
    here = torch.full((3,), 2.0, requires_grad=True)
    seen = []
    y = x * here.cuda()
    y.retain_grad()
    y.register_hook(seen.append)
    (y.cpu() * here).sum().backward()
    assert x.grad.is_cuda and here.grad.is_cpu and y.grad.is_cuda and seen[0].is_cuda
    assert x.grad.tolist() == [4.0] * 3 and here.grad.tolist() == [4.0] * 3
    assert here.cuda().grad_fn.name() == "ToCopyBackward0"
    (x * 2).sum().backward()
    assert x.grad.tolist() == [6.0] * 3  # added up
    (g,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    (gg,) = torch.autograd.grad(g.sum(), x)
    assert gg.is_cuda and gg.tolist() == [6.0] * 3
    with pytest.raises(RuntimeError):
        x.add_(1)
    z = x.clone()
    z[1:].mul_(3)
    z.sum().backward()
    assert x.grad.tolist() == [7.0, 9.0, 9.0]
    assert torch.autograd.functional.jacobian(lambda v: v * v, x.detach()).is_cuda
    assert torch.func.vmap(torch.dot)(torch.ones(2, 3).cuda(), torch.ones(2, 3).cuda()).is_cuda
    with (
        torch.autograd.set_detect_anomaly(True),
        pytest.raises(RuntimeError, match="nan"),
        pytest.warns(UserWarning, match="Error detected in"),
    ):
        (x * 0).sqrt().mul(0).sum().backward()


def test_checkpoints_draw_the_same_numbers_again():
    x = torch.ones(100, device="cuda", requires_grad=True)
    drop = torch.nn.Dropout(0.5)
    y = torch.utils.checkpoint.checkpoint(lambda t: drop(t) * t, x, use_reentrant=False)
    y.sum().backward()
    assert torch.equal(x.grad == 0, y == 0)


def test_batches_and_pinned_memory():
    data = torch.utils.data.TensorDataset(torch.arange(6.0))
    for (batch,) in torch.utils.data.DataLoader(data, 2, pin_memory=True):
        assert batch.cuda(non_blocking=True).is_cuda
    assert torch.ones(2).pin_memory().is_cpu
    order = torch.utils.data.RandomSampler(range(9), generator=torch.Generator().manual_seed(1))
    expected = list(order)
    order.generator.manual_seed(1)
    with torch.device("cuda"):
        assert list(order) == expected  # a generator of the CPU, whatever the default device is
        assert sorted(torch.utils.data.RandomSampler(range(9))) == list(range(9))


def test_custom_functions_and_autocast():
    class Double(torch.autograd.Function):
        @staticmethod
        @torch.amp.custom_fwd(device_type="cuda", cast_inputs=torch.float32)
        def forward(ctx, x):
            assert x.dtype is torch.float32 and (x @ x).dtype is torch.float32
            return x * 2

        @staticmethod
        @torch.amp.custom_bwd(device_type="cuda")
        def backward(ctx, g):
            assert not torch.is_autocast_enabled("cuda")
            return g * 2

    x = torch.ones(2, 2, device="cuda", requires_grad=True)
    with torch.autocast("cuda"):
        y = Double.apply((x @ x).half())
    y.sum().backward()
    assert x.grad is not None and y.dtype is torch.float32


def test_numbers_for_a_gpu_are_not_drawn_on_the_cpu():
    x = torch.full((3,), 0.5, device="cuda")
    state = torch.get_rng_state()
    for draw in (
        lambda: x.clone().normal_(), lambda: torch.bernoulli(x), lambda: torch.poisson(x),
        lambda: torch.normal(x, x), lambda: torch.normal(0.0, x), lambda: torch.rand_like(x),
        lambda: torch.multinomial(x, 2), lambda: torch._standard_gamma(x),
        lambda: torch.distributions.Dirichlet(x).sample(), lambda: torch.binomial(x, x),
        lambda: x.bernoulli(0.5), lambda: torch.randperm(3, device="cuda"),
        lambda: x.clone().bernoulli_(x), lambda: torch.nn.functional.dropout(x),
        lambda: torch.nn.functional.rrelu(x, training=True),
        lambda: torch.nn.functional.gumbel_softmax(x), lambda: torch.nn.init.normal_(x.clone()),
        lambda: torch.nn.functional.alpha_dropout(x, training=True),
        lambda: torch.nn.functional.feature_alpha_dropout(x[None, :, None], training=True),
        lambda: torch.nn.functional.scaled_dot_product_attention(
            *[x.reshape(1, 1, 3)] * 3, dropout_p=0.5
        ),
        lambda: torch.distributions.Gamma(x, x).rsample(),
        lambda: torch.svd_lowrank(x[:, None] * x),
        lambda: torch.nn.LSTM(3, 2, 2, dropout=0.5, device="cuda")(x[None]),
    ):  # fmt: skip
        result = draw()
        assert (result[0] if isinstance(result, tuple) else result).is_cuda
    assert torch.equal(torch.get_rng_state(), state)


def test_what_checks_tensors_takes_those_of_a_gpu():
    x = torch.rand(3, device="cuda", dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(torch.sin, x) and torch.autograd.gradgradcheck(torch.sin, x)
    torch.testing.assert_close(x, x + 1e-9)
    with pytest.raises(AssertionError, match="attribute 'device' do not match"):
        torch.testing.assert_close(x, x.cpu())
    torch.testing.assert_close(x, x.cpu(), check_device=False)
    with pytest.raises(AssertionError, match="not close"):
        torch.testing.assert_close(x, x + 1)


def test_sparse_tensors_stay_on_the_cpu():
    x = torch.eye(2)
    for refused in (
        lambda: x.to_sparse().cuda(), lambda: x.cuda().to_sparse(),
        lambda: torch.sparse_coo_tensor([[0], [1]], [1.0], (2, 2), device="cuda"),
        lambda: torch.sparse_coo_tensor([[0], [1]], torch.ones(1).cuda(), (2, 2)),
        lambda: torch.zeros(2, 2, layout=torch.sparse_coo, device="cuda"),
    ):  # fmt: skip
        with pytest.raises(NotImplementedError):
            refused()


def test_custom_operators_have_kernels_by_device():
    @torch.library.custom_op("gpu_tests::name", mutates_args=(), device_types="cpu")
    def name(x: torch.Tensor) -> torch.Tensor:
        return x + 1

    with pytest.raises(NotImplementedError, match="on the device cuda"):
        name(torch.ones(1, device="cuda"))
    name.register_kernel("cuda")(lambda x: x + 2)
    assert name(torch.ones(1)).item() == 2.0 and name(torch.ones(1, device="cuda")).item() == 3.0
