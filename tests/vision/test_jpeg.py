"""What JPEG leaves of images: as Pillow's files, and with random qualities."""

import io

import numpy as np
import pytest
from PIL import Image

import rushlight as torch
from rushlight.vision import tv_tensors
from rushlight.vision.transforms import v2


def picture():
    y, x = np.mgrid[:24, :32]
    planes = [(3 * x + y) % 211, (x * y) % 180 + 30, 120 + 4 * (y - x) // 3]
    return np.stack(planes).astype(np.uint8)


def saved(pixels, quality):
    file = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(file, format="JPEG", quality=quality)
    return np.asarray(Image.open(file)).transpose(2, 0, 1)


@pytest.mark.parametrize("quality", [5, 60, 100])
def test_pixels_are_those_of_a_file(quality):
    want = saved(picture(), quality)
    transform = v2.JPEG(quality)
    image = tv_tensors.Image(torch.from_numpy(picture()))
    out, label = transform((image, 3))
    assert isinstance(out, tv_tensors.Image) and label == 3
    np.testing.assert_array_equal(out.numpy(), want)
    of_pillow = transform(Image.fromarray(picture().transpose(1, 2, 0)))
    np.testing.assert_array_equal(np.asarray(of_pillow).transpose(2, 0, 1), want)
    batch = transform(torch.from_numpy(np.stack([picture(), picture()])))
    np.testing.assert_array_equal(batch.numpy(), np.stack([want, want]))
    grey = transform(torch.from_numpy(picture()[:1]))
    assert grey.shape == (1, 24, 32) and grey.dtype is torch.uint8


def test_qualities_are_drawn():
    torch.manual_seed(0)
    image = torch.from_numpy(picture())
    sums = {int(v2.JPEG((1, 90))(image).to(torch.int64).sum()) for _ in range(8)}
    assert len(sums) > 4
    assert repr(v2.JPEG(50)) == "JPEG(quality=[50, 50])"
    assert repr(v2.JPEG((3, 60))) == "JPEG(quality=(3, 60))"


@pytest.mark.parametrize(
    ("quality", "kind"),
    [
        (True, TypeError),
        (0, ValueError),
        (101, ValueError),
        ([10], ValueError),
        ((9, 3), ValueError),
    ],
)
def test_what_is_refused(quality, kind):
    with pytest.raises(kind, match="quality"):
        v2.JPEG(quality)
    with pytest.raises(RuntimeError, match="uint8"):
        v2.JPEG(50)(torch.zeros(3, 4, 4))
