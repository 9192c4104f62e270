"""Matrix and vector products."""

from __future__ import annotations

from rushlight.core.tensor import Tensor
from rushlight.errors import ShapeError
from rushlight.ops import matmul as M
from rushlight.tensor_api._common import expect_tensor, method, methods, store_out

__all__ = ["matmul", "mm"]


@method
def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Matrix product; vectors count as one row or column, and leading dims broadcast.

    Example:
        >>> import rushlight as torch
        >>> torch.ones(2, 3) @ torch.ones(3)
        tensor([3., 3.])
    """
    result = M.Matmul.bind(expect_tensor(input, "matmul"), expect_tensor(other, "matmul", "other"))
    return result if out is None else store_out(out, result)  # type: ignore[no-any-return]


@method
def mm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Product of two matrices, without broadcasting."""
    if input._array.ndim != 2 or mat2._array.ndim != 2:
        raise ShapeError(f"mm: self must be a matrix and mat2 too, but they have {input._array.ndim} and {mat2._array.ndim} dims.")
    return matmul(input, mat2, out=out)


def _matmul(self: Tensor, other: object) -> Tensor:
    return M.Matmul.bind(self, other) if isinstance(other, Tensor) else NotImplemented


methods(__matmul__=_matmul)
