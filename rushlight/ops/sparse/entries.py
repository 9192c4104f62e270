"""Between a sparse tensor, the vector of its values, and dense tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import record
from rushlight.core.op import Op
from rushlight.core.sparse import SparseArray
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor, constant, instance
from rushlight.ops.create import zeros
from rushlight.ops.places import moved
from rushlight.ops.slices import IndexAdd, IndexSelect
from rushlight.ops.sparse.pattern import Pattern


class Boundary(Op, abstract=True):
    """Between dense and sparse: a trace sees dense tensors only."""

    def forward(self, arrays, params):
        if modes.trace is not None:
            modes.trace.fail(
                "it computes gradients of sparse tensors, or sparse ones of tables",
                "tables with sparse=False have dense ones",
            )
        return super().forward(arrays, params)


class Assemble(Boundary):
    """A sparse tensor of its values, on their memory: ``(entries, *) -> (*pattern, *)``. ``name``
    is that of the node, such as "Neg".
    """

    def backward_name(self, params):
        return f"{params['name']}Backward0" if params else super().backward_name(params)

    def eager(self, xp, values, *, pattern, name):
        return SparseArray(pattern, values)

    def grad(self, g, pattern):
        return entries_at(g, pattern)


class Values(Boundary):
    """The values of a sparse tensor, on the same memory. The gradient is sparse too: at places with
    several entries, which a function of the tensor cannot tell apart, that of the first.
    """

    def eager(self, xp, input, *, pattern):
        return input.values[...]

    def grad(self, g, pattern):
        merged, _, firsts = pattern.merged
        if firsts is not None:
            g = IndexSelect.bind(g, constant(firsts), dim=0)
        keep = pattern if firsts is None and pattern.layout is not merged.layout else merged
        return Assemble.bind(g, pattern=keep, name="Values")


class Pick(Op):
    """The elements of a dense tensor at the places of a pattern:
    ``(*pattern, *) -> (entries, *)``.
    """

    def eager(self, xp, input, *, pattern):
        return flat(input, pattern).take(pattern.keys, 0)

    def grad(self, g, pattern):
        return Spread.bind(g, pattern=pattern)


class Spread(Op):
    """Zeros with values added at the places of a pattern: ``(entries, *) -> (*pattern, *)``."""

    label = "ToDense"

    def eager(self, xp, input, *, pattern):
        out = np.zeros((*pattern.shape, *input.shape[1:]), input.dtype)
        spread(out, pattern, input)
        return out

    def grad(self, g, pattern):
        return Pick.bind(g, pattern=pattern)


def flat(x: Any, pattern: Pattern) -> Any:
    """x with the dims of a pattern as one."""
    n = len(pattern.shape)
    return x.reshape(math.prod(pattern.shape), *x.shape[n:])


def spread(x: Any, pattern: Pattern, values: Any) -> None:
    """Add values to a contiguous array at the places of a pattern."""
    rows, keys = flat(x, pattern), pattern.keys
    if x.dtype == np.bool_:
        np.logical_or.at(rows, keys, values)
        return
    values = np.ascontiguousarray(values, x.dtype)
    if pattern.coalesced:
        rows[keys] += values
    elif not moved("add rows", rows, keys, values, 0):
        size = math.prod(values.shape[1:])
        places = keys[:, None] * size + np.arange(size)
        np.add.at(rows.reshape(-1), places.reshape(-1), values.reshape(-1))


# Functions of tensors, in graph mode or not


# Note [Capturing sparse tensors]
# Under a trace a sparse tensor is its values, a dense tensor, and a pattern that every call must
# have again. One from outside that does not require grad keeps a tensor of its values, which is
# then what the call reads; one made in the call remembers what it was made of, so that values and
# gradients need not pass through it.


def values_of(x: Tensor) -> Tensor:
    """The values of a sparse tensor."""
    if modes.trace is not None:
        made_of = x._array.made_of
        if made_of is None and not x._tracked:
            return held_values(x)
        if made_of is not None and x._node is not None and not x._node.special:
            return made_of
        if made_of is not None and not x._tracked:
            return made_of.detach()
    return Values.bind(x, pattern=x._array.pattern)


def held_values(x: Tensor) -> Tensor:
    """The values of a sparse tensor as a tensor that stays the same."""
    a = x._array
    if a.held is None:
        a.held = instance(Tensor, a.values)
    if modes.trace is not None:
        modes.trace.watch.append((lambda: a.pattern, a.pattern))
    return a.held


def assembled(values: Tensor, pattern: Pattern, name: str) -> Tensor:
    """The sparse tensor of these values."""
    if modes.trace is None:
        return Assemble.bind(values, pattern=pattern, name=name)
    a = SparseArray(pattern, values._array)
    a.made_of = values
    out: Tensor = instance(Tensor, a)
    if values._tracked and modes.grad:
        record(Assemble.instance, (values,), out, {"pattern": pattern, "name": name})
    return out


def dense_of(x: Tensor) -> Tensor:
    """The dense form of a sparse tensor."""
    return Spread.bind(values_of(x), pattern=x._array.pattern)


def coalesced(x: Tensor) -> Tensor:
    """A COO tensor with each place once, in order; itself if it is so already."""
    pattern = x._array.pattern
    merged, groups, _ = pattern.merged
    if merged is pattern:
        return x
    values = values_of(x)
    if groups is not None:
        values = added_at(values, groups, merged.count)
    return assembled(values, merged, "Coalesce")


def added_at(values: Tensor, at: Any, count: int) -> Tensor:
    """Zeros ``(count, *)`` with values added at these places."""
    v = values._array
    empty = zeros((count, *v.shape[1:]), v.dtype)
    if v.dtype == np.bool_:
        return added_at(values.to(dtypes.by_name["int64"]), at, count).bool()
    return IndexAdd.bind(empty, constant(at), values, dim=0)


def chosen(values: Tensor, at: Any) -> Tensor:
    """The values at these places."""
    return IndexSelect.bind(values, constant(at), dim=0)


def entries_at(g: Tensor, pattern: Pattern) -> Tensor:
    """The elements of a tensor, dense or sparse, at the places of a pattern."""
    x = g._array
    if x.__class__ is not SparseArray:
        return Pick.bind(g, pattern=pattern)
    if x.pattern is pattern or (x.pattern.coalesced and x.pattern.same_places(pattern)):
        return values_of(g)
    g = coalesced(g)
    mine = g._array.pattern.merged.pattern
    found = mine.find(pattern)
    there = found >= 0
    values = chosen(values_of(g), np.maximum(found, 0)) if mine.count else None
    if values is None:
        return zeros((pattern.count, *x.values.shape[1:]), x.dtype)
    if there.all():
        return values
    mask = constant(there.reshape(-1, *[1] * (values._array.ndim - 1)))
    return values.masked_fill(mask.logical_not(), 0)
