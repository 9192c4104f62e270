"""Programs written for PyTorch print the same with rushlight; see `runner`."""

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
PROGRAMS = sorted((FOLDER / "scripts").glob("*.py"))


def load_runner():
    spec = importlib.util.spec_from_file_location("program_runner", FOLDER / "runner.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


runner = load_runner()


@pytest.fixture(scope="module")
def printed():
    return {name: runner.outputs(name, PROGRAMS) for name in ("torch", "rushlight")}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_prints_what_torch_prints(program, printed):
    expected, got = printed["torch"][program], printed["rushlight"][program]
    assert expected and "UNCAUGHT" not in expected
    report = runner.differences(expected, got)
    assert not report, "\n".join(report[:20])


def test_the_comparison_sees_differences():
    assert runner.same("loss 0.12345", "loss 0.12346") and runner.same("[1.  2.]", "[1. 2.]")
    assert not runner.same("loss 0.123", "loss 0.125")
    assert not runner.same("loss 3", "loss 4") and not runner.same("a 1", "b 1")
    assert runner.differences("a\nb", "a\nc") == ["- b", "+ c"]
