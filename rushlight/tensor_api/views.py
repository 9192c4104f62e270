"""The same memory in another shape, or outside the graph."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from rushlight import dtypes, formats
from rushlight.core.autograd import known_as
from rushlight.core.history import check_write
from rushlight.core.meta import MetaArray
from rushlight.core.state import modes, state
from rushlight.core.tensor import (
    Tensor,
    alias,
    bump,
    edge,
    expect_tensors,
    instance,
    needs_grad,
    no_tensor,
    wrap,
    written,
)
from rushlight.core.window import Window
from rushlight.core.wrapped import WrappedArray, WrappedOperand, as_wrapper
from rushlight.errors import GraphError, ShapeError
from rushlight.ops import view as V
from rushlight.ops.copy import Clone, Contiguous
from rushlight.tensor_api._common import (
    as_int,
    method,
    methods,
    numpy_dtype,
    own,
    shape_of,
    wrap_dim,
)

__all__ = [
    "as_strided",
    "detach",
    "flatten",
    "ravel",
    "reshape",
    "unflatten",
]


@functools.lru_cache(maxsize=256)
def infer_shape(size: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """``shape`` with a single -1 replaced by what makes it hold ``size`` elements."""
    known, unknown = 1, 0
    for n in shape:
        if n == -1:
            unknown += 1
        elif n < 0:
            raise ShapeError(
                f"invalid shape dimension {n} in {shape}; sizes are >= 0, or a single -1."
            )
        else:
            known *= n
    if unknown > 1:
        raise ShapeError(f"only one dimension can be inferred, but {shape} has {unknown} of -1.")
    if unknown and not known:
        raise ShapeError(
            f"cannot reshape tensor of {size} elements into shape {shape}: the -1 could be any "
            "size."
        )
    if (unknown and size % known) or (not unknown and known != size):
        raise ShapeError(f"shape '{list(shape)}' is invalid for input of size {size}.")
    return tuple([size // known if n == -1 else n for n in shape]) if unknown else shape


@method
def view(self: Tensor, *shape: Any, dtype: Any = None, size: Any = None) -> Tensor:
    """The same memory in another shape, or read as another dtype.

    Args:
        shape: sizes, one of which may be -1 (inferred).
        dtype: instead of a shape: the dtype to read the bytes as.
        size: another name of the shape.

    Raises:
        RuntimeError: the sizes do not fit, or the memory order would need a copy; ``reshape``
            copies then.

    Example:
        >>> import rushlight as torch
        >>> torch.arange(6).view(-1, 3)
        tensor([[0, 1, 2],
                [3, 4, 5]])
    """
    if shape and shape[0].__class__ is int:
        sizes = shape
    elif dtype is not None or (len(shape) == 1 and shape[0].__class__ is dtypes.dtype):
        return view_dtype(self, numpy_dtype(dtype if dtype is not None else shape[0]))
    else:
        sizes = shape_of(shape if size is None else (size,), "view")
    t = reshaped(self, sizes)
    if t is None:
        raise ShapeError(
            "view size is not compatible with input tensor's size and stride: "
            f"{tuple(self._array.shape)} with strides {strides(self)} cannot be seen as "
            f"{tuple(sizes)} without a copy. Use .reshape(...) instead."
        )
    return t


def reshaped(t: Tensor, sizes: tuple[int, ...], copied: bool = False) -> Tensor | None:
    """A view in another shape, of which one size may be -1. Where that needs a copy: None, or if
    that will do (``copied``) and nothing is recorded, what NumPy has copied.
    """
    x = t._array
    try:
        out = x.reshape(sizes)
    except ValueError:
        infer_shape(x.size, sizes)
        raise
    except WrappedOperand:
        return reshaped_wrapper(t, infer_shape(x.size, sizes), copied)
    shape = out.shape
    if shape != sizes:
        infer_shape(x.size, sizes)  # NumPy takes any negative size for a -1
    base = out.base
    if base is not x and (base is None or base is not x.base):
        recorded = state.busy or (t._tracked and modes.grad and needs_grad(t))
        return wrap(out) if copied and not recorded and out.__class__ is np.ndarray else None
    if state.busy:
        return V.Reshape.bind(t, shape=shape)
    return V.Reshape.linked(t, out, {"shape": shape})


def reshaped_wrapper(t: Tensor, shape: tuple[int, ...], copied: bool) -> Tensor | None:
    """``reshaped`` of a wrapper tensor, whose strides say whether a view will do."""
    x = t._array
    if MetaArray(x.shape, x.dtype, x.strides).reshape(shape).base is None:
        if not copied:
            return None
        t = t.contiguous()
    return V.Reshape.bind(t, shape=shape)


def view_dtype(x: Tensor, d: Any) -> Tensor:
    """The same bytes as another dtype; the last dim shrinks or grows with the element size."""
    a = x._array
    if d is a.dtype:
        return V.BasicIndex.bind(x, index=(...,))
    if a.dtype.itemsize != d.itemsize and (not a.ndim or a.strides[-1] != a.itemsize):
        raise ShapeError(
            f"self.size(-1) must be contiguous (stride 1) to view {a.dtype} as {d}, of different "
            "element sizes."
        )
    try:
        return V.ViewDtype.bind(x, dtype=d)
    except ValueError:
        raise ShapeError(
            f"the last dim of {a.shape} times {a.itemsize} bytes is not a multiple of "
            f"{d.itemsize} bytes."
        ) from None


def strides(x: Tensor) -> tuple[int, ...]:
    """Strides in elements. Where a stride never matters, over one element or none, NumPy may say 0,
    and we what elements in order would have.
    """
    a = x._array
    size = a.itemsize
    steps = [s // size for s in a.strides]
    if 0 in steps:
        step = 1
        for d in range(a.ndim - 1, -1, -1):
            if not steps[d] and (a.shape[d] < 2 or not a.size):
                steps[d] = step
            step = steps[d] * max(a.shape[d], 1)
    return tuple(steps)


@method
def reshape(input: Tensor, *sizes: Any, shape: Any = None) -> Tensor:
    """``input`` in another shape; a view where possible, else a copy.

    Args:
        sizes: one of which may be -1 (inferred); as ints, or in a tuple, which may be named shape.

    Example:
        >>> import rushlight as torch
        >>> torch.arange(4).reshape(2, 2)
        tensor([[0, 1],
                [2, 3]])
    """
    if not (sizes and sizes[0].__class__ is int):
        sizes = shape_of(sizes if shape is None else (shape,), "reshape")
    t = reshaped(input, sizes, True)
    if t is None:
        t = known_as("UnsafeViewBackward0", own(reshaped(Contiguous.bind(input), sizes)))
    return t


@method
def contiguous(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself when its elements lie in order, else a copy in which they do."""
    if memory_format is not None and memory_format in formats.CHANNELS_LAST:
        formats.channels_order(self._array, memory_format)
        return (
            self
            if formats.is_in(self._array, memory_format)
            else Clone.bind(self, memory_format=memory_format)
        )
    return self if self._array.flags.c_contiguous else Contiguous.bind(self)


@method
def expand(self: Tensor, *sizes: Any, size: Any = None, implicit: bool = False) -> Tensor:
    """A view with dims of size 1 repeated, without copying; -1 keeps a size, and new dims may be
    added in front.
    """
    shape = shape_of(sizes if size is None else (size,), "expand")
    return V.Expand.bind(self, shape=expanded_shape(shape, self._array.shape))


@functools.lru_cache(maxsize=256)
def expanded_shape(shape: tuple[int, ...], have: tuple[int, ...]) -> tuple[int, ...]:
    """``shape`` for a tensor of the shape ``have``, each -1 replaced by the size that is kept."""
    extra = len(shape) - len(have)
    if not have and min(shape, default=0) >= 0:
        return shape
    if extra < 0:
        raise ShapeError(
            f"expand: the number of sizes provided ({len(shape)}) must be at least the number of "
            f"dims of {tuple(have)}."
        )
    full = tuple([have[i - extra] if n == -1 and i >= extra else n for i, n in enumerate(shape)])
    if any([n < 0 for n in full]):
        raise ShapeError(
            f"expand: the size -1 isn't allowed in a leading, non-existing dimension, in {shape}."
        )
    for n, m in zip(full[extra:], have, strict=True):
        if m not in (1, n):
            raise ShapeError(
                f"The expanded size of the tensor ({n}) must match the existing size ({m}) at "
                "non-singleton dimension; "
                f"expand {tuple(have)} to {shape}: only dims of size 1 can be repeated."
            )
    return full


@method
def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """``expand`` to the shape of ``other``."""
    expect_tensors("expand_as", other)
    return expand(self, *other._array.shape)


@method
def view_as(self: Tensor, other: Tensor) -> Tensor:
    """``view`` in the shape of ``other``."""
    expect_tensors("view_as", other)
    return view(self, *other._array.shape)


@method
def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """``reshape`` to the shape of ``other``."""
    expect_tensors("reshape_as", other)
    return reshape(self, *other._array.shape)


@method
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dims ``start_dim`` to ``end_dim`` merged into one; a view where possible.

    Example:
        >>> import rushlight as torch
        >>> torch.ones(2, 3, 4).flatten(1).shape
        torch.Size([2, 12])
    """
    try:
        shape = input._array.shape
    except AttributeError:
        raise no_tensor("flatten", input) from None
    flat = flattened(shape, start_dim, end_dim)
    return input if flat == shape else reshape(input, *flat)


@functools.lru_cache(maxsize=256)
def flattened(shape: tuple[int, ...], start_dim: int, end_dim: int) -> tuple[int, ...]:
    """A shape with some neighbouring dims merged into one."""
    n = len(shape)
    a, b = wrap_dim(start_dim, n), wrap_dim(end_dim, n)
    if a > b:
        raise ShapeError(
            f"flatten() has invalid args: start_dim ({start_dim}) cannot come after end_dim "
            f"({end_dim})."
        )
    return (*shape[:a], math.prod(shape[a : b + 1]), *shape[b + 1 :])


@method
def ravel(input: Tensor) -> Tensor:
    """One dim, in order, in contiguous memory; a view where the input is contiguous.

    Example:
        >>> import rushlight as torch
        >>> torch.ravel(torch.tensor([[1, 2], [3, 4]]))
        tensor([1, 2, 3, 4])
    """
    return reshape(input.contiguous(), input._array.size)


@method
def unflatten(input: Tensor, dim: int, sizes: Any) -> Tensor:
    """``dim`` split into ``sizes``, one of which may be -1.

    Example:
        >>> import rushlight as torch
        >>> torch.unflatten(torch.arange(4), 0, (2, -1))
        tensor([[0, 1],
                [2, 3]])
    """
    shape = input._array.shape
    if not shape:
        raise RuntimeError("unflatten: a 0-dim tensor has no dim that could be split.")
    d = wrap_dim(dim, len(shape))
    if not len(tuple(sizes)):
        raise ShapeError("unflatten: sizes must be non-empty.")
    try:
        inner = infer_shape(shape[d], tuple(sizes))
    except ShapeError:
        raise ShapeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {d} "
            f"({shape[d]})."
        ) from None
    return view(input, *shape[:d], *inner, *shape[d + 1 :])


@method
def as_strided(input: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """Any window on the memory behind ``input``: sizes, and strides and offset in elements from the
    start of that memory.

    Raises:
        RuntimeError: the window leaves the memory.

    Example:
        >>> import rushlight as torch
        >>> torch.as_strided(torch.arange(4), (3, 2), (1, 1))  # windows, without copies
        tensor([[0, 1],
                [1, 2],
                [2, 3]])
    """
    x = input._array
    x = x.stand_in() if isinstance(x, Window) else x
    shape = tuple([as_int(n, "size") for n in size])
    steps = tuple([as_int(n, "stride") for n in stride])
    source = V.geometry(x)
    offset = source[-1] if storage_offset is None else as_int(storage_offset, "storage_offset")
    if len(shape) != len(steps):
        raise ShapeError(f"as_strided: size {shape} and stride {steps} must have the same length.")
    if min((*steps, *shape, offset)) < 0:
        raise ShapeError(
            f"as_strided: Negative sizes, strides or offsets are not supported, got {shape}, "
            f"{steps}, {offset}."
        )
    last, have = offset, V.memory_size(x)
    for n, s in zip(shape, steps, strict=True):
        last += (n - 1) * s
    if all(shape) and last >= have:
        raise ShapeError(
            f"setStorage: sizes {list(shape)}, strides {list(steps)}, storage offset {offset} "
            f"require {last + 1} elements, which are out of bounds for storage of {have} elements."
        )
    return V.AsStrided.bind(input, size=shape, stride=steps, offset=offset, source=source)


@method
def detach(input: Tensor) -> Tensor:
    """The same memory outside the graph; writes are still noticed by autograd.

    Example:
        >>> import rushlight as torch
        >>> x = torch.ones(1, requires_grad=True)
        >>> y = torch.detach(x * 2)
        >>> y.requires_grad
        False
    """
    out = alias(input)
    return out if out._array.__class__ is not WrappedArray else as_wrapper(out)


@method
def detach_(input: Tensor) -> Tensor:
    """Take the tensor itself out of the graph."""
    if input._link is not None:
        raise GraphError("Can't detach views in-place; use detach() instead.")
    input._node, input._wants_grad, input._tracked = None, False, False
    return input


def same_memory(x: Tensor) -> Tensor:
    """Another tensor on x's memory, unknown to autograd."""
    out: Tensor = instance(Tensor, x._array)
    if state.busy and modes.trace is not None:
        modes.trace.aliased(out, x)
    return out if x._array.__class__ is not WrappedArray else as_wrapper(out)


def _set_data(self: Tensor, value: Tensor) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
    if self.requires_grad and value._array.dtype not in dtypes.DIFFERENTIABLE:
        raise RuntimeError(
            "data set to a tensor that requires gradients must be floating point or complex dtype, "
            f"but is {value.dtype}."
        )
    if state.busy and modes.trace is not None:
        modes.trace.moving(self)
    self._array = value._array


def _delete_data(self: Tensor) -> None:
    raise RuntimeError("Deleting tensor data is not allowed. Delete tensor instead!")


def in_place(view_function: Any) -> Any:
    """The in-place form of a view function: the tensor itself takes the new shape."""

    def change(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        out = view_function(self, *args, **kwargs)
        if self._tracked and modes.grad and needs_grad(self):
            check_write(self)
            self._node = edge(out)
        link = self._link
        if link is not None and out._link is not None:
            link = self._link = out._link
        self._array = out._array
        version = bump(self) if state.busy else written(self)
        if link is not None:
            link.version = version
        return self

    change.__name__ = view_function.__name__ + "_"
    change.__doc__ = f"In-place form of ``{view_function.__name__}``."
    return change


methods(
    data=property(
        same_memory,
        _set_data,
        _delete_data,
        doc="The same memory, unknown to autograd; assigning swaps the memory.",
    ),
    as_strided_=in_place(as_strided),
)
