"""Images, or other files, sorted into one folder per class."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rushlight.vision.datasets.base import Transform, VisionDataset
from rushlight.vision.images import pillow

IMG_EXTENSIONS = (
    ".jpg",
    ".jpeg",
    ".png",
    ".ppm",
    ".bmp",
    ".pgm",
    ".tif",
    ".tiff",
    ".webp",
)


def has_file_allowed_extension(filename: str, extensions: str | tuple[str, ...]) -> bool:
    """Whether the name ends, in capitals or not, in one of ``extensions``."""
    return filename.lower().endswith(extensions)


def is_image_file(filename: str) -> bool:
    return has_file_allowed_extension(filename, IMG_EXTENSIONS)


def find_classes(directory: str | Path) -> tuple[list[str], dict[str, int]]:
    """The sorted names of the folders in ``directory``, and their numbers."""
    classes = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    if not classes:
        raise FileNotFoundError(
            f"Couldn't find any class folder in {directory}; it needs one folder per class."
        )
    return classes, {name: i for i, name in enumerate(classes)}


def make_dataset(
    directory: str | Path,
    class_to_idx: dict[str, int] | None = None,
    extensions: str | tuple[str, ...] | None = None,
    is_valid_file: Callable[[str], bool] | None = None,
    allow_empty: bool = False,
) -> list[tuple[str, int]]:
    """(path, class number) of every valid file, at any depth below its class's folder, sorted.

    Args:
        directory: folder of the classes' folders; ``~`` is the home folder.
        class_to_idx: numbers of the classes; default ``find_classes``.
        extensions: endings that make a file valid; excludes ``is_valid_file``.
        is_valid_file: whether the file of this path is valid.
        allow_empty: a class may be without files.
    """
    root = os.path.expanduser(directory)
    if class_to_idx is None:
        class_to_idx = find_classes(root)[1]
    elif not class_to_idx:
        raise ValueError("make_dataset: class_to_idx is empty; it must have at least one class.")
    if (extensions is None) == (is_valid_file is None):
        raise ValueError("make_dataset: give either extensions or is_valid_file, not both or none.")
    if is_valid_file is None:

        def is_valid_file(path: str) -> bool:
            return has_file_allowed_extension(path, extensions)  # type: ignore[arg-type]

    found = []
    for name in sorted(class_to_idx):
        for folder, _, files in sorted(os.walk(os.path.join(root, name), followlinks=True)):
            paths = [os.path.join(folder, file) for file in sorted(files)]
            found += [(path, class_to_idx[name]) for path in paths if is_valid_file(path)]
    empty = sorted(
        set(class_to_idx) - {n for n, i in class_to_idx.items() if i in {i for _, i in found}}
    )
    if empty and not allow_empty:
        known = f" Supported extensions are: {', '.join(extensions)}" if extensions else ""
        raise FileNotFoundError(f"Found no valid file for the classes {', '.join(empty)}.{known}")
    return found


class DatasetFolder(VisionDataset):
    """Files of ``root/CLASS/any/depth/name.ext``; a sample is (what ``loader`` returns, class
    number).

    Args:
        root: folder of the classes' folders.
        loader: function of a path.
        extensions: endings of the files to take; excludes ``is_valid_file``.
        transform: function of what ``loader`` returns.
        target_transform: function of the class number.
        is_valid_file: function of a path: whether to take the file.
        allow_empty: a class may be without files.

    Attributes:
        classes: names of the folders, sorted; ``class_to_idx`` gives their numbers.
        samples: list of (path, class number).
        targets: list of class numbers.
    """

    def __init__(
        self,
        root: str | Path,
        loader: Callable[[str], Any],
        extensions: tuple[str, ...] | None = None,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.classes, self.class_to_idx = self.find_classes(root)
        self.samples = self.make_dataset(
            root, self.class_to_idx, extensions, is_valid_file, allow_empty
        )
        self.loader = loader
        self.extensions = extensions
        self.targets = [target for _, target in self.samples]

    @staticmethod
    def make_dataset(
        directory: str | Path,
        class_to_idx: dict[str, int],
        extensions: tuple[str, ...] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> list[tuple[str, int]]:
        return make_dataset(directory, class_to_idx, extensions, is_valid_file, allow_empty)

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        return find_classes(directory)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[index]
        return self._transformed(self.loader(path), target)

    def __len__(self) -> int:
        return len(self.samples)


def default_loader(path: str) -> Any:
    """The image in a file, as RGB. Needs Pillow."""
    return stored_image(path, "RGB")


def stored_image(path: str, mode: str | None = None) -> Any:
    """The image in a file, in one of Pillow's modes; default the file's. Needs Pillow."""
    module = pillow()
    if module is None:
        raise ImportError(f"reading {path} needs Pillow: pip install Pillow")
    with module.open(path) as image:
        return image.convert(mode) if mode else image.copy()


pil_loader = default_loader


class ImageFolder(DatasetFolder):
    """Images of ``root/CLASS/any/depth/name.png`` and the like; a sample is (image, class number).

    Args:
        root: folder of the classes' folders.
        transform: function of the image.
        target_transform: function of the class number.
        loader: function of a path; the default needs Pillow and gives RGB images.
        is_valid_file: function of a path: whether to take the file; default by its ending.
        allow_empty: a class may be without files.
    """

    def __init__(
        self,
        root: str | Path,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        loader: Callable[[str], Any] = default_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        extensions = IMG_EXTENSIONS if is_valid_file is None else None
        super().__init__(
            root, loader, extensions, transform, target_transform, is_valid_file, allow_empty
        )
        self.imgs = self.samples
