"""compile(): captured steps give what eager gives, retrace when they must, stay eager if not."""

import ctypes
import warnings

import pytest

import rushlight as rl
from rushlight import nn
from rushlight.core.state import modes


def data(n=16, features=6, classes=3):
    g = rl.Generator().manual_seed(1)
    return rl.randn(n, features, generator=g), rl.randint(0, classes, (n,), generator=g)


def train(make_model, make_optimizer, compiled, steps=6, body=None):
    """Losses of a few steps, and the final state."""
    rl.manual_seed(0)
    model = make_model()
    optimizer = make_optimizer(model)
    x, y = data()

    def plain(x, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    step = plain if body is None else body(model, optimizer)
    run = rl.compile(step, fullgraph=True) if compiled else step
    losses = [run(x, y).item() for _ in range(steps)]
    grads = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    return losses, model, optimizer, grads, run


MODELS = {
    "linear": lambda: nn.Linear(6, 3),
    "mlp": lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)),
    "dropout": lambda: nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 3)),
    "norms": lambda: nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 3)
    ),
    "mean over all batches": lambda: nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8, momentum=None), nn.Tanh(), nn.Linear(8, 3)
    ),
    "conv": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 4, 2), nn.Sigmoid(), nn.Flatten(), nn.Linear(8, 3)
    ),
}
OPTIMIZERS = {
    "sgd": lambda m: rl.optim.SGD(m.parameters(), lr=0.1),
    "momentum": lambda m: rl.optim.SGD(m.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3),
    "adam": lambda m: rl.optim.Adam(m.parameters(), lr=0.01),
    "adamw": lambda m: rl.optim.AdamW(m.parameters(), lr=0.01),
    "rmsprop": lambda m: rl.optim.RMSprop(m.parameters(), lr=0.01),
    "adagrad": lambda m: rl.optim.Adagrad(m.parameters(), lr=0.1),
    "adafactor": lambda m: rl.optim.Adafactor(m.parameters(), lr=0.1),
}


def check_equal(make_model, make_optimizer, body=None):
    eager = train(make_model, make_optimizer, False, body=body)
    compiled = train(make_model, make_optimizer, True, body=body)
    assert compiled[0] == pytest.approx(eager[0], rel=1e-4)
    for (name, a), b in zip(
        eager[1].state_dict().items(), compiled[1].state_dict().values(), strict=True
    ):
        rl.testing.assert_close(b, a, rtol=1e-4, atol=1e-5, msg=name)
    for a, b in zip(eager[3], compiled[3], strict=True):
        rl.testing.assert_close(b, a, rtol=1e-4, atol=1e-5)
    rl.testing.assert_close(
        compiled[2].state_dict()["state"], eager[2].state_dict()["state"], rtol=1e-4, atol=1e-5
    )
    return compiled[4]._compiled


@pytest.mark.parametrize("name", MODELS)
def test_models(name):
    compiled = check_equal(MODELS[name], OPTIMIZERS["sgd"])
    assert compiled.traces == 1
    assert compiled.eager is None


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name):
    assert check_equal(MODELS["mlp"], OPTIMIZERS[name]).traces == 1


def test_clipping_and_accumulation_within_a_step():
    def body(model, optimizer):
        def step(x, y):
            optimizer.zero_grad()
            for part in (slice(0, 8), slice(8, 16)):
                loss = nn.functional.cross_entropy(model(x[part]), y[part]) / 2
                loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            return loss

        return step

    check_equal(MODELS["mlp"], OPTIMIZERS["sgd"], body)


def test_gradients_accumulate_over_calls():
    w = rl.ones(3, requires_grad=True)

    @rl.compile(fullgraph=True)
    def add(x):
        (w * x).sum().backward()

    for i in range(1, 6):
        add(rl.ones(3))
        assert w.grad.tolist() == [i, i, i]


def test_a_schedule_needs_no_new_trace():
    def losses(compiled):
        w = rl.zeros(2, requires_grad=True)
        optimizer = rl.optim.SGD([w], lr=0.1)
        scheduler = rl.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)

        def step(x):
            optimizer.zero_grad()
            loss = ((w - x) ** 2).sum()
            loss.backward()
            optimizer.step()
            return loss

        run = rl.compile(step, fullgraph=True) if compiled else step
        out = []
        for _ in range(6):
            out.append(run(rl.ones(2)).item())
            scheduler.step()
        return out, run

    eager, _ = losses(False)
    compiled, run = losses(True)
    assert compiled == pytest.approx(eager, rel=1e-6)
    assert run._compiled.traces == 1


def test_a_smaller_last_batch_is_one_more_variant():
    model = nn.Linear(6, 3)
    run = rl.compile(lambda x: model(x).detach().sum(), fullgraph=True)
    x, _ = data()
    with rl.no_grad():
        for n in (16, 16, 5, 5, 16, 5):
            rl.testing.assert_close(run(x[:n]), model(x[:n]).sum())
    assert run._compiled.traces == 2


def test_train_and_eval_are_two_variants():
    rl.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 3), nn.Dropout(0.5))
    x, _ = data()

    @rl.no_grad()
    def forward(x):
        return model(x)

    run = rl.compile(forward, fullgraph=True)
    for _ in range(3):
        assert (run(x) == 0).any()
    model.eval()
    for _ in range(3):
        rl.testing.assert_close(run(x), forward(x))


def test_reading_a_value_stays_eager_with_one_warning():
    @rl.compile
    def f(x):
        return x * 2 if "-" not in str(x.sum()) else x

    f(rl.ones(2))
    with pytest.warns(UserWarning, match=r"test_front.py:\d+ needs a value"):
        assert f(rl.ones(2)).tolist() == [2, 2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert f(-rl.ones(2)).tolist() == [-1, -1]


def test_fullgraph_raises_instead():
    @rl.compile(fullgraph=True)
    def f(x):
        return x * len(str(x.sum()))

    f(rl.ones(2))
    with pytest.raises(RuntimeError, match="printing a tensor"):
        f(rl.ones(2))


def test_a_tensor_that_outlives_the_call_stays_eager():
    kept = {}

    @rl.compile
    def f(x):
        kept[len(kept)] = x * 2
        return x + 1

    f(rl.ones(2))
    with pytest.warns(UserWarning, match="kept outside"):
        f(rl.ones(2))
    f(rl.full((2,), 5.0))
    assert kept[2].tolist() == [10, 10]


def test_a_view_of_a_tensor_that_nothing_else_keeps_is_captured():
    def f(x):
        y = (x * 2).view(-1)
        y += 1
        return y, (x + 1).t()

    run = rl.compile(f, fullgraph=True)
    for k in range(4):
        x = rl.randn(3, 2) + k
        rl.testing.assert_close(run(x), f(x), rtol=0, atol=0)


def test_results_lie_in_memory_with_the_gaps_of_eager_code():
    def f(x):
        spread = rl.empty_strided((3, 4), (8, 2)).copy_(x)
        turned = rl.empty_strided((3, 4), (2, 9)).copy_(x)
        return spread, turned, spread + turned, (spread * x).t()

    run = rl.compile(f, fullgraph=True)
    for _ in range(4):
        x = rl.randn(3, 4)
        for made, expected in zip(run(x), f(x), strict=True):
            assert made.stride() == expected.stride()
            assert made.tolist() == expected.tolist()


def test_leaves_of_a_graph_that_a_result_keeps_are_no_tensors_kept_outside():
    """As in gradient penalties, whose result still has the graph that was differentiated."""

    def f(w, x):
        x = x.detach().requires_grad_()
        (g,) = rl.autograd.grad((w * x * x).sum(), x, create_graph=True)
        penalty = (g**2).sum()
        penalty.backward()
        return penalty

    run = rl.compile(f, fullgraph=True)
    a, b = rl.ones(3, requires_grad=True), rl.ones(3, requires_grad=True)
    for _ in range(4):
        x = rl.randn(3)
        assert run(a, x).item() == pytest.approx(f(b, x).item())
        rl.testing.assert_close(a.grad, b.grad)


def test_a_base_that_outlives_the_call_stays_eager():
    kept = {}

    @rl.compile
    def f(x):
        y = kept[len(kept)] = x * 2
        return y.view(-1)

    f(rl.ones(2, 3))
    with pytest.warns(UserWarning, match="kept outside"):
        f(rl.ones(2, 3))


def test_views_and_writes():
    def f(x, y):
        z = x.clone()
        z[1:] += y[:2]
        z.t()[0] *= 3
        a, b = z.split(1, dim=1)
        return z, a * b, z[[0, 2]], z.sum(0)

    run = rl.compile(f, fullgraph=True)
    for k in range(4):
        x, y = rl.randn(3, 2), rl.randn(3, 2) + k
        for got, expected in zip(run(x, y), f(x, y), strict=True):
            rl.testing.assert_close(got, expected)


def test_arguments_written_in_place():
    run = rl.compile(lambda x, y: x.add_(y), fullgraph=True)
    x = rl.zeros(3)
    for i in range(1, 5):
        run(x, rl.ones(3))
        assert x.tolist() == [i] * 3
        assert x._version == i


def test_structures_numbers_and_reset():
    @rl.compile(fullgraph=True)
    def f(batch, scale, *, shift=0.0):
        return {"out": batch["x"] * scale + shift, "pair": (batch["y"], 3)}

    for scale in (2.0, 2.0, 3.0, 3.0, 2.0):
        out = f({"x": rl.ones(2), "y": rl.zeros(1)}, scale, shift=1.0)
        assert out["out"].tolist() == [scale + 1] * 2
        assert out["pair"][1] == 3
    assert f._compiled.traces == 2
    rl.compiler.reset()
    assert f._compiled.traces == 0


def test_shared_parameters_and_two_losses():
    def body(model, optimizer):
        def step(x, y):
            optimizer.zero_grad()
            h = model[2](model[0](x).relu())
            first = nn.functional.cross_entropy(h, y)
            second = (model[0].weight ** 2).sum() * 1e-3
            (first + second).backward()
            optimizer.step()
            return first

        return step

    check_equal(MODELS["mlp"], OPTIMIZERS["adam"], body)


def test_arguments_of_compile():
    with pytest.raises(RuntimeError, match="mode or options"):
        rl.compile(lambda x: x, mode="max-autotune", options={"a": 1})
    with pytest.raises(RuntimeError, match="backend"):
        rl.compile(lambda x: x, backend="nothing")
    with pytest.raises(AssertionError, match="function or a module"):
        rl.compile(3)
    assert rl.compile(lambda x: x + 1, disable=True)(rl.ones(1)).item() == 2
    assert rl.compile(backend="eager")(lambda x: x + 1)(rl.ones(1)).item() == 2
    net = nn.Linear(2, 1)
    assert rl.compile(net) is net
    assert rl.compile(net, backend="eager") is net


class Signatures:
    """Calls of a compiled function with vectors of several lengths."""

    def __init__(self, **options):
        counted = self.eagerly = ctypes.c_int()  # which captures do not look into

        def double(x):
            counted.value += modes.trace is None or modes.trace.is_first
            return x * 2

        self.run = rl.compile(double, **options)

    def eager(self, n, calls=4):
        """How many of some calls ran the function as it is."""
        before = self.eagerly.value
        for _ in range(calls):
            assert self.run(rl.ones(n)).tolist() == [2.0] * n
        return self.eagerly.value - before


@pytest.mark.parametrize("limit", [1, 3])
def test_a_function_is_captured_as_often_as_its_limit_says(limit):
    f = Signatures(recompile_limit=limit)
    assert [f.eager(n) for n in range(1, limit + 1)] == [1] * limit
    with pytest.warns(UserWarning, match=f"captured {limit} times already"):
        assert f.eager(limit + 1) == 4
    assert f.eager(limit + 2) == 4  # without another warning
    assert f.eager(limit) == 0  # programs still run
    rl.compiler.reset()
    assert f.eager(limit + 1) == 1


def test_the_limit_of_all_functions(monkeypatch):
    config = rl._dynamo.config
    assert config.recompile_limit == config.cache_size_limit == 8
    monkeypatch.setattr(config, "cache_size_limit", 1)
    f, own = Signatures(), Signatures(recompile_limit=2)
    assert f.eager(1) == 1
    with pytest.warns(UserWarning, match="captured 1 times already"):
        assert f.eager(2) == 4
    config.recompile_limit = 2
    assert f.eager(2) == 0  # the reason is known: it is captured at once
    assert [own.eager(n) for n in (1, 2)] == [1, 1]
    with pytest.raises(AttributeError):
        config.nonsense = 1
    with pytest.raises(TypeError, match="recompile_limit"):
        rl.compile(lambda x: x, recompile_limit="many")


def test_beyond_the_limit_a_full_graph_is_an_error():
    f = Signatures(recompile_limit=0, fullgraph=True)
    f.eager(1, calls=1)
    with pytest.raises(RuntimeError, match="captured 0 times already"):
        f.eager(1)


def test_a_graph_of_many_operations():
    def f(x):
        for _ in range(1600):
            x = x + 1
        return x

    run = rl.compile(f)
    for _ in range(3):
        assert run(rl.zeros(1)).item() == 1600
    assert "kernel" in rl.compiler.explain(run)


def test_a_disabled_function_keeps_its_caller_eager():
    seen = []

    @rl.compiler.disable(reason="it takes notes")
    def note(x):
        seen.append(x.shape)
        return x

    run = rl.compile(lambda x: note(x) * 2)
    with pytest.warns(UserWarning, match="note, which is kept out of compilation .it takes notes"):
        for _ in range(5):
            run(rl.ones(2))
    assert len(seen) == 5
