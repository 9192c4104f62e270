"""The memory that a GPU's driver keeps, on a stand-in for CuPy."""

from types import SimpleNamespace

import pytest

from rushlight import gpu
from rushlight.errors import OutOfMemoryError


class Full(Exception):
    """What CuPy raises where there is no memory."""


class Pool:
    """A pool of CuPy's that notes what it is asked for."""

    def __init__(self, total):
        self.left, self.asked, self.at = total, [], 1 << 20

    def malloc(self, size):
        if size > self.left:
            raise Full
        self.asked.append(size)
        self.left -= size
        self.at += size
        return Pointer(self, self.at, size)

    def free_all_blocks(self):
        self.released = True


class Pointer:
    def __init__(self, pool, ptr, size):
        self.pool, self.ptr, self.size = pool, ptr, size

    def __del__(self):
        self.pool.left += self.size


class Device:
    def __init__(self, index):
        self.index = index

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass


def driver(total=1 << 20):
    pool = Pool(total)
    found = {"name": b"a GPU", "major": 9, "minor": 0, "totalGlobalMem": total}
    runtime = SimpleNamespace(
        getDeviceProperties=lambda i: found,
        getDeviceCount=lambda: 1,
        memGetInfo=lambda: (pool.left, total),
    )
    memory = SimpleNamespace(OutOfMemoryError=Full)
    cuda = SimpleNamespace(runtime=runtime, memory=memory, Device=Device)
    return gpu.CupyDriver(SimpleNamespace(cuda=cuda, get_default_memory_pool=lambda: pool), 0), pool


def test_freed_memory_is_used_again():
    d, pool = driver()
    first = d.take(1000)
    pointer = first.pointer
    assert (first.size, d.allocated(), pool.asked) == (1000, 1000, [1024])
    other = d.take(1000)
    assert other.pointer != pointer
    del first
    assert d.allocated() == 1000
    again = d.take(700)  # as much, in grains
    assert again.pointer == pointer and again.size == 700 and pool.asked == [1024, 1024]
    assert d.take(2000).pointer != pointer and d.peak() == 3700


def test_what_waits_goes_back():
    d, pool = driver()
    most = (1 << 20) // 8
    few = [d.take(1024) for _ in range(most // 1024)]
    few.clear()
    assert pool.left == (1 << 20) - most  # all of it waits
    more = d.take(512)
    del more
    assert pool.left == 1 << 20
    kept = d.take(1024)
    del kept
    d.release()
    assert pool.left == 1 << 20 and pool.released


def test_what_waits_serves_other_sizes_where_memory_is_short():
    d, pool = driver()
    held = [d.take(1 << 16) for _ in range(15)]
    del held[0]
    large = d.take(1 << 17)  # the one that waits is part of it
    assert large.size == 1 << 17 and pool.left == 0
    with pytest.raises(OutOfMemoryError, match=r"allocate 512 bytes on GPU 0"):
        d.take(10)
