"""CelebA: faces of celebrities with forty attributes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rushlight.core.tensor import Tensor
from rushlight.tensor_api.from_data import from_numpy
from rushlight.vision.datasets.base import Transform, VisionDataset
from rushlight.vision.datasets.folder import stored_image
from rushlight.vision.datasets.utils import check_integrity, extract_archive, verify_str_arg

SPLITS = ("train", "valid", "test", "all")
TARGETS = ("attr", "identity", "bbox", "landmarks")


class CelebA(VisionDataset):
    """202,599 faces of 178 by 218 pixels, cut out and aligned.

    Args:
        root: folder that holds ``celeba``, with the lists of ``file_list`` and the images' archive,
            or their folder.
        split: "train", "valid", "test" or "all".
        target_type: what the target is, or a list of such, which may be empty: "attr", forty
            numbers, 0 or 1; "identity", the number of the person; "bbox", (x, y, width, height) in
            the whole photograph; "landmarks", x and y of eyes, nose and the mouth's corners.
        transform: function of the image.
        target_transform: function of the target.
        download: unpack the archive; its files have to be fetched by hand.

    Attributes:
        filename: names of the images.
        attr: int64 tensor (N, 40); also ``identity`` (N, 1), ``bbox`` (N, 4) and
            ``landmarks_align`` (N, 10).
        attr_names: names of the attributes.

    Reference: Liu et al., 2015, "Deep learning face attributes in the wild".
    """

    base_folder = "celeba"
    file_list: ClassVar[list[tuple[Any, Any, str]]] = [  # (no address, md5, name)
        (None, "00d2c5bc6d35e252742224ab0c1e8fcb", "img_align_celeba.zip"),
        (None, "75e246fa4810816ffd6ee81facbd244c", "list_attr_celeba.txt"),
        (None, "32bd1bd63d3c78cd57e08160ec5ed1e2", "identity_CelebA.txt"),
        (None, "00566efa6fedff7a56946cd1c10f1c16", "list_bbox_celeba.txt"),
        (None, "cc24ecafdb5b50baae59b03474781f8c", "list_landmarks_align_celeba.txt"),
        (None, "d32c9cbf5e040fd4025c592c306e6668", "list_eval_partition.txt"),
    ]

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        target_type: list[str] | str = "attr",
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = split
        self.target_type = target_type if isinstance(target_type, list) else [target_type]
        if not self.target_type and target_transform is not None:
            raise RuntimeError("target_transform is specified but target_type is empty")
        if download:
            self.download()
        if not self._check_integrity():
            raise RuntimeError(
                f"Dataset not found or corrupted. Put the files of file_list in {self._folder}, "
                "and use download=True to unpack the images."
            )
        wanted = verify_str_arg(split.lower(), "split", SPLITS)
        _, names, parts = self._listed("list_eval_partition.txt", 0)
        chosen = (parts[:, 0] == SPLITS.index(wanted)) | (wanted == "all")
        self.filename = [name for name, is_chosen in zip(names, chosen, strict=True) if is_chosen]

        def numbers(file: str, heads: int) -> Tensor:
            return from_numpy(self._listed(file, heads)[2][chosen])

        self.identity = numbers("identity_CelebA.txt", 0)
        self.bbox = numbers("list_bbox_celeba.txt", 2)
        self.landmarks_align = numbers("list_landmarks_align_celeba.txt", 2)
        self.attr_names, _, attributes = self._listed("list_attr_celeba.txt", 2)
        self.attr = from_numpy((attributes[chosen] + 1) // 2)

    @property
    def _folder(self) -> Path:
        return Path(str(self.root)) / self.base_folder

    def _listed(self, file: str, heads: int) -> tuple[list[str], list[str], Any]:
        """Names of columns, which the last of the first lines has, names of rows, and numbers."""
        lines = [line.split() for line in (self._folder / file).read_text().splitlines()]
        rows = lines[heads:]
        numbers = np.array([row[1:] for row in rows]).astype(np.int64)
        return lines[heads - 1] if heads else [], [row[0] for row in rows], numbers

    def _check_integrity(self) -> bool:
        lists = [(md5, name) for _, md5, name in self.file_list if not name.endswith(".zip")]
        found = all(check_integrity(self._folder / name, md5) for md5, name in lists)
        return found and (self._folder / "img_align_celeba").is_dir()

    def download(self) -> None:
        """Unpack the images, where they are not there."""
        archive = self._folder / "img_align_celeba.zip"
        if archive.exists() and not self._check_integrity():
            extract_archive(archive)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image = stored_image(str(self._folder / "img_align_celeba" / self.filename[index]))
        targets = tuple([self._target(kind, index) for kind in self.target_type])
        target: Any = targets if len(targets) > 1 else targets[0] if targets else None
        return self._transformed(image, target)

    def _target(self, kind: str, index: int) -> Tensor:
        if verify_str_arg(kind, "target_type", TARGETS) == "identity":
            return self.identity[index, 0]
        rows = {"attr": self.attr, "bbox": self.bbox, "landmarks": self.landmarks_align}
        return rows[kind][index]

    def __len__(self) -> int:
        return len(self.attr)

    def extra_repr(self) -> str:
        return f"Target type: {self.target_type}\nSplit: {self.split}"
