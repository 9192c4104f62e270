"""Operations are counted as torch counts them, in the modules that make them."""

import pytest
import torch
import torch.utils.flop_counter
import torch.utils.module_tracker

import rushlight
import rushlight.utils.flop_counter
import rushlight.utils.module_tracker

LIBRARIES = [rushlight, torch]


def counted(lib, program):
    with lib.utils.flop_counter.FlopCounterMode(display=False) as counter:
        program()
    counts = counter.get_flop_counts()
    named = {m: {str(op): n for op, n in c.items()} for m, c in counts.items() if c}
    return counter.get_total_flops(), named


def both(make):
    return [counted(lib, make(lib)) for lib in LIBRARIES]


PRODUCTS = """
    t.ones(2, 3) @ t.ones(3, 4)
    t.ones(5, 2, 3) @ t.ones(5, 3, 4)
    t.ones(5, 2, 3) @ t.ones(3, 4)
    t.ones(2, 3) @ t.ones(3)
    t.einsum("bij,bjk->bik", t.ones(5, 2, 3), t.ones(5, 3, 4))
    F.linear(t.ones(2, 3, 4), t.ones(5, 4), t.ones(5))
    F.linear(t.ones(3, 4), t.ones(5, 4))
    F.conv2d(t.ones(1, 2, 5, 5), t.ones(3, 2, 3, 3), padding=1, stride=2)
    F.conv1d(t.ones(1, 2, 5), t.ones(4, 1, 3), groups=2)
    F.conv_transpose2d(t.ones(1, 2, 4, 4), t.ones(2, 3, 2, 2))
    t.nn.MultiheadAttention(4, 2)(t.ones(3, 1, 4), t.ones(3, 1, 4), t.ones(3, 1, 4))
"""


@pytest.mark.parametrize("text", [line.strip() for line in PRODUCTS.strip().splitlines()])
def test_functions(text):
    ours, theirs = both(lambda lib: lambda: eval(text, {"t": lib, "F": lib.nn.functional}))
    assert ours == theirs


@pytest.mark.parametrize("needs", [False, True])
@pytest.mark.parametrize("backward", [False, True])
def test_modules(needs, backward):
    def make(lib):
        nn = lib.nn
        net = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.ReLU(),
            nn.Sequential(nn.Flatten(), nn.Linear(4 * 9, 5)),
            nn.Linear(5, 2),
        )
        x = lib.ones(2, 2, 3, 3, requires_grad=needs)

        def run():
            y = net(x).sum()
            if backward:
                y.backward()

        return run

    ours, theirs = both(make)
    assert ours == theirs


def test_attention_and_its_gradient_are_counted():
    F, q = rushlight.nn.functional, rushlight.ones(2, 3, 5, 4, requires_grad=True)
    total, counts = counted(
        rushlight, lambda: F.scaled_dot_product_attention(q, q, q).sum().backward()
    )
    pairs = 2 * 2 * 3 * 5 * 5 * 4
    assert total == pairs * 2 + pairs * 5
    assert set(counts["Global"]) == {
        "aten._scaled_dot_product_flash_attention",
        "aten._scaled_dot_product_flash_attention_backward",
    }


def test_the_table(capsys):
    net = rushlight.nn.Sequential(rushlight.nn.Linear(40, 80))
    with rushlight.utils.flop_counter.FlopCounterMode(depth=1) as counter:
        net(rushlight.ones(30, 40))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["Module", "FLOP", "%", "Total"]
    assert lines[2].split() == ["Global", "192.000K", "100.00%"]
    assert not any("Sequential.0" in line for line in lines)
    assert "Sequential.0" in counter.get_table(2)
    assert counter.get_flop_counts()["Global"][rushlight.ops.aten.addmm] == 192000
    with pytest.raises(NotImplementedError):
        rushlight.utils.flop_counter.FlopCounterMode(custom_mapping={1: 2})
    with pytest.raises(NotImplementedError):
        rushlight.utils.flop_counter.register_flop_formula(rushlight.ops.aten.exp)


def test_in_which_modules_a_program_is():
    def run(lib):
        log = []
        net = lib.nn.Sequential(lib.nn.Linear(2, 2), lib.nn.Sequential(lib.nn.ReLU()))
        x = lib.ones(1, 2, requires_grad=True)
        tracker = lib.utils.module_tracker.ModuleTracker()

        def note(*args):
            log.append((sorted(tracker.parents), tracker.is_bw))

        for module in net.modules():
            module.register_forward_hook(note)
        with tracker:
            for _ in range(2):
                y = net(x)
                y.register_hook(note)
                y.sum().backward()
        note()
        return log

    ours, theirs = map(run, LIBRARIES)
    assert ours == theirs


def test_whole_training_steps_are_counted():
    def make(lib):
        model = lib.nn.Linear(3, 4)
        optimizer = lib.optim.SGD(model.parameters(), 0.1)

        def program():
            with lib.autograd.profiler.record_function("step"):
                model(lib.ones(2, 3)).sum().backward()
            optimizer.step()

        return program

    ours, theirs = both(make)
    assert ours == theirs


def test_compiled_calls_within_it():
    f = rushlight.compile(lambda x: x @ x)
    x = rushlight.ones(2, 2)
    for _ in range(3):
        f(x)
    counted(rushlight, lambda: f(x))
