"""Futures, in both libraries."""

import pickle
import threading

import pytest
import torch

import rushlight

LIBRARIES = pytest.mark.parametrize("lib", [torch, rushlight])


@LIBRARIES
def test_values_arrive_once(lib):
    first = lib.futures.Future()
    second = first.then(lambda f: f.wait() + 1)
    assert not first.done() and not second.done()
    with pytest.raises(RuntimeError):
        first.value()
    threading.Timer(0.01, first.set_result, (4,)).start()
    assert second.wait() == 5 and first.value() == 4
    with pytest.raises(RuntimeError):
        first.set_result(5)
    assert first.then(lambda f: f.value() * 2).wait() == 8
    seen = []
    first.add_done_callback(lambda f: seen.append(f.value()))
    assert seen == [4]


@LIBRARIES
def test_exceptions_are_raised_where_one_waits(lib):
    failed = lib.futures.Future()
    with pytest.raises(AssertionError):
        failed.set_exception(3)
    failed.set_exception(ValueError("lost"))
    with pytest.raises(ValueError, match="lost"):
        failed.wait()
    with pytest.raises(RuntimeError, match="ValueError: lost"):
        failed.then(lambda f: f.wait()).wait()
    with pytest.raises(ValueError, match="lost"):
        lib.futures.wait_all([failed])


@LIBRARIES
def test_several_at_once(lib):
    a, b = lib.futures.Future[int](), lib.futures.Future()
    both = lib.futures.collect_all([a, b])
    b.set_result(2)
    assert not both.done()
    a.set_result(1)
    assert [f.wait() for f in both.wait()] == lib.futures.wait_all([a, b]) == [1, 2]


def test_exceptions_of_callbacks_are_printed(capsys):
    future = rushlight.futures.Future()
    future.add_done_callback(lambda f: f.missing)
    future.set_result(1)
    future.add_done_callback(lambda: None)
    printed = capsys.readouterr().err
    assert future.wait() == 1 and "AttributeError" in printed and "TypeError" in printed


@LIBRARIES
def test_futures_stay_in_their_process(lib):
    with pytest.raises(RuntimeError, match="pickle"):
        pickle.dumps(lib.futures.Future())
