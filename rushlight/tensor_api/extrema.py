"""The largest and the smallest elements, and where they are."""

from __future__ import annotations

from typing import Any

from rushlight import dtypes
from rushlight.core.tensor import Tensor
from rushlight.errors import DTypeError
from rushlight.ops import order as O, reduce as R
from rushlight.ops.compare import Maximum, Minimum
from rushlight.tensor_api._common import (
    expect_tensor,
    method,
    own,
    refuse_keepdim,
    store_out,
    stored,
    wrap_dim,
)
from rushlight.tensor_api.named import named
from rushlight.tensor_api.reductions import dims_of

__all__ = ["amax", "amin", "aminmax", "argmax", "argmin", "max", "min"]

RENAMED = {"axis": "dim", "keepdims": "keepdim"}  # NumPy's names of max's and min's arguments


def _extremum(name: str, op: Any, input: Tensor, dim: Any, keepdim: bool, out: Any) -> Tensor:
    if keepdim.__class__ is not bool:
        refuse_keepdim(name, keepdim)
    x = input._array if isinstance(input, Tensor) else expect_tensor(input, name)._array
    dims = dims_of(dim, x.ndim)
    if not x.size:
        refuse_empty(name, input, dims, RuntimeError)
    result = op.bind(input, dims, keepdim)
    return result if out is None else store_out(out, result, exact=True)  # type: ignore[no-any-return]


def refuse_empty(name: str, input: Tensor, dims: Any, kind: type = IndexError) -> None:
    """An extreme of no elements has no value."""
    if dims is None:
        raise kind(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the "
            "reduction dim with 'dim'."
        )
    for d in dims:
        if not input._array.shape[d]:
            raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")


@method
def amax(
    input: Tensor, dim: Any = (), keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The largest elements over ``dim`` (all when empty). Equal elements share the gradient.

    Example:
        >>> import rushlight as torch
        >>> torch.tensor([[1, 5], [3, 4]]).amax(1)
        tensor([5, 4])
    """
    return _extremum("amax", R.Amax, input, dim, keepdim, out)


@method
def amin(
    input: Tensor, dim: Any = (), keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The smallest elements over ``dim`` (all when empty). Equal elements share the gradient.

    Example:
        >>> import rushlight as torch
        >>> torch.amin(torch.tensor([[3.0, 1.0], [2.0, 4.0]]), dim=1)
        tensor([1., 2.])
    """
    return _extremum("amin", R.Amin, input, dim, keepdim, out)


@method
def aminmax(
    input: Tensor, *, dim: int | None = None, keepdim: bool = False, out: Any = None
) -> Any:
    """The smallest and the largest element, of all or along ``dim``.

    Example:
        >>> import rushlight as torch
        >>> torch.aminmax(torch.tensor([3.0, 1.0, 2.0]))
        torch.return_types.aminmax(
        min=tensor(1.),
        max=tensor(3.))
    """
    x = expect_tensor(input, "aminmax")._array
    dims = None if dim is None else dims_of(wrap_dim(dim, x.ndim), x.ndim)
    if not x.size:
        refuse_empty("aminmax", input, dims, RuntimeError)
    for o in () if out is None else out:
        if o._array.dtype != x.dtype:
            raise DTypeError(
                f"aminmax: Expected out tensor to have dtype {input.dtype}, but got {o.dtype}."
            )
    return named("aminmax", R.Aminmax.bind(input, dim=dims, keepdim=keepdim), out)


def with_index(
    name: str,
    op: Any,
    input: Tensor,
    dim: Any,
    keepdim: bool = False,
    out: Any = None,
    **params: Any,
) -> Any:
    """An op that picks one element along a dim; a 0-dim tensor counts as one row."""
    shape = input._array.shape
    n = len(shape)
    if dim.__class__ is int and -n <= dim < n and shape[dim]:
        results = op.bind(input, dim=dim if dim >= 0 else dim + n, keepdim=keepdim, **params)
        return named(name, results, out)
    d = wrap_dim(dim, input._array.ndim)
    if input._array.ndim:
        refuse_empty_dim(name, input, d)
        return named(name, op.bind(input, dim=d, keepdim=keepdim, **params), out)
    results = op.bind(input.reshape(1), dim=0, keepdim=True, **params)
    return named(name, [own(r.reshape(())) for r in results], out)


def refuse_empty_dim(name: str, input: Tensor, dim: int) -> None:
    """Nothing can be picked along a dim of size 0."""
    if not input._array.shape[dim]:
        raise IndexError(f"{name}(): Expected reduction dim {dim} to have non-zero size.")


def _max_or_min(
    name: str, full: Any, along: Any, binary: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """The three forms of max and min."""
    out = kwargs.pop("out", None)
    names = dict(zip(("input", "dim", "keepdim"), args, strict=False))
    if len(args) > 1 and isinstance(args[1], Tensor):
        names["other"] = names.pop("dim")
    names.update({RENAMED.get(key, key): value for key, value in kwargs.items()})
    with_other = isinstance(names.get("other"), Tensor)
    by_dim = names.get("dim") is not None
    form = {"other"} if with_other else {"dim", "keepdim"} if by_dim else set()
    input = expect_tensor(names.pop("input", None), name)
    if set(names) - form or len(args) > 3:
        raise TypeError(
            f"{name}() takes (input), (input, dim, keepdim=False) or (input, other), but got "
            f"{len(args)} arguments and {sorted(kwargs)}."
        )
    if with_other:
        return stored(binary.bind(input, names["other"]), out)
    if by_dim:
        return with_index(name, along, input, names["dim"], names.get("keepdim", False), out)
    if not input._array.size:
        refuse_empty(name, input, None, RuntimeError)
    return stored(full.bind(input), out)


@method
def max(input: Tensor, *args: Any, **kwargs: Any) -> Any:
    """The largest element; along a dim also its index; or the larger of two tensors.

    ``max(input)``: of all elements. ``max(input, dim, keepdim=False)``: a named tuple (values,
    indices).
    ``max(input, other)``: as ``maximum``.

    Example:
        >>> import rushlight as torch
        >>> torch.tensor([[1, 5], [3, 4]]).max(1)
        torch.return_types.max(
        values=tensor([5, 4]),
        indices=tensor([1, 1]))
    """
    if not args and not kwargs and isinstance(input, Tensor) and input._array.size:
        return R.Max.bind(input)
    if 0 < len(args) < 3 and not kwargs and args[0].__class__ is int and isinstance(input, Tensor):
        return with_index("max", O.MaxDim, input, *args)
    return _max_or_min("max", R.Max, O.MaxDim, Maximum, (input, *args), kwargs)


@method
def min(input: Tensor, *args: Any, **kwargs: Any) -> Any:
    """The smallest element; along a dim also its index; or the smaller of two tensors.

    The forms are those of ``max``.

    Example:
        >>> import rushlight as torch
        >>> torch.min(torch.tensor([3, 1]))
        tensor(1)
        >>> torch.min(torch.tensor([[3, 1], [0, 2]]), dim=1)
        torch.return_types.min(
        values=tensor([1, 0]),
        indices=tensor([1, 0]))
    """
    if not args and not kwargs and isinstance(input, Tensor) and input._array.size:
        return R.Min.bind(input)
    if 0 < len(args) < 3 and not kwargs and args[0].__class__ is int and isinstance(input, Tensor):
        return with_index("min", O.MinDim, input, *args)
    return _max_or_min("min", R.Min, O.MinDim, Minimum, (input, *args), kwargs)


def _arg(name: str, op: Any, input: Tensor, dim: Any, keepdim: bool, out: Any) -> Tensor:
    if keepdim.__class__ is not bool:
        refuse_keepdim(name, keepdim)
    x = input._array if isinstance(input, Tensor) else expect_tensor(input, name)._array
    if x.dtype is dtypes.bool_:
        raise DTypeError(
            f"{name}(): does not support bool input; convert it, for example with .int()."
        )
    if dim is None:
        if not x.size:
            refuse_empty(name, input, None)
    else:
        dim = wrap_dim(dim, x.ndim)
        if x.ndim:
            refuse_empty_dim(name, input, dim)
        else:
            dim = None
    result = op.bind(input, dim=dim, keepdim=keepdim)
    return result if out is None else store_out(out, result, exact=True)  # type: ignore[no-any-return]


@method
def argmax(
    input: Tensor, dim: int | None = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """Index of the first largest element along ``dim``, or in the flattened tensor.

    Example:
        >>> import rushlight as torch
        >>> torch.tensor([[1, 5], [7, 4]]).argmax(1)
        tensor([1, 0])
    """
    return _arg("argmax", R.Argmax, input, dim, keepdim, out)


@method
def argmin(
    input: Tensor, dim: int | None = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """Index of the first smallest element along ``dim``, or in the flattened tensor.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([[3, 1], [0, 2]])
        >>> torch.argmin(x), torch.argmin(x, dim=1)
        (tensor(2), tensor([1, 0]))
    """
    return _arg("argmin", R.Argmin, input, dim, keepdim, out)
