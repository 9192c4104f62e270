"""Streams in another order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rushlight.utils.data.datapipes.datapipe import IterDataPipe, functional_datapipe
from rushlight.utils.data.datapipes.order import Shuffled
from rushlight.utils.data.sampler import SequentialSampler


class SamplerIterDataPipe(IterDataPipe[Any]):
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


@functional_datapipe("shuffle")
class ShufflerIterDataPipe(Shuffled, IterDataPipe[Any]):
    """Samples in another order: each is drawn from a buffer of ``buffer_size``."""

    def __init__(self, datapipe: Any, *, buffer_size: int = 10000, unbatch_level: int = 0) -> None:
        assert buffer_size > 0, f"shuffle: buffer_size should be larger than 0, not {buffer_size}"
        self.datapipe = datapipe.unbatch(unbatch_level) if unbatch_level else datapipe
        self.buffer_size = buffer_size

    def __iter__(self) -> Iterator[Any]:
        return self._drawn() if self._shuffle_enabled else iter(self.datapipe)

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
