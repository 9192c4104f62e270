"""Convolution in any number of dims, its transpose, and the gradient of both.

The three kernels are one trilinear form seen from its three sides: ``Conv`` (input, weight ->
output), ``ConvInput`` (output, weight -> input, which is also the transposed convolution) and
``ConvWeight`` (input, output -> weight). Each one's gradients are the other two.

All copy windows of the input into columns, for a few samples at a time so that the columns stay in
the cache, and multiply them with the weights. ``padding`` is a tuple of (before, after) for each
spatial dim.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.native import LEAST, in_dtype, widened
from rushlight.core.op import Op, packed, unfilled
from rushlight.core.tensor import Tensor
from rushlight.ops.arithmetic import conj
from rushlight.ops.matmul import same_dtype
from rushlight.ops.windows import windows_of

CHUNK = 1 << 17  # elements of columns made at a time: what the second-level cache holds

# Note [Columns]
# A window of the input becomes one column of a matrix. Copying every tap of every window would copy
# each element once for each tap, so the
# taps of the first spatial dim are not copied: rows of windows are laid out one after another, and
# tap i of that dim is the same matrix,
# read some rows further on. The product is then a sum of one product for each such tap. (With a
# stride s, rows 0, s, 2s, ... come first,
# then 1, s + 1, ..., so that the rows of a tap are neighbours again.) Where that would make the
# products thin, all taps are copied.


class Geometry:
    """Sizes of one convolution: what the kernels share. Use ``geometry``, which remembers them.

    Fields: n, samples; groups; inner and outer, input and output channels of a group; kernel, out,
    spatial sizes of the kernel and the output; space and size, those of the input without and with
    padding; result, the output's shape; channels, that of a value for each of its channels; stride,
    padding, dilation; taps and places, how many taps and outputs there are; terms, (tap of the
    first dim or None for all, slice of the columns) for each product.
    """

    def __init__(
        self,
        shape: Any,
        weight: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
        out: Any,
    ) -> None:
        self.n, channels = shape[:2]
        self.groups, self.inner, self.outer = groups, channels // groups, weight[0] // groups
        self.kernel = weight[2:]
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.space = shape[2:]
        self.size = tuple([n + a + b for n, (a, b) in zip(self.space, padding, strict=True)])
        self.out = out or tuple(
            [
                (n - d * (k - 1) - 1) // s + 1
                for n, k, s, d in zip(self.size, self.kernel, stride, dilation, strict=True)
            ]
        )
        self.result, self.channels = (self.n, weight[0], *self.out), (-1, *[1] * len(self.out))
        self.places, self.taps = math.prod(self.out), math.prod(self.kernel)
        self.pointwise = (
            self.taps == 1 and set(stride) == {1} and self.size == tuple(self.space) == self.out
        )
        self.depthwise = (
            groups > 1 and self.inner == self.outer == 1 and set(stride) == {1} and self.places > 0
        )
        self.by_rows = (
            not self.depthwise
            and self.kernel[0] > 1
            and self.inner * self.taps // self.kernel[0] >= 16
        )
        self.few = windows_of(shape, self.out, self.kernel, stride, padding, dilation)
        self.plan()

    def plan(self) -> None:
        """Lay out the columns. See Note [Columns]."""
        if self.by_rows:
            s, tail = self.stride[0], math.prod(self.out[1:])
            ahead = [i * self.dilation[0] for i in range(self.kernel[0])]
            self.rows = max([a // s for a in ahead]) + self.out[0]
            self.size = (max(self.size[0], s * self.rows), *self.size[1:])
            starts = [(a % s * self.rows + a // s) * tail for a in ahead]
            self.terms: list[Any] = [(i, slice(a, a + self.places)) for i, a in enumerate(starts)]
            self.tall, self.wide = self.inner * self.taps // self.kernel[0], s * self.rows * tail
        else:
            self.terms = [(None, slice(0, self.places))]
            self.tall, self.wide = self.inner * self.taps, self.places
        self.step = max(1, CHUNK // max(1, self.groups * self.tall * self.wide))

    def weights(self, w: np.ndarray) -> list[np.ndarray]:
        """The weights (G, O / G, tall) of each term."""
        w = w.reshape(self.groups, self.outer, self.inner, *self.kernel)
        parts = [w[:, :, :, i] for i, _ in self.terms] if self.by_rows else [w]
        return [np.ascontiguousarray(p).reshape(self.groups, self.outer, self.tall) for p in parts]

    def padded(self, x: np.ndarray) -> np.ndarray:
        """x, contiguous, with zeros around it."""
        if self.size == self.space:
            return np.ascontiguousarray(x)
        out = np.zeros((*x.shape[:2], *self.size), x.dtype)
        out[self.middle()] = x
        return out

    def middle(self) -> tuple[Any, ...]:
        """Where the unpadded input lies in the padded one."""
        return (..., *[slice(a, a + n) for n, (a, _) in zip(self.space, self.padding, strict=True)])

    def unpadded(self, x: np.ndarray) -> np.ndarray:
        """The padded input without its padding."""
        return x if self.size == self.space else np.ascontiguousarray(x[self.middle()])

    def windows(self, x: np.ndarray) -> np.ndarray:
        """The columns (N, G, C / G, *taps, *places) of the padded input, sharing its memory."""
        a, b, *rest = x.strides
        taps = [s * d for s, d in zip(rest, self.dilation, strict=True)]
        steps = [s * t for s, t in zip(rest, self.stride, strict=True)]
        lead, lead_steps = (self.n, self.groups, self.inner), (a, b * self.inner, b)
        if self.by_rows:
            shape = (*lead, *self.kernel[1:], self.stride[0], self.rows, *self.out[1:])
            return np.ndarray(shape, x.dtype, x, 0, (*lead_steps, *taps[1:], rest[0], *steps))
        return np.ndarray(
            (*lead, *self.kernel, *self.out), x.dtype, x, 0, (*lead_steps, *taps, *steps)
        )

    def chunks(self) -> list[slice]:
        """Ranges of samples to work on at a time."""
        return [slice(i, min(self.n, i + self.step)) for i in range(0, self.n, self.step)]

    def columns(self, x: np.ndarray) -> Any:
        """(samples, their columns as (n, G, tall, wide)) for each chunk of the input x; one buffer
        serves all.
        """
        w = self.windows(self.padded(x))
        buffer = np.empty((min(self.step, self.n), *w.shape[1:]), x.dtype)
        for part in self.chunks():
            b = buffer[: part.stop - part.start]
            np.copyto(b, w[part])
            yield part, b.reshape(b.shape[0], self.groups, self.tall, self.wide)

    @property
    def run(self) -> int:
        """Length of the part of a flattened padded plane that one tap reads."""
        return sum([(o - 1) * math.prod(self.size[i + 1 :]) for i, o in enumerate(self.out)]) + 1

    def offsets(self) -> list[int]:
        """Where each tap begins to read in a flattened padded plane."""
        return [
            sum(
                [
                    t * d * math.prod(self.size[i + 1 :])
                    for i, (t, d) in enumerate(zip(tap, self.dilation, strict=True))
                ]
            )
            for tap in itertools.product(*map(range, self.kernel))
        ]

    def rows_used(self) -> tuple[Any, ...]:
        """Index of the outputs among rows of the padded input's length."""
        return (..., *[slice(0, o) for o in self.out[1:]])


@functools.lru_cache(512)
def geometry(
    shape: Any, weight: Any, stride: Any, padding: Any, dilation: Any, groups: int, out: Any = None
) -> Geometry:
    """The geometry of an input's and a weight's shape."""
    return Geometry(shape, weight, stride, padding, dilation, groups, out)


def forward(x: Any, w: Any, bias: Any, *options: Any) -> Any:
    """The convolution of arrays."""
    return convolved(geometry(x.shape, w.shape, *options), x, w, bias)


def convolved(s: Geometry, x: Any, w: Any, bias: Any) -> Any:
    """The convolution of arrays that a geometry is for, the weights without gaps."""
    groups = s.groups
    if s.few is not None and not s.pointwise:
        columns = s.few.taken(x, 0).reshape(s.n, groups, s.inner * s.taps, s.places)
        out = product(w.reshape(groups, s.outer, s.inner * s.taps), columns)
    elif s.pointwise:
        columns = np.ascontiguousarray(x).reshape(s.n, groups, s.inner, s.places)
        out = product(w.reshape(groups, s.outer, s.inner), columns)
    else:
        out = np.empty((s.n, groups, s.outer, s.places), x.dtype)
        (depthwise if s.depthwise else sum_of_products)(s, x, w, out)
    out = out.reshape(s.result)
    if bias is not None:
        out += bias.reshape(s.channels)
    return out


def product(w: Any, columns: Any) -> Any:
    """``w @ columns`` of (G, M, K) and (N, G, K, P). One sample and group is a product of matrices,
    which NumPy calls in half the time.
    """
    if columns.shape[0] == 1 == columns.shape[1]:
        return w[0].dot(columns[0, 0])
    return np.matmul(w, columns)


def sum_of_products(s: Geometry, x: Any, w: Any, out: Any) -> None:
    """The general case of ``forward``: weights times columns."""
    weights = s.weights(w)
    scratch = np.empty((min(s.step, s.n), *out.shape[1:]), x.dtype) if len(weights) > 1 else None
    for part, columns in s.columns(x):
        total = out[part]
        np.matmul(weights[0], columns[..., s.terms[0][1]], total)
        for v, (_, where) in zip(weights[1:], s.terms[1:], strict=True):
            total += np.matmul(v, columns[..., where], scratch[: len(total)])  # type: ignore[index]


# Note [Flat rows]
# With one channel in and out of each group and stride 1, all taps read the padded plane at a
# constant distance. So each tap is one
# product along a whole flattened plane, in which the positions between the rows' ends and the next
# starts are computed for nothing.


def depthwise(s: Geometry, x: Any, w: Any, out: Any) -> None:
    """Groups of one channel: sums of shifted planes. See Note [Flat rows]."""
    planes = s.padded(x).reshape(s.n, s.groups, -1)
    w = w.reshape(s.groups, s.taps)
    out = out.reshape(s.n, s.groups, *s.out)
    for part in s.chunks():
        total = np.zeros(
            (part.stop - part.start, s.groups, math.prod((s.out[0], *s.size[1:]))), x.dtype
        )
        used = total[:, :, : s.run]
        for tap, at in enumerate(s.offsets()):
            used += planes[part, :, at : at + s.run] * w[:, tap, None]
        out[part] = total.reshape(*total.shape[:2], s.out[0], *s.size[1:])[s.rows_used()]


def spread_rows(s: Geometry, g: Any) -> Any:
    """Outputs (N, G, *out) laid out as the padded input's rows, zeros between them: (N, G, run)."""
    rows = np.zeros((s.n, s.groups, s.out[0], *s.size[1:]), g.dtype)
    rows[s.rows_used()] = g.reshape(s.n, s.groups, *s.out)
    return rows.reshape(s.n, s.groups, -1)[:, :, : s.run]


def depthwise_input(s: Geometry, g: Any, w: Any, out: Any) -> None:
    """The input's side of ``depthwise``, added to ``out``, the padded input."""
    rows = spread_rows(s, g)
    planes = out.reshape(s.n, s.groups, -1)
    w = w.reshape(s.groups, s.taps)
    for part in s.chunks():
        for tap, at in enumerate(s.offsets()):
            planes[part, :, at : at + s.run] += rows[part] * w[:, tap, None]


def depthwise_weight(s: Geometry, x: Any, g: Any) -> Any:
    """The weight's side of ``depthwise``: (G, taps)."""
    rows = spread_rows(s, g)
    rows = rows.conj() if rows.dtype.kind == "c" else rows  # which vecdot undoes
    planes = s.padded(x).reshape(s.n, s.groups, -1)
    total = np.empty((s.groups, s.taps), x.dtype)
    for tap, at in enumerate(s.offsets()):
        total[:, tap] = np.add.reduce(np.vecdot(rows, planes[:, :, at : at + s.run]), 0)
    return total


def to_input(
    g: Any, w: Any, space: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """The input's side for arrays: each output spread over its window."""
    shape = (g.shape[0], w.shape[1] * groups, *space)
    return spread(geometry(shape, w.shape, stride, padding, dilation, groups, g.shape[2:]), g, w)


def spread(s: Geometry, g: Any, w: Any) -> Any:
    """``to_input`` for arrays that a geometry is for, the weights without gaps."""
    groups = s.groups
    g = np.ascontiguousarray(g).reshape(s.n, groups, s.outer, s.places)
    if s.pointwise:
        shape = (s.n, groups * s.inner, *s.space)
        return product(w.reshape(groups, s.outer, s.inner).swapaxes(1, 2), g).reshape(shape)
    if s.few is not None and g.dtype in dtypes.FLOATS:
        weights = w.reshape(groups, s.outer, s.inner * s.taps).swapaxes(1, 2)
        return s.few.joined(product(weights, g))
    out = np.zeros((s.n, groups * s.inner, *s.size), g.dtype)
    if s.depthwise:
        depthwise_input(s, g, w, out)
    else:
        spread_products(s, g, w, out)
    return s.unpadded(out)


def spread_products(s: Geometry, g: Any, w: Any, out: Any) -> None:
    """The general case of ``to_input``: columns of weights times outputs, added to the windows that
    they stand for.
    """
    weights = [v.swapaxes(1, 2) for v in s.weights(w)]
    into = s.windows(out)
    count = min(s.step, s.n)
    buffer = np.empty((count, s.groups, s.tall, s.wide), g.dtype)
    scratch = np.empty((count, s.groups, s.tall, s.places), g.dtype) if s.by_rows else None
    taps = [
        (slice(None),) * 3 + tap
        for tap in itertools.product(*map(range, s.kernel[1:] if s.by_rows else s.kernel))
    ]
    for part in s.chunks():
        target = into[part]
        columns = buffer[: part.stop - part.start]
        if scratch is None:
            np.matmul(weights[0], g[part], columns)
        else:
            columns[...] = 0
            for v, (_, where) in zip(weights, s.terms, strict=True):
                columns[..., where] += np.matmul(v, g[part], scratch[: len(columns)])
        columns = columns.reshape(target.shape)
        for tap in taps:
            t = target[tap]
            np.add(t, columns[tap], t)


def to_weight(
    x: Any, g: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """The weight's side for arrays: what each window and each output have in common."""
    shape = (g.shape[1], x.shape[1] // groups, *kernel)
    s = geometry(x.shape, shape, stride, padding, dilation, groups, g.shape[2:])
    g = np.ascontiguousarray(g).reshape(s.n, groups, s.outer, s.places)
    if s.few is not None and not s.pointwise:
        columns = s.few.taken(x, 0).reshape(s.n, groups, s.inner * s.taps, s.places)
        products = np.matmul(g, columns.swapaxes(2, 3))
        return (products[0] if s.n == 1 else np.add.reduce(products, 0)).reshape(shape)
    if s.depthwise:
        return depthwise_weight(s, x, g).reshape(shape)
    if s.pointwise:
        rows = np.ascontiguousarray(x).reshape(s.n, groups, s.inner, s.places).swapaxes(2, 3)
        return np.add.reduce(np.matmul(g, rows), 0).reshape(shape)
    totals = np.zeros((len(s.terms), groups, s.outer, s.tall), g.dtype)
    for part, columns in s.columns(x):
        for total, (_, where) in zip(totals, s.terms, strict=True):
            total += np.add.reduce(np.matmul(g[part], columns[..., where].swapaxes(2, 3)), 0)
    if not s.by_rows:
        return totals.reshape(shape)
    return np.moveaxis(totals.reshape(-1, groups * s.outer, s.inner, *s.kernel[1:]), 0, 2).copy()


def in_float32(kernel: Any, arrays: Any, *args: Any) -> Any:
    """A kernel for arrays of any dtype; halves are computed in float32."""
    if arrays[0].dtype not in dtypes.HALVES:
        return in_dtype(kernel(*arrays, *args), arrays[0].dtype)
    return in_dtype(kernel(*[widened(a) for a in arrays], *args), arrays[0].dtype)


def add_bias_gradient(g: Tensor) -> Tensor:
    """Gradient of a bias per channel."""
    return g.sum((0, *range(2, g._array.ndim)))


def cropped(x: Tensor, shape: Any) -> Tensor:
    """The leading part of x's spatial dims: output padding may have exceeded a stride."""
    for dim in range(2, len(shape)):
        if x._array.shape[dim] != shape[dim]:
            x = x.narrow(dim, 0, shape[dim])
    return x


class Conv(Op):
    """Cross-correlation of ``(N, C, *space)`` with weights ``(O, C / groups, *kernel)``, plus a
    bias ``(O)`` or None.
    """

    compiled = True
    least = 512
    precision = "lower"
    label = "Convolution"

    def eager(self, xp, input, weight, bias, *, stride, padding, dilation, groups):
        same_dtype("conv", input, weight)
        if bias is not None:
            same_dtype("conv", input, bias)
        return in_float32(forward, (input, packed(weight), bias), stride, padding, dilation, groups)

    def outline(self, input, weight, bias, *, stride, padding, dilation, groups):
        same_dtype("conv", input, weight)
        if bias is not None:
            same_dtype("conv", input, bias)
        s = geometry(input.shape, weight.shape, stride, padding, dilation, groups)
        return unfilled((s.n, groups * s.outer, *s.out), input.dtype)

    def forward(self, arrays, params):
        if self.at_once(arrays[0].size, arrays[1].shape):
            return self.eager(np, *arrays, **params)
        return super().forward(arrays, params)

    def at_once(self, size: int, weight: Any) -> bool:
        """Whether ``eager`` computes for an input of so many elements: for few, or one product."""
        alone = size < LEAST and math.prod(weight[2:]) == 1
        return size < self.least or alone

    def grad_input(self, g, weight, input_spec, params):
        return ConvInput.bind(g, conj(weight), None, space=input_spec[0][2:], **params)

    def grad_weight(self, g, input, weight_spec, params):
        return ConvWeight.bind(conj(input), g, kernel=weight_spec[0][2:], **params)

    def grad_bias(self, g):
        return add_bias_gradient(g)


class ConvInput(Op):
    """Transposed convolution of ``(N, O, *out)`` with weights ``(O, C / groups, *kernel)`` to
    ``(N, C, *space)``, plus a bias.
    """

    compiled = True
    least = 512
    precision = "lower"
    label = "Convolution"

    def eager(self, xp, input, weight, bias, *, space, stride, padding, dilation, groups):
        same_dtype("conv_transpose", input, weight)
        arrays = input, packed(weight)
        out = in_float32(to_input, arrays, space, stride, padding, dilation, groups)
        if bias is not None:
            out += bias.reshape(-1, *[1] * len(space)).astype(out.dtype)
        return out

    def outline(self, input, weight, bias, *, space, groups, **params):
        same_dtype("conv_transpose", input, weight)
        return unfilled((input.shape[0], weight.shape[1] * groups, *space), input.dtype)

    def grad_input(self, g, weight, input_spec, stride, padding, dilation, groups):
        out = Conv.bind(
            g, conj(weight), None, stride=stride, padding=padding, dilation=dilation, groups=groups
        )
        return cropped(out, input_spec[0])

    def grad_weight(self, g, input, weight_spec, stride, padding, dilation, groups):
        return ConvWeight.bind(
            g,
            conj(input),
            kernel=weight_spec[0][2:],
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
        )

    def grad_bias(self, g):
        return add_bias_gradient(g)


class ConvWeight(Op):
    """The weights' gradient, from an input ``(N, C, *space)`` and the output's gradient
    ``(N, O, *out)``.
    """

    compiled = True
    least = 512
    label = "ConvolutionBackward"

    def eager(self, xp, input, g, *, kernel, stride, padding, dilation, groups):
        return in_float32(to_weight, (input, g), kernel, stride, padding, dilation, groups)

    def outline(self, input, g, *, kernel, groups, **params):
        return unfilled((g.shape[1], input.shape[1] // groups, *kernel), input.dtype)

    def grad_input(self, gw, g, input_spec, stride, padding, dilation, groups):
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return ConvInput.bind(conj(g), gw, None, space=input_spec[0][2:], **options)

    def grad_g(self, gw, input, g_spec, stride, padding, dilation, groups):
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return cropped(Conv.bind(conj(input), gw, None, **options), g_spec[0])
