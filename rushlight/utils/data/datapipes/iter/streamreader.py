"""What files that are open hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rushlight.utils.data.datapipes.datapipe import IterDataPipe, functional_datapipe


@functional_datapipe("read_from_stream")
class StreamReaderIterDataPipe(IterDataPipe[tuple[str, Any]]):
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
