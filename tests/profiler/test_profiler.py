"""The profiler counts what ran, nests it, and gets out of the way when it stops."""

import gzip
import json

import pytest
import torch

import rushlight as rl
from rushlight.core.state import modes, state
from rushlight.profiler import ProfilerAction, profile, record_function, schedule


def model_step():
    model = rl.nn.Sequential(rl.nn.Linear(8, 16), rl.nn.ReLU(), rl.nn.Linear(16, 4))
    optimizer = rl.optim.SGD(model.parameters(), lr=0.1)

    def step():
        optimizer.zero_grad()
        loss = (model(rl.ones(2, 8)) ** 2).sum()
        loss.backward()
        optimizer.step()

    return step


def test_counts_and_nesting():
    step = model_step()
    with profile(record_shapes=True, profile_memory=True) as prof, record_function("two steps"):
        step()
        step()
    averages = {a.key: a for a in prof.key_averages()}
    assert averages["aten::linear"].count == 4
    assert averages["aten::relu"].count == 2
    assert averages["ReluBackward0"].count == 2
    assert averages["Optimizer.step#SGD.step"].count == 2
    outer = averages["two steps"]
    assert outer.count == 1
    events = prof.events()
    inside = [e for e in events if e.cpu_parent is events[0]]
    assert inside == events[0].cpu_children
    assert outer.cpu_time_total >= sum(e.cpu_time_total for e in inside)
    assert all(e.self_cpu_time_total >= 0 for e in events)
    linear = next(e for e in events if e.name == "aten::linear")
    assert linear.input_shapes == [[2, 8], [16, 8], [16]]
    assert linear.cpu_memory_usage == 2 * 16 * 4


def test_nothing_is_left_behind():
    before = state.busy
    with profile():
        rl.ones(2).exp()
        assert modes.profiler is not None
    assert modes.profiler is None
    assert state.busy == before
    prof = profile()
    with pytest.raises(ZeroDivisionError), prof, record_function("failing"):
        1 / 0
    assert modes.profiler is None
    assert [e.name for e in prof.events()] == ["failing"]


def test_results_are_the_same():
    def run():
        rl.manual_seed(0)
        x = rl.randn(4, 5, requires_grad=True)
        y = rl.nn.functional.softmax(x @ x.t(), 1)[1:].mul(2).view(-1)
        y.sum().backward()
        return x.grad

    plain = run()
    with profile():
        profiled = run()
    assert rl.equal(plain, profiled)


def test_table():
    with profile(profile_memory=True) as prof:
        for _ in range(3):
            rl.ones(100, 100).exp().sum()
    table = prof.key_averages().table(sort_by="cpu_time_total", row_limit=1)
    rule, header, _, row = table.splitlines()[:4]
    assert len(rule) == len(header) == len(row)
    assert header.split("  ")[-2].strip() == "# of Calls"
    assert row.split()[0] in ("aten::exp", "aten::sum")
    assert table.splitlines()[-1].startswith("Self CPU time total: ")
    everything = prof.key_averages().table(sort_by="count", row_limit=-1)
    assert all(name in everything for name in ("aten::exp", "aten::sum", "CPU Mem"))
    assert prof.key_averages().total_average().count == len(prof.events())


@pytest.mark.parametrize("name", ["trace.json", "trace.json.gz"])
def test_chrome_trace(name, tmp_path):
    with profile(record_shapes=True) as prof:
        rl.ones(3).exp()
    prof.export_chrome_trace(str(tmp_path / name))
    opener = gzip.open if name.endswith("gz") else open
    with opener(tmp_path / name, "rt") as file:
        (event,) = json.load(file)["traceEvents"]
    assert event["name"] == "aten::exp"
    assert event["ph"] == "X"
    assert event["dur"] > 0
    assert event["args"] == {"Input Dims": [[3]]}


@pytest.mark.parametrize(
    "arguments",
    [
        {"wait": 1, "warmup": 1, "active": 2, "repeat": 2},
        {"wait": 2, "warmup": 0, "active": 1, "skip_first": 3},
        {"wait": 1, "warmup": 1, "active": 1, "skip_first": 1, "skip_first_wait": 1},
    ],
)
@pytest.mark.filterwarnings("ignore:Profiler won't be using warmup")
def test_schedule_equals_torchs(arguments):
    ours, theirs = schedule(**arguments), torch.profiler.schedule(**arguments)
    assert [ours(i).name for i in range(20)] == [theirs(i).name for i in range(20)]


def test_steps_of_a_schedule(tmp_path):
    ready = []

    def on_trace_ready(prof):
        ready.append((prof.step_num, [e.name for e in prof.events()]))

    plan = schedule(wait=1, warmup=1, active=2, repeat=2)
    with profile(schedule=plan, on_trace_ready=on_trace_ready) as prof:
        for i in range(9):
            rl.ones(i + 1).exp()
            prof.step()
    assert ready == [
        (4, ["ProfilerStep#2", "aten::exp", "ProfilerStep#3", "aten::exp"]),
        (8, ["ProfilerStep#6", "aten::exp", "ProfilerStep#7", "aten::exp"]),
    ]
    assert prof.current_action is ProfilerAction.NONE
    handler = rl.profiler.tensorboard_trace_handler(str(tmp_path), "worker")
    handler(prof)
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("worker.")
    assert path.name.endswith(".pt.trace.json")


def trained(profiled):
    """Weights after compiled steps, and the events of those that are profiled."""
    rl.manual_seed(0)
    model = rl.nn.Sequential(rl.nn.Linear(6, 8), rl.nn.Dropout(), rl.nn.Linear(8, 1))
    optimizer = rl.optim.Adam(model.parameters())
    x = rl.randn(5, 6)

    @rl.compile
    def step(x):
        optimizer.zero_grad()
        loss = model(x).pow(2).sum()
        loss.backward()
        optimizer.step()
        return loss

    losses, names = [], []
    for i in range(7):
        if i in profiled:
            with profile() as prof:
                losses.append(step(x).item())
            names.append([e.name for e in prof.events()])
        else:
            losses.append(step(x).item())
    return [losses, rl.get_rng_state().tolist(), *[p.tolist() for p in model.parameters()]], names


def test_compiled_calls_show_their_kernels():
    plain, _ = trained(())
    profiled, found = trained((4, 5))
    assert profiled == plain
    for names in found:
        assert names[0] == "Torch-Compiled Region: trained.<locals>.step"
        kernels = [n for n in names[1:] if n != "aten::item"]
        assert len(kernels) > 3 and not any(n.startswith("aten::") for n in kernels)
        assert any("[test_profiler.py:" in n for n in kernels)


def test_calls_that_were_not_captured_yet_show_their_ops():
    _, (first, second) = trained((0, 1))
    assert first == second and "aten::linear" in first


def test_gradients_of_compiled_calls_show_their_kernels():
    f = rl.compile(lambda x: (x * 2).exp().sum(1))
    x = rl.randn(4, 5, requires_grad=True)
    for _ in range(3):
        f(x).sum().backward()
    with profile() as prof:
        f(x).sum().backward()
    names = [e.name for e in prof.events()]
    assert sum([n.startswith("group ") for n in names]) >= 2, names
    region = next(e for e in prof.events() if e.name.startswith("Torch-Compiled"))
    assert [c.name for c in region.cpu_children] and region.cpu_time_total > 0


def test_large_updates_show_their_kernels():
    p = rl.nn.Parameter(rl.ones(400, 400))
    optimizer = rl.optim.Adam([p])
    for i in range(4):
        p.grad = rl.full((400, 400), i - 1.5)
        if i < 3:
            optimizer.step()
    with profile() as prof:
        optimizer.step()
    step, *kernels = [e.name for e in prof.events()]
    assert step == "Optimizer.step#Adam.step"
    assert kernels and all(n.startswith("group ") for n in kernels)


def test_the_older_profile():
    with rl.autograd.profiler.profile(record_shapes=True) as prof:
        rl.ones(3).exp()
    assert [a.key for a in prof.key_averages()] == ["aten::exp"]
    assert "aten::exp" in str(prof)
    with rl.autograd.profiler.profile(enabled=False) as prof:
        rl.ones(3).exp()
    assert not prof.function_events
