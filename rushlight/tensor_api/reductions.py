"""Sums, means, extrema and what else turns many elements into few."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.op import packed
from rushlight.core.tensor import Tensor, expect_tensors, wrap
from rushlight.errors import DTypeError, warn_user
from rushlight.ops import order as O
from rushlight.ops import reduce as R
from rushlight.ops import statistics as S
from rushlight.ops.compare import Maximum, Minimum
from rushlight.ops.sums import number
from rushlight.tensor_api._common import (
    expect_tensor,
    method,
    numpy_dtype,
    own,
    store_out,
    unrecorded,
    wrap_dim,
    wrap_dims,
)
from rushlight.tensor_api.conversion import cast
from rushlight.tensor_api.named import named

__all__ = [
    "all", "amax", "amin", "aminmax", "any", "argmax", "argmin", "count_nonzero", "dist",
    "frobenius_norm", "logsumexp", "max", "mean", "min", "nanmean", "nansum", "norm",
    "nuclear_norm", "prod", "std", "std_mean", "sum", "var", "var_mean",
]  # fmt: skip

RENAMED = {"axis": "dim", "keepdims": "keepdim"}  # NumPy's names of max's and min's arguments


def prepared(input: Tensor, dtype: Any, name: str) -> Tensor:
    """``input``, converted to ``dtype`` when that is given."""
    if dtype is not None:
        return cast(expect_tensor(input, name), numpy_dtype(dtype))
    return input if isinstance(input, Tensor) else expect_tensor(input, name)


def in_dtype(result: Tensor, dtype: Any) -> Tensor:
    """``result`` as ``dtype``: narrow integers are added up as int64, and only then converted."""
    return result if dtype is None else cast(result, numpy_dtype(dtype))


def finished(result: Tensor, out: Tensor | None) -> Tensor:
    """``result``, stored into ``out`` when that is given."""
    return result if out is None else store_out(out, result)


def dims_of(dim: Any, ndim: int) -> Any:
    """``dim`` as a tuple of dims >= 0, or None for all."""
    if dim.__class__ is int and -ndim <= dim < ndim:
        return (dim if dim >= 0 else dim + ndim,)
    if dim is None:
        return None
    if dim.__class__ is tuple:
        last = -1
        for d in dim:
            if d.__class__ is not int or not last < d < ndim:
                return wrap_dims(dim, ndim)
            last = d
        return dim or None
    return wrap_dims(dim, ndim)


@method
def sum(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """Sum of all elements, or over ``dim`` (an int or a tuple). Integers and bool add up as int64.

    Args:
        dim: dims to sum over; None for all.
        keepdim: keep them, with size 1.
        dtype: convert to it first.

    Example:
        >>> import rushlight as torch
        >>> torch.ones(2, 3).sum(0)
        tensor([2., 2., 2.])
    """
    if dtype is not None or not isinstance(input, Tensor):
        input = prepared(input, dtype, "sum")
    result = R.Sum.bind(input, None if dim is None else dims_of(dim, input._array.ndim), keepdim)
    if dtype is not None:
        result = in_dtype(result, dtype)
    return result if out is None else store_out(out, result)  # type: ignore[no-any-return]


@method
def mean(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """Mean of all elements, or over ``dim``; floating-point or complex only.

    Example:
        >>> import rushlight as torch
        >>> torch.tensor([[1.0, 2.0], [3.0, 4.0]]).mean(1)
        tensor([1.5000, 3.5000])
    """
    if dtype is not None or not isinstance(input, Tensor):
        input = prepared(input, dtype, "mean")
    result = R.Mean.bind(input, None if dim is None else dims_of(dim, input._array.ndim), keepdim)
    return result if out is None else store_out(out, result)  # type: ignore[no-any-return]


@method
def nansum(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """Sum over ``dim`` of the elements that are not NaN.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([1.0, torch.nan, 3.0])
        >>> torch.nansum(x)
        tensor(4.)
    """
    input = prepared(input, dtype, "nansum")
    result = R.Nansum.bind(input, dim=dims_of(dim, input._array.ndim), keepdim=keepdim)
    return finished(in_dtype(result, dtype), out)


@method
def nanmean(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """Mean over ``dim`` of the elements that are not NaN; NaN where there are none.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([1.0, torch.nan, 3.0])
        >>> torch.nanmean(x)
        tensor(2.)
    """
    input = prepared(input, dtype, "nanmean")
    if input._array.dtype not in dtypes.FLOATING_TYPES | dtypes.COMPLEX_TYPES:
        raise DTypeError(
            "nanmean(): expected input to have floating point dtype but got "
            f"{dtypes.of[input._array.dtype].name}"
        )
    arrays = unrecorded(input)
    if arrays is not None and input._array.size:
        (x,), dims = arrays, dims_of(dim, input._array.ndim)
        total = np.asarray(R.Nansum.sums(x, dims, keepdim))
        if not np.isnan(total).any():
            return finished(wrap(packed(total / number(R.count_of(x.shape, dims), x.dtype))), out)
    x = input.detach()
    count = sum(x == x, dim, keepdim)
    return finished(nansum(input, dim, keepdim) / count, out)


@method
def prod(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """Product of all elements, or along ``dim``, an int.

    Example:
        >>> import rushlight as torch
        >>> torch.prod(torch.tensor([[1, 2], [3, 4]]), dim=1)
        tensor([ 2, 12])
    """
    if dtype is not None or not isinstance(input, Tensor):
        input = prepared(input, dtype, "prod")
    dims = None if dim is None else dims_of(wrap_dim(dim, input._array.ndim), input._array.ndim)
    result = R.Prod.bind(input, dims, keepdim)
    if dtype is not None:
        result = in_dtype(result, dtype)
    return result if out is None else store_out(out, result)  # type: ignore[no-any-return]


def _extremum(name: str, op: Any, input: Tensor, dim: Any, keepdim: bool, out: Any) -> Tensor:
    x = input._array if isinstance(input, Tensor) else expect_tensor(input, name)._array
    dims = dims_of(dim, x.ndim)
    if not x.size:
        refuse_empty(name, input, dims, RuntimeError)
    result = op.bind(input, dims, keepdim)
    return result if out is None else store_out(out, result)  # type: ignore[no-any-return]


def refuse_empty(name: str, input: Tensor, dims: Any, kind: builtins.type = IndexError) -> None:
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


def _with_index(
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
    input = expect_tensor(names.get("input"), name)
    if isinstance(names.get("other"), Tensor):
        return finished(binary.bind(input, names["other"]), out)
    if names.get("dim") is not None:
        return _with_index(name, along, input, names["dim"], names.get("keepdim", False), out)
    if builtins.set(names) - {"input"}:
        raise TypeError(
            f"{name}() takes (input), (input, dim, keepdim=False) or (input, other), but got "
            f"{builtins.sorted(names)}"
        )
    if not input._array.size:
        refuse_empty(name, input, None, RuntimeError)
    return finished(full.bind(input), out)


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
    if args and not kwargs and args[0].__class__ is int and isinstance(input, Tensor):
        return _with_index("max", O.MaxDim, input, *args)
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
    if args and not kwargs and args[0].__class__ is int and isinstance(input, Tensor):
        return _with_index("min", O.MinDim, input, *args)
    return _max_or_min("min", R.Min, O.MinDim, Minimum, (input, *args), kwargs)


def _arg(name: str, op: Any, input: Tensor, dim: Any, keepdim: bool, out: Any) -> Tensor:
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
    return result if out is None else store_out(out, result)  # type: ignore[no-any-return]


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


def truth(op: Any, input: Tensor, dim: Any, keepdim: bool) -> Any:
    """``any`` or ``all`` over dims; over no dims at all, each element by itself."""
    if dim is None:
        return op.bind(input, None, keepdim)
    if isinstance(dim, (tuple, list)) and not dim:
        found = input != 0
        return found.to(input.dtype) if input._array.dtype == dtypes.uint8 else found
    return op.bind(input, dims_of(dim, input._array.ndim), keepdim)


@method
def any(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """Whether any element is nonzero, of all or over ``dim``.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([[True, False], [False, False]])
        >>> torch.any(x), torch.any(x, dim=1)
        (tensor(True), tensor([ True, False]))
    """
    if not isinstance(input, Tensor):
        expect_tensor(input, "any")
    result = truth(R.AnyTrue, input, dim, keepdim)
    return result if out is None else store_out(out, result)  # type: ignore[no-any-return]


@method
def all(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """Whether all elements are nonzero, of all or over ``dim``.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([[True, False], [True, True]])
        >>> torch.all(x), torch.all(x, dim=1)
        (tensor(False), tensor([False,  True]))
    """
    if not isinstance(input, Tensor):
        expect_tensor(input, "all")
    result = truth(R.AllTrue, input, dim, keepdim)
    return result if out is None else store_out(out, result)  # type: ignore[no-any-return]


@method
def count_nonzero(input: Tensor, dim: Any = None) -> Tensor:
    """How many elements are not zero, of all or over ``dim``.

    Example:
        >>> import rushlight as torch
        >>> torch.count_nonzero(torch.tensor([[0, 1], [2, 3]]), dim=1)
        tensor([1, 2])
    """
    return R.CountNonzero.bind(input, dim=dims_of(dim, input._array.ndim), keepdim=False)


@method
def logsumexp(
    input: Tensor, dim: Any, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """``log(sum(exp(input)))`` over ``dim`` without overflow.

    Example:
        >>> import rushlight as torch
        >>> torch.logsumexp(torch.tensor([1000.0, 1000.0]), 0)
        tensor(1000.6932)
    """
    x = expect_tensor(input, "logsumexp")._array
    if x.dtype not in dtypes.DIFFERENTIABLE:
        input = cast(input, dtypes.default.float)
    return finished(S.Logsumexp.bind(input, dim=dims_of(dim, x.ndim), keepdim=keepdim), out)


def _spread(
    name: str,
    op: Any,
    input: Tensor,
    dim: Any,
    unbiased: Any,
    keepdim: bool,
    correction: Any,
    out: Any,
) -> Tensor:
    if dim.__class__ is bool:
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    dims = dims_of(dim, expect_tensor(input, name)._array.ndim)
    if (
        input._array.dtype in dtypes.DIFFERENTIABLE
        and input._array.size
        and R.count_of(input._array.shape, dims) <= correction
    ):
        warn_user(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the "
            "reduction factor (input numel divided "
            "by output numel)."
        )
    return finished(op.bind(input, dim=dims, keepdim=keepdim, correction=correction), out)


@method
def var(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Variance over ``dim``: squared distances from the mean, over ``n - correction``.

    Args:
        dim: dims to reduce; None for all.
        unbiased: True is correction 1 (the default), False correction 0.
        correction: subtracted from the number of elements n.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([1.0, 2.0, 3.0])
        >>> torch.var(x), torch.var(x, correction=0)
        (tensor(1.), tensor(0.6667))
    """
    return _spread("var", S.Var, input, dim, unbiased, keepdim, correction, out)


@method
def std(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Standard deviation over ``dim``: the square root of ``var``.

    Example:
        >>> import rushlight as torch
        >>> torch.tensor([1.0, 2.0, 3.0]).std()
        tensor(1.)
    """
    return _spread("std", S.Std, input, dim, unbiased, keepdim, correction, out)


def var_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Variance and mean over ``dim``.

    Example:
        >>> import rushlight as torch
        >>> torch.var_mean(torch.tensor([1.0, 2.0, 3.0]))
        (tensor(1.), tensor(2.))
    """
    variance = _spread("var_mean", S.Var, input, dim, unbiased, keepdim, correction, None)
    return variance, _mean_beside(input, dim, keepdim)


def _mean_beside(input: Tensor, dim: Any, keepdim: bool) -> Tensor:
    """The mean over the same dims as a variance."""
    over = None if dim.__class__ is bool else dims_of(dim, input._array.ndim)
    return R.Mean.bind(input, over, keepdim)


def std_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Standard deviation and mean over ``dim``.

    Example:
        >>> import rushlight as torch
        >>> torch.std_mean(torch.tensor([1.0, 2.0, 3.0]))
        (tensor(1.), tensor(2.))
    """
    deviation = _spread("std_mean", S.Std, input, dim, unbiased, keepdim, correction, None)
    return deviation, _mean_beside(input, dim, keepdim)


@method
def norm(
    input: Tensor,
    p: Any = "fro",
    dim: Any = None,
    keepdim: bool = False,
    out: Tensor | None = None,
    dtype: Any = None,
) -> Tensor:
    """``sum(|input| ** p) ** (1 / p)`` of all elements or over ``dim``.

    Args:
        p: a number; "fro" is 2; inf is the largest absolute value, 0 the count of nonzeros; "nuc"
            the sum of singular values.
        dim: dims to reduce; None for all.

    Example:
        >>> import rushlight as torch
        >>> torch.tensor([3.0, 4.0]).norm()
        tensor(5.)
    """
    input = prepared(input, dtype, "norm")
    if input._array.dtype not in dtypes.DIFFERENTIABLE:
        raise DTypeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{dtypes.of[input._array.dtype].name}; convert with .float()."
        )
    if p == "nuc":
        return finished(_nuclear(input, dim, keepdim), out)
    order = 2.0 if p is None or p == "fro" else float(p)
    return finished(vector_norm(input, order, dims_of(dim, input._array.ndim), keepdim), out)


def vector_norm(input: Tensor, order: float, dims: Any, keepdim: bool) -> Tensor:
    """The norm over ``dims``, a tuple or None. Without elements it needs order >= 0 and finite."""
    if (order < 0 or order == math.inf) and not R.count_of(input._array.shape, dims):
        raise RuntimeError(
            f"linalg.vector_norm cannot compute the {order} norm on an empty tensor: the operation "
            "has no identity"
        )
    return S.VectorNorm.bind(input, dim=dims, keepdim=keepdim, ord=order)


def _nuclear(input: Tensor, dim: Any, keepdim: bool) -> Tensor:
    from rushlight.ops.linalg import Svd

    if dim is not None and (len(dim) != 2 or dim[0] == dim[1]):
        raise RuntimeError(f"norm: the nuclear norm needs two dims, but got {tuple(dim)}.")
    a, b = (-2, -1) if dim is None else dim
    singular = Svd.bind(input.movedim((a, b), (-2, -1)), full_matrices=False)[1]
    result = sum(singular, -1)
    if keepdim:
        for d in builtins.sorted([a % input._array.ndim, b % input._array.ndim]):
            result = result.unsqueeze(d)
    return result


def frobenius_norm(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """``norm`` with p = 2."""
    return norm(input, "fro", dim, keepdim, out)


def nuclear_norm(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The sum of the singular values of matrices: of ``input``, or along two dims."""
    return norm(input, "nuc", dim, keepdim, out)


@method
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The ``p``-norm of ``input - other``.

    Example:
        >>> import rushlight as torch
        >>> torch.dist(torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0]))
        tensor(5.)
    """
    expect_tensors("dist", input, other)
    return norm(input - other, p)
