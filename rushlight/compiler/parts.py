"""Arrays from outside that do not lie row by row, as views of memory that does.

Note [Inputs as they lie]
An input with strides is read where it lies: native code sees the memory, and the array as a view of
it, like the views that a function makes itself. Where all of that memory is the array's, which has
its dims in another order then, it is written to there, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from rushlight.compiler.graph import Graph, Input, Node, Value
from rushlight.core.op import Op
from rushlight.core.window import packed_strides
from rushlight.ops.view import BasicIndex, Expand, Permute, Reshape


@dataclass
class Part:
    """Where the elements of an array lie: they are the ``corner`` of an imagined array of shape
    ``whole`` without gaps, with dims in another order (``turn``), those of size 1 back (``once``).
    """

    whole: tuple[int, ...]
    corner: tuple[int, ...]
    turn: tuple[int, ...]
    once: tuple[int, ...]

    @classmethod
    def of(cls, shape: tuple[int, ...], strides: tuple[int, ...], size: int) -> Part | None:
        """For elements of ``size`` bytes; None where rows lie across each other."""
        steps = [s / size for s in strides]
        moving = [d for d, n in enumerate(shape) if n > 1 and steps[d]]
        order = sorted(moving, key=lambda d: -steps[d])
        far = [shape[d] * steps[d] for d in order[:1]] + [steps[d] for d in order]
        if order and far[-1] != 1:
            far.append(1)
        whole = [a / b for a, b in pairwise(far)]
        corner = [shape[d] for d in order] + [1] * (len(whole) - len(order))
        if not all([s > 0 and r.is_integer() for s, r in zip(far[1:], whole, strict=True)]):
            return None
        if any([n > most for n, most in zip(corner, whole, strict=True)]):
            return None
        turn = tuple([order.index(d) for d in moving])
        once = tuple([n if d in moving else 1 for d, n in enumerate(shape)])
        return cls(tuple([int(n) for n in whole]), tuple(corner), turn, once)

    def all_of(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape is all of the memory, and each element once."""
        return self.corner == self.whole and self.once == shape

    def views(self, shape: tuple[int, ...]) -> list[tuple[type[Op], dict[str, Any]]]:
        """What leads from the memory to the array."""
        found: list[tuple[type[Op], dict[str, Any]]] = []
        if self.corner != self.whole:
            found.append((BasicIndex, {"index": tuple([slice(n) for n in self.corner])}))
        found += [
            (Reshape, {"shape": self.corner[: len(self.turn)]}),
            (Permute, {"dims": self.turn}),
            (Reshape, {"shape": self.once}),
        ]
        return found if self.once == shape else [*found, (Expand, {"shape": shape})]

    def back(self) -> list[tuple[type[Op], dict[str, Any]]]:
        """What leads from an array that is all of the memory to that."""
        kept = tuple([self.whole[k] for k in self.turn])
        return [
            (Reshape, {"shape": kept}),
            (Permute, {"dims": tuple(np.argsort(self.turn).tolist())}),
        ]


def part_of(x: Any) -> Part | None:
    """Where the elements of an array lie that is aligned and not row by row; None for others, and
    where that cannot be said.
    """
    if x.__class__ is not np.ndarray or x.flags.c_contiguous or not x.flags.aligned:
        return None
    return Part.of(x.shape, x.strides, x.itemsize)


def is_all(x: Any) -> bool:
    """Whether an array that is not row by row has its dims in another order, and no more."""
    part = part_of(x)
    return part is not None and part.all_of(x.shape)


def same_strides(x: Any, strides: tuple[int, ...] | None) -> bool:
    """Whether an array is aligned and has strides; None for row by row. Those of dims of size 1 do
    not matter.
    """
    if not x.flags.aligned or strides is None:
        return bool(x.flags.c_contiguous and x.flags.aligned)
    return x.strides == strides or all(
        [n == 1 or s == t for n, s, t in zip(x.shape, x.strides, strides, strict=True)]
    )


def extent(shape: tuple[int, ...], strides: tuple[int, ...], size: int) -> int:
    """The bytes from an array's first element to the end of its last; no stride is negative."""
    return sum([(n - 1) * s for n, s in zip(shape, strides, strict=True)]) + size


def laid(x: Any, strides: tuple[int, ...] | None) -> Any:
    """A copy of an array with such strides."""
    if strides is None:
        return x.copy("C")
    memory = np.empty(extent(x.shape, strides, x.itemsize) // x.itemsize, x.dtype)
    out = as_strided(memory, x.shape, strides)
    out[...] = x
    return out


def memory_of(x: Any, strides: tuple[int, ...] | None, shape: tuple[int, ...]) -> Any:
    """The memory of shape ``shape`` that an array with strides is a view of; of a copy, if it has
    others.
    """
    if strides is None:
        return x
    x = x if same_strides(x, strides) else laid(x, strides)
    return as_strided(x, shape, packed_strides(shape, x.itemsize))


def as_they_lie(graph: Graph, laid: Sequence[tuple[int, ...] | None] = ()) -> Graph:
    """The graph whose inputs with strides are memory, and the arrays views of it; so are new
    tensors, which are ``laid`` with strides. See Note [Inputs as they lie].
    """
    if not any([*laid, *[i.strides for i in graph.inputs]]):
        return graph
    out = Graph([], [], graph.results, [], graph.fresh, graph.count)
    entries = {id(i): seen(out, i) for i in graph.inputs}
    out.nodes += graph.nodes
    for i, v in graph.updates:
        entry, part = entries[id(i)]
        out.updates.append((entry, whole(out, v, part)))
    given = zip(graph.fresh, laid or [None] * len(graph.fresh), strict=True)
    out.fresh = [whole(out, v, where(v, strides)) for v, strides in given]
    return out


def whole(graph: Graph, v: Value, part: Part | None) -> Value:
    """The memory of a value that is all of it."""
    for op, params in part.back() if part is not None else ():
        v = viewed(graph, op, v, **params)
    return v


def where(v: Value, strides: tuple[int, ...] | None) -> Part | None:
    """Where a value with strides lies."""
    return None if strides is None else Part.of(v.shape, strides, v.dtype.itemsize)


def seen(graph: Graph, entry: Input) -> tuple[Input, Part | None]:
    """An input of a graph to be, with a view of it in its place if it has strides."""
    v = entry.value
    part = where(v, entry.strides)
    if part is None:
        graph.inputs.append(entry)
        return entry, None
    looked = graph.value(part.whole, v.dtype)
    memory = Input(looked, entry.kind, entry.source)
    graph.inputs.append(memory)
    for op, params in part.views(v.shape):
        looked = viewed(graph, op, looked, **params)
    graph.nodes[-1].outputs[0] = v
    return memory, part


def viewed(graph: Graph, op: type[Op], v: Value, **params: Any) -> Value:
    """A view of a value."""
    looked = op.instance.eager(np, np.empty(v.shape, np.int8), **params)
    out = graph.value(looked.shape, v.dtype)
    graph.nodes.append(Node(op.instance, [v], params, [out]))
    return out
