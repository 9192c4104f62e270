"""Compiled modules and functions whose results are differentiated outside."""

import copy
import pickle

import pytest

import rushlight as rl
from rushlight import nn

F = nn.functional


class Heads(nn.Module):
    """Attention whose queries, keys and values are parts of one product: views that are saved."""

    def __init__(self):
        super().__init__()
        self.parts, self.out = nn.Linear(6, 24), nn.Linear(8, 3)

    def forward(self, x):
        q, k, v = self.parts(x.view(2, 8, 6)).split(8, -1)
        q, k, v = [t.view(2, 8, 2, 4).transpose(1, 2) for t in (q, k, v)]
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(16, 8))


MAKERS = {
    "parts": Heads,
    "mlp": lambda: nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)),
    "norms": lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Linear(8, 3)),
    "dropout": lambda: nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 3)),
}


def trained(make, compiled, steps=6):
    rl.manual_seed(0)
    model = make()
    optimizer = rl.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    run = rl.compile(model, fullgraph=True) if compiled else model
    x, y = rl.randn(16, 6), rl.randint(0, 3, (16,))
    losses = []
    for _ in range(steps):
        loss = F.cross_entropy(run(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, model


@pytest.mark.parametrize("name", MAKERS)
def test_a_compiled_module_trains_as_eager(name):
    eager, a = trained(MAKERS[name], False)
    found, b = trained(MAKERS[name], True)
    assert found == pytest.approx(eager, rel=1e-4)
    rl.testing.assert_close(dict(b.state_dict()), dict(a.state_dict()), rtol=1e-4, atol=1e-5)
    assert b(rl.randn(16, 6)).grad_fn.name() == "CompiledFunctionBackward"


def test_in_place_compilation_and_evaluation():
    model = MAKERS["dropout"]()
    model.compile(fullgraph=True)
    x = rl.randn(4, 6)
    for _ in range(3):
        model(x).sum().backward()
    model.eval()
    with rl.no_grad():
        for _ in range(3):
            out = model(x)
    rl.testing.assert_close(out, model._call_impl(x))


def test_views_of_what_requires_gradients_under_no_grad():
    def f(x):
        return x.view(-1), x.t() * 2

    run = rl.compile(f, fullgraph=True)
    x = rl.randn(2, 3, requires_grad=True)
    with rl.no_grad():
        for _ in range(3):
            rl.testing.assert_close(run(x), f(x), rtol=0, atol=0)


def test_gradients_reach_arguments():
    w = rl.randn(3, requires_grad=True)

    def f(x, y):
        return x * w + y, (x * x).sum()

    run = rl.compile(f, fullgraph=True)
    for _ in range(4):
        x, y = rl.randn(2, 3, requires_grad=True), rl.randn(2, 3)
        for g in (f, run):
            w.grad = x.grad = None
            z = x * 2  # with a history of its own
            a, b = g(z, y)
            (a.sum() * 2 + b).backward()
            if g is f:
                expected = w.grad, x.grad
        rl.testing.assert_close((w.grad, x.grad), expected)


def test_two_calls_before_the_backward_pass():
    model = MAKERS["mlp"]()
    run = rl.compile(model._call_impl, fullgraph=True)
    inputs = [rl.randn(4, 6) for _ in range(3)]
    for _ in range(3):
        model.zero_grad()
        sum([(run(x) ** 2).sum() for x in inputs]).backward()
    grads = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    sum([(model(x) ** 2).sum() for x in inputs]).backward()
    rl.testing.assert_close([p.grad for p in model.parameters()], grads, rtol=1e-4, atol=1e-5)


def test_only_some_results_are_used():
    w = rl.ones(2, requires_grad=True)
    run = rl.compile(lambda x: (w * x, w.exp(), x + 1), fullgraph=True)
    for _ in range(4):
        a, b, c = run(rl.ones(2))
        w.grad = None
        b.sum().backward()
    assert not c.requires_grad
    assert a.requires_grad
    rl.testing.assert_close(w.grad, w.detach().exp())


def test_what_only_unused_results_depend_on_has_no_gradient():
    """Rather than zeros, which decay and momentum would act on."""
    net = nn.ModuleList([nn.Linear(3, 2), nn.Linear(3, 2)])

    @rl.compile(fullgraph=True)
    def both(x):
        return net[0](x), net[1](x) * x.sum(), x.detach()

    for used in (0, 1, 0):
        for _ in range(2):
            net.zero_grad()
            both(rl.ones(4, 3))[used].sum().backward()
        assert [m.weight.grad is None for m in net] == [used == 1, used == 0]
    sum(out.sum() for out in both(rl.ones(4, 3))).backward()
    assert all(p.grad is not None for p in net.parameters())


def test_errors_of_the_graph():
    w = rl.ones(2, requires_grad=True)
    run = rl.compile(lambda x: (w * w * x).sum(), fullgraph=True)
    for _ in range(3):
        out = run(rl.ones(2))
    out.backward(retain_graph=True)
    out.backward()
    with pytest.raises(RuntimeError, match="second time"):
        out.backward()
    out = run(rl.ones(2))
    with rl.no_grad():
        w.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()
    out = run(rl.ones(2))
    (g,) = rl.autograd.grad(out, w, create_graph=True)
    with pytest.raises(RuntimeError, match="twice"):
        g.sum().backward()


def test_a_frozen_parameter_is_another_capture():
    model = nn.Linear(3, 2)
    run = rl.compile(model, fullgraph=True)
    x = rl.randn(4, 3)
    for frozen in (False, True, False):
        model.weight.requires_grad_(not frozen)
        for _ in range(3):
            model.zero_grad()
            run(x).sum().backward()
        assert (model.weight.grad is None) == frozen
        assert model.bias.grad.tolist() == [4, 4]


def test_hooks_and_draws_of_python_are_captured():
    import random

    model = nn.Linear(3, 2)
    seen = []
    model.register_forward_hook(lambda *_: seen.append(1))
    run = rl.compile(model)
    for _ in range(6):
        run(rl.ones(1, 3))
    assert len(seen) == 6 and run._compiled_call_impl._compiled.variants
    noisy = rl.compile(lambda x: x * random.random())
    assert len({noisy(rl.ones(1)).item() for _ in range(5)}) == 5 and noisy._compiled.variants


def test_copies_and_files_are_of_the_module_itself():
    model = rl.compile(nn.Linear(3, 2))
    x = rl.ones(1, 3)
    for _ in range(3):
        y = model(x)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other._compiled_call_impl is None
        rl.testing.assert_close(other(x), y)


def test_results_of_a_graph_that_backward_freed_need_no_gradients():
    w = rl.ones(3, requires_grad=True)

    @rl.compile(fullgraph=True)
    def step(x):
        w.grad = None
        out = w * x
        loss = (out**2).sum()
        loss.backward()
        return loss * 2, out + 1

    for _ in range(4):
        loss, out = step(rl.ones(3))
        assert (loss.item(), out.tolist(), w.grad.tolist()) == (6, [2, 2, 2], [2, 2, 2])


@pytest.mark.parametrize("fed", ["state", "parts of states", "written into a row"])
def test_a_call_on_what_another_call_made(fed):
    """The gradients of one call end at its arguments, though the same weights lie behind them."""

    def trained(compiled):
        rl.manual_seed(0)
        cell, x = nn.RNNCell(3, 4), rl.randn(5, 2, 3)
        step = rl.compile(cell, fullgraph=True) if compiled else cell
        found = []
        for _ in range(3):
            h, row = rl.zeros(2, 4), rl.zeros(6, 2, 4)
            for k in range(5):
                if fed == "written into a row":
                    row[k + 1] = step(x[k], row[k].clone())
                    h = row[k + 1]
                else:
                    given = h if fed == "state" else rl.cat(h.chunk(2, 1), 1)
                    h = step(x[k], given)
            cell.zero_grad()
            h.square().sum().backward()
            found.append(cell.weight_hh.grad.clone())
        return rl.stack(found)

    rl.testing.assert_close(trained(True), trained(False))


class Wrong(rl.autograd.Function):
    """A function whose backward gives too few gradients."""

    @staticmethod
    def forward(ctx, x, k):
        return x * k

    @staticmethod
    def backward(ctx, g):
        return g


def test_an_error_of_a_backward_pass_is_one_of_backward():
    run = rl.compile(lambda x: Wrong.apply(x, 2))
    x = rl.ones(3, requires_grad=True)
    run(x)
    with pytest.warns(UserWarning, match="its backward pass raises GraphError"):
        out = run(x)
    assert run(x).tolist() == out.tolist() == [2.0] * 3
    with pytest.raises(RuntimeError, match="expected 2, got 1"):
        out.sum().backward()


class Shaken(rl.autograd.Function):
    """A function whose backward draws, from the default generator and from one of its own."""

    @staticmethod
    def forward(ctx, x, generator):
        ctx.generator = generator
        return x * rl.rand(3)

    @staticmethod
    def backward(ctx, g):
        return g * rl.rand(3) + rl.rand(3, generator=ctx.generator), None


def test_a_backward_pass_draws_once():
    def trained(compiled):
        generator, found = rl.Generator().manual_seed(1), []
        rl.manual_seed(0)
        call = lambda x: Shaken.apply(Shaken.apply(x, generator), generator)  # noqa: E731
        run = rl.compile(call, fullgraph=True) if compiled else call
        for _ in range(5):
            x = rl.ones(3, requires_grad=True)
            out = run(x)
            out.sum().backward()
            found += [*out.tolist(), *x.grad.tolist(), rl.rand(()).item()]
        return found

    assert trained(True) == pytest.approx(trained(False), rel=1e-6)


class Counting(rl.autograd.Function):
    """A function whose backward adds to a tensor, and gives what is there then."""

    @staticmethod
    def forward(ctx, x, total):
        ctx.total = total
        return x * 2

    @staticmethod
    def backward(ctx, g):
        ctx.total[1:] += g
        return ctx.total[1:], None


def test_a_backward_pass_that_writes_is_not_run_ahead_of_time():
    def trained(compiled):
        total, found = rl.zeros(4), []
        call = lambda x: Counting.apply(x, total)  # noqa: E731
        run = rl.compile(call) if compiled else call
        for _ in range(5):
            x = rl.arange(3.0, requires_grad=True)
            run(x).sum().backward()
            found += [x.grad.tolist(), total.tolist()]
        return found

    with pytest.warns(UserWarning, match="its backward pass writes to a tensor"):
        found = trained(True)
    assert found == trained(False)


def variants_of(run):
    compiled = getattr(run, "_compiled", None) or run._compiled_call_impl._compiled
    return [v for found in compiled.variants.values() for v in found]


def test_calls_like_the_last_go_straight_to_the_program():
    model = rl.compile(MAKERS["mlp"](), fullgraph=True)
    optimizer = rl.optim.SGD(model.parameters(), lr=0.1)
    x = rl.randn(16, 6)
    for k in range(6):
        if k == 3:
            (variant,) = variants_of(model)
            variant.run = None  # which other calls need
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()


def test_gradients_that_somebody_keeps_stay_as_they_are():
    model = nn.Linear(3, 2)
    run = rl.compile(model._call_impl, fullgraph=True)
    kept, views, expected = [], [], []
    for k in range(6):
        x = rl.full((4, 3), float(k))
        model.zero_grad()
        run(x).sum().backward()
        kept.append(model.weight.grad)
        views.append(model.bias.grad.numpy()[1:])
        expected.append([[4.0 * k] * 3] * 2)
    assert [g.tolist() for g in kept] == expected
    assert [v.tolist() for v in views] == [[4.0]] * 6


def test_gradients_add_up_over_calls_of_several_sizes():
    model = nn.Linear(3, 2)
    run = rl.compile(model._call_impl, fullgraph=True)
    sizes = (4, 4, 5, 4, 5, 5, 4)
    for n in sizes:
        run(rl.ones(n, 3)).sum().backward()
    assert model.bias.grad.tolist() == [sum(sizes)] * 2
    assert model.weight.grad.tolist() == [[sum(sizes)] * 3] * 2


def test_writes_between_the_call_and_the_backward_pass():
    """What an eager graph saves as it is, a compiled one saves so, too: writes to it are errors."""
    w = rl.ones(3, requires_grad=True)
    run = rl.compile(lambda x: (w * x, x + 1), fullgraph=True)
    for _ in range(4):
        x = rl.ones(3)
        a, b = run(x)
        b.add_(1)
        a.sum().backward()
    a, _ = run(x)
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        a.sum().backward()


def test_an_argument_that_the_call_writes_to():
    w = rl.ones(3, requires_grad=True)

    def f(x):
        y = w * x.clone()
        x.add_(1)
        return y

    run = rl.compile(f, fullgraph=True)
    x = rl.ones(3)
    for k in range(5):
        w.grad = None
        run(x).sum().backward()
        assert w.grad.tolist() == [k + 1] * 3
        assert x.tolist() == [k + 2] * 3


def test_hooks_on_what_is_saved():
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    run = rl.compile(model._call_impl, fullgraph=True)
    x = rl.randn(4, 6)
    for _ in range(4):
        model.zero_grad()
        run(x).sum().backward()
    expected = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    packed = []
    with rl.autograd.graph.saved_tensors_hooks(
        lambda t: packed.append(t.shape) or t.clone(), lambda t: t
    ):
        loss = run(x).sum()
    assert packed
    loss.backward()
    rl.testing.assert_close([p.grad for p in model.parameters()], expected)


def test_a_parameter_that_gets_memory_of_another_shape_before_the_backward_pass():
    w = rl.ones(3, requires_grad=True)
    run = rl.compile(lambda x: (w * w * x).sum(), fullgraph=True)
    for _ in range(4):
        out = run(rl.ones(3))
    w.data = rl.ones(5)
    with pytest.raises((RuntimeError, ValueError)):
        out.backward()


def test_hooks_of_parameters_run_in_the_order_of_eager_code():
    def order(compiled):
        model, seen = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), []
        run = rl.compile(model._call_impl, fullgraph=True) if compiled else model
        for k, p in enumerate(model.parameters()):
            p.register_post_accumulate_grad_hook(lambda p, k=k: seen.append(k))
        for _ in range(4):
            run(rl.ones(2, 3)).sum().backward()
        return seen

    assert order(True) == order(False)


def test_arguments_that_were_differentiated_before_the_traced_call():
    """As where a metric is computed of features after the step."""
    found = []
    for compile in (lambda f: f, rl.compile):
        rl.manual_seed(0)
        body, head = nn.Linear(4, 8), nn.Linear(8, 3)
        run = compile(head)
        for _ in range(4):
            features = body(rl.randn(5, 4)).sin()
            run(features).pow(2).sum().backward()
            assert run(features).requires_grad
        found.append([p.grad for p in (*body.parameters(), *head.parameters())])
    for got, want in zip(*reversed(found), strict=True):
        rl.testing.assert_close(got, want)
