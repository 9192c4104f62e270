"""Recomputing activations gives the same gradients, and calls the function again."""

import contextlib

import pytest
import torch

import rushlight


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_gradients_equal_those_without(use_reentrant):
    results = []
    for fw in (rushlight, torch):
        checkpoint = fw.utils.checkpoint.checkpoint
        fw.manual_seed(0)
        layer = fw.nn.Sequential(fw.nn.Linear(4, 8), fw.nn.Tanh(), fw.nn.Dropout(0.5))
        x = fw.randn(5, 4, requires_grad=True)
        calls = []

        def run(x, layer=layer, calls=calls):
            calls.append(1)
            return layer(x).sum(1)

        out = checkpoint(run, x, use_reentrant=use_reentrant)
        assert len(calls) == 1
        (out * fw.arange(5.0)).sum().backward()
        assert len(calls) == 2
        results.append([t.grad.numpy() for t in (x, *layer.parameters())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_sequential():
    results = []
    for fw in (rushlight, torch):
        fw.manual_seed(0)
        layers = [fw.nn.Linear(4, 4) for _ in range(5)]
        x = fw.randn(3, 4, requires_grad=True)
        model = fw.nn.Sequential(*layers)
        out = fw.utils.checkpoint.checkpoint_sequential(model, 2, x, use_reentrant=False)
        out.sum().backward()
        results.append([t.grad.numpy() for t in (x, *model.parameters())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_contexts_and_a_function_that_changes():
    for fw in (rushlight, torch):
        module = fw.utils.checkpoint
        entered = []

        @contextlib.contextmanager
        def enter(name, entered=entered):
            entered.append(name)
            yield

        x = fw.ones(3, requires_grad=True)
        out = module.checkpoint(
            lambda x: x.exp().sin(),
            x,
            use_reentrant=False,
            context_fn=lambda enter=enter: (enter("first"), enter("second")),
        )
        out.sum().backward()
        assert entered == ["first", "second"]
        runs = []

        def changing(x, runs=runs):
            runs.append(1)
            return x.exp().sin() if len(runs) == 1 else x.exp()

        out = module.checkpoint(changing, x, use_reentrant=False)
        with pytest.raises(module.CheckpointError):
            out.sum().backward()


def test_small_helpers():
    for fw in (rushlight, torch):
        module = fw.utils.checkpoint
        x = fw.ones(2, requires_grad=True)
        detached, three = module.detach_variable((x * 2, 3))
        assert detached.is_leaf
        assert detached.requires_grad
        assert three == 3
        with pytest.warns(UserWarning):
            module.check_backward_validity([fw.ones(1)])
        with module.set_checkpoint_early_stop(False), module.set_checkpoint_debug_enabled(None):
            pass


def test_runs_again_in_the_precision_of_the_first_run():
    seen = []

    def product(x):
        seen.append(rushlight.mm(x, x).dtype)
        return rushlight.mm(x, x)

    x = rushlight.ones(3, 3, requires_grad=True)
    with rushlight.autocast("cpu", dtype=rushlight.bfloat16):
        y = rushlight.utils.checkpoint.checkpoint(product, x, use_reentrant=False)
    y.sum().backward()
    assert set(seen) == {rushlight.bfloat16} and len(seen) == 2
    assert not rushlight.is_autocast_enabled("cpu") and x.grad.dtype is rushlight.float32


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_stands_in_a_captured_step(use_reentrant):
    """A step that falls back to eager code warns, which is an error here."""

    def losses(compile):
        rushlight.manual_seed(0)
        first, last = rushlight.nn.Linear(4, 8), rushlight.nn.Linear(8, 1)
        block = rushlight.nn.Sequential(rushlight.nn.Tanh(), rushlight.nn.Dropout(0.5))
        parameters = [*first.parameters(), *last.parameters()]
        optimizer = rushlight.optim.SGD(parameters, lr=0.1)

        def step(x):
            optimizer.zero_grad()
            hidden = rushlight.utils.checkpoint.checkpoint(
                block, first(x), use_reentrant=use_reentrant
            )
            loss = last(hidden).square().mean()
            loss.backward()
            optimizer.step()
            return loss.detach()

        step = compile(step)
        return [step(rushlight.randn(5, 4)).item() for _ in range(4)]

    assert losses(rushlight.compile) == pytest.approx(losses(lambda step: step), rel=1e-5)


class Cubed(rushlight.autograd.Function):
    """A function that keeps its inputs and its result."""

    @staticmethod
    def forward(ctx, x, factor):
        square = x * x
        ctx.save_for_backward(factor, x, square)
        return square * x * factor, square

    @staticmethod
    def backward(ctx, g, of_square):
        factor, x, square = ctx.saved_tensors
        return g * 3 * square * factor + of_square * 2 * x, g * square * x


def test_second_gradients_of_custom_functions():
    def second(way):
        x = rushlight.tensor([0.5, -1.5], dtype=rushlight.float64, requires_grad=True)
        factor = rushlight.tensor([3.0, 0.5], dtype=rushlight.float64, requires_grad=True)
        run = lambda x: sum(Cubed.apply(x.tanh(), factor))  # noqa: E731
        if way == "checkpoint":
            y = rushlight.utils.checkpoint.checkpoint(run, x, use_reentrant=False)
        elif way == "hooks":
            with rushlight.autograd.graph.saved_tensors_hooks(
                lambda t: t.numpy(force=True), rushlight.tensor
            ):
                y = run(x)
        else:
            y = run(x)
        (first,) = rushlight.autograd.grad(y.sum(), x, create_graph=True)
        return rushlight.autograd.grad(first.square().sum(), [x, factor])

    for way in ("checkpoint", "hooks"):
        rushlight.testing.assert_close(second(way), second("plain"))


def test_second_gradients():
    """What is computed again stands where it stood: a penalty on gradients reaches what made it."""

    def second(kept):
        rushlight.manual_seed(0)
        nn = rushlight.nn
        below, layer = nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 5), nn.Tanh())
        x = below(rushlight.randn(2, 3))
        run = rushlight.utils.checkpoint.checkpoint
        y = run(layer, x, use_reentrant=False) if kept else layer(x)
        parameters = [*below.parameters(), *layer.parameters()]
        first = rushlight.autograd.grad(y.square().sum(), parameters, create_graph=True)
        return rushlight.autograd.grad(sum(g.square().sum() for g in first), parameters)

    for ours, plain in zip(second(True), second(False), strict=True):
        rushlight.testing.assert_close(ours, plain)
