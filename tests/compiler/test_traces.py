"""A call is traced without keeping what it drops; later arrays are not taken for dropped ones."""

import collections
import ctypes
import os
import platform
import subprocess
import sys
import weakref

import numpy as np
import pytest

import rushlight as rl
from rushlight.compiler import memory

CALLS = 4  # the second is traced


def calls(function, *args):
    """What some calls of a compiled function return."""
    run = rl.compile(function, fullgraph=True)
    return [run(*args) for _ in range(CALLS)]


def test_a_trace_drops_what_the_call_drops():
    noted, alive = ctypes.c_int(), ctypes.c_int()  # which captures do not look into

    def f(x):
        made = x * 2
        view = made[1:]
        arrays = [weakref.ref(t._array) for t in (made, view)]
        out = view + 1
        del made, view
        noted.value += 1
        alive.value += sum([a() is not None for a in arrays])
        return out

    calls(f, rl.ones(3))
    assert (noted.value, alive.value) == (2, 0)  # the first call and the trace


def test_a_trace_drops_gradients_as_the_call_does():
    w = rl.ones(3, requires_grad=True)
    optimizer = rl.optim.SGD([w], lr=0.1)
    noted, alive = ctypes.c_int(), ctypes.c_int()

    def step(x):
        before = None if w.grad is None else weakref.ref(w.grad._array)
        optimizer.zero_grad()
        noted.value += 1
        alive.value += before is not None and before() is not None
        (w * x).sum().backward()
        optimizer.step()

    run = rl.compile(step, fullgraph=True)
    for _ in range(CALLS):
        run(rl.ones(3))
    assert (noted.value, alive.value) == (2, 0)


def test_views_that_come_and_go_are_told_apart():
    def f(x):
        y = x + 0
        total = y[0] * 0
        for k in range(20):
            total = total + y[k] * k  # each view may lie where the one before was
            y[k] = total
        return total, y

    x = rl.arange(20.0)
    expected = f(x)
    for total, y in calls(f, x):
        assert total.tolist() == expected[0].tolist()
        assert y.tolist() == expected[1].tolist()


def test_a_view_sees_writes_between_its_uses():
    def f(x):
        y = x * 1
        view = y[:2]
        a = view * 2
        y += 1
        b = view * 2
        view.mul_(3)
        return a, b, view * 1, y

    x = rl.arange(4.0)
    expected = [t.tolist() for t in f(x)]
    for found in calls(f, x):
        assert [t.tolist() for t in found] == expected


def test_results_that_are_views_of_what_was_made_are_no_leftovers():
    def f(x):
        return (x * 2)[1:].reshape(-1)

    for found in calls(f, rl.arange(3.0)):
        assert found.tolist() == [2, 4]


@pytest.mark.parametrize("held", [False, True])
def test_the_first_run_writes_over_gradients_that_nobody_holds(held):
    w = rl.ones(3, requires_grad=True)
    optimizer = rl.optim.SGD([w], lr=0.0)

    def step(x):
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()

    run = rl.compile(step, fullgraph=True)
    run(rl.ones(3))
    run(rl.ones(3))
    before = memory.address(w.grad._array)
    kept = w.grad.numpy() if held else None
    run(rl.full((3,), 2.0))
    assert (memory.address(w.grad._array) == before) is not held
    assert w.grad.tolist() == [2, 2, 2]
    assert not held or kept.tolist() == [1, 1, 1]


class Link:
    """Part of a cycle that holds a tensor."""


def test_what_only_a_cycle_holds_does_not_outlive_the_call():
    def f(x):
        link = Link()
        link.itself, link.tensor = link, x * 2
        return link.tensor + 1

    for found in calls(f, rl.ones(2)):
        assert found.tolist() == [3, 3]


@pytest.mark.parametrize("what", ["tensor", "view", "gradient"])
def test_what_is_kept_outside_is_noticed(what):
    kept = {}
    w = rl.ones(3, requires_grad=True)

    def f(x):
        y = x * w
        if what == "gradient":
            kept["it"] = rl.autograd.grad(y.sum(), w)[0]
        else:
            kept["it"] = y if what == "tensor" else y.detach()[1:]
        return y.detach().sum()

    run = rl.compile(f)
    for k in range(6):
        run(rl.full((3,), float(k)))
        assert kept["it"].tolist()[0] == k
    assert run._compiled.variants


def test_what_is_kept_in_a_queue_is_noticed():
    kept = collections.deque(maxlen=1)

    def f(x):
        kept.appendleft(x * 2)
        return x + 1

    run = rl.compile(f)
    for k in range(30):
        run(rl.full((3,), float(k)))
        assert kept[0].tolist()[0] == 2 * k
    assert run._compiled.variants


def test_memory_given_back_serves_again():
    x, w = rl.randn(8, 16, 16, 16), rl.randn(16, 16, 3, 3)
    expected = rl.nn.functional.conv2d(x, w, padding=1)
    memory.trim()
    assert rl.equal(rl.nn.functional.conv2d(x, w, padding=1), expected)


def test_pages_around_a_block_are_left_alone():
    whole = np.ones(5 * 4096 + 100, np.uint8)
    memory.drop_pages(whole[50:-50])
    assert whole[:50].all() and whole[-50:].all()
    memory.drop_pages(whole[:7])
    assert whole[:7].all()


KEPT = """
import resource
import numpy as np
import rushlight

def step():
    arrays = [np.empty(1 << 18, np.float32) for _ in range(24)]  # of 1 MB, which are all freed
    for a in arrays:
        a[:] = 1

for _ in range(2):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(**environment):
    """Of steps that allocate and free the same memory."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", KEPT]
    run = subprocess.run(
        command, env={**kept, **environment}, capture_output=True, text=True, check=True
    )
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of the GNU C library")
def test_freed_memory_is_kept_for_the_next_step():
    assert page_faults() < 100
    assert page_faults(MALLOC_MMAP_THRESHOLD_="65536") > 1000  # the user's own setting


READERS = {
    "tensor": lambda x: rl.tensor(x) * 2,
    "tensor of another dtype": lambda x: rl.tensor(x, dtype=rl.float64) * 2,
    "new_tensor": lambda x: x.new_tensor(x) * 2,
    "a sequence of tensors": lambda x: rl.tensor([x[0], 1.0]) * 2,
    "asarray": lambda x: rl.asarray(x, copy=True) * 2,
    "equal": lambda x: x * rl.equal(x, rl.tensor([1.0, 2.0])),
    "allclose": lambda x: x * rl.allclose(x, rl.tensor([1.0, 2.0])),
    "in": lambda x: x * (1.0 in x),
    "repeats": lambda x: rl.repeat_interleave(x, x.long()),
    "repeats alone": lambda x: rl.repeat_interleave(x.long()),
    "bernoulli": lambda x: rl.bernoulli(x, x[0] - 1),
}


@pytest.mark.filterwarnings("ignore:compile", "ignore:To copy construct")
@pytest.mark.parametrize("name", READERS)
def test_what_a_value_decides_is_decided_anew_in_each_call(name):
    function = READERS[name]
    run = rl.compile(function)
    for values in [1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [2.0, 1.0]:
        expected, got = function(rl.tensor(values)), run(rl.tensor(values))
        assert got.dtype is expected.dtype
        assert got.tolist() == expected.tolist()


def test_a_tensor_copied_to_itself_is_not_written():
    """An expanded one, too, which nothing else may be copied to."""

    def step(x, y):
        x.expand(3, 5).copy_(x.expand(3, 5))
        y.copy_(y)
        return x * 2 + y

    run, x, y = rl.compile(step, fullgraph=True), rl.randn(5), rl.randn(5)
    for _ in range(3):
        assert run(x, y).equal(x * 2 + y)


def test_writes_to_elements_that_share_their_memory_are_not_captured():
    def step(x):
        y = (x * 2).expand(3, 3)
        y.diagonal().zero_()
        return y * 1

    run, x = rl.compile(step), rl.ones(1)
    with pytest.warns(UserWarning, match="elements share their memory"):
        for _ in range(3):
            assert run(x).equal(step(x))
