"""ImageNet of 2012: photographs in a thousand classes, from the archives that its site gives."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rushlight import serialization
from rushlight.vision.datasets.folder import ImageFolder
from rushlight.vision.datasets.utils import check_integrity, extract_archive, verify_str_arg

ARCHIVE_META = {
    "train": ("ILSVRC2012_img_train.tar", "1d675b47d978889d74fa0da5fadfb00e"),
    "val": ("ILSVRC2012_img_val.tar", "29b22e2961454d5413ddabcf34fc5622"),
    "devkit": ("ILSVRC2012_devkit_t12.tar.gz", "fa75699e90414af021442c21a62c3abf"),
}
META_FILE = "meta.bin"


class ImageNet(ImageFolder):
    """Photographs of ``root/train/WNID`` or ``root/val/WNID``, which are unpacked from the site's
    archives in ``root`` where they are not there; a sample is (image, class number).

    Args:
        root: folder of the archives, or of what was unpacked.
        split: "train" (1,281,167 images) or "val" (50,000).
        kwargs: ``transform``, ``target_transform``, ``loader`` and the like of `ImageFolder`.

    Attributes:
        classes: for each class a tuple of its names.
        class_to_idx: class numbers by each of the names.
        wnids: the classes' ids in WordNet, which are their folders' names, sorted.
        wnid_to_idx: class numbers by id.
        samples: list of (path, class number); ``imgs`` is the same.

    Reference: Russakovsky et al., 2015, "ImageNet large scale visual recognition challenge".
    """

    def __init__(self, root: str | Path, split: str = "train", **kwargs: Any) -> None:
        self.root = root = os.path.expanduser(root)
        self.split = verify_str_arg(split, "split", ("train", "val"))
        self.parse_archives()
        wnid_to_classes = load_meta_file(root)[0]
        super().__init__(self.split_folder, **kwargs)
        self.root = root
        self.wnids = self.classes
        self.wnid_to_idx = self.class_to_idx
        self.classes = [wnid_to_classes[wnid] for wnid in self.wnids]
        self.class_to_idx = {name: i for i, names in enumerate(self.classes) for name in names}

    def parse_archives(self) -> None:
        """Unpack what is not unpacked yet."""
        if not check_integrity(os.path.join(self.root, META_FILE)):
            parse_devkit_archive(self.root)
        if not os.path.isdir(self.split_folder):
            parse = parse_train_archive if self.split == "train" else parse_val_archive
            parse(self.root)

    @property
    def split_folder(self) -> str:
        """The folder of the split's classes."""
        return os.path.join(self.root, self.split)

    def extra_repr(self) -> str:
        return f"Split: {self.split}"


def load_meta_file(root: str | Path, file: str | None = None) -> tuple[Any, Any]:
    """Names by WordNet id, and the ids of the validation images, from ``meta.bin``."""
    path = os.path.join(root, file or META_FILE)
    if not check_integrity(path):
        raise RuntimeError(
            f"The meta file {path} is not present or is corrupted. It is made of the devkit's "
            "archive, where that is in the folder."
        )
    found: tuple[Any, Any] = serialization.load(path, weights_only=True)
    return found


@contextmanager
def _unpacked(root: str | Path, kind: str, file: str | None) -> Iterator[Path]:
    """A folder, for a while, with what an archive holds."""
    name, md5 = ARCHIVE_META[kind]
    archive = os.path.join(root, file or name)
    if not check_integrity(archive, md5):
        raise RuntimeError(
            f"The archive {file or name} is not present in the root directory or is corrupted. "
            f"You need to download it externally and place it in {root}."
        )
    with TemporaryDirectory(dir=root) as folder:
        extract_archive(archive, folder)
        yield Path(folder)


def parse_devkit_archive(root: str | Path, file: str | None = None) -> None:
    """Write ``meta.bin`` from the archive of the development kit."""
    from scipy.io import loadmat

    with _unpacked(root, "devkit", file) as folder:
        data = folder / "ILSVRC2012_devkit_t12" / "data"
        synsets = loadmat(data / "meta.mat", squeeze_me=True)["synsets"]
        numbers = (data / "ILSVRC2012_validation_ground_truth.txt").read_text().split()
    leaves = [s for s in synsets if s["num_children"] == 0]
    wnids = {int(s["ILSVRC2012_ID"]): str(s["WNID"]) for s in leaves}
    names = {str(s["WNID"]): tuple(str(s["words"]).split(", ")) for s in leaves}
    serialization.save((names, [wnids[int(n)] for n in numbers]), os.path.join(root, META_FILE))


def parse_train_archive(
    root: str | Path, file: str | None = None, folder: str | Path = "train"
) -> None:
    """Unpack the training images: an archive of one archive per class."""
    with _unpacked(root, "train", file) as unpacked:
        for archive in sorted(unpacked.glob("*.tar")):
            (unpacked / archive.stem).mkdir()
            extract_archive(archive, unpacked / archive.stem, remove_finished=True)
        shutil.copytree(unpacked, os.path.join(root, folder), copy_function=shutil.move)


def parse_val_archive(
    root: str | Path,
    file: str | None = None,
    wnids: Any = None,
    folder: str | Path = "val",
) -> None:
    """Unpack the validation images, and sort them by class: ``wnids`` are theirs in the order of
    their files' names.
    """
    wnids = load_meta_file(root)[1] if wnids is None else wnids
    with _unpacked(root, "val", file) as unpacked:
        for image, wnid in zip(sorted(unpacked.iterdir()), wnids, strict=True):
            (unpacked / wnid).mkdir(exist_ok=True)
            image.rename(unpacked / wnid / image.name)
        shutil.copytree(unpacked, os.path.join(root, folder), copy_function=shutil.move)
