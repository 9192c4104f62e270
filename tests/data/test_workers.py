"""Worker processes: order, seeds, exceptions, deaths, restarts, what travels."""

import functools
import multiprocessing
import operator
import os
import pickle
import random
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.utils.data as theirs

import rushlight as rl
import rushlight.utils.data as mine

# Python 3.12 and later warn of fork() in a process with threads; NumPy's BLAS has some.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


@pytest.fixture(autouse=True, scope="module")
def forked():
    """Workers are forked where nothing else is said, as is Python's default on Linux up to 3.13:
    some tests here have datasets that cannot be pickled.
    """
    default = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("fork", force=True)
    yield
    multiprocessing.set_start_method(default, force=True)


class Squares(mine.Dataset):
    def __init__(self, size=10, shape=()):
        self.size, self.shape = size, shape

    def __len__(self):
        return self.size

    def __getitem__(self, i):
        return rl.full(self.shape, float(i * i)), i


class Threads(mine.Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return rl.get_num_threads()


def values(loader):
    return [batch[1].tolist() for batch in loader]


@pytest.mark.parametrize("context", ["fork", "spawn", "forkserver"])
def test_batches_arrive_in_order(context):
    loader = mine.DataLoader(Squares(), 3, num_workers=2, multiprocessing_context=context)
    assert values(loader) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]


def test_shuffling_does_not_depend_on_workers():
    orders = []
    for workers in (0, 2):
        rl.manual_seed(3)
        loader = mine.DataLoader(Squares(), 3, shuffle=True, num_workers=workers)
        orders.append((values(loader), values(loader), rl.rand(1).item()))
    assert orders[0] == orders[1]


@pytest.mark.parametrize("shape", [(), (50, 60)])  # through the connection, in shared memory
def test_tensors_travel(shape):
    for x, _i in mine.DataLoader(Squares(6, shape), 3, num_workers=1):
        assert x.shape == (3, *shape)
        x.add_(1)  # writable
        assert x.view(3, -1)[:, 0].tolist() in ([1.0, 2.0, 5.0], [10.0, 17.0, 26.0])


class Mixed(mine.Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, i):
        big = rl.arange(20000.0)
        parameter = rl.ones(3, requires_grad=True)
        halves = big[:9000].to(rl.bfloat16)
        return {"t": big[::2], "h": halves, "a": np.arange(9000), "g": parameter, "s": "x" * 70000}


def test_everything_travels():
    [out] = mine.DataLoader(Mixed(), batch_size=None, num_workers=1)
    assert out["t"].tolist() == list(range(0, 20000, 2))
    assert out["h"].dtype == rl.bfloat16
    assert out["h"][:3].float().tolist() == [0.0, 1.0, 2.0]
    assert out["a"].sum().item() == 9000 * 8999 // 2
    assert out["g"].requires_grad
    assert len(out["s"]) == 70000


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 64, 64)])  # small; in shared memory
def test_a_network_takes_what_travelled(shape):
    net = rl.nn.Sequential(rl.nn.Conv2d(3, 2, 3), rl.nn.Flatten())
    for batch, _ in mine.DataLoader(Squares(4, shape), 2, num_workers=1):
        assert net(batch).dtype is rl.float32 and batch.numpy().dtype is np.dtype("float32")


class Seeds(mine.Dataset, theirs.Dataset):
    def __init__(self, lib, data):
        self.lib, self.data = lib, data

    def __len__(self):
        return 4

    def __getitem__(self, i):
        info = self.data.get_worker_info()
        draws = random.random(), self.lib.rand(1).item(), float(np.random.rand())
        return (i, info.id, info.num_workers, info.seed, self.lib.initial_seed(), *draws)


def test_workers_are_seeded_like_torchs():
    seen = []
    for lib, data in ((rl, mine), (torch, theirs)):
        lib.manual_seed(5)
        loader = data.DataLoader(Seeds(lib, data), batch_size=None, num_workers=2)
        seen.append([tuple(x) for x in loader])
    assert seen[0] == seen[1]
    assert mine.get_worker_info() is None


def stream(data, sizes):
    class Stream(data.IterableDataset):
        def __iter__(self):
            worker = data.get_worker_info().id
            return (100 * worker + i for i in range(sizes[worker]))

    return Stream()


@pytest.mark.parametrize("sizes", [(3, 9), (7, 1, 4), (0, 5), (0, 0)])
@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_streams_end_one_by_one(sizes, persistent):
    seen = []
    for data in (mine, theirs):
        options = {"num_workers": len(sizes), "persistent_workers": persistent}
        loader = data.DataLoader(stream(data, sizes), 2, **options)
        seen.append([[b.tolist() for b in loader] for _ in range(2)])
    assert seen[0] == seen[1]


class Fails(mine.Dataset):
    def __init__(self, how):
        self.how = how

    def __len__(self):
        return 4

    def __getitem__(self, i):
        if i == 2:
            self.how()
        return i


class Odd(Exception):
    def __init__(self, a, b):
        super().__init__(a, b)


def bad_value():
    raise ValueError("deep down")


def bad_key():
    raise KeyError("name")


def odd():
    raise Odd(1, 2)


def local():
    class Local(Exception):
        pass

    raise Local("seen")


@pytest.mark.parametrize(
    "how,kind,text",
    [
        (bad_value, ValueError, "deep down"),
        (bad_key, KeyError, "name"),
        (odd, RuntimeError, "Caught Odd"),
        (local, RuntimeError, "Caught Local"),
    ],
)
def test_exceptions_come_back_with_their_traceback(how, kind, text):
    loader = iter(mine.DataLoader(Fails(how), num_workers=1))
    assert [next(loader).item(), next(loader).item()] == [0, 1]
    with pytest.raises(kind) as caught:
        next(loader)
    assert "in DataLoader worker process 0" in str(caught.value)
    assert text in str(caught.value)
    assert how.__name__ in str(caught.value)  # a line of the worker's traceback
    assert next(loader).item() == 3  # the worker lives on
    with pytest.raises(StopIteration):
        next(loader)


def unpicklable():
    return lambda: None


class Lambdas(Fails):
    def __getitem__(self, i):
        return unpicklable()


def test_what_cannot_be_sent_is_an_error():
    loader = mine.DataLoader(Lambdas(None), batch_size=None, num_workers=1)
    with pytest.raises(RuntimeError, match="pickle"):
        next(iter(loader))


def test_what_cannot_be_sent_to_a_worker_is_an_error():
    loader = mine.DataLoader(
        Squares(), num_workers=1, collate_fn=lambda x: x, multiprocessing_context="spawn"
    )
    with pytest.raises((AttributeError, pickle.PicklingError, TypeError)) as caught:
        next(iter(loader))
    assert "multiprocessing_context='fork'" in caught.value.__notes__[-1]


def leave():
    os._exit(3)


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("how,text", [(leave, "exit code 3"), (kill, "SIGKILL")])
def test_a_death_is_reported(how, text):
    with pytest.raises(RuntimeError, match=f"worker 0 .*exited unexpectedly.*{text}"):
        list(mine.DataLoader(Fails(how), num_workers=1))


def wait():
    signal.pause()


def test_timeout():
    loader = mine.DataLoader(Fails(wait), num_workers=1, timeout=0.3)
    iterator = iter(loader)
    assert next(iterator).item() == 0
    with pytest.raises(RuntimeError, match=r"timed out after 0\.3 seconds"):
        list(iterator)
    for worker in iterator._workers:
        worker.process.kill()


def init(worker):
    os.environ["WORKER"] = f"worker {worker}"


class Environment(Squares):
    def __getitem__(self, i):
        return os.environ["WORKER"]


def test_worker_init_fn():
    loader = mine.DataLoader(Environment(2), num_workers=2, worker_init_fn=init)
    assert list(loader) == [["worker 0"], ["worker 1"]]


def refuse(worker):
    raise OSError("no")


def test_failing_worker_init_fn():
    loader = mine.DataLoader(Squares(), num_workers=1, worker_init_fn=refuse)
    with pytest.raises(OSError, match="Caught OSError in DataLoader worker process 0"):
        next(iter(loader))


class Pids(Squares):
    def __getitem__(self, i):
        return os.getpid()


def test_persistent_workers_stay():
    loader = mine.DataLoader(Pids(4), num_workers=2, persistent_workers=True)
    first = {int(pid) for pid in loader}
    part = int(next(iter(loader)))  # left in the middle
    assert {part} < first
    assert {int(pid) for pid in loader} == first
    other = mine.DataLoader(Pids(4), num_workers=2)
    assert not {int(pid) for pid in other} & first


def test_out_of_order():
    loader = mine.DataLoader(Squares(20), 2, num_workers=2, in_order=False)
    assert sorted(functools.reduce(operator.iadd, values(loader), [])) == list(range(20))


def test_workers_end_with_the_iterator():
    iterator = iter(mine.DataLoader(Squares(100), num_workers=2))
    next(iterator)
    processes = [worker.process for worker in iterator._workers]
    assert all(process.is_alive() for process in processes)
    del iterator
    assert not any(process.is_alive() for process in processes)


def test_large_index_lists_do_not_block():
    loader = mine.DataLoader(mine.TensorDataset(rl.arange(400000)), 100000, num_workers=1)
    assert [len(x) for (x,) in loader] == [100000] * 4


def test_many_prefetched_batches():
    loader = mine.DataLoader(Squares(40, (100, 100)), 2, num_workers=1, prefetch_factor=20)
    assert len(list(loader)) == 20


HANDLED = """
import signal
signal.signal(signal.SIGTERM, lambda *_: None)
import rushlight
data = rushlight.utils.data
kept = data.DataLoader(rushlight.arange(4), 2, num_workers=1, persistent_workers=True)
print([batch.tolist() for batch in kept])
"""


def test_programs_that_handle_signals_end_with_their_workers():
    done = subprocess.run([sys.executable, "-c", HANDLED], capture_output=True, timeout=60)
    assert done.returncode == 0 and done.stdout == b"[[0, 1], [2, 3]]\n", done.stderr


def test_workers_compute_on_one_thread_each():
    before = rl.get_num_threads()
    assert [t.tolist() for t in mine.DataLoader(Threads(), num_workers=2)] == [[1], [1]]
    assert rl.get_num_threads() == before
