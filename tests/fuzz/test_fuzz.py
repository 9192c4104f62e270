"""A bounded sample of random programs; `python -m tests.fuzz.run` takes more."""

import pytest
import torch

import rushlight
from tests.fuzz.compare import difference
from tests.fuzz.generate import generate
from tests.fuzz.run import Report, shortest

pytestmark = pytest.mark.fuzz
PER_TEST, TESTS = 25, 12


@pytest.mark.parametrize("start", range(0, PER_TEST * TESTS, PER_TEST))
def test_programs_agree_with_torch(start):
    report = Report()
    for seed in range(start, start + PER_TEST):
        mismatch = report.add(seed, rushlight, 28)
        if mismatch is not None and not mismatch.reason:
            program = shortest(seed, rushlight, 28, mismatch.kind)
            pytest.fail(f"seed {seed}: {mismatch}\n{program}", pytrace=False)


def test_accepted_differences_are_rare():
    """An excuse that covers much would hide mistakes."""
    report = Report()
    for seed in range(10_000, 10_100):
        report.add(seed, rushlight, 28)
    assert not report.missing
    excused = sum(map(len, report.accepted.values()))
    assert excused <= 8, str(report)


class _Wrong:
    """torch with one mistake: what the comparison must notice."""

    def __init__(self, **changes):
        self.changes = changes

    def __getattr__(self, name):
        return self.changes.get(name) or getattr(torch, name)


@pytest.mark.parametrize(
    "mistake",
    [
        {"sin": lambda x, **k: torch.sin(x, **k) + 1e-3},
        {"cat": lambda tensors, dim=0: torch.cat(tensors, dim).contiguous().double()},
        {"add": lambda x, y, alpha=1, **k: torch.add(x, y, **k)},
        {"where": lambda c, x, y: torch.where(c, x.detach(), y)},
        {"maximum": lambda x, y: torch.maximum(x.flatten(), y)},
    ],
    ids=["value", "dtype", "argument", "gradient", "error"],
)
def test_the_comparison_notices_mistakes(mistake):
    wrong = _Wrong(**mistake)
    seeds = (s for s in range(400) if _differs(generate(s), wrong))
    assert next(seeds, None) is not None


def _differs(m, lib):
    found = difference(m.steps, torch, lib, (m.seen, m.watch))
    return found is not None and not found.reason
