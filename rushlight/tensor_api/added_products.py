"""Products of matrices and vectors that are added to something."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import known_as
from rushlight.core.history import check_write
from rushlight.core.native import LEAST
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, bump, wrap
from rushlight.errors import DTypeError, ShapeError
from rushlight.ops import matmul as M
from rushlight.ops.weighted import number_for
from rushlight.tensor_api._common import method, methods, numbers_first, unrecorded
from rushlight.tensor_api.casting import as_given, in_lower_precision
from rushlight.tensor_api.products import _store, bmm, mm, mv, outer
from rushlight.tensor_api.views import expanded_shape

__all__ = ["addbmm", "addmm", "addmv", "addr", "baddbmm"]


def _at_once(
    dims: int, input: Tensor, a: Tensor, b: Tensor, out_dtype: Any, beta: Any, alpha: Any
) -> Tensor | None:
    """``input + a @ b`` of few floats, where nothing is recorded; None where it is another case."""
    if out_dtype is not None or not (beta.__class__ is alpha.__class__ is int):
        return None
    arrays = unrecorded(input, a, b) if beta == alpha == 1 else None
    if arrays is None:
        return None
    term, x, y = arrays
    if not x.ndim == y.ndim == dims or x.size + y.size > LEAST or (dims == 3 and len(x) != len(y)):
        return None
    try:
        product = x.dot(y) if dims == 2 else M.stacked(x, y)
    except ValueError:
        return None
    shape = product.shape
    if shape != term.shape and shape[1:] != term.shape:
        return None
    product += term
    return wrap(product)


def _wide(input: Tensor, a: Tensor, b: Tensor, out_dtype: Any = None) -> tuple[Any, ...]:
    """The three, and None; halves on the CPU in float32, and the dtype that the result is rounded
    to, so that it is rounded once. A GPU is slow without halves: there the product is rounded, too.
    """
    if input._array.dtype not in dtypes.HALVES or out_dtype is not None:
        return input, a, b, None
    d = input.dtype
    if not d == a.dtype == b.dtype or input.is_cuda:
        return input, a, b, None
    return input.float(), a.float(), b.float(), d


def _mixed(
    name: str,
    input: Tensor,
    product: Tensor,
    beta: Any,
    alpha: Any,
    out: Tensor | None,
    rounded: Any = None,
) -> Tensor:
    if input._array.dtype != product._array.dtype:
        a, b = dtypes.of[input._array.dtype].name, dtypes.of[product._array.dtype].name
        raise DTypeError(
            f"{name}: self and the product must have the same dtype, but got {a} and {b}; "
            "convert one."
        )
    d = product._array.dtype
    if d not in dtypes.COMPLEX_TYPES and (isinstance(beta, complex) or isinstance(alpha, complex)):
        raise DTypeError(
            f"{name}: alpha and beta must not be complex for {dtypes.of[d].name}; convert the "
            "tensors to a complex dtype first."
        )
    if d in dtypes.INTEGER_TYPES:
        if name == "addr" and (isinstance(beta, float) or isinstance(alpha, float)):
            raise DTypeError(
                "For integral input tensors, argument alpha and beta must not be a floating "
                "point number."
            )
    beta, alpha = number_for(d, beta), number_for(d, alpha)
    scaled = product if alpha == 1 else product * alpha
    if beta == 0:
        result = scaled
    else:
        if input._array.shape != product._array.shape:
            expanded_shape(product._array.shape, input._array.shape)  # refuses what does not fit
        result = (input if beta == 1 else input * beta) + scaled
    if rounded is not None:
        result = result.to(rounded)
    return _store(out, known_as(f"{name.title()}Backward0", result))


@method
@numbers_first("beta", "alpha")
@in_lower_precision
def addmm(
    input: Tensor,
    mat1: Tensor,
    mat2: Tensor,
    out_dtype: Any = None,
    *,
    beta: Any = 1,
    alpha: Any = 1,
    out: Tensor | None = None,
) -> Tensor:
    """``beta * input + alpha * (mat1 @ mat2)``.

    Raises:
        RuntimeError: the matrices do not fit together.

    Example:
        >>> import rushlight as torch
        >>> torch.addmm(torch.ones(2, 2), torch.eye(2), 2 * torch.eye(2), beta=10)
        tensor([[12., 10.],
                [10., 12.]])
    """
    result = _at_once(2, input, mat1, mat2, out_dtype, beta, alpha)
    if result is not None:
        return _store(out, result)
    input, mat1, mat2, half = _wide(input, mat1, mat2, out_dtype)
    return _mixed("addmm", input, mm(mat1, mat2, out_dtype), beta, alpha, out, half)


@method
@numbers_first("beta", "alpha")
@as_given
def addmv(
    input: Tensor,
    mat: Tensor,
    vec: Tensor,
    *,
    beta: Any = 1,
    alpha: Any = 1,
    out: Tensor | None = None,
) -> Tensor:
    """``beta * input + alpha * (mat @ vec)``.

    Example:
        >>> import rushlight as torch
        >>> torch.addmv(torch.ones(2), torch.eye(2), torch.tensor([3.0, 4.0]))
        tensor([4., 5.])
    """
    input, mat, vec, half = _wide(input, mat, vec)
    return _mixed("addmv", input, mv(mat, vec), beta, alpha, out, half)


@method
@numbers_first("beta", "alpha")
def addr(
    input: Tensor,
    vec1: Tensor,
    vec2: Tensor,
    *,
    beta: Any = 1,
    alpha: Any = 1,
    out: Tensor | None = None,
) -> Tensor:
    """``beta * input + alpha * outer(vec1, vec2)``.

    Example:
        >>> import rushlight as torch
        >>> torch.addr(torch.zeros(2, 2), torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
        tensor([[3., 4.],
                [6., 8.]])
    """
    product = outer(vec1, vec2)
    if input._array.dtype == product._array.dtype == np.bool_:
        beta, alpha = bool(beta), bool(alpha)  # + is "or", * is "and"
    d = dtypes.promote(input._array.dtype, product._array.dtype)
    return _mixed("addr", input.to(dtypes.of[d]), product.to(dtypes.of[d]), beta, alpha, out)


@method
@numbers_first("beta", "alpha")
@in_lower_precision
def baddbmm(
    input: Tensor,
    batch1: Tensor,
    batch2: Tensor,
    out_dtype: Any = None,
    *,
    beta: Any = 1,
    alpha: Any = 1,
    out: Tensor | None = None,
) -> Tensor:
    """``beta * input + alpha * bmm(batch1, batch2)``.

    Example:
        >>> import rushlight as torch
        >>> torch.baddbmm(torch.zeros(2, 1, 1), torch.ones(2, 1, 3), torch.ones(2, 3, 1)).flatten()
        tensor([3., 3.])
    """
    result = _at_once(3, input, batch1, batch2, out_dtype, beta, alpha)
    if result is not None:
        return _store(out, result)
    input, batch1, batch2, half = _wide(input, batch1, batch2, out_dtype)
    return _mixed("baddbmm", input, bmm(batch1, batch2, out_dtype), beta, alpha, out, half)


@method
@numbers_first("beta", "alpha")
@in_lower_precision
def addbmm(
    input: Tensor,
    batch1: Tensor,
    batch2: Tensor,
    *,
    beta: Any = 1,
    alpha: Any = 1,
    out: Tensor | None = None,
) -> Tensor:
    """``beta * input + alpha * sum(bmm(batch1, batch2))``.

    Example:
        >>> import rushlight as torch
        >>> torch.addbmm(torch.zeros(1, 1), torch.ones(3, 1, 2), torch.ones(3, 2, 1))
        tensor([[6.]])
    """
    input, batch1, batch2, half = _wide(input, batch1, batch2)
    product = bmm(batch1, batch2).sum(0, dtype=batch1.dtype)
    return _mixed("addbmm", input, product, beta, alpha, out, half)


def _in_place(function: Any, grows: bool = False) -> Any:
    def change(self: Tensor, *args: Tensor, beta: Any = 1, alpha: Any = 1, **named: Any) -> Tensor:
        result = function(self, *args, beta=beta, alpha=alpha, **named)
        if result._array.shape != self._array.shape:
            if grows and self._link is None:
                return _become(self, result)
            raise ShapeError(
                f"{function.__name__}_: the result {result._array.shape} does not fit in place "
                f"into {self._array.shape}."
            )
        return self.copy_(result)

    change.__name__ = f"{function.__name__}_"
    change.__doc__ = f"In-place form of ``{function.__name__}``."
    return numbers_first("beta", "alpha")(change)


def _become(self: Tensor, result: Tensor) -> Tensor:
    """Give a tensor that is no view the result's memory, and history."""
    if state.busy and modes.trace is not None:
        modes.trace.fail("it writes a result into a tensor of another shape")
    check_write(self)
    bump(self)
    self._array, self._node, self._tracked = result._array, result._node, result._tracked
    return self


methods(
    addmm_=_in_place(addmm),
    addmv_=_in_place(addmv),
    addr_=_in_place(addr),
    baddbmm_=_in_place(baddbmm),
    addbmm_=_in_place(addbmm, grows=True),
)
