"""The base of transforms of one's own: random numbers once, then one thing after the other."""

from __future__ import annotations

import enum
from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.nn import Module
from rushlight.utils._pytree import tree_flatten, tree_unflatten
from rushlight.vision import tv_tensors
from rushlight.vision.images import is_pil
from rushlight.vision.transforms.functional import get_dimensions

__all__ = ["Transform"]

SHOWN = (bool, int, float, str, tuple, list, enum.Enum)


class Transform(Module):
    """What is in tuples, lists and dicts, changed by ``transform``. Where there is no Image, Video
    or Pillow image, the first plain tensor is taken for one; other plain tensors stay.

    Subclasses write ``transform(inpt, params)``, what becomes of one thing, and may write
    ``make_params(flat_inputs)``, which draws the random numbers for all of them as a dict, and
    ``check_inputs(flat_inputs)``, which raises where something is missing.

    Example:
        >>> import rushlight as torch
        >>> from rushlight.vision.transforms import v2
        >>> class Brighter(v2.Transform):
        ...     def make_params(self, flat_inputs):
        ...         return {"by": float(torch.rand(1))}
        ...     def transform(self, inpt, params):
        ...         return (inpt + params["by"]).clamp(0, 1)
        >>> Brighter()(torch.ones(3, 4, 4), torch.tensor(7))[1]
        tensor(7)
    """

    # what is transformed: types, or functions that answer for one thing
    _transformed_types: tuple[Any, ...] = (Tensor, is_pil)

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        """Raise where what the transform needs is missing."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """The random numbers of one call."""
        return {}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """What becomes of one thing."""
        raise NotImplementedError(
            f"{type(self).__name__} has no transform(inpt, params); write one."
        )

    def forward(self, *inputs: Any) -> Any:
        leaves, shape = tree_flatten(inputs if len(inputs) > 1 else inputs[0])
        self.check_inputs(leaves)
        chosen = self._chosen(leaves)
        params = self.make_params([leaves[i] for i in chosen])
        for i in chosen:
            leaves[i] = self.transform(leaves[i], params)
        return tree_unflatten(leaves, shape)

    def _chosen(self, leaves: list[Any]) -> list[int]:
        plain_too = not any(map(is_image, leaves))
        chosen = []
        for i, x in enumerate(leaves):
            known = self._transformed_types
            if not any(isinstance(x, k) if isinstance(k, type) else k(x) for k in known):
                continue
            if type(x) is Tensor:
                if not plain_too:
                    continue
                plain_too = False
            chosen.append(i)
        return chosen

    def extra_repr(self) -> str:
        shown = {n: v for n, v in vars(self).items() if not n.startswith("_") and n != "training"}
        return ", ".join(f"{n}={v}" for n, v in shown.items() if isinstance(v, SHOWN))


def is_image(x: Any) -> bool:
    """Whether something says that it is an image or a video."""
    return is_pil(x) or isinstance(x, tv_tensors.Image | tv_tensors.Video)


def size_of(flat_inputs: list[Any]) -> tuple[int, int, int]:
    """(channels, height, width) of the images among these; boxes and masks know no channels.

    Raises:
        TypeError: nothing has a size.
        ValueError: sizes differ.
    """
    sizes, channels = set(), 0
    for x in flat_inputs:
        if isinstance(x, tv_tensors.BoundingBoxes):
            sizes.add(tuple(x.canvas_size))
        elif is_image(x) or type(x) is Tensor:
            channels, *size = get_dimensions(x)
            sizes.add(tuple(size))
        elif isinstance(x, tv_tensors.Mask):
            sizes.add(tuple(x.shape[-2:]))
    if not sizes:
        raise TypeError("No image, video, mask or bounding box was found in the sample")
    if len(sizes) > 1:
        raise ValueError(f"Found multiple HxW dimensions in the sample: {sorted(sizes)}")
    height, width = sizes.pop()
    return channels, height, width


def boxes_of(flat_inputs: list[Any]) -> Any:
    """The bounding boxes among these. Raises ValueError where there are none."""
    for x in flat_inputs:
        if isinstance(x, tv_tensors.BoundingBoxes):
            return x
    raise ValueError("No bounding boxes were found in the sample")
