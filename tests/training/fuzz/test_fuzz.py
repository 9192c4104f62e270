"""A bounded sample of random networks; `python -m tests.training.fuzz.run` takes more."""

import pytest

import rushlight
from tests.training.fuzz.compare import compared
from tests.training.fuzz.generate import generate
from tests.training.fuzz.observe import observe
from tests.training.fuzz.run import Report, shortest

pytestmark = pytest.mark.fuzz


@pytest.mark.parametrize("seed", range(6))
def test_networks_train_as_on_torch(seed):
    for mismatch in Report().add(seed):
        program = shortest(seed, mismatch.kind)
        pytest.fail(f"seed {seed}: {mismatch}\n{program}", pytrace=False)


def test_torch_runs_what_is_generated():
    """Programs that end with an error compare little."""
    assert not any(observe(generate(seed)).error for seed in range(100, 110))


F, linear = rushlight.nn.functional, rushlight.nn.functional.linear
MISTAKES = {
    "values": (F, "linear", lambda x, *rest: linear(x, *rest) * (1 + 1e-6)),
    "draws": (F, "dropout", lambda x, *rest: x),
    "gradients": (rushlight.nn.utils, "clip_grad_norm_", lambda parameters, most: None),
    "errors": (F, "linear", lambda x, *rest: rushlight.ones(2) + rushlight.ones(3)),
    "history": (F, "linear", lambda x, *rest: linear(x, *rest).float().to(x.dtype).detach()),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_the_comparison_notices_mistakes(name, monkeypatch):
    monkeypatch.setattr(*MISTAKES[name])
    seeds = (s for s in range(60) if noticed(generate(s)))
    assert next(seeds, None) is not None


def noticed(text):
    found, _ = compared(text, "eager", observe(text))
    return found is not None and not found.reason
