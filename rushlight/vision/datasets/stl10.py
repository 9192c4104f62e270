"""STL-10: photographs in ten classes, most of them without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rushlight.vision.datasets.base import Transform, VisionDataset
from rushlight.vision.datasets.utils import (
    check_integrity,
    download_and_extract_archive,
    verify_str_arg,
)
from rushlight.vision.images import image_of


class STL10(VisionDataset):
    """Photographs of 96 by 96 pixels.

    Args:
        root: folder that holds, or gets, ``stl10_binary``.
        split: "train" (5,000 images), "test" (8,000), "unlabeled" (100,000, of class -1), or
            "train+unlabeled".
        folds: one of ten parts of 1,000 training images, 0 to 9; default all.
        transform: function of the image.
        target_transform: function of the class number.
        download: fetch and unpack the archive if it is not there.

    Attributes:
        data: uint8 array (N, 3, 96, 96).
        labels: int64 array of class numbers.
        classes: their names.

    Reference: Coates et al., 2011, "An analysis of single-layer networks in unsupervised feature
    learning".
    """

    base_folder = "stl10_binary"
    url = "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz"
    filename = "stl10_binary.tar.gz"
    tgz_md5 = "91f7769df0f17e558f3565bffb0c7dfb"
    class_names_file = "class_names.txt"
    folds_list_file = "fold_indices.txt"
    train_list: ClassVar[list[list[Any]]] = [
        ["train_X.bin", "918c2871b30a85fa023e0c44e0bee87f"],
        ["train_y.bin", "5a34089d4802c674881badbb80307741"],
        ["unlabeled_X.bin", "5242ba1fed5e4be9e1e742405eb56ca4"],
    ]
    test_list: ClassVar[list[list[Any]]] = [
        ["test_X.bin", "7f263ba9f9e0b06b93213547f721ac82"],
        ["test_y.bin", "36f9794fa4beb8a2c72628de14fa638e"],
    ]
    splits = ("train", "train+unlabeled", "unlabeled", "test")

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        folds: int | None = None,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = verify_str_arg(split, "split", self.splits)
        if folds is not None and folds not in range(10):
            raise ValueError(f"STL10: folds is {folds}; it must be one of 0 to 9, or None.")
        self.folds = folds
        self._folder = Path(str(self.root)) / self.base_folder
        if download:
            self.download()
        if not self._check_integrity():
            raise RuntimeError(
                f"Dataset not found or corrupted: STL10 in {self._folder}. "
                "You can use download=True to download it"
            )
        parts = [self._part(part) for part in split.split("+")]
        self.data, self.labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        self.classes = (self._folder / self.class_names_file).read_text().splitlines()

    def _part(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        pixels = np.fromfile(self._folder / f"{split}_X.bin", np.uint8)
        data = pixels.reshape(-1, 3, 96, 96).transpose(0, 1, 3, 2)  # kept by columns
        if split == "unlabeled":
            return data, np.full(len(data), -1, np.int64)
        labels = np.fromfile(self._folder / f"{split}_y.bin", np.uint8).astype(np.int64) - 1
        if split == "train" and self.folds is not None:
            lines = (self._folder / self.folds_list_file).read_text().splitlines()
            chosen = np.array(lines[self.folds].split(), np.int64)
            return data[chosen], labels[chosen]
        return data, labels

    def _check_integrity(self) -> bool:
        files = self.train_list + self.test_list
        return all(check_integrity(self._folder / name, md5) for name, md5 in files)

    def download(self) -> None:
        """Fetch and unpack the archive, unless its files are there."""
        if not self._check_integrity():
            options = {"filename": self.filename, "md5": self.tgz_md5}
            download_and_extract_archive(self.url, str(self.root), **options)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image = image_of(np.ascontiguousarray(self.data[index].transpose(1, 2, 0)))
        return self._transformed(image, int(self.labels[index]))

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        return f"Split: {self.split}"
