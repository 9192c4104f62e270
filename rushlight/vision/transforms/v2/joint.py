"""Transforms of several things at once: an image, its boxes and masks, and what else there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight import tensor_api as rl
from rushlight.core.tensor import Tensor
from rushlight.nn import Module
from rushlight.utils._pytree import tree_flatten, tree_unflatten
from rushlight.vision import tv_tensors
from rushlight.vision.images import is_pil
from rushlight.vision.transforms.containers import chance
from rushlight.vision.transforms.functional import InterpolationMode

__all__ = ["Compose", "RandomApply", "RandomChoice", "RandomOrder", "joint"]


class Joint(Module):
    """A transform of what is in tuples, lists and dicts, with the same random numbers for all of
    it. Where there is no Image, Video or Pillow image, the first plain tensor is taken for one.
    """

    pixels_only: bool  # whether boxes and masks stay
    shown: tuple[str, ...] = ()  # attributes in the representation; none: that of the first kind

    def __repr__(self) -> str:
        if not self.shown:
            return super().__repr__()
        values = {name: _as_shown(self, name) for name in self.shown}
        parts = [f"{name}={value}" for name, value in values.items() if value is not None]
        return f"{type(self).__name__}({', '.join(parts)})"

    def forward(self, *inputs: Any) -> Any:
        leaves, shape = tree_flatten(inputs if len(inputs) > 1 else inputs[0])
        chosen = self._chosen(leaves)
        state = rl.get_rng_state()
        for turn, i in enumerate(chosen):
            if turn:
                rl.set_rng_state(state)
            out = super().forward(leaves[i])
            if isinstance(leaves[i], tv_tensors.TVTensor) and type(out) is Tensor:
                out = tv_tensors.wrap(out, like=leaves[i])
            leaves[i] = out
        return tree_unflatten(leaves, shape)

    def _chosen(self, leaves: list[Any]) -> list[int]:
        images = (tv_tensors.Image, tv_tensors.Video)
        found, first = [], None
        for i, x in enumerate(leaves):
            image = isinstance(x, images) or is_pil(x) or (i == 0 and isinstance(x, np.ndarray))
            if image or (isinstance(x, tv_tensors.TVTensor) and not self.pixels_only):
                found.append(i)
            if image or (first is None and type(x) is Tensor):
                first = -1 if image or first == -1 else i
        return found if first in (None, -1) else sorted([*found, first])


SHOWN = {
    "AugMix": "interpolation severity mixture_width chain_depth alpha all_ops",
    "AutoAugment": "interpolation policy",
    "ColorJitter": "brightness contrast saturation hue",
    "ElasticTransform": "alpha sigma interpolation fill",
    "GaussianBlur": "kernel_size sigma",
    "Normalize": "mean std inplace",
    "Pad": "padding fill padding_mode",
    "RandAugment": "interpolation num_ops magnitude num_magnitude_bins",
    "RandomAdjustSharpness": "p sharpness_factor",
    "RandomAffine": "degrees translate scale shear interpolation fill",
    "RandomCrop": "size padding pad_if_needed fill padding_mode",
    "RandomErasing": "p scale ratio value inplace",
    "RandomPerspective": "p distortion_scale interpolation fill",
    "RandomPosterize": "p bits",
    "RandomSolarize": "p threshold",
    "Resize": "size interpolation max_size antialias",
    "TrivialAugmentWide": "interpolation num_magnitude_bins",
}


def _as_shown(transform: Any, name: str) -> Any:
    """An attribute as torchvision's second generation keeps it: sequences as lists."""
    value = getattr(transform, name)
    if isinstance(value, InterpolationMode):
        return value.value
    number = isinstance(value, int | float)
    match f"{type(transform).__name__}.{name}":
        case "Resize.size":
            return [value] if number else list(value)
        case "RandomCrop.padding" if value is not None:
            sides = [value] if number else list(value)
            return sides * (4 // len(sides))
        case "RandomErasing.value" if not isinstance(value, str):
            return [float(value)] if number else [float(v) for v in value]
        case "RandomAffine.degrees" | "RandomAffine.shear" | "GaussianBlur.sigma" if value:
            return [float(v) + 0.0 for v in value]  # no minus before a zero
        case "ElasticTransform.fill":
            return transform.given_fill
        case "Pad.padding" | "Normalize.mean" | "Normalize.std":
            return value if number else list(value)
    return value


def joint(kind: type, pixels_only: bool) -> type:
    """A class of transforms of single images, for several things at once."""
    names = {
        "__doc__": kind.__doc__,
        "__module__": kind.__module__.rpartition(".")[0] + ".v2",
        "pixels_only": pixels_only,
        "shown": tuple(SHOWN.get(kind.__name__, "").split()),
    }
    return type(kind.__name__, (Joint, kind), names)


class _Container(Module):
    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        super().__init__()
        if not isinstance(transforms, Sequence):
            raise TypeError("Argument transforms should be a sequence of callables")
        if not transforms:
            raise ValueError("Pass at least one transform")
        self.transforms = transforms

    def _apply_all(self, transforms: Sequence[Any], inputs: tuple[Any, ...]) -> Any:
        for transform in transforms:
            out = transform(*inputs)
            inputs = out if len(inputs) > 1 else (out,)
        return inputs if len(inputs) > 1 else inputs[0]

    def extra_repr(self) -> str:
        return "\n".join(f"    {transform}" for transform in self.transforms)


class Compose(_Container):
    """One transform after the other.

    Args:
        transforms: functions of what is given.
    """

    def forward(self, *inputs: Any) -> Any:
        return self._apply_all(self.transforms, inputs)


class RandomApply(_Container):
    """All the given transforms with probability ``p``, otherwise none.

    Args:
        transforms: a sequence, or a ``ModuleList``.
        p: in [0, 1].
    """

    def __init__(self, transforms: Any, p: float = 0.5) -> None:
        super().__init__(list(transforms))
        if not 0.0 <= p <= 1.0:
            raise ValueError("`p` should be a floating point value in the interval [0.0, 1.0].")
        self.p = p

    def forward(self, *inputs: Any) -> Any:
        if chance() >= self.p:
            return inputs if len(inputs) > 1 else inputs[0]
        return self._apply_all(self.transforms, inputs)


class RandomChoice(_Container):
    """One of the transforms.

    Args:
        transforms: to choose from.
        p: weight of each, default equal.
    """

    def __init__(self, transforms: Sequence[Any], p: list[float] | None = None) -> None:
        super().__init__(transforms)
        weights = [1] * len(transforms) if p is None else p
        if len(weights) != len(transforms):
            raise ValueError(f"Length of p doesn't match: {len(weights)} vs {len(transforms)}")
        self.p = [w / sum(weights) for w in weights]

    def extra_repr(self) -> str:
        return f"transforms={self.transforms}, p={self.p}"

    def forward(self, *inputs: Any) -> Any:
        at = int(rl.multinomial(rl.tensor(self.p), 1))
        return self._apply_all([self.transforms[at]], inputs)


class RandomOrder(_Container):
    """All transforms, in random order."""

    def extra_repr(self) -> str:
        return f"transforms={self.transforms}"

    def forward(self, *inputs: Any) -> Any:
        order = rl.randperm(len(self.transforms)).tolist()
        return self._apply_all([self.transforms[i] for i in order], inputs)
