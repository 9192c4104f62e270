"""Transforms that change what holds the image, or the scale of its values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.nn import Module
from rushlight.vision.transforms import functional as F


class ToTensor:
    """Pillow image or array (H, W[, C]) -> tensor (C, H, W); uint8 values become floats in [0,
    1].

    Example:
        >>> from rushlight.vision import transforms
        >>> import numpy as np
        >>> transforms.ToTensor()(np.full((2, 2, 1), 255, np.uint8)).shape
        torch.Size([1, 2, 2])
    """

    def __call__(self, pic: Any) -> Tensor:
        return F.to_tensor(pic)

    def __repr__(self) -> str:
        return "ToTensor()"


class PILToTensor:
    """Pillow image (or array, without Pillow) -> tensor (C, H, W) of the same values."""

    def __call__(self, pic: Any) -> Tensor:
        return F.pil_to_tensor(pic)

    def __repr__(self) -> str:
        return "PILToTensor()"


class ToPILImage:
    """Tensor (C, H, W), or array (H, W[, C]), -> Pillow image.

    Args:
        mode: Pillow's name of the pixel format; default by channels and dtype.
    """

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        return F.to_pil_image(pic, self.mode)

    def __repr__(self) -> str:
        return "ToPILImage()" if self.mode is None else f"ToPILImage(mode={self.mode})"


class ConvertImageDtype(Module):
    """Changes the dtype, scaling values from the old range to the new (floats: [0, 1]).

    Args:
        dtype: of the result.

    Example:
        >>> from rushlight.vision import transforms
        >>> image = torch.tensor([[[0, 255]]], dtype=torch.uint8)
        >>> transforms.ConvertImageDtype(torch.float32)(image)
        tensor([[[0., 1.]]])
    """

    def __init__(self, dtype: Any) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, image: Tensor) -> Tensor:
        return F.convert_image_dtype(image, self.dtype)


class Normalize(Module):
    """``(x - mean) / std`` for each channel.

    Args:
        mean: one number per channel.
        std: one number per channel, not 0.
        inplace: change the tensor itself.

    Shape: (..., C, H, W), floats.

    Example:
        >>> from rushlight.vision import transforms
        >>> transforms.Normalize(mean=[0.5], std=[0.25])(torch.tensor([[[0.5, 1.0]]]))
        tensor([[[0., 2.]]])
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        super().__init__()
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def forward(self, tensor: Tensor) -> Tensor:
        return F.normalize(tensor, self.mean, self.std, self.inplace)

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"


class LinearTransformation(Module):
    """``(flat(x) - mean_vector) @ transformation_matrix``, in the shape of x.

    Args:
        transformation_matrix: (D, D) with D = C * H * W.
        mean_vector: (D,).
    """

    def __init__(self, transformation_matrix: Tensor, mean_vector: Tensor) -> None:
        super().__init__()
        size = transformation_matrix.size()
        if size[0] != size[1]:
            raise ValueError(f"transformation_matrix should be square. Got {tuple(size)}")
        if mean_vector.size(0) != size[0]:
            raise ValueError(
                f"mean_vector should have the same length {mean_vector.size(0)} as a side of "
                f"transformation_matrix {tuple(size)}"
            )
        self.transformation_matrix = transformation_matrix
        self.mean_vector = mean_vector

    def forward(self, tensor: Tensor) -> Tensor:
        flat = tensor.view(-1, tensor.shape[-3] * tensor.shape[-2] * tensor.shape[-1])
        moved = flat - self.mean_vector
        return (moved @ self.transformation_matrix).view(tensor.shape)
