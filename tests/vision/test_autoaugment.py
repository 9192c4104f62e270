"""Augmentations that choose among operations: torchvision's draws, pixels and texts."""

import zlib

import numpy as np
import pytest

import rushlight as torch
from rushlight.vision import transforms as T
from rushlight.vision.transforms import functional as F, v2

# torchvision 0.28: crc32 of twenty results for the image below, seeds 0 to 19
RECORDED = {
    "AutoAugment()": 3500239024,
    "AutoAugment(T.AutoAugmentPolicy.CIFAR10)": 742380132,
    "RandAugment()": 1443251401,
    "RandAugment(3, 5, fill=100)": 2911561079,
    "RandomAdjustSharpness(2.0)": 4272403905,
    "RandomAutocontrast()": 3878309171,
    "RandomEqualize()": 362569226,
}


def picture():
    y, x = np.mgrid[:40, :48]
    planes = [(3 * x + y) % 211, (x * y) % 180 + 30, 120 + 4 * (y - x) // 3]
    return torch.from_numpy(np.stack(planes).astype(np.uint8))


@pytest.mark.parametrize("source", RECORDED)
def test_pixels_equal_torchvisions(source):
    crc = 0
    for seed in range(20):
        torch.manual_seed(seed)
        out = eval("T." + source, {"T": T})(picture())
        crc = zlib.crc32(np.ascontiguousarray(out.numpy()).tobytes(), crc)
    assert crc == RECORDED[source]


@pytest.mark.parametrize(
    "transform",
    [
        T.AutoAugment(T.AutoAugmentPolicy.SVHN),
        T.RandAugment(4, 12),
        T.TrivialAugmentWide(),
        T.AugMix(),
        T.RandomPerspective(p=1.0),
    ],
    ids=lambda t: type(t).__name__,
)
def test_kinds(transform):
    """Tensors and Pillow images: the kind and size stay, the draws are the same, pixels change."""
    image = F.to_pil_image(picture())
    changed = 0
    for seed in range(12):
        torch.manual_seed(seed)
        out = transform(picture())
        state = torch.get_rng_state()
        torch.manual_seed(seed)
        other = transform(image)
        assert out.shape == (3, 40, 48) and out.dtype == torch.uint8
        assert type(other) is type(image) and other.size == (48, 40)
        assert torch.equal(state, torch.get_rng_state())
        changed += not torch.equal(out, picture())
    assert changed > 6


def test_policies_are_whole():
    for policy in T.AutoAugmentPolicy:
        pairs = T.AutoAugment(policy).policies
        assert len(pairs) == 25
        assert all(0 <= p <= 1 and (m is None or 0 <= m <= 9) for pair in pairs for _, p, m in pair)
    with pytest.raises(ValueError, match="not recognized"):
        T.AutoAugment("imagenet")
    with pytest.raises(ValueError, match="severity"):
        T.AugMix(severity=11)


def test_operations():
    image = picture()
    stretched = F.autocontrast(image)
    assert (stretched.amin((-2, -1)) == 0).all() and (stretched.amax((-2, -1)) >= 254).all()
    flat = torch.full((1, 4, 4), 7, dtype=torch.uint8)
    assert torch.equal(F.autocontrast(flat), flat) and torch.equal(F.equalize(flat), flat)
    assert F.equalize(image)[0].float().mean().item() == pytest.approx(127, abs=12)
    assert torch.equal(F.adjust_sharpness(image, 1.0), image)
    blurred = F.adjust_sharpness(image, 0.0)
    assert torch.equal(blurred[:, 0], image[:, 0])
    window = image[0, 4:7, 4:7].double()
    mean = (window.sum() + 4 * window[1, 1]) / 13
    assert abs(blurred[0, 5, 5].item() - mean.item()) <= 0.5
    with pytest.raises(TypeError, match="uint8"):
        F.equalize(torch.rand(3, 4, 4))


def test_perspective_of_a_shift_is_a_shift():
    corners = [[0, 0], [47, 0], [47, 39], [0, 39]]
    moved = [[x + 5, y + 3] for x, y in corners]
    out = F.perspective(picture(), corners, moved, fill=[9.0, 9.0, 9.0])
    assert torch.equal(out[:, 3:, 5:], picture()[:, :-3, :-5])
    assert (out[:, :2] == 9).all() and (out[:, :, :4] == 9).all()


# torchvision 0.28 with seed 0 and alpha 1: the shares of labels 0 and 1, and a sum of pixels
@pytest.mark.parametrize(
    ("name", "shares", "total"),
    [
        ("MixUp", (0.86376160, 0.13623840), 23358.294921875),
        ("CutMix", (0.93750000, 0.06250000), 20640.0),
    ],
)
def test_mixtures_equal_torchvisions(name, shares, total):
    images = torch.arange(2 * 3 * 8 * 8.0).view(2, 3, 8, 8)
    torch.manual_seed(0)
    mixed, labels = getattr(v2, name)(num_classes=2)(images, torch.tensor([0, 1]))
    assert labels[0].tolist() == pytest.approx(shares, abs=1e-6)
    assert mixed[0].sum().item() == pytest.approx(total)
    assert torch.allclose(labels.sum(1), torch.ones(2))


def test_mixtures_take_shares_and_refuse_single_images():
    pair = [torch.rand(4, 1, 5, 5), torch.eye(4)]
    out = v2.CutMix()(pair)
    assert isinstance(out, list) and torch.allclose(out[1].sum(1), torch.ones(4))
    with pytest.raises(ValueError, match="batched"):
        v2.MixUp(num_classes=3)(torch.rand(1, 5, 5), torch.tensor([1]))
    with pytest.raises(ValueError, match="num_classes"):
        v2.MixUp()(torch.rand(2, 1, 5, 5), torch.tensor([1, 0]))
