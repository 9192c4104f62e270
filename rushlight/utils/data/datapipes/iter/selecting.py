"""Streams of some of the samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rushlight.utils.data.datapipes.datapipe import IterDataPipe, functional_datapipe
from rushlight.utils.data.datapipes.iter.callable import chosen


@functional_datapipe("filter")
class FilterIterDataPipe(IterDataPipe[Any]):
    """The samples that ``filter_fn`` is true of, or of whose columns ``input_col`` it is."""

    def __init__(
        self, datapipe: Iterable[Any], filter_fn: Callable[..., Any], input_col: Any = None
    ) -> None:
        self.datapipe, self.filter_fn, self.input_col = datapipe, filter_fn, input_col

    def __iter__(self) -> Iterator[Any]:
        return (x for x in self.datapipe if self.filter_fn(*chosen(x, self.input_col)))
