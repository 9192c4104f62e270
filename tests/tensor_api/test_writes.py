"""Writes of parts of a tensor to other parts of it."""

from __future__ import annotations

import pytest
import torch

import rushlight


def assign(target, source):
    def write(x):
        x[target] = x[source]

    return write


WRITES = {
    "an element to its row": assign(1, (1, 0)),
    "the first of a row to it": assign(1, (1, slice(1))),
    "a row to all": assign(..., 0),
    "a row to two": assign(slice(2), slice(1)),
    "an element to all": assign(slice(None), (0, 0)),
    "a row to itself": assign(slice(1), 0),
    "a row to the next": assign(slice(1, None), slice(None, -1)),
    "a column to all": assign((slice(None), slice(1, 4)), (slice(None), slice(1))),
    "all": assign(slice(None), slice(None)),
    "copied": lambda x: x.copy_(x[0]),
    "added": lambda x: x.add_(x[0]),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_overlapping_parts(write):
    def result(lib):
        x = lib.arange(12).reshape(3, 4)
        try:
            write(x)
        except RuntimeError:
            return "refused"
        return x.tolist()

    assert result(rushlight) == result(torch)
