"""Paths of files."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator
from typing import Any

from rushlight.utils.data.datapipes.datapipe import IterDataPipe, functional_datapipe


def told(pipe: Any) -> int:
    """The length that a pipe was given; TypeError where it was given none."""
    if pipe.length == -1:
        raise TypeError(f"{pipe!r} has no length; give it one by length=")
    return pipe.length  # type: ignore[no-any-return]


@functional_datapipe("list_files")
class FileListerIterDataPipe(IterDataPipe[str]):
    """The paths of files in folders, sorted by name within each.

    Args:
        root: a folder, or an iterable of them.
        masks: patterns such as ``"*.txt"``, one of which the file's name fits; empty: all.
        recursive: also folders within.
        abspath: paths from the root of the file system.
        non_deterministic: accepted; the order is always the same.
        length: what ``len`` says; -1: TypeError.
    """

    def __init__(
        self,
        root: Any = ".",
        masks: str | list[str] = "",
        *,
        recursive: bool = False,
        abspath: bool = False,
        non_deterministic: bool = False,
        length: int = -1,
    ) -> None:
        self.roots = [root] if isinstance(root, (str, os.PathLike)) else root
        self.masks = [masks] if isinstance(masks, str) else masks
        self.recursive, self.abspath, self.length = recursive, abspath, length

    def __iter__(self) -> Iterator[str]:
        for root in self.roots:
            for folder, folders, names in os.walk(root):
                folders[:] = sorted(folders) if self.recursive else []
                for name in sorted(names):
                    if any(not mask or fnmatch.fnmatch(name, mask) for mask in self.masks or [""]):
                        path = os.path.join(folder, name)
                        yield os.path.abspath(path) if self.abspath else path

    def __len__(self) -> int:
        return told(self)
