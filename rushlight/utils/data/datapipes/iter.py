"""Pipes that are streams of samples."""

from __future__ import annotations

import copy
import fnmatch
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rushlight.utils.data.collate import default_collate
from rushlight.utils.data.datapipes.datapipe import DataChunk, IterDataPipe, functional_datapipe
from rushlight.utils.data.datapipes.order import Shuffled
from rushlight.utils.data.sampler import SequentialSampler
from rushlight.utils.data.worker import get_worker_info

__all__ = [
    "Batcher", "Collator", "Concater", "Demultiplexer", "FileLister", "FileOpener", "Filter",
    "Forker", "Grouper", "IterableWrapper", "Mapper", "Multiplexer", "Sampler", "ShardingFilter",
    "Shuffler", "StreamReader", "UnBatcher", "Zipper",
]  # fmt: skip


class IterableWrapper(IterDataPipe[Any]):
    """An iterable as a pipe: a copy of it in each pass, unless ``deepcopy`` is False.

    Example:
        >>> list(IterableWrapper(range(4)).map(str).batch(3))
        [['0', '1', '2'], ['3']]
    """

    def __init__(self, iterable: Iterable[Any], deepcopy: bool = True) -> None:
        self.iterable, self.deepcopy = iterable, deepcopy

    def __iter__(self) -> Iterator[Any]:
        return iter(copy.deepcopy(self.iterable) if self.deepcopy else self.iterable)

    def __len__(self) -> int:
        return len(self.iterable)  # type: ignore[arg-type]


class Sampler(IterDataPipe[Any]):
    """What a sampler of ``utils.data`` yields for a dataset."""

    def __init__(
        self,
        datapipe: Any,
        sampler: Any = SequentialSampler,
        sampler_args: tuple[Any, ...] | None = None,
        sampler_kwargs: dict[str, Any] | None = None,
    ) -> None:
        named = {**(sampler_kwargs or {}), "data_source": datapipe}
        self.datapipe, self.sampler = datapipe, sampler(*(sampler_args or ()), **named)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.sampler)

    def __len__(self) -> int:
        return len(self.sampler)


# ---------------------------------------------------------------- one sample after another


def _chosen(x: Any, column: Any) -> tuple[Any, ...]:
    """What a function is called with: the sample, or some of its columns."""
    if column is None:
        return (x,)
    return tuple([x[c] for c in column]) if isinstance(column, (list, tuple)) else (x[column],)


@functional_datapipe("map")
class Mapper(IterDataPipe[Any]):
    """``fn`` of every sample, or of its columns ``input_col``; the result takes their place, or
    that of ``output_col`` (-1: behind all others).
    """

    def __init__(
        self,
        datapipe: Iterable[Any],
        fn: Callable[..., Any],
        input_col: Any = None,
        output_col: Any = None,
    ) -> None:
        if input_col is None and output_col is not None:
            raise ValueError("map: output_col says where columns go, so give input_col, too.")
        if isinstance(output_col, (list, tuple)):
            if len(output_col) != 1:
                raise ValueError(f"map: output_col must be a single column, not {output_col}")
            (output_col,) = output_col
        self.datapipe, self.fn = datapipe, fn
        self.input_col, self.output_col = input_col, output_col

    def __iter__(self) -> Iterator[Any]:
        return map(self._apply, self.datapipe)

    def _apply(self, x: Any) -> Any:
        result = self.fn(*_chosen(x, self.input_col))
        if self.input_col is None:
            return result
        several = isinstance(self.input_col, (list, tuple))
        sample = list(x) if isinstance(x, tuple) else copy.copy(x)
        if self.output_col == -1:
            sample.append(result)
        elif self.output_col is not None:
            sample[self.output_col] = result
        else:
            first, *others = self.input_col if several else [self.input_col]
            sample[first] = result
            for c in sorted(others, reverse=True):
                del sample[c]
        return tuple(sample) if isinstance(x, tuple) else sample

    def __len__(self) -> int:
        return len(self.datapipe)  # type: ignore[arg-type]


@functional_datapipe("collate")
class Collator(Mapper):
    """Batches as tensors."""

    def __init__(
        self,
        datapipe: Iterable[Any],
        conversion: Callable[[Any], Any] = default_collate,
        collate_fn: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(datapipe, collate_fn or conversion)


@functional_datapipe("filter")
class Filter(IterDataPipe[Any]):
    """The samples that ``filter_fn`` is true of, or of whose columns ``input_col`` it is."""

    def __init__(
        self, datapipe: Iterable[Any], filter_fn: Callable[..., Any], input_col: Any = None
    ) -> None:
        self.datapipe, self.filter_fn, self.input_col = datapipe, filter_fn, input_col

    def __iter__(self) -> Iterator[Any]:
        return (x for x in self.datapipe if self.filter_fn(*_chosen(x, self.input_col)))


@functional_datapipe("shuffle")
class Shuffler(Shuffled, IterDataPipe[Any]):
    """Samples in another order: each is drawn from a buffer of ``buffer_size``."""

    def __init__(self, datapipe: Any, *, buffer_size: int = 10000, unbatch_level: int = 0) -> None:
        assert buffer_size > 0, f"shuffle: buffer_size should be larger than 0, not {buffer_size}"
        self.datapipe = datapipe.unbatch(unbatch_level) if unbatch_level else datapipe
        self.buffer_size = buffer_size

    def __iter__(self) -> Iterator[Any]:
        return self._drawn() if self.enabled else iter(self.datapipe)

    def _drawn(self) -> Iterator[Any]:
        generator, buffer = self.generator(), []
        for x in self.datapipe:
            if len(buffer) == self.buffer_size:
                at = generator.randrange(len(buffer))
                buffer[at], x = x, buffer[at]
                yield x
            else:
                buffer.append(x)
        while buffer:
            yield buffer.pop(generator.randrange(len(buffer)))

    def __len__(self) -> int:
        return len(self.datapipe)


@functional_datapipe("sharding_filter")
class ShardingFilter(IterDataPipe[Any]):
    """Every ``num_of_instances``-th sample, from ``instance_id`` on, as ``apply_sharding`` says;
    before, all samples, or in a loader's worker its share.
    """

    num_of_instances, instance_id = 1, 0

    def __init__(self, source_datapipe: Any, sharding_group_filter: Any = None) -> None:
        self.source_datapipe = source_datapipe

    def apply_sharding(self, num_of_instances: int, instance_id: int, *group: Any) -> None:
        """Say how many share the samples, and which of them this is."""
        if not 0 <= instance_id < num_of_instances:
            raise ValueError(
                f"instance_id({instance_id}) should be smaller than num_of_instances"
                f"({num_of_instances}), and not negative"
            )
        self.num_of_instances, self.instance_id = num_of_instances, instance_id

    def __iter__(self) -> Iterator[Any]:
        first, step = self._share()
        return itertools.islice(self.source_datapipe, first, None, step)

    def __len__(self) -> int:
        first, step = self._share()
        return len(range(first, len(self.source_datapipe), step))

    def _share(self) -> tuple[int, int]:
        worker = get_worker_info()
        if worker is None or self.num_of_instances > 1:
            return self.instance_id, self.num_of_instances
        return worker.id, worker.num_workers


# ---------------------------------------------------------------- groups of samples


@functional_datapipe("batch")
class Batcher(IterDataPipe[Any]):
    """Lists of ``batch_size`` samples; the last may be shorter unless ``drop_last``."""

    def __init__(
        self,
        datapipe: Any,
        batch_size: int,
        drop_last: bool = False,
        wrapper_class: Any = DataChunk,
    ) -> None:
        assert batch_size > 0, f"batch: batch_size should be larger than 0, not {batch_size}"
        self.datapipe, self.batch_size, self.drop_last = datapipe, batch_size, drop_last
        self.wrapper_class = wrapper_class

    def __iter__(self) -> Iterator[Any]:
        stream = iter(self.datapipe)
        while chunk := list(itertools.islice(stream, self.batch_size)):
            if len(chunk) == self.batch_size or not self.drop_last:
                yield self.wrapper_class(chunk)

    def __len__(self) -> int:
        whole, rest = divmod(len(self.datapipe), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)


@functional_datapipe("unbatch")
class UnBatcher(IterDataPipe[Any]):
    """The samples of every batch, ``unbatch_level`` levels of lists deep (-1: all)."""

    def __init__(self, datapipe: Iterable[Any], unbatch_level: int = 1) -> None:
        if unbatch_level < -1:
            raise ValueError(f"unbatch_level must be -1 or >= 0, but is {unbatch_level}")
        self.datapipe, self.unbatch_level = datapipe, unbatch_level

    def __iter__(self) -> Iterator[Any]:
        return self._flat(self.datapipe, self.unbatch_level)

    def _flat(self, items: Iterable[Any], level: int) -> Iterator[Any]:
        for x in items:
            if level and isinstance(x, list):
                yield from self._flat(x, level - 1)
            elif level > 0:
                raise IndexError(
                    f"unbatch_level {self.unbatch_level} exceeds the depth of the DataPipe: {x!r} "
                    "is no list"
                )
            else:
                yield x


@functional_datapipe("groupby")
class Grouper(IterDataPipe[Any]):
    """Lists of samples with the same key: a group leaves when it has ``group_size`` samples, or as
    the largest when ``buffer_size`` samples wait; the rest leaves at the end.

    Args:
        datapipe: the samples.
        group_key_fn: the key of a sample.
        keep_key: yield pairs of key and list.
        buffer_size: samples that may wait; 0: all.
        group_size: samples of a full group; None: as many as there are.
        guaranteed_group_size: RuntimeError where a smaller group would leave a full buffer;
            default ``group_size``.
        drop_remaining: drop those smaller groups instead.
    """

    def __init__(
        self,
        datapipe: Iterable[Any],
        group_key_fn: Callable[[Any], Any],
        *,
        keep_key: bool = False,
        buffer_size: int = 10000,
        group_size: int | None = None,
        guaranteed_group_size: int | None = None,
        drop_remaining: bool = False,
    ) -> None:
        if group_size is not None:
            assert 0 < group_size <= buffer_size, "group_size must be > 0 and <= buffer_size"
        if guaranteed_group_size is not None:
            assert group_size is not None and 0 < guaranteed_group_size <= group_size, (
                "guaranteed_group_size must be > 0 and <= group_size, which must be set"
            )
        self.datapipe, self.group_key_fn, self.keep_key = datapipe, group_key_fn, keep_key
        self.buffer_size, self.group_size = buffer_size, group_size
        self.least = guaranteed_group_size or group_size or 0
        self.drop_remaining = drop_remaining

    def __iter__(self) -> Iterator[Any]:
        groups: dict[Any, list[Any]] = {}
        waiting = 0
        for x in self.datapipe:
            key = self.group_key_fn(x)
            groups.setdefault(key, []).append(x)
            waiting += 1
            full = len(groups[key]) == self.group_size
            if full or waiting == self.buffer_size:
                key = key if full else max(groups, key=lambda k: len(groups[k]))
                group = groups.pop(key)
                waiting -= len(group)
                if full or self._large_enough(group):
                    yield self._group(key, group)
        for key, group in groups.items():
            yield self._group(key, group)

    def _large_enough(self, group: list[Any]) -> bool:
        if len(group) < self.least and not self.drop_remaining:
            raise RuntimeError(
                f"Failed to group items: {self.buffer_size} samples wait, and the largest group "
                f"has {len(group)} of at least {self.least}. Make buffer_size larger?"
            )
        return len(group) >= self.least

    def _group(self, key: Any, group: list[Any]) -> Any:
        chunk = DataChunk(group)
        return (key, chunk) if self.keep_key else chunk


# ---------------------------------------------------------------- several pipes


@functional_datapipe("concat")
class Concater(IterDataPipe[Any]):
    """One pipe after the other."""

    def __init__(self, *datapipes: Any) -> None:
        self.datapipes = datapipes

    def __iter__(self) -> Iterator[Any]:
        return itertools.chain(*self.datapipes)

    def __len__(self) -> int:
        return sum(map(len, self.datapipes))


@functional_datapipe("zip")
class Zipper(IterDataPipe[Any]):
    """Tuples with a sample of each pipe, until the shortest ends."""

    def __init__(self, *datapipes: Any) -> None:
        self.datapipes = datapipes

    def __iter__(self) -> Iterator[Any]:
        return zip(*self.datapipes, strict=False)

    def __len__(self) -> int:
        return min(map(len, self.datapipes))


@functional_datapipe("mux")
class Multiplexer(Zipper):
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


def Forker(
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


COPIES = {"shallow": copy.copy, "deep": copy.deepcopy}


def Demultiplexer(
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


IterDataPipe.register_function("fork", Forker)
IterDataPipe.register_function("demux", Demultiplexer)


# ---------------------------------------------------------------- files


@functional_datapipe("list_files")
class FileLister(IterDataPipe[str]):
    """The paths of files in folders, sorted by name within each.

    Args:
        root: a folder, or an iterable of them.
        masks: patterns such as ``"*.txt"``, one of which the file's name fits; empty: all.
        recursive: also folders within.
        abspath: paths from the root of the file system.
        non_deterministic: accepted; the order is always the same.
        length: what ``len`` says; -1: TypeError.
    """

    def __init__(
        self,
        root: Any = ".",
        masks: str | list[str] = "",
        *,
        recursive: bool = False,
        abspath: bool = False,
        non_deterministic: bool = False,
        length: int = -1,
    ) -> None:
        self.roots = [root] if isinstance(root, (str, os.PathLike)) else root
        self.masks = [masks] if isinstance(masks, str) else masks
        self.recursive, self.abspath, self.length = recursive, abspath, length

    def __iter__(self) -> Iterator[str]:
        for root in self.roots:
            for folder, folders, names in os.walk(root):
                folders[:] = sorted(folders) if self.recursive else []
                for name in sorted(names):
                    if any(not mask or fnmatch.fnmatch(name, mask) for mask in self.masks or [""]):
                        path = os.path.join(folder, name)
                        yield os.path.abspath(path) if self.abspath else path

    def __len__(self) -> int:
        return _told(self)


@functional_datapipe("open_files")
class FileOpener(IterDataPipe[tuple[str, Any]]):
    """Pairs of path and open file.

    Args:
        datapipe: paths.
        mode: as of ``open``; "t" and "b" are "rt" and "rb".
        encoding: of text.
        length: what ``len`` says; -1: TypeError.
    """

    def __init__(
        self,
        datapipe: Iterable[str],
        mode: str = "r",
        encoding: str | None = None,
        length: int = -1,
    ) -> None:
        if mode not in ("r", "t", "b", "rt", "rb", "tr", "br"):
            raise ValueError(f"Invalid mode {mode!r}: files are read, so it is 'r', 't' or 'b'.")
        if "b" in mode and encoding is not None:
            raise ValueError("FileOpener: binary files have no encoding; leave it out.")
        self.datapipe, self.length = datapipe, length
        self.mode, self.encoding = "rb" if "b" in mode else "r", encoding

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return ((path, open(path, self.mode, encoding=self.encoding)) for path in self.datapipe)

    def __len__(self) -> int:
        return _told(self)


def _told(pipe: Any) -> int:
    if pipe.length == -1:
        raise TypeError(f"{pipe!r} has no length; give it one by length=")
    return pipe.length  # type: ignore[no-any-return]


@functional_datapipe("read_from_stream")
class StreamReader(IterDataPipe[tuple[str, Any]]):
    """Pairs of path and content, ``chunk`` characters or bytes at a time (None: all); files are
    closed then.
    """

    def __init__(self, datapipe: Iterable[tuple[str, Any]], chunk: int | None = None) -> None:
        self.datapipe, self.chunk = datapipe, chunk

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        for path, file in self.datapipe:
            with file:
                if self.chunk is None:
                    yield path, file.read()
                    continue
                while part := file.read(self.chunk):
                    yield path, part
