"""Programs that are kept on disk: what another process wrote is loaded, and is the same."""

import re

import numpy as np
import pytest

import rushlight as rl
from rushlight import dtypes
from rushlight.compiler import eager, pipeline
from rushlight.compiler.backends.llvm import jit, plan, recall
from rushlight.compiler.graph import Node
from rushlight.core.op import Op
from rushlight.ops.arithmetic import Add, Mul
from rushlight.ops.copy import Fill
from rushlight.ops.linalg import Det
from tests.compiler.graphs import Builder, outputs_of

nn = rl.nn


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """An empty cache. A call of it is a process that begins: nothing is loaded; whether programs
    may be lowered is its argument.
    """
    monkeypatch.setenv("RUSHLIGHT_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(pipeline, "checking", False)
    init = plan.Planner.__init__

    def fail(*_):
        raise AssertionError("a program was lowered")

    def begin(lowering=True):
        recall.forget()
        monkeypatch.setattr(eager, "_table", {})
        monkeypatch.setattr(eager, "_recent", {})
        monkeypatch.setattr(plan.Planner, "__init__", init if lowering else fail)

    begin.folder = tmp_path / "objects"
    begin()
    return begin


def path_of(graph):
    """Where a graph's program is kept; None for nowhere."""
    return recall.path_of(recall.name_of(graph, []))


def training():
    """A compiled step, and what three of them give: losses, and a parameter."""
    rl.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(),
        nn.Linear(144, 5),
    )  # fmt: skip
    optimizer = rl.optim.Adam(net.parameters(), lr=1e-2)
    x, y = rl.randn(4, 1, 8, 8), rl.tensor([0, 3, 4, 1])

    @rl.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    losses = []
    for lr in (0.01, 0.01, 0.01, 0.02):
        optimizer.param_groups[0]["lr"] = lr
        losses.append(step(x, y).item())
    assert step._compiled.eager is None
    return step, [*losses, *net[0].weight.detach().reshape(-1).tolist()]


def test_a_training_step_is_loaded_and_gives_the_same_bits(disk):
    """Draws, learning rates, state and running statistics among them."""
    _, first = training()
    disk(lowering=False)
    step, again = training()
    assert again == first
    with pytest.raises(AssertionError, match="lowered"):
        rl.compiler.explain(step)
    disk()  # lowering comes later, if someone asks
    assert "launches of" in rl.compiler.explain(step)


def test_checks_raise_as_before(disk):
    def pick(x, i):
        return rl.nn.functional.embedding(i, x)

    x, texts = rl.randn(5, 3), []
    for lowering in (True, False):
        disk(lowering)
        run = rl.compile(pick)
        for _ in range(3):
            run(x, rl.tensor([1, 4]))
        disk()
        with pytest.raises(IndexError) as error:
            run(x, rl.tensor([1, 5]))
        texts.append(str(error.value))
    assert texts[0] == texts[1]


def test_modules_that_are_differentiated_outside(disk):
    found = []
    for lowering in (True, False):
        disk(lowering)
        rl.manual_seed(0)
        net = rl.compile(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)))
        for _ in range(3):
            out = net(rl.ones(2, 3))
            out.sum().backward()
        found.append([out.tolist(), [p.grad.tolist() for p in net.parameters()]])
    assert found[0] == found[1]


def test_eager_kernels_are_loaded(disk):
    x, found = rl.randn(300, 40), []
    for lowering in (True, False):
        disk(lowering)
        found.append(x.softmax(1).tolist())
    assert found[0] == found[1]


def test_functions_of_several_kernels_are_compiled_once(disk, monkeypatch):
    """A convolution and its gradients turn and transform the same images, and those of other sizes
    do it alike; each program that is loaded brings what it calls.
    """
    texts, compiled = [], jit.compiled
    monkeypatch.setattr(jit, "compiled", lambda ir: texts.append(ir) or compiled(ir))

    def gradients(size, channels):
        rl.manual_seed(0)
        x = rl.randn(2, channels, size, size, requires_grad=True)
        w = rl.randn(channels, channels, 3, 3, requires_grad=True)
        texts.clear()
        y = nn.functional.conv2d(x, w, padding=1)
        return [y.detach(), *rl.autograd.grad(y, (x, w), y.detach())]

    first = gradients(32, 16)
    found = [name for ir in texts for name in re.findall(r"^define void @([a-z]+)", ir, re.M)]
    assert {"copy", "put", "transform", "inverse", "weights", "taps"} <= set(found)
    second = gradients(48, 48)
    found = {name for ir in texts for name in re.findall(r"^define \w* ?void @([a-z]+)", ir, re.M)}
    assert found == {"tile"}
    disk(lowering=False)
    for shape, expected in (((32, 16), first), ((48, 48), second)):
        assert all(a.equal(b) for a, b in zip(gradients(*shape), expected, strict=True))
        assert not texts


def files(disk):
    """The names of what is kept."""
    return {path.name for path in disk.folder.iterdir()}


def scaled(value, array=None):
    """A graph that multiplies by a number and adds a constant."""
    b = Builder()
    y = b.op(Mul, b.input(np.ones(5, np.float32)), value)
    array = np.ones(5, np.float32) if array is None else array
    return b.returns(b.op(Add, y, b.input(array, "constant")))


def test_what_a_program_depends_on_has_other_files(disk, monkeypatch):
    seen = set()
    others = np.array([1, 1, 1, 1, 2], np.float32)
    for value, array in ((2.0, None), (3.0, None), (0.0, None), (-0.0, None), (2.0, others)):
        b = scaled(value, array)
        pipeline.build(b.graph).run(b.arrays, outputs_of(b.graph))
        path = path_of(b.graph)
        assert path.exists() and path not in seen
        seen.add(path)
    b = scaled(2.0)
    for place, name, value in (
        (recall, "compiler", "another"),
        (jit, "vector_bits", 128),
        (dtypes, "get_default_dtype", rl.float64),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(place, name, lambda value=value: value)
            assert path_of(b.graph) not in seen
    assert path_of(b.graph) in seen
    monkeypatch.setattr(recall, "compiler", lambda: "")  # without sources, nothing is kept
    assert path_of(b.graph) is None


def test_broken_files_are_written_anew(disk):
    b = scaled(2.0)
    pipeline.build(b.graph)
    path = path_of(b.graph)
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    disk()
    found = outputs_of(b.graph)
    pipeline.build(b.graph).run(b.arrays, found)
    assert found[0].tolist() == [3.0] * 5
    assert len(path.read_bytes()) == len(whole)


class Foreign(Op):
    """An op that is not rushlight's."""

    def eager(self, xp, x):
        return x + 1


def test_what_is_not_kept(disk):
    """Ops of others, whose code may change, and programs that call ops."""
    b = Builder()
    x = b.input(np.ones(3, np.float32))
    out = b.graph.value((3,), np.float32)
    b.graph.nodes.append(Node(Foreign.instance, [x], {}, [out]))
    b.returns(out)
    assert path_of(b.graph) is None
    found = outputs_of(b.graph)
    pipeline.build(b.graph).run(b.arrays, found)
    assert found[0].tolist() == [2.0] * 3
    calls = Builder()
    calls.returns(calls.op(Det, calls.input(np.eye(3, dtype=np.float32))))
    program = pipeline.build(calls.graph)
    assert not program.native_only
    assert not path_of(calls.graph).exists()


def test_a_graph_that_was_just_built_is_not_lowered_again(disk, monkeypatch):
    """Neither where nothing is kept on disk; after many others, or with other numbers, it is."""
    monkeypatch.setenv("RUSHLIGHT_CACHE_DIR", "")
    for value in (2.0, 3.0):
        b = scaled(value)
        pipeline.build(b.graph)
    monkeypatch.setattr(plan.Planner, "__init__", None)
    for value in (2.0, 3.0):
        b = scaled(value)
        found = outputs_of(b.graph)
        pipeline.build(b.graph).run(b.arrays, found)
        assert found[0].tolist() == [value + 1] * 5
    with pytest.raises(TypeError):
        pipeline.build(scaled(4.0).graph)
    monkeypatch.setattr(recall, "MOST_RECENT", 2)
    recall.remember("another", *recall.recent[recall.name_of(b.graph, [])])
    with pytest.raises(TypeError):
        pipeline.build(scaled(2.0).graph)


def test_memory_that_is_filled_may_hold_anything(disk):
    texts = set()
    for content in (1, 2):
        b = Builder()
        x = b.input(np.full(3, content, np.float32), "constant")
        b.returns(b.op(Fill, x, value=7))
        texts.add(recall.described(b.graph, []))
    assert len(texts) == 1
    b.returns(x)
    assert recall.described(b.graph, []) not in texts
