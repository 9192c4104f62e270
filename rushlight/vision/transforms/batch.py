"""Whole batches at once, where every step of a transform treats each image alike.

`transform_batch` gives what stacking the transformed images would give, bit for bit, or None when a
step is random, unknown, or a subclass: then the loader goes sample by sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight import tensor_api as rl
from rushlight.core.tensor import Tensor
from rushlight.dtypes import get_default_dtype
from rushlight.vision.transforms.containers import Compose
from rushlight.vision.transforms.convert import ConvertImageDtype, Normalize, PILToTensor, ToTensor


def transform_batch(transform: Any, images: np.ndarray, indices: Sequence[int]) -> Tensor | None:
    """The transformed ``images[indices]``, as a tensor (N, C, H, W), or None.

    Args:
        transform: a data set's ``transform``.
        images: uint8 (all, H, W) or (all, H, W, C).
        indices: which of them.
    """
    steps = list(transform.transforms) if type(transform) is Compose else [transform]
    if type(steps[0]) not in (ToTensor, PILToTensor) or any(
        type(step) not in (Normalize, ConvertImageDtype) for step in steps[1:]
    ):
        return None
    out = _stacked(images[np.asarray(indices, np.int64)])
    if type(steps[0]) is ToTensor:
        out = out.to(get_default_dtype()).div_(255)
    for step in steps[1:]:
        out = step(out)
    return out


def _stacked(images: np.ndarray) -> Tensor:
    if images.ndim == 3:
        return rl.from_numpy(images).unsqueeze(1)
    return rl.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
