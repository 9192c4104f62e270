"""Transforms of images together with their boxes and masks: values are torchvision's."""

import numpy as np
import pytest

import rushlight as torch
from rushlight.vision import tv_tensors as tv
from rushlight.vision.transforms import v2


def sample():
    data = torch.arange(24)
    return {
        "image": tv.Image(data.float().view(1, 4, 6)),
        "boxes": tv.BoundingBoxes([[1, 1, 3, 2], [0, 0, 5, 3]], format="XYXY", canvas_size=(4, 6)),
        "centred": tv.BoundingBoxes([1.0, 1, 3, 2], format="cxcywh", canvas_size=(4, 6)),
        "mask": tv.Mask((data % 3).to(torch.uint8).view(4, 6)),
        "label": 3,
        "other": torch.ones(2),
    }


# seed 3: sum of the image, the boxes, the centred box, the start of the mask, and the size
RECORDED = [
    (
        v2.RandomHorizontalFlip(1),
        276,
        [[3, 1, 5, 2], [1, 0, 6, 3]],
        [5, 1, 3, 2],
        [2, 1, 0],
        (4, 6),
    ),
    (v2.RandomVerticalFlip(1), 276, [[1, 2, 3, 3], [0, 1, 5, 4]], [1, 3, 3, 2], [0, 1, 2], (4, 6)),
    (v2.Resize((8, 9)), 828, [[1, 2, 4, 4], [0, 0, 7, 6]], [1.5, 2, 4.5, 4], [0, 0, 1], (8, 9)),
    (v2.Resize(2), 69, [[0, 0, 1, 1], [0, 0, 2, 1]], [0.5, 0.5, 1.5, 1], [0, 2, 1], (2, 3)),
    (v2.CenterCrop(3), 81, [[0, 1, 1, 2], [0, 0, 3, 3]], [0.25, 1, 0.5, 2], [2, 0, 1], (3, 3)),
    (v2.RandomCrop((3, 2)), 57, [[0, 1, 0, 2], [0, 0, 2, 3]], [0, 1, 0, 2], [0, 1, 0], (3, 2)),
    (
        v2.RandomResizedCrop((5, 4)),
        240,
        [[0, 0, 0, 2], [0, 0, 4, 5]],
        [0, 1.25, 0, 2.5],
        [0, 0, 0],
        (5, 4),
    ),
    (v2.Pad([1, 2, 0, 1]), 276, [[2, 3, 4, 4], [1, 2, 6, 5]], [2, 3, 3, 2], [0, 0, 0], (7, 7)),
    (v2.ColorJitter(0.5), 22.527, [[1, 1, 3, 2], [0, 0, 5, 3]], [1, 1, 3, 2], [0, 1, 2], (4, 6)),
    (v2.RandomErasing(1.0), 254, [[1, 1, 3, 2], [0, 0, 5, 3]], [1, 1, 3, 2], [0, 1, 2], (4, 6)),
    (
        v2.Compose([v2.RandomHorizontalFlip(0.9), v2.Resize((3, 3))]),
        103.5,
        [[1, 0, 2, 1], [0, 0, 3, 2]],
        [2.5, 0.75, 1.5, 1.5],
        [2, 0, 1],
        (3, 3),
    ),
    (
        v2.RandomApply([v2.RandomHorizontalFlip(1)], p=0.9),
        276,
        [[3, 1, 5, 2], [1, 0, 6, 3]],
        [5, 1, 3, 2],
        [2, 1, 0],
        (4, 6),
    ),
]


@pytest.mark.parametrize("transform, total, boxes, centred, mask, size", RECORDED)
def test_images_boxes_and_masks(transform, total, boxes, centred, mask, size):
    torch.manual_seed(3)
    out = transform(sample())
    kinds = ["Image", "BoundingBoxes", "BoundingBoxes", "Mask", "int", "Tensor"]
    assert [type(x).__name__ for x in out.values()] == kinds
    assert out["image"].sum().item() == pytest.approx(total, abs=1e-3)
    assert out["boxes"].tolist() == boxes and out["boxes"].dtype == torch.int64
    assert out["centred"][0].tolist() == pytest.approx(centred)
    assert out["centred"].format is tv.BoundingBoxFormat.CXCYWH
    assert out["mask"].flatten()[:3].tolist() == mask and out["mask"].shape == size
    assert out["boxes"].canvas_size == size and out["label"] == 3


def test_turned_masks_keep_their_classes():
    torch.manual_seed(3)
    parts = {name: sample()[name] for name in ("image", "mask")}
    out = v2.RandomRotation(30)(parts)
    assert out["image"].sum() == 230 and out["mask"].flatten()[:4].tolist() == [0, 0, 1, 2]
    assert out["mask"].shape == (4, 6) and out["mask"].dtype == torch.uint8
    with pytest.raises(NotImplementedError, match="flipped, resized, cropped and padded"):
        v2.RandomRotation(30)(sample())
    with pytest.raises(ValueError, match="padding_mode"):
        v2.Pad(1, padding_mode="edge")(sample())


def test_what_is_taken_for_an_image():
    x = torch.arange(4).view(1, 2, 2)
    out = v2.RandomHorizontalFlip(1)(x, x, 5)
    assert type(out) is tuple and out[0].flatten().tolist() == [1, 0, 3, 2]
    assert out[1] is x and out[2] == 5
    out = v2.RandomHorizontalFlip(1)([sample()["image"], x])
    assert type(out) is list and out[1] is x
    order = v2.RandomOrder([v2.Identity(), v2.RandomChoice([v2.RandomVerticalFlip(1)])])
    assert order(x, 1)[0].flatten().tolist() == [2, 3, 0, 1]


def test_kinds_of_tensors():
    image = sample()["image"]
    assert type(image + 1) is torch.Tensor and type(image[0]) is torch.Tensor
    kept = [image.clone(), image.to(torch.float64), image.detach(), tv.wrap(image + 1, like=image)]
    assert all(type(x) is tv.Image for x in kept)
    assert tv.Image(torch.ones(4, 6)).shape == (1, 4, 6) and repr(image).startswith("Image(")
    assert "canvas_size=(4, 6)" in repr(sample()["boxes"])
    weights = torch.ones(1, 2, 2, requires_grad=True)
    assert (
        tv.Image(weights).requires_grad and not tv.Image(weights, requires_grad=False).requires_grad
    )
    for kind, bad in ((tv.Image, [1]), (tv.Video, [[1]])):
        with pytest.raises(ValueError, match="it must be"):
            kind(bad)
    with pytest.raises(ValueError, match=r"\(N, 4\)"):
        tv.BoundingBoxes([1, 2, 3], format="XYXY", canvas_size=(1, 1))


def test_conversions():
    array = np.zeros((2, 3, 3), np.uint8)
    assert type(v2.ToImage()(array)) is tv.Image and v2.ToImage()(array).shape == (3, 2, 3)
    parts = v2.ToPureTensor()(sample())
    assert all(type(x) in (torch.Tensor, int) for x in parts.values())
    boxes = sample()["boxes"]
    assert v2.ConvertBoundingBoxFormat("CXCYWH")(boxes).tolist() == [[2, 1, 2, 1], [2, 1, 5, 3]]
    outside = tv.BoundingBoxes([-1, 1, 9, 2], format="XYXY", canvas_size=(4, 6))
    assert v2.ClampBoundingBoxes()(outside).tolist() == [[0, 1, 6, 2]]
    out = v2.ToDtype({tv.Image: torch.float64, "others": None})(sample())
    assert out["image"].dtype == torch.float64 and out["mask"].dtype == torch.uint8
    out = v2.ToDtype(torch.float64, scale=True)(sample())
    assert out["image"].dtype == torch.float64 and out["boxes"].dtype == torch.int64
    assert v2.Lambda(lambda x: x + 1, int)(sample())["label"] == 4
    assert v2.RGB()(sample())["image"].shape == (3, 4, 6)


def test_functions():
    F, parts = v2.functional, sample()
    assert F.horizontal_flip(parts["boxes"]).tolist() == [[3, 1, 5, 2], [1, 0, 6, 3]]
    assert F.resize(parts["mask"], [2, 2]).tolist() == [[0, 0], [0, 0]]
    assert F.get_size(parts["boxes"]) == [4, 6]
    assert type(F.to_dtype(parts["image"], torch.float64, scale=True)) is tv.Image
    plain = F.convert_bounding_box_format(torch.tensor([[1, 1, 3, 2]]), "XYXY", "XYWH")
    assert plain.tolist() == [[1, 1, 2, 1]]
    with pytest.raises(ValueError, match="old_format"):
        F.convert_bounding_box_format(parts["boxes"], "XYXY", "XYWH")
    with pytest.raises(TypeError, match="new_format"):
        F.convert_bounding_box_format(parts["boxes"])
    with pytest.raises(TypeError, match="pure Tensor"):
        F.to_image("x")
    torch.manual_seed(1)
    noisy = v2.GaussianNoise()(torch.zeros(1, 2, 2))
    assert noisy.flatten().tolist() == pytest.approx([0.0661, 0.0267, 0.0062, 0.0621], abs=1e-4)
    with pytest.raises(ValueError, match="floating"):
        F.gaussian_noise(torch.zeros(1, 2, 2, dtype=torch.uint8))


SHOWN = {  # as torchvision 0.28 writes them
    "Resize(3)": "Resize(size=[3], interpolation=bilinear, antialias=True)",
    "Resize((3, 4), max_size=None)": "Resize(size=[3, 4], interpolation=bilinear, antialias=True)",
    "RandomCrop(32, 4)": "RandomCrop(size=(32, 32), padding=[4, 4, 4, 4], pad_if_needed=False, "
    "fill=0, padding_mode=constant)",
    "RandomAffine(5, scale=(0.8, 1))": "RandomAffine(degrees=[-5.0, 5.0], scale=(0.8, 1), "
    "interpolation=nearest, fill=0)",
    "RandomAffine(0)": "RandomAffine(degrees=[0.0, 0.0], interpolation=nearest, fill=0)",
    "ColorJitter(0.5)": "ColorJitter(brightness=(0.5, 1.5))",
    "GaussianBlur(3, (0.1, 1))": "GaussianBlur(kernel_size=(3, 3), sigma=[0.1, 1.0])",
    "Normalize((0.5,), (0.2,))": "Normalize(mean=[0.5], std=[0.2], inplace=False)",
    "Pad((1, 2))": "Pad(padding=[1, 2], fill=0, padding_mode=constant)",
    "RandomErasing()": "RandomErasing(p=0.5, scale=(0.02, 0.33), ratio=(0.3, 3.3), value=[0.0], "
    "inplace=False)",
    "RandomPosterize(2)": "RandomPosterize(p=0.5, bits=2)",
    "RandomPerspective()": "RandomPerspective(p=0.5, distortion_scale=0.5, interpolation=bilinear, "
    "fill=0)",
    "RandAugment()": "RandAugment(interpolation=nearest, num_ops=2, magnitude=9, "
    "num_magnitude_bins=31)",
    "AutoAugment()": "AutoAugment(interpolation=nearest, policy=AutoAugmentPolicy.IMAGENET)",
    "AugMix()": "AugMix(interpolation=bilinear, severity=3, mixture_width=3, chain_depth=-1, "
    "alpha=1.0, all_ops=True)",
    "Lambda(len)": "Lambda(len, types=['object'])",
    "GaussianNoise()": "GaussianNoise(mean=0.0, sigma=0.1, clip=True)",
    "RandomOrder([v2.RGB()])": "RandomOrder(transforms=[RGB()])",
    "RandomChoice([v2.RGB()])": "RandomChoice(transforms=[RGB()], p=[1.0])",
}


@pytest.mark.parametrize("call", SHOWN)
def test_how_transforms_are_written(call):
    assert repr(eval(f"v2.{call}", {"v2": v2})) == SHOWN[call]
