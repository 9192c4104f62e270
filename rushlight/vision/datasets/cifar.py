"""CIFAR-10 and CIFAR-100: small colour photographs, in memory."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rushlight import tensor_api as rl
from rushlight.vision.datasets.base import Transform, VisionDataset
from rushlight.vision.datasets.utils import check_integrity, download_and_extract_archive
from rushlight.vision.images import image_of
from rushlight.vision.transforms.batch import transform_batch


class _ArraysOnly(pickle.Unpickler):
    """Reads dicts, lists, strings, numbers and arrays, and runs nothing else a file may ask for."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            from numpy._core.multiarray import _reconstruct

            return _reconstruct
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):
            import _codecs

            return _codecs.encode
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no CIFAR file needs")


def read_batch(path: str | Path) -> dict[str, Any]:
    """One of CIFAR's Python 2 pickles."""
    with open(path, "rb") as file:
        try:
            return _ArraysOnly(file, encoding="latin1").load()
        except (pickle.UnpicklingError, EOFError, ValueError) as error:
            raise RuntimeError(f"{path} is not a CIFAR batch: {error}.") from error


class CIFAR10(VisionDataset):
    """Photographs of 32 by 32 pixels in ten classes: 50,000 to train, 10,000 to test.

    Args:
        root: folder that holds, or gets, ``cifar-10-batches-py``.
        train: the training images, otherwise the test images.
        transform: function of the image.
        target_transform: function of the class number.
        download: fetch and unpack the archive if it is not there.

    Attributes:
        data: uint8 array (N, 32, 32, 3).
        targets: list of class numbers.
        classes: names; ``class_to_idx`` gives their numbers.

    Reference: Krizhevsky, 2009, "Learning multiple layers of features from tiny images".
    """

    base_folder = "cifar-10-batches-py"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    filename = "cifar-10-python.tar.gz"
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    train_list: ClassVar[list[list[str]]] = [
        ["data_batch_1", "c99cafc152244af753f735de768cd75f"],
        ["data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"],
        ["data_batch_3", "54ebc095f3ab1f0389bbae665268c751"],
        ["data_batch_4", "634d18415352ddfa80567beed471001a"],
        ["data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"],
    ]
    test_list: ClassVar[list[list[str]]] = [["test_batch", "40351d587109b95175f43aff81a1287e"]]
    meta: ClassVar[dict[str, str]] = {
        "filename": "batches.meta",
        "key": "label_names",
        "md5": "5ff9c542aee3614f3951f8cda6e48888",
    }

    def __init__(
        self,
        root: str | Path,
        train: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        if not self._check_integrity():
            raise RuntimeError(
                f"Dataset not found or corrupted: {type(self).__name__} in {self._folder}. "
                "You can use download=True to download it"
            )
        parts = self.train_list if train else self.test_list
        batches = [read_batch(self._folder / name) for name, _ in parts]
        rows = np.concatenate([batch["data"] for batch in batches])  # (N, 3 * 32 * 32)
        self.data = np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        self.targets = [
            label for batch in batches for label in batch.get("labels") or batch["fine_labels"]
        ]
        names = read_batch(self._folder / self.meta["filename"])
        self.classes: list[str] = names[self.meta["key"]]
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}

    @property
    def _folder(self) -> Path:
        return Path(self.root or ".") / self.base_folder

    def _check_integrity(self) -> bool:
        files = [*self.train_list, *self.test_list, [self.meta["filename"], self.meta["md5"]]]
        return all(check_integrity(self._folder / name, md5) for name, md5 in files)

    def download(self) -> None:
        """Fetches and unpacks the archive unless its files are there."""
        if not self._check_integrity():
            download_and_extract_archive(
                self.url, self.root or ".", filename=self.filename, md5=self.tgz_md5
            )

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._transformed(image_of(self.data[index]), self.targets[index])

    def __len__(self) -> int:
        return len(self.data)

    def _batch(self, indices: Sequence[int]) -> list[Any] | None:
        """See Note [Whole batches]."""
        if self.target_transform is not None:
            return None
        images = transform_batch(self.transform, self.data, indices)
        targets = rl.tensor([self.targets[i] for i in indices])
        return None if images is None else [images, targets]

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train is True else 'Test'}"


class CIFAR100(CIFAR10):
    """Photographs of 32 by 32 pixels in 100 classes: 50,000 to train, 10,000 to test.

    Reference: Krizhevsky, 2009, "Learning multiple layers of features from tiny images".
    """

    base_folder = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    filename = "cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    train_list: ClassVar[list[list[str]]] = [["train", "16019d7e3df5f24257cddd939b257f8d"]]
    test_list: ClassVar[list[list[str]]] = [["test", "f0ef6b0ae62326f3e7ffdfab6717acfc"]]
    meta: ClassVar[dict[str, str]] = {
        "filename": "meta",
        "key": "fine_label_names",
        "md5": "7973b15100ade9c7d40fb424638fde48",
    }
