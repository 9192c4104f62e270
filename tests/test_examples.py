"""The examples run, say what they should, and draw what they promise; here in short, offline."""

import os
import subprocess
import sys
import time
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
    "vanishing_gradients": ["--depth", "8"],
    "char_rnn": ["--steps", "5", "--batch-size", "4"],
}


def command(name, *arguments):
    """Return the command that runs an example, warnings being errors."""
    return [sys.executable, "-W", "error", str(ROOT / "examples" / f"{name}.py"), *arguments]


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def run(name, *arguments):
    """Run an example as a learner would; return what it printed."""
    finished = subprocess.run(
        command(name, *arguments), env=environment(), capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr
    assert not finished.stderr
    return finished.stdout


def test_every_example_is_listed():
    scripts = {path.stem for path in ROOT.glob("examples/*.py")}
    assert scripts == {*SHORT, "gpt", "common", "text", "demo"}


@pytest.mark.parametrize("name", SHORT)
def test_example(name):
    assert run(name, *SHORT[name]).strip()


def test_linear_regression_finds_the_weights():
    rows = run("linear_regression_nn").splitlines()[-3:]
    for row in rows:
        true, trained, analytic = map(float, row.split()[1:])
        assert trained == pytest.approx(true, abs=0.01)
        assert analytic == pytest.approx(true, abs=0.01)


def test_gradients_vanish_and_explode():
    rows = run("vanishing_gradients").splitlines()[1:8]
    first, last = [{row[:30].strip(): float(row.split()[i]) for row in rows} for i in (-5, -1)]
    for name in ("sigmoid, Xavier", "RNN, matrix x 0.5"):
        assert first[name] < 1e-6 * last[name]
    for name in ("relu, standard normal", "RNN, matrix x 2"):
        assert first[name] > 1e4 * last[name]
    for name in ("tanh, Xavier", "relu, He"):
        assert 0.1 < first[name] / last[name] < 10


def test_vanishing_gradients_are_drawn(tmp_path):
    run("vanishing_gradients", "--depth", "4", "--plot", str(tmp_path / "norms.png"))
    assert (tmp_path / "norms.png").read_bytes().startswith(b"\x89PNG")


def test_gpt_goes_on_where_it_was_killed(tmp_path):
    short = ["--steps", "60", "--batch-size", "2", "--window", "16", "--out", str(tmp_path)]
    whole = run("gpt", *short).splitlines()
    checkpoint = tmp_path / "checkpoint.pt"
    checkpoint.unlink()
    process = subprocess.Popen(
        command("gpt", *short), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    resumed = run("gpt", *short, "--resume").splitlines()
    step = int(resumed[0].removeprefix("Going on after step ").rstrip("."))
    assert 10 <= step <= 60 and step % 10 == 0
    for row in (line.split() for line in resumed if line[:5].strip().isdigit()):
        expected = next(line.split() for line in whole if line[:5].strip() == row[0])
        assert [float(x) for x in row[1:3]] == pytest.approx(
            [float(x) for x in expected[1:3]], rel=1e-2
        )


def test_demo(tmp_path):
    printed = run("demo", "--epochs", "2", "--out", str(tmp_path))
    assert "as before saving" in printed and "NOT" not in printed
    assert "will take about" in printed.splitlines()[0]
    for name in ("learning_curves.png", "predictions.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "model.pt").stat().st_size > 100_000
    assert "\r" not in printed  # plain where there is no terminal
