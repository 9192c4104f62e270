"""All samples of a function at once, where what it does to one can be written down.

Note [One sample and then all]
The function runs once, for the first sample, and is traced as a compiled call is: what it did is a
graph of ops without control flow. Each op is then applied to all samples: ``rules`` say how, and an
op without a rule is applied sample by sample. What a graph cannot say (a value that Python read, a
write to a tensor from outside, ``backward``) is left to the caller, who has the first result
already. Ops are applied to tensors, so gradients flow, and other transforms, and another ``vmap``,
may be outside.

Random numbers are drawn again for all samples, in the order in which the function draws them: each
of its draws is one of all samples' values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.compiler.graph import Input, Node, Value
from rushlight.compiler.living import graph_of
from rushlight.compiler.primitives import Require
from rushlight.compiler.python_numbers import python_value
from rushlight.compiler.trace import Trace
from rushlight.core.generator import Watch
from rushlight.core.op import Op
from rushlight.core.state import GradMode, modes
from rushlight.core.tensor import Tensor, needs_grad, wrap
from rushlight.func import rules
from rushlight.func.trees import flatten, unflatten
from rushlight.tensor_api.joining import stack

LEAST = 4  # samples: being traced, the function takes some three times as long


class _Sample(Trace):
    """The trace of the call for one sample, with what gradients need to know of it."""

    def __init__(self, arguments: list[Tensor]) -> None:
        super().__init__(arguments)
        self.live: dict[int, list[bool]] = {}  # by node: which operands required gradients
        self.holders: dict[int, Tensor] = {}  # by value: a tensor of it that required gradients
        self.writes = False
        self.outer: Any = None

    def __enter__(self) -> _Sample:
        self.outer = modes.trace
        super().__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        modes.trace = self.outer

    # Nobody asks for the lines of what is traced for one sample, and all its numbers are Python's.

    def line(self) -> str:
        return ""

    def known(self, x: Any) -> Any:
        return x

    def fixed(self, x: Any) -> Any:
        return x

    def plain(self, arrays: list[Any]) -> list[Any]:
        return arrays

    def moves(self, params: dict[str, Any], inputs: Any) -> bool:
        return False

    def read(self, t: Tensor) -> Any:
        self.fail("a value is read")
        return python_value(t)

    def number(self, t: Tensor) -> Any:
        self.fail("a number is read")
        return super().number(t)

    def wrote(self, op: Op, x: Tensor, others: Any, params: dict[str, Any]) -> None:
        super().wrote(op, x, others, params)
        self.writes |= needs_grad(x)

    def computed(self, op: Op, inputs: Any, params: dict[str, Any], result: Any) -> None:
        before = len(self.graph.nodes)
        super().computed(op, inputs, params, result)
        nodes = self.graph.nodes
        if len(nodes) > before and nodes[-1].op is op:
            live = [isinstance(t, Tensor) and t.requires_grad for t in inputs]
            self.live[id(nodes[-1])] = live
            for t, v, requires in zip(inputs, nodes[-1].inputs, live, strict=True):
                if requires:
                    self.holders.setdefault(v.number, t)

    def viewed(self, op: Op, t: Tensor, params: dict[str, Any], arrays: Any) -> None:
        super().viewed(op, t, params, arrays)
        if self.failure is None and t.requires_grad:
            self.holders.setdefault(self.operand(t).number, t)


def mapped(
    func: Callable[..., Any],
    tensors: list[Any],
    dims: list[int | None],
    size: int,
    draws: Watch | None = None,
) -> tuple[Any, Any]:
    """What ``func(leaves)`` returns for the first sample, and for all: its leaves stacked along
    the front, nested as they are. None for all where that takes one call after the other.

    Args:
        func: takes a list like ``tensors``.
        tensors: arguments, of which those with a dim are cut along it.
        dims: not negative; None for what all samples share.
        size: of those dims.
        draws: entered, where samples draw random numbers of their own; None where none are drawn.
    """
    first = [t if d is None else t.select(d, 0) for t, d in zip(tensors, dims, strict=True)]
    compiled = modes.trace is not None and not isinstance(modes.trace, _Sample)
    plain = [t._array.__class__ is np.ndarray for t in first if isinstance(t, Tensor)]
    if compiled or not all(plain):  # a compiled call does not need two graphs
        return func(first), None
    trace = _Sample([t for t in first if isinstance(t, Tensor)])
    with trace:
        result = func(first)
        leaves, structure = flatten(result)
        values = _values(trace, leaves, draws is not None)
    if values is None:
        return result, None
    given = [(t, d) for t, d in zip(tensors, dims, strict=True) if isinstance(t, Tensor)]
    live = [isinstance(t, Tensor) and t.requires_grad for t in leaves]
    if any(live) and (trace.writes or not _known(leaves)):
        return result, None
    with GradMode(any(live)):
        run = _Run(trace, [t if d is None else t.movedim(d, 0) for t, d in given], size)
        run.sliced = [d is not None for _, d in given]
        if draws is not None:
            draws.restore()
            run.draw()
        found = [run.whole(v) if isinstance(v, Value) else v for v in values]
    pairs = list(zip(found, live, strict=True))
    if any([requires and not f.requires_grad for f, requires in pairs]):
        return result, None
    found = [f.detach() if isinstance(f, Tensor) and not r else f for f, r in pairs]
    return result, unflatten(structure, found)


def for_units(func: Callable[[Tensor], list[Tensor]], like: Tensor) -> list[Tensor]:
    """What ``func`` returns for each tensor of zeros and a single one in the shape of ``like``."""
    n = like.numel()
    units = like.detach().new_ones(n).diag().reshape(n, *like.shape)
    if n >= LEAST:
        first, whole = mapped(lambda leaves: func(*leaves), [units], [0], n)
        if whole is not None:
            return list(whole)
        rows = [first, *[func(unit) for unit in units[1:]]]
    else:
        rows = [func(unit) for unit in units]
    return [stack(column) for column in zip(*rows, strict=True)]


def _values(trace: _Sample, leaves: list[Any], may_draw: bool) -> list[Any] | None:
    """The graph's values of what the function returned; None where it did more than the graph."""
    values = [trace.operand(t) if isinstance(t, Tensor) else t for t in leaves]
    whole = trace.failure is None and not trace.leaves and not trace.watch
    written = any([s.writes for s in trace.entered])
    nodes = trace.graph.nodes
    odd = any([isinstance(n.op, Require) for n in nodes])
    odd |= any([_draws(n) and not (may_draw and rules.can_draw(n)) for n in nodes])
    return values if whole and not written and not odd else None


def _draws(node: Node) -> bool:
    """Whether an op draws random numbers."""
    return "engine" in node.params


def _known(leaves: list[Any]) -> bool:
    """Whether the gradients of all that led to these are those of ops."""
    tracked = [t for t in leaves if isinstance(t, Tensor) and t._node is not None]
    return all([isinstance(node.op, Op) for node in graph_of(*tracked)])


class _Run:
    """Computes the values of a graph for all samples, as far as they are asked for."""

    def __init__(self, trace: _Sample, arguments: list[Tensor], size: int) -> None:
        self.trace, self.arguments, self.size = trace, arguments, size
        self.sliced: list[bool] = []
        self.done: dict[int, tuple[Any, bool]] = {}  # the tensor, and whether it has all samples
        self.makers: dict[int, Node | Input] = {}
        for entry in trace.graph.inputs:
            self.makers[entry.value.number] = entry
        for node in trace.graph.nodes:
            for v in node.outputs:
                self.makers[v.number] = node
        self.used = {v.number for n in trace.graph.nodes for v in n.inputs if isinstance(v, Value)}

    def whole(self, v: Value) -> Tensor:
        """A value for all samples, also where it is the same for all."""
        self.used.add(v.number)
        self.compute(v)
        t, many = self.done[v.number]
        return t if many else t.expand(self.size, *v.shape)

    def draw(self) -> None:
        """Draw all random numbers, in the order in which the function does."""
        for node in self.trace.graph.nodes:
            if not _draws(node):
                continue
            operands = []
            for v in node.inputs:
                if isinstance(v, Value):
                    self.compute(v)
                operands.append(self.done[v.number] if isinstance(v, Value) else (v, False))
            (out,) = node.outputs
            self.done[out.number] = rules.drawn(node, operands, self.size), True

    def compute(self, v: Value) -> None:
        """Compute a value, after those that it needs."""
        work = [v]
        while work:
            v = work[-1]
            if v.number in self.done:
                work.pop()
                continue
            maker = self.makers[v.number]
            if isinstance(maker, Input):
                self.done[v.number] = self.entered(maker)
                continue
            missing = [
                x for x in maker.inputs if isinstance(x, Value) and x.number not in self.done
            ]
            work += missing
            if not missing:
                self.apply(maker)

    def entered(self, entry: Input) -> tuple[Any, bool]:
        if entry.kind == "argument":
            return self.arguments[entry.source], self.sliced[entry.source]
        if entry.kind == "state":
            return self.trace.holders.get(entry.value.number, entry.source), False
        return wrap(entry.source), False

    def apply(self, node: Node) -> None:
        """One op, for all samples."""
        live = self.trace.live.get(id(node), [True] * len(node.inputs))
        operands = []
        for v, keeps in zip(node.inputs, live, strict=True):
            t, many = self.done[v.number] if isinstance(v, Value) else (v, False)
            cut = isinstance(t, Tensor) and t.requires_grad and not keeps
            operands.append((t.detach() if cut else t, many))
        if not any([many for _, many in operands]):
            results, many = _list(rules.call(node.op, [t for t, _ in operands], node.params)), False
        else:
            results, many = self.together(node, operands), True
        for v, t in zip(node.outputs, results, strict=True):
            self.done[v.number] = t, many

    def together(self, node: Node, operands: list[tuple[Any, bool]]) -> list[Any]:
        rule = rules.of(node.op)
        results = None if rule is None else rule(node, operands, self.size)
        if results is not None:
            pairs = zip(node.outputs, _list(results), strict=True)
            if all([v.number not in self.used or self.fits(v, t) for v, t in pairs]):
                return _list(results)
        return self.one_by_one(node, operands)

    def fits(self, v: Value, t: Tensor) -> bool:
        return t._array.shape == (self.size, *v.shape) and t._array.dtype == v.dtype

    def one_by_one(self, node: Node, operands: list[tuple[Any, bool]]) -> list[Any]:
        rows = []
        parts = [t.unbind(0) if many else (t,) * self.size for t, many in operands]
        for inputs in zip(*parts, strict=True):
            rows.append(_list(rules.call(node.op, list(inputs), node.params)))
        return [stack(column) for column in zip(*rows, strict=True)]


def _list(results: Any) -> list[Any]:
    return list(results) if results.__class__ in (list, tuple) else [results]
