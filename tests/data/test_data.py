"""Datasets, samplers and the loader in one process, against torch under the same seed."""

import collections
import inspect
import itertools
import types
import warnings

import numpy as np
import pytest
import torch
import torch.utils.data as theirs

import rushlight as rl
import rushlight.utils.data as mine

LIBS = [(rl, mine), (torch, theirs)]


def plain(value):
    """Nested tensors of either library as (dtype, list)."""
    if isinstance(value, rl.Tensor | torch.Tensor):
        return str(value.dtype), value.tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value).__name__, [plain(item) for item in value]
    return value


def both(make):
    """What ``make(lib, data)`` gives in each library, seeded alike, with the next random number."""
    out = []
    for lib, data in LIBS:
        lib.manual_seed(7)
        out.append((plain(make(lib, data)), lib.rand(1).item()))
    assert out[0] == out[1]
    return out[0][0]


def tensors(lib, data):
    return data.TensorDataset(lib.arange(24.0).view(12, 2), lib.arange(12))


LOADERS = {
    "plain": {"batch_size": 5},
    "drop last": {"batch_size": 5, "drop_last": True},
    "shuffled": {"batch_size": 5, "shuffle": True},
    "single samples": {"batch_size": None},
    "single samples shuffled": {"batch_size": None, "shuffle": True},
    "batches of one": {},
    "own collate": {"batch_size": 4, "collate_fn": lambda samples: [y for _, y in samples]},
    "indices": {"batch_size": 2, "sampler": [3, 1, 1, 0, -1]},
    "batches": {"batch_sampler": [[3, 1], [0], [5, 5, 5]]},
}


@pytest.mark.parametrize("options", LOADERS.values(), ids=LOADERS)
def test_loader_over_tensors(options):
    both(lambda lib, data: list(data.DataLoader(tensors(lib, data), **options)))
    both(lambda lib, data: len(data.DataLoader(tensors(lib, data), **options)))


class Samples:
    """A dataset of the library ``data`` whose samples are nested."""

    def __new__(cls, lib, data):
        class Nested(data.Dataset):
            def __len__(self):
                return 7

            def __getitem__(self, i):
                pair = collections.namedtuple("Pair", "a b")(i, np.float32(i))
                return {
                    "x": lib.ones(2) * i,
                    "n": i,
                    "s": str(i),
                    "p": pair,
                    "f": [i / 2, None][:1],
                }

        return Nested()


def test_loader_over_nested_samples():
    both(lambda lib, data: list(data.DataLoader(Samples(lib, data), batch_size=3, shuffle=True)))


def test_two_epochs_shuffle_differently_and_like_torch():
    def epochs(lib, data):
        loader = data.DataLoader(tensors(lib, data), batch_size=4, shuffle=True)
        return [list(loader), list(loader)]

    _kind, (first, second) = both(epochs)
    assert first != second


def test_generator_is_used():
    def run(lib, data):
        g = lib.Generator().manual_seed(3)
        loader = data.DataLoader(tensors(lib, data), batch_size=4, shuffle=True, generator=g)
        return [list(loader), lib.rand(1, generator=g)]

    both(run)


SAMPLERS = {
    "sequential": lambda d: d.SequentialSampler(range(5)),
    "random": lambda d: d.RandomSampler(range(50)),
    "random more": lambda d: d.RandomSampler(range(5), num_samples=13),
    "random fewer": lambda d: d.RandomSampler(range(5), num_samples=3),
    "replacement": lambda d: d.RandomSampler(range(9), replacement=True, num_samples=70),
    "subset": lambda d: d.SubsetRandomSampler([3, 1, 4, 1, 5, 9]),
    "weighted": lambda d: d.WeightedRandomSampler([0.1, 0.0, 3.0, 1.0], 20),
    "weighted once": lambda d: d.WeightedRandomSampler([0.1, 0.5, 3.0, 1.0], 3, replacement=False),
    "batches": lambda d: d.BatchSampler(d.RandomSampler(range(7)), 3, False),
    "batches dropped": lambda d: d.BatchSampler(range(7), 3, True),
    "distributed": lambda d: d.DistributedSampler(range(11), 3, 1, seed=5),
    "distributed dropped": lambda d: d.DistributedSampler(range(11), 3, 2, drop_last=True),
    "distributed in order": lambda d: d.DistributedSampler(range(2), 5, 4, shuffle=False),
}


@pytest.mark.parametrize("make", SAMPLERS.values(), ids=SAMPLERS)
def test_samplers(make):
    both(lambda lib, data: [list(make(data)), len(make(data))])


def test_set_epoch_changes_the_permutation():
    def run(lib, data):
        sampler = data.DistributedSampler(range(10), 2, 0)
        first = list(sampler)
        sampler.set_epoch(3)
        return [first, list(sampler)]

    both(run)


@pytest.mark.parametrize("lengths", [[7, 3], [0.5, 0.25, 0.25], [0.33, 0.33, 0.34]])
def test_random_split(lengths):
    both(lambda lib, data: [list(part.indices) for part in data.random_split(range(10), lengths)])


def test_random_split_warns_of_empty_parts():
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        mine.random_split(range(5), [0.9, 0.1])


def test_datasets_combine():
    def run(lib, data):
        a, b = tensors(lib, data), data.TensorDataset(lib.ones(3, 2), lib.zeros(3))
        both_ = a + b
        part = data.Subset(both_, [13, 0, 2])
        stack = data.StackDataset(x=range(3), y="abc")
        return [
            len(both_),
            both_[12],
            both_[-1],
            both_.cumulative_sizes,
            part[0],
            len(part),
            list(data.DataLoader(part, 2)),
            stack[1],
            list(data.DataLoader(stack, 2)),
            list(data.DataLoader(data.StackDataset(a, range(12)), 5)),
        ]

    both(run)


def stream(lib, data):
    class Stream(data.IterableDataset):
        def __init__(self, *items):
            self.items = items

        def __iter__(self):
            return iter(self.items)

    return Stream


@pytest.mark.parametrize("options", [{"batch_size": 2}, {"batch_size": 2, "drop_last": True}, {}])
def test_streams(options):
    def run(lib, data):
        kind = stream(lib, data)
        chain = kind(1, 2, 3) + kind(4, 5)
        return [list(chain), list(data.DataLoader(chain, **options))]

    both(run)


def test_stream_longer_than_it_says_warns():
    class Short(mine.IterableDataset):
        def __len__(self):
            return 1

        def __iter__(self):
            return iter([1, 2])

    loader = mine.DataLoader(Short())
    assert len(loader) == 1
    with pytest.warns(UserWarning, match="length"):
        list(loader)


# ------------------------------------------------------------ whole batches


def test_tensors_are_gathered_not_visited(monkeypatch):
    def fail(*args):
        raise AssertionError("visited sample by sample")

    data = mine.TensorDataset(rl.arange(10.0), rl.arange(10))
    part = mine.Subset(mine.Subset(data, range(9, -1, -1)), [0, 2, 4])
    monkeypatch.setattr(mine.default_collate, "__code__", fail.__code__)
    batches = [next(iter(mine.DataLoader(d, 3))) for d in (data, part)]
    assert [b[1].tolist() for b in batches] == [[0, 1, 2], [9, 7, 5]]


def test_a_subclass_that_changes_samples_is_visited():
    class Doubled(mine.TensorDataset):
        def __getitem__(self, i):
            return (super().__getitem__(i)[0] * 2,)

    [batch] = mine.DataLoader(Doubled(rl.arange(3)), 3)
    assert batch[0].tolist() == [0, 2, 4]


def test_getitems_is_asked_for_batches():
    class Several(mine.Dataset):
        def __len__(self):
            return 4

        def __getitems__(self, indices):
            return [10 * i for i in indices]

    assert [b.tolist() for b in mine.DataLoader(Several(), 3)] == [[0, 10, 20], [30]]


def test_batches_do_not_share_memory_with_the_data():
    x = rl.zeros(4)
    for (batch,) in mine.DataLoader(mine.TensorDataset(x), 2):
        batch.add_(1)
    assert x.tolist() == [0.0] * 4


# ------------------------------------------------------------ collate

COLLATED = [
    [1, 2],
    [1.0, 2.0],
    [True, False],
    [1, 2.5],
    [np.float32(1), np.float32(2)],
    [np.int8(3)],
    [np.ones(2), np.zeros(2)],
    ["a", "b"],
    [b"a"],
    [{"a": 1, "b": (1, 2)}, {"a": 2, "b": (3, 4)}],
    [collections.OrderedDict(a=1)],
    [(1, 2.0), (3, 4.0)],
    [[1, "x"], [2, "y"]],
]


@pytest.mark.parametrize("batch", COLLATED, ids=str)
def test_collate_and_convert(batch):
    both(lambda lib, data: data.default_collate(batch))
    both(lambda lib, data: data.default_convert(batch))


def test_collate_keeps_container_types():
    class Record(dict):
        pass

    pair = collections.namedtuple("Pair", "a b")
    assert isinstance(mine.default_collate([Record(a=1)]), Record)
    assert mine.default_collate([pair(1, 2), pair(3, 4)]).b.tolist() == [2, 4]


def test_collate_with_a_table_of_its_own():
    from rushlight.utils.data.collate import collate, default_collate_fn_map

    class Point:
        pass

    table = {**default_collate_fn_map, Point: lambda batch, *, collate_fn_map: len(batch)}
    assert collate([(Point(), 1), (Point(), 2)], collate_fn_map=table)[0] == 2


# ------------------------------------------------------------ errors


def endless(data):
    class Endless(data.IterableDataset):
        def __iter__(self):
            return iter(range(3))

    return Endless()


ERRORS = [
    (ValueError, lambda L, d: d.DataLoader(range(3), num_workers=-1)),
    (ValueError, lambda L, d: d.DataLoader(range(3), timeout=-1)),
    (AssertionError, lambda L, d: iter(d.DataLoader(range(3), timeout=1))),
    (TypeError, lambda L, d: iter(d.DataLoader(range(3), generator=3))),
    (TypeError, lambda L, d: list(d.RandomSampler(range(3), generator=3))),
    (TypeError, lambda L, d: list(d.SubsetRandomSampler([1, 2], generator=3))),
    (ValueError, lambda L, d: d.DataLoader(range(3), prefetch_factor=2)),
    (ValueError, lambda L, d: d.DataLoader(range(3), num_workers=1, prefetch_factor=-1)),
    (ValueError, lambda L, d: d.DataLoader(range(3), persistent_workers=True)),
    (ValueError, lambda L, d: d.DataLoader(range(3), sampler=[1], shuffle=True)),
    (ValueError, lambda L, d: d.DataLoader(range(3), batch_sampler=[[1]], batch_size=2)),
    (ValueError, lambda L, d: d.DataLoader(range(3), batch_sampler=[[1]], drop_last=True)),
    (ValueError, lambda L, d: d.DataLoader(range(3), batch_size=None, drop_last=True)),
    (ValueError, lambda L, d: d.DataLoader(range(3), batch_size=0)),
    (ValueError, lambda L, d: d.DataLoader(range(3), batch_size=1.5)),
    (ValueError, lambda L, d: d.DataLoader(range(3), multiprocessing_context="fork")),
    (
        ValueError,
        lambda L, d: d.DataLoader(range(3), 1, num_workers=1, multiprocessing_context="x"),
    ),
    (TypeError, lambda L, d: d.DataLoader(range(3), 1, num_workers=1, multiprocessing_context=1)),
    (ValueError, lambda L, d: d.DataLoader([], shuffle=True)),
    (ValueError, lambda L, d: d.DataLoader(endless(d), shuffle=True)),
    (ValueError, lambda L, d: d.DataLoader(endless(d), sampler=[1])),
    (ValueError, lambda L, d: d.DataLoader(endless(d), batch_sampler=[[1]])),
    (TypeError, lambda L, d: len(d.DataLoader(endless(d)))),
    (TypeError, lambda L, d: d.RandomSampler([1], replacement=1)),
    (ValueError, lambda L, d: d.RandomSampler([1], num_samples=0)),
    (ValueError, lambda L, d: d.WeightedRandomSampler([1.0], 0)),
    (ValueError, lambda L, d: d.WeightedRandomSampler([[1.0]], 1)),
    (ValueError, lambda L, d: d.BatchSampler([1], True, False)),
    (ValueError, lambda L, d: d.BatchSampler([1], 1, 0)),
    (ValueError, lambda L, d: d.random_split(range(5), [2, 2])),
    (ValueError, lambda L, d: d.random_split(range(5), [1.5, -0.5])),
    (AssertionError, lambda L, d: d.ConcatDataset([])),
    (AssertionError, lambda L, d: d.ConcatDataset([endless(d)])),
    (IndexError, lambda L, d: d.ConcatDataset([[1]])[1]),
    (ValueError, lambda L, d: d.ConcatDataset([[1]])[-2]),
    (AssertionError, lambda L, d: list(d.ChainDataset([[1]]))),
    (AssertionError, lambda L, d: d.TensorDataset(L.ones(2), L.ones(3))),
    (ValueError, lambda L, d: d.StackDataset()),
    (ValueError, lambda L, d: d.StackDataset([1], a=[1])),
    (ValueError, lambda L, d: d.StackDataset([1], [1, 2])),
    (NotImplementedError, lambda L, d: d.Dataset()[0]),
    (TypeError, lambda L, d: len(d.Dataset())),
    (ValueError, lambda L, d: d.DistributedSampler([1])),
    (ValueError, lambda L, d: d.DistributedSampler([1], 2, 2)),
    (TypeError, lambda L, d: d.default_collate([object()])),
    (TypeError, lambda L, d: d.default_collate([None])),
    (TypeError, lambda L, d: d.default_collate([np.array(["a"])])),
    (RuntimeError, lambda L, d: d.default_collate([[1], [1, 2]])),
    (RuntimeError, lambda L, d: d.default_collate([L.ones(1), L.ones(2)])),
    (ValueError, lambda L, d: setattr(d.DataLoader(range(3)), "batch_size", 2)),
]


@pytest.mark.parametrize("kind,make", ERRORS)
def test_errors_are_torchs(kind, make):
    for lib, data in LIBS:
        with pytest.raises(kind):
            make(lib, data)


def test_warnings():
    with pytest.warns(UserWarning, match="100 worker processes"):
        mine.DataLoader(range(3), num_workers=100)
    with pytest.warns(UserWarning, match="pin_memory"):
        next(iter(mine.DataLoader(range(3), pin_memory=True)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(mine.DataLoader(range(3)))


def test_signatures():
    for name in mine.__all__:
        if name == "WorkerInfo":
            continue
        a = inspect.signature(getattr(mine, name)).parameters.values()
        b = inspect.signature(getattr(theirs, name)).parameters.values()
        assert [(p.name, p.kind) for p in a] == [(p.name, p.kind) for p in b], name


@pytest.mark.parametrize("lib", [torch, rl])
def test_a_loader_of_ones_own_says_that_its_data_set_is_a_stream(lib):
    """Libraries hand objects with a loader's attributes to the iterators."""
    loaders = lib.utils.data.dataloader
    real = lib.utils.data.DataLoader([5, 6, 7])
    assert real._dataset_kind == loaders._DatasetKind.Map
    own = types.SimpleNamespace(**{
        name: getattr(real, name, None)
        for name in """
            _IterableDataset_len_called collate_fn drop_last in_order generator prefetch_factor
            pin_memory num_workers timeout persistent_workers pin_memory_device worker_init_fn
        """.split()  # noqa: SIM905
    })  # fmt: skip
    own.dataset, own._index_sampler = iter([5, 6, 7]), itertools.count()
    own._auto_collation, own._dataset_kind = False, loaders._DatasetKind.Iterable
    own._get_shared_seed, own.collate_fn = None, lambda x: x
    assert list(loaders._SingleProcessDataLoaderIter(own)) == [5, 6, 7]
