"""Datasets: indexed (``Dataset``), streamed (``IterableDataset``), and how they combine."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from rushlight import dtypes, tensor_api as rl
from rushlight.errors import warn_user

INT64 = dtypes.by_name["int64"]

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")

# Note [Whole batches]
# A dataset whose samples lie in memory may define `_batch(indices)`: what `default_collate` would
# make of these samples, in one step, or None when this object cannot say. The loader asks for it
# through `whole_batch`, which ignores a `_batch` inherited by a class that redefines what a sample
# is.


class Dataset(Generic[T_co]):
    """Samples found by index; subclasses write ``__getitem__`` and usually ``__len__``.

    A subclass may also write ``__getitems__(indices)``, which returns a list of samples; a
    ``DataLoader`` then asks for a batch at once.

    Example:
        >>> class Squares(Dataset):
        ...     def __len__(self): return 4
        ...     def __getitem__(self, i): return i * i
        >>> Squares()[3]
        9
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__(index); write one.")

    def __add__(self, other: Dataset[T_co]) -> ConcatDataset[T_co]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co], Iterable[T_co]):
    """Samples that come as a stream; subclasses write ``__iter__``.

    Each worker process of a ``DataLoader`` gets a copy; use ``get_worker_info()`` in ``__iter__``
    to give each its own part.

    Example:
        >>> class Count(IterableDataset):
        ...     def __iter__(self): return iter(range(3))
        >>> list(Count())
        [0, 1, 2]
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__(); write one.")

    def __add__(self, other: Dataset[T_co]) -> ChainDataset:  # type: ignore[override]
        return ChainDataset([self, other])


def whole_batch(dataset: Any, indices: Sequence[int]) -> Any:
    """The collated batch, gathered in one step, or None. See Note [Whole batches]."""
    for cls in type(dataset).__mro__:
        names = cls.__dict__
        if "_batch" in names:
            return dataset._batch(indices)
        if "__getitem__" in names or "__getitems__" in names:
            return None
    return None


class TensorDataset(Dataset[tuple[Any, ...]]):
    """Sample ``i`` is ``(t[i] for t in tensors)``.

    Args:
        tensors: at least one; all with the same size along dimension 0.

    Example:
        >>> data = TensorDataset(rl.zeros(3, 2), rl.arange(3))
        >>> data[1]
        (tensor([0., 0.]), tensor(1))
    """

    def __init__(self, *tensors: Any) -> None:
        sizes = [tensor.size(0) for tensor in tensors]
        if len(set(sizes)) > 1:
            raise AssertionError(
                f"TensorDataset: Size mismatch between tensors: dimension 0 has sizes {sizes}; "
                "every tensor needs one entry per sample."
            )
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return int(self.tensors[0].size(0))

    def _batch(self, indices: Sequence[int]) -> list[Any]:
        index = rl.tensor(indices, dtype=INT64)
        return [tensor[index] for tensor in self.tensors]


class StackDataset(Dataset[Any]):
    """Sample ``i`` puts sample ``i`` of several datasets side by side.

    Args:
        args: datasets of one length; samples are tuples.
        kwargs: or named datasets of one length; samples are dicts.

    Example:
        >>> StackDataset(x=range(3), y="abc")[2]
        {'x': 2, 'y': 'c'}
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args and kwargs:
            raise ValueError(
                "StackDataset: got positional and named datasets; give all by position (samples "
                "are tuples) or all by name (samples are dicts)."
            )
        self.datasets: Any = args or kwargs
        if not self.datasets:
            raise ValueError("StackDataset: got no dataset; give at least one.")
        lengths = [len(part) for part in self._parts()]
        if len(set(lengths)) > 1:
            raise ValueError(f"StackDataset: Size mismatch between datasets: lengths {lengths}.")
        self._length = lengths[0]

    def _parts(self) -> list[Any]:
        return list(self.datasets.values() if isinstance(self.datasets, dict) else self.datasets)

    def _join(self, values: Iterable[Any]) -> Any:
        if isinstance(self.datasets, dict):
            return dict(zip(self.datasets, values, strict=True))
        return tuple(values)

    def __getitem__(self, index: Any) -> Any:
        return self._join(part[index] for part in self._parts())

    def __getitems__(self, indices: list[int]) -> list[Any]:
        columns = [samples_of(part, indices) for part in self._parts()]
        for part, column in zip(self._parts(), columns, strict=True):
            if len(column) != len(indices):
                raise ValueError(
                    f"StackDataset: {type(part).__name__}.__getitems__ returned {len(column)} "
                    f"samples for {len(indices)} indices."
                )
        return [self._join(row) for row in zip(*columns, strict=True)]

    def __len__(self) -> int:
        return self._length

    def _batch(self, indices: Sequence[int]) -> Any:
        columns = [whole_batch(part, indices) for part in self._parts()]
        if any(column is None for column in columns):
            return None
        joined = self._join(columns)
        return list(joined) if isinstance(joined, tuple) else joined


def samples_of(dataset: Any, indices: Sequence[int]) -> Any:
    """Several samples, through ``__getitems__`` where the dataset has it."""
    if callable(several := getattr(dataset, "__getitems__", None)):
        return several(indices)
    return [dataset[index] for index in indices]


class ConcatDataset(Dataset[T_co]):
    """The samples of several datasets, one dataset after the other.

    Args:
        datasets: indexed datasets, at least one.

    Example:
        >>> ConcatDataset([range(3), range(10, 12)])[-1]
        11
    """

    datasets: list[Any]
    cumulative_sizes: list[int]

    @staticmethod
    def cumsum(sequence: Iterable[Any]) -> list[int]:
        return list(itertools.accumulate(len(part) for part in sequence))

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("ConcatDataset: got no dataset; give at least one.")
        for part in self.datasets:
            if isinstance(part, IterableDataset):
                raise AssertionError(
                    f"ConcatDataset: {type(part).__name__} is an IterableDataset, which has no "
                    "indices; use ChainDataset."
                )
        self.cumulative_sizes = self.cumsum(self.datasets)

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, idx: int) -> Any:
        if idx < 0:
            if -idx > len(self):
                raise ValueError(
                    f"ConcatDataset: index {idx} is out of range for {len(self)} samples."
                )
            idx += len(self)
        which = bisect.bisect_right(self.cumulative_sizes, idx)
        if which == len(self.datasets):
            raise IndexError(f"ConcatDataset: index {idx} is out of range for {len(self)} samples.")
        before = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][idx - before]


class ChainDataset(IterableDataset[Any]):
    """The samples of several streams, one stream after the other.

    Args:
        datasets: ``IterableDataset`` objects; may itself be a stream of them.

    Example:
        >>> class Letters(IterableDataset):
        ...     def __iter__(self): return iter("ab")
        >>> list(ChainDataset([Letters(), Letters()]))
        ['a', 'b', 'a', 'b']
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = datasets

    def _streams(self) -> Iterator[Any]:
        for part in self.datasets:
            if not isinstance(part, IterableDataset):
                raise AssertionError(
                    f"ChainDataset: {type(part).__name__} is not an IterableDataset; "
                    "use ConcatDataset for indexed datasets."
                )
            yield part

    def __iter__(self) -> Iterator[Any]:
        for part in self._streams():
            yield from part

    def __len__(self) -> int:
        return sum(len(part) for part in self._streams())  # type: ignore[arg-type]


class Subset(Dataset[T_co]):
    """Samples of ``dataset`` at ``indices``.

    Example:
        >>> list(Subset("abcdef", [4, 0]))
        ['e', 'a']
    """

    dataset: Any
    indices: Sequence[int]

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, idx: Any) -> Any:
        if isinstance(idx, list):
            return self.dataset[[self.indices[i] for i in idx]]
        return self.dataset[self.indices[idx]]

    def __getitems__(self, indices: list[int]) -> Any:
        return samples_of(self.dataset, [self.indices[i] for i in indices])

    def __len__(self) -> int:
        return len(self.indices)

    def _batch(self, indices: Sequence[int]) -> Any:
        return whole_batch(self.dataset, [self.indices[i] for i in indices])


def random_split(
    dataset: Any, lengths: Sequence[int | float], generator: Any = None
) -> list[Subset[Any]]:
    """Splits a dataset at random into parts that share no sample.

    Args:
        dataset: what to split.
        lengths: samples per part, which sum to ``len(dataset)``; or fractions in [0, 1] that sum to
            1, of which each part gets ``floor(fraction * len(dataset))`` samples, and the first
            parts one more each until none is left.
        generator: source of the permutation; None is the default generator.

    Example:
        >>> [len(part) for part in random_split(range(10), [0.75, 0.25])]
        [8, 2]
    """
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        lengths = _sizes(len(dataset), lengths)
    if sum(lengths) != len(dataset):
        raise ValueError(
            f"random_split: lengths {list(lengths)} sum to {sum(lengths)}; the sum must equal "
            f"len(dataset), {len(dataset)}. For fractions, give a sum of 1."
        )
    device = None if generator is None else generator.device
    order = rl.randperm(int(sum(lengths)), generator=generator, device=device).tolist()
    ends = itertools.accumulate(lengths)
    return [
        Subset(dataset, order[int(end - length) : int(end)])
        for end, length in zip(ends, lengths, strict=True)
    ]


def _sizes(total: int, fractions: Sequence[float]) -> list[int]:
    for i, fraction in enumerate(fractions):
        if not 0 <= fraction <= 1:
            raise ValueError(f"random_split: Fraction at index {i} is {fraction}, not in [0, 1].")
    sizes = [math.floor(total * fraction) for fraction in fractions]
    for i in range(total - sum(sizes)):
        sizes[i % len(sizes)] += 1
    for i, size in enumerate(sizes):
        if size == 0:
            warn_user(f"Length of split at index {i} is 0. This might result in an empty dataset.")
    return sizes
