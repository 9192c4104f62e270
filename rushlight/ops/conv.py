"""Convolution in any number of dims, its transpose, and the gradient of both.

The three kernels are one trilinear form seen from its three sides: ``Conv`` (input, weight -> output), ``ConvInput`` (output, weight ->
input, which is also the transposed convolution) and ``ConvWeight`` (input, output -> weight). Each one's gradients are the other two.

All copy windows of the input into columns, for a few samples at a time so that the columns stay in the cache, and multiply them with
the weights. ``padding`` is a tuple of (before, after) for each spatial dim.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.op import Op, packed
from rushlight.core.tensor import Tensor
from rushlight.ops.arithmetic import conj
from rushlight.ops.matmul import same_dtype

CHUNK = 1 << 17  # elements of columns made at a time: what the second-level cache holds


class Geometry:
    """Sizes of one convolution: what the kernels share.

    Fields: n, samples; groups; inner and outer, input and output channels of a group; kernel, out and size, spatial sizes of the
    kernel, the output and the padded input; stride, padding, dilation.
    """

    def __init__(self, shape: Any, weight: Any, stride: Any, padding: Any, dilation: Any, groups: int, out: Any = None) -> None:
        self.n, channels = shape[:2]
        self.groups, self.inner, self.outer = groups, channels // groups, weight[0] // groups
        self.kernel, self.stride, self.padding, self.dilation = weight[2:], stride, padding, dilation
        self.space = shape[2:]
        self.size = tuple([n + a + b for n, (a, b) in zip(shape[2:], padding, strict=True)])
        self.out = out or tuple(
            [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(self.size, self.kernel, stride, dilation, strict=True)]
        )
        self.places = math.prod(self.out)
        self.taps = math.prod(self.kernel)
        self.pointwise = self.taps == 1 and self.out == tuple(shape[2:])
        self.step = max(1, CHUNK // max(1, groups * self.inner * self.taps * self.places))

    def padded(self, x: np.ndarray) -> np.ndarray:
        """x, contiguous, with zeros around it."""
        if self.size == self.space and x.flags.c_contiguous:
            return x
        out = np.zeros((*x.shape[:2], *self.size), x.dtype)
        out[self.middle()] = x
        return out

    def middle(self) -> tuple[Any, ...]:
        """Where the unpadded input lies in the padded one."""
        return (..., *[slice(a, a + n) for n, (a, _) in zip(self.space, self.padding, strict=True)])

    def windows(self, x: np.ndarray) -> np.ndarray:
        """The padded input as (N, G, C / G, *kernel, *out), sharing memory."""
        a, b, *rest = x.strides
        taps = [s * d for s, d in zip(rest, self.dilation, strict=True)]
        steps = [s * t for s, t in zip(rest, self.stride, strict=True)]
        shape = (self.n, self.groups, self.inner, *self.kernel, *self.out)
        return np.ndarray(shape, x.dtype, x, 0, (a, b * self.inner, b, *taps, *steps))

    def chunks(self) -> Any:
        """Ranges of samples to work on at a time."""
        return [slice(i, min(self.n, i + self.step)) for i in range(0, self.n, self.step)]

    def columns(self, x: np.ndarray) -> Any:
        """(samples, their windows as (n, G, C / G * taps, places)) for each chunk of the input x; one buffer serves all."""
        w = self.windows(self.padded(x))
        buffer = np.empty((min(self.step, self.n), *w.shape[1:]), x.dtype)
        for part in self.chunks():
            b = buffer[: part.stop - part.start]
            np.copyto(b, w[part])
            yield part, b.reshape(b.shape[0], self.groups, self.inner * self.taps, self.places)


def forward(x: Any, w: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """The convolution of arrays."""
    s = Geometry(x.shape, w.shape, stride, padding, dilation, groups)
    out = np.empty((s.n, groups, s.outer, s.places), x.dtype)
    b = None if bias is None else bias.reshape(groups, s.outer, 1)
    weights = w.reshape(groups, s.outer, s.inner * s.taps)
    if s.pointwise:
        np.matmul(weights, packed(x).reshape(s.n, groups, s.inner, s.places), out)
        if b is not None:
            out += b
    elif s.inner == 1 and s.taps < 64:
        depthwise(s, x, w, out)
        if b is not None:
            out += b
    else:
        for part, columns in s.columns(x):
            r = np.matmul(weights, columns, out[part])
            if b is not None:
                r += b
    return out.reshape(s.n, groups * s.outer, *s.out)


def depthwise(s: Geometry, x: Any, w: Any, out: Any) -> None:
    """One input channel in each group: sums of shifted inputs."""
    v = s.windows(s.padded(x))
    out = out.reshape(s.n, s.groups, s.outer, *s.out)
    scratch = np.empty((1, *out.shape[1:]), x.dtype)
    w = w.reshape(s.groups, s.outer, *s.kernel)
    lift = (...,) + (None,) * len(s.kernel)
    for i in range(s.n):
        first = True
        for tap in np.ndindex(s.kernel):
            factor = w[(slice(None), slice(None), *tap)][lift]
            source = v[(slice(i, i + 1), slice(None), slice(None), *tap)]
            if first:
                np.multiply(source, factor, out[i : i + 1])
                first = False
            else:
                np.multiply(source, factor, scratch)
                out[i : i + 1] += scratch


def to_input(g: Any, w: Any, space: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """The input's side for arrays: each output spread over its window."""
    shape = (g.shape[0], w.shape[1] * groups, *space)
    s = Geometry(shape, w.shape, stride, padding, dilation, groups, g.shape[2:])
    weights = np.ascontiguousarray(w.reshape(groups, s.outer, s.inner * s.taps).swapaxes(1, 2))
    g = packed(g).reshape(s.n, groups, s.outer, s.places)
    if s.pointwise:
        return np.matmul(weights, g).reshape(shape)
    out = np.zeros((s.n, groups * s.inner, *s.size), g.dtype)
    into = s.windows(out)
    buffer = np.empty((min(s.step, s.n), groups, s.inner * s.taps, s.places), g.dtype)
    taps = [(slice(None),) * 3 + tap for tap in itertools.product(*map(range, s.kernel))]
    for part in s.chunks():
        columns = np.matmul(weights, g[part], buffer[: part.stop - part.start])
        columns = columns.reshape(-1, groups, s.inner, *s.kernel, *s.out)
        target = into[part]
        for tap in taps:
            t = target[tap]
            np.add(t, columns[tap], t)
    return out if s.size == s.space else np.ascontiguousarray(out[s.middle()])


def to_weight(x: Any, g: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """The weight's side for arrays: what each window and each output have in common."""
    shape = (g.shape[1], x.shape[1] // groups, *kernel)
    s = Geometry(x.shape, shape, stride, padding, dilation, groups, g.shape[2:])
    g = packed(g).reshape(s.n, groups, s.outer, s.places)
    total = np.zeros((groups, s.outer, s.inner * s.taps), g.dtype)
    if s.pointwise:
        total += np.add.reduce(np.matmul(g, packed(x).reshape(s.n, groups, s.inner, s.places).swapaxes(2, 3)), 0)
        return total.reshape(shape)
    for part, columns in s.columns(x):
        total += np.add.reduce(np.matmul(g[part], columns.swapaxes(2, 3)), 0)
    return total.reshape(shape)


def in_float32(kernel: Any, arrays: Any, *args: Any) -> Any:
    """A kernel for arrays of any dtype; halves are computed in float32."""
    d = arrays[0].dtype
    if d not in dtypes.HALVES:
        return kernel(*arrays, *args)
    return kernel(*[None if a is None else a.astype(dtypes.float32) for a in arrays], *args).astype(d)


def add_bias_gradient(g: Tensor) -> Tensor:
    """Gradient of a bias per channel."""
    return g.sum((0, *range(2, g._array.ndim)))  # type: ignore[no-any-return]


class Conv(Op):
    """Cross-correlation of ``(N, C, *space)`` with weights ``(O, C / groups, *kernel)``, plus a bias ``(O)`` or None."""

    label = "Convolution"

    def eager(self, xp, input, weight, bias, *, stride, padding, dilation, groups):
        same_dtype("conv", input, weight)
        if bias is not None:
            same_dtype("conv", input, bias)
        return in_float32(forward, (input, packed(weight), bias), stride, padding, dilation, groups)

    def grad_input(self, g, weight, input_spec, params):
        return ConvInput.bind(g, conj(weight), None, space=input_spec[0][2:], **params)

    def grad_weight(self, g, input, weight_spec, params):
        return ConvWeight.bind(conj(input), g, kernel=weight_spec[0][2:], **params)

    def grad_bias(self, g):
        return add_bias_gradient(g)


class ConvInput(Op):
    """Transposed convolution of ``(N, O, *out)`` with weights ``(O, C / groups, *kernel)`` to ``(N, C, *space)``, plus a bias."""

    label = "Convolution"

    def eager(self, xp, input, weight, bias, *, space, stride, padding, dilation, groups):
        same_dtype("conv_transpose", input, weight)
        out = in_float32(to_input, (input, packed(weight)), space, stride, padding, dilation, groups)
        if bias is not None:
            out += bias.reshape(-1, *[1] * len(space)).astype(out.dtype)
        return out

    def grad_input(self, g, weight, input_spec, stride, padding, dilation, groups):
        out = Conv.bind(g, conj(weight), None, stride=stride, padding=padding, dilation=dilation, groups=groups)
        for dim, n in enumerate(input_spec[0]):
            if out._array.shape[dim] != n and dim > 1:  # output padding may exceed a stride
                out = out.narrow(dim, 0, n)
        return out

    def grad_weight(self, g, input, weight_spec, stride, padding, dilation, groups):
        return ConvWeight.bind(
            g, conj(input), kernel=weight_spec[0][2:], stride=stride, padding=padding, dilation=dilation, groups=groups
        )

    def grad_bias(self, g):
        return add_bias_gradient(g)


class ConvWeight(Op):
    """The weights' gradient, from an input ``(N, C, *space)`` and the output's gradient ``(N, O, *out)``."""

    label = "ConvolutionBackward"

    def eager(self, xp, input, g, *, kernel, stride, padding, dilation, groups):
        return in_float32(to_weight, (input, g), kernel, stride, padding, dilation, groups)

    def grad_input(self, gw, g, input_spec, stride, padding, dilation, groups):
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return ConvInput.bind(g, conj(gw), None, space=input_spec[0][2:], **options)

    def grad_g(self, gw, input, stride, padding, dilation, groups):
        return Conv.bind(conj(input), gw, None, stride=stride, padding=padding, dilation=dilation, groups=groups)
