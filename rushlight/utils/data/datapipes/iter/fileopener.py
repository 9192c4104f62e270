"""Files that are opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rushlight.utils.data.datapipes.datapipe import IterDataPipe, functional_datapipe
from rushlight.utils.data.datapipes.iter.filelister import told


@functional_datapipe("open_files")
class FileOpenerIterDataPipe(IterDataPipe[tuple[str, Any]]):
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
            raise ValueError("FileOpenerIterDataPipe: binary files have no encoding; leave it out.")
        self.datapipe, self.length = datapipe, length
        self.mode, self.encoding = "rb" if "b" in mode else "r", encoding

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return ((path, open(path, self.mode, encoding=self.encoding)) for path in self.datapipe)

    def __len__(self) -> int:
        return told(self)
