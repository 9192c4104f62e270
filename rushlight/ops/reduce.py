"""Reductions over dims. ``dim`` is None (all) or a tuple of dims >= 0."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.device_array import unseen
from rushlight.core.native import LEAST, MIDDLING, in_dtype, kernels, widened
from rushlight.core.op import Op, packed
from rushlight.core.reduction import Reduction
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor, value_needed
from rushlight.errors import DTypeError, NotSupportedError
from rushlight.ops.join import Cat
from rushlight.ops.sums import is_one_product, multiplied, number, sum_at_once, summed


def kept(g: Tensor, shape: tuple[int, ...], dim: Any, keepdim: bool) -> Tensor:
    """g with the reduced dims of ``shape`` put back as size 1."""
    if keepdim or dim is None:  # a single number has no dims to be put back
        return g
    return g.reshape(tuple([1 if i in dim else n for i, n in enumerate(shape)]))


def count_of(shape: tuple[int, ...], dim: Any) -> int:
    """How many elements become one."""
    if dim is None:
        return math.prod(shape)
    return shape[dim[0]] if len(dim) == 1 else math.prod([shape[d] for d in dim])


FEW = 2048  # elements among which a search is faster than a reduction
COLUMN = 128  # terms that may be added one by one,
HALF_COLUMN = 4096  # and of halves, of which few digits are kept


def nearest(x: Any) -> int:
    """The dim along which neighbours lie next to each other in memory."""
    if x.flags.c_contiguous and x.shape[-1] > 1:
        return int(x.ndim) - 1
    return min(range(x.ndim), key=lambda d: (x.shape[d] == 1, abs(x.strides[d])))


def remaining(shape: tuple[int, ...], dim: Any) -> tuple[int, ...]:
    """The sizes of the dims that are not reduced."""
    return () if dim is None else tuple([n for i, n in enumerate(shape) if i not in dim])


def narrowed(out: Any, d: Any) -> Any:
    """A result in dtype d, C-contiguous."""
    if type(out) is not np.ndarray or not out.flags.c_contiguous:
        out = packed(out)
    return in_dtype(out, d)


def has_nan(x: Any) -> bool:
    """Whether any of the floats x is NaN, which a search for the largest finds."""
    return x.size > 0 and math.isnan(x.item(x.argmax()))


def ordered(name: str, x: Any) -> Any:
    """x to look for extremes in: halves are widened, complex numbers refused."""
    if x.dtype in dtypes.FLOATS:
        return x
    no_complex(name, x.dtype)
    return widened(x)


def no_complex(name: str, d: Any) -> None:
    """Refuse complex numbers, which have no order."""
    if d in dtypes.COMPLEX_TYPES:
        raise NotSupportedError(f"{name}: complex numbers have no order; reduce abs() or real.")


class Summing(Reduction, abstract=True):
    """What adds up: kernels add long columns one by one, where blocks lose less."""

    def forward(self, arrays, params):
        x, dim = arrays[0], params["dim"]
        plain = self.reducer is not None  # sums and means, no spreads
        if plain and dim is None and not params["keepdim"]:
            total = sum_at_once(x)
            if total is not None:
                return self.of_total(total, x)
        if plain and x.dtype in dtypes.FLOATS and dim is not None and len(dim) == 1:
            if is_one_product(x, dim[0]):
                return packed(self.reducer(x, dim, None, None, params["keepdim"]))
        if x.dtype not in dtypes.FLOATS:
            dtypes.computed_with(type(self).__name__.lower(), x.dtype)
        if x.size < self.least or (x.dtype in dtypes.COMPLEX_TYPES and dim is not None):
            return self.eager(np, x, **params)
        most = COLUMN if x.dtype not in dtypes.HALVES else HALF_COLUMN
        if dim is not None and count_of(x.shape, dim) > most and nearest(x) not in dim:
            return self.eager(np, x, **params)
        return super().forward(arrays, params)

    def of_total(self, total: Any, x: Any) -> Any:
        """The result, for the sum of all elements of x in float64."""
        return total.astype(x.dtype)


class Sum(Summing):
    """Sum over ``dim``; integers and bool add up as int64."""

    compiled = True
    reducer = staticmethod(summed)
    fast = dtypes.FLOATS | {dtypes.int64, dtypes.complex64, dtypes.complex128}

    def eager(self, xp, input, *, dim, keepdim):
        d = input.dtype
        if d is dtypes.bool_ and dim is None and not keepdim:
            return np.array(np.count_nonzero(input))
        if d in dtypes.HALVES:
            if dim is None and not keepdim and input.flags.carray:
                add = kernels.runner("total", d, 2, input.size, exact=False)
                if add is not None and input.size < LEAST:
                    out = np.empty((), np.float64)
                    add(input, out, input.size, 0)
                    return out.astype(d)
            return packed(summed(widened(input), dim, None, None, keepdim).astype(d))
        if d not in dtypes.DIFFERENTIABLE and input.size < FEW:
            return packed(summed(input.astype(np.int64), dim, None, None, keepdim))
        return packed(
            summed(input, dim, None if d in dtypes.DIFFERENTIABLE else np.int64, None, keepdim)
        )

    def backward_name(self, params):
        return "SumBackward0" if params and params["dim"] is None else "SumBackward1"

    def grad(self, g, input_spec, dim, keepdim):
        shape = input_spec[0]
        return kept(g, shape, dim, keepdim).expand(shape)


class Mean(Summing):
    """Sum over ``dim`` divided by the number of elements that went into it."""

    compiled = True

    @staticmethod
    def reducer(x, dim, dtype=None, out=None, keepdim=False):
        total = summed(x, dim, dtype, out, keepdim)
        total /= number(x.size if dim is None else count_of(x.shape, dim), x.dtype)
        return total

    def eager(self, xp, input, *, dim, keepdim):
        if input.dtype not in dtypes.DIFFERENTIABLE:
            raise DTypeError(
                "mean(): could not infer output dtype. Input dtype must be either a floating "
                "point or complex dtype. Got: "
                f"{dtypes.of[input.dtype].name}; convert with .float(), or pass dtype=."
            )
        wide = widened(input)
        total = np.asarray(summed(wide, dim, None, None, keepdim))
        return narrowed(
            total / np.asarray(count_of(input.shape, dim), total.real.dtype), input.dtype
        )

    def of_total(self, total, x):
        total /= x.size
        return total.astype(x.dtype)

    def backward_name(self, params):
        return "MeanBackward0" if params and params["dim"] is None else "MeanBackward1"

    def grad(self, g, input_spec, dim, keepdim):
        shape = input_spec[0]
        return kept(g, shape, dim, keepdim).expand(shape) / max(count_of(shape, dim), 1)


class Nansum(Reduction):
    """Sum over ``dim`` of the elements that are not NaN."""

    def eager(self, xp, input, *, dim, keepdim):
        if input.dtype not in dtypes.FLOATING_TYPES:
            no_complex("nansum", input.dtype)
            return packed(np.add.reduce(input, dim, np.int64, None, keepdim))
        wide = widened(input)
        total = self.sums(wide, dim, keepdim)
        nan = total != total
        if nan.any() if total.ndim else nan:
            total = self.sums(np.where(np.isnan(wide), 0, wide), dim, keepdim)
        return narrowed(total, input.dtype)

    @staticmethod
    def sums(x: Any, dim: Any, keepdim: bool) -> Any:
        """Sums of floats, many of them by the kernels of ``Sum``."""
        if x.size < Sum.least:
            return summed(x, dim, None, None, keepdim)
        return Sum.instance.forward([x], {"dim": dim, "keepdim": keepdim})

    def grad(self, g, input, dim, keepdim):
        return kept(g, input._array.shape, dim, keepdim).expand(input._array.shape) * (
            input == input
        ).to(g.dtype)


class Prod(Reduction):
    """Product over ``dim``, None or one dim; integers and bool multiply as int64."""

    precision = "float32"
    compiled = True
    least = MIDDLING
    reducer = staticmethod(multiplied)
    fast = dtypes.FLOATS | {dtypes.int64}

    def eager(self, xp, input, *, dim, keepdim):
        d = input.dtype
        wide = widened(input)
        out = multiplied(wide, dim, None if d in dtypes.DIFFERENTIABLE else np.int64, None, keepdim)
        return narrowed(out, d if d in dtypes.HALVES else out.dtype)

    def backward_name(self, params):
        return "ProdBackward0" if params and params["dim"] is None else "ProdBackward1"

    def grad(self, g, input, out, dim, keepdim):
        shape = input._array.shape
        if not shape:
            return g
        g, out = kept(g, shape, dim, keepdim), kept(out, shape, dim, keepdim)
        if not input._array.size or (not unseen(input) and input._array.all()):
            return g * (out / input).conj()
        if modes.trace is not None and input._array.size > 256:
            value_needed("the gradient of a long product")
        return (
            g
            * (
                product_of_others(input, dim[0])
                if dim
                else product_of_others(input.reshape(-1), 0).reshape(shape)
            ).conj()
        )


def product_of_others(x: Tensor, dim: int) -> Tensor:
    """For each element the product of all others along ``dim``, without dividing."""
    n = x._array.shape[dim]
    one = x.narrow(dim, 0, 1).detach() * 0 + 1
    before, after = [one], [one]
    for i in range(n - 1):
        before.append(before[-1] * x.narrow(dim, i, 1))
        after.append(after[-1] * x.narrow(dim, n - 1 - i, 1))
    return Cat.bind(*before, dim=dim) * Cat.bind(*after[::-1], dim=dim)


def shared_among_equal(g: Tensor, input: Tensor, out: Tensor, dim: Any, keepdim: bool) -> Tensor:
    """g divided evenly among the elements that equal the result (for NaN: that are NaN)."""
    shape = input._array.shape
    g, out = kept(g, shape, dim, keepdim), kept(out.detach(), shape, dim, keepdim)
    x = input.detach()
    mask = x == out
    if unseen(out) or np.isnan(widened(out._array)).any():
        mask = mask | (x.isnan() & out.isnan())
    mask = mask.to(g.dtype)
    return g / Sum.bind(mask, dim, True) * mask


class Extremum(Reduction, abstract=True):
    """The largest or smallest; NaN if any is. Equal elements share the gradient."""

    fast = dtypes.FLOATS | dtypes.INTEGER_TYPES

    def eager(self, xp, input, *, dim, keepdim):
        no_complex(type(self).__name__.lower(), input.dtype)
        return narrowed(self.reducer(widened(input), dim, None, None, keepdim), input.dtype)

    def grad(self, g, input, out, dim, keepdim):
        return shared_among_equal(g, input, out, dim, keepdim)


def largest(x: Any, dim: Any = None, dtype: Any = None, out: Any = None, keep: bool = False) -> Any:
    """``np.maximum.reduce`` with the same arguments; of all of few elements by a search."""
    if dim is None and not keep and 0 < x.size < FEW:
        return np.array(x.item(x.argmax()), x.dtype)
    found = by_columns(np.maximum, x, dim, keep)
    found = of_rows("row max", x, dim, keep) if found is None else found
    return np.maximum.reduce(x, dim, dtype, out, keep) if found is None else found


def smallest(
    x: Any, dim: Any = None, dtype: Any = None, out: Any = None, keep: bool = False
) -> Any:
    """``np.minimum.reduce`` with the same arguments; of all of few elements by a search."""
    if dim is None and not keep and 0 < x.size < FEW:
        return np.array(x.item(x.argmin()), x.dtype)
    found = by_columns(np.minimum, x, dim, keep)
    found = of_rows("row min", x, dim, keep) if found is None else found
    return np.minimum.reduce(x, dim, dtype, out, keep) if found is None else found


NARROW = 8  # elements of a row that are read column by column


def by_columns(function: Any, x: Any, dim: Any, keep: bool) -> Any:
    """The reduction of many short rows by one call for each column, or None: within a row NumPy
    takes a tenth of a microsecond.
    """
    if x.size < FEW or dim != (x.ndim - 1,) or not 1 < x.shape[-1] <= NARROW:
        return None
    first, second, *others = np.moveaxis(x, -1, 0)
    total = function(first, second)
    for column in others:
        function(total, column, out=total)
    return total[..., None] if keep else total


SOME, SHORT = 256, 128  # elements from which on, and of a row up to which, a loop is faster


def of_rows(name: str, x: Any, dim: Any, keep: bool) -> Any:
    """The extremes along the last dim of floats, by a loop; or None."""
    size, shape = x.size, x.shape
    if size < SOME or dim != (len(shape) - 1,) or not 0 < shape[-1] <= SHORT:
        return None
    if x.dtype not in dtypes.FLOATS:
        return None
    run = kernels.runner(name, x.dtype, 2, size, False)
    if run is None:
        return None
    if not x.flags.carray:
        x = np.array(x, order="C")
    n, lead = shape[-1], shape[:-1]
    out = np.empty((*lead, 1) if keep else lead, x.dtype)
    run(x, out, n, size // n)
    return out


class Amax(Extremum):
    """The largest element over ``dim``; NaN if any is. Equal elements share the gradient."""

    reducer = staticmethod(largest)


class Amin(Extremum):
    """The smallest element over ``dim``; NaN if any is. Equal elements share the gradient."""

    reducer = staticmethod(smallest)


class Max(Amax):
    """The largest of all elements; NaN if any is. Equal elements share the gradient."""

    def backward_name(self, params):
        return "MaxBackward1"


class Min(Amin):
    """The smallest of all elements; NaN if any is. Equal elements share the gradient."""

    def backward_name(self, params):
        return "MinBackward1"


class Aminmax(Op):
    """The smallest and the largest element over ``dim``."""

    outputs = ("min", "max")

    def eager(self, xp, input, *, dim, keepdim):
        d = input.dtype
        if dim is None and not keepdim and d in dtypes.FLOATS and 0 < input.size < FEW:
            low, high = input.item(input.argmin()), input.item(input.argmax())
            return np.array(low, d), np.array(high, d)
        wide = ordered("aminmax", input)
        low = smallest(wide, dim, None, None, keepdim)
        high = largest(wide, dim, None, None, keepdim)
        return narrowed(low, d), narrowed(high, d)

    def grad(self, g, input, min, max, dim, keepdim):
        low = shared_among_equal(g[0], input, min, dim, keepdim)
        return low + shared_among_equal(g[1], input, max, dim, keepdim)


def searching(function: Any, find: Any) -> Any:
    """The reduction of truths; of all of few by a search."""

    def reducer(x, dim=None, dtype=None, out=None, keepdim=False):
        if dim is None and not keepdim and 0 < x.size < FEW:
            return np.array(x.item(find(x)))
        return reduced(function, x, dim, keepdim)

    return staticmethod(reducer)


def reduced(function: Any, x: Any, dim: Any, keepdim: bool) -> Any:
    """The reduction of what is true or not."""
    found = by_columns(function, x, dim, keepdim)
    return function.reduce(x, dim, None, None, keepdim) if found is None else found


class AnyTrue(Reduction):
    """Whether any element over ``dim`` is nonzero; uint8 answers in uint8."""

    reducer = searching(np.logical_or, np.ndarray.argmax)
    fast = frozenset({dtypes.bool_})

    def eager(self, xp, input, *, dim, keepdim):
        out = packed(reduced(np.logical_or, widened(input), dim, keepdim))
        return out.astype(np.uint8) if input.dtype == np.uint8 else out


class AllTrue(Reduction):
    """Whether all elements over ``dim`` are nonzero; uint8 answers in uint8."""

    reducer = searching(np.logical_and, np.ndarray.argmin)
    fast = frozenset({dtypes.bool_})

    def eager(self, xp, input, *, dim, keepdim):
        out = packed(reduced(np.logical_and, widened(input), dim, keepdim))
        return out.astype(np.uint8) if input.dtype == np.uint8 else out


class CountNonzero(Reduction):
    """How many elements over ``dim`` are not zero."""

    def eager(self, xp, input, *, dim, keepdim):
        if dim is None and not keepdim:
            x = widened(input)
            if x.size >= FEW and x.dtype is not dtypes.bool_:
                x = x != 0  # NumPy counts truths several times as fast as numbers
            return np.array(np.count_nonzero(x))
        return packed(np.add.reduce(widened(input) != 0, dim, np.int64, None, keepdim))


class Argmax(Op):
    """Index of the first largest element along ``dim`` (None: in the flattened tensor); NaN counts
    as largest.
    """

    def eager(self, xp, input, *, dim, keepdim):
        return packed(ordered("argmax", input).argmax(dim, keepdims=keepdim))


class Argmin(Op):
    """Index of the first smallest element along ``dim`` (None: in the flattened tensor); NaN counts
    as smallest.
    """

    def eager(self, xp, input, *, dim, keepdim):
        return packed(ordered("argmin", input).argmin(dim, keepdims=keepdim))


def sum_to(g: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Reduce g, whose shape broadcasting made from ``shape``, to ``shape``."""
    have = g._array.shape
    extra = len(have) - len(shape)
    inner = [i + extra for i, n in enumerate(shape) if n == 1 and have[i + extra] != 1]
    if not inner:
        return Sum.bind(g, tuple(range(extra)), False)
    g = Sum.bind(g, (*range(extra), *inner), True)
    return g.reshape(shape) if extra else g
