"""Streams of what a function makes of samples."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rushlight.utils.data.collate import default_collate
from rushlight.utils.data.datapipes.datapipe import IterDataPipe, functional_datapipe


def chosen(x: Any, column: Any) -> tuple[Any, ...]:
    """What a function is called with: the sample, or some of its columns."""
    if column is None:
        return (x,)
    return tuple([x[c] for c in column]) if isinstance(column, (list, tuple)) else (x[column],)


@functional_datapipe("map")
class MapperIterDataPipe(IterDataPipe[Any]):
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
        result = self.fn(*chosen(x, self.input_col))
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
class CollatorIterDataPipe(MapperIterDataPipe):
    """Batches as tensors."""

    def __init__(
        self,
        datapipe: Iterable[Any],
        conversion: Callable[[Any], Any] = default_collate,
        collate_fn: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(datapipe, collate_fn or conversion)
