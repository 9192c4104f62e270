"""Images and objects on their way into a detector, and what it finds on the way out."""

from __future__ import annotations

import math
from typing import Any

from rushlight import dtypes, nn, tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.nn.functional import interpolate
from rushlight.vision.models.detection.image_list import ImageList
from rushlight.vision.models.detection.masks import paste_masks_in_image

__all__ = ["GeneralizedRCNNTransform", "resize_boxes", "resize_keypoints"]

FLOAT32 = dtypes.by_name["float32"]


class GeneralizedRCNNTransform(nn.Module):
    """Normalises images, resizes them and what is known of their objects, and puts them into one
    tensor; `postprocess` brings results back to the sizes of before.

    Args:
        min_size: of the shorter side, in pixels; of several, training draws one, and inference
            takes the last.
        max_size: which the longer side may not exceed.
        image_mean: subtracted from each channel, ...
        image_std: ... which is then divided by this.
        size_divisible: sides of the tensor are multiples of it.
        fixed_size: width and height to resize to, instead.
    """

    def __init__(
        self,
        min_size: int | tuple[int, ...],
        max_size: int,
        image_mean: list[float],
        image_std: list[float],
        size_divisible: int = 32,
        fixed_size: tuple[int, int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.min_size = tuple(min_size) if isinstance(min_size, (list, tuple)) else (min_size,)
        self.max_size, self.image_mean, self.image_std = max_size, image_mean, image_std
        self.size_divisible, self.fixed_size = size_divisible, fixed_size
        self._skip_resize = kwargs.pop("_skip_resize", False)

    def forward(
        self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None
    ) -> tuple[ImageList, list[dict[str, Tensor]] | None]:
        resized, known = [], None if targets is None else []
        for i, image in enumerate(images):
            if image.dim() != 3:
                raise ValueError(
                    "images is expected to be a list of 3d tensors of shape [C, H, W], got "
                    f"{tuple(image.shape)}"
                )
            target = None if targets is None else dict(targets[i])
            image, target = self.resize(self.normalize(image), target)
            resized.append(image)
            if known is not None and target is not None:
                known.append(target)
        sizes = [(image.shape[-2], image.shape[-1]) for image in resized]
        return ImageList(self.batch_images(resized, self.size_divisible), sizes), known

    def normalize(self, image: Tensor) -> Tensor:
        """``(image - mean) / std`` in each channel."""
        if not image.is_floating_point():
            raise TypeError(
                "Expected input images to be of floating type (in range [0, 1]), but found type "
                f"{image.dtype} instead"
            )
        options: dict[str, Any] = {"dtype": image.dtype, "device": image.device}
        mean, std = (
            T.as_tensor(values, **options)[:, None, None]
            for values in (self.image_mean, self.image_std)
        )
        return (image - mean) / std

    def torch_choice(self, k: tuple[int, ...]) -> int:
        """One of them, drawn by the framework's generator."""
        return k[int(T.empty(1).uniform_(0.0, float(len(k))).item())]

    def resize(
        self, image: Tensor, target: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor] | None]:
        """An image, and what is known of it: boxes, masks and keypoints are resized with it."""
        before = (image.shape[-2], image.shape[-1])
        options: dict[str, Any]
        if self.fixed_size is not None:
            options = {"size": (self.fixed_size[1], self.fixed_size[0])}
        elif self.training and self._skip_resize:
            return image, target
        else:
            side = self.torch_choice(self.min_size) if self.training else self.min_size[-1]
            scale = min(side / min(before), self.max_size / max(before))
            options = {"scale_factor": scale, "recompute_scale_factor": True}
        image = interpolate(image[None], mode="bilinear", align_corners=False, **options)[0]
        if target is None:
            return image, None
        after = (image.shape[-2], image.shape[-1])
        target["boxes"] = resize_boxes(target["boxes"], before, after)
        if "masks" in target:
            masks = target["masks"]
            target["masks"] = interpolate(masks[:, None].float(), **options)[:, 0].byte()
        if "keypoints" in target:
            target["keypoints"] = resize_keypoints(target["keypoints"], before, after)
        return image, target

    def batch_images(self, images: list[Tensor], size_divisible: int = 32) -> Tensor:
        """One tensor of all, with zeros below and on the right of smaller ones."""
        sides = [max(image.shape[d] for image in images) for d in (1, 2)]
        height, width = (math.ceil(side / size_divisible) * size_divisible for side in sides)
        batch = images[0].new_zeros((len(images), images[0].shape[0], height, width))
        for place, image in zip(batch, images, strict=True):
            place[:, : image.shape[1], : image.shape[2]].copy_(image)
        return batch

    def postprocess(
        self,
        result: list[dict[str, Tensor]],
        image_shapes: list[tuple[int, int]],
        original_image_sizes: list[tuple[int, int]],
    ) -> list[dict[str, Tensor]]:
        """What was found in images of ``image_shapes``, for the images as they were given."""
        if self.training:
            return result
        for found, now, before in zip(result, image_shapes, original_image_sizes, strict=True):
            boxes = found["boxes"] = resize_boxes(found["boxes"], now, before)
            if "masks" in found:
                found["masks"] = paste_masks_in_image(found["masks"], boxes, before)
            if "keypoints" in found:
                found["keypoints"] = resize_keypoints(found["keypoints"], now, before)
        return result

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(\n    Normalize(mean={self.image_mean}, std={self.image_std})\n"
            f"    Resize(min_size={self.min_size}, max_size={self.max_size}, mode='bilinear')\n)"
        )


def _ratios(before: Any, after: Any, like: Tensor) -> Tensor:
    """How many times wider and higher an image has become, in float32 as the sizes are."""
    sizes = [T.tensor([s[1], s[0]], dtype=FLOAT32, device=like.device) for s in (after, before)]
    return sizes[0] / sizes[1]


def resize_keypoints(keypoints: Tensor, original_size: Any, new_size: Any) -> Tensor:
    """Points of an image of ``(height, width)`` that is resized. Shape: ``(N, K, 3)``: x, y and
    whether the point is visible.
    """
    places = keypoints[..., :2] * _ratios(original_size, new_size, keypoints)
    return T.cat([places, keypoints[..., 2:].to(places.dtype)], -1)


def resize_boxes(boxes: Tensor, original_size: Any, new_size: Any) -> Tensor:
    """Boxes of an image of ``(height, width)`` that is resized. Shape: ``(N, 4)``.

    Example:
        >>> import rushlight as torch
        >>> resize_boxes(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), (10, 10), (10, 20))
        tensor([[2., 2., 6., 4.]])
    """
    return boxes * _ratios(original_size, new_size, boxes).repeat(2)
