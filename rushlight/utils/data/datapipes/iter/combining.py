"""Several streams joined into one, and one that several read."""

from __future__ import annotations

import copy
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from rushlight.utils.data.datapipes.datapipe import IterDataPipe, functional_datapipe


@functional_datapipe("concat")
class ConcaterIterDataPipe(IterDataPipe[Any]):
    """One pipe after the other."""

    def __init__(self, *datapipes: Any) -> None:
        self.datapipes = datapipes

    def __iter__(self) -> Iterator[Any]:
        return itertools.chain(*self.datapipes)

    def __len__(self) -> int:
        return sum(map(len, self.datapipes))


@functional_datapipe("zip")
class ZipperIterDataPipe(IterDataPipe[Any]):
    """Tuples with a sample of each pipe, until the shortest ends."""

    def __init__(self, *datapipes: Any) -> None:
        self.datapipes = datapipes

    def __iter__(self) -> Iterator[Any]:
        return zip(*self.datapipes, strict=False)

    def __len__(self) -> int:
        return min(map(len, self.datapipes))


@functional_datapipe("mux")
class MultiplexerIterDataPipe(ZipperIterDataPipe):
    """A sample of each pipe in turn, until the shortest ends."""

    def __iter__(self) -> Iterator[Any]:
        return itertools.chain.from_iterable(super().__iter__())

    def __len__(self) -> int:
        return super().__len__() * len(self.datapipes)


class _Split:
    """One pass over a pipe whose samples go to several others, each of which reads at its own
    speed.
    """

    def __init__(
        self, pipe: Any, count: int, route: Callable[[Any], Any], size: int, total: Any
    ) -> None:
        if count < 1:
            raise ValueError(f"Expected `num_instances` larger than 0, but {count} is found")
        self.pipe, self.count, self.route, self.size = pipe, count, route, size
        self.total, self.passes = total, 0

    def begin(self) -> None:
        """A new pass, for all."""
        self.passes += 1
        self.begun: set[int] = set()
        self.stream = iter(self.pipe)
        self.waiting = [deque[Any]() for _ in range(self.count)]

    def read(self, part: int) -> Iterator[Any]:
        """The samples of one part. A part that is read anew begins a new pass."""
        if not self.passes or part in self.begun:
            self.begin()
        self.begun.add(part)
        mine = self.passes
        while True:
            if mine != self.passes:
                raise RuntimeError(
                    "This iterator has been invalidated, because another pass over the pipes that "
                    "were split began"
                )
            while not self.waiting[part]:
                try:
                    x = next(self.stream)
                except StopIteration:
                    return
                for p in self.route(x):
                    self.waiting[p].append(x)
                behind = [len(w) for p, w in enumerate(self.waiting) if p != part]
                if 0 <= self.size < self.total([0, *behind]):
                    raise BufferError(
                        f"buffer overflow: buffer_size {self.size} is insufficient, as one of the "
                        "parts of a pipe is read far ahead of another"
                    )
            yield self.waiting[part].popleft()


class _Part(IterDataPipe[Any]):
    """One of the pipes that another was split into."""

    def __init__(self, split: _Split, part: int) -> None:
        self.split, self.part = split, part

    def __iter__(self) -> Iterator[Any]:
        return self.split.read(self.part)


class _Copy(_Part):
    """A part with all samples."""

    def __len__(self) -> int:
        return len(self.split.pipe)


COPIES = {"shallow": copy.copy, "deep": copy.deepcopy}


def ForkerIterDataPipe(
    datapipe: Any, num_instances: int, buffer_size: int = 1000, copy: str | None = None
) -> list[Any]:
    """Several pipes with the samples of one, which is read once.

    Args:
        datapipe: the samples.
        num_instances: how many pipes.
        buffer_size: samples by which one may be ahead of another; -1: any number.
        copy: "shallow" or "deep": the pipes get copies of the samples.
    """
    if copy not in (None, "shallow", "deep"):
        raise ValueError(f"fork: copy must be 'shallow', 'deep' or None, but is {copy!r}")
    split = _Split(datapipe, num_instances, lambda x: range(num_instances), buffer_size, max)
    parts: list[Any] = [_Copy(split, i) for i in range(num_instances)]
    return parts if copy is None else [p.map(COPIES[copy]) for p in parts]


def DemultiplexerIterDataPipe(
    datapipe: Any,
    num_instances: int,
    classifier_fn: Callable[[Any], int | None],
    drop_none: bool = False,
    buffer_size: int = 1000,
) -> list[Any]:
    """Several pipes, each with the samples for which ``classifier_fn`` gives its number.

    Args:
        datapipe: the samples.
        num_instances: how many pipes.
        classifier_fn: the number of the pipe that a sample goes to.
        drop_none: drop samples for which it is None; otherwise they are an error.
        buffer_size: samples that may wait for another pipe to be read; -1: any number.
    """

    def route(x: Any) -> tuple[int, ...]:
        part = classifier_fn(x)
        if part is None and drop_none:
            return ()
        if part is None or not 0 <= part < num_instances:
            raise ValueError(
                "Output of the classification fn should be between 0 and "
                f"{num_instances - 1}. {part} is returned."
            )
        return (part,)

    split = _Split(datapipe, num_instances, route, buffer_size, sum)
    return [_Part(split, i) for i in range(num_instances)]


IterDataPipe.register_function("fork", ForkerIterDataPipe)
IterDataPipe.register_function("demux", DemultiplexerIterDataPipe)
