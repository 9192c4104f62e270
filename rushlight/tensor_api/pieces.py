"""Views of parts of a tensor: slices, windows, real and imaginary parts."""

from __future__ import annotations

import builtins
import functools
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import known_as, node_name
from rushlight.core.tensor import Tensor, new_counter
from rushlight.errors import ShapeError
from rushlight.ops import view as V
from rushlight.tensor_api._common import as_int, method, methods, wrap_dim

__all__ = [
    "chunk",
    "dsplit",
    "hsplit",
    "imag",
    "narrow",
    "real",
    "select",
    "split",
    "split_with_sizes",
    "tensor_split",
    "unbind",
    "unsafe_chunk",
    "unsafe_split",
    "view_as_complex",
    "view_as_real",
    "vsplit",
]


@method
def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """A view of ``length`` slices of ``dim`` from ``start``.

    Example:
        >>> import rushlight as torch
        >>> torch.narrow(torch.tensor([1, 2, 3, 4]), 0, 1, 2)
        tensor([2, 3])
    """
    d = wrap_dim(dim, input._array.ndim)
    if isinstance(start, Tensor) and (
        start._array.ndim or start._array.dtype not in dtypes.INTEGER_TYPES
    ):
        raise RuntimeError("start must be an 0-dim integral Tensor.")
    if not input._array.ndim:
        raise ShapeError("narrow() cannot be applied to a 0-dim tensor.")
    n = input._array.shape[d]
    at = start if start.__class__ is int else as_int(start, "start")
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
    """A view of slice ``index`` of ``dim``, without that dim.

    Example:
        >>> import rushlight as torch
        >>> torch.select(torch.tensor([[1, 2], [3, 4]]), 1, 0)
        tensor([1, 3])
    """
    if not input._array.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d, i = wrap_dim(dim, input._array.ndim), as_int(index, "index")
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


def _of_sizes(input: Tensor, sizes: list[int], dim: int) -> tuple[Tensor, ...]:
    """Pieces as ``split_with_sizes`` gives them."""
    found = _pieces(input, sizes, dim)
    if found:  # all have one node
        known_as("SplitWithSizesBackward0", found[0])
    return found


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
    d, size = wrap_dim(dim, tensor._array.ndim), as_int(sizes, "split_size")
    if not tensor._array.ndim:
        raise ShapeError("split expects at least a 1-dimensional tensor.")
    n = tensor._array.shape[d]
    if size < 0 or (size == 0 and n):
        raise ShapeError(f"split expects split_size to be positive, but got split_size={size}.")
    return _equal_pieces(tensor, size, d) if n else _pieces(tensor, [0], d)


methods(split=lambda self, split_size, dim=0: split(self, split_size, dim))


@method
def split_with_sizes(input: Tensor, split_sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive pieces of ``dim``, of the given sizes.

    Example:
        >>> import rushlight as torch
        >>> torch.split_with_sizes(torch.tensor([1, 2, 3]), [1, 2])
        (tensor([1]), tensor([2, 3]))
    """
    d = wrap_dim(dim, input._array.ndim)
    if not input._array.ndim:
        raise ShapeError("split expects at least a 1-dimensional tensor.")
    sizes = [n if n.__class__ is int else as_int(n, "split_sizes") for n in split_sizes]
    if any([n < 0 for n in sizes]) or builtins.sum(sizes) != input._array.shape[d]:
        raise ShapeError(
            f"split_with_sizes expects split_sizes to sum exactly to {input._array.shape[d]} "
            f"(input tensor's size at dimension {d}), but got split_sizes={sizes}."
        )
    return _of_sizes(input, sizes, d)


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
    if chunks.__class__ is not int:
        chunks = as_int(chunks, "chunks")
    if chunks <= 0:
        raise ShapeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}.")
    n = input._array.shape[d]
    if not n:
        return _of_sizes(input, [0] * chunks, d)
    size = -(-n // chunks)
    return _equal_pieces(input, size, d)


def _equal_pieces(input: Tensor, size: int, dim: int) -> tuple[Tensor, ...]:
    """Pieces of one size, of which the last may be smaller."""
    n = input._array.shape[dim]
    bounds = _bounds(n, size) if n <= V.FEW * size else _bounds.__wrapped__(n, size)
    return tuple(V.Split.bind(input, bounds=bounds, dim=dim))


@functools.lru_cache(maxsize=256)
def _bounds(n: int, size: int) -> tuple[tuple[int, int], ...]:
    """Where pieces of n start and stop."""
    return tuple([(i, min(i + size, n)) for i in range(0, n, size)])


def apart(pieces: Any) -> Any:
    """A form of a function that returns several views, whose views autograd takes for tensors of
    their own: they may be written to, if nothing else reads what is overwritten.
    """

    @functools.wraps(pieces)
    def alone(*args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = pieces(*args, **kwargs)
        if found:  # all have one node
            known_as("Unsafe" + node_name(found[0]), found[0])
        for t in found:
            t._link, t._counter = None, new_counter()
        return found

    return alone


unsafe_chunk = apart(chunk)


@apart
def unsafe_split(input: Tensor, split_size: int, dim: int = 0) -> tuple[Tensor, ...]:
    """``split`` into pieces of one size, each of which is a tensor of its own."""
    return split(input, as_int(split_size, "split_size"), dim)


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

    Example:
        >>> import rushlight as torch
        >>> torch.tensor_split(torch.arange(5), 2)
        (tensor([0, 1, 2]), tensor([3, 4]))
    """
    given = (indices_or_sections, sections, indices, tensor_indices_or_sections)
    indices_or_sections = _one_of("tensor_split", *given)
    d = wrap_dim(dim, input._array.ndim)
    if not input._array.ndim:
        raise ShapeError("tensor_split expected at least a 1-dimensional tensor.")
    where = indices_or_sections
    if isinstance(where, (Tensor, np.ndarray, np.integer)):
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
        if isinstance(indices_or_sections, np.integer):
            indices_or_sections = int(indices_or_sections)
        if isinstance(indices_or_sections, int) and (
            indices_or_sections <= 0 or input._array.shape[d] % indices_or_sections
        ):
            raise ShapeError(
                f"{name} attempted to split along dimension {d}, but the size of the dimension "
                f"{input._array.shape[d]} is not divisible by the split_size {indices_or_sections}."
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
    """Views of every slice of ``dim``.

    Example:
        >>> import rushlight as torch
        >>> torch.unbind(torch.tensor([[1, 2], [3, 4]]))
        (tensor([1, 2]), tensor([3, 4]))
    """
    d = wrap_dim(dim, input._array.ndim)
    if not input._array.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    return tuple(V.Unbind.bind(input, dim=d))


@method
def unfold(self: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """A view of all windows of ``size`` along ``dimension``, ``step`` apart, as a new last dim."""
    d = wrap_dim(dimension, self._array.ndim)
    n = self._array.shape[d] if self._array.ndim else 1
    size, step = as_int(size, "size"), as_int(step, "step")
    if size < 0 or size > n:
        raise ShapeError(f"maximum size for tensor at dimension {d} is {n} but size is {size}.")
    if step <= 0:
        raise ShapeError(f"step is {step} but must be > 0.")
    return V.Unfold.bind(self, dim=d, size=size, step=step)


@method
def real(input: Tensor) -> Tensor:
    """The real part, as a view; a real tensor as it is.

    Example:
        >>> import rushlight as torch
        >>> torch.real(torch.tensor([1 + 2j]))
        tensor([1.])
    """
    return V.Real.bind(input) if input._array.dtype in dtypes.COMPLEX_TYPES else input


@method
def imag(input: Tensor) -> Tensor:
    """The imaginary part, as a view. RuntimeError for real tensors.

    Example:
        >>> import rushlight as torch
        >>> torch.imag(torch.tensor([1 + 2j]))
        tensor([2.])
    """
    if input._array.dtype not in dtypes.COMPLEX_TYPES:
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return V.Imag.bind(input)


def set_part(part: Tensor, value: Any) -> None:
    """Write a tensor or a number into the real or imaginary part of a tensor."""
    part[...] = value  # type: ignore[index]


def view_as_real(input: Tensor) -> Tensor:
    """A complex tensor seen as real pairs in a new last dim of size 2.

    Example:
        >>> import rushlight as torch
        >>> torch.view_as_real(torch.tensor([1 + 2j]))
        tensor([[1., 2.]])
    """
    if input._array.dtype not in dtypes.COMPLEX_TYPES:
        raise RuntimeError("view_as_real is only supported for complex tensors.")
    return V.ViewAsReal.bind(input)


def view_as_complex(input: Tensor) -> Tensor:
    """Real pairs in a last dim of size 2 seen as complex numbers.

    Example:
        >>> import rushlight as torch
        >>> torch.view_as_complex(torch.tensor([[1.0, 2.0]]))
        tensor([1.+2.j])
    """
    x = input._array
    if x.dtype not in dtypes.FLOATS:
        raise RuntimeError(
            "view_as_complex is only supported for half, float and double tensors, and halves "
            f"would be complex32, which does not exist here; but got {x.dtype}. Call float() first."
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


methods(
    real=property(real, lambda self, v: set_part(real(self), v), doc=real.__doc__),
    imag=property(imag, lambda self, v: set_part(imag(self), v), doc=imag.__doc__),
    unsafe_chunk=unsafe_chunk,
    unsafe_split=unsafe_split,
)
