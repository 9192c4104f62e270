"""SVHN: digits of house numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rushlight.vision.datasets.base import Transform, VisionDataset
from rushlight.vision.datasets.utils import check_integrity, download_url, verify_str_arg
from rushlight.vision.images import image_of


def mat_file(path: str | Path) -> dict[str, Any]:
    """The arrays of a MATLAB file. Needs SciPy."""
    from scipy.io import loadmat

    found: dict[str, Any] = loadmat(str(path))
    return found


class SVHN(VisionDataset):
    """Photographs of 32 by 32 pixels of single digits.

    Args:
        root: folder that holds, or gets, ``train_32x32.mat`` and the like.
        split: "train" (73,257 images), "test" (26,032) or "extra" (531,131).
        transform: function of the image.
        target_transform: function of the digit.
        download: fetch the file if it is not there.

    Attributes:
        data: uint8 array (N, 3, 32, 32).
        labels: int64 array of digits.

    Reference: Netzer et al., 2011, "Reading digits in natural images".
    """

    split_list: ClassVar[dict[str, list[Any]]] = {
        split: [
            f"http://ufldl.stanford.edu/housenumbers/{split}_32x32.mat",
            f"{split}_32x32.mat",
            md5,
        ]
        for split, md5 in (
            ("train", "e26dedcc434d2e4c54c9b2d4a06d8373"),
            ("test", "eb5a983be6a315427106f1b164d9cef3"),
            ("extra", "a93ce644f1a588dc4d68dda5feec44a7"),
        )
    }

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = verify_str_arg(split, "split", self.split_list)
        self.url, self.filename, self.file_md5 = self.split_list[split]
        if download:
            self.download()
        path = Path(str(self.root)) / self.filename
        if not check_integrity(path, self.file_md5):
            raise RuntimeError(
                f"Dataset not found or corrupted: {path}. You can use download=True to download it"
            )
        arrays = mat_file(path)
        self.labels = arrays["y"].astype(np.int64).squeeze()
        self.labels[self.labels == 10] = 0
        self.data = np.ascontiguousarray(arrays["X"].transpose(3, 2, 0, 1))

    def download(self) -> None:
        """Fetch the file, unless it is there."""
        download_url(self.url, str(self.root), self.filename, self.file_md5)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image = image_of(np.ascontiguousarray(self.data[index].transpose(1, 2, 0)))
        return self._transformed(image, int(self.labels[index]))

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        return f"Split: {self.split}"
