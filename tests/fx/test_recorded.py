"""Backends of compile that are functions: the graphs that they get, as in torch."""

import pytest
import torch
import torch._dynamo.testing

import rushlight
import rushlight._dynamo.testing
from rushlight.errors import GraphError

LIBRARIES = [rushlight, torch]


class Backend:
    """Keeps the graphs that it gets, and runs them as they are."""

    def __init__(self):
        self.modules, self.inputs, self.runs = [], [], 0

    def __call__(self, module, inputs):
        self.modules.append(module)
        self.inputs.append(inputs)

        def run(*tensors):
            self.runs += 1
            return module.forward(*tensors)

        return run


@pytest.fixture(autouse=True)
def forget():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def calls(module):
    """Each node's kind, target and number of inputs, without what results are called."""
    return [
        (n.op, str(getattr(n.target, "__name__", n.target)), len(n.all_input_nodes))
        for n in module.graph.nodes
    ]


def small(lib):
    def bar(a, b, k):
        x = a / (lib.abs(a) + 1) - b
        high, _ = lib.max((-x).view(5, 2), dim=1)
        part = 2 - x[2:4]
        return {"r": x * b.sum(dim=0) + k, "m": [high, part], "k": k}

    return bar


@pytest.mark.parametrize("k", [1, 2.5])
def test_the_graph_is_what_torch_gives(k):
    graphs, results = [], []
    for lib in LIBRARIES:
        backend = Backend()
        lib.manual_seed(0)
        a, b = lib.randn(10), lib.randn(10)
        run = lib.compile(small(lib), backend=backend)
        results.append([run(a, b, k) for _ in range(3)])
        graphs.append(calls(backend.modules[0]))
        assert len(backend.modules) == 1 and len(backend.inputs[0]) == 2
    order = sorted(graphs[0]), sorted(graphs[1])  # parts of a tuple are taken out where needed
    assert order[0] == order[1]
    for own, others in zip(*results, strict=True):
        assert own.keys() == others.keys() and own["k"] == others["k"]
        for mine, theirs in zip([own["r"], *own["m"]], [others["r"], *others["m"]], strict=True):
            torch.testing.assert_close(torch.tensor(mine.tolist()), theirs)


def network(lib):
    class Net(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = lib.nn.Linear(4, 3)
            self.norm = lib.nn.BatchNorm1d(3)
            self.last = lib.nn.Sequential(lib.nn.ReLU(), lib.nn.Linear(3, 2))

        def forward(self, x):
            return self.last(self.norm(self.first(x)))

    lib.manual_seed(1)
    return Net()


@pytest.mark.filterwarnings("ignore:Guards may run slower:RuntimeWarning")  # torch, on 3.13.0
def test_modules_give_their_parameters_and_buffers():
    names, losses = [], []
    for lib in LIBRARIES:
        backend, net = Backend(), network(lib)
        net.compile(backend=backend)
        optimizer = lib.optim.SGD(net.parameters(), lr=0.1)
        x = lib.arange(24.0).reshape(6, 4) / 24
        losses.append([])
        for _ in range(4):
            optimizer.zero_grad()
            loss = net(x).square().mean()
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
        net.eval()
        losses[-1].append(net(x).sum().item())
        assert len(backend.modules) == 2, "training and evaluation are two programs"
        nodes = backend.modules[0].graph.nodes
        names.append(sorted(n.target for n in nodes if n.op == "placeholder"))
        losses[-1].append(net.norm.running_mean.sum().item())
    assert names[0] == names[1]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_other_sizes_dtypes_and_modes_are_other_graphs():
    backend = Backend()
    run = rushlight.compile(lambda x: x * 2, backend=backend)
    for x in (rushlight.ones(2), rushlight.ones(3), rushlight.ones(2, dtype=rushlight.float64)):
        for _ in range(2):
            assert run(x).tolist() == (x * 2).tolist()
    with rushlight.no_grad():
        run(rushlight.ones(2))
    assert len(backend.modules) == 4 and backend.runs == 3
    rushlight.compiler.reset()
    run(rushlight.ones(2))
    assert len(backend.modules) == 5


def test_what_needs_a_value_runs_as_it_is_and_says_so():
    backend = Backend()

    @rushlight.compile(backend=backend)
    def run(x):
        return x + 1 if x.sum() > 0 else x - 1

    with pytest.warns(UserWarning, match=r"run runs as it is, .*__bool__"):
        assert run(rushlight.ones(2)).tolist() == [2, 2]
    assert run(-rushlight.ones(2)).tolist() == [-2, -2]
    assert not backend.modules
    strict = rushlight.compile(lambda x: x * x.sum().item(), backend=backend, fullgraph=True)
    with pytest.raises(GraphError, match="calls item"):
        strict(rushlight.ones(2))


def test_tensors_that_functions_reach_are_inputs_and_unknown_ones_are_refused():
    held = rushlight.ones(3)
    backend = Backend()
    run = rushlight.compile(lambda x: x + held, backend=backend)
    run(rushlight.zeros(3))
    held.fill_(5)
    assert run(rushlight.zeros(3)).tolist() == [5, 5, 5]
    assert [n.target for n in backend.modules[0].graph.nodes][:2] == ["L_x_", "L_held_"]

    hidden = {"of": (lambda: held)}
    lost = rushlight.compile(lambda x: x + hidden["of"](), backend=backend)
    with pytest.warns(UserWarning, match="no function made"):
        lost(rushlight.zeros(3))


def test_explain_compiles_and_counts():
    def bar(a, b):
        return a / (a.abs() + 1) * b

    told = rushlight._dynamo.explain(bar)(rushlight.ones(3), rushlight.ones(3))
    assert (told.graph_count, told.graph_break_count, told.break_reasons) == (1, 0, [])
    assert told.op_count >= 4 and "graph" in told
    with pytest.warns(UserWarning, match="runs eagerly"):
        broken = rushlight._dynamo.explain(lambda x: str(x.sum().item()))(rushlight.ones(3))
    assert (broken.graph_count, broken.graph_break_count) == (0, 1)


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        ("CompileCounter", ()),
        ("CompileCounterWithBackend", ("eager",)),
        ("EagerAndRecordGraphs", ()),
    ],
)
def test_counters(kind, args):
    told = []
    for lib in LIBRARIES:
        counter = getattr(lib._dynamo.testing, kind)(*args)
        f = lib.compile(lambda x: (x + 1).relu(), backend=counter)
        results = [f(lib.ones(n)).tolist() for n in (2, 2, 3)]
        facts = dict(vars(counter))
        graphs = [calls(g) for g in facts.pop("graphs", [])]
        told.append((results, facts, len(graphs)))
    assert told[0] == told[1]


def test_counters_start_again():
    counter = rushlight._dynamo.testing.CompileCounterWithBackend("inductor")
    rushlight.compile(lambda x: x + 1, backend=counter)(rushlight.ones(1))
    counter.clear()
    assert (counter.frame_count, counter.op_count, counter.graphs) == (0, 0, [])
    with pytest.raises(ValueError):
        rushlight._dynamo.testing.CompileCounterWithBackend("none")


@pytest.mark.parametrize("lib", LIBRARIES)
def test_same_says_whether_results_are_close(lib):
    same, one = lib._dynamo.testing.same, lib.ones(2)
    assert same((one, {"a": one}), (one, {"a": one + 1e-6}))
    assert not same([one], [one + 1])
    assert not same(one / 0 * 0, one / 0 * 0)
    assert same(one / 0 * 0, one / 0 * 0, equal_nan=True)
