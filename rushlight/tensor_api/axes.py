"""Views with dims in another order, or with more or fewer of size 1."""

from __future__ import annotations

import builtins
import functools
from typing import Any

from rushlight.core.autograd import known_as
from rushlight.core.sparse import SparseOperand
from rushlight.core.state import state
from rushlight.core.tensor import Tensor, no_tensor
from rushlight.errors import ShapeError
from rushlight.ops import view as V
from rushlight.tensor_api._common import as_int, method, methods, shape_of, warn_once, wrap_dim
from rushlight.tensor_api.views import in_place

__all__ = [
    "adjoint",
    "diagonal",
    "movedim",
    "moveaxis",
    "permute",
    "squeeze",
    "swapaxes",
    "swapdims",
    "t",
    "transpose",
    "unsqueeze",
]


@method
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """A view with two dims exchanged.

    Example:
        >>> import rushlight as torch
        >>> torch.ones(2, 3).transpose(0, 1).shape
        torch.Size([3, 2])
    """
    try:
        x = input._array
    except AttributeError:
        raise no_tensor("transpose", input) from None
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
    """``transpose`` under NumPy's name.

    Example:
        >>> import rushlight as torch
        >>> torch.swapaxes(torch.zeros(2, 3), 0, 1).shape
        torch.Size([3, 2])
    """
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
    try:
        n = input._array.ndim
    except AttributeError:
        raise no_tensor("permute", input) from None
    order = shape_of(order if dims is None else (dims,), "permute")
    return V.Permute.bind(input, dims=order_given(n, order))


@functools.lru_cache(maxsize=256)
def order_given(n: int, order: tuple[int, ...]) -> tuple[int, ...]:
    """An order of n dims, counted from the front."""
    if len(order) != n:
        raise ShapeError(
            f"permute(dims): number of dimensions in the tensor input ({n}) does not match the "
            f"length of dims {order}."
        )
    wrapped = tuple([wrap_dim(d, n) for d in order])
    if len(set(wrapped)) != n:
        raise ShapeError(f"permute(dims): duplicate dims are not allowed, but got {order}.")
    return wrapped


@method
def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """A view with dims moved from the positions ``source`` to ``destination``; the others keep
    their order.

    Example:
        >>> import rushlight as torch
        >>> torch.movedim(torch.zeros(2, 3, 4), 0, 2).shape
        torch.Size([3, 4, 2])
    """
    n = input._array.ndim
    if source.__class__ is int and destination.__class__ is int:
        return V.Permute.bind(input, dims=order_moved(n, (source,), (destination,)))
    several = (tuple(d) if isinstance(d, (tuple, list)) else (d,) for d in (source, destination))
    return V.Permute.bind(input, dims=order_moved(n, *several))


@functools.lru_cache(maxsize=256)
def order_moved(n: int, source: tuple[Any, ...], destination: tuple[Any, ...]) -> tuple[int, ...]:
    """The order of n dims after some moved."""
    src, dst = [wrap_dim(d, n) for d in source], [wrap_dim(d, n) for d in destination]
    if len(src) != len(dst):
        raise ShapeError(
            f"movedim: source {src} and destination {dst} must name the same number of dims."
        )
    if len(set(src)) != len(src) or len(set(dst)) != len(dst):
        raise ShapeError(f"movedim: repeated dim in source {src} or destination {dst}.")
    order = [d for d in builtins.range(n) if d not in src]
    for d, s in sorted(zip(dst, src, strict=True)):
        order.insert(d, s)
    return tuple(order)


moveaxis = movedim


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
def squeeze(input: Tensor, dim: Any = None, *more: int) -> Tensor:
    """A view without dims of size 1: all of them, or those of ``dim`` that are: an int, a tuple, or
    several ints.

    Example:
        >>> import rushlight as torch
        >>> torch.ones(1, 3, 1).squeeze().shape
        torch.Size([3])
    """
    shape = input._array.shape
    if more:
        dim = (dim, *more)
    if dim is None:
        dims = tuple([i for i, n in enumerate(shape) if n == 1])
    elif dim.__class__ is int:
        d = wrap_dim(dim, len(shape))
        dims = V.OneDim((d,) if shape and shape[d] == 1 else ())
    else:
        asked = [
            wrap_dim(d, len(shape)) for d in (dim if isinstance(dim, (tuple, list)) else (dim,))
        ]
        if len(set(asked)) != len(asked):
            raise ShapeError(f"squeeze: dim appears multiple times in {dim}.")
        kind = V.SomeDims if isinstance(dim, (tuple, list)) else V.OneDim
        dims = kind([d for d in asked if d < len(shape) and shape[d] == 1])
    return V.Squeeze.bind(input, dim=dims)


@method
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A view of a diagonal of two dims, as the last dim.

    Example:
        >>> import rushlight as torch
        >>> torch.diagonal(torch.tensor([[1, 2], [3, 4]]))
        tensor([1, 4])
    """
    n = input._array.ndim
    a, b = wrap_dim(dim1, n), wrap_dim(dim2, n)
    if a == b:
        raise ShapeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}.")
    return V.Diagonal.bind(input, offset=as_int(offset, "offset"), dim1=a, dim2=b)


@method
def adjoint(input: Tensor) -> Tensor:
    """The last two dims exchanged, and conjugated."""
    return matrix_t(input, "adjoint").conj()


def matrix_t(x: Tensor, name: str) -> Tensor:
    """The last two dims exchanged; a 0-dim tensor as it is."""
    ndim = x._array.ndim
    if not ndim:
        _warn_of_number(name)
        return x
    if ndim < 2 or (name == "H" and ndim > 2):
        which = "matrices (mH is for batches)" if name == "H" else "matrices or batches of matrices"
        raise ShapeError(f"tensor.{name} is only supported on {which}. Got {ndim}-D tensor.")
    return V.Transpose.bind(x, dim0=-2, dim1=-1)


def _reverse_dims(self: Tensor) -> Tensor:
    ndim = self._array.ndim
    if ndim == 2:
        return known_as("PermuteBackward0", V.T.bind(self))
    if not ndim:
        _warn_of_number("T")
    else:
        warn_once(
            "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is "
            "deprecated: x.mT transposes batches of matrices, permute() reverses dims."
        )
    return V.Permute.bind(self, dims=tuple(range(ndim))[::-1])


def _warn_of_number(name: str) -> None:
    what = f"Tensor.{name} is" if name != "adjoint" else "adjoint() is"
    instead = "x.conj()" if name in ("H", "mH", "adjoint") else "x itself, which it gives"
    warn_once(f"{what} deprecated on 0-D tensors: take {instead}.")


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
    squeeze_=in_place(squeeze),
    unsqueeze_=in_place(unsqueeze),
    t_=in_place(t),
    transpose_=in_place(transpose),
    swapaxes_=in_place(transpose),
    swapdims_=in_place(transpose),
)
