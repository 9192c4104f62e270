"""COCO and what has its format: photographs with objects or captions. Needs pycocotools."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rushlight.vision.datasets.base import VisionDataset
from rushlight.vision.datasets.folder import default_loader


class CocoDetection(VisionDataset):
    """Photographs, and lists of dicts of the objects in them.

    Args:
        root: folder of the photographs.
        annFile: the JSON file about them.
        transform: function of the image.
        target_transform: function of the list.
        transforms: function of both, excludes the two.

    Reference: Lin et al., 2014, arXiv:1405.0312.
    """

    def __init__(
        self,
        root: str | Path,
        annFile: str,
        transform: Any = None,
        target_transform: Any = None,
        transforms: Any = None,
    ) -> None:
        super().__init__(root, transforms, transform, target_transform)
        from pycocotools.coco import COCO

        self.coco = COCO(annFile)
        self.ids = sorted(self.coco.imgs)

    def _load_image(self, id: int) -> Any:
        return default_loader(os.path.join(str(self.root), self.coco.loadImgs(id)[0]["file_name"]))

    def _load_target(self, id: int) -> list[Any]:
        found: list[Any] = self.coco.loadAnns(self.coco.getAnnIds(id))
        return found

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not isinstance(index, int):
            raise ValueError(f"Index must be of type integer, got {type(index)} instead.")
        image, target = self._load_image(self.ids[index]), self._load_target(self.ids[index])
        return (image, target) if self.transforms is None else self.transforms(image, target)

    def __len__(self) -> int:
        return len(self.ids)


class CocoCaptions(CocoDetection):
    """Photographs, and lists of captions; arguments as for `CocoDetection`."""

    def _load_target(self, id: int) -> list[str]:
        return [about["caption"] for about in super()._load_target(id)]
