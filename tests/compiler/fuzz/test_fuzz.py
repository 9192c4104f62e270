"""A bounded sample of random training steps; `python -m tests.compiler.fuzz.run` takes more."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pytest

import rushlight as rl
from rushlight.compiler.backends.llvm import canonical
from rushlight.compiler.backends.llvm.ir import math
from rushlight.ops import arithmetic
from tests.compiler.fuzz.compare import check, difference, observed_exactly
from tests.compiler.fuzz.exact import OVERFLOWED, ROUNDED
from tests.compiler.fuzz.growth import generate
from tests.compiler.fuzz.observe import observe
from tests.compiler.fuzz.program import Call, Input, Line, Program
from tests.compiler.fuzz.run import Report, Worker, shortest
from tests.compiler.fuzz.worker import checked

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
pytestmark = pytest.mark.fuzz
PER_TEST, TESTS = 20, 8


@pytest.mark.parametrize("start", range(0, PER_TEST * TESTS, PER_TEST))
def test_compiled_programs_agree_with_eager_ones(start):
    captured = 0
    for seed in range(start, start + PER_TEST):
        program = generate(seed)
        outcome = checked(program)
        captured += outcome.captured
        found = outcome.mismatch
        if found is not None and not found.reason:
            small = shortest(program, found.kind)
            pytest.fail(f"seed {seed}: {found}\n{small.source()}", pytrace=False)
    assert captured > PER_TEST / 2  # else little was compared


def test_compiled_programs_of_large_tensors_agree_with_eager_ones():
    for seed in range(12):
        found = checked(generate(seed, large=True)).mismatch
        assert found is None or found.reason, f"seed {seed}: {found}"


def test_excuses_are_rare():
    """An excuse that covers much would hide mistakes."""
    outcomes = [checked(generate(seed)).mismatch for seed in range(10_000, 10_030)]
    assert sum(m is not None for m in outcomes) <= 1, [str(m) for m in outcomes if m]


def test_programs_do_what_training_steps_do():
    """The sample is of use: most differentiate, many update, some write, all say how often."""
    texts = [generate(seed).source() for seed in range(200)]
    for word, least in {"backward": 100, ".step()": 60, "_(": 40, "nn.": 80, "no_grad": 8}.items():
        assert sum(word in text for text in texts) >= least, word


STEP = Program(
    1,
    setup=(
        Line("p0 = torch.ones(3, requires_grad=True)", ("p0",)),
        Line("o0 = torch.optim.SGD([p0], lr=0.1, momentum=0.9)", ("o0",)),
    ),
    inputs=(Input("x0", (3,), "float32"), Input("x1", (2, 3), "float32")),
    body=(
        Line("v0 = torch.tanh(x0 * p0)", ("v0",)),
        Line("v1 = x1 + 1", ("v1",)),
        Line("l0 = (v0 ** 2).sum()", ("l0",)),
        Line("o0.zero_grad()"),
        Line("l0.backward()"),
        Line("o0.step()"),
    ),
    returns=("v0", "v1", "l0"),
)


def test_a_right_program_agrees():
    outcome = check(STEP)
    assert outcome.mismatch is None and outcome.eager is None and outcome.captured == 1


def test_wrong_native_code_is_noticed(monkeypatch):
    monkeypatch.setitem(math.FLOAT_OPS, "add", "fsub")
    monkeypatch.setattr(canonical, "_written", {})  # kernels that were written without the defect
    monkeypatch.setenv("RUSHLIGHT_CACHE_DIR", "")
    found = check(STEP).mismatch
    assert found is not None and found.kind == "value" and not found.reason


def test_wrong_formulas_are_noticed(monkeypatch):
    monkeypatch.setattr(arithmetic.Mul, "scalar", lambda self, s, input, other: input + other)
    found = check(STEP).mismatch
    assert found is not None and found.kind == "value"


ZERO = Program(
    1,
    setup=(Line("p0 = torch.randn(1, 8, requires_grad=True)", ("p0",)),),
    body=(
        Line("v0 = F.rms_norm(p0.bfloat16(), (8,))", ("v0",)),
        Line("l0 = (v0.float() ** 2).sum()", ("l0",)),
        Line("l0.backward()"),
    ),
)


@pytest.mark.parametrize("gap, reason", [(0.015, ROUNDED), (0.5, None)])
def test_rounding_explains_little_gradients_where_there_should_be_none(gap, reason):
    """The norm of a normalised vector does not depend on the vector; bfloat16 makes it seem so."""
    expected, got = observe(ZERO), observe(ZERO, rl.compile)
    got.calls[2]["p0.grad"] = expected.calls[2]["p0.grad"] + gap
    found = difference(ZERO, expected, got, 8e-2)
    assert found is not None and found.reason == reason


SUMS = Program(
    1,
    setup=(Line("b0 = torch.tensor([[1.39, -1.11, -0.28], [0.5, 0.25, -0.75]])", ("b0",)),),
    body=(Line("v0 = b0.sum(1) != 0", ("v0",)),),
    returns=("v0",),
)


@pytest.mark.parametrize("at, reason", [(0, ROUNDED), (1, None)])
def test_rounding_explains_truths_that_the_order_of_a_sum_decides(at, reason):
    """In float32 the first row adds up to 0 or nearly so, as it is taken; the second to 0."""
    expected, got = observe(SUMS), observe(SUMS)
    values = expected.calls[2]["result 0"]
    got.calls[2]["result 0"] = np.where(np.arange(2) == at, ~values, values)
    found = difference(SUMS, expected, got, 2e-4)
    assert found is not None and found.reason == reason


@pytest.mark.parametrize("text, reason", [("b0 * 1e20", OVERFLOWED), ("b0 / 0", None)])
def test_infinity_may_become_nan_only_where_numbers_are_too_large(text, reason):
    made = Line(f"v0 = ({text}).square().sum()", ("v0",))
    program = replace(SUMS, body=(made,))
    expected, got = observe(program), observe(program, rl.compile)
    assert np.isinf(expected.calls[2]["result 0"])
    got.calls[2]["result 0"] = np.float32(np.nan)
    found = difference(program, expected, got, 2e-4)
    assert found is not None and found.reason == reason


def test_noise_leaves_what_is_chosen_as_it_is():
    """Else a maximum would equal no element, and its gradient would be nowhere."""
    program = replace(
        STEP,
        body=(
            Line("v0 = (x1 * p0).exp()", ("v0",)),
            Line("l0 = v0.max(1).values.sum()", ("l0",)),
            *STEP.body[3:],
        ),
        returns=("l0",),
    )
    exact, noisy = [observed_exactly(program, noise)[0] for noise in (0.0, 1.0)]
    for a, b in zip(exact.calls[1:], noisy.calls[1:], strict=True):
        np.testing.assert_allclose(a["p0.grad"], b["p0.grad"], 1e-5)
        assert (a["p0.grad"] != b["p0.grad"]).any()


def test_stale_state_is_noticed():
    """A compiled function that forgets an update."""
    expected = observe(STEP)

    def forgetful(step):
        run = rl.compile(step)

        def wrapped(*arguments):
            p = step.__globals__["p0"]
            before = p.detach().clone()
            out = run(*arguments)
            p.data.copy_(before)
            return out

        return wrapped

    found = difference(STEP, expected, observe(STEP, forgetful), 1e-4)
    assert found is not None and "p0" in found.detail


def test_programs_shrink_to_what_matters(monkeypatch):
    monkeypatch.setattr(arithmetic.Mul, "scalar", lambda self, s, input, other: input + other)
    long = replace(STEP, calls=(Call(),) * 5)
    small = shortest(long, "value")
    assert len(small.body) < 4 and len(small.calls) == 2
    assert "x1 + 1" not in small.source()


def test_a_worker_answers_and_its_death_is_an_answer():
    worker = Worker()
    assert worker.ask(3)["seed"] == 3
    os.kill(worker.process.pid, 9)
    os.waitid(os.P_PID, worker.process.pid, os.WEXITED | os.WNOWAIT)
    answer = worker.ask(4)
    assert answer["mismatch"]["kind"] == "died"
    report = Report()
    report.add(json.loads(json.dumps(answer)))
    assert "DIFFER: died, seeds [4]" in str(report)
    assert worker.ask(5)["seed"] == 5  # by another process
    worker.stop()


def test_arguments_may_lie_column_by_column():
    a = Input("x0", (3, 2), "float32", turned=True).values(np.random.default_rng(0), None)
    assert a.flags.f_contiguous and not a.flags.c_contiguous
