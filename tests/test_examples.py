"""The examples run, say what they should, and draw what they promise; here in short, offline."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHORT = {
    "linear_regression_scratch": [],
    "linear_regression_nn": [],
    "polynomial": [],
    "k_fold": ["--epochs", "2"],
    "softmax_regression": ["--sample", "--epochs", "2"],
    "mlp": ["--sample", "--epochs", "2"],
    "lenet": ["--sample", "--epochs", "1"],
}


def run(name, *arguments):
    """Run an example as a learner would, warnings being errors; return what it printed."""
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / f"{name}.py"), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert not finished.stderr
    return finished.stdout


def test_every_example_is_listed():
    scripts = {path.stem for path in ROOT.glob("examples/*.py")}
    assert scripts == {*SHORT, "common", "demo"}


@pytest.mark.parametrize("name", SHORT)
def test_example(name):
    assert run(name, *SHORT[name]).strip()


def test_linear_regression_finds_the_weights():
    rows = run("linear_regression_nn").splitlines()[-3:]
    for row in rows:
        true, trained, analytic = map(float, row.split()[1:])
        assert trained == pytest.approx(true, abs=0.01)
        assert analytic == pytest.approx(true, abs=0.01)


def test_demo(tmp_path):
    printed = run("demo", "--epochs", "2", "--out", str(tmp_path))
    assert "as before saving" in printed and "NOT" not in printed
    assert "will take about" in printed.splitlines()[0]
    for name in ("learning_curves.png", "predictions.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "model.pt").stat().st_size > 100_000
    assert "\r" not in printed  # plain where there is no terminal
