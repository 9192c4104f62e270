"""Oxford-IIIT Pet: photographs of cats and dogs of 37 breeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from rushlight.vision.datasets.base import VisionDataset
from rushlight.vision.datasets.folder import default_loader, stored_image
from rushlight.vision.datasets.utils import download_and_extract_archive, verify_str_arg


class OxfordIIITPet(VisionDataset):
    """Photographs of cats and dogs: 3,680 to train, 3,669 to test.

    Args:
        root: folder that holds, or gets, ``oxford-iiit-pet`` with ``images`` and ``annotations``.
        split: "trainval" or "test".
        target_types: what the target is, or a list of such: "category", the number of the breed;
            "binary-category", 0 for cats and 1 for dogs; "segmentation", an image of 1 for the
            pet, 2 for the background and 3 for the border.
        transforms: function of image and target, excludes the next two.
        transform: function of the image.
        target_transform: function of the target.
        download: fetch and unpack the archives if they are not there.

    Attributes:
        classes: names of breeds; ``class_to_idx`` gives their numbers.
        bin_classes: "Cat" and "Dog"; ``bin_class_to_idx`` gives their numbers.

    Reference: Parkhi et al., 2012, "Cats and dogs".
    """

    _RESOURCES = (
        (
            "https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz",
            "5c4f3ee8e5d25df40f4fd59a7f44e54c",
        ),
        (
            "https://www.robots.ox.ac.uk/~vgg/data/pets/data/annotations.tar.gz",
            "95a8c909bbe2e81eed6a22bccdf3f68f",
        ),
    )
    bin_classes: ClassVar[list[str]] = ["Cat", "Dog"]

    def __init__(
        self,
        root: str | Path,
        split: str = "trainval",
        target_types: Sequence[str] | str = "category",
        transforms: Any = None,
        transform: Any = None,
        target_transform: Any = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transforms, transform, target_transform)
        self._split = verify_str_arg(split, "split", ("trainval", "test"))
        types = [target_types] if isinstance(target_types, str) else list(target_types)
        valid = ("category", "binary-category", "segmentation")
        self._target_types = [verify_str_arg(kind, "target_types", valid) for kind in types]
        folder = Path(str(self.root)) / "oxford-iiit-pet"
        images, notes = folder / "images", folder / "annotations"
        if download and not (images.is_dir() and notes.is_dir()):
            for url, md5 in self._RESOURCES:
                download_and_extract_archive(url, folder, md5=md5)
        if not (images.is_dir() and notes.is_dir()):
            raise RuntimeError("Dataset not found. You can use download=True to download it")
        rows = [line.split() for line in (notes / f"{split}.txt").read_text().splitlines()]
        self._labels = [int(breed) - 1 for _, breed, _, _ in rows]
        self._bin_labels = [int(kind) - 1 for _, _, kind, _ in rows]
        breeds = {
            (name.rsplit("_", 1)[0], label)
            for (name, *_), label in zip(rows, self._labels, strict=True)
        }
        self.classes = [
            " ".join(part.title() for part in name.split("_"))
            for name, _ in sorted(breeds, key=lambda breed: breed[1])
        ]
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}
        self.bin_class_to_idx = {name: i for i, name in enumerate(self.bin_classes)}
        self._images = [images / f"{name}.jpg" for name, *_ in rows]
        self._segs = [notes / "trimaps" / f"{name}.png" for name, *_ in rows]

    def _target(self, kind: str, index: int) -> Any:
        if kind == "segmentation":
            return stored_image(str(self._segs[index]))
        return (self._labels if kind == "category" else self._bin_labels)[index]

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image = default_loader(str(self._images[index]))
        targets = tuple([self._target(kind, index) for kind in self._target_types])
        target: Any = targets if len(targets) > 1 else targets[0] if targets else None
        return (image, target) if self.transforms is None else self.transforms(image, target)

    def __len__(self) -> int:
        return len(self._images)
