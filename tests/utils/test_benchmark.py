"""Timers run what they are told, as often as they say; tables hold every measurement."""

import pytest

import rushlight as rl
from rushlight.utils.benchmark import Compare, Measurement, Timer, select_unit, trim_sigfig


def test_timers_count():
    calls, threads = [], rl.get_num_threads()
    timer = Timer(
        "calls.append(n)", setup="n = 1", globals={"calls": calls}, label="a", num_threads=2
    )
    measured = timer.timeit(300)
    assert measured.number_per_run == 300
    assert len(calls) == 303
    assert measured.median == measured.mean > 0
    seen = []
    measured = timer.blocked_autorange(lambda n, t: seen.append(n), min_run_time=0.01)
    assert seen == [measured.number_per_run] * len(measured.times)
    assert timer.adaptive_autorange(threshold=10.0).number_per_run >= 1
    assert rl.get_num_threads() == threads
    with pytest.raises(NotImplementedError):
        timer.repeat()


class Clock:
    """A clock that takes a tenth of a microsecond to look at."""

    now = 0.0

    def __call__(self):
        self.now += 1e-7
        return self.now


def test_looking_at_the_clock_does_not_count():
    clock = Clock()
    timer = Timer("clock.now += 1e-6", timer=clock, globals={"clock": clock})
    measured = timer.blocked_autorange(min_run_time=0.01)
    assert measured.number_per_run == 1000 and len(measured.times) == 10
    assert measured.median == pytest.approx(1e-6, rel=1e-3)


def test_measurements_and_table():
    specs = [
        Timer("x", label="L", sub_label=row, description=column)._task_spec
        for row in ("one", "two")
        for column in ("a", "b")
    ]
    results = [Measurement(10, [n * 1e-5, n * 1e-5], spec) for n, spec in enumerate(specs, 1)]
    table = Compare(results)
    lines = str(table).splitlines()
    assert lines[0].strip("-") == "[ L ]"
    assert lines[1].split() == ["|", "a", "|", "b"]
    assert [line.split() for line in lines[3:5]] == [
        ["one", "|", "1", "|", "2"],
        ["two", "|", "3", "|", "4"],
    ]
    assert lines[-1] == "Times are in microseconds (us)."
    table.extend_results([Measurement(10, [5e-5] * 4, specs[0])])
    assert len(table.results) == 4
    assert len(table.results[0].raw_times) == 6
    text = repr(results[0])
    assert "L: one" in text
    assert "1.00 us" in text


def test_units():
    assert select_unit(2e-5) == ("us", 1e-6)
    assert select_unit(3.0) == ("s", 1.0)
    assert trim_sigfig(1234.5, 2) == 1200
    assert trim_sigfig(0.012345, 3) == 0.0123


def test_swap_tensors():
    a, b = rl.nn.Parameter(rl.ones(2)), rl.zeros(3)
    rl.utils.swap_tensors(a, b)
    assert type(b) is rl.nn.Parameter
    assert (a.shape, b.shape) == ((3,), (2,))
    assert b.requires_grad
