"""Photographs whose classes are folders, or stand in lists beside them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, ClassVar

from rushlight.vision.datasets.base import Transform, VisionDataset
from rushlight.vision.datasets.folder import (
    ImageFolder,
    default_loader,
    make_dataset,
    stored_image,
)
from rushlight.vision.datasets.svhn import mat_file
from rushlight.vision.datasets.utils import (
    download_and_extract_archive,
    download_url,
    verify_str_arg,
)

__all__ = [
    "DTD", "GTSRB", "Country211", "EuroSAT", "Flowers102", "Food101", "Imagenette", "Omniglot",
]  # fmt: skip


def _require(found: bool) -> None:
    if not found:
        raise RuntimeError("Dataset not found. You can use download=True to download it")


class Listed(VisionDataset):
    """Images by path, each with the number of its class."""

    loader: Any = staticmethod(default_loader)
    _images: list[Any]
    _labels: list[int]

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image, label = self.loader(str(self._images[index])), self._labels[index]
        return (image, label) if self.transforms is None else self.transforms(image, label)

    def __len__(self) -> int:
        return len(self._images)

    def _name(self, classes: list[str]) -> None:
        self.classes = classes
        self.class_to_idx = {name: i for i, name in enumerate(classes)}


class Food101(Listed):
    """Photographs of 101 dishes: 750 of each to train, 250 to test.

    Args:
        root: folder that holds, or gets, ``food-101``.
        split: "train" or "test".
        transform, target_transform: functions of the image and of the class number.
        download: fetch and unpack the archive if it is not there.
        loader: how a path becomes an image.

    Attributes:
        classes: names of dishes; ``class_to_idx`` gives their numbers.

    Reference: Bossard et al., 2014, "Food-101: mining discriminative components with random
    forests".
    """

    _URL = "http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz"
    _MD5 = "85eeb15f3717b99a5da872d97d918f87"

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
        loader: Any = default_loader,
    ) -> None:
        super().__init__(root, None, transform, target_transform)
        self._split, self.loader = verify_str_arg(split, "split", ("train", "test")), loader
        folder = Path(str(self.root)) / "food-101"
        there = all((folder / name).is_dir() for name in ("meta", "images"))
        if download and not there:
            download_and_extract_archive(self._URL, self.root, md5=self._MD5)
        _require((folder / "meta").is_dir() and (folder / "images").is_dir())
        lists = json.loads((folder / "meta" / f"{split}.json").read_text())
        self._name(sorted(lists))
        pairs = [(p, self.class_to_idx[name]) for name, paths in lists.items() for p in paths]
        self._images = [folder / "images" / f"{path}.jpg" for path, _ in pairs]
        self._labels = [label for _, label in pairs]


class DTD(Listed):
    """Photographs of textures, described by one of 47 words, in three parts of 1,880 each.

    Args:
        root: folder that holds, or gets, ``dtd``.
        split: "train", "val" or "test".
        partition: one of ten ways to divide them, 1 to 10.
        transform, target_transform: functions of the image and of the class number.
        download: fetch and unpack the archive if it is not there.
        loader: how a path becomes an image.

    Attributes:
        classes: the words; ``class_to_idx`` gives their numbers.

    Reference: Cimpoi et al., 2014, "Describing textures in the wild".
    """

    _URL = "https://www.robots.ox.ac.uk/~vgg/data/dtd/download/dtd-r1.0.1.tar.gz"
    _MD5 = "fff73e5086ae6bdbea199a49dfb8a4c1"

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        partition: int = 1,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
        loader: Any = default_loader,
    ) -> None:
        super().__init__(root, None, transform, target_transform)
        self._split = verify_str_arg(split, "split", ("train", "val", "test"))
        if not isinstance(partition, int) or not 1 <= partition <= 10:
            raise ValueError(
                f"Parameter 'partition' should be an integer with `1 <= partition <= 10`, but got "
                f"{partition} instead"
            )
        self._partition, self.loader = partition, loader
        base = Path(str(self.root)) / "dtd"
        folder = base / "dtd"
        if download and not folder.is_dir():
            download_and_extract_archive(self._URL, base, md5=self._MD5)
        _require(folder.is_dir())
        rows = (folder / "labels" / f"{split}{partition}.txt").read_text().split()
        self._name(sorted({row.split("/")[0] for row in rows}))
        self._images = [folder.joinpath("images", *row.split("/")) for row in rows]
        self._labels = [self.class_to_idx[row.split("/")[0]] for row in rows]


class Flowers102(Listed):
    """Photographs of 102 flowers: ten of each to train and to validate, 6,149 to test.

    Args:
        root: folder that holds, or gets, ``flowers-102``.
        split: "train", "val" or "test".
        transform, target_transform: functions of the image and of the class number, 0 to 101.
        download: fetch and unpack the archive if it is not there.
        loader: how a path becomes an image.

    Reference: Nilsback and Zisserman, 2008, "Automated flower classification over a large number
    of classes". Its lists are read with SciPy.
    """

    _URL = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
    _FILES: ClassVar[dict[str, str]] = {
        "102flowers.tgz": "52808999861908f626f3c1f4e79d11fa",
        "imagelabels.mat": "e0620be6f572b9609742df49c70aed4d",
        "setid.mat": "a5357ecc9cb78c4bef273ce3793fc85c",
    }
    _SPLITS: ClassVar[dict[str, str]] = {"train": "trnid", "val": "valid", "test": "tstid"}

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
        loader: Any = default_loader,
    ) -> None:
        super().__init__(root, None, transform, target_transform)
        self._split, self.loader = verify_str_arg(split, "split", ("train", "val", "test")), loader
        folder = Path(str(self.root)) / "flowers-102"
        lists = [folder / "imagelabels.mat", folder / "setid.mat"]
        there = (folder / "jpg").is_dir() and all(path.is_file() for path in lists)
        if download and not there:
            for name, md5 in self._FILES.items():
                fetch = download_and_extract_archive if name.endswith("tgz") else download_url
                fetch(self._URL + name, folder, md5=md5)
        _require((folder / "jpg").is_dir() and all(path.is_file() for path in lists))
        numbers = mat_file(lists[1])[self._SPLITS[split]].reshape(-1).tolist()
        labels = mat_file(lists[0])["labels"].reshape(-1)
        self._images = [folder / "jpg" / f"image_{n:05d}.jpg" for n in numbers]
        self._labels = [int(labels[n - 1]) - 1 for n in numbers]


class GTSRB(Listed):
    """Photographs of 43 kinds of German traffic signs: 26,640 to train, 12,630 to test.

    Args:
        root: folder that holds, or gets, ``gtsrb``.
        split: "train" or "test".
        transform, target_transform: functions of the image and of the class number.
        download: fetch and unpack the archives if they are not there.

    Reference: Stallkamp et al., 2012, "Man vs. computer: benchmarking machine learning algorithms
    for traffic sign recognition".
    """

    _URL = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/"
    _ARCHIVES: ClassVar[dict[str, list[tuple[str, str]]]] = {
        "train": [("GTSRB-Training_fixed.zip", "513f3c79a4c5141765e10e952eaa2478")],
        "test": [
            ("GTSRB_Final_Test_Images.zip", "c7e4e6327067d32654124b0fe9e82185"),
            ("GTSRB_Final_Test_GT.zip", "fe31e9c9270bbcd7b84b7f21a9d9d9e5"),
        ],
    }

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, None, transform, target_transform)
        self._split = verify_str_arg(split, "split", ("train", "test"))
        base = Path(str(self.root)) / "gtsrb"
        folder = base / "GTSRB" / ("Training" if split == "train" else "Final_Test/Images")
        if download and not folder.is_dir():
            for name, md5 in self._ARCHIVES[split]:
                download_and_extract_archive(self._URL + name, base, md5=md5)
        _require(folder.is_dir())
        if split == "train":
            samples: list[tuple[Any, int]] = [*make_dataset(folder, extensions=(".ppm",))]
        else:
            with open(base / "GT-final_test.csv", newline="") as file:
                rows = list(csv.DictReader(file, delimiter=";"))
            samples = [(folder / row["Filename"], int(row["ClassId"])) for row in rows]
        self._images = [path for path, _ in samples]
        self._labels = [label for _, label in samples]


class Omniglot(Listed):
    """Drawings of 1,623 characters of 50 alphabets, by twenty people each.

    Args:
        root: folder that holds, or gets, ``omniglot-py``.
        background: the 964 characters of 30 alphabets to learn from, or else the 659 of 20 others.
        transform, target_transform: functions of the image, of mode "L", and of the number of the
            character.
        download: fetch and unpack the archive if it is not there.
        loader: how a path becomes an image.

    Reference: Lake et al., 2015, "Human-level concept learning through probabilistic program
    induction".
    """

    _URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python"
    _MD5: ClassVar[dict[str, str]] = {
        "images_background": "68d2efa1b9178cc56df9314c21c6e718",
        "images_evaluation": "6b91aef0f799c5bb55b94e3f2daec811",
    }

    def __init__(
        self,
        root: str | Path,
        background: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
        loader: Any = None,
    ) -> None:
        base = Path(root).expanduser() / "omniglot-py"
        super().__init__(base, None, transform, target_transform)
        self.background, self.loader = background, loader or _drawing
        name = "images_background" if background else "images_evaluation"
        folder = base / name
        if download and not folder.is_dir():
            download_and_extract_archive(f"{self._URL}/{name}.zip", base, md5=self._MD5[name])
        _require(folder.is_dir())
        self._alphabets = sorted([path.name for path in folder.iterdir() if path.is_dir()])
        self._characters = [
            f"{alphabet}/{path.name}"
            for alphabet in self._alphabets
            for path in sorted((folder / alphabet).iterdir())
            if path.is_dir()
        ]
        samples = [
            (path, label)
            for label, character in enumerate(self._characters)
            for path in sorted((folder / character).glob("*.png"))
        ]
        self._images = [path for path, _ in samples]
        self._labels = [label for _, label in samples]


def _drawing(path: str) -> Any:
    return stored_image(path, "L")


class EuroSAT(ImageFolder):
    """27,000 pictures of ten kinds of land from a satellite, of 64 by 64 pixels.

    Args:
        root: folder that holds, or gets, ``eurosat``.
        transform, target_transform: functions of the image and of the class number.
        download: fetch and unpack the archive if it is not there.
        loader: how a path becomes an image.

    Reference: Helber et al., 2019, arXiv:1709.00029.
    """

    _URL = (
        "https://huggingface.co/datasets/torchgeo/eurosat/resolve/"
        "c877bcd43f099cd0196738f714544e355477f3fd/EuroSAT.zip"
    )
    _MD5 = "c8fa014336c82ac7804f0398fcb19387"

    def __init__(
        self,
        root: str | Path,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
        loader: Any = default_loader,
    ) -> None:
        base = Path(root).expanduser() / "eurosat"
        folder = base / "2750"
        if download and not folder.is_dir():
            download_and_extract_archive(self._URL, base, md5=self._MD5)
        _require(folder.is_dir())
        super().__init__(str(folder), transform, target_transform, loader)
        self.root = str(root)


class Country211(ImageFolder):
    """Photographs of 211 countries: 150 of each to train, 50 to validate, 100 to test.

    Args:
        root: folder that holds, or gets, ``country211``.
        split: "train", "valid" or "test".
        transform, target_transform: functions of the image and of the class number.
        download: fetch and unpack the archive if it is not there.
        loader: how a path becomes an image.

    Reference: Radford et al., 2021, arXiv:2103.00020.
    """

    _URL = "https://openaipublic.azureedge.net/clip/data/country211.tgz"
    _MD5 = "84988d7644798601126c29e9877aab6a"

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
        loader: Any = default_loader,
    ) -> None:
        self._split = verify_str_arg(split, "split", ("train", "valid", "test"))
        top = Path(root).expanduser()
        if download and not (top / "country211").is_dir():
            download_and_extract_archive(self._URL, top, md5=self._MD5)
        _require((top / "country211").is_dir())
        super().__init__(str(top / "country211" / split), transform, target_transform, loader)
        self.root = str(top)


class Imagenette(ImageFolder):
    """Ten classes of ImageNet that are told apart easily: 9,469 images to train, 3,925 to validate.

    Args:
        root: folder that holds, or gets, ``imagenette2``, or that of another size.
        split: "train" or "val".
        size: "full", "320px" or "160px", the length of the shorter side.
        download: fetch and unpack the archive if it is not there.
        transform, target_transform: functions of the image and of the class number.
        loader: how a path becomes an image.

    Attributes:
        wnids: the classes' ids in WordNet, which are their folders' names.
        classes: for each class a tuple of its names.
    """

    _ARCHIVES: ClassVar[dict[str, tuple[str, str]]] = {
        "full": ("imagenette2", "fe2fc210e6bb7c5664d602c3cd71e612"),
        "320px": ("imagenette2-320", "3df6f0d01a2c9592104656642f5e78a3"),
        "160px": ("imagenette2-160", "e793b78cc4c9e9a4ccc0c1155377a412"),
    }
    _NAMES: ClassVar[dict[str, tuple[str, ...]]] = {
        "n01440764": ("tench", "Tinca tinca"),
        "n02102040": ("English springer", "English springer spaniel"),
        "n02979186": ("cassette player",),
        "n03000684": ("chain saw", "chainsaw"),
        "n03028079": ("church", "church building"),
        "n03394916": ("French horn", "horn"),
        "n03417042": ("garbage truck", "dustcart"),
        "n03425413": ("gas pump", "gasoline pump", "petrol pump", "island dispenser"),
        "n03445777": ("golf ball",),
        "n03888257": ("parachute", "chute"),
    }

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        size: str = "full",
        download: bool = False,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        loader: Any = default_loader,
    ) -> None:
        self._split = verify_str_arg(split, "split", ("train", "val"))
        self._size = verify_str_arg(size, "size", ("full", "320px", "160px"))
        top = Path(root).expanduser()
        name, md5 = self._ARCHIVES[size]
        if download and not (top / name).is_dir():
            url = f"https://s3.amazonaws.com/fast-ai-imageclas/{name}.tgz"
            download_and_extract_archive(url, top, md5=md5)
        _require((top / name).is_dir())
        super().__init__(str(top / name / split), transform, target_transform, loader)
        self.root = str(top)
        self.wnids = self.classes
        self.wnid_to_idx = self.class_to_idx
        self.classes: Any = [self._NAMES[wnid] for wnid in self.wnids]
        self.class_to_idx = {name: i for i, names in enumerate(self.classes) for name in names}
