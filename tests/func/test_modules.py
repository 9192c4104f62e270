"""Modules as functions: ensembles, per-sample gradients, and rearrange."""

import functorch
import numpy as np
import pytest
import torch

import rushlight as rl
import rushlight.functorch
from tests.func.test_derivatives import same


def net(t, seed):
    t.manual_seed(seed)
    return t.nn.Sequential(t.nn.Linear(3, 4), t.nn.Tanh(), t.nn.Linear(4, 2))


def data(t, shape=(5, 3)):
    return t.tensor(np.sin(np.arange(np.prod(shape))).reshape(shape).astype(np.float32))


def close(a, b):
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), 1e-5, 1e-6)


def test_functional_call():
    model = net(rl, 0)
    weights = {name: p * 0 for name, p in model.named_parameters()}
    F = rl.func
    assert (F.functional_call(model, weights, data(rl)) == 0).all()
    assert (F.functional_call(model, (weights, {}), (data(rl),)) == 0).all()
    assert not (model(data(rl)) == 0).all()
    with pytest.raises(ValueError, match="multiple"):
        F.functional_call(model, (weights, weights), data(rl))
    with pytest.raises(ValueError, match="dict"):
        F.functional_call(model, 3, data(rl))
    with pytest.raises(RuntimeError, match="Missing"):
        F.functional_call(model, {}, data(rl), strict=True)


def per_sample(t):
    model = net(t, 0)
    weights = {name: p.detach() for name, p in model.named_parameters()}

    def loss(weights, x, y):
        out = t.func.functional_call(model, weights, (x.unsqueeze(0),))
        return ((out - y) ** 2).sum()

    gradients = t.func.vmap(t.func.grad(loss), in_dims=(None, 0, 0))
    return gradients(weights, data(t), data(t, (5, 2)))


def test_per_sample_gradients():
    ours, theirs = per_sample(rl), per_sample(torch)
    assert list(ours) == list(theirs)
    for name, g in ours.items():
        assert g.shape[0] == 5
        close(g, theirs[name])


def ensemble(t):
    models = [net(t, seed) for seed in range(3)]
    parameters, buffers = t.func.stack_module_state(models)
    base = models[0]

    def call(parameters, buffers, x):
        return t.func.functional_call(base, (parameters, buffers), (x,))

    out = t.func.vmap(call, in_dims=(0, 0, None))(parameters, buffers, data(t))
    out.sum().backward()
    return out, parameters


def test_ensemble():
    (out, ours), (expected, theirs) = ensemble(rl), ensemble(torch)
    close(out, expected)
    for name, p in ours.items():
        assert p.is_leaf and p.requires_grad
        close(p.grad, theirs[name].grad)


def test_stack_module_state_refuses():
    F = rl.func
    with pytest.raises(RuntimeError, match="at least one"):
        F.stack_module_state([])
    with pytest.raises(RuntimeError, match="class"):
        F.stack_module_state([rl.nn.Linear(2, 2), rl.nn.Tanh()])
    with pytest.raises(RuntimeError, match="training"):
        F.stack_module_state([rl.nn.Linear(2, 2), rl.nn.Linear(2, 2).eval()])


def test_a_training_step_as_a_function():
    """Functional training follows torch's step by step."""
    losses = []
    for t in (rl, torch):
        model = net(t, 1)
        weights = {name: p.detach() for name, p in model.named_parameters()}

        def loss(weights, t=t, model=model):
            out = t.func.functional_call(model, weights, (data(t),))
            return (out - data(t, (5, 2))).square().mean()

        for _ in range(5):
            gradients, value = t.func.grad_and_value(loss)(weights)
            weights = {name: w - 0.1 * gradients[name] for name, w in weights.items()}
        losses.append(value.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_batch_norm_without_running_statistics():
    model = rl.nn.Sequential(rl.nn.Linear(2, 2), rl.nn.BatchNorm1d(2))
    assert rl.func.replace_all_batch_norm_modules_(model) is model
    assert model[1].running_mean is None and not model[1].track_running_stats
    assert rl.func.functionalize(abs) is abs
    x = rl.ones(2)
    assert rl.func.debug_unwrap(x) is x


PATTERNS = [
    ((2, 3), "a b -> b a", {}),
    ((2, 3, 4), "a b c -> (a b) c", {}),
    ((6, 4), "(a b) c -> a c b", {"a": 2}),
    ((6, 4), "... c -> c ...", {}),
    ((6, 4, 2), "... c -> (...) c", {}),
    ((6, 4), "a b -> a b 1", {}),
    ((6, 1, 4), "a 1 b -> b a", {}),
]


@pytest.mark.parametrize("shape, pattern, sizes", PATTERNS)
def test_rearrange(shape, pattern, sizes):
    array = np.arange(float(np.prod(shape))).reshape(shape)
    same(*[t.func.rearrange(t.tensor(array), pattern, **sizes) for t in (rl, torch)])


def test_rearrange_refuses():
    x = rl.ones(6, 4)
    for pattern, sizes in [
        ("a -> a", {}),
        ("a b", {}),
        ("a b -> a", {}),
        ("a a -> a", {}),
        ("(a b) c -> a b c", {}),
        ("(a b) c -> a b c", {"a": 4}),
        ("a b -> b a", {"z": 1}),
    ]:
        with pytest.raises(ValueError, match="rearrange"):
            rl.func.rearrange(x, pattern, **sizes)
    stacked = rl.func.rearrange([x, x], "k a b -> a (k b)")
    assert stacked.shape == (6, 8)


@pytest.mark.parametrize("lib", [torch, rl])
def test_functional_call_sets_other_attributes_for_as_long_as_it_lasts(lib):
    class Scaled(lib.nn.Module):
        def forward(self, x):
            return x * self.k

    m, call = Scaled(), lib.func.functional_call
    assert call(m, {"k": lib.tensor(3.0)}, lib.ones(2)).tolist() == [3.0, 3.0]
    m.k = lib.tensor(2.0)
    assert call(m, {"k": lib.tensor(3.0), "unknown": m.k}, lib.ones(2)).tolist() == [3.0, 3.0]
    assert m.k.item() == 2.0 and not hasattr(m, "unknown")
    with pytest.raises(RuntimeError):
        call(m, {"unknown": m.k}, lib.ones(2), strict=True)


@pytest.mark.parametrize("lib", [torch, rl])
def test_what_is_assigned_during_a_functional_call(lib):
    class Counting(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", lib.zeros(1))

        def forward(self, x):
            self.count = self.count + 1
            return x * self.count

    module, tensors = Counting(), {"count": lib.ones(1)}
    assert lib.func.functional_call(module, tensors, lib.ones(1)).item() == 2
    assert tensors["count"].item() == 2 and module.count.item() == 0


@pytest.mark.parametrize("lib", [torch, rl])
def test_functional_calls_of_tied_and_circular_modules(lib):
    call, one = lib.func.functional_call, lib.ones(1, 1)
    module = lib.nn.Linear(1, 1)
    module.tied = module.weight
    tensors = {"weight": 3 * one, "bias": lib.ones(1)}
    assert call(module, tensors, one, strict=True).item() == 4
    module._modules["again"] = module
    assert call(module, tensors, one, tie_weights=False).item() == 4
    for tensors, kind in (({"weight": "one"}, TypeError), ({"": one}, KeyError)):
        with pytest.raises(kind):
            call(module, tensors, one, tie_weights=False)
    with pytest.warns(FutureWarning, match="torch.func.functional_call"):
        lib.nn.utils.stateless.functional_call(lib.nn.Linear(1, 1), {"bias": lib.ones(1)}, one)


# -- functorch: the older names -------------------------------------------------------------------

FUNCTORCH = {rl: rushlight.functorch, torch: functorch}
old_names = pytest.mark.filterwarnings("ignore:We've integrated functorch:FutureWarning")


@old_names
def test_modules_as_functions_of_tuples():
    seen = []
    for t, old in FUNCTORCH.items():
        model = net(t, 0)
        f, params = old.make_functional(model)
        assert isinstance(params, tuple) and all(p.requires_grad and p.is_leaf for p in params)
        assert params[0] is not model[0].weight
        loss = f(params, data(t)).pow(2).sum()
        loss.backward()
        grads = old.grad(lambda p, f=f, t=t: f(p, data(t)).pow(2).sum())(params)
        assert model[0].weight.grad is None
        seen.append([loss, *[p.grad for p in params], *grads])
        with t.no_grad():
            params[0].zero_()
        assert (model[0].weight != 0).all()
        _, params = old.make_functional(model, disable_autograd_tracking=True)
        assert not any(p.requires_grad for p in params)
    for ours, theirs in zip(*seen, strict=True):
        close(ours, theirs)


@old_names
def test_modules_with_buffers_as_functions():
    seen = []
    for t, old in FUNCTORCH.items():
        model = t.nn.Sequential(t.nn.BatchNorm1d(3), net(t, 0))
        with pytest.raises(RuntimeError, match="has buffers"):
            old.make_functional(model)
        f, params, buffers = old.make_functional_with_buffers(model)
        seen.append([f(params, buffers, data(t)), *buffers])  # running means were written to
        assert (model[0].running_mean == 0).all()
        assert f.buffer_names == tuple(name for name, _ in model.named_buffers())
    for ours, theirs in zip(*seen, strict=True):
        close(ours, theirs)


def test_a_missing_parameter_of_a_function():
    f, params = rushlight.functorch.make_functional(net(rl, 0))
    with pytest.raises(RuntimeError, match="expected 4 parameters and 0 buffers, got 3 and 0"):
        f(params[:-1], data(rl))


@old_names
def test_ensembles_by_their_older_name():
    seen = []
    for t, old in FUNCTORCH.items():
        f, params, buffers = old.combine_state_for_ensemble([net(t, i) for i in range(3)])
        assert not any(p.requires_grad for p in params) and buffers == ()
        seen.append(old.vmap(f, (0, 0, None))(params, buffers, data(t)))
    close(*seen)


def test_tied_weights_are_one_parameter():
    model = rl.nn.Sequential(rl.nn.Linear(2, 2), rl.nn.Linear(2, 2))
    model[1].weight = model[0].weight
    f, params = rushlight.functorch.make_functional(model)
    assert f.param_names == ("0.weight", "0.bias", "1.bias")
    zeros = [p.detach() * 0 for p in params]
    assert (f(zeros, rl.ones(2)) == 0).all()
