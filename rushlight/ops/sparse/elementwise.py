"""Rules of elementwise ops and reductions."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.op import Op
from rushlight.core.tensor import Tensor
from rushlight.errors import ShapeError
from rushlight.ops import (
    activation,
    arithmetic,
    compare,
    copy,
    join,
    math,
    reduce,
    rounding,
    select,
    special,
    statistics,
    trigonometry,
)
from rushlight.ops.sparse.entries import (
    Pick,
    added_at,
    assembled,
    chosen,
    coalesced,
    dense_of,
    values_of,
)
from rushlight.ops.sparse.pattern import Compressed, Coordinates, Pattern, compressed
from rushlight.ops.sparse.rules import (
    distinct,
    is_sparse,
    node_label,
    rule,
    same_shape,
    unsupported,
)

KEEP_ZERO = """
    Neg Abs Sign Sgn NanToNum Conj Sqrt Square Sin Tan Asin Atan Sinh Tanh Asinh Atanh Expm1 Log1p
    Deg2rad Rad2deg Floor Ceil Trunc Round Frac Relu Erf Erfinv Isnan Isinf Isposinf Isneginf
    Signbit
""".split()  # noqa: SIM905
FAMILIES = (activation, arithmetic, compare, math, rounding, select, special, trigonometry)
KEEPERS = [next(getattr(m, name) for m in FAMILIES if hasattr(m, name)) for name in KEEP_ZERO]


@rule(*KEEPERS)
def on_distinct_values(op: Op, x: Tensor, **params: Any) -> Tensor:
    """A function that is zero at zero."""
    x = distinct(x)
    return assembled(op.bind(values_of(x), **params), x._array.pattern, node_label(op))


@rule(copy.Cast, copy.Clone)
def on_values(op: Op, x: Tensor, **params: Any) -> Tensor:
    """A linear function."""
    if params.get("memory_format") is None:
        params.pop("memory_format", None)
    return assembled(op.bind(values_of(x), **params), x._array.pattern, node_label(op))


@rule(arithmetic.Pow)
def power(op: Op, x: Tensor, exponent: Any) -> Tensor:
    """Zero stays zero for positive numbers."""
    if isinstance(exponent, Tensor) or not isinstance(exponent, (int, float)) or exponent <= 0:
        unsupported(op, (x, exponent))
    x = distinct(x)
    return assembled(op.bind(values_of(x), exponent), x._array.pattern, "Pow")


@rule(arithmetic.Div, rounding.DivFloor, rounding.DivTrunc, rounding.FloorDivide)
def quotient(op: Op, x: Tensor, other: Any) -> Tensor:
    """A sparse tensor divided by a number."""
    if is_sparse(other) or (isinstance(other, Tensor) and other._array.ndim):
        raise ShapeError(
            "Sparse division requires a scalar or zero-dim dense tensor divisor (got shape "
            f"{list(other._array.shape)} for divisor); multiply by the reciprocal of a dense one."
        )
    x = x if op is arithmetic.Div.instance else distinct(x)
    return assembled(op.bind(values_of(x), other), x._array.pattern, node_label(op))


@rule(arithmetic.Mul)
def product(op: Op, a: Any, b: Any) -> Tensor:
    """Sparse wherever a factor is."""
    if not is_sparse(a):
        a, b = b, a
    if not isinstance(b, Tensor) or not b._array.ndim:
        return assembled(values_of(a) * b, a._array.pattern, "Mul")
    if not is_sparse(b):
        return product_with_dense(a, b)
    same_shape("mul", a, b)
    layout, a, b = a._array.pattern, distinct(a), distinct(b)
    p, q = a._array.pattern, b._array.pattern
    if p.same_places(q):
        return assembled(values_of(a) * values_of(b), p, "Mul")
    a, b = coalesced(a), coalesced(b)
    p, q = a._array.pattern, b._array.pattern
    there = q.find(p)
    mine = np.flatnonzero(there >= 0)
    both = Coordinates(p.coordinates[:, mine], p.shape, True)
    values = chosen(values_of(a), mine) * chosen(values_of(b), there[mine])
    return in_layout(values, both, layout, "Mul")


def product_with_dense(a: Tensor, b: Tensor) -> Tensor:
    """Each value times the element of b at its place; b broadcasts."""
    pattern, shape = a._array.pattern, b._array.shape
    extra = a._array.ndim - len(shape)
    fits = extra >= 0 and all(
        [n in (1, m) for n, m in zip(shape, a._array.shape[extra:], strict=True)]
    )
    if not fits:
        raise ShapeError(
            f"mul: a dense factor of shape {tuple(shape)} does not broadcast to the sparse one's "
            f"{tuple(a._array.shape)}."
        )
    b = b.reshape((1,) * extra + shape)
    n = len(pattern.shape)
    lead = b._array.shape[:n]
    where = pattern
    if lead != pattern.shape:
        some = np.array(lead).reshape(-1, 1) != 1
        where = Coordinates(np.where(some, pattern.coordinates, 0), lead)
    return assembled(values_of(a) * Pick.bind(b, pattern=where), pattern, "Mul")


@rule(arithmetic.Add, arithmetic.Sub, arithmetic.AddScaled)
def total(op: Op, a: Any, b: Any, alpha: Any = 1) -> Tensor:
    """Sparse if both are, dense if one is."""
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        raise ShapeError(
            "add(sparse, dense) is not supported for a number, which would fill every place: "
            "convert the sparse tensor with .to_dense()."
        )
    if not (is_sparse(a) and is_sparse(b)):
        a, b = [dense_of(t) if is_sparse(t) else t for t in (a, b)]
        return op.bind(a, b, **({"alpha": alpha} if alpha != 1 else {}))
    same_shape("add", a, b)
    name, p, q = node_label(op), a._array.pattern, b._array.pattern
    d = dtypes.promote(a._array.dtype, b._array.dtype)
    va, vb = [values_of(t).to(dtypes.of[d]) for t in (a, b)]  # before a sign that d alone may hold
    vb = vb * alpha if alpha != 1 else vb
    vb = -vb if op is arithmetic.Sub.instance else vb
    if p.same_places(q):
        return assembled(va + vb, p, name)
    if va._array.ndim != vb._array.ndim:
        raise ShapeError(
            "add: expected sparse tensors with the same number of sparse dims, but got "
            f"{len(p.shape)} and {len(q.shape)}."
        )
    both = Coordinates(np.concatenate([p.coordinates, q.coordinates], 1), p.shape)
    values = join.Cat.bind(va, vb, dim=0)
    if not (p.coalesced and q.coalesced):
        return assembled(values, both, name)
    merged, groups, _ = both.merged
    values = values if groups is None else added_at(values, groups, merged.count)
    return in_layout(values, merged, p, name)


def in_layout(values: Tensor, pattern: Pattern, like: Pattern, name: str) -> Tensor:
    """The tensor of these values at coalesced coordinates, in the layout that ``like`` has."""
    if isinstance(like, Compressed):
        pattern, places = compressed(pattern, like.axis)
        values = values if places is None else chosen(values, places)
    return assembled(values, pattern, name)


# Reductions


@rule(reduce.Sum)
def sums(op: Op, x: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Over all dims; or over some, and the rest is sparse if a sparse dim is left."""
    values, pattern, n = values_of(x), x._array.pattern, len(x._array.pattern.shape)
    if values._array.dtype in dtypes.INTEGER_TYPES or values._array.dtype == np.bool_:
        values = values.to(dtypes.of[dtypes.int64])
    if dim is None:
        out = values.sum()
        return out.reshape((1,) * x._array.ndim) if keepdim else out
    inner = tuple([d - n + 1 for d in dim if d >= n])
    if inner:
        values = reduce.Sum.bind(values, inner, keepdim)
    rest = [d for d in range(n) if d not in dim]
    if not rest:
        if n in [len(dim)] or any([d < n for d in dim]):
            values = reduce.Sum.bind(values, (0,), False)
        return values.reshape((1,) * n + values._array.shape) if keepdim else values
    if len(rest) < n:
        shape = tuple([m if d in rest else 1 for d, m in enumerate(pattern.shape)])
        kept = range(n) if keepdim else rest
        where = np.where(np.array(shape).reshape(-1, 1) != 1, pattern.coordinates, 0)
        pattern = Coordinates(where[list(kept)], tuple([shape[d] for d in kept]))
    merged, groups, _ = pattern.merged
    if groups is not None:
        values = added_at(values, groups, merged.count)
    return assembled(values, merged, "SparseSum")


@rule(reduce.AnyTrue)
def any_true(op: Op, x: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Of all values."""
    if dim is not None:
        unsupported(op, (x,))
    return op.bind(values_of(distinct(x)), dim=None, keepdim=False)


@rule(statistics.VectorNorm)
def norm(op: Op, x: Tensor, **params: Any) -> Tensor:
    """Of all values."""
    if params.get("dim") is not None or params.get("keepdim"):
        unsupported(op, (x,))
    return op.bind(values_of(distinct(x)), **params)
