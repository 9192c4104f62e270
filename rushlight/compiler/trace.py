"""One call of a function, written down as a Graph while it runs.

The call runs eagerly, on real arrays, so it may do whatever Python can. Core tells the trace each
op that computes, views or writes. What cannot be followed (a value read by Python, an array made
behind the ops' back) makes the trace fail: the call's own result is still right, and the function
then stays eager.

Aliasing is resolved on the way, see values.py. Arrays are known only as long as they live, so that
a capture needs no more memory than the call.
"""

from __future__ import annotations

import gc
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.compiler.early import Added, Early, is_input
from rushlight.compiler.graph import Input, Node, Value
from rushlight.compiler.indices import Indices
from rushlight.compiler.lent import Found, Lent, listed
from rushlight.compiler.living import living_tensors, only_viewed, saved_arrays
from rushlight.compiler.orders import Spread, Turn, has_gaps, order_in_memory
from rushlight.compiler.parts import is_all
from rushlight.compiler.primitives import Require
from rushlight.compiler.program import blank
from rushlight.compiler.python_numbers import (
    is_number,
    value_of,
)
from rushlight.compiler.storages import Storage, within
from rushlight.compiler.traced_numbers import TracedNumbers
from rushlight.core import sampling
from rushlight.core.device_array import DeviceArray
from rushlight.core.elementwise import Elementwise
from rushlight.core.inplace import has_self_overlap, same_window
from rushlight.core.node import next_seq
from rushlight.core.op import Op
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, wrap
from rushlight.errors import Explained
from rushlight.ops.arithmetic import Pow
from rushlight.ops.copy import Cast, Copy, Fill
from rushlight.ops.random import Draw, Normal, NormalPairs
from rushlight.ops.view import Permute, owner

OVERWRITING = (Fill, Draw, Copy)


class Trace(TracedNumbers):
    """Records one call. ``arguments``: the call's tensor arguments, in order."""

    def __init__(
        self, arguments: list[Tensor], keeps: bool = False, is_first: bool = False
    ) -> None:
        super().__init__([t._array for t in arguments], keeps)
        self.since = next_seq()  # of nodes, those of this call have larger ones
        self.is_first = is_first  # so that nothing stands for arrays, see replay.py
        # what is brought before the program runs: ``arguments`` and, behind them, tensors on arrays
        self.early, self.given = Early(), [*arguments]
        self.added: list[Added] = []
        self.of_arrays: set[int] = set()  # owners of memory that nobody may write to
        self.early.begin(arguments)
        self.indices = Indices(self)
        # what was in memory that is written to while gradients are traced ahead of time
        self.undo: list[tuple[Any, Any]] | None = None
        self.first = 0  # values of the graph before that time
        self.passed = [t._array for t in arguments]
        self.moved: dict[int, Tensor] = {}  # tensors from outside that got other memory
        self.leaves: dict[
            int, tuple[Tensor, weakref.ref[Tensor] | None]
        ] = {}  # whose gradient was looked at or changed, with its gradient before
        # those of which it matters whether they had one, and those that were given another first
        self.looked: set[int] = set()
        self.replaced: set[int] = set()
        self.walked = False  # whether it ran a backward pass, and so hooks of leaves
        self.required = False  # whether there are conditions of which the function says more
        self.handles = False  # whether the function may catch errors
        self.asks_truth = False  # whether it may ask if something is True
        self.refused: list[str] = []  # ops that raised an error, which the function then caught
        self.turns: list[Turn] = []
        self.writes: list[int] = []  # that the counter of each updated tensor saw
        self.printing: Any = None  # what stands for print, see said.py
        self.flags: dict[int, bool] = {}  # whether tensors required gradients, by identity
        self.draws: Any = None  # of Python's and NumPy's generators, see drawn.py

    def __enter__(self) -> Trace:
        state.busy += 1
        modes.trace = self
        return self

    def __exit__(self, *exc: object) -> None:
        modes.trace = None
        state.busy -= 1

    # What core tells

    def born(self, array: Any) -> Any:
        """An array, which is given back, became a tensor; unless an op explains it, nothing may be
        computed from it.
        """
        if type(array) is Lent:
            there = self.on(array)
            return array.fixed() if there is None else there._array
        if array not in self.windows:
            self.unexplained[array] = True
        return array

    def on(self, x: Any) -> Tensor | None:
        """A tensor on the memory of an array, for which a Lent stands, or on an array of numbers in
        lists that may be others in later calls; None for anything else, and what is known too late.
        """
        if self.failure is not None or not self.open:
            return None
        if type(x) in (list, tuple, deque):
            x = self.array(np.array, [*x])
        if type(x) is not Lent:
            return None
        if x.tensor is None and x.is_early:
            x.tensor = self.bring(x)
        return None if x.tensor is None else x.tensor.detach()

    def array(self, function: Callable[..., Any], *given: Any) -> Lent | None:
        """An array that a function makes of numbers, of which some may be others in later calls,
        and all are known before the program runs; None where it is not so.
        """
        if self.failure is not None or not self.open or self.is_first:
            return None
        found = Found()
        operands, then = found.part(given)
        if not found.moves or found.readings or found.strange:
            return None
        a = function(*operands)
        if a.dtype.kind not in "iuf":
            return None
        source = self.early.computed(function, lambda: (then(), {}))
        return Lent(a, self, None, source, (), found.drawn)

    def bring(self, x: Lent) -> Tensor | None:
        """An array that is known before the program runs as a tensor: an argument more."""
        x.known()  # or it is not, any longer
        a = np.asarray(x.value)
        if self.undo is not None or not is_input(a):
            return None
        t = wrap(a)
        self.expect(t, len(self.given))
        self.given.append(t)
        self.added.append(Added(x.source, a))
        self.of_arrays.add(id(owner(a)))
        return t

    def argument(self, a: Any) -> Lent:
        """What stands for an array that is among the arguments."""
        k = next(k for k, t in enumerate(self.given) if t._array is a)
        self.of_arrays.add(id(owner(a)))
        return Lent(a, self, self.given[k], self.early.passed(k))

    def real(self, x: Any) -> Any:
        """What stands for a NumPy array as that array, whose content Python needs."""
        return x.fixed() if type(x) is Lent else x

    def lend(self, t: Tensor) -> Any:
        """The NumPy array on a tensor's memory."""
        if self.is_first:
            self.fail("NumPy may write to a tensor's memory")
        if self.failure is not None:
            return t._array
        return Lent(t._array, self, t.detach() if t.requires_grad else t)

    def listed(self, t: Tensor) -> Any:
        """The elements as numbers in lists."""
        if self.is_first:
            self.fail("it reads a tensor's elements")
        return t._array.tolist() if self.failure is not None else listed(t, self)

    def moving(self, t: Tensor) -> None:
        """A tensor is about to get another array."""
        if self.from_outside(t):
            self.operand(t)
            self.keep.append(t._array)
            self.moved[id(t)] = t

    def aliased(self, made: Tensor, of: Tensor) -> None:
        """A new tensor has another's array: what the call sees of it belongs to the other."""
        if self.from_outside(of):
            made.__dict__["_original"] = self.original(of)  # here, so that it lives no longer

    def constant(self, array: Any) -> None:
        """An array was made from sizes and Python numbers alone."""
        self.constants[array] = True

    def is_state(self, t: Tensor) -> bool:
        """Whether a tensor was there before the call, and is no argument: later calls have it."""
        a = t._array
        window, own = self.windows.get(a), id(owner(a))
        if a in self.unexplained or any([id(owner(x)) == own for x in self.passed]):
            return False
        storage = None if window is None else window.storage
        return storage is None or (storage.input is not None and not storage.writes)

    def require(self, condition: Tensor) -> None:
        """A condition is taken to be True: a call where it is not runs as it is, and raises."""
        if self.failure is None:
            value = self.graph.value((), np.dtype(bool))
            self.note(Require.instance, [self.operand(condition)], {}, [value])
            self.required = True

    def computed(self, op: Op, inputs: Any, params: dict[str, Any], result: Any) -> None:
        """An op made new tensors."""
        self.walked |= modes.walk is not None
        if any([not self.is_fixed(t) for t in op.counting(inputs)]):
            self.refuse(f"the size of what {type(op).__name__} gives")
        if op.by_order:
            self._check_order(op, inputs[0]._array)
        if self.failure is not None:
            return
        outs = result if isinstance(result, list) else [result]
        self._decide(op, inputs)
        values = self.operands(inputs, outs[0]._array.dtype)
        made = []
        for t in outs:
            a = t._array
            if a in self.windows:  # the op handed an input through
                return
            self.unexplained.discard(a)
            made.append(self._own(a))
        self.note(op, values, params, made)

    def _decide(self, op: Op, inputs: Any) -> None:
        """Fix the sign of an exponent where integers to negative powers raise."""
        if isinstance(op, Pow) and is_number(inputs[1]) and type(inputs[1].value) is int:
            bool(inputs[1] < 0)

    def raised(self, op: Op, error: Exception) -> None:
        """An op refused what it was given; where that is no matter of shapes and dtypes, other
        calls may go on.
        """
        if not isinstance(error, Explained):
            self.refused.append(f"{type(op).__name__} at {self.line()}")

    def viewed(self, op: Any, t: Tensor, params: dict[str, Any], arrays: Any) -> None:
        """A view op looked at t's memory."""
        if self.failure is not None:
            return
        self.operand(t)
        window = self.windows.get(t._array)
        storage, chain = window.storage, window.chain
        if op.by_place and not storage.in_rows:
            self.fail("as_strided looks at the memory of a result that is not stored row by row")
        if (
            op.by_place
            and storage.owner is not None
            and not within(arrays, self._family(storage)[0])
        ):
            self.fail("as_strided looks at memory beyond a tensor's own elements")
        if isinstance(arrays, list):
            pick = op.pick.instance
            for i, a in enumerate(arrays):
                self.window(a, storage, (*chain, (pick, {**params, "index": i})))
        else:
            self.window(arrays, storage, (*chain, (op, params)))

    def wrote(self, op: Op, x: Tensor, others: Any, params: dict[str, Any]) -> None:
        """An op changes x's memory."""
        if self.undo is not None:
            self._keep_for_undo(x._array)
        if self.failure is not None:
            return
        source = others[0] if op.overlap == "itself" else None
        if isinstance(source, Tensor) and same_window(x._array, source._array):
            return  # a tensor copied to itself
        if has_self_overlap(x._array):
            self.failure = "it writes to an expanded tensor, whose elements share their memory"
            return
        if isinstance(op, OVERWRITING) and x._array.__class__ is DeviceArray:
            self._blank(x)
        self._decide(op, (x, *others))
        old = self.operand(x)
        window = self.windows.get(x._array)
        if self._is_spread(window.storage):
            self.failure = "it writes to a tensor whose elements share their memory"
            return
        if not self._is_alone(window.storage):
            self.failure = "it writes to memory that it also reads through another array"
            return
        values = [old, *self.operands(others, x._array.dtype)]
        self._replace(window, self._written(op, x._array, values, params, [x, *others]))

    def ahead(self) -> None:
        """From here on gradients are traced that nobody asked for yet."""
        self.undo, self.first = [], self.graph.count

    def _keep_for_undo(self, a: Any) -> None:
        """Keep what is in memory that was there before."""
        new = a in self.constants
        if a in self.windows:
            storage = self.windows.get(a).storage
            new = storage.input is None and storage.value.number > self.first
        if self.undo is not None and not new and isinstance(a, np.ndarray):
            self.undo.append((owner(a), owner(a).copy()))

    def undone(self) -> bool:
        """Put back what was overwritten since ``ahead``; whether anything was."""
        found, self.undo = self.undo or [], None
        for a, before in reversed(found):
            a[...] = before
        return bool(found)

    def _blank(self, t: Tensor) -> None:
        """Memory of a GPU that nothing has looked at is about to be overwritten: what is there does
        not matter, and is not fetched.
        """
        a = t._array
        if a in self.constants and a not in self.windows:
            value = self.graph.value(a.shape, a.dtype)
            value.driver = a.driver
            self.graph.inputs.append(Input(value, "constant", blank(a.shape, a.dtype)))
            self.window(a, Storage(value), ())

    def touched(self, leaf: Tensor, replaces: bool = False) -> None:
        """A leaf's gradient is about to be looked at, accumulated into, or replaced unseen."""
        if replaces:
            self.replaced.add(id(leaf))
        elif id(leaf) not in self.replaced:
            self.looked.add(id(leaf))
        g = leaf._grad
        self.leaves.setdefault(id(leaf), (leaf, None if g is None else weakref.ref(g)))

    def expect(self, t: Tensor, position: int) -> None:
        """A tensor made for the trace stands for an argument that later calls bring."""
        self.unexplained.discard(t._array)
        self.arguments[id(t._array)] = position
        self.keep.append(t._array)

    # What writing makes

    def _written(
        self, op: Op, x: Any, values: list[Any], params: dict[str, Any], tensors: list[Any]
    ) -> Value:
        """The content of x after ``op_``: the op's own result, converted to x's dtype."""
        d = x.dtype
        if isinstance(op, Draw) and not x.flags.c_contiguous:
            return self._drawn(op, x, params)
        self._check_order(op, x)
        if isinstance(op, Elementwise) and type(op).store in (Op.store, Elementwise.store):
            arrays = [t._array if isinstance(t, Tensor) else value_of(t) for t in tensors]
            d = np.dtype(bool) if op.out_dtype is not None else op.compute_dtype(arrays)
        out = self.graph.value(x.shape, d)
        self.note(op, values, params, [out])
        if d != x.dtype:
            cast = self.graph.value(x.shape, x.dtype)
            self.note(Cast.instance, [out], {"dtype": x.dtype}, [cast])
            out = cast
        return out

    def _check_order(self, op: Op, x: Any) -> None:
        """Refuse what goes through x in another order than row by row."""
        if op.by_order and not x.flags.c_contiguous:
            self.failure = (
                f"{type(op).__name__} draws in the order of memory, which is not that of the rows"
            )

    def _drawn(self, op: Op, x: Any, params: dict[str, Any]) -> Value:
        """Draws for an array, in the order of its elements in memory."""
        if isinstance(op, Normal):
            if x.__class__ is DeviceArray:
                self.failure = "a GPU's normal values go into memory with gaps, or turned"
            op = NormalPairs.instance
        dims = tuple(sampling.memory_order(x))
        like = np.zeros([x.shape[d] for d in dims], x.dtype)
        turned = [self.graph.value(like.shape, x.dtype) for _ in range(2)]
        turned[0].driver = x.driver if x.__class__ is DeviceArray else None
        out = self.graph.value(x.shape, x.dtype)
        self.graph.inputs.append(Input(turned[0], "constant", like))
        back = tuple(np.argsort(dims).tolist())
        self.graph.nodes += [
            Node(op, [turned[0]], params, [turned[1]], self.line()),
            Node(Permute.instance, [turned[1]], {"dims": back}, [out], self.line()),
        ]
        return out

    # The end

    def finish(self, results: list[Tensor], returned: Any = None) -> list[Tensor]:
        """Close the graph: its results, updates and fresh gradients. Returns the leaves that get a
        new gradient, in order. Where ``returned`` is given, other tensors may not live on.
        """
        graph = self.graph
        graph.results = [self._turned(t) for t in results]
        for storage in self.entered:
            if storage.writes and storage.input is not None:
                if storage.owner in self.of_arrays:
                    self.fail("it writes to a NumPy array, through a tensor on its memory")
                graph.updates.append((storage.input, storage.value))
                if not is_all(self.memory_of(storage.input)):  # written to after the program
                    storage.input.strides = None
                t, count = self.counters[id(storage.input)]
                self.writes.append(t._counter.value - count)
        for i in graph.inputs:
            if i.kind == "state" and id(i.source) in self.moved:  # to memory that may lie otherwise
                i.strides = None
        fresh = []
        self.leaves = {k: v for k, v in self.leaves.items() if self.from_outside(v[0])}
        for leaf, before in self.leaves.values():
            g = leaf._grad
            if g is not None and (before is None or g is not before()):
                fresh.append(leaf)
                graph.fresh.append(self.operand(g))
                graph.laid.append(g._array.strides if is_all(g._array) else None)
        if returned is not None:
            self._check_survivors(returned, fresh)
        return fresh

    def _turned(self, t: Tensor) -> Value:
        """A result's value, with its dims in the order in which eager code has them in memory;
        ``turns`` gets how to turn them back.
        """
        value, order = self.operand(t), order_in_memory(t._array)
        back = None if order is None else tuple(np.argsort(order).tolist())
        whole = not self.windows.get(t._array).chain
        self.turns.append(Spread(t._array, back) if whole and has_gaps(t._array) else back)
        if order is None:
            return value
        out = self.graph.value(tuple([value.shape[d] for d in order]), value.dtype)
        self.note(Permute.instance, [value], {"dims": order}, [out])
        return out

    def from_outside(self, leaf: Tensor) -> bool:
        """Whether a tensor was there before the call; one that was detached in it was not."""
        if self.original(leaf) is not leaf:
            return False
        if id(leaf) in self.moved:
            return True
        window = self.windows.get(leaf._array)
        return window is None or window.storage.input is not None

    def _check_survivors(self, results: list[Tensor], fresh: list[Tensor]) -> None:
        """Tensors made in the call that outlive it would be stale after the next one."""
        known = {id(t._array) for t in results} | {
            id(t._grad._array) for t in fresh if t._grad is not None
        }
        known |= saved_arrays(results) | {id(r.tensor._array) for r in self.readings}
        if self.failure is not None or not self._outliving(known):
            return
        for generation in (1, 2):  # some may be held by each other only, or by what is no tensor
            gc.collect(generation)  # of the young first, which are few
            outliving = {id(a) for a in self._outliving(known)}
            kept = [t for t in living_tensors() if id(t._array) in outliving] if outliving else []
            if not kept or only_viewed(kept, results):
                return
        window = self.windows.get(kept[0]._array)
        value = None if window is None else window.storage.value
        lines = [n.line for n in self.graph.nodes if any([value is out for out in n.outputs])]
        made = f"made at {lines[0]}" if any(lines) else "made inside it"
        self.failure = (
            f"a tensor {made} is kept outside, and would be stale after the next call; return it, "
            "or write it to one that is there before, by copy_()"
        )

    def _outliving(self, known: set[int]) -> list[Any]:
        """Living arrays that ops of the call made, other than those known."""
        return [
            a
            for a, w in self.windows.items()
            if w.storage.input is None
            and id(a) not in known
            and (a not in self.constants or w.storage.writes)
        ]
