"""Every optimizer against torch, step by step; and the state of each carried to torch and back."""

import copy
import inspect
import io
import pickle

import numpy as np
import pytest
import torch

import rushlight as rl

SHAPES = [(5, 4), (5,), (3, 5), (3,)]


class Net:
    """Two layers, written with operators."""

    def __init__(self, lib, dtype="float64", matrices_only=False):
        random = np.random.RandomState(0)
        start = [(random.uniform(-1, 1, shape) * 0.7).astype(dtype) for shape in SHAPES]
        self.all = [lib.nn.Parameter(lib.tensor(array)) for array in start]
        self.params = [p for p in self.all if p.dim() == 2 or not matrices_only]
        self.x = lib.tensor(random.uniform(-1, 1, (8, 4)).astype(dtype))
        self.y = lib.tensor(random.uniform(-1, 1, (8, 3)).astype(dtype))

    def loss(self):
        a, b, c, d = self.all
        hidden = (self.x @ a.t() + b).tanh()
        return ((hidden @ c.t() + d - self.y) ** 2).mean()

    def step(self, optimizer):
        def closure():
            optimizer.zero_grad()
            loss = self.loss()
            loss.backward()
            return loss

        return optimizer.step(closure)

    def values(self):
        return np.concatenate([p.detach().numpy().ravel() for p in self.all])


CASES = {
    "SGD": [
        {"lr": 0.1},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.01},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True},
    ],
    "Adam": [{}, {"lr": 0.05, "amsgrad": True, "weight_decay": 0.1}, {"maximize": True}],
    "AdamW": [{}, {"lr": 0.05, "amsgrad": True, "betas": (0.8, 0.9)}],
    "RMSprop": [{}, {"centered": True, "weight_decay": 0.1}, {"momentum": 0.9, "centered": True}],
    "Adagrad": [{}, {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.2}],
    "Adadelta": [{}, {"rho": 0.5, "weight_decay": 0.1, "maximize": True}],
    "Adamax": [{}, {"weight_decay": 0.1, "maximize": True}],
    "NAdam": [{}, {"weight_decay": 0.1}, {"weight_decay": 0.1, "decoupled_weight_decay": True}],
    "RAdam": [{}, {"weight_decay": 0.1}, {"weight_decay": 0.1, "decoupled_weight_decay": True}],
    "Rprop": [{}, {"etas": (0.3, 1.5), "step_sizes": (1e-3, 0.1), "maximize": True}],
    "ASGD": [{}, {"t0": 2, "lambd": 0.1, "weight_decay": 0.1}],
    "LBFGS": [
        {"max_iter": 4},
        {"max_iter": 5, "line_search_fn": "strong_wolfe", "history_size": 2},
    ],
    "Adafactor": [{}, {"weight_decay": 0.1, "eps": (1e-5, 1e-2), "d": 2.0}],
    "Muon": [{}, {"adjust_lr_fn": "match_rms_adamw", "nesterov": False}],
}
ALL = [(name, options) for name, cases in CASES.items() for options in cases]


def pair(name, options, dtype="float64"):
    """(network, optimizer) in rushlight and in torch."""
    made = []
    for lib in (rl, torch):
        net = Net(lib, dtype, matrices_only=name == "Muon")
        made.append((net, getattr(lib.optim, name)(net.params, **options)))
    return made


def test_every_optimizer_is_here():
    public = {n for n, c in vars(rl.optim).items() if inspect.isclass(c)}
    assert public - {"Optimizer", "SparseAdam"} == set(CASES)


@pytest.mark.parametrize(("name", "options"), ALL)
def test_steps_equal_torch(name, options):
    (net, optimizer), (net_t, optimizer_t) = pair(name, options)
    for _ in range(8):
        loss, loss_t = net.step(optimizer), net_t.step(optimizer_t)
        assert loss.item() == pytest.approx(loss_t.item(), rel=1e-9)
        np.testing.assert_allclose(net.values(), net_t.values(), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad", "NAdam"])
def test_float32_steps_equal_torch_to_rounding(name):
    (net, optimizer), (net_t, optimizer_t) = pair(name, {"lr": 0.01}, "float32")
    for _ in range(20):
        net.step(optimizer), net_t.step(optimizer_t)
    np.testing.assert_allclose(net.values(), net_t.values(), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad"])
def test_arrays_and_tensors_take_the_same_steps(name, monkeypatch):
    (net, optimizer), _ = pair(name, {"lr": 0.01})
    (slow_net, slow), _ = pair(name, {"lr": 0.01})
    monkeypatch.setattr(type(slow), "_on_arrays", True)
    for _ in range(4):
        net.step(optimizer)
    monkeypatch.setattr(type(slow), "_on_arrays", False)
    for _ in range(4):
        slow_net.step(slow)
    np.testing.assert_allclose(net.values(), slow_net.values(), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["complex64", "bfloat16", "float16"])
@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad", "Rprop", "Adamax"])
def test_other_dtypes(name, dtype):
    start = np.random.RandomState(1).randn(4, 3)
    value = start + 1j * start[::-1] if dtype == "complex64" else start
    ends = []
    for lib in (rl, torch):
        p = lib.nn.Parameter(lib.tensor(value).to(getattr(lib, dtype)))
        options = {"momentum": 0.9} if name == "SGD" else {}
        optimizer = getattr(lib.optim, name)([p], lr=0.01, **options)
        for k in range(3):
            p.grad = (p.detach() * (0.5 + k)).to(p.dtype)
            optimizer.step()
        out = p.detach()
        ends.append(out.numpy() if dtype == "complex64" else out.float().numpy())
    rounding = {"bfloat16": 8e-3, "float16": 1e-3}.get(dtype, 1e-6)
    np.testing.assert_allclose(*ends, rtol=3 * rounding, atol=rounding)


def plain(state):
    """Tensors of either library as arrays."""
    if isinstance(state, dict):
        return {key: plain(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [plain(value) for value in state]
    if isinstance(state, torch.Tensor | rl.Tensor):
        return [str(state.dtype), state.detach().numpy()]
    return state


def assert_same(a, b):
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    elif isinstance(a, np.ndarray):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-9)
    elif isinstance(a, float):
        assert a == pytest.approx(b)
    else:
        assert a == b


def carried(state, lib):
    """A state_dict with the tensors of the other library."""
    if isinstance(state, dict):
        return {key: carried(value, lib) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(carried(value, lib) for value in state)
    if isinstance(state, torch.Tensor | rl.Tensor):
        return lib.from_numpy(np.array(state.detach().numpy()))
    return state


@pytest.mark.parametrize(("name", "options"), ALL)
def test_state_travels_to_torch_and_back(name, options):
    (net, optimizer), (net_t, optimizer_t) = pair(name, options)
    for _ in range(2):
        net.step(optimizer), net_t.step(optimizer_t)
    assert_same(plain(optimizer.state_dict()), plain(optimizer_t.state_dict()))
    mine, theirs = optimizer.state_dict(), optimizer_t.state_dict()
    optimizer = getattr(rl.optim, name)(net.params, **options)
    optimizer_t = getattr(torch.optim, name)(net_t.params, **options)
    optimizer.load_state_dict(carried(theirs, rl))
    optimizer_t.load_state_dict(carried(mine, torch))
    for _ in range(2):
        net.step(optimizer), net_t.step(optimizer_t)
    np.testing.assert_allclose(net.values(), net_t.values(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("name", "options"), ALL)
def test_pickle_deepcopy_repr(name, options):
    (net, optimizer), (_net_t, optimizer_t) = pair(name, options)
    net.step(optimizer)
    for other in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert repr(other) == repr(optimizer)
        assert_same(plain(other.state_dict()), plain(optimizer.state_dict()))
        other.register_step_pre_hook(lambda *_: None)
        other.zero_grad()
        other.step(lambda: rl.zeros(()))
    assert repr(optimizer) == repr(optimizer_t)


def test_signatures_equal_torch():
    for name in [*CASES, "SparseAdam", "Optimizer"]:
        mine = inspect.signature(getattr(rl.optim, name)).parameters
        theirs = inspect.signature(getattr(torch.optim, name)).parameters
        assert [(p.name, p.kind) for p in mine.values()] == [
            (p.name, p.kind) for p in theirs.values()
        ]
        assert [p.default for p in mine.values()] == [p.default for p in theirs.values()]


def test_options_are_read_at_every_step():
    p = rl.nn.Parameter(rl.zeros(2))
    optimizer = rl.optim.SGD([{"params": [p]}], lr=1.0)
    p.grad = rl.ones(2)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.5
    optimizer.step()
    assert p.tolist() == [-1.5, -1.5]


def test_tensor_lr_and_groups():
    a, b = rl.nn.Parameter(rl.zeros(1)), rl.nn.Parameter(rl.zeros(1))
    optimizer = rl.optim.SGD([{"params": a, "lr": 2.0}, {"params": [b]}], lr=rl.tensor(0.5))
    a.grad, b.grad = rl.ones(1), rl.ones(1)
    optimizer.step()
    assert (a.item(), b.item()) == (-2.0, -0.5)
    c = rl.nn.Parameter(rl.zeros(1))
    optimizer.add_param_group({"params": c, "lr": 3.0})
    c.grad = rl.ones(1)
    optimizer.step()
    assert c.item() == -3.0


def test_a_step_is_a_write():
    p = rl.nn.Parameter(rl.ones(2))
    loss = (p * p).sum()
    loss.backward(retain_graph=True)
    rl.optim.Adam([p]).step()
    with pytest.raises(RuntimeError, match="modified"):
        loss.backward()


def test_parameters_without_gradient_stay():
    p, q = rl.nn.Parameter(rl.ones(2)), rl.nn.Parameter(rl.ones(2))
    optimizer = rl.optim.Adam([p, q])
    p.grad = rl.ones(2)
    optimizer.step()
    assert q.tolist() == [1.0, 1.0]
    assert list(optimizer.state) == [p]


def test_differentiable_step():
    grads = []
    for lib in (rl, torch):
        p0 = lib.tensor([1.0, 2.0], dtype=lib.float64, requires_grad=True)
        p = p0.clone()
        p.grad = (p0**2).clone()
        lib.optim.SGD([p], lr=0.1, momentum=0.9, differentiable=True).step()
        (p**3).sum().backward()
        grads.append(p0.grad.numpy())
    np.testing.assert_allclose(*grads)


def test_zero_grad():
    p = rl.nn.Parameter(rl.ones(2))
    optimizer = rl.optim.SGD([p])
    p.grad = held = rl.ones(2)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is held
    assert held.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert p.grad is None


def test_hooks_in_order():
    p = rl.nn.Parameter(rl.ones(1))
    p.grad = rl.ones(1)
    optimizer = rl.optim.SGD([p])
    seen = []
    from rushlight.optim import optimizer as module

    everywhere = module.register_optimizer_step_pre_hook(lambda *_: seen.append("global before"))
    handles = [
        optimizer.register_step_pre_hook(lambda o, a, k: seen.append("before")),
        optimizer.register_step_post_hook(lambda o, a, k: seen.append("after")),
        optimizer.register_state_dict_pre_hook(lambda o: seen.append("saving")),
        optimizer.register_state_dict_post_hook(lambda o, s: {**s, "more": 1}),
        optimizer.register_load_state_dict_pre_hook(lambda o, s: seen.append("loading")),
        optimizer.register_load_state_dict_post_hook(lambda o: seen.append("loaded")),
    ]
    optimizer.step()
    saved = optimizer.state_dict()
    optimizer.load_state_dict(saved)
    everywhere.remove()
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert saved["more"] == 1
    assert seen == ["global before", "before", "after", "saving", "loading", "loaded"]


def test_users_own_optimizer():
    class Sign(rl.optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        @rl.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    p.add_(p.grad.sign(), alpha=-group["lr"])

    p = rl.nn.Parameter(rl.ones(2))
    p.grad = rl.tensor([3.0, -3.0])
    optimizer = Sign([p], 0.5)
    seen = []
    optimizer.register_step_post_hook(lambda *_: seen.append(1))
    optimizer.step()
    assert p.tolist() == [0.5, 1.5]
    assert seen == [1]


def test_hooks_run_once_when_step_calls_its_parents():
    class Twice(rl.optim.SGD):
        def step(self, closure=None):
            super().step()
            return super().step()

    p = rl.nn.Parameter(rl.ones(1))
    p.grad = rl.ones(1)
    optimizer, seen = Twice([p], lr=0.25), []
    optimizer.register_step_pre_hook(lambda *_: seen.append(1))
    optimizer.step()
    assert (p.item(), seen) == (0.5, [1])


P = [1.0, 2.0]
ERRORS = [
    (TypeError, lambda lib, p: lib.optim.SGD(p)),
    (ValueError, lambda lib, p: lib.optim.SGD([])),
    (TypeError, lambda lib, p: lib.optim.SGD([3])),
    (ValueError, lambda lib, p: lib.optim.SGD([p * 2])),
    (ValueError, lambda lib, p: lib.optim.SGD([{"params": p}, {"params": p}])),
    (TypeError, lambda lib, p: lib.optim.SGD([{"params": {p}}])),
    (TypeError, lambda lib, p: lib.optim.SGD([p]).add_param_group([p])),
    (ValueError, lambda lib, p: lib.optim.SGD([("a", p), lib.nn.Parameter(lib.ones(1))])),
    (ValueError, lambda lib, p: lib.optim.SGD([p], lr=-1.0)),
    (ValueError, lambda lib, p: lib.optim.SGD([p], nesterov=True)),
    (ValueError, lambda lib, p: lib.optim.Adam([p], betas=(1.0, 0.9))),
    (ValueError, lambda lib, p: lib.optim.Adam([p], eps=-1.0)),
    (RuntimeError, lambda lib, p: lib.optim.Adam([p], foreach=True, fused=True)),
    (RuntimeError, lambda lib, p: lib.optim.Adam([p], differentiable=True, fused=True)),
    (ValueError, lambda lib, p: lib.optim.Adam([p], lr=lib.tensor([1.0, 2.0]))),
    (ValueError, lambda lib, p: lib.optim.Rprop([p], etas=(1.0, 0.5))),
    (ValueError, lambda lib, p: lib.optim.Adadelta([p], rho=1.5)),
    (ValueError, lambda lib, p: lib.optim.Adafactor([p], d=0.5)),
    (ValueError, lambda lib, p: lib.optim.Muon([p])),
    (ValueError, lambda lib, p: lib.optim.LBFGS([{"params": [p]}, {"params": [p.clone()]}])),
    (RuntimeError, lambda lib, p: lib.optim.SparseAdam([p]).step()),
    (NotImplementedError, lambda lib, p: lib.optim.Optimizer([p], {}).step()),
    (
        ValueError,
        lambda lib, p: lib.optim.SGD([p]).load_state_dict({"state": {}, "param_groups": []}),
    ),
    (
        ValueError,
        lambda lib, p: lib.optim.SGD([p]).load_state_dict(
            {"state": {}, "param_groups": [{"params": [0, 1]}]}
        ),
    ),
]


@pytest.mark.parametrize("kind,make", ERRORS)
def test_errors_are_torchs(kind, make):
    for lib in (rl, torch):
        p = lib.nn.Parameter(lib.tensor(P))
        p.grad = lib.ones(2)
        with pytest.raises(kind):
            make(lib, p)


def test_duplicates_warn():
    p = rl.nn.Parameter(rl.ones(1))
    with pytest.warns(UserWarning, match="duplicate parameters"):
        rl.optim.SGD([p, p])


def test_names_are_kept():
    p = rl.nn.Parameter(rl.ones(1))
    optimizer = rl.optim.SGD([("weight", p)])
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight"]


def test_files_from_torch_load(tmp_path):
    (_net, optimizer), (net_t, optimizer_t) = pair("Adam", {})
    net_t.step(optimizer_t)
    file = io.BytesIO()
    torch.save(optimizer_t.state_dict(), file)
    file.seek(0)
    optimizer.load_state_dict(rl.load(file))
    assert_same(plain(optimizer.state_dict()), plain(optimizer_t.state_dict()))


def test_swapped_parameters():
    p, q = rl.nn.Parameter(rl.ones(2)), rl.nn.Parameter(rl.zeros(2))
    optimizer = rl.optim.SGD([p], lr=1.0, momentum=0.5)
    p.grad = q.grad = rl.ones(2)
    optimizer.step()
    state = copy.deepcopy(optimizer.state_dict())
    with rl.optim.swap_in_optimizer_params_and_state(optimizer, {"q": q}, state):
        optimizer.step()
    assert (p.tolist(), q.tolist()) == ([0.0, 0.0], [-1.5, -1.5])
    assert optimizer.state[p]["momentum_buffer"].tolist() == [1.0, 1.0]
    assert state["state"][0]["momentum_buffer"].tolist() == [1.5, 1.5]


def test_parameters_without_dims_may_decay():
    p = rl.nn.Parameter(rl.tensor(2.0))
    q = torch.nn.Parameter(torch.tensor(2.0))
    for lib, x in ((rl, p), (torch, q)):
        o = lib.optim.SGD([x], lr=0.1, momentum=0.9, weight_decay=0.1, maximize=True)
        for _ in range(3):
            o.zero_grad()
            (x * x).backward()
            o.step()
    assert p.item() == pytest.approx(q.item())


def test_an_optimizer_around_another_need_not_initialise_itself():
    """It has parameters and state of the inner one, and no hooks."""

    def trained(t):
        class Around(t.optim.Optimizer):
            def __init__(self, inner):
                self.inner, self.param_groups, self.state = inner, inner.param_groups, inner.state
                self.defaults = inner.defaults

            def step(self, closure=None):
                return self.inner.step(closure)

        x = t.ones(2, requires_grad=True)
        optimizer = Around(t.optim.SGD([x], lr=0.1, momentum=0.5))
        for _ in range(3):
            optimizer.inner.zero_grad()
            x.square().sum().backward()
            optimizer.step()
        return x.tolist()

    assert trained(rl) == pytest.approx(trained(torch))


@pytest.mark.parametrize("name", ["Adam", "AdamW", "NAdam", "Adamax"])
def test_betas_that_are_a_list_print_as_torchs(name):
    expected, got = [
        str(getattr(lib.optim, name)(lib.nn.Linear(2, 1).parameters(), betas=[0.5, 0.9]))
        for lib in (torch, rl)
    ]
    assert got == expected


DIFFERENTIATED = [
    ("SGD", {"momentum": 0.9}),
    ("Adam", {}),
    ("Adagrad", {}),
    ("NAdam", {}),
    ("RAdam", {}),
    ("Adadelta", {}),
    ("ASGD", {}),
]


def gradients_of_steps(lib, name, options, steps):
    p = lib.tensor([1.0, 2.0], dtype=lib.float64, requires_grad=True)
    g = lib.tensor([0.3, -0.2], dtype=lib.float64, requires_grad=True)
    q = p.clone()
    optimizer = getattr(lib.optim, name)([q], lr=0.1, differentiable=True, **options)
    for k in range(steps):
        q.grad = (g * (k + 1)).sin() + p * 0.3 * k
        optimizer.step()
    state = [t for _, t in sorted(optimizer.state[q].items()) if t is not None and t.requires_grad]
    sum([t.sum() for t in state], q.sum()).backward()
    return p.grad.tolist() + g.grad.tolist()


@pytest.mark.parametrize(("name", "options"), DIFFERENTIATED)
def test_gradients_of_several_steps(name, options):
    found = gradients_of_steps(rl, name, options, 3)
    assert found == pytest.approx(gradients_of_steps(torch, name, options, 3), rel=1e-4)


def test_gradients_of_steps_with_the_largest_mean():
    options = {"amsgrad": True}
    found = gradients_of_steps(rl, "Adam", options, 1)
    assert found == pytest.approx(gradients_of_steps(torch, "Adam", options, 1), rel=1e-6)
    assert gradients_of_steps(rl, "Adam", options, 3)


@pytest.mark.parametrize("lib", [torch, rl])
def test_optimizers_around_others_that_skip_the_constructor(lib):
    class Around(lib.optim.Optimizer):
        def __init__(self, inner):
            self._optimizer_step_pre_hooks, self._optimizer_step_post_hooks = {}, {}
            self.inner = inner
            self._patch_step_function()

        def step(self):
            self._accelerator_graph_capture_health_check()
            self.inner.step()

    p = lib.nn.Parameter(lib.ones(1))
    p.grad = lib.ones(1)
    optimizer, calls = Around(lib.optim.SGD([p], 0.5)), []
    optimizer._optimizer_step_post_hooks[0] = lambda *a: calls.append(len(a))
    optimizer.param_groups = optimizer.inner.param_groups
    optimizer.step()
    assert p.item() == 0.5 and calls == [3]


COUNTS = [(name, {}) for name in ("Adam", "Adagrad", "NAdam", "ASGD", "Rprop", "RAdam")]
COUNTS += [(name, {"fused": True}) for name in ("Adam", "AdamW", "Adagrad")]


@pytest.mark.parametrize(("name", "options"), COUNTS, ids=str)
def test_counts_have_the_default_dtype_where_it_is_double(name, options):
    """float32 otherwise, and where the optimizer is a fused one."""

    def kinds(lib):
        lib.set_default_dtype(lib.float64)
        p = lib.nn.Parameter(lib.ones(3))
        p.grad = lib.ones(3)
        optimizer = getattr(lib.optim, name)([p], **options)
        for _ in range(3):
            optimizer.step()
        return [(k, str(v.dtype), v.sum().item()) for k, v in optimizer.state[p].items()]

    for ours, theirs in zip(kinds(rl), kinds(torch), strict=True):
        assert ours[:2] == theirs[:2]
        assert ours[2] == pytest.approx(theirs[2], rel=1e-12)


@pytest.mark.parametrize("name", ["SGD", "Adam", "Adagrad", "RMSprop", "Rprop", "SparseAdam"])
def test_a_refused_gradient_changes_nothing(name):
    """Parameters before it stay as they are, in an earlier group, too, and no state is made."""
    table = rl.nn.Embedding(4, 3, sparse=name != "SparseAdam")
    first = rl.nn.Embedding(4, 3, sparse=name == "SparseAdam")
    options = {"weight_decay": 0.1} if name in ("SGD", "Adagrad") else {}
    opt = getattr(rl.optim, name)(
        [{"params": first.parameters()}, {"params": table.parameters()}], lr=0.1, **options
    )
    (first(rl.tensor([1])) + table(rl.tensor([1]))).sum().backward()
    weights = [p.detach().clone() for p in (first.weight, table.weight)]
    state = copy.deepcopy(opt.state_dict())
    with pytest.raises(RuntimeError, match="gradients"):
        opt.step()
    assert rl.equal(first.weight, weights[0]) and rl.equal(table.weight, weights[1])
    assert str(opt.state_dict()) == str(state)
