"""Indices that are others in later calls: what a traced call reads and writes at them.

An integer that Python counts, or reads of a tensor, becomes a tensor without dims in an index, and
a slice between such integers a tensor of the places in it. A view at places is a Part of what it
looks at (see storages.py): reading it gathers, writing to it scatters.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from rushlight.compiler.graph import Node, Value
from rushlight.compiler.lines import line
from rushlight.compiler.python_numbers import Number, is_late, is_number
from rushlight.compiler.storages import Facts, Part, Storage, Window, may_overlap
from rushlight.core.device_array import host
from rushlight.core.state import GradMode, modes
from rushlight.core.tensor import Tensor, constant, wrap
from rushlight.ops.index import Index
from rushlight.ops.view import BasicIndex

if TYPE_CHECKING:
    from rushlight.compiler.trace import Trace

ALL = slice(None)
PLAIN_INDEX = (int, slice, type(None), type(Ellipsis))


class Indices:
    """Those of one traced call."""

    def __init__(self, trace: Trace) -> None:
        self.trace: Trace = weakref.proxy(trace)  # a circle would live on
        self.ranges = Facts()  # indices that stand for slices, see ``rows``
        self.known_places: dict[int, Number] = {}  # by the numbers of values

    def placed(self, t: Tensor, key: Any, value: Any = None) -> Any:
        """An index with 0-dim tensors for integers that may be others in later calls, and what
        ``rows`` makes of a slice between such. It stays where gradients or ``value``, which is
        written and may be a part of t, stand against that.
        """
        x = t._array
        if value is None and t.requires_grad and not self.may_track(t):
            return key
        if isinstance(value, Tensor) and may_overlap(value._array, x):
            return key
        items = list(key) if type(key) is tuple else [key]
        items = [of_python(i) for i in items]
        moving = [k for k, i in enumerate(items) if is_number(i) and type(i.value) is int]
        for k in moving:
            items[k] = self.place(items[k])
        if not moving and all([type(i) in PLAIN_INDEX for i in items]):
            slices = [k for k, i in enumerate(items) if between_numbers(i)]
            if len(slices) == 1:
                k = slices[0]
                items[k] = self.rows(items[k], size_at(x, items, k))
        return tuple(items) if type(key) is tuple else items[0]

    def apart(self, key: Any) -> tuple[Any, Any] | None:
        """An index with several slices between numbers that may be others in later calls, as one
        with the first of them alone, and one for what that gives; None for any other.
        """
        if type(key) is not tuple or not all([type(i) in PLAIN_INDEX for i in key]):
            return None
        slices = [k for k, i in enumerate(key) if between_numbers(i)]
        if len(slices) < 2:
            return None
        k = slices[0]
        first = [i if n == k or i is Ellipsis else ALL for n, i in enumerate(key) if i is not None]
        return tuple(first), (*key[:k], ALL, *key[k + 1 :])

    def may_track(self, t: Tensor) -> bool:
        """Whether ``tracked`` serves for parts of t: nobody may write to views of a leaf."""
        return bool(modes.grad and t._wants_grad)

    def tracked(self, view: Tensor, copy: Tensor) -> Tensor:
        """A view of a leaf at a place, whose gradient is that of a copy of what is there now. What
        happens to it after a write to the leaf cannot be followed.
        """
        t = wrap(view._array)
        t._tracked, t._node, t._counter = True, copy._node, view._counter
        if self.trace.failure is None:
            storage = self.trace.windows.get(t._array).storage
            storage.value, storage.part.places = self.trace.operand(copy), []
        return t

    def place(self, n: Number) -> Tensor:
        """A whole number as a 0-dim tensor."""
        with GradMode(False):
            t = self.trace.tensor_of(n).long()
        if self.trace.failure is None and not is_late(n):
            self.known_places[self.trace.operand(t).number] = n
        return t

    def rows(self, i: slice, size: int) -> Any:
        """The places in a slice that has as many in later calls, at others; one that begins below
        0, or is empty, stays.
        """
        found = range(*slice(i.start.value, i.stop.value).indices(size))
        if not found or i.start < 0:  # a guard, as all comparisons of numbers are
            return i
        first, last = i.start.source, i.stop.source
        self.trace.watched(lambda: len(range(*slice(first(), last()).indices(size))), len(found))
        with GradMode(False):
            rows = constant(np.arange(len(found))) + self.place(i.start)
        self.ranges[rows._array] = True
        if self.trace.failure is None:
            self.known_places[self.trace.operand(rows).number] = i.start
        return rows

    def is_place(self, t: Tensor) -> bool:
        """Whether an index is an integer in a 0-dim tensor, or from ``rows``, that may be another
        in later calls.
        """
        a = t._array
        whole = a.dtype in (np.int64, np.int32) and not self.trace.is_fixed(t)
        return whole and (not a.ndim or a in self.ranges)

    def looked(self, x: Tensor, places: list[Tensor], pattern: tuple[bool, ...]) -> Tensor:
        """The view at places of x, see ``is_place``; x has no gradient."""
        found = [host(t) for t in places]
        steps = iter([slice(int(a[0]), int(a[-1]) + 1) if a.ndim else int(a) for a in found])
        index = (*[next(steps) if p else ALL for p in pattern], ...)
        trace, modes.trace = modes.trace, None
        view = BasicIndex.bind(x, index=index)
        modes.trace = trace
        if self.trace.failure is None:
            self.trace.operand(x)
            part = Part(
                self.trace.windows.get(x._array),
                [self.trace.operand(t) for t in places],
                pattern,
                index,
            )
            storage = Storage(self.taken(part), in_rows=view._array.flags.c_contiguous)
            storage.part = part
            self.trace.window(view._array, storage, ())
        return view

    def settled(self, window: Window) -> Window | None:
        """The window as views of what its storage is a part of, by the places of this call, which
        later calls must have too; None where a place is known after a program only.
        """
        part = window.storage.part
        if part is None:
            return window
        outer = self.settled(part.of) if part.places else None
        known = [self.known_places.get(v.number) for v in part.places]
        if outer is None or None in known:
            return None
        self.trace.watch += [(n.source, n.value) for n in known if n is not None]
        step = BasicIndex.instance, {"index": part.index}
        return Window(outer.storage, (*outer.chain, step, *window.chain))

    def taken(self, part: Part) -> Value:
        """What is there now."""
        if not part.places:
            return part.of.storage.value  # of a trace that failed
        whole, part.writes = self.trace.present(part.of), part.of.storage.writes
        steps = iter(part.places)
        dims = [
            next(steps).shape if p else (n,)
            for n, p in zip(whole.shape, part.pattern, strict=False)
        ]
        rest = whole.shape[len(part.pattern) :]
        out = self.trace.graph.value((*[n for dim in dims for n in dim], *rest), whole.dtype)
        params = {"pattern": part.pattern}
        self.trace.graph.nodes.append(
            Node(Index.instance, [whole, *part.places], params, [out], line())
        )
        return out


def of_python(i: Any) -> Any:
    """A part of an index, with Python's numbers for NumPy's."""
    if type(i) is slice:
        return slice(*map(of_python, (i.start, i.stop, i.step)))
    return i.item() if isinstance(i, np.integer) else i


def between_numbers(i: Any) -> bool:
    """Whether an index is a slice between numbers that may be others in later calls."""
    if type(i) is not slice or i.step is not None:
        return False
    return all(
        [is_number(b) and type(b.value) is int and not is_late(b) for b in (i.start, i.stop)]
    )


def size_at(x: Any, items: list[Any], k: int) -> int:
    """The size of the dim of an array that item k of an index is for; 0 if it has none."""
    before, after = ([i for i in part if i is not None] for part in (items[:k], items[k + 1 :]))
    dim = x.ndim - 1 - len(after) if Ellipsis in before else len(before)
    return int(x.shape[dim]) if 0 <= dim < x.ndim else 0
