"""Programs on several threads: the same bits, none left running, none lost by a fork."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import rushlight as rl
from rushlight.compiler import pipeline
from rushlight.core import threads as core_threads
from rushlight.ops import arithmetic, math, reduce
from tests.compiler.graphs import Builder, outputs_of

pytest.importorskip("llvmlite")

SHAPES = [(3, 170_001), (257, 1000), (1, 1_310_720), (40, 160, 65)]


def program(shape):
    """Elementwise and row-wise kernels that are large enough for several threads."""
    b = Builder()
    x = b.input(np.random.default_rng(0).standard_normal(shape).astype(np.float32))
    y = b.op(math.Exp, b.op(arithmetic.Mul, x, 0.5))
    rows = b.op(reduce.Sum, y, dim=(len(shape) - 1,), keepdim=True)
    b.returns(y, b.op(arithmetic.Div, y, rows), b.op(reduce.Sum, y, dim=(0,), keepdim=False))
    return b, pipeline.build(b.graph, "llvm")


def result(b, native):
    found = outputs_of(b.graph)
    native.run(b.arrays, found)
    return [a.tobytes() for a in found]


@pytest.mark.parametrize("shape", SHAPES)
def test_results_do_not_depend_on_threads(shape, threads):
    b, native = program(shape)
    threads(1)
    alone = result(b, native)
    for count in (2, 3):
        threads(count)
        for _ in range(20):
            assert result(b, native) == alone
    assert native.parallel


def test_two_programs_at_once(threads):
    """One has the workers, the other runs alone."""
    threads(2)
    (b, first), (c, second) = program((257, 1000)), program((3, 70_001))
    want, other = result(b, first), result(c, second)
    wrong = []

    def run(which, native, expected):
        for _ in range(20):
            if result(which, native) != expected:
                wrong.append(which)

    pair = [threading.Thread(target=run, args=a) for a in ((b, first, want), (c, second, other))]
    for t in pair:
        t.start()
    for t in pair:
        t.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_child_makes_workers_of_its_own(threads):
    threads(2)
    b, native = program((257, 1000))
    want = result(b, native)
    child = os.fork()
    if child == 0:
        os._exit(0 if result(b, native) == want else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_workers_are_ended_when_fewer_are_asked_for(threads):
    def alive():
        return sum(t.name == "rushlight-worker" for t in threading.enumerate())

    b, native = program((257, 1000))
    threads(3)
    result(b, native)
    assert alive() == 2
    threads(2)
    result(b, native)
    assert alive() == 1


def test_idle_workers_sleep(threads):
    from rushlight.compiler.backends.llvm import workers

    threads(2)
    b, native = program((257, 1000))
    result(b, native)
    (worker,) = workers.pool().workers
    deadline = time.monotonic() + 20
    while not worker.asleep and time.monotonic() < deadline:
        time.sleep(0.01)
    assert worker.asleep
    used = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - used < 0.15


def short():
    """A call of a program of some 20 microseconds, and a count of launches that were shared."""
    from rushlight.compiler.backends.llvm import runtime, workers

    rl.manual_seed(0)
    x, w = rl.randn(1, 1024), rl.randn(600, 1024)
    run = rl.compile(lambda x: x @ w.t(), fullgraph=True)
    for _ in range(3):
        run(x)
    return lambda: run(x), lambda: int(workers.WORDS[runtime.CLAIM]) >> 32


def until(holds, call):
    """Call until something holds."""
    deadline = time.monotonic() + 60
    while not holds() and time.monotonic() < deadline:
        for _ in range(500):
            found = call()
    assert holds()
    return found


def test_short_programs_use_workers_that_wait(threads):
    """Called again and again they have the workers woken; the results have the same bits."""
    threads(1)
    call, shared = short()
    alone, start = call().clone(), shared()
    for _ in range(1000):
        call()
    assert shared() == start
    threads(2)
    assert rl.equal(until(lambda: shared() > start + 10, call), alone)
    threads(1)
    end = shared()
    for _ in range(100):
        assert rl.equal(call(), alone)
    assert shared() == end


def test_rare_calls_of_short_programs_wake_nobody(threads):
    threads(2)
    call, shared = short()
    start = shared()
    for _ in range(450):
        call()
        time.sleep(1e-4)
    assert shared() == start


def test_short_programs_beside_a_long_one(threads):
    threads(2)
    b, native = program((257, 1000))
    want, wrong = result(b, native), []
    call, _ = short()
    alone, done = call().clone(), threading.Event()

    def run():
        while not done.is_set():
            if result(b, native) != want:
                wrong.append(1)

    beside = threading.Thread(target=run)
    beside.start()
    same = [rl.equal(call(), alone) for _ in range(3000)]
    done.set()
    beside.join()
    assert all(same) and not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_short_programs_of_a_forked_child(threads):
    threads(2)
    call, shared = short()
    start, want = shared(), call().clone()
    until(lambda: shared() > start, call)
    child = os.fork()
    if child == 0:
        os._exit(0 if all([rl.equal(call(), want) for _ in range(2000)]) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_process_with_workers_ends_by_itself():
    code = (
        "import rushlight as rl; rl.set_num_threads(2)\n"
        "f = rl.compile(lambda x: (x.exp(), x.sin()))\n"
        "x = rl.ones(300, 1000)\n[f(x) for _ in range(4)]\nprint('done')"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (out.returncode, out.stdout.strip(), out.stderr) == (0, "done", "")


@pytest.mark.parametrize("cell", ["GRU", "LSTM", "RNN"])
def test_recurrent_units_together_and_apart(cell, threads):
    """One thread does two units of sequences at once, several threads one each: bits are equal."""
    rl.manual_seed(0)
    layer, x = getattr(rl.nn, cell)(24, 64), rl.randn(20, 56, 24)

    def step(x):
        y, _ = layer(x)
        return y, *rl.autograd.grad(y.square().sum(), list(layer.parameters()))

    run = rl.compile(step, fullgraph=True)
    threads(1)
    for _ in range(3):
        alone = [t.detach().clone() for t in run(x)]
    threads(3)
    for _ in range(3):
        assert all(rl.equal(a, b) for a, b in zip(alone, run(x), strict=True))


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_blas_leaves_the_processors_to_the_workers(threads):
    """Its threads wait without sleeping; decompositions of large matrices have them all."""
    threads(2)
    result(*program((257, 1000)))
    assert blas_threads() == {1}
    threads(3)
    assert blas_threads() == {1}
    for rows, expected in ((core_threads.LARGE, {3}), (10, {1})):
        with core_threads.all_threads(rows):
            assert blas_threads() == expected
        assert blas_threads() == {1}
    a = np.eye(300) * 2
    np.testing.assert_array_equal(core_threads.decompositions.inv(a), np.eye(300) / 2)
    core_threads.scipy_linalg()  # with a BLAS of its own
    assert blas_threads() == {1}
