"""Sizes of convolutions, and how the gradient of the input falls into convolutions of stride 1."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.convolution.columns import Pair, Source
from rushlight.compiler.graph import Node


def pair(values: Any, extra: Any) -> Any:
    """Options of one or two dims as those of two, the first being ``extra``."""
    return (extra, *values) if len(values) == 1 else tuple(values)


@dataclass
class Shape:
    """Sizes of one convolution of two dims; those of one dim get a dim of size 1 in front."""

    n: int
    groups: int
    inner: int
    outer: int
    space: Pair
    kernel: Pair
    out: Pair
    stride: Pair
    before: Pair
    dilation: Pair

    @property
    def taps(self) -> list[Pair]:
        """Offsets of the taps."""
        (kh, kw), (dh, dw) = self.kernel, self.dilation
        return [(i * dh, j * dw) for i in range(kh) for j in range(kw)]


def shape_of(node: Node) -> Shape:
    """The sizes of a convolution node, whichever of the three it is."""
    p, kind = node.params, type(node.op).__name__
    a, b, c = node.inputs[0].shape, node.inputs[1].shape, node.outputs[0].shape
    x, w, y = {"Conv": (a, b, c), "ConvInput": (c, b, a), "ConvWeight": (a, c, b)}[kind]
    groups = p["groups"]
    return Shape(
        x[0],
        groups,
        x[1] // groups,
        y[1] // groups,
        pair(x[2:], 1),
        pair(w[2:], 1),
        pair(y[2:], 1),
        pair(p["stride"], 1),
        pair([a for a, _ in p["padding"]], 0),
        pair(p["dilation"], 1),
    )


TAPS = 1024  # of a kernel: compiling code for more takes many seconds, and NumPy is as fast


def fits(node: Node) -> bool:
    """Whether a convolution node has native code: floats, one or two dims, something to compute, by
    kernels that are not huge.
    """
    values = [v for v in (*node.inputs, *node.outputs) if v is not None]
    d = values[0].dtype
    if d not in (np.float32, np.float64) or any([v.dtype != d for v in values]):
        return False
    if len(node.outputs[0].shape) not in (3, 4) or any([0 in v.shape for v in values]):
        return False
    if len(shape_of(node).taps) > TAPS:
        return False
    if type(node.op).__name__ == "ConvInput" and node.inputs[2] is not None:
        return all([part.taps for part in parts(shape_of(node))])
    return True


@dataclass
class Part:
    """The input's positions ``start + stride * i``; ``taps``: which of the kernel's they meet."""

    start: Pair
    source: Source | None
    taps: list[int] = field(default_factory=list)


def parts(s: Shape) -> list[Part]:
    """How the gradient of the input falls into convolutions of stride 1."""
    result = []
    for a in range(s.stride[0]):
        for b in range(s.stride[1]):
            met = [
                k
                for k, (r, c) in enumerate(s.taps)
                if r % s.stride[0] == a and c % s.stride[1] == b
            ]
            first, count = [], []
            for dim, rest in enumerate((a, b)):
                low = -(-(s.before[dim] - rest) // s.stride[dim])
                high = -(-(s.space[dim] + s.before[dim] - rest) // s.stride[dim])
                first.append(low)
                count.append(high - low)
            if min(count) <= 0:
                continue
            start = tuple(
                [
                    q + n * t - p
                    for q, n, t, p in zip((a, b), first, s.stride, s.before, strict=True)
                ]
            )
            if not met:
                result.append(Part(start, None))  # type: ignore[arg-type]
                continue
            back = [tuple([s.taps[k][i] // s.stride[i] for i in (0, 1)]) for k in met]
            most = [max([e[i] for e in back]) for i in (0, 1)]
            source = Source(
                s.out,
                (most[0] - first[0], most[1] - first[1]),
                (1, 1),
                tuple([(most[0] - e[0], most[1] - e[1]) for e in back]),
                (count[0], count[1]),
            )
            result.append(Part(start, source, met))  # type: ignore[arg-type]
    return result


class Scratch:
    """Places in a step's scratch memory, in elements. The first pass only measures."""

    def __init__(self, d: np.dtype[Any]) -> None:
        self.size, self.unit = 0, 64 // d.itemsize

    def take(self, count: int) -> int:
        """A place for ``count`` elements."""
        at = self.size
        self.size += -(-count // self.unit) * self.unit
        return at


def cost_of(s: Shape) -> float:
    """Nanoseconds of a convolution."""
    return 0.02 * s.n * s.groups * s.outer * s.inner * s.out[0] * s.out[1] * len(s.taps)
