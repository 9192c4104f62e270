"""Elastic transforms: torchvision's random numbers and pixels."""

import numpy as np
import pytest
from PIL import Image

import rushlight as torch
from rushlight.vision import transforms as T, tv_tensors
from rushlight.vision.transforms import v2

# torchvision 0.28, seed 0: every 13th row and 17th column of the second plane
ELASTIC = {
    "ElasticTransform()": [
        [0.0, 0.0694, 0.1498],
        [0.1276, 0.2346, 0.3358],
        [0.2545, 0.3932, 0.5336],
        [0.2241, 0.0831, 0.3076],
    ],
    "ElasticTransform([60.0, 20.0], [2.0, 4.0], fill=0.5)": [
        [0.5, 0.1519, 0.2586],
        [0.1327, 0.1953, 0.3975],
        [0.5125, 0.3783, 0.5482],
        [0.4154, 0.4333, 0.6388],
    ],
}


@pytest.mark.parametrize("generation", [T, v2])
@pytest.mark.parametrize("call", ELASTIC)
def test_elastic_pixels_are_torchvisions(call, generation):
    y, x = np.mgrid[:40, :48]
    planes = [(3 * x + y) % 211, (x * y) % 180 + 30, 120 + 4 * (y - x) // 3]
    image = torch.from_numpy(np.stack(planes).astype(np.uint8).astype(np.float32) / 255)
    torch.manual_seed(0)
    out = eval(f"T.{call}", {"T": generation})(image)
    np.testing.assert_allclose(out[1, ::13, ::17].numpy(), ELASTIC[call], atol=1e-4)


def test_elastic_transforms_of_photographs_masks_and_boxes():
    photograph = Image.new("RGB", (50, 44), (255, 0, 0))
    out = T.ElasticTransform(20.0, 2.0, fill=7)(photograph)
    assert (out.size, out.mode) == ((50, 44), "RGB")
    mask = tv_tensors.Mask(torch.arange(44 * 50).reshape(44, 50) % 3)
    moved = v2.ElasticTransform(20.0, 2.0)(mask)
    assert isinstance(moved, tv_tensors.Mask) and set(moved.unique().tolist()) <= {0, 1, 2}
    boxes = tv_tensors.BoundingBoxes([[1, 2, 3, 4]], format="XYXY", canvas_size=(44, 50))
    with pytest.raises(NotImplementedError, match="boxes can be flipped"):
        v2.ElasticTransform(20.0, 2.0)(boxes)
    text = "ElasticTransform(alpha=[50.0, 50.0], sigma=[5.0, 5.0], interpolation=bilinear, fill=0)"
    assert repr(v2.ElasticTransform()) == text
    with pytest.raises(ValueError, match="length should be 2"):
        T.ElasticTransform(alpha=[1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="displacement shape"):
        T.functional.elastic_transform(photograph, torch.zeros(1, 2, 2, 2))
