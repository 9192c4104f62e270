"""What ``explain`` says."""

import re

import pytest

import rushlight as rl
from rushlight import nn

pytest.importorskip("llvmlite")


def test_a_training_step():
    model = nn.Linear(4, 3)
    optimizer = rl.optim.SGD(model.parameters(), lr=0.1)

    @rl.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    assert "not captured yet" in rl.compiler.explain(step)
    text = rl.compiler.explain(step, rl.randn(5, 4), rl.tensor([0, 1, 2, 0, 1]))
    assert text.startswith("capture 1: first call of its signature")
    assert "float32(5, 4)" in text
    assert re.search(r"test_explain.py:\d+\]", text)
    listed = len(re.findall(r"^ +[\d.]+ +\d+  \w", text, re.M))
    program = next(iter(step._compiled.variants.values()))[0].program
    assert listed == len(program.launches)
    before = model.weight.tolist()
    rl.compiler.explain(step)  # runs on copies
    assert model.weight.tolist() == before
    for _ in range(2):  # calls then go on with the model, not with the copies
        step(rl.randn(5, 4), rl.tensor([0, 1, 2, 0, 1]))
        assert model.weight.tolist() != before
        before = model.weight.tolist()


def test_memory_is_what_is_allocated():
    run = rl.compile(lambda x: (x.exp() @ x).softmax(1).sum(0), fullgraph=True)
    text = rl.compiler.explain(run, rl.randn(64, 64))
    program = next(iter(run._compiled.variants.values()))[0].program
    found = dict(re.findall(r"^ *([\d,]+)  (.+)$", text.split("memory in bytes")[1], re.M)[::-1])
    sizes = {name: int(size.replace(",", "")) for size, name in found.items()}
    assert sizes["values"] == program.arena.nbytes
    assert sizes["results, twice"] == 2 * 64 * 4
    assert sizes["in all"] == sum(n for name, n in sizes.items() if name != "in all")


def test_modules_errors_and_eager_functions():
    model = rl.compile(nn.Linear(2, 2))
    text = rl.compiler.explain(model, rl.ones(3, 2))
    assert "program of the gradients" in text
    with pytest.raises(TypeError, match="compile"):
        rl.compiler.explain(len)
    reads = rl.compile(lambda x: x * len(f"{x.sum()}"))
    with pytest.warns(UserWarning, match="runs eagerly"):
        assert "runs eagerly, because" in rl.compiler.explain(reads, rl.ones(2))
