"""Noise in the shape of a data set."""

from __future__ import annotations

from typing import Any

from rushlight import dtypes, tensor_api as rl
from rushlight.vision.datasets.base import Transform, VisionDataset
from rushlight.vision.images import pillow, pixels
from rushlight.vision.transforms.functional import to_pil_image

INT64 = dtypes.by_name["int64"]
UINT8 = dtypes.by_name["uint8"]


class FakeData(VisionDataset):
    """Random images with random classes; sample ``i`` is the same each time.

    Args:
        size: number of samples.
        image_size: (channels, height, width).
        num_classes: classes are in [0, num_classes).
        transform: function of the image.
        target_transform: function of the class number.
        random_offset: added to the index to seed a sample.
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(transform=transform, target_transform=target_transform)
        self.size = size
        self.num_classes = num_classes
        self.image_size = image_size
        self.random_offset = random_offset

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if index >= len(self):
            raise IndexError(f"FakeData: index {index} is out of range for {len(self)} samples.")
        generator = rl.Generator()
        generator.manual_seed(index + self.random_offset)
        noise = rl.randn(*self.image_size, generator=generator)
        target = rl.randint(0, self.num_classes, (1,), generator=generator)
        bytes_ = noise.mul(255).to(INT64).remainder(256).to(UINT8)
        image = to_pil_image(bytes_) if pillow() is not None else pixels(bytes_, 2)
        return self._transformed(image, int(target.item()))

    def __len__(self) -> int:
        return self.size
