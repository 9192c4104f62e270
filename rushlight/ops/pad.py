"""Padding with a constant."""

from __future__ import annotations

import numpy as np

from rushlight.core.op import Op


class ConstantPad(Op):
    """The input between ``value``s; ``pads`` holds (before, after) for each dim, negative to cut
    off.
    """

    label = "ConstantPadNd"

    def eager(self, xp, input, *, pads, value):
        shape = tuple([n + a + b for n, (a, b) in zip(input.shape, pads, strict=True)])
        out = np.zeros(shape, input.dtype) if value == 0 else np.full(shape, value, input.dtype)
        target = tuple(
            [slice(max(a, 0), n - max(b, 0)) for n, (a, b) in zip(shape, pads, strict=True)]
        )
        source = tuple(
            [slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(input.shape, pads, strict=True)]
        )
        out[target] = input[source]
        return out

    def grad(self, g, pads):
        return ConstantPad.bind(g, pads=tuple([(-a, -b) for a, b in pads]), value=0)
