"""Transforms against Pillow, torch and the draws that torchvision 0.28 makes from the same seed."""

import io

import numpy as np
import PIL
import pytest
import torch
from PIL import Image

import rushlight as rl
from rushlight.vision import images, io as vision_io, transforms, utils
from rushlight.vision.transforms import functional as F, resample
from rushlight.vision.transforms.tensor import inverse_affine_matrix

MODE = transforms.InterpolationMode
PILLOW = int(PIL.__version__.split(".")[0])
random = np.random.RandomState(0)
RGB = random.randint(0, 256, (17, 23, 3), dtype=np.uint8)
GREY = RGB[:, :, 0]


def tensor(array=RGB, scale=True):
    """(C, H, W) floats in [0, 1]."""
    return F.to_tensor(array) if scale else F.pil_to_tensor(array)


# ------------------------------------------------------------ what torchvision draws

IMAGE = rl.zeros(3, 40, 30)


def flips():
    return transforms.RandomHorizontalFlip()(tensor()).equal(tensor().flip(-1))


DRAWS = {
    "crop": (
        lambda: transforms.RandomCrop.get_params(IMAGE, (20, 25)),
        [(11, 3, 20, 25), (7, 5, 20, 25), (9, 3, 20, 25)],
    ),
    "resized crop": (
        lambda: transforms.RandomResizedCrop.get_params(IMAGE, (0.08, 1.0), (3 / 4, 4 / 3)),
        [(11, 0, 23, 27), (4, 0, 33, 29), (5, 0, 29, 27)],
    ),
    "rotation": (
        lambda: transforms.RandomRotation.get_params([-30.0, 30.0]),
        [-0.224605, 15.457896, 6.881704],
    ),
    "jitter": (
        lambda: transforms.ColorJitter.get_params((0.5, 1.5), (0.5, 1.5), None, (-0.1, 0.1)),
        [
            ([0, 1, 3, 2], 0.63203, 0.807423, None, 0.026816),
            ([1, 3, 2, 0], 1.234684, 0.529282, None, 0.059972),
            ([0, 1, 3, 2], 0.974461, 1.213594, None, 0.023807),
        ],
    ),
    "affine": (
        lambda: transforms.RandomAffine.get_params(
            [-30.0, 30.0], (0.1, 0.2), (0.8, 1.2), (-5.0, 5.0, -3.0, 3.0), [30, 40]
        ),
        [
            (-0.224605, (2, -7), 0.852812, (-1.925772, 0.804472)),
            (15.457896, (-1, -2), 1.093874, (-4.707184, 1.799152)),
            (6.881704, (-1, 2), 0.989784, (2.135938, 0.714218)),
        ],
    ),
    "erasing": (
        lambda: transforms.RandomErasing.get_params(IMAGE, (0.02, 0.33), (0.3, 3.3), [0.0])[:4],
        [(14, 9, 20, 10), (4, 0, 13, 23), (8, 6, 14, 18)],
    ),
    "flips": (
        lambda: [flips() for _ in range(6)],
        [
            [True, False, True, True, True, False],
            [False, True, True, False, True, False],
            [False, True, False, True, False, False],
        ],
    ),
}  # fmt: skip


def flat(value):
    if isinstance(value, rl.Tensor):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [x for item in value for x in flat(item)]
    return [value]


@pytest.mark.parametrize("draw,expected", DRAWS.values(), ids=DRAWS)
def test_draws_equal_torchvisions(draw, expected):
    for seed, values in enumerate(expected):
        rl.manual_seed(seed)
        for mine, theirs in zip(flat(draw()), flat(values), strict=True):
            assert mine == (theirs if theirs is None else pytest.approx(theirs, abs=1e-6))


# ------------------------------------------------------------ between kinds


def test_to_tensor():
    assert tensor().dtype == rl.float32
    np.testing.assert_array_equal(
        tensor().numpy(), torch.from_numpy(RGB).permute(2, 0, 1).float().div(255).numpy()
    )
    assert F.to_tensor(GREY).shape == (1, 17, 23)
    assert F.to_tensor(np.ones((2, 3))).dtype == rl.float64  # only bytes are scaled
    assert F.to_tensor(Image.fromarray(RGB)).equal(tensor())
    assert F.to_tensor(Image.fromarray(GREY > 99)).unique().tolist() == [0.0, 1.0]
    assert F.to_tensor(Image.fromarray(GREY.astype(np.int32))).dtype == rl.int32


def test_to_pil_image_and_back():
    back = F.to_pil_image(tensor())
    np.testing.assert_array_equal(np.asarray(back), RGB)
    assert F.to_pil_image(rl.rand(2, 3, 3)).mode == "LA"
    assert F.to_pil_image(rl.rand(3, 3)).mode == "L"
    assert F.to_pil_image(rl.ones(1, 2, 2, dtype=rl.int32)).mode == "I"


@pytest.mark.parametrize("old", ["uint8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("new", ["uint8", "int16", "float32", "float64"])
def test_convert_image_dtype_keeps_white_and_black(old, new):
    white = {"uint8": 255, "int16": 2**15 - 1, "int32": 2**31 - 1}
    x = rl.tensor([0, white.get(old, 1)], dtype=getattr(rl, old))
    out = F.convert_image_dtype(x, getattr(rl, new)).tolist()
    assert out == [0, white.get(new, 1)] or (old, new) == ("uint8", "int16")


def test_unsafe_conversions_are_refused():
    with pytest.raises(RuntimeError, match="cannot be performed safely"):
        F.convert_image_dtype(rl.rand(2), rl.int64)


def test_normalize():
    out = transforms.Normalize((0.1, 0.2, 0.3), (0.5, 0.6, 0.7))(tensor())
    expected = (tensor() - rl.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / rl.tensor(
        [0.5, 0.6, 0.7]
    ).view(3, 1, 1)
    assert out.equal(expected)
    x = tensor()
    assert transforms.Normalize((0.5,), (0.5,), inplace=True)(x) is x


# ------------------------------------------------------------ arrays, images and tensors agree

SAME = {
    "hflip": F.hflip,
    "vflip": F.vflip,
    "crop": lambda x: F.crop(x, 2, 3, 9, 11),
    "crop beyond": lambda x: F.crop(x, -3, 15, 30, 20),
    "center crop": lambda x: F.center_crop(x, [9, 8]),
    "center crop beyond": lambda x: F.center_crop(x, [20, 31]),
    "pad": lambda x: F.pad(x, [1, 2, 3, 4], fill=7),
    "pad edge": lambda x: F.pad(x, 2, padding_mode="edge"),
    "pad reflect": lambda x: F.pad(x, [3, 2], padding_mode="reflect"),
    "pad symmetric": lambda x: F.pad(x, [3, 2], padding_mode="symmetric"),
    "nearest": lambda x: F.resize(x, [30, 9], MODE.NEAREST_EXACT),
    "invert": F.invert,
    "solarize": lambda x: F.solarize(x, 120),
    "posterize": lambda x: F.posterize(x, 3),
    "blur": lambda x: F.gaussian_blur(x, [3, 5], [0.7, 1.3]),
}


@pytest.mark.parametrize("function", SAME.values(), ids=SAME)
@pytest.mark.parametrize("array", [RGB, GREY], ids=["rgb", "grey"])
def test_kinds_agree(function, array):
    pil = np.asarray(function(Image.fromarray(array)))
    np.testing.assert_array_equal(function(array), pil)
    np.testing.assert_array_equal(
        images.pixels(function(tensor(array, scale=False)), array.ndim), pil
    )


NEAR = {  # Pillow and torchvision compute these in different ways too
    "brightness": (lambda x: F.adjust_brightness(x, 1.4), 1),
    "contrast": (lambda x: F.adjust_contrast(x, 0.6), 1),
    "saturation": (lambda x: F.adjust_saturation(x, 1.7), 2),
    "gamma": (lambda x: F.adjust_gamma(x, 1.7, 0.9), 1),
    "grey": (lambda x: F.rgb_to_grayscale(x, 3), 1),
}


@pytest.mark.parametrize("function,tolerance", NEAR.values(), ids=NEAR)
def test_kinds_nearly_agree(function, tolerance):
    pil = np.asarray(function(Image.fromarray(RGB))).astype(int)
    assert np.abs(function(RGB) - pil).max() <= tolerance


@pytest.mark.parametrize(
    "kernel,number", [("bilinear", 2), ("bicubic", 3), ("box", 4), ("hamming", 5), ("lanczos", 1)]
)
def test_resizing_bytes_equals_pillow(kernel, number):
    for height, width in random.randint(1, 40, (20, 2)).tolist():
        pil = np.asarray(Image.fromarray(GREY).resize((width, height), number))
        np.testing.assert_allclose(  # older Pillows always began with the rows
            resample.resize_bytes(GREY, height, width, kernel), pil, atol=0 if PILLOW >= 13 else 30
        )


@pytest.mark.parametrize("size", [8, 30, [30, 9], [9, 40]])
def test_resized_kinds_agree(size):
    pil = np.asarray(F.resize(Image.fromarray(RGB), size)).astype(int)
    assert np.abs(F.resize(RGB, size) - pil).max() <= (0 if PILLOW >= 13 else 1)
    limited = F.resize(RGB, 12, max_size=14)
    assert limited.shape == np.asarray(F.resize(Image.fromarray(RGB), 12, max_size=14)).shape


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(7, 30), (40, 9)])
def test_resizing_floats_equals_torch(size, mode, antialias):
    mine = F.resize(tensor(), size, MODE(mode), antialias=antialias)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(tensor().numpy())[None], size, mode=mode, antialias=antialias
    )
    np.testing.assert_allclose(mine.numpy(), theirs[0].numpy(), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_affine_equals_torchs_grid_sampling(mode):
    matrix = inverse_affine_matrix([0.0, 0.0], 20.0, [2.0, -1.0], 1.2, [5.0, 3.0])
    mine = F.affine(tensor(), 20.0, [2, -1], 1.2, [5.0, 3.0], MODE(mode))
    theta = np.array(matrix).reshape(2, 3)
    scaled = theta * [[1, 17 / 23, 2 / 23], [23 / 17, 1, 2 / 17]]
    grid = torch.nn.functional.affine_grid(
        torch.tensor(scaled)[None].float(), (1, 3, 17, 23), False
    )
    theirs = torch.nn.functional.grid_sample(
        torch.from_numpy(tensor().numpy())[None], grid, mode, "zeros", False
    )
    np.testing.assert_allclose(mine.numpy(), theirs[0].numpy(), rtol=1e-4, atol=1e-4)


def test_rotations():
    assert F.rotate(tensor(GREY), 90, expand=True).equal(tensor(GREY).rot90(1, (-2, -1)))
    assert (
        F.rotate(GREY, 30, expand=True).shape
        == np.asarray(Image.fromarray(GREY).rotate(30, expand=True)).shape
    )
    assert F.rotate(rl.ones(1, 9, 9), 45, fill=0.5)[0, 0, 0].item() == 0.5


def test_hue_turns_and_returns():
    x = tensor()
    assert F.adjust_hue(x, 0.0).allclose(x, atol=1e-6)
    assert F.adjust_hue(F.adjust_hue(x, 0.3), -0.3).allclose(x, atol=1e-5)
    red = rl.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)
    assert F.adjust_hue(red, 1 / 3).flatten().tolist() == pytest.approx([0.0, 1.0, 0.0], abs=1e-6)


# ------------------------------------------------------------ classes


def test_every_transform_takes_every_kind():
    made = [
        transforms.Resize(8),
        transforms.CenterCrop(9),
        transforms.Pad(2),
        transforms.RandomCrop(9, padding=2),
        transforms.RandomHorizontalFlip(),
        transforms.RandomVerticalFlip(),
        transforms.RandomResizedCrop(8),
        transforms.RandomRotation(20),
        transforms.RandomAffine(10, (0.1, 0.1), (0.9, 1.1), 3),
        transforms.ColorJitter(0.2, 0.2, 0.2, 0.1),
        transforms.Grayscale(3),
        transforms.RandomGrayscale(),
        transforms.GaussianBlur(3),
        transforms.RandomInvert(),
        transforms.RandomApply([transforms.CenterCrop(5)]),
        transforms.RandomChoice([transforms.CenterCrop(5)]),
        transforms.RandomOrder([transforms.CenterCrop(5), transforms.Pad(1)]),
        transforms.Lambda(lambda x: x),
    ]
    for transform in made:
        for image in (RGB, Image.fromarray(RGB), tensor()):
            assert type(transform(image)) is type(image)


def test_reprs():
    compose = transforms.Compose([transforms.Resize(3), transforms.ToTensor()])
    assert repr(compose) == (
        "Compose(\n    Resize(size=3, interpolation=bilinear, max_size=None, antialias=True)\n"
        "    ToTensor()\n)"
    )
    assert repr(transforms.Normalize((0.5,), (0.2,))) == "Normalize(mean=(0.5,), std=(0.2,))"
    assert repr(transforms.RandomRotation(3)) == (
        "RandomRotation(degrees=[-3.0, 3.0], interpolation=nearest, expand=False, fill=0)"
    )


def test_random_erasing_writes_a_rectangle():
    out = transforms.RandomErasing(p=1.0, value=(1.0, 2.0, 3.0))(rl.zeros(3, 20, 20))
    assert [sorted(set(out[c].flatten().tolist())) for c in range(3)] == [[0, 1], [0, 2], [0, 3]]


ERRORS = [
    (TypeError, lambda: F.to_tensor(3)),
    (ValueError, lambda: F.to_tensor(np.ones((1, 2, 3, 4)))),
    (TypeError, lambda: F.normalize(RGB, [0.0], [1.0])),
    (TypeError, lambda: F.normalize(rl.ones(1, 2, 2, dtype=rl.int32), [0.0], [1.0])),
    (ValueError, lambda: F.normalize(rl.ones(1, 2, 2), [0.0], [0.0])),
    (ValueError, lambda: transforms.Resize((1, 2, 3))),
    (ValueError, lambda: transforms.RandomCrop(99)(RGB)),
    (ValueError, lambda: transforms.Pad((1, 2, 3))),
    (ValueError, lambda: transforms.Pad(1, padding_mode="mirror")),
    (ValueError, lambda: transforms.RandomRotation(-1)),
    (ValueError, lambda: transforms.ColorJitter(-1)),
    (ValueError, lambda: transforms.ColorJitter(hue=0.7)),
    (ValueError, lambda: transforms.Grayscale(2)(RGB)),
    (TypeError, lambda: transforms.Lambda(3)),
    (ValueError, lambda: transforms.RandomErasing(2)),
    (ValueError, lambda: F.to_pil_image(rl.rand(5, 3, 3))),
    (TypeError, lambda: F.hflip(3)),
]


@pytest.mark.parametrize("kind,make", ERRORS)
def test_errors(kind, make):
    with pytest.raises(kind):
        make()


# ------------------------------------------------------------ utils


def test_make_grid():
    grid = utils.make_grid(rl.arange(3 * 4.0).view(3, 1, 2, 2), nrow=2, padding=1, pad_value=9.0)
    assert grid.shape == (3, 7, 7)
    assert grid[0].tolist() == [
        [9, 9, 9, 9, 9, 9, 9],
        [9, 0, 1, 9, 4, 5, 9],
        [9, 2, 3, 9, 6, 7, 9],
        [9, 9, 9, 9, 9, 9, 9],
        [9, 8, 9, 9, 9, 9, 9],
        [9, 10, 11, 9, 9, 9, 9],
        [9, 9, 9, 9, 9, 9, 9],
    ]
    scaled = utils.make_grid(rl.rand(4, 3, 2, 2) * 7, normalize=True, padding=0)
    assert (scaled.min().item(), scaled.max().item()) == (0.0, 1.0)


def test_save_image():
    file = io.BytesIO()
    utils.save_image(tensor(), file, format="png")
    file.seek(0)
    np.testing.assert_array_equal(np.asarray(Image.open(file)), RGB)


def test_files(tmp_path):
    vision_io.write_png(tensor(scale=False), tmp_path / "a.png")
    assert vision_io.read_image(tmp_path / "a.png").equal(tensor(scale=False))
    assert vision_io.read_image(tmp_path / "a.png", "GRAY").shape == (1, 17, 23)
    mode = vision_io.image.ImageReadMode.RGB_ALPHA
    assert vision_io.image.read_image(tmp_path / "a.png", mode).shape == (4, 17, 23)
    vision_io.write_jpeg(tensor(scale=False), tmp_path / "a.jpg", quality=90)
    assert vision_io.read_image(str(tmp_path / "a.jpg")).shape == (3, 17, 23)
    content = vision_io.read_file(str(tmp_path / "a.png"))
    assert content.dtype == rl.uint8 and bytes(content[1:4].tolist()) == b"PNG"
    for file in (content, tmp_path / "a.png"):
        assert vision_io.decode_image(file).equal(tensor(scale=False))
        assert vision_io.decode_image(file, mode="GRAY").shape == (1, 17, 23)
    with pytest.raises(RuntimeError, match="a uint8 tensor of one dim"):
        vision_io.decode_image(content[None])


def test_second_generation():
    from rushlight.vision.transforms import v2

    transform = v2.Compose(
        [v2.ToImage(), v2.RandomHorizontalFlip(0.0), v2.ToDtype(rl.float32, scale=True)]
    )
    for image in (RGB, Image.fromarray(RGB), tensor(scale=False)):
        assert transform(image).allclose(tensor())
    assert v2.ToDtype(rl.float64)(tensor(scale=False)).max().item() > 200
