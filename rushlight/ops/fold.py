"""Windows as columns of a matrix, and back."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.op import Op
from rushlight.ops.conv import in_float32
from rushlight.ops.pool import inside, padded, tap_slices
from rushlight.ops.windows import windows_of


def window_counts(
    space: Any, kernel: Any, stride: Any, padding: Any, dilation: Any
) -> tuple[int, ...]:
    """How many windows there are along each dim."""
    return tuple(
        [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(space, kernel, stride, padding, dilation, strict=True)
        ]
    )


class Unfold(Op):
    """All windows of ``(N, C, *space)`` as ``(N, C * taps, windows)``."""

    label = "Im2Col"

    def eager(self, xp, input, *, kernel, stride, padding, dilation):
        out = window_counts(input.shape[2:], kernel, stride, padding, dilation)
        pairs = tuple([(p, p) for p in padding])
        few = windows_of(input.shape, out, kernel, stride, pairs, dilation)
        if few is not None:
            n, c = input.shape[:2]
            return few.taken(input, 0).reshape(n, c * math.prod(kernel), math.prod(out))
        x = padded(input, pairs, 0)
        columns: Any = np.empty((*x.shape[:2], math.prod(kernel), *out), x.dtype)
        for i, tap in enumerate(itertools.product(*map(range, kernel))):
            where: Any = [tap_slices(*a) for a in zip(tap, out, stride, dilation, strict=True)]
            columns[:, :, i] = x[(..., *where)]
        return columns.reshape(x.shape[0], x.shape[1] * math.prod(kernel), math.prod(out))

    def grad(self, g, input_spec, params):
        return Fold.bind(g, space=input_spec[0][2:], **params)


class Fold(Op):
    """Columns ``(N, C * taps, windows)`` added up where their windows lie in ``(N, C, *space)``."""

    label = "Col2Im"

    def eager(self, xp, input, *, space, kernel, stride, padding, dilation):
        return in_float32(fold, (input,), space, kernel, stride, padding, dilation)

    def grad(self, g, params):
        return Unfold.bind(g, **{k: v for k, v in params.items() if k != "space"})


def fold(columns: Any, space: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    """``Fold`` of an array."""
    taps = math.prod(kernel)
    out = window_counts(space, kernel, stride, padding, dilation)
    n, c = columns.shape[0], columns.shape[1] // taps
    pairs = tuple([(p, p) for p in padding])
    few = windows_of((n, c, *space), out, kernel, stride, pairs, dilation)
    if few is not None and columns.dtype in dtypes.FLOATS:
        return few.joined(columns)
    columns = columns.reshape(n, c, taps, *out)
    x = np.zeros((n, c, *[m + 2 * p for m, p in zip(space, padding, strict=True)]), columns.dtype)
    for i, tap in enumerate(itertools.product(*map(range, kernel))):
        where: Any = [tap_slices(*a) for a in zip(tap, out, stride, dilation, strict=True)]
        x[(..., *where)] += columns[:, :, i]
    return np.array(x[inside(space, pairs)], order="C", copy=None)
