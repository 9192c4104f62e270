"""Functions whose results share memory with their input."""

from __future__ import annotations

import builtins
import functools
import math
from typing import Any

from rushlight import dtypes, formats
from rushlight.core.autograd import check_write
from rushlight.core.sparse import SparseOperand
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, alias, bump, edge, instance, new_counter
from rushlight.errors import GraphError, ShapeError
from rushlight.ops import view as V
from rushlight.ops.copy import Clone, Contiguous
from rushlight.tensor_api._common import method, methods, numpy_dtype, own, shape_of, wrap_dim

__all__ = [
    "adjoint",
    "as_strided",
    "chunk",
    "detach",
    "diagonal",
    "dsplit",
    "flatten",
    "hsplit",
    "imag",
    "movedim",
    "moveaxis",
    "narrow",
    "permute",
    "ravel",
    "real",
    "reshape",
    "select",
    "split",
    "split_with_sizes",
    "squeeze",
    "swapaxes",
    "swapdims",
    "t",
    "tensor_split",
    "transpose",
    "unbind",
    "unflatten",
    "unsafe_chunk",
    "unsafe_split",
    "unsqueeze",
    "view_as_complex",
    "view_as_real",
    "vsplit",
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
            f"{tuple(self._array.shape)} with strides "
            f"{strides(self)} cannot be seen as {tuple(sizes)} without a copy. Use .reshape(...) "
            "instead."
        )
    return t


def reshaped(t: Tensor, sizes: tuple[int, ...]) -> Tensor | None:
    """A view in another shape, of which one size may be -1; None when that needs a copy."""
    x = t._array
    try:
        out = x.reshape(sizes)
    except ValueError:
        infer_shape(x.size, sizes)
        raise
    shape = out.shape
    if shape != sizes:
        infer_shape(x.size, sizes)  # NumPy takes any negative size for a -1
    base = out.base
    if base is not x and (base is None or base is not x.base):
        return None
    if state.busy:
        return V.Reshape.bind(t, shape=shape)
    return V.Reshape.linked(t, out, {"shape": shape})


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
    t = reshaped(input, sizes)
    return own(reshaped(Contiguous.bind(input), sizes)) if t is None else t


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
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """A view with two dims exchanged.

    Example:
        >>> import rushlight as torch
        >>> torch.ones(2, 3).transpose(0, 1).shape
        torch.Size([3, 2])
    """
    x = input._array
    n = x.ndim
    if not n:
        wrap_dim(dim0, 0), wrap_dim(dim1, 0)
        return V.BasicIndex.bind(input, index=(...,))
    if state.busy or not (-n <= dim0 < n and -n <= dim1 < n):
        return V.Transpose.bind(input, dim0=wrap_dim(dim0, n), dim1=wrap_dim(dim1, n))
    try:
        out = x.swapaxes(dim0, dim1)
    except SparseOperand:
        return V.Transpose.bind(input, dim0=wrap_dim(dim0, n), dim1=wrap_dim(dim1, n))
    return V.Transpose.linked(input, out, {"dim0": dim0, "dim1": dim1})


swapdims = transpose


@method
def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """``transpose`` under NumPy's name."""
    return transpose(input, axis0, axis1)


@method
def t(input: Tensor) -> Tensor:
    """A matrix transposed, as a view; vectors and 0-dim tensors as they are.

    Example:
        >>> import rushlight as torch
        >>> torch.ones(2, 3).t().shape
        torch.Size([3, 2])
    """
    n = input._array.ndim
    if n > 2:
        raise ShapeError(
            f"t() expects a tensor with <= 2 dimensions, but self is {n}D; use transpose(dim0, "
            "dim1), .mT or permute."
        )
    return V.T.bind(input)


@method
def permute(input: Tensor, *order: Any, dims: Any = None) -> Tensor:
    """A view with the dims in the given order.

    Example:
        >>> import rushlight as torch
        >>> torch.ones(2, 3, 4).permute(2, 0, 1).shape
        torch.Size([4, 2, 3])
    """
    n = input._array.ndim
    order = shape_of(order if dims is None else (dims,), "permute")
    if len(order) != n:
        raise ShapeError(
            f"permute(dims): number of dimensions in the tensor input ({n}) does not match the "
            f"length of dims {order}."
        )
    wrapped = tuple([wrap_dim(d, n) for d in order])
    if len(set(wrapped)) != n:
        raise ShapeError(f"permute(dims): duplicate dims are not allowed, but got {order}.")
    return V.Permute.bind(input, dims=wrapped)


@method
def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """A view with dims moved from the positions ``source`` to ``destination``; the others keep
    their order.
    """
    n = input._array.ndim
    src = [wrap_dim(d, n) for d in (source if isinstance(source, (tuple, list)) else (source,))]
    dst = [
        wrap_dim(d, n)
        for d in (destination if isinstance(destination, (tuple, list)) else (destination,))
    ]
    if len(src) != len(dst):
        raise ShapeError(
            f"movedim: source {src} and destination {dst} must name the same number of dims."
        )
    if len(set(src)) != len(src) or len(set(dst)) != len(dst):
        raise ShapeError(f"movedim: repeated dim in source {src} or destination {dst}.")
    order: list[Any] = [None] * n
    for s, d in zip(src, dst, strict=True):
        order[d] = s
    rest = iter([d for d in builtins.range(n) if d not in src])
    return V.Permute.bind(input, dims=tuple([next(rest) if d is None else d for d in order]))


moveaxis = movedim


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
    return expand(self, *other._array.shape)


@method
def view_as(self: Tensor, other: Tensor) -> Tensor:
    """``view`` in the shape of ``other``."""
    return view(self, *other._array.shape)


@method
def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """``reshape`` to the shape of ``other``."""
    return reshape(self, *other._array.shape)


@method
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A view with a dim of size 1 inserted before ``dim``, in [-ndim - 1, ndim].

    Example:
        >>> import rushlight as torch
        >>> torch.ones(3).unsqueeze(0).shape
        torch.Size([1, 3])
    """
    return V.Unsqueeze.bind(input, dim=wrap_dim(dim, input._array.ndim + 1))


@method
def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """A view without dims of size 1: all of them, or those of ``dim`` that are.

    Example:
        >>> import rushlight as torch
        >>> torch.ones(1, 3, 1).squeeze().shape
        torch.Size([3])
    """
    shape = input._array.shape
    if dim is None:
        dims = [i for i, n in enumerate(shape) if n == 1]
    else:
        asked = [
            wrap_dim(d, len(shape)) for d in (dim if isinstance(dim, (tuple, list)) else (dim,))
        ]
        if len(set(asked)) != len(asked):
            raise ShapeError(f"squeeze: dim appears multiple times in {dim}.")
        dims = [d for d in asked if d < len(shape) and shape[d] == 1]
    return V.Squeeze.bind(input, dim=tuple(dims))


@method
def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """A view of ``length`` slices of ``dim`` from ``start``."""
    d = wrap_dim(dim, input._array.ndim)
    if isinstance(start, Tensor) and (
        start._array.ndim or start._array.dtype not in dtypes.INTEGER_TYPES
    ):
        raise RuntimeError("start must be an 0-dim integral Tensor.")
    if not input._array.ndim:
        raise ShapeError("narrow() cannot be applied to a 0-dim tensor.")
    n, at = input._array.shape[d], int(start)
    if not -n <= at <= n:
        raise IndexError(
            f"start out of range (expected to be in range of [{-n}, {n}], but got {at})"
        )
    at += n if at < 0 else 0
    if length < 0 or at + length > n:
        raise ShapeError(
            f"start ({at}) + length ({length}) exceeds dimension size ({n}), or length is negative."
        )
    return V.BasicIndex.bind(input, index=(slice(None),) * d + (slice(at, at + length), ...))


@method
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """A view of slice ``index`` of ``dim``, without that dim."""
    if not input._array.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d, i = wrap_dim(dim, input._array.ndim), index.__index__()
    n = input._array.shape[d]
    if not -n <= i < n:
        raise IndexError(
            f"select(): index {i} out of range for tensor of size {list(input._array.shape)} at "
            f"dimension {d}"
        )
    return V.BasicIndex.bind(input, index=(slice(None),) * d + (i, ...))


def _pieces(input: Tensor, sizes: list[int], dim: int) -> tuple[Tensor, ...]:
    bounds, at = [], 0
    for n in sizes:
        bounds.append((at, at + n))
        at += n
    return tuple(V.Split.bind(input, bounds=tuple(bounds), dim=dim))


def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive pieces of ``dim``: each of a given size (the last may be smaller), or of
    the sizes in a list.

    Example:
        >>> import rushlight as torch
        >>> torch.arange(5).split(2)
        (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    sizes = split_size_or_sections
    if isinstance(sizes, (list, tuple)):
        return split_with_sizes(tensor, sizes, dim)
    d, size = wrap_dim(dim, tensor._array.ndim), sizes.__index__()
    if not tensor._array.ndim:
        raise ShapeError("split expects at least a 1-dimensional tensor.")
    n = tensor._array.shape[d]
    if size < 0 or (size == 0 and n):
        raise ShapeError(f"split expects split_size to be positive, but got split_size={size}.")
    return _pieces(tensor, [min(size, n - i) for i in range(0, n, size or 1)] or [0], d)


methods(split=lambda self, split_size, dim=0: split(self, split_size, dim))


@method
def split_with_sizes(input: Tensor, split_sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive pieces of ``dim``, of the given sizes."""
    d = wrap_dim(dim, input._array.ndim)
    if not input._array.ndim:
        raise ShapeError("split expects at least a 1-dimensional tensor.")
    sizes = [int(n) for n in split_sizes]
    if any([n < 0 for n in sizes]) or builtins.sum(sizes) != input._array.shape[d]:
        raise ShapeError(
            f"split_with_sizes expects split_sizes to sum exactly to {input._array.shape[d]} "
            f"(input tensor's size at dimension {d}), "
            f"but got split_sizes={sizes}."
        )
    return _pieces(input, sizes, d)


@method
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most ``chunks`` views of equal pieces of ``dim`` (the last may be smaller).

    Example:
        >>> import rushlight as torch
        >>> torch.arange(5).chunk(2)
        (tensor([0, 1, 2]), tensor([3, 4]))
    """
    d = wrap_dim(dim, input._array.ndim)
    if not input._array.ndim:
        raise ShapeError("chunk expects at least a 1-dimensional tensor.")
    if chunks <= 0:
        raise ShapeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}.")
    n = input._array.shape[d]
    if not n:
        return _pieces(input, [0] * chunks, d)
    size = -(-n // chunks)
    return _pieces(input, [min(size, n - i) for i in range(0, n, size)], d)


def apart(pieces: Any) -> Any:
    """A form of a function that returns several views, whose views autograd takes for tensors of
    their own: they may be written to, if nothing else reads what is overwritten.
    """

    @functools.wraps(pieces)
    def alone(*args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = pieces(*args, **kwargs)
        for t in found:
            t._link, t._counter = None, new_counter()
        return found

    return alone


unsafe_chunk = apart(chunk)
unsafe_split = apart(split)


def _one_of(name: str, *given: Any) -> Any:
    """The argument that is not None."""
    found = [value for value in given if value is not None]
    if len(found) != 1:
        raise TypeError(f"{name}: give either sections or indices, but got {len(found)} of them.")
    return found[0]


@method
def tensor_split(
    input: Tensor,
    indices_or_sections: Any = None,
    dim: int = 0,
    *,
    sections: int | None = None,
    indices: Any = None,
    tensor_indices_or_sections: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Views of ``sections`` nearly equal pieces, or of the pieces between the given indices; one of
    the arguments says which.
    """
    given = (indices_or_sections, sections, indices, tensor_indices_or_sections)
    indices_or_sections = _one_of("tensor_split", *given)
    d = wrap_dim(dim, input._array.ndim)
    if not input._array.ndim:
        raise ShapeError("tensor_split expected at least a 1-dimensional tensor.")
    where = indices_or_sections
    if isinstance(where, Tensor):
        where = where.tolist()
    n = input._array.shape[d]
    if isinstance(where, int):
        if where <= 0:
            raise ShapeError(f"number of sections must be larger than 0, got {where}.")
        cuts = [n // where * i + builtins.min(i, n % where) for i in range(where + 1)]
        return tuple([narrow(input, d, a, b - a) for a, b in zip(cuts, cuts[1:], strict=False)])
    edges = [0, *where, n]
    out = []
    for a, b in zip(edges, edges[1:], strict=False):
        out.append(
            V.BasicIndex.bind(input, index=(slice(None),) * d + (slice(a if a != 0 else 0, b), ...))
        )
    return tuple(out)


def _named_split(name: str, dim_of: Any, least: int) -> Any:
    def named(
        input: Tensor,
        indices_or_sections: Any = None,
        *,
        sections: int | None = None,
        indices: Any = None,
    ) -> tuple[Tensor, ...]:
        indices_or_sections = _one_of(name, indices_or_sections, sections, indices)
        n = input._array.ndim
        if n < least:
            raise ShapeError(
                f"{name} requires a tensor with at least {least} dimension(s), but got a tensor "
                f"with {n}."
            )
        d = dim_of(n)
        if isinstance(indices_or_sections, int) and (
            indices_or_sections <= 0 or input._array.shape[d] % indices_or_sections
        ):
            raise ShapeError(
                f"{name} attempted to split along dimension {d}, but the size of the dimension "
                f"{input._array.shape[d]} is not "
                f"divisible by the split_size {indices_or_sections}."
            )
        return tensor_split(input, indices_or_sections, d)

    named.__name__ = named.__qualname__ = name
    named.__doc__ = (
        f"``tensor_split`` along the dim that NumPy's {name} uses; an int must divide the size."
    )
    return method(named)


hsplit = _named_split("hsplit", lambda n: 0 if n == 1 else 1, 1)
vsplit = _named_split("vsplit", lambda n: 0, 2)
dsplit = _named_split("dsplit", lambda n: 2, 3)


@method
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of every slice of ``dim``."""
    d = wrap_dim(dim, input._array.ndim)
    if not input._array.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    return tuple(V.Unbind.bind(input, dim=d))


@method
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dims ``start_dim`` to ``end_dim`` merged into one; a view where possible.

    Example:
        >>> import rushlight as torch
        >>> torch.ones(2, 3, 4).flatten(1).shape
        torch.Size([2, 12])
    """
    shape = input._array.shape
    n = len(shape)
    a, b = wrap_dim(start_dim, n), wrap_dim(end_dim, n)
    if a > b:
        raise ShapeError(
            f"flatten() has invalid args: start_dim ({start_dim}) cannot come after end_dim "
            f"({end_dim})."
        )
    if not n:
        return reshape(input, 1)
    if a == b:
        return input
    return reshape(input, *shape[:a], math.prod(shape[a : b + 1]), *shape[b + 1 :])


@method
def ravel(input: Tensor) -> Tensor:
    """One dim, in order, in contiguous memory; a view where the input is contiguous."""
    return reshape(input.contiguous(), input._array.size)


@method
def unflatten(input: Tensor, dim: int, sizes: Any) -> Tensor:
    """``dim`` split into ``sizes``, one of which may be -1."""
    shape = input._array.shape
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
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A view of a diagonal of two dims, as the last dim."""
    n = input._array.ndim
    a, b = wrap_dim(dim1, n), wrap_dim(dim2, n)
    if a == b:
        raise ShapeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}.")
    return V.Diagonal.bind(input, offset=offset, dim1=a, dim2=b)


@method
def unfold(self: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """A view of all windows of ``size`` along ``dimension``, ``step`` apart, as a new last dim."""
    d = wrap_dim(dimension, self._array.ndim)
    n = self._array.shape[d] if self._array.ndim else 1
    if size < 0 or size > n:
        raise ShapeError(f"maximum size for tensor at dimension {d} is {n} but size is {size}.")
    if step <= 0:
        raise ShapeError(f"step is {step} but must be > 0.")
    return V.Unfold.bind(self, dim=d, size=size, step=step)


@method
def as_strided(input: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """Any window on the memory behind ``input``: sizes, and strides and offset in elements from the
    start of that memory.

    Raises:
        RuntimeError: the window leaves the memory.
    """
    x = input._array
    shape, steps = tuple(size), tuple(stride)
    offset = V.offset_of(x) if storage_offset is None else int(storage_offset)
    if len(shape) != len(steps):
        raise ShapeError(f"as_strided: size {shape} and stride {steps} must have the same length.")
    if any([s < 0 for s in steps]) or any([n < 0 for n in shape]) or offset < 0:
        raise ShapeError(
            f"as_strided: Negative sizes, strides or offsets are not supported, got {shape}, "
            f"{steps}, {offset}."
        )
    last = offset + builtins.sum([(n - 1) * s for n, s in zip(shape, steps, strict=True)])
    have = V.flat_memory(x).size
    if all(shape) and last >= have:
        raise ShapeError(
            f"setStorage: sizes {list(shape)}, strides {list(steps)}, storage offset {offset} "
            f"require {last + 1} elements, which are "
            f"out of bounds for storage of {have} elements."
        )
    source = V.geometry(x) if x.dtype in dtypes.DIFFERENTIABLE else None
    return V.AsStrided.bind(input, size=shape, stride=steps, offset=offset, source=source)


@method
def detach(input: Tensor) -> Tensor:
    """The same memory outside the graph; writes are still noticed by autograd."""
    return alias(input)


@method
def detach_(input: Tensor) -> Tensor:
    """Take the tensor itself out of the graph."""
    if input._link is not None:
        raise GraphError("Can't detach views in-place; use detach() instead.")
    input._node, input._wants_grad, input._tracked = None, False, False
    return input


@method
def real(input: Tensor) -> Tensor:
    """The real part, as a view; a real tensor as it is."""
    return V.Real.bind(input) if input._array.dtype in dtypes.COMPLEX_TYPES else input


@method
def imag(input: Tensor) -> Tensor:
    """The imaginary part, as a view. RuntimeError for real tensors."""
    if input._array.dtype not in dtypes.COMPLEX_TYPES:
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return V.Imag.bind(input)


def set_part(part: Tensor, value: Any) -> None:
    """Write a tensor or a number into the real or imaginary part of a tensor."""
    part[...] = value  # type: ignore[index]


def view_as_real(input: Tensor) -> Tensor:
    """A complex tensor seen as real pairs in a new last dim of size 2."""
    if input._array.dtype not in dtypes.COMPLEX_TYPES:
        raise RuntimeError("view_as_real is only supported for complex tensors.")
    return V.ViewAsReal.bind(input)


def view_as_complex(input: Tensor) -> Tensor:
    """Real pairs in a last dim of size 2 seen as complex numbers."""
    x = input._array
    if x.dtype not in dtypes.FLOATS:
        raise RuntimeError(
            "view_as_complex is only supported for half, float and double tensors, but got "
            f"{x.dtype}."
        )
    if x.ndim and any([s % (2 * x.itemsize) for s in x.strides[:-1]]):
        raise RuntimeError(
            "Tensor must have a stride divisible by 2 for all but last dimension, but its strides "
            f"are {input.stride()}; clone it first."
        )
    if not x.ndim or x.shape[-1] != 2:
        raise RuntimeError(
            f"Tensor must have a last dimension of size 2, but its shape is {x.shape}."
        )
    if x.strides[-1] != x.itemsize:
        raise RuntimeError(
            "Tensor must have a last dimension with stride 1; call contiguous() first."
        )
    return V.ViewAsComplex.bind(input)


@method
def adjoint(input: Tensor) -> Tensor:
    """The last two dims exchanged, and conjugated."""
    return matrix_t(input, "adjoint").conj()


def matrix_t(x: Tensor, name: str) -> Tensor:
    """The last two dims exchanged; a 0-dim tensor as it is."""
    ndim = x._array.ndim
    if not ndim:
        return x
    if ndim < 2 or (name == "H" and ndim > 2):
        which = "matrices (mH is for batches)" if name == "H" else "matrices or batches of matrices"
        raise ShapeError(f"tensor.{name} is only supported on {which}. Got {ndim}-D tensor.")
    return V.Transpose.bind(x, dim0=-2, dim1=-1)


def same_memory(x: Tensor) -> Tensor:
    """Another tensor on x's memory, unknown to autograd."""
    out: Tensor = instance(Tensor, x._array)
    if state.busy and modes.trace is not None:
        modes.trace.aliased(out, x)
    return out


def _set_data(self: Tensor, value: Tensor) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
    if self.requires_grad and value._array.dtype not in dtypes.DIFFERENTIABLE:
        raise RuntimeError(
            "data set to a tensor that requires gradients must be floating point or complex dtype, "
            f"but is {value.dtype}."
        )
    self._array = value._array


def _delete_data(self: Tensor) -> None:
    raise RuntimeError("Deleting tensor data is not allowed. Delete tensor instead!")


def _reverse_dims(self: Tensor) -> Tensor:
    return (
        V.Permute.bind(self, dims=tuple(range(self._array.ndim))[::-1])
        if self._array.ndim != 2
        else V.T.bind(self)
    )


def _in_place(view_function: Any) -> Any:
    """The in-place form of a view function: the tensor itself takes the new shape."""

    def change(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        out = view_function(self, *args, **kwargs)
        if modes.grad and self.requires_grad:
            check_write(self)
            self._node = edge(out)
        link = self._link
        if link is not None and out._link is not None:
            self._link = out._link
        self._array = out._array
        bump(self)
        if self._link is not None:
            self._link.version = self._counter.value
        return self

    change.__name__ = view_function.__name__ + "_"
    change.__doc__ = f"In-place form of ``{view_function.__name__}``."
    return change


methods(
    swapdims=swapdims,
    moveaxis=moveaxis,
    T=property(_reverse_dims, doc="All dims in reverse order; a matrix transposed."),
    mT=property(lambda self: matrix_t(self, "mT"), doc="The last two dims exchanged."),
    H=property(
        lambda self: matrix_t(self, "H").conj(),
        doc="A matrix transposed and conjugated.",
    ),
    mH=property(
        lambda self: matrix_t(self, "mH").conj(), doc="The last two dims exchanged, and conjugated."
    ),
    data=property(
        same_memory,
        _set_data,
        _delete_data,
        doc="The same memory, unknown to autograd; assigning swaps the memory.",
    ),
    real=property(real, lambda self, v: set_part(real(self), v), doc=real.__doc__),
    imag=property(imag, lambda self, v: set_part(imag(self), v), doc=imag.__doc__),
    squeeze_=_in_place(squeeze),
    unsqueeze_=_in_place(unsqueeze),
    t_=_in_place(t),
    transpose_=_in_place(transpose),
    swapaxes_=_in_place(transpose),
    swapdims_=_in_place(transpose),
    as_strided_=_in_place(as_strided),
    unsafe_chunk=unsafe_chunk,
    unsafe_split=unsafe_split,
)
