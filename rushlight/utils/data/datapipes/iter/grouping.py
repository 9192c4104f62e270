"""Streams of groups of samples, and of the samples in groups."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rushlight.utils.data.datapipes.datapipe import DataChunk, IterDataPipe, functional_datapipe


@functional_datapipe("batch")
class BatcherIterDataPipe(IterDataPipe[Any]):
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
class UnBatcherIterDataPipe(IterDataPipe[Any]):
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
class GrouperIterDataPipe(IterDataPipe[Any]):
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
