"""Ops whose results share memory with their input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from rushlight.core.autograd import record
from rushlight.core.node import new_node
from rushlight.core.op import Op
from rushlight.core.sparse import SparseOperand, rules
from rushlight.core.state import modes, state
from rushlight.core.tensor import (
    MULTI,
    NO_GRAD,
    UNSHARED,
    Tensor,
    ViewLink,
    blank,
    counter_of,
    edge,
    needs_grad,
    new_counter,
    wrap,
)
from rushlight.dtypes import DIFFERENTIABLE


class PieceLink(ViewLink):
    """That of an output of a view op with several: its chain is made when it is asked for."""

    __slots__ = ("index", "made")
    made: tuple[Any, ...]  # the chain before, the op that makes an output alone, params
    index: int

    @property
    def chain(self) -> tuple[Any, ...]:  # type: ignore[override]
        """The steps, of which the last makes this output alone."""
        before, pick, params = self.made
        return (*before, (pick, {**params, "index": self.index}))


class View(Op, abstract=True):
    """The output shares the input's memory: ``eager(xp, x, *, params)`` returns a NumPy view, or a
    list of them when ``multi``.
    """

    multi = False
    by_place = False  # it names places in memory, so that the order of its input there matters
    pick: Any = None  # multi: the op that makes output `index` alone

    linked: ClassVar[Callable[..., Tensor]]

    def make_bind(self) -> Callable[..., Any]:
        op, multi, eager, linked = self, self.multi, self.eager, make_linked(self)
        type(self).linked = staticmethod(linked)

        def bind(a: Tensor, **params: Any) -> Any:
            try:
                if state.busy and modes.profiler is not None:
                    array = modes.profiler.call(op, eager, np, a._array, **params)
                else:
                    array = eager(np, a._array, **params)
            except SparseOperand:
                return rules.apply(op, (a,), params)
            return bind_many(op, a, array, params) if multi else linked(a, array, params)

        return bind


def make_linked(op: View) -> Callable[..., Tensor]:
    """``bind`` for who has already made the array: ``linked(a, array, params)``."""
    keep_spec = op.keep_only[-1]

    def linked(a: Tensor, array: Any, params: dict[str, Any]) -> Tensor:
        if state.busy and modes.trace is not None:
            modes.trace.viewed(op, a, params, array)
        t = blank()
        t._array = array
        t._tracked = True  # a view needs gradient as soon as its base does
        t._wants_grad = False
        t._grad = t._node = None
        c = a._counter
        if c is UNSHARED:
            c = a._counter = new_counter()
        t._counter = c
        v = t._link = ViewLink()
        v.version = c.value
        grad = modes.grad
        parent = a._link
        if parent is None:
            v.base, v.chain, v.origin = a, ((op, params),), None if grad else NO_GRAD
        else:
            v.base, v.chain = parent.base, (*parent.chain, (op, params))
            v.origin = parent.origin if grad else NO_GRAD
        if grad and a._tracked and needs_grad(a) and array.dtype in DIFFERENTIABLE:
            n = t._node = new_node(op, (edge(a),), params)
            if keep_spec:
                x = a._array
                n.specs = ((x.shape, x.dtype),)
        return t

    return linked


def bind_many(op: View, a: Tensor, arrays: list[Any], params: dict[str, Any]) -> list[Tensor]:
    """A view op with several outputs: they refuse recorded writes, since those could not be told
    apart.
    """
    if state.busy and modes.trace is not None:
        modes.trace.viewed(op, a, params, arrays)
    outs, link = [], a._link
    c = counter_of(a)
    base, chain = (a, ()) if link is None else (link.base, link.chain)
    made = (chain, op.pick.instance, params)
    busy, grad = state.busy, modes.grad
    version, origin = c.value, MULTI if grad else NO_GRAD
    for i, array in enumerate(arrays):
        if busy:
            t = wrap(array)
        else:  # the same
            t = blank()
            t._array = array
            t._wants_grad = False
            t._node = t._grad = None
        t._tracked, t._counter = True, c
        v = t._link = PieceLink()
        v.base, v.made, v.index, v.version, v.origin = base, made, i, version, origin
        outs.append(t)
    if grad and a._tracked:
        record(op, (a,), outs, params)
    return outs
