"""Data pipes: chained by methods, and usable as datasets."""

import importlib
import os
import warnings

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


def column(x):
    return x[0] if isinstance(x, (list, tuple)) else x % 3


def written(folder):
    """A few files."""
    for name in ("b.txt", "a.txt", "c.csv", os.path.join("sub", "d.txt")):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    return str(folder)


def spread(part, other, total=7):
    """What two parts of one pipe give when one is read ahead."""
    a, b = iter(part), iter(other)
    return [next(a), next(a), next(b), next(a), *b, *a]


ROWS = [[1, 2, 3]], [(1, 2, 3)]
GROUPS = [
    {"buffer_size": 3}, {"buffer_size": 3, "group_size": 3}, {"drop_remaining": True},
    {"buffer_size": 4, "group_size": 3, "guaranteed_group_size": 2},
    {"buffer_size": 3, "group_size": 3, "drop_remaining": True}, {"buffer_size": 0},
    {"guaranteed_group_size": 2}, {"keep_key": True, "group_size": 2},
]  # fmt: skip
COLUMNS = [
    {"input_col": 1}, {"input_col": 1, "output_col": -1}, {"output_col": -1},
    {"input_col": 0, "output_col": [1]}, {"input_col": 0, "output_col": 2},
]  # fmt: skip
STREAMS = {
    **{f"groups {g}": lambda s, folder, g=g: list(s(7).groupby(column, **g)) for g in GROUPS},
    **{
        f"columns {c} of {type(row[0])}": (
            lambda s, folder, c=c, row=row: list(s(row).map(lambda x: x + 10, **c))
        )
        for c in COLUMNS
        for row in ROWS
    },
    "two columns": lambda s, folder: list(s(ROWS[1]).map(max, input_col=[2, 0])),
    "columns of dicts": lambda s, folder: list(s([{"a": 1}]).map(str, "a", "b")),
    "filter a column": lambda s, folder: list(s(ROWS[0]).filter(bool, input_col=1)),
    **{
        f"unbatch {level}": lambda s, folder, n=level: list(s([[[1], [2]], [[3]]]).unbatch(n))
        for level in (-2, -1, 0, 1, 2, 3)
    },
    "lengths": lambda s, folder: [
        len(p) for p in (s(3).mux(s(5)), s(3).zip(s(5)), s(3).concat(s(5)), s(7).batch(3))
    ],
    "mux": lambda s, folder: list(s(2).mux(s(5))),
    "shares": lambda s, folder: (p := s(7).sharding_filter())
    and [list(p), p.apply_sharding(3, 1), list(p), len(p)],
    "no such share": lambda s, folder: s(7).sharding_filter().apply_sharding(2, 2),
    "fork": lambda s, folder: spread(*s(7).fork(2)),
    "fork without room": lambda s, folder: spread(*s(7).fork(2, buffer_size=1)),
    "fork of copies": lambda s, folder: [list(p) for p in s(3).fork(2, copy="deep")],
    "fork into none": lambda s, folder: s(3).fork(0),
    "demux": lambda s, folder: [list(p) for p in s(7).demux(3, column)],
    "demux without room": lambda s, folder: list(s(7).demux(2, lambda x: 0, buffer_size=2)[1]),
    "demux elsewhere": lambda s, folder: list(s(7).demux(2, column)[1]),
    "shuffle": lambda s, folder: [
        list(s(20).shuffle().set_seed(1)), list(s(20).shuffle(buffer_size=3).set_seed(1)),
        list(s(20).shuffle()), list(s(3).shuffle().set_shuffle(False)),
    ],
    "files": lambda s, folder: [
        sorted(os.path.relpath(p, folder) for p in s([folder]).list_files(**options))
        for options in ({}, {"masks": "*.txt", "recursive": True}, {"masks": ["*.csv", "b*"]})
    ],
    "contents": lambda s, folder: [
        content
        for mode in ("r", "b")
        for chunk in (None, 2)
        for _, content in s([folder]).list_files("a*").open_files(mode).read_from_stream(chunk)
    ],
    "written files": lambda s, folder: s([folder]).list_files().open_files("w"),
}  # fmt: skip


def outcome(package, case, folder):
    """What a case gives, or the type of its error."""
    torch = importlib.import_module(package)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipes = importlib.import_module(f"{package}.utils.data.datapipes.iter")
        torch.manual_seed(0)
        try:
            return case(
                lambda x: pipes.IterableWrapper(range(x) if x.__class__ is int else x), folder
            )
        except Exception as error:
            return type(error)


@pytest.mark.parametrize("case", STREAMS.values(), ids=STREAMS)
def test_streams_as_in_torch(case, tmp_path):
    folder = written(tmp_path)
    assert outcome("rushlight", case, folder) == outcome("torch", case, folder)


def test_a_part_that_is_read_anew_begins_again():
    first, second = Count(3).fork(2)
    passed = iter(first)
    assert next(passed) == 0 and list(second) == list(first) == [0, 1, 2]
    with pytest.raises(RuntimeError, match="another pass"):
        next(passed)


@pytest.mark.parametrize("package", ["torch", "rushlight"])
def test_samples_by_index(package):
    w = importlib.import_module(f"{package}.utils.data.datapipes.map").SequenceWrapper("abcde")
    assert (len(w), w[1], w.map(str.upper)[2], w.zip(w)[3]) == (5, "b", "C", ("d", "d"))
    assert list(w.batch(2)) == [["a", "b"], ["c", "d"], ["e"]] and len(w.batch(2, True)) == 2
    assert "".join(w.concat(w)[i] for i in range(4, 7)) == "eab"
    assert list(w.shuffle().set_seed(0)) == ["c", "b", "a", "e", "d"]
    assert list(w.shuffle(indices=[2, 0]).set_shuffle(False)) == ["c", "a"]
    for pipe, index in ((w.batch(2), 3), (w.concat(w), 10), (w, 5)):
        with pytest.raises(IndexError):
            pipe[index]


def test_workers_share_a_stream():
    wrapper = importlib.import_module("rushlight.utils.data.datapipes.iter").IterableWrapper
    loader = DataLoader(wrapper(range(5)).sharding_filter(), batch_size=None, num_workers=2)
    assert sorted(loader) == list(range(5))


@pytest.mark.parametrize(
    "name",
    """callable.MapperIterDataPipe callable.CollatorIterDataPipe combinatorics.SamplerIterDataPipe
    combinatorics.ShufflerIterDataPipe combining.ConcaterIterDataPipe combining.ForkerIterDataPipe
    combining.DemultiplexerIterDataPipe combining.MultiplexerIterDataPipe
    combining.ZipperIterDataPipe filelister.FileListerIterDataPipe
    fileopener.FileOpenerIterDataPipe grouping.BatcherIterDataPipe grouping.UnBatcherIterDataPipe
    grouping.GrouperIterDataPipe selecting.FilterIterDataPipe sharding.ShardingFilterIterDataPipe
    streamreader.StreamReaderIterDataPipe utils.IterableWrapperIterDataPipe""".split(),  # noqa: SIM905
)
def test_names_of_streams(name):
    """Libraries import streams from PyTorch's own modules, under their whole names."""
    file, name = name.split(".")
    for package in ("rushlight", "torch"):
        streams = importlib.import_module(f"{package}.utils.data.datapipes.iter")
        module = importlib.import_module(f"{streams.__name__}.{file}")
        assert getattr(module, name) is getattr(streams, name.removesuffix("IterDataPipe"))
        assert getattr(module, name).__name__ == name


def test_whether_a_stream_is_shuffled():
    pipe = Count(4).shuffle()
    assert pipe._shuffle_enabled
    assert not pipe.set_shuffle(False)._shuffle_enabled
