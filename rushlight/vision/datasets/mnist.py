"""MNIST and its relatives: images of 28 by 28 grey pixels, in idx files, in memory."""

from __future__ import annotations

import gzip
import os
import string
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rushlight import tensor_api as rl
from rushlight.core.tensor import Tensor
from rushlight.errors import warn_user
from rushlight.vision.datasets.base import Transform, VisionDataset
from rushlight.vision.datasets.utils import fetch, verify_str_arg
from rushlight.vision.images import image_of
from rushlight.vision.transforms.batch import transform_batch

NAMES = "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"
DIGITS = [f"{i} - {name}" for i, name in enumerate(NAMES)]
CLOTHES = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
]
KMNIST_CLASSES = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]

IDX_DTYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def read_idx(path: str | Path) -> np.ndarray:
    """The array in an idx file, compressed (``.gz``) or not.

    Four bytes: 0, 0, element type, number of dimensions; then each size as a big-endian 32-bit
        integer;
    then the elements, last dimension fastest.
    """
    opener: Any = gzip.open if str(path).endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            data = file.read()
        zero, kind, ndim = struct.unpack_from(">HBB", data)
        shape = struct.unpack_from(f">{ndim}I", data, 4)
        dtype = np.dtype(IDX_DTYPES[kind])
        array = np.frombuffer(data, dtype, offset=4 + 4 * ndim).reshape(shape)
        if zero:
            raise ValueError("its first bytes are not zero")
    except (struct.error, KeyError, ValueError, EOFError, gzip.BadGzipFile) as error:
        raise RuntimeError(
            f"{path} is not a whole idx file ({error}); remove it and fetch it again."
        ) from error
    return array.astype(dtype.newbyteorder("="))  # a copy: writable


def find_idx(folders: Sequence[Path], name: str) -> Path | None:
    """The first of ``name`` and ``name.gz`` that exists in the first folder that has one."""
    for folder in folders:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    return None


class MNIST(VisionDataset):
    """Handwritten digits: 60,000 training and 10,000 test images.

    Files are looked for in ``root/MNIST/raw``, as torchvision keeps them, compressed or not. A
    sample is (image, class number); the image is a Pillow image, or a uint8 array (28, 28) without
    Pillow.

    Args:
        root: folder in which the data lies or will lie.
        train: the training images, otherwise the test images.
        transform: function of the image.
        target_transform: function of the class number.
        download: fetch the files if they are not there.

    Attributes:
        data: uint8 tensor (N, 28, 28).
        targets: int64 tensor (N,).
        classes: names; ``class_to_idx`` gives their numbers.

    Reference: LeCun, Bottou, Bengio and Haffner, 1998, "Gradient-based learning applied to document
    recognition".
    """

    mirrors: ClassVar[list[str]] = [
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ]
    resources: ClassVar[list[tuple[str, str]]] = [
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ]
    classes: list[str] = DIGITS
    system_folders: ClassVar[list[str]] = []  # where packages of operating systems put the files

    data: Tensor
    targets: Tensor

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
        if not self._check_exists():
            raise RuntimeError(
                f"Dataset not found: {type(self).__name__} has no files in {self.raw_folder}. "
                "You can use download=True to download it."
            )
        self.data, self.targets = self._load_data()

    @property
    def raw_folder(self) -> str:
        return os.path.join(self.root or ".", type(self).__name__, "raw")

    @property
    def processed_folder(self) -> str:
        return os.path.join(self.root or ".", type(self).__name__, "processed")

    @property
    def class_to_idx(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.classes)}

    @property
    def train_data(self) -> Tensor:
        warn_user("train_data is now called data.")
        return self.data

    @property
    def train_labels(self) -> Tensor:
        warn_user("train_labels is now called targets.")
        return self.targets

    @property
    def test_data(self) -> Tensor:
        warn_user("test_data is now called data.")
        return self.data

    @property
    def test_labels(self) -> Tensor:
        warn_user("test_labels is now called targets.")
        return self.targets

    def _names(self) -> tuple[str, str]:
        part = "train" if self.train else "t10k"
        return f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"

    def _path(self, name: str) -> Path | None:
        return find_idx([Path(self.raw_folder), *map(Path, self.system_folders)], name)

    def _check_exists(self) -> bool:
        return all(self._path(name) is not None for name in self._names())

    def download(self) -> None:
        """Fetches those files that are not there, with checksums, into ``raw_folder``."""
        for filename, md5 in self.resources:
            if self._path(filename.removesuffix(".gz")) is None:
                urls = [mirror + filename for mirror in self.mirrors]
                fetch(urls, Path(self.raw_folder), filename, md5)

    def _load_data(self) -> tuple[Tensor, Tensor]:
        images, labels = (read_idx(self._path(name) or name) for name in self._names())
        if images.ndim != 3 or len(images) != len(labels):
            raise RuntimeError(
                f"{type(self).__name__}: images {images.shape} and labels {labels.shape} do not "
                f"belong together; remove {self.raw_folder} and fetch them again."
            )
        return rl.from_numpy(images), rl.from_numpy(labels.astype(np.int64))

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image = image_of(self.data[index].numpy())
        return self._transformed(image, int(self.targets[index]))

    def __len__(self) -> int:
        return len(self.data)

    def _batch(self, indices: Sequence[int]) -> list[Any] | None:
        """See Note [Whole batches]."""
        if self.target_transform is not None:
            return None
        images = transform_batch(self.transform, self.data.numpy(), indices)
        return None if images is None else [images, self.targets[rl.tensor(indices)]]

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train is True else 'Test'}"


class FashionMNIST(MNIST):
    """Articles of clothing: 60,000 training and 10,000 test images in ten classes.

    Files are looked for in ``root/FashionMNIST/raw`` and where Debian's package
    ``dataset-fashion-mnist`` puts them. ``FashionMNISTSample`` is a part of it that is always
    there.

    Args:
        root: folder in which the data lies or will lie.
        train: the training images, otherwise the test images.
        transform: function of the image.
        target_transform: function of the class number.
        download: fetch the files if they are nowhere.

    Reference: Xiao, Rasul and Vollgraf, 2017, arXiv:1708.07747.
    """

    mirrors: ClassVar[list[str]] = ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"]
    resources: ClassVar[list[tuple[str, str]]] = [
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ]
    classes: list[str] = CLOTHES
    system_folders: ClassVar[list[str]] = ["/usr/share/datasets/fashion-mnist"]


class FashionMNISTSample(FashionMNIST):
    """600 training and 100 test images of each class of Fashion-MNIST, inside the package.

    Drawn from the full data set by ``scripts/make_fashion_sample.py``.

    Args:
        train: the 6,000 training images, otherwise the 1,000 test images.
        transform: function of the image.
        target_transform: function of the class number.

    Example:
        >>> FashionMNISTSample().data.shape
        torch.Size([6000, 28, 28])
    """

    def __init__(
        self,
        train: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
    ) -> None:
        root = Path(__file__).parents[1] / "data"
        super().__init__(root, train, transform, target_transform)

    @property
    def raw_folder(self) -> str:
        return os.path.join(self.root or ".", "fashion-mnist-sample")

    system_folders: ClassVar[list[str]] = []


class KMNIST(MNIST):
    """Handwritten Japanese characters: 60,000 training and 10,000 test images in ten classes.

    Reference: Clanuwat and others, 2018, arXiv:1812.01718.
    """

    mirrors: ClassVar[list[str]] = ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
    resources: ClassVar[list[tuple[str, str]]] = [
        ("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
        ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
        ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
        ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134"),
    ]
    classes: list[str] = KMNIST_CLASSES


class EMNIST(MNIST):
    """Handwritten letters and digits, in six ways of dividing them.

    Args:
        root: folder in which the data lies or will lie.
        split: "byclass", "bymerge", "balanced", "letters", "digits" or "mnist".
        kwargs: as for ``MNIST``.

    Reference: Cohen, Afshar, Tapson and van Schaik, 2017, arXiv:1702.05373.
    """

    url = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
    md5 = "58c8d27c78d21e728a6bc7b3cc06412e"
    splits = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    # Capitals and small letters that look alike share a class in two of the splits.
    _merged: ClassVar[set[str]] = set("cijklmopsuvwxyz")
    _all: ClassVar[set[str]] = set(string.digits + string.ascii_letters)
    classes_split_dict: ClassVar[dict[str, list[str]]] = {
        "byclass": sorted(_all),
        "bymerge": sorted(_all - _merged),
        "balanced": sorted(_all - _merged),
        "letters": ["N/A", *string.ascii_lowercase],
        "digits": list(string.digits),
        "mnist": list(string.digits),
    }

    def __init__(self, root: str | Path, split: str, **kwargs: Any) -> None:
        self.split = verify_str_arg(split, "split", self.splits)
        self.classes = self.classes_split_dict[split]
        super().__init__(root, **kwargs)

    def _names(self) -> tuple[str, str]:
        head = f"emnist-{self.split}-{'train' if self.train else 'test'}"
        return f"{head}-images-idx3-ubyte", f"{head}-labels-idx1-ubyte"

    def download(self) -> None:
        """Fetches and unpacks the archive of all splits, unless this split is there."""
        if self._check_exists():
            return
        folder = Path(self.raw_folder)
        archive = fetch([self.url], folder, "gzip.zip", self.md5)
        with zipfile.ZipFile(archive) as packed:
            for member in packed.infolist():
                if member.filename.endswith(".gz"):
                    member.filename = os.path.basename(member.filename)
                    packed.extract(member, folder)
        archive.unlink()
