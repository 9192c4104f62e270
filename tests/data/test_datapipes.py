"""Data pipes: chained by methods, and usable as datasets."""

import pytest

import rushlight as rl
from rushlight.utils.data import (
    DataChunk,
    DataLoader,
    IterableDataset,
    IterDataPipe,
    functional_datapipe,
)


class Count(IterDataPipe):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))


def test_chains():
    pipe = Count(6).map(lambda x: x * 2).filter(lambda x: x != 4)
    assert list(pipe) == [0, 2, 6, 8, 10]
    assert list(pipe.batch(2)) == [[0, 2], [6, 8], [10]]
    assert list(pipe.batch(2, drop_last=True).unbatch()) == [0, 2, 6, 8]
    assert sorted(pipe.shuffle(buffer_size=2)) == list(pipe)
    assert list(Count(2).concat(Count(1))) == [0, 1, 0]
    assert list(Count(2).zip(Count(3))) == [(0, 0), (1, 1)]
    assert rl.equal(next(iter(Count(3).batch(3).collate())), rl.arange(3))
    assert isinstance(next(iter(Count(3).batch(3))), DataChunk)


def test_as_a_dataset():
    pipe = Count(5).map(float)
    assert isinstance(pipe, IterableDataset)
    assert [len(batch) for batch in DataLoader(pipe, batch_size=2)] == [2, 2, 1]


def test_own_pipes():
    @functional_datapipe("repeated_twice")
    class Twice(IterDataPipe):
        def __init__(self, source):
            self.source = source

        def __iter__(self):
            return (x for x in self.source for _ in range(2))

    assert list(Count(2).repeated_twice()) == [0, 0, 1, 1]
    with pytest.raises(Exception, match="already taken"):
        functional_datapipe("repeated_twice")(Twice)
    with pytest.raises(AttributeError):
        Count(1).no_such_pipe
