"""Padding with a constant."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from rushlight import formats
from rushlight.core.op import Op
from rushlight.ops.copy import fill, filler


@functools.lru_cache(maxsize=128)
def layout(have: Any, pads: Any) -> tuple[Any, Any, Any]:
    """The padded shape, where the input lies in it, and which part of the input (None for all)."""
    shape = tuple([n + a + b for n, (a, b) in zip(have, pads, strict=True)])
    target = [slice(max(a, 0), n - max(b, 0)) for n, (a, b) in zip(shape, pads, strict=True)]
    source = [slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(have, pads, strict=True)]
    whole = all(a >= 0 and b >= 0 for a, b in pads)
    return shape, tuple(target), None if whole else tuple(source)


class ConstantPad(Op):
    """The input between ``value``s; ``pads`` holds (before, after) for each dim, negative to cut
    off.
    """

    label = "ConstantPadNd"

    def eager(self, xp, input, *, pads, value):
        shape, target, source = layout(input.shape, pads)
        if input.flags.c_contiguous and value == 0:
            out = np.zeros(shape, input.dtype)  # which costs less
        else:
            out = formats.empty(shape, input.dtype, input)
            fill(out, filler(input.dtype, value))
        out[target] = input if source is None else input[source]
        return out

    def grad(self, g, pads):
        return ConstantPad.bind(g, pads=tuple([(-a, -b) for a, b in pads]), value=0)
