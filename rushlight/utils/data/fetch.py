"""From an index, or a list of indices, to data: the part that runs in worker processes too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rushlight.utils.data.collate import default_collate
from rushlight.utils.data.dataset import samples_of, whole_batch

Fetch = Callable[[Any], Any]


class _DatasetKind:
    """What a loader's ``_dataset_kind`` says of its data set."""

    Map, Iterable = 0, 1


def make_fetch(
    dataset: Any, kind: int, batched: bool, collate: Callable[[Any], Any], drop_last: bool
) -> Fetch:
    """A function from what the index sampler yields to what the loader yields.

    Args:
        dataset: indexed or a stream. A stream is started here, once.
        kind: which of them, of `_DatasetKind`.
        batched: an index is a list of indices.
        collate: from samples to a batch, or from one sample to the result.
        drop_last: a stream's last, shorter batch is left out.
    """
    if kind == _DatasetKind.Iterable:
        return _stream_fetch(iter(dataset), batched, collate, drop_last)
    if not batched:
        return lambda index: collate(dataset[index])
    if collate is default_collate:

        def gather(indices: Any) -> Any:
            batch = whole_batch(dataset, indices)
            return collate(samples_of(dataset, indices)) if batch is None else batch

        return gather
    return lambda indices: collate(samples_of(dataset, indices))


def _stream_fetch(
    stream: Iterator[Any], batched: bool, collate: Callable[[Any], Any], drop_last: bool
) -> Fetch:
    """Raises StopIteration when the stream has ended."""
    if not batched:
        return lambda _: collate(next(stream))
    ended = False

    def fetch(slots: list[Any]) -> Any:
        nonlocal ended
        samples = []
        while not ended and len(samples) < len(slots):
            try:
                samples.append(next(stream))
            except StopIteration:
                ended = True
        if not samples or (drop_last and len(samples) < len(slots)):
            raise StopIteration
        return collate(samples)

    return fetch
