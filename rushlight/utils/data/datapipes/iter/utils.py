"""Streams of what is not a pipe."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

from rushlight.utils.data.datapipes.datapipe import IterDataPipe


class IterableWrapperIterDataPipe(IterDataPipe[Any]):
    """An iterable as a pipe: a copy of it in each pass, unless ``deepcopy`` is False.

    Example:
        >>> list(IterableWrapperIterDataPipe(range(4)).map(str).batch(3))
        [['0', '1', '2'], ['3']]
    """

    def __init__(self, iterable: Iterable[Any], deepcopy: bool = True) -> None:
        self.iterable, self.deepcopy = iterable, deepcopy

    def __iter__(self) -> Iterator[Any]:
        return iter(copy.deepcopy(self.iterable) if self.deepcopy else self.iterable)

    def __len__(self) -> int:
        return len(self.iterable)  # type: ignore[arg-type]
