"""nn.utils: clipping, vectors, parametrisations, functional calls, fusion."""

import copy
import inspect
import warnings

import pytest
import torch

import rushlight as rl


def with_grads(t, nn, *values):
    made = []
    for value in values:
        p = nn.Parameter(t.zeros(len(value)))
        p.grad = t.tensor(value)
        made.append(p)
    return made


@pytest.mark.parametrize("limit", [1.0, 100.0])
@pytest.mark.parametrize("order", [2.0, 1, float("inf"), 3.5])
@pytest.mark.parametrize("foreach", [None, True, False])
def test_clip_grad_norm(twin, limit, order, foreach):
    def program(t, nn):
        parameters = [*with_grads(t, nn, [3.0, -4.0], [12.0]), nn.Parameter(t.ones(1))]
        total = nn.utils.clip_grad_norm_(iter(parameters), limit, order, foreach=foreach)
        return total, [p.grad for p in parameters]

    twin(program)


def test_clip_one_tensor_and_nothing(twin):
    def program(t, nn):
        (p,) = with_grads(t, nn, [3.0, 4.0])
        return (
            nn.utils.clip_grad_norm_(p, 1.0),
            p.grad,
            nn.utils.clip_grad_norm_([], 1.0),
            nn.utils.clip_grad_norm_([nn.Parameter(t.ones(1))], 1.0),
        )

    twin(program)


def test_clip_nonfinite(twin):
    def program(t, nn):
        return nn.utils.clip_grad_norm_(
            with_grads(t, nn, [float("nan")]), 1.0, error_if_nonfinite=True
        )

    assert isinstance(twin(program), RuntimeError)


def test_clip_grad_value(twin):
    def program(t, nn):
        parameters = with_grads(t, nn, [3.0, -4.0, 0.5])
        nn.utils.clip_grad_value_(parameters, 2)
        return parameters[0].grad

    twin(program)


def test_total_norm(twin):
    def program(t, nn):
        tensors = [t.ones(4), t.full((5,), 2.0)]
        norms = [nn.utils.get_total_norm(tensors, order) for order in (2.0, 1.0, 0.0, float("inf"))]
        mixed = nn.utils.get_total_norm([t.ones(4).double(), t.ones(5)])
        return norms, mixed, nn.utils.get_total_norm([])

    twin(program)


def test_vectors(twin):
    def program(t, nn):
        net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
        vector = nn.utils.parameters_to_vector(net.parameters())
        nn.utils.vector_to_parameters(t.arange(float(len(vector))), net.parameters())
        return vector, list(net.parameters())

    twin(program)


@pytest.mark.parametrize(
    "act",
    [
        lambda t, u, p: u.vector_to_parameters([1.0], [p]),
        lambda t, u, p: u.vector_to_parameters(t.ones(1), [p]),
        lambda t, u, p: u.skip_init(3),
    ],
)
def test_refused(twin, act):
    error = twin(lambda t, nn: act(t, nn.utils, nn.Parameter(t.ones(2))))
    assert isinstance(error, Exception)


def test_skip_init_leaves_the_generator(twin):
    def program(t, nn):
        layer = nn.utils.skip_init(nn.Linear, 2, 3)
        return layer, t.rand(2)

    twin(program)


# -- parametrisations ----------------------------------------------------------------------------


def run_with(t, net, x):
    out = net(x)
    out.square().sum().backward()
    grads = {name: p.grad for name, p in net.named_parameters()}
    net.zero_grad()
    return out, grads


KINDS = {
    "weight_norm": [{}, {"dim": 1}, {"dim": None}],
    "spectral_norm": [{}, {"n_power_iterations": 3}, {"dim": 1}],
    "orthogonal": [
        {},
        {"orthogonal_map": "cayley"},
        {"orthogonal_map": "householder"},
        {"orthogonal_map": "matrix_exp"},
    ],
}


@pytest.mark.parametrize(
    ("kind", "options"), [(k, o) for k, many in KINDS.items() for o in many], ids=str
)
@pytest.mark.parametrize("sizes", [(3, 3), (4, 2), (2, 4)], ids=str)
def test_parametrizations(twin, kind, options, sizes):
    def program(t, nn):
        layer = nn.Linear(*sizes)
        returned = getattr(nn.utils.parametrizations, kind)(layer, **options)
        x = t.randn(5, sizes[0])
        trained, grads = run_with(t, layer, x)
        layer.eval()
        result = layer(x)
        shown = repr(layer)
        state = dict(layer.state_dict())
        copied = copy.deepcopy(layer)(x)
        nn.utils.parametrize.remove_parametrizations(layer, "weight")
        return (
            returned is layer,
            trained,
            grads,
            result,
            shown,
            state,
            copied,
            repr(layer),
            layer(x),
        )

    twin(program, rtol=1e-4, atol=1e-4)


def test_own_parametrization(twin):
    def program(t, nn):
        class Symmetric(nn.Module):
            def forward(self, x):
                return x.triu() + x.triu(1).transpose(-1, -2)

            def right_inverse(self, x):
                return x.triu()

        class Double(nn.Module):
            def forward(self, x):
                return 2 * x

        p = nn.utils.parametrize
        layer = nn.Linear(3, 3)
        p.register_parametrization(layer, "weight", Symmetric())
        p.register_parametrization(layer, "weight", Double())
        p.register_parametrization(layer, "bias", Double())
        x = t.randn(2, 3)
        first, grads = run_with(t, layer, x)
        with p.cached():
            same = layer.weight is layer.weight
        flags = (
            p.is_parametrized(layer),
            p.is_parametrized(layer, "bias"),
            p.is_parametrized(nn.ReLU()),
        )
        kept = p.type_before_parametrizations(layer)
        p.remove_parametrizations(layer, "bias", leave_parametrized=False)
        shown = repr(layer)
        p.remove_parametrizations(layer, "weight")
        return first, grads, same, flags, kept, shown, type(layer), layer.weight, layer.bias

    twin(program)


def test_assigning_uses_the_right_inverse(twin):
    def program(t, nn):
        class Exponential(nn.Module):
            def forward(self, x):
                return x.exp()

            def right_inverse(self, x):
                return x.log()

        layer = nn.Linear(2, 2)
        layer.weight.data.abs_()
        nn.utils.parametrize.register_parametrization(layer, "weight", Exponential())
        layer.weight = t.full((2, 2), 3.0)
        return layer.weight, layer.parametrizations.weight.original

    twin(program)


@pytest.mark.parametrize(
    "forward",
    [lambda x: x[0], lambda x: x.double(), lambda x: 3],
    ids=["shape", "dtype", "type"],
)
def test_parametrization_must_keep_shape_and_dtype(twin, forward):
    def program(t, nn):
        class Bad(nn.Module):
            def forward(self, x):
                return forward(x)

        nn.utils.parametrize.register_parametrization(nn.Linear(2, 2), "weight", Bad())

    assert isinstance(twin(program), ValueError)


def test_older_weight_norm(twin):
    def program(t, nn):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            layer = nn.utils.weight_norm(nn.Linear(3, 2))
        x = t.randn(4, 3)
        out, grads = run_with(t, layer, x)
        state = dict(layer.state_dict())
        nn.utils.remove_weight_norm(layer)
        return out, grads, state, layer(x), list(layer.state_dict())

    twin(program)


def test_older_spectral_norm(twin):
    def program(t, nn):
        layer = nn.utils.spectral_norm(nn.Linear(3, 2))
        x = t.randn(4, 3)
        out, grads = run_with(t, layer, x)
        state = dict(layer.state_dict())
        nn.utils.remove_spectral_norm(layer)
        return out, grads, state, layer(x), list(layer.state_dict())

    twin(program)


# -- functional call and fusion ------------------------------------------------------------------


def test_functional_call(twin):
    def program(t, nn):
        net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        before = net[0].weight
        weights = {"0.weight": t.ones(2, 2, requires_grad=True), "1.running_mean": t.zeros(2)}
        call = nn.utils.stateless._functional_call
        out = call(net, weights, (t.randn(3, 2),))
        out.square().sum().backward()
        return out, weights["0.weight"].grad, net[0].weight is before, net[0].weight.grad is None

    twin(program)


def test_fuse(twin):
    def program(t, nn):
        conv, bn = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)
        bn(conv(t.randn(4, 2, 5, 5)))
        linear, bn1 = nn.Linear(2, 3), nn.BatchNorm1d(3)
        bn1(linear(t.randn(4, 2)))
        for layer in (conv, bn, linear, bn1):
            layer.eval()
        fused = nn.utils.fusion.fuse_conv_bn_eval(conv, bn)
        fused_linear = nn.utils.fusion.fuse_linear_bn_eval(linear, bn1)
        return fused(t.ones(1, 2, 5, 5)), fused_linear(t.ones(1, 2))

    twin(program)


def test_signatures():
    for name in ("clip_grad_norm_", "clip_grad_value_", "get_total_norm", "parameters_to_vector"):
        mine = inspect.signature(getattr(rl.nn.utils, name)).parameters
        assert list(mine) == list(inspect.signature(getattr(torch.nn.utils, name)).parameters)


@pytest.mark.parametrize("lib", [torch, rl])
def test_further_parametrizations_go_back_to_one_tensor(lib):
    class Twice(lib.nn.Module):
        def forward(self, x):
            return x

        def right_inverse(self, x):
            return x, x

    layer = lib.nn.Linear(2, 2)
    add = lib.nn.utils.parametrize.register_parametrization
    add(layer, "weight", lib.nn.Identity())
    with pytest.raises(ValueError, match="right_inverse must return a tensor"):
        add(layer, "weight", Twice())
    assert len(layer.parametrizations.weight) == 1


def test_functional_call_with_none_and_with_further_parameters(twin):
    def program(t, nn):
        class Named(nn.Linear):
            def forward(self, x):
                return [name for name, _ in self.named_parameters()], super().forward(x)

        weights = {"weight": t.ones(1, 2), "bias": None, "extra": nn.Parameter(t.ones(3))}
        layer = Named(2, 1)
        out = t.func.functional_call(layer, weights, t.ones(1, 2))
        return out, list(layer.state_dict()), layer.bias is None

    twin(program)


@pytest.mark.parametrize("lib", [torch, rl])
@pytest.mark.parametrize("change", [lambda x: x.bool(), lambda x: x[:-1]])
def test_further_parametrizations_keep_dtype_and_shape_both_ways(lib, change):
    class Changing(lib.nn.Identity):
        def right_inverse(self, x):
            return change(x)

    layer = lib.nn.Linear(2, 2)
    add = lib.nn.utils.parametrize.register_parametrization
    add(layer, "weight", lib.nn.Identity())
    with pytest.raises(ValueError, match="right_inverse"):
        add(layer, "weight", Changing())


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
def test_reflections_give_any_orthogonal_weight(twin, shape):
    def program(t, nn):
        layer = nn.Linear(*shape[::-1], bias=False)
        before = layer.weight.detach().clone()
        nn.utils.parametrizations.orthogonal(
            layer, orthogonal_map="householder", use_trivialization=False
        )
        first = layer.weight
        layer.weight = t.eye(*shape)
        return before, first, layer.weight, layer.parametrizations.weight.original

    twin(program, rtol=1e-4, atol=1e-5)


def test_what_has_no_shape_yet_cannot_be_shared_or_loaded_into_what_has(twin):
    def loaded(t, nn):
        return nn.Linear(2, 3).load_state_dict(nn.LazyLinear(3).state_dict())

    for act in (lambda t, nn: nn.LazyLinear(3).share_memory(), loaded):
        assert isinstance(twin(act), RuntimeError)


PER_SAMPLE = {
    "linear": (lambda nn: nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)), (5, 4)),
    "convolution": (lambda nn: nn.Sequential(nn.Conv2d(2, 3, 3), nn.GroupNorm(1, 3)), (3, 2, 5, 5)),
}


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("name", PER_SAMPLE)
def test_gradients_of_each_sample(name, reduction):
    from torch.nn.utils._per_sample_grad import call_for_per_sample_grads as theirs

    from rushlight.nn.utils._per_sample_grad import call_for_per_sample_grads as ours

    build, shape = PER_SAMPLE[name]
    seen = []
    for lib, call in ((rl, ours), (torch, theirs)):
        lib.manual_seed(0)
        module, x = build(lib.nn), lib.randn(*shape)
        module[0].weight.requires_grad_(name == "linear")
        out = call(module, loss_reduction=reduction)(x)
        (out * out).sum().backward()
        assert all(p.grad is None for p in module.parameters())
        seen.append([getattr(p, "grad_sample", None) for p in module.parameters()])
    for a, b in zip(*seen, strict=True):
        assert (a is None) == (b is None)
        if b is not None:
            torch.testing.assert_close(torch.tensor(a.numpy()), b, rtol=1e-4, atol=1e-5)


def test_gradients_of_each_sample_refuse():
    from rushlight.nn.utils._per_sample_grad import call_for_per_sample_grads as call

    layer = rl.nn.Linear(2, 1)
    with pytest.raises(RuntimeError, match="sum or mean"):
        call(layer, loss_reduction="max")
    with pytest.raises(RuntimeError, match=r"must be nn\.Module"):
        call(3)
    with pytest.raises(RuntimeError, match="positive integer, got 0"):
        call(layer, batch_size=0)
    with pytest.raises(RuntimeError, match="samples in dim 0"):
        call(rl.nn.Bilinear(2, 2, 1))(rl.ones(2, 2), rl.ones(3, 2))
    call(layer)(rl.ones(2, 2)).sum().backward()
    with pytest.raises(RuntimeError, match="set it to None"):
        call(layer)


def test_options_of_parameters():
    for t in (rl, torch):
        make = t.nn.factory_kwargs
        assert make(None) == make({}) == {}
        assert make({"dtype": 1, "factory_kwargs": {"device": 2}}) == {"dtype": 1, "device": 2}
        with pytest.raises(TypeError, match="unexpected kwargs"):
            make({"bias": True})
        with pytest.raises(TypeError, match="dtype specified twice"):
            make({"dtype": 1, "factory_kwargs": {"dtype": 2}})


def test_copies_for_data_parallel():
    for t in (rl, torch):
        net = t.nn.Sequential(t.nn.BatchNorm1d(2))
        copy_of = net[0]._replicate_for_data_parallel()
        assert type(copy_of) is type(net[0]) and copy_of._is_replica
        assert not list(copy_of.parameters()) and len(list(copy_of.buffers())) == 3
        copy_of._buffers["running_mean"] = None
        assert net[0].running_mean is not None and net[0].weight is not None
        other = net._replicate_for_data_parallel()
        other._modules["0"] = copy_of
        assert net[0] is not copy_of
