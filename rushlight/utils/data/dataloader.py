"""``DataLoader``: arguments, their checks, and what an iteration is made of."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from rushlight.core.state import modes
from rushlight.errors import warn_user
from rushlight.utils.data.collate import default_collate, default_convert
from rushlight.utils.data.dataset import Dataset, IterableDataset
from rushlight.utils.data.fetch import _DatasetKind
from rushlight.utils.data.iterators import LoaderIterator, SingleProcessIterator, WorkerIterator
from rushlight.utils.data.sampler import (
    BatchSampler,
    InfiniteSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
)
from rushlight.utils.data.worker import get_worker_info

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

T, T_co = TypeVar("T"), TypeVar("T_co", covariant=True)
_collate_fn_t, _worker_init_fn_t = Callable[[list[T]], Any], Callable[[int], None]
FIXED = {"batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"}

# PyTorch's names, by which libraries know them, and which programs print
_BaseDataLoaderIter = LoaderIterator
_SingleProcessDataLoaderIter = SingleProcessIterator
_MultiProcessingDataLoaderIter = WorkerIterator
for _kind, _name in (
    (LoaderIterator, "_BaseDataLoaderIter"),
    (SingleProcessIterator, "_SingleProcessDataLoaderIter"),
    (WorkerIterator, "_MultiProcessingDataLoaderIter"),
):
    _kind.__module__, _kind.__name__, _kind.__qualname__ = __name__, _name, _name


class DataLoader(Generic[T_co]):
    """Batches of a dataset, in order or shuffled, loaded here or by worker processes.

    Each pass draws one seed from ``generator``; worker ``i`` seeds rushlight and ``random`` with
    that seed + i, and NumPy with a value derived from both. Batches of a ``TensorDataset`` (or a
    ``Subset`` of one) are gathered in one step.

    Args:
        dataset: indexed (``__getitem__``, ``__len__``) or an ``IterableDataset``.
        batch_size: samples per batch, >= 1; None yields single samples.
        shuffle: visit the samples in random order.
        sampler: the order, an iterable of indices; excludes ``shuffle``.
        batch_sampler: an iterable of lists of indices; excludes the previous three and
            ``drop_last``.
        num_workers: worker processes, >= 0; 0 loads in this process.
        collate_fn: from a list of samples to a batch; default ``default_collate``.
        pin_memory: accepted; batches are in ordinary memory.
        drop_last: leave out a last batch that is shorter.
        timeout: seconds to wait for a worker's batch; 0 waits for ever.
        worker_init_fn: called with the worker's id at its start.
        multiprocessing_context: "fork", "spawn", "forkserver" or a context; default Python's own.
        generator: source of shuffling and seeds; None is the default generator.
        prefetch_factor: batches under way per worker, >= 0; default 2.
        persistent_workers: keep the workers from one pass to the next.
        pin_memory_device: accepted.
        in_order: hand out batches in the sampler's order; False takes whichever is ready.

    Example:
        >>> [batch.tolist() for batch in DataLoader(range(5), batch_size=2)]
        [[0, 1], [2, 3], [4]]
    """

    _iterator: LoaderIterator | None = None
    _IterableDataset_len_called: int | None = None
    _initialized = False

    def __init__(
        self,
        dataset: Dataset[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler[Any] | Iterable[Any] | None = None,
        batch_sampler: Sampler[list[Any]] | Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        if num_workers > 0 and prefetch_factor is None:
            prefetch_factor = 2
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.in_order = in_order
        self.persistent_workers = persistent_workers

        streams = isinstance(dataset, IterableDataset)
        self._dataset_kind = _DatasetKind.Iterable if streams else _DatasetKind.Map
        if streams:
            _check_stream(shuffle, sampler, batch_sampler)
        _check_batching(batch_size, bool(shuffle), sampler, batch_sampler, drop_last)
        if batch_sampler is not None:
            batch_size, drop_last = None, False
        if sampler is None:
            if streams:
                sampler = InfiniteSampler()
            elif shuffle:
                sampler = RandomSampler(dataset, generator=generator)  # type: ignore[arg-type]
            else:
                sampler = SequentialSampler(dataset)  # type: ignore[arg-type]
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.generator = generator
        if collate_fn is None:
            collate_fn = default_collate if self._auto_collation else default_convert
        self.collate_fn = collate_fn
        self._initialized = True
        self.check_worker_number_rationality()

    @property
    def multiprocessing_context(self) -> Any:
        """How worker processes start: a context object, or None for Python's default."""
        return self._context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context: Any) -> None:
        self._context = context if context is None else _context(context, self.num_workers)

    def __setattr__(self, name: str, value: Any) -> None:
        if self._initialized and name in FIXED:
            raise ValueError(
                f"DataLoader: {name} attribute should not be set after DataLoader is initialized; "
                "make a new one."
            )
        super().__setattr__(name, value)

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def _get_iterator(self) -> LoaderIterator:
        if self.num_workers == 0:
            if self.timeout > 0:
                raise AssertionError(
                    f"DataLoader: timeout is {self.timeout}, but without worker processes nothing "
                    "is waited for: set num_workers > 0, or leave timeout out."
                )
            return SingleProcessIterator(self)
        self.check_worker_number_rationality()
        return WorkerIterator(self)

    def __iter__(self) -> Iterator[Any]:
        if modes.trace is not None:
            modes.trace.fail("it goes through a DataLoader", "compile what is done with one batch")
        if not (self.persistent_workers and self.num_workers > 0):
            return self._get_iterator()
        if isinstance(self._iterator, WorkerIterator) and self._iterator._workers:
            self._iterator.reset(self)
        else:
            self._iterator = self._get_iterator()
        return self._iterator

    def __len__(self) -> int:
        if not isinstance(self.dataset, IterableDataset):
            return len(self._index_sampler)
        length = self._IterableDataset_len_called = len(self.dataset)  # type: ignore[arg-type]
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else -(-length // self.batch_size)

    def check_worker_number_rationality(self) -> None:
        """Warns if there are more workers than processors."""
        if hasattr(os, "sched_getaffinity"):
            processors = len(os.sched_getaffinity(0))
        else:
            processors = os.cpu_count() or 1
        if self.num_workers > processors:
            warn_user(
                f"This DataLoader will create {self.num_workers} worker processes in total, but "
                f"this process may use {processors} processors. That many workers can be slow or "
                "even freeze; lower num_workers if so."
            )


def _check_workers(
    num_workers: int, timeout: float, prefetch_factor: int | None, persistent_workers: bool
) -> None:
    if num_workers < 0:
        raise ValueError(
            f"DataLoader: num_workers is {num_workers}; it must be >= 0 (0 loads in this process)."
        )
    if timeout < 0:
        raise ValueError(f"DataLoader: timeout is {timeout}; it must be >= 0 seconds.")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError(
            "DataLoader: prefetch_factor is for worker processes: set num_workers > 0, or leave it "
            "out."
        )
    if prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError(
            f"DataLoader: prefetch_factor is {prefetch_factor}; it must be >= 0 batches."
        )
    if persistent_workers and num_workers == 0:
        raise ValueError("DataLoader: persistent_workers=True needs num_workers > 0.")


def _check_stream(shuffle: Any, sampler: Any, batch_sampler: Any) -> None:
    given = {"shuffle": shuffle or None, "sampler": sampler, "batch_sampler": batch_sampler}
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"DataLoader with IterableDataset: {name} is {value!r}, but a stream comes "
                "in its own order; leave it out."
            )


def _check_batching(
    batch_size: Any, shuffle: bool, sampler: Any, batch_sampler: Any, drop_last: Any
) -> None:
    if sampler is not None and shuffle:
        raise ValueError("DataLoader: sampler is an order already, so it excludes shuffle=True.")
    if batch_sampler is not None:
        if batch_size != 1 or shuffle or sampler is not None or drop_last:
            raise ValueError(
                "DataLoader: batch_sampler decides alone, so it excludes batch_size, shuffle, "
                "sampler and drop_last."
            )
    elif batch_size is None and drop_last:
        raise ValueError(
            "DataLoader: batch_size=None yields single samples, so there is no last batch to drop: "
            "leave drop_last out."
        )


def _context(context: Any, num_workers: int) -> Any:
    import multiprocessing
    import multiprocessing.context

    if num_workers == 0:
        raise ValueError(
            "DataLoader: multiprocessing_context is for worker processes, but num_workers is 0."
        )
    if isinstance(context, str):
        methods = multiprocessing.get_all_start_methods()
        if context not in methods:
            raise ValueError(
                f"DataLoader: multiprocessing_context is {context!r}; it may be one of "
                f"{methods} here."
            )
        return multiprocessing.get_context(context)
    if not isinstance(context, multiprocessing.context.BaseContext):
        raise TypeError(
            f"DataLoader: multiprocessing_context is {context!r}; give a context of "
            "multiprocessing, or the name of a start method."
        )
    return context
