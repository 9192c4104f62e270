"""Products of groups of matrices."""

from __future__ import annotations

from typing import Any

from rushlight import dtypes, tensor_api as T
from rushlight.core.autograd import known_as
from rushlight.core.tensor import Tensor, expect_tensors
from rushlight.errors import DTypeError, ShapeError
from rushlight.ops.matmul import same_dtype

__all__ = ["grouped_mm"]


def grouped_mm(
    mat_a: Tensor,
    mat_b: Tensor,
    *,
    offs: Tensor | None = None,
    bias: Tensor | None = None,
    out_dtype: Any = None,
) -> Tensor:
    """Products of groups of matrices that differ in one size: those of a mixture of experts, which
    get tokens in groups.

    Args:
        mat_a, mat_b: matrices, of which groups lie side by side, or a batch of one for each group:
            of float32, bfloat16 or float16.
        offs: where each group ends, int32 ``(G,)``: of rows of ``mat_a``, of columns of ``mat_b``,
            or, with two matrices, of the places that are summed over. What lies behind the last
            is zero. Only None goes with two batches.
        bias: None.
        out_dtype: that of the matrices.

    Shape: ``(M, K), (G, K, N) -> (M, N)``; ``(G, M, K), (K, N) -> (M, N)``;
    ``(M, K), (K, N) -> (G, M, N)``; ``(G, M, K), (G, K, N) -> (G, M, N)``.

    Example:
        >>> import rushlight as torch
        >>> tokens = torch.ones(3, 2)
        >>> experts = torch.stack([torch.eye(2), 10 * torch.eye(2)])
        >>> ends = torch.tensor([1, 3], dtype=torch.int32)
        >>> torch.nn.functional.grouped_mm(tokens, experts, offs=ends)
        tensor([[ 1.,  1.],
                [10., 10.],
                [10., 10.]])
    """
    check_groups(mat_a, mat_b, offs, bias, out_dtype)
    if offs is None:
        return known_as("GroupedMmBackward0", T.bmm(mat_a, mat_b))
    ends = offs.tolist()
    spans = [slice(a, max(a, b)) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    if mat_a.dim() == 3:  # groups are columns
        out = T.cat([a @ mat_b[:, s] for a, s in zip(mat_a, spans, strict=True)], 1)
        rest = (*out.shape[:1], mat_b.shape[1] - out.shape[1])
    elif mat_b.dim() == 3:  # groups are rows
        out = T.cat([mat_a[s] @ b for b, s in zip(mat_b, spans, strict=True)])
        rest = (mat_a.shape[0] - out.shape[0], *out.shape[1:])
    else:
        out = T.stack([mat_a[:, s] @ mat_b[s] for s in spans])
        return known_as("GroupedMmBackward0", out)
    if 0 not in rest:
        out = T.cat([out, out.new_zeros(rest)], int(mat_a.dim() == 3))
    return known_as("GroupedMmBackward0", out)


def check_groups(a: Tensor, b: Tensor, offs: Tensor | None, bias: Any, out_dtype: Any) -> None:
    """Refuse what is no group of products."""
    expect_tensors("grouped_mm", a, b)
    same_dtype("grouped_mm", a._array, b._array)
    d, x, y = a._array.dtype, a._array.shape, b._array.shape
    if d not in dtypes.HALVES and d is not dtypes.float32:
        raise DTypeError(
            "grouped_mm: Expected mat_a to be float32, bfloat16 or float16, got"
            f" {dtypes.of[d].name}."
        )
    if bias is not None:
        raise RuntimeError("grouped_mm: Bias not supported yet; add it to the result.")
    if out_dtype is not None and out_dtype != a.dtype:
        raise DTypeError(f"grouped_mm: out_dtype must be mat_a's, {a.dtype}, not {out_dtype}.")
    ranks = len(x), len(y)
    if not set(ranks) <= {2, 3} or x[-1] != y[-2]:
        raise ShapeError(
            f"grouped_mm: cannot multiply {x} by {y}: both have to be 2 or 3d, and the contraction "
            "dimension of mat_a and mat_b must match."
        )
    if (offs is None) is not (ranks == (3, 3)):
        raise RuntimeError(
            "grouped_mm: Have to provide offsets if there is a 2d matrix, or no offset if both "
            f"matrices are 3d, but the shapes are {x} and {y}."
        )
    if offs is not None and offs._array.dtype is not dtypes.int32:
        raise DTypeError(f"grouped_mm: Offsets have to be int32, not {offs.dtype}; use offs.int().")
    groups = {m._array.shape[0] for m in (a, b) if m.dim() == 3}
    if offs is not None:
        groups.add(offs._array.size)
    if len(groups) > 1:
        raise ShapeError(
            f"grouped_mm: matrix batch sizes have to match: they are {sorted(groups)}."
        )
    if offs is not None and offs._array.size and int(offs[-1]) > (most := _places(x, y, ranks)):
        raise ShapeError(f"grouped_mm: the last group ends at {int(offs[-1])} of {most}.")


def _places(x: Any, y: Any, ranks: tuple[int, int]) -> int:
    """How many rows, columns, or places to sum over there are for groups."""
    return int({(2, 3): x[0], (3, 2): y[-1]}.get(ranks, x[-1]))
