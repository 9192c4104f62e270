"""Random transforms from the training of detectors: of size, of crops that keep boxes, of color;
and boxes that became useless are taken out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rushlight import tensor_api as rl
from rushlight.core.tensor import Tensor
from rushlight.utils._pytree import tree_flatten, tree_unflatten
from rushlight.vision import tv_tensors
from rushlight.vision.ops.boxes import box_iou
from rushlight.vision.transforms.containers import chance, integer, uniform
from rushlight.vision.transforms.v2 import functional as F
from rushlight.vision.transforms.v2.transform import Transform, boxes_of, is_image, size_of

__all__ = [
    "RandomChannelPermutation",
    "RandomIoUCrop",
    "RandomPhotometricDistort",
    "RandomResize",
    "RandomShortestSize",
    "RandomZoomOut",
    "SanitizeBoundingBoxes",
    "ScaleJitter",
]


def _colors(x: Any) -> bool:
    return is_image(x) or type(x) is Tensor


class RandomChannelPermutation(Transform):
    """The channels of images in random order."""

    _transformed_types = (_colors,)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"permutation": rl.randperm(size_of(flat_inputs)[0])}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.permute_channels(inpt, params["permutation"].tolist())


class RandomPhotometricDistort(Transform):
    """Brightness, contrast, saturation, hue and the order of channels, each changed at random.

    Args:
        brightness: range of the factor, as of the next three.
        contrast: applied before or after saturation and hue, at random.
        saturation: 0 is gray.
        hue: share of the circle of hues, in [-0.5, 0.5].
        p: probability of each change.

    Reference: Liu et al., 2016, arXiv:1512.02325.
    """

    _transformed_types = (_colors,)

    def __init__(
        self,
        brightness: tuple[float, float] = (0.875, 1.125),
        contrast: tuple[float, float] = (0.5, 1.5),
        saturation: tuple[float, float] = (0.5, 1.5),
        hue: tuple[float, float] = (-0.05, 0.05),
        p: float = 0.5,
    ) -> None:
        super().__init__()
        self.brightness, self.contrast = brightness, contrast
        self.hue, self.saturation = hue, saturation
        self.p = p

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        params: dict[str, Any] = {}
        for name in ("brightness", "contrast", "saturation", "hue"):
            params[name] = uniform(*getattr(self, name)) if chance() < self.p else None
        params["contrast_first"] = chance() < 0.5
        params["order"] = None
        if chance() < self.p:
            params["order"] = rl.randperm(size_of(flat_inputs)[0]).tolist()
        return params

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        first = params["contrast_first"]
        for change, factor in (
            (F.adjust_brightness, params["brightness"]),
            (F.adjust_contrast, params["contrast"] if first else None),
            (F.adjust_saturation, params["saturation"]),
            (F.adjust_hue, params["hue"]),
            (F.adjust_contrast, None if first else params["contrast"]),
            (F.permute_channels, params["order"]),
        ):
            if factor is not None:
                inpt = change(inpt, factor)
        return inpt


class RandomZoomOut(Transform):
    """The image somewhere on a larger canvas, with probability ``p``.

    Args:
        fill: value of the new border; or a dict of values by kind, with "others" for the rest.
        side_range: range of the factor of both sides, >= 1.
        p: in [0, 1].
    """

    def __init__(
        self, fill: Any = 0, side_range: Sequence[float] = (1.0, 4.0), p: float = 0.5
    ) -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError("`p` should be a floating point value in the interval [0.0, 1.0].")
        if len(side_range) != 2 or side_range[0] < 1.0 or side_range[0] > side_range[1]:
            raise ValueError(f"Invalid side range provided {side_range}.")
        self.p, self.fill, self.side_range = p, fill, side_range

    def forward(self, *inputs: Any) -> Any:
        if chance() >= self.p:
            return inputs if len(inputs) > 1 else inputs[0]
        return super().forward(*inputs)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        _, height, width = size_of(flat_inputs)
        least, most = self.side_range
        ratio = least + rl.rand(1) * (most - least)
        wide, high = int(width * ratio), int(height * ratio)
        place = rl.rand(2)
        left, top = int((wide - width) * place[0]), int((high - height) * place[1])
        return {"padding": [left, top, wide - left - width, high - top - height]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        fill = self.fill
        if isinstance(fill, Mapping):
            fill = fill.get(type(inpt), fill.get("others", 0))
        return F.pad(inpt, params["padding"], 0 if fill is None else fill)


class RandomIoUCrop(Transform):
    """A random part of the image in which a box keeps a share of its area; boxes whose middle is
    outside become 0: see `SanitizeBoundingBoxes`.

    Args:
        min_scale: least share of each side.
        max_scale: largest share of each side.
        min_aspect_ratio: least width / height.
        max_aspect_ratio: largest width / height.
        sampler_options: least overlaps of a box and the part, of which one is drawn; from 1 on
            the image stays whole.
        trials: how many parts are tried for each.

    Reference: Liu et al., 2016, arXiv:1512.02325.
    """

    def __init__(
        self,
        min_scale: float = 0.3,
        max_scale: float = 1.0,
        min_aspect_ratio: float = 0.5,
        max_aspect_ratio: float = 2.0,
        sampler_options: list[float] | None = None,
        trials: int = 40,
    ) -> None:
        super().__init__()
        self.min_scale, self.max_scale = min_scale, max_scale
        self.min_aspect_ratio, self.max_aspect_ratio = min_aspect_ratio, max_aspect_ratio
        self.options = sampler_options or [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0]
        self.trials = trials

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        boxes = any(isinstance(x, tv_tensors.BoundingBoxes) for x in flat_inputs)
        if not boxes or not any(is_image(x) or type(x) is Tensor for x in flat_inputs):
            raise TypeError(
                f"{type(self).__name__}() requires input sample to contain tensor or PIL images "
                "and bounding boxes. Sample can also contain masks."
            )

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        _, height, width = size_of(flat_inputs)
        boxes = F.convert_bounding_box_format(boxes_of(flat_inputs), new_format="XYXY")
        corners = tv_tensors.plain(boxes)
        while True:
            overlap = self.options[integer(0, len(self.options))]
            if overlap >= 1.0:
                return {}
            for _ in range(self.trials):
                found = self._part(corners, height, width, overlap)
                if found is not None:
                    return found

    def _part(self, corners: Tensor, height: int, width: int, overlap: float) -> Any:
        """One try."""
        share = self.min_scale + (self.max_scale - self.min_scale) * rl.rand(2)
        w, h = int(width * share[0]), int(height * share[1])
        if not self.min_aspect_ratio <= w / h <= self.max_aspect_ratio:
            return None
        place = rl.rand(2)
        left, top = int((width - w) * place[0]), int((height - h) * place[1])
        if w == 0:
            return None
        x, y = (0.5 * (corners[..., i] + corners[..., i + 2]) for i in (0, 1))
        inside = (left < x) & (x < left + w) & (top < y) & (y < top + h)
        if not inside.any():
            return None
        part = rl.tensor([[left, top, left + w, top + h]], dtype=corners.dtype)
        if box_iou(corners[inside], part).max() < overlap:
            return None
        return {"place": (top, left, h, w), "inside": inside}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if not params:
            return inpt
        out = F.crop(inpt, *params["place"])
        if isinstance(out, tv_tensors.BoundingBoxes):
            out[~params["inside"]] = 0
        return out


class _Resizing(Transform):
    interpolation: Any
    antialias: bool | None

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        mode = self.interpolation
        mode = F.InterpolationMode(mode) if isinstance(mode, str) else mode
        return F.resize(inpt, params["size"], interpolation=mode, antialias=self.antialias)


class ScaleJitter(_Resizing):
    """The image scaled by a random factor of what would fit into ``target_size``.

    Args:
        target_size: (height, width).
        scale_range: range of the factor.
        interpolation: how.
        antialias: smooth what becomes smaller.
    """

    def __init__(
        self,
        target_size: tuple[int, int],
        scale_range: tuple[float, float] = (0.1, 2.0),
        interpolation: Any = "bilinear",
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.target_size, self.scale_range = target_size, scale_range
        self.interpolation, self.antialias = interpolation, antialias

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        _, height, width = size_of(flat_inputs)
        least, most = self.scale_range
        scale = least + rl.rand(1) * (most - least)
        ratio = min(self.target_size[1] / height, self.target_size[0] / width) * scale
        return {"size": (int(height * ratio), int(width * ratio))}


class RandomShortestSize(_Resizing):
    """The image scaled so that its shorter side has a size that is drawn.

    Args:
        min_size: sizes to draw from.
        max_size: of the longer side at most.
        interpolation: how.
        antialias: smooth what becomes smaller.
    """

    def __init__(
        self,
        min_size: int | Sequence[int],
        max_size: int | None = None,
        interpolation: Any = "bilinear",
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.min_size = [min_size] if isinstance(min_size, int) else list(min_size)
        self.max_size = max_size
        self.interpolation, self.antialias = interpolation, antialias

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        _, height, width = size_of(flat_inputs)
        ratio = self.min_size[integer(0, len(self.min_size))] / min(height, width)
        if self.max_size is not None:
            ratio = min(ratio, self.max_size / max(height, width))
        return {"size": (int(height * ratio), int(width * ratio))}


class RandomResize(_Resizing):
    """The image scaled so that its shorter side has a size in [min_size, max_size).

    Args:
        min_size: the least.
        max_size: one above the largest.
        interpolation: how.
        antialias: smooth what becomes smaller.
    """

    def __init__(
        self,
        min_size: int,
        max_size: int,
        interpolation: Any = "bilinear",
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.min_size, self.max_size = min_size, max_size
        self.interpolation, self.antialias = interpolation, antialias

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"size": [integer(self.min_size, self.max_size)]}


class SanitizeBoundingBoxes(Transform):
    """Without boxes that are too small or not wholly on the image, nor their labels and masks.

    Args:
        min_size: least width and height, >= 1.
        min_area: least area, >= 1.
        labels_getter: function of the sample that returns the labels, or several tensors that
            belong to the boxes; "default" looks for the key "labels", or one with "label" in it,
            in the sample or its second part; None: there are none.
    """

    def __init__(
        self,
        min_size: float = 1.0,
        min_area: float = 1.0,
        labels_getter: Callable[[Any], Any] | str | None = "default",
    ) -> None:
        super().__init__()
        for name, value in (("min_size", min_size), ("min_area", min_area)):
            if value < 1:
                raise ValueError(f"{name} must be >= 1, got {value}.")
        if labels_getter not in ("default", None) and not callable(labels_getter):
            raise ValueError(
                "labels_getter should either be 'default', a callable, or None, but got "
                f"{labels_getter}."
            )
        self.min_size, self.min_area = min_size, min_area
        self.labels_getter = labels_getter

    def forward(self, *inputs: Any) -> Any:
        sample = inputs if len(inputs) > 1 else inputs[0]
        labels = self._labels(sample)
        leaves, shape = tree_flatten(sample)
        boxes = boxes_of(leaves)
        for x in labels:
            if not isinstance(x, Tensor):
                raise ValueError(
                    "The labels in the input to forward() must be a tensor or None, got "
                    f"{type(x)} instead."
                )
            if x.shape[0] != boxes.shape[0]:
                raise ValueError(
                    f"There are {boxes.shape[0]} boxes, but labels of shape {tuple(x.shape)}: "
                    "each box needs one."
                )
        _, valid = F.sanitize_bounding_boxes(boxes, min_size=self.min_size, min_area=self.min_area)
        for i, x in enumerate(leaves):
            kept = isinstance(x, tv_tensors.BoundingBoxes | tv_tensors.Mask)
            if any(x is label for label in labels):
                leaves[i] = x[valid]
            elif kept and x.shape[:1] == valid.shape:
                leaves[i] = tv_tensors.wrap(tv_tensors.plain(x)[valid], like=x)
        return tree_unflatten(leaves, shape)

    def _labels(self, sample: Any) -> Sequence[Any]:
        if self.labels_getter is None:
            return ()
        if callable(self.labels_getter):
            found = self.labels_getter(sample)
        else:
            found = _found_labels(sample)
        if found is None:
            return ()
        return found if isinstance(found, (tuple, list)) else (found,)


def _found_labels(sample: Any) -> Any:
    where = sample[1] if isinstance(sample, (tuple, list)) else sample
    if type(where) is Tensor:
        return where
    if not isinstance(where, Mapping):
        raise ValueError(
            "When using the default labels_getter, the input passed to forward must be a "
            "dictionary or a two-tuple whose second item is a dictionary or a tensor, but got "
            f"{sample} instead."
        )
    keys = [k for k in where if k.lower() == "labels"] or [k for k in where if "label" in k.lower()]
    if not keys:
        raise ValueError(
            "Could not infer where the labels are in the sample. Pass a function as labels_getter, "
            "or None if there are none."
        )
    return where[keys[0]]
