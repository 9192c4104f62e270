"""Functions of one image: a Pillow image, a uint8 array (H, W[, C]), or a tensor (..., C, H, W).

The result is of the same kind. Each function chooses between `pil` and `tensor`, which hold the
work; arrays go through `tensor`. `kinds` has that choice, and what makes one kind of another;
`sizes`, `geometry` and `color` the rest.
"""

from rushlight.vision.transforms.functional.color import (
    adjust_brightness as adjust_brightness,
    adjust_contrast as adjust_contrast,
    adjust_gamma as adjust_gamma,
    adjust_hue as adjust_hue,
    adjust_saturation as adjust_saturation,
    adjust_sharpness as adjust_sharpness,
    autocontrast as autocontrast,
    equalize as equalize,
    gaussian_blur as gaussian_blur,
    invert as invert,
    posterize as posterize,
    rgb_to_grayscale as rgb_to_grayscale,
    solarize as solarize,
    to_grayscale as to_grayscale,
)
from rushlight.vision.transforms.functional.geometry import (
    affine as affine,
    elastic_transform as elastic_transform,
    perspective as perspective,
    rotate as rotate,
)
from rushlight.vision.transforms.functional.kinds import (
    InterpolationMode as InterpolationMode,
    convert_image_dtype as convert_image_dtype,
    interpolation_mode as interpolation_mode,
    normalize as normalize,
    pil_to_tensor as pil_to_tensor,
    to_pil_image as to_pil_image,
    to_tensor as to_tensor,
)
from rushlight.vision.transforms.functional.sizes import (
    center_crop as center_crop,
    crop as crop,
    erase as erase,
    five_crop as five_crop,
    four_sides as four_sides,
    get_dimensions as get_dimensions,
    get_image_num_channels as get_image_num_channels,
    get_image_size as get_image_size,
    hflip as hflip,
    pad as pad,
    resize as resize,
    resized_crop as resized_crop,
    resized_shape as resized_shape,
    ten_crop as ten_crop,
    vflip as vflip,
)
