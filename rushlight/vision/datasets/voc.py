"""Pascal VOC: photographs with the objects in them, as boxes or as classes of pixels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from rushlight.vision.datasets.base import VisionDataset
from rushlight.vision.datasets.folder import default_loader, stored_image
from rushlight.vision.datasets.utils import download_and_extract_archive, verify_str_arg

SITE = "https://thor.robots.ox.ac.uk/pascal/VOC/"
# the archive of a year, its checksum, and where it has its files
ARCHIVES = {
    "2012": ("voc2012/VOCtrainval_11-May-2012.tar", "6cd6e144f989b92b3379bac3b3de84fd"),
    "2011": ("voc2011/VOCtrainval_25-May-2011.tar", "6c3384ef61512963050cb5d687e5bf1e"),
    "2010": ("voc2010/VOCtrainval_03-May-2010.tar", "da459979d0c395079b5c75ee67908abb"),
    "2009": ("voc2009/VOCtrainval_11-May-2009.tar", "a3e00b113cfcfebf17e343f59da3caa1"),
    "2008": ("voc2008/VOCtrainval_14-Jul-2008.tar", "2629fa636546599198acfcfbfcf1904a"),
    "2007": ("voc2007/VOCtrainval_06-Nov-2007.tar", "c52e279531787c972589f7e41ab4ae64"),
    "2007-test": ("voc2007/VOCtest_06-Nov-2007.tar", "b6e924de25625d8de591ea690078ad9f"),
}


class _VOCBase(VisionDataset):
    """Photographs, and a file beside each.

    Args:
        root: folder that holds, or gets, ``VOCdevkit/VOC2012`` and the like.
        year: "2007" to "2012".
        image_set: "train", "val" or "trainval"; of 2007 also "test".
        download: fetch and unpack the archive.
        transform: function of the image.
        target_transform: function of the target.
        transforms: function of both, excludes the two.

    Attributes:
        images: paths of the photographs.
        targets: paths of the files beside them.

    Reference: Everingham et al., 2010, "The Pascal visual object classes (VOC) challenge".
    """

    _SPLITS_DIR: str
    _TARGET_DIR: str
    _TARGET_FILE_EXT: str

    def __init__(
        self,
        root: str | Path,
        year: str = "2012",
        image_set: str = "train",
        download: bool = False,
        transform: Any = None,
        target_transform: Any = None,
        transforms: Any = None,
    ) -> None:
        super().__init__(root, transforms, transform, target_transform)
        years = [str(y) for y in range(2007, 2013)]
        self.year = verify_str_arg(year, "year", years)
        sets = ["train", "trainval", "val"] + (["test"] if year == "2007" else [])
        self.image_set = verify_str_arg(image_set, "image_set", sets)
        address, md5 = ARCHIVES["2007-test" if image_set == "test" else year]
        if download:
            download_and_extract_archive(SITE + address, str(self.root), md5=md5)
        inside = ("TrainVal/" if year == "2011" else "") + f"VOCdevkit/VOC{year}"
        folder = Path(str(self.root)) / inside
        if not folder.is_dir():
            raise RuntimeError(
                f"Dataset not found or corrupted: {folder}. You can use download=True to download "
                "it"
            )
        listed = folder / "ImageSets" / self._SPLITS_DIR / f"{image_set}.txt"
        names = listed.read_text().split()
        self.images = [os.path.join(folder, "JPEGImages", f"{name}.jpg") for name in names]
        self.targets = [
            os.path.join(folder, self._TARGET_DIR, name + self._TARGET_FILE_EXT) for name in names
        ]

    def _target(self, path: str) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no _target(path); write one.")

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image, target = default_loader(self.images[index]), self._target(self.targets[index])
        return (image, target) if self.transforms is None else self.transforms(image, target)

    def __len__(self) -> int:
        return len(self.images)


class VOCSegmentation(_VOCBase):
    __doc__ = (_VOCBase.__doc__ or "").replace(
        "Photographs, and a file beside each.",
        "Photographs, and images of the classes of their pixels (255 where they are uncertain).",
    )
    _SPLITS_DIR = "Segmentation"
    _TARGET_DIR = "SegmentationClass"
    _TARGET_FILE_EXT = ".png"

    @property
    def masks(self) -> list[str]:
        """Paths of the images of classes."""
        return self.targets

    def _target(self, path: str) -> Any:
        return stored_image(path)


class VOCDetection(_VOCBase):
    __doc__ = (_VOCBase.__doc__ or "").replace(
        "Photographs, and a file beside each.",
        "Photographs, and dicts of what is known of them, their objects and boxes.",
    )
    _SPLITS_DIR = "Main"
    _TARGET_DIR = "Annotations"
    _TARGET_FILE_EXT = ".xml"

    @property
    def annotations(self) -> list[str]:
        """Paths of the XML files."""
        return self.targets

    def _target(self, path: str) -> Any:
        return self.parse_voc_xml(ElementTree.parse(path).getroot())

    @staticmethod
    def parse_voc_xml(node: ElementTree.Element) -> dict[str, Any]:
        """``{name: text or dict}``; of several elements of one name a list, of objects always, and
        nothing of empty ones.
        """
        if not len(node):
            return {node.tag: node.text.strip()} if node.text else {}
        found: dict[str, Any] = {}
        for child in node:
            for name, value in VOCDetection.parse_voc_xml(child).items():
                found.setdefault(name, []).append(value)
        inner = {
            name: values
            if len(values) > 1 or (node.tag, name) == ("annotation", "object")
            else values[0]
            for name, values in found.items()
        }
        return {node.tag: inner}
