"""Transforms that detectors are trained with, and transforms of one's own: values are
torchvision's.
"""

import numpy as np
import pytest
import torch as theirs
from PIL import Image

import rushlight as torch
from rushlight.vision import tv_tensors as tv
from rushlight.vision.transforms import v2

FILL = {tv.Image: (123, 117, 104), "others": 0}
PIPELINE = v2.Compose(
    [
        v2.RandomZoomOut(FILL, p=0.9),
        v2.RandomIoUCrop(),
        v2.RandomHorizontalFlip(1),
        v2.SanitizeBoundingBoxes(),
        v2.ToDtype(torch.float32, scale=True),
    ]
)


def sample():
    numbers = torch.arange(2400)
    tints = torch.tensor([0, 1, 3], dtype=torch.uint8).view(3, 1, 1)
    boxes = [[5.0, 5, 30, 30], [20, 10, 55, 38], [1, 1, 2, 9], [0, 0, 0, 0]]
    return {
        "image": tv.Image((numbers * 7 % 251).to(torch.uint8).view(1, 40, 60) + tints),
        "boxes": tv.BoundingBoxes(boxes, format="XYXY", canvas_size=(40, 60)),
        "masks": tv.Mask((numbers * 5 % 3).to(torch.uint8).view(1, 40, 60).expand(4, 40, 60)),
        "labels": torch.tensor([1, 2, 3, 4]),
        "other": torch.ones(2),
    }


# seed 4: size and sums of the image, boxes, sum of the masks, labels, and the next number drawn
RECORDED = [
    (
        "v2.RandomPhotometricDistort(p=1)",
        (40, 60),
        [301642.0, 301996.0, 303359.0],
        [
            [5.0, 5.0, 30.0, 30.0],
            [20.0, 10.0, 55.0, 38.0],
            [1.0, 1.0, 2.0, 9.0],
            [0.0, 0.0, 0.0, 0.0],
        ],
        9600,
        [1, 2, 3, 4],
        0.92626,
    ),
    (
        "v2.RandomZoomOut(FILL, p=1)",
        (107, 160),
        [2110068.0, 2024148.0, 1837588.0],
        [
            [14.0, 19.0, 39.0, 44.0],
            [29.0, 24.0, 64.0, 52.0],
            [10.0, 15.0, 11.0, 23.0],
            [9.0, 14.0, 9.0, 14.0],
        ],
        9600,
        [1, 2, 3, 4],
        0.00719,
    ),
    (
        "v2.RandomIoUCrop()",
        (26, 19),
        [63671.0, 64165.0, 65153.0],
        [[0.0, 0.0, 17.0, 22.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]],
        2080,
        [1, 2, 3, 4],
        0.52326,
    ),
    (
        "v2.ScaleJitter((50, 50))",
        (38, 58),
        [275116.0, 277320.0, 281728.0],
        [
            [4.833, 4.75, 29.0, 28.5],
            [19.333, 9.5, 53.167, 36.1],
            [0.967, 0.95, 1.933, 8.55],
            [0.0, 0.0, 0.0, 0.0],
        ],
        8968,
        [1, 2, 3, 4],
        0.55909,
    ),
    (
        "v2.RandomShortestSize([20, 30, 25], 40)",
        (26, 40),
        [129769.0, 130809.0, 132889.0],
        [
            [3.333, 3.25, 20.0, 19.5],
            [13.333, 6.5, 36.667, 24.7],
            [0.667, 0.65, 1.333, 5.85],
            [0.0, 0.0, 0.0, 0.0],
        ],
        4160,
        [1, 2, 3, 4],
        0.55909,
    ),
    (
        "v2.RandomResize(20, 40)",
        (30, 45),
        [168786.0, 170136.0, 172836.0],
        [
            [3.75, 3.75, 22.5, 22.5],
            [15.0, 7.5, 41.25, 28.5],
            [0.75, 0.75, 1.5, 6.75],
            [0.0, 0.0, 0.0, 0.0],
        ],
        5400,
        [1, 2, 3, 4],
        0.55909,
    ),
    (
        "v2.RandomChannelPermutation()",
        (40, 60),
        [301908.0, 299508.0, 306708.0],
        [
            [5.0, 5.0, 30.0, 30.0],
            [20.0, 10.0, 55.0, 38.0],
            [1.0, 1.0, 2.0, 9.0],
            [0.0, 0.0, 0.0, 0.0],
        ],
        9600,
        [1, 2, 3, 4],
        0.09146,
    ),
    (
        "v2.SanitizeBoundingBoxes()",
        (40, 60),
        [299508.0, 301908.0, 306708.0],
        [[5.0, 5.0, 30.0, 30.0], [20.0, 10.0, 55.0, 38.0], [1.0, 1.0, 2.0, 9.0]],
        7200,
        [1, 2, 3],
        0.55964,
    ),
    (
        "v2.SanitizeBoundingBoxes(min_size=5, min_area=700)",
        (40, 60),
        [299508.0, 301908.0, 306708.0],
        [[20.0, 10.0, 55.0, 38.0]],
        2400,
        [2],
        0.55964,
    ),
    (
        "PIPELINE",
        (71, 52),
        [1789.969, 1734.804, 1614.526],
        [[22.0, 3.0, 52.0, 31.0]],
        1188,
        [2],
        0.92627,
    ),
]


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda r: r[0])
def test_values(recorded):
    text, size, sums, boxes, masks, labels, following = recorded
    transform = eval(text)
    torch.manual_seed(4)
    out = transform(sample())
    assert type(out["image"]) is tv.Image and out["image"].shape == (3, *size)
    assert out["image"].double().sum((1, 2)).tolist() == pytest.approx(sums, abs=1e-3)
    assert out["boxes"].canvas_size == size
    np.testing.assert_allclose(out["boxes"].numpy(), np.reshape(boxes, (-1, 4)), atol=1e-3)
    assert type(out["masks"]) is tv.Mask and out["masks"].sum() == masks
    assert out["labels"].tolist() == labels and out["other"].tolist() == [1.0, 1.0]
    assert torch.rand(1).item() == pytest.approx(following, abs=1e-5)


@pytest.mark.parametrize("kind", ["RandomPhotometricDistort", "RandomChannelPermutation"])
def test_pictures_and_plain_tensors(kind):
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 10
    transform = getattr(v2, kind)()
    torch.manual_seed(1)
    picture = transform(Image.fromarray(pixels))
    torch.manual_seed(1)
    out, label = transform(torch.from_numpy(pixels).permute(2, 0, 1), torch.tensor(4))
    assert np.abs(np.asarray(picture).astype(int) - out.permute(1, 2, 0).numpy()).max() <= 8
    assert label == 4 and type(out) is torch.Tensor


class Shifted(v2.Transform):
    def __init__(self, most):
        super().__init__()
        self.most, self._hidden = most, 3

    def make_params(self, flat_inputs):
        self.seen = [type(x).__name__ for x in flat_inputs]
        return {"by": torch.randint(0, self.most, ())}

    def transform(self, inpt, params):
        return inpt + params["by"] if isinstance(inpt, tv.Image) else inpt


def test_transforms_of_ones_own():
    transform = Shifted(9)
    assert repr(transform) == "Shifted(most=9)"
    torch.manual_seed(0)
    out = transform(sample(), {"label": 3})[0]
    assert transform.seen == ["Image", "BoundingBoxes", "Mask"]
    theirs.manual_seed(0)
    by = theirs.randint(0, 9, ()).item()
    assert (out["image"] - sample()["image"]).unique().tolist() == [by]
    transform(torch.zeros(1, 2, 2), torch.ones(2), [Image.new("L", (2, 2))])
    assert transform.seen == ["Image"]  # the picture: plain tensors are then none
    transform(torch.zeros(1, 2, 2), torch.ones(2))
    assert transform.seen == ["Tensor"]


ERRORS = [
    (TypeError, "bounding boxes", lambda: v2.RandomIoUCrop()(torch.rand(3, 4, 4))),
    (ValueError, "side range", lambda: v2.RandomZoomOut(side_range=(0.5, 2))),
    (ValueError, "interval", lambda: v2.RandomZoomOut(p=2)),
    (ValueError, "min_size", lambda: v2.SanitizeBoundingBoxes(min_size=0)),
    (ValueError, "labels_getter", lambda: v2.SanitizeBoundingBoxes(labels_getter="x")),
    (ValueError, "labels are", lambda: v2.SanitizeBoundingBoxes()({"x": 1})),
    (ValueError, "dictionary", lambda: v2.SanitizeBoundingBoxes()(3)),
    (
        ValueError,
        "needs one",
        lambda: v2.SanitizeBoundingBoxes(labels_getter=lambda s: s["other"])(sample()),
    ),
    (NotImplementedError, "write one", lambda: v2.Transform()(torch.rand(1, 2, 2))),
    (ValueError, "multiple HxW", lambda: v2.ScaleJitter((9, 9))(sample(), tv.Image([[1.0]]))),
    (
        ValueError,
        "format and canvas_size",
        lambda: v2.functional.sanitize_bounding_boxes(torch.ones(1, 4)),
    ),
]


@pytest.mark.parametrize("kind,text,call", ERRORS)
def test_what_is_refused(kind, text, call):
    with pytest.raises(kind, match=text):
        call()


@pytest.mark.parametrize("shape", [(3, 40, 60), (2, 1, 33, 21), (5, 64, 64)])
@pytest.mark.parametrize("size", [(34, 52), (25, 37), (80, 70)])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
def test_resized_bytes_are_what_torch_interpolates(shape, size, mode):
    x = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    blends = {} if "nearest" in mode else {"align_corners": False, "antialias": True}
    how = v2.InterpolationMode(mode)

    def interpolated(t):
        batch = t.reshape(-1, *t.shape[-3:])
        return theirs.nn.functional.interpolate(batch, size, mode=mode, **blends).view(
            *t.shape[:-2], *size
        )

    first = v2.functional.resize(torch.from_numpy(x), size, how)
    expected = interpolated(theirs.from_numpy(x).float()).round().clamp(0, 255)
    apart = np.abs(first.numpy().astype(float) - expected.numpy())
    assert apart.max() <= bool(blends) and apart.mean() < 1e-2  # halves are rounded up or down
    second = v2.functional.resize(tv.Image(x), size, how)
    assert second.tolist() == interpolated(theirs.from_numpy(x)).tolist()
    if mode == "nearest":
        assert v2.functional.resize(tv.Mask(x), size).tolist() == expected.tolist()
