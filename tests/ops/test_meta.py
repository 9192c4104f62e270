"""Every function with samples, on meta tensors: the shapes and dtypes that it has on the CPU."""

import io

import pytest
import torch

import rushlight
from tests.ops.calls import Call, find, finish, perform
from tests.ops.samples import load

OPS = load()
# What looks at values before it computes, or factorises, which no matrix of equal elements allows.
NEEDS_VALUES = frozenset(
    """
    Tensor.as_strided Tensor.fill_diagonal_ Tensor.index_fill Tensor.lu_solve Tensor.masked_fill
    Tensor.storage_offset as_strided as_strided_copy as_strided_scatter cholesky
    cholesky_inverse cholesky_solve embedding_bag gradient histc index_fill index_put inverse
    linalg.cholesky linalg.cholesky_ex linalg.inv linalg.inv_ex linalg.lu linalg.lu_factor_ex
    linalg.matrix_power linalg.matrix_rank linalg.solve linalg.solve_ex linalg.tensorinv
    linalg.tensorsolve lu_solve lu_unpack masked_fill nn.functional.max_unpool1d
    nn.functional.max_unpool2d nn.functional.max_unpool3d nn.functional.one_hot
    nn.functional.pdist nonzero_static segment_reduce take_along_dim trace
    """.split()  # noqa: SIM905
)


def to_meta(lib, value):
    """An argument with its tensors on meta."""
    if isinstance(value, lib.Tensor):
        return value.to("meta")
    if isinstance(value, (tuple, list)):
        return type(value)(to_meta(lib, v) for v in value)
    if isinstance(value, dict):
        return {name: to_meta(lib, v) for name, v in value.items()}
    return value


def on_meta(lib, name, sample, base):
    """The result of a call whose tensors are on meta."""
    call = Call.new(lib, base)
    args, kwargs = call.arguments(sample)
    return finish(call, find(lib, name), to_meta(lib, args), to_meta(lib, kwargs))


def described(result):
    """Shape and dtype of each tensor."""
    return [(tuple(t.shape), str(t.dtype)) for t in result.tensors()]


@pytest.mark.parametrize("name", [n for n in OPS if n not in NEEDS_VALUES])
def test_shapes_without_memory(name):
    op = OPS[name]
    for sample in op.samples:
        expected, got = perform(rushlight, name, sample, op.base), None
        if expected.error is None:
            got = on_meta(rushlight, name, sample, op.base)
        if got is None or (got.error is not None and on_meta(torch, name, sample, op.base).error):
            continue
        assert got.error is None, f"{name}{sample}: {got.error!r}"
        assert described(got) == described(expected), f"{name}{sample}"
        if got.call.tensors:
            assert all(t.is_meta or not t.numel() for t in got.tensors()), f"{name}{sample}"


def test_factories_make_meta_tensors():
    for lib in (torch, rushlight):
        seed = lib.manual_seed(0).get_state()
        with lib.device("meta"):
            made = [
                lib.zeros(2, 3), lib.ones((2,), dtype=lib.int64), lib.empty(3), lib.full((2,), 1.5),
                lib.rand(2), lib.randn(2, 3), lib.randint(5, (2,)), lib.arange(4), lib.eye(3),
                lib.linspace(0, 1, 5), lib.tensor([1.0, 2.0]), lib.as_tensor([1]), lib.randperm(4),
                lib.zeros(2).new_ones(3), lib.rand_like(lib.ones(2)),
                lib.empty_strided((2, 3), (1, 2)), lib.nn.Linear(2, 3).weight,
            ]  # fmt: skip
            assert all(t.is_meta and str(t.device) == "meta" for t in made)
            assert lib.get_default_device() == lib.device("meta")
            assert lib.ones(1, device="cpu").is_cpu
            with lib.device("cpu"):
                assert lib.ones(1).is_cpu and lib.zeros_like(made[0]).is_meta
        assert lib.equal(lib.get_rng_state(), seed)  # nothing was drawn
        assert lib.ones(1).is_cpu and lib.ones(1, device="meta").to("meta").is_meta
        lib.set_default_device("meta")
        assert lib.ones(1).is_meta
        lib.set_default_device(None)
        assert lib.ones(1).is_cpu


def test_what_needs_elements_raises():
    for lib in (torch, rushlight):
        x = lib.ones(2, 3, device="meta")
        assert repr(x) == "tensor(..., device='meta', size=(2, 3))"
        for refused in (
            x.cpu, x.tolist, x[0, 0].item, lambda x=x: bool(x.sum()), lambda x=x: x.view(4),
            lambda x=x: x.t().view(6), x.nonzero, lambda x=x: x[x > 0],
            lambda x=x, lib=lib: lib.ones(2, 3).copy_(x), lambda x=x, lib=lib: x.add_(lib.ones(4)),
        ):  # fmt: skip
            with pytest.raises(RuntimeError):
                refused()
        with pytest.raises(TypeError):
            x.numpy()


def test_views_gradients_and_writes():
    for lib in (torch, rushlight):
        x = lib.ones(2, 3, device="meta", requires_grad=True)
        assert x.t().stride() == (1, 3) and not x.t().is_contiguous()
        assert x.expand(4, 2, 3).stride() == (0, 3, 1) and x.t().reshape(6).shape == (6,)
        (x.exp() @ x.t()).sum().backward()
        assert x.grad.is_meta and x.grad.shape == (2, 3)
        with lib.no_grad():
            assert x.normal_().mul_(2).fill_(1) is x and x._version == 3
            x[0] = 1.0
        assert x.untyped_storage().nbytes() == 24 and x.data_ptr() == 0


def test_modules_get_memory_later():
    for lib in (torch, rushlight):
        with lib.device("meta"):
            net = lib.nn.Sequential(lib.nn.Linear(2, 3), lib.nn.BatchNorm1d(3), lib.nn.LSTM(3, 4))
        assert net(lib.ones(5, 2, device="meta"))[0].shape == (5, 4)
        state = {k: lib.ones(v.shape, dtype=v.dtype) for k, v in net.state_dict().items()}
        net.load_state_dict(state, assign=True)
        assert net[0].weight.is_cpu and net[0].weight.requires_grad
        net.to("meta").to_empty(device="cpu")
        assert net[0].weight.is_cpu and isinstance(net[0].weight, lib.nn.Parameter)


@pytest.mark.parametrize("writer", [rushlight, torch])
@pytest.mark.parametrize("reader", [rushlight, torch])
def test_files(writer, reader):
    file = io.BytesIO()
    weight = writer.nn.Parameter(writer.ones(2, 3, device="meta").t())
    writer.save({"meta": weight, "real": writer.ones(2, 3).t()}, file)
    file.seek(0)
    got = reader.load(file, map_location="meta")
    for t in got.values():
        assert t.is_meta and t.shape == (3, 2) and t.stride() == (1, 3)
    assert got["meta"].requires_grad


def test_permuted_memory_on_meta():
    made = rushlight.empty_permuted((2, 3, 4), (0, 2, 1), device="meta")
    assert made.is_meta and made.stride() == torch.empty_permuted((2, 3, 4), (0, 2, 1)).stride()
    with rushlight.device("meta"):
        assert rushlight.empty_permuted((2, 3), (1, 0)).is_meta


def test_numbers_are_written():
    for lib in (torch, rushlight):
        x = lib.zeros(2, 6, device="meta")
        x[0, 1:5:3] = 1
        x[1] = True
        x[:, 2] = 2.5
        assert x.is_meta and x.shape == (2, 6)


def test_shapes_beyond_any_memory():
    for lib in (torch, rushlight):
        x = lib.empty(1 << 10, 3, 1 << 16, 1 << 16, device="meta")
        net = lib.nn.Sequential(
            lib.nn.Conv2d(3, 5, 2), lib.nn.ReLU(), lib.nn.ConvTranspose2d(5, 2, 2)
        )
        out = net.to("meta")(x)
        assert out.shape == (1 << 10, 2, 1 << 16, 1 << 16)
        assert (x > 0.5).dtype == lib.bool
        with pytest.raises(RuntimeError):
            x + out
