"""One program of a function: where its inputs come from, what must hold, what outputs become."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from itertools import combinations
from sys import getrefcount
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.compiler import pipeline
from rushlight.compiler.buffers import HELD, Buffers
from rushlight.compiler.given import Given
from rushlight.compiler.guards import Guard
from rushlight.compiler.held import alike
from rushlight.compiler.layout import dicts_have_versions
from rushlight.compiler.leaves import CONTAINERS, classes_in, paths, spread
from rushlight.compiler.memory import address
from rushlight.compiler.optimizer_guards import Options
from rushlight.compiler.orders import Spread, Turn
from rushlight.compiler.places import Memory, Place, Wanting, form, is_plain
from rushlight.compiler.program import empty, run_noted
from rushlight.compiler.results import TENSOR, Alias, rebuild, woven
from rushlight.compiler.sources import together
from rushlight.compiler.storages import may_overlap, overlaps_itself
from rushlight.compiler.surroundings import Option
from rushlight.compiler.tensor_guards import Flags, Shared
from rushlight.compiler.trace import Trace
from rushlight.core.device_array import DeviceArray
from rushlight.core.sparse import SparseArray
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, constant, counter_of, wrap
from rushlight.errors import UnforeseenError
from rushlight.ops.copy import Copy
from rushlight.ops.view import owner

RAISED_BY_NUMBERS = (ArithmeticError, ValueError)  # as by a division by zero
ENTRY = 4  # calls that take an entry make up for the time that it takes to make one
MOST_VAIN = 32  # calls to be made up for, until entries are made less often


class Variant:
    """A program with its guards, and the memory that it writes to."""

    of_arrays = False  # whether an entry is given arrays, and no tensors or other objects

    def __init__(
        self,
        trace: Trace,
        fresh: list[Tensor],
        structure: Any,
        aliases: list[Alias | None],
        guards: list[Guard],
        arguments: list[Tensor],
    ) -> None:
        self.standing: list[Tensor] = []  # which its function reaches besides its arguments
        self.aliases = aliases if any(aliases) else None  # results that are no new memory
        self.graph, self.structure, self.watch = trace.graph, structure, trace.watch
        self.program: Any = pipeline.build(trace.graph)
        self.assumed = ", ".join(dict.fromkeys(trace.assumed))
        self.decided = ", ".join(dict.fromkeys(trace.decided))
        self.pinned = trace.pinned
        self.draws = trace.draws.closed()  # made anew before each call
        self.early, self.added = trace.early, trace.added
        self.early.end()
        at_call = {id(t): i for i, t in enumerate(arguments)}
        # leaves that are arguments stand as their positions
        self.leaves = [at_call.get(id(leaf), leaf) for leaf in fresh]
        self.find_sources(trace, at_call)
        apart = at_call.keys() | {id(self.graph.inputs[k].source) for k in self.gradients}
        outside = [t for t, _ in trace.tensors.values() if id(t) not in apart]
        self.guards = [*guards, Flags(outside, trace.flags), *shared(trace, at_call)]
        self.alone = False  # whether what is written to is known to be apart from other state
        self.sets = [[empty(v) for v in self.graph.results] for _ in range(2)]
        self.turns = trace.turns if any(trace.turns) else None  # of results, see Trace._turned
        self.single = structure is TENSOR and self.aliases is None and self.turns is None
        self.buffers = Buffers(self.leaves, self.graph.fresh, self.graph.laid)
        # which of them had no gradient before the last call
        self.absent = [True] * len(self.leaves)
        self.entry: Any = None
        self.after: int | None = None  # which variant, of those entered, served the next call
        self.armed = 0  # how often buffers had been renewed when the entry was made
        self.vain = 0  # calls that entries have to make up for
        self.changes: list[Place | Memory | Wanting] = []  # of the last results
        self.moving: list[Tensor] = []  # tensors that get other memory
        self.lock = threading.Lock()  # from checks to results: buffers belong to one call
        read = [*self.gradients.values()]
        touched = [*self.leaves, *self.no_grads, *self.some_grads, *self.cleared, *read]
        self.may_enter = (
            hasattr(self.program, "entry")
            and not any([type(leaf) is int for leaf in touched])
            and {*map(id, read)}.isdisjoint(map(id, self.leaves))  # whose memory is written anew
            and not any([kind == "argument" for _, kind, _ in self.updates])
        )

    def share(self, others: Iterable[Variant]) -> None:
        """Have gradients in common with a variant of the same function, if one has the same."""
        for other in others:
            if self.buffers.serve(other.buffers):
                self.buffers, self.lock = other.buffers, other.lock
                return

    def leave(self, changes: list[Place | Memory | Wanting]) -> None:
        """Say where the last results are to be left."""
        self.changes = changes
        self.moving = [place.t for place in changes if isinstance(place, Memory)]
        self.may_enter &= not self.moving

    def find_sources(self, trace: Trace, at_call: dict[int, int]) -> None:
        """Where each input comes from, and which are updated."""
        graph, grads = self.graph, {}
        # leaves that must have no gradient, or one, before a call, and those that have none after
        self.no_grads: list[Any] = []
        self.some_grads: list[Any] = []
        self.cleared: list[Any] = []
        for leaf, before in trace.leaves.values():
            place, g = at_call.get(id(leaf), leaf), None if before is None else before()
            if id(leaf) in trace.looked:
                (self.no_grads if before is None else self.some_grads).append(place)
            if g is not None:  # which the graph may read
                grads[id(g._array)] = place
            if leaf._grad is None and not (before is None and id(leaf) in trace.looked):
                self.cleared.append(place)
        self.sources: list[tuple[int, str, Any]] = []
        self.gradients: dict[int, Any] = {}  # leaves, by the places of inputs
        # of the last call; its arguments and gradients are not kept
        self.inputs: list[Any] = [None] * len(graph.inputs)
        self.met: dict[int, Any] = {}  # where gradients were
        self.specs = [(i.value.shape, i.value.dtype, i.value.driver) for i in graph.inputs]
        self.steps = {  # which decide what is a view, or a copy
            k: steps(i.source._array)
            for k, i in enumerate(graph.inputs)
            if i.kind == "state" and id(i.source) not in trace.moved
        }
        for k, entry in enumerate(graph.inputs):
            kind, source = entry.kind, entry.source
            if kind == "constant":
                self.inputs[k] = source
            elif kind == "state" and id(source._array) in grads:
                self.gradients[k] = grads[id(source._array)]
                self.sources.append((k, "grad", self.gradients[k]))
            else:
                self.sources.append((k, kind, source))
        at = {id(i): n for n, i in enumerate(graph.inputs)}
        self.passed = [k for k, kind, _ in self.sources if kind in ("argument", "grad")]
        kinds = {k: (kind, source) for k, kind, source in self.sources}
        self.updates = [(at[id(i)], *kinds[at[id(i)]]) for i, _ in graph.updates]
        self.updating = [*zip(self.updates, graph.updates, strict=True)]
        # what does not lie row by row and is written to in place
        self.there = {at[id(i)]: i.strides for i, _ in graph.updates if i.strides}
        self.writes = trace.writes  # of each, see Tensor._version

    def changed(self, arguments: list[Tensor]) -> str:
        """What of that which the trace took for granted is no longer so; empty if nothing."""
        for guard in self.guards:
            if not guard.holds():
                return guard.changed()
        if self.early.used:
            self.early.begin(arguments)
        if not self.as_watched():
            self.settle(NotImplemented)
            return f"number that decides, or is needed as it is, at {self.decided}"
        return ""

    def as_watched(self) -> bool:
        """Draw and compute what is known before the program; whether Python values are what they
        must be.
        """
        try:
            if self.draws is not None:
                self.draws.again()
            self.early.compute()
            return all([alike(check(), outcome) for check, outcome in self.watch])
        except Exception:  # by the function, unless something else is first
            return False

    def unfit(self) -> str:
        """Why the program was left, or not begun."""
        if self.assumed:
            return f"value of a tensor that decides what follows, at {self.assumed}"
        return "a parameter, buffer or gradient has other memory, shape or dtype"

    def moved(self) -> set[str]:
        """Names of optimizers' options that are other numbers now."""
        return {name for g in self.guards if type(g) is Options for name in g.moved()}

    def fetch(self, arguments: list[Tensor]) -> bool:
        """Collect this call's inputs; False when one no longer fits."""
        inputs = self.inputs
        for k, kind, source in self.sources:
            if kind == "state":
                a = source._array
            elif kind == "argument":
                inputs[k] = arguments[source]._array
                continue
            elif kind == "number":
                try:
                    inputs[k] = source()
                except RAISED_BY_NUMBERS:  # by the function, unless something else is first
                    return False
                continue
            else:
                g = leaf_of(source, arguments)._grad
                if g is None:
                    return False
                a = g._array
            if a is not inputs[k]:
                driver = a.driver if a.__class__ is DeviceArray else None
                if (a.shape, a.dtype, driver) != self.specs[k]:
                    return False
                if k in self.steps and steps(a) != self.steps[k]:
                    return False
                inputs[k] = a
                where = None if kind == "state" else place_of(a)
                if where is None or where != self.met.get(k):
                    self.alone, self.met[k] = False, where
        return self.apart(arguments)

    def apart(self, arguments: list[Tensor]) -> bool:
        """Whether no argument shares memory with what else a call that writes to memory knows, and
        nothing else has elements in common with what it writes to.
        """
        if not self.updates:
            return True
        state = {n: self.inputs[n] for n, kind, _ in self.sources if kind in ("state", "grad")}
        owners = {id(owner(a)) for a in state.values()}
        self.alone = self.alone or self.written_alone(state)
        return self.alone and all([id(owner(t._array)) not in owners for t in arguments])

    def written_alone(self, state: dict[int, Any]) -> bool:
        """Whether each input that is written to shares no element with another of ``state``, and
        none of its own lie at one place.
        """
        written = {n for n, _, _ in self.updates}
        if any([overlaps_itself(self.inputs[n]) for n in written]):
            return False
        families: dict[int, list[int]] = {}
        for n, a in state.items():
            families.setdefault(id(owner(a)), []).append(n)
        pairs = [pair for f in families.values() for pair in combinations(f, 2)]
        return not any(
            [may_overlap(state[j], state[k]) for j, k in pairs if not written.isdisjoint((j, k))]
        )

    def run(self, arguments: list[Tensor]) -> Any:
        """Run the program on this call's arguments; NotImplemented when it does not fit."""
        with self.lock:
            more = [t for t in [a.tensor() for a in self.added] if t is not None]
            fits = len(more) == len(self.added)
            out = self.run_alone([*arguments, *more]) if fits else NotImplemented
        self.settle(out)
        return out

    def settle(self, out: Any) -> None:
        """Let what random numbers were drawn for a call be drawn again, if it was left; keep
        nothing of it.
        """
        if self.early.used:
            self.early.end()
        if self.draws is not None:
            self.draws.settle(out)

    def run_alone(self, arguments: list[Tensor]) -> Any:
        """As ``run``, while no other thread does."""
        if any([leaf_of(leaf, arguments)._grad is not None for leaf in self.no_grads]):
            return NotImplemented
        if any([leaf_of(leaf, arguments)._grad is None for leaf in self.some_grads]):
            return NotImplemented
        if not self.fetch(arguments):
            return NotImplemented
        results = self.free_results()
        given = [(n, self.inputs[n], i.value) for (n, _, _), (i, _) in self.updating]
        places = [a if a.flags.c_contiguous or n in self.there else empty(v) for n, a, v in given]
        leaves = [leaf_of(leaf, arguments) for leaf in self.leaves]
        self.absent = [leaf._grad is None for leaf in leaves]
        self.buffers.free(leaves)
        try:
            outputs = [*results, *places, *self.buffers.arrays]
            run_noted(self.program, self.inputs, outputs)
        except UnforeseenError:
            return NotImplemented
        found = zip(self.updates, places, self.writes, strict=True)
        for (n, kind, source), place, writes in found:
            if place is not self.inputs[n]:
                Copy.update(constant(self.inputs[n]), constant(place))
            counter_of(tensor_of(kind, source, arguments)).value += writes
        for leaf in self.cleared:
            leaf_of(leaf, arguments)._grad = None
        for leaf, a in zip(leaves, self.buffers.arrays, strict=True):
            leaf._grad = wrap(a)
        for k in self.passed:  # which may be large
            self.inputs[k] = None
        return self.results(results, arguments)

    def results(self, arrays: list[Any], arguments: Any) -> Any:
        """What the call returns."""
        if self.turns is not None:
            arrays = turned(arrays, self.turns)
        if self.structure is TENSOR and self.aliases is None:
            return wrap(arrays[0])
        return self.structured([wrap(a) for a in arrays], arguments)

    def structured(self, tensors: Sequence[Tensor], arguments: Any) -> Any:
        """Tensors in the structure that the function gave them."""
        if self.aliases is not None:
            given = [t for t in arguments if isinstance(t, Tensor)]
            tensors = woven(tensors, self.aliases, given)
        made = rebuild(self.structure, iter(tensors))
        if not self.changes:
            return made
        for place, value in zip(self.changes, made[1:], strict=True):
            place.set(value)
        return made[0]

    def forget_gradients(self) -> None:
        """Keep no reference to the gradients that there were at the traced call."""
        for k in self.gradients:
            self.graph.inputs[k].source = None

    def free_results(self) -> list[Any]:
        """Buffers for results, which nobody else holds. See Note [Free buffers] in buffers.py."""
        for arrays in self.sets:
            if all([getrefcount(arrays[i]) == HELD for i in range(len(arrays))]):
                return arrays
        arrays = self.sets[0]
        arrays[:] = [empty(v) for v in self.graph.results]
        self.entry = None
        return arrays

    # See Note [Entry] in backends/llvm/entry.py

    def arm(
        self,
        args: tuple[Any, ...],
        mode: Any,
        places: list[Place],
        values: list[Any],
        tagged: bool,
        given: Given,
    ) -> None:
        """Let calls like this one, before which places held ``values``, go straight to the
        program.
        """
        self.entry = None  # whose addresses this call may have replaced
        if not self.may_enter:
            return
        if self.vain > MOST_VAIN:
            self.vain -= 1
            return
        self.vain += ENTRY
        self.places = places
        self.kinds = [*map(form, values)]
        leaves: list[Any] = []
        self.objects = classes_in(args, given.inside)
        self.form = spread(args, leaves, self.objects)
        self.nested = any([type(a) in CONTAINERS or type(a) in self.objects for a in args])
        self.given, self.count = given, len(leaves)
        found = enumerate(paths(args, self.objects)) if given.places else ()
        self.spots = {k: (p, type(leaves[k])) for k, p in found if p in given.places}
        leaves = [a for k, a in enumerate(leaves) if k not in self.spots]
        self.arrays = [k for k, a in enumerate(leaves) if given.takes(a)]
        for k in self.arrays:
            leaves[k] = wrap(leaves[k])
        if not all([a.in_rows for a in self.added]):
            return
        more = [wrap(a.blank()) for a in self.added]
        args = (*leaves, *[v for v in values if type(v) is Tensor], *more)
        if not all(map(is_plain, values)) or any([is_sparse(a) for a in args]):
            return
        self.mode, self.tagged = mode, tagged
        counted = [(*u, w) for u, w in zip(self.updates, self.writes, strict=True)]
        self.counting = [(counter_of(t), w) for _, kind, t, w in counted if kind == "state"]
        self.adding = [(leaf, w) for _, kind, leaf, w in counted if kind == "grad"]
        self.placing: list[Any] = [
            (leaf, k) for k, leaf in enumerate(self.leaves) if self.absent[k]
        ]
        self.leaving = bool(self.adding or self.placing or self.cleared)
        own = {*map(id, [*self.gradients.values(), *self.leaves])}
        self.some = [leaf for leaf in self.some_grads if id(leaf) not in own]
        versions = dicts_have_versions()
        numbers = [(k, source) for k, kind, source in self.sources if kind == "number"]
        self.rates = [(k, s) for k, s in numbers if versions and type(s) is Option]
        self.dynamic = together(
            [(k, s) for k, s in numbers if not versions or type(s) is not Option]
        )
        self.slow_guards = [g for g in self.guards if g.words() is None]
        looked_at = tagged, self.nested, self.spots, self.slow_guards, self.draws, self.watch
        others = self.places, self.dynamic, self.arrays, self.added, self.early.used, self.some
        self.bare = not any([*looked_at, *others])
        self.entry, self.armed = self.program.entry(self, args), self.buffers.renewed
        self.may_enter = self.entry is not None
        self.bare = self.bare and self.may_enter and not self.entry.gaps
        for k, source in self.rates if self.may_enter else ():
            self.entry.numbers[k] = source()  # which this call may have set for the next

    def is_armed(self) -> bool:
        """Whether calls may be entered; not after another variant made new buffers."""
        return self.entry is not None and self.armed == self.buffers.renewed

    def updated(self) -> list[Any]:
        """The arrays that a call writes to, where it may be entered directly."""
        return [tensor_of(kind, source, [])._array for _, kind, source in self.updates]

    def enter(self, args: tuple[Any, ...]) -> Any:
        """Run the program if this call is like the last one; else NotImplemented."""
        if self.lock.locked():
            return NotImplemented
        out: Any = NotImplemented
        with self.lock:  # written out where calls of functions take longer than what they do
            grad, inference, autocast, kind = self.mode
            if (
                modes.grad is grad
                and modes.inference is inference
                and (modes.autocast == autocast if state.busy else autocast is None)
                and dtypes.default.float is kind
                and (self.bare or (args := self.looked_at(args)) is not None)  # type: ignore[assignment]
            ):
                entry = self.entry
                number = entry.enter(args)
                if number < 0 or not entry.whole:
                    number = self.finish(number, args)
                if number >= 0:
                    if self.vain:
                        self.vain -= 1
                    for c, writes in self.counting:
                        c.value += writes
                    if self.leaving:
                        self.leave_gradients()
                    arrays = self.sets[number]
                    out = wrap(arrays[0]) if self.single else self.results(arrays, args)
        if not self.bare:
            self.settle(out)
        return out

    def leave_gradients(self) -> None:
        """Let leaves have the gradients that an entered call leaves, or none."""
        for leaf, writes in self.adding:
            counter_of(leaf._grad).value += writes
        arrays = self.buffers.arrays
        for leaf, k in self.placing:
            leaf._grad = wrap(arrays[k])
        for leaf in self.cleared:
            leaf._grad = None

    def looked_at(self, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """The objects that the entry is given, unless what it does not look at is otherwise."""
        if self.nested:
            leaves: list[Any] = []
            if spread(args, leaves, self.objects) != self.form:
                return None
            args = tuple(leaves)
        if self.spots:
            if len(args) != self.count or not self.given.take(args, self.spots):
                return None
            args = tuple([a for k, a in enumerate(args) if k not in self.spots])
        if self.arrays:
            found = [*args]
            for k in self.arrays:
                if len(found) <= k or type(found[k]) is not np.ndarray:
                    return None
                found[k] = wrap(found[k])
            args = tuple(found)
        for guard in self.slow_guards:
            if not guard.holds():
                return None
        if any([leaf._grad is None for leaf in self.some]):
            return None
        if self.places:
            values = [p.get() for p in self.places]
            if [*map(form, values)] != self.kinds:
                return None
            args = (*args, *[v for v in values if type(v) is Tensor])
        if self.early.used:
            self.early.begin([a for a in args if isinstance(a, Tensor)])
        if not self.as_watched():
            return None
        if self.added:
            more = [a.tensor() for a in self.added]
            if any([t is None for t in more]):
                return None
            args = (*args, *more)
        if self.tagged and any([isinstance(a, Tensor) and a.__dict__ for a in args]):
            return None
        self.entry.fill_gaps()
        try:
            for same in self.dynamic:
                same.fill(self.entry.numbers)
        except RAISED_BY_NUMBERS:
            return None
        return args

    def finish(self, number: int, args: tuple[Any, ...]) -> int:
        """Go on from what the entry says: the number of the results' set; negative to give up."""
        entry = self.entry
        while number < 0:
            if number <= entry.ALONE:  # it is done
                entry.program.miss()
                return int(entry.ALONE - number)
            if number == entry.TAKEN:  # all results are held by somebody
                entry.refill()
            elif not entry.renew(number):
                return number
            for k, source in self.rates:
                entry.numbers[k] = source()
            number = entry.enter(args)
        try:
            return number if entry.whole else int(entry.run_parts(number, args))
        except Exception:  # which the function may catch: it is run, as in any other such call
            return -1


def is_sparse(x: Any) -> bool:
    """Whether an argument is a sparse tensor."""
    return isinstance(x, Tensor) and type(x._array) is SparseArray


def shared(trace: Trace, at_call: dict[int, int]) -> list[Shared]:
    """That what one input of a graph stands for stays one: tensors and gradients on one array."""
    names: dict[int, tuple[list[Tensor], list[Tensor]]] = {}
    before = {id(leaf): None if g is None else g() for leaf, g in trace.leaves.values()}
    gradients = {id(g) for g in before.values()} - trace.flags.keys()
    for t, _ in trace.tensors.values():
        if id(t) not in at_call.keys() | trace.moved.keys() | gradients:
            names.setdefault(id(t._array), ([], []))[0].append(t)
    for leaf, _ in trace.leaves.values():
        g = before[id(leaf)]
        if g is not None and id(leaf) not in at_call:
            names.setdefault(id(g._array), ([], []))[1].append(leaf)
    return [Shared(*found) for found in names.values() if len(found[0]) + len(found[1]) > 1]


def present_mode() -> Any:
    """What a call depends on besides its arguments."""
    return modes.grad, modes.inference, modes.autocast, dtypes.default.float


def steps(a: Any) -> Any:
    """The strides of an array whose elements do not lie row by row; None for others."""
    known = a.__class__ is np.ndarray or a.__class__ is DeviceArray
    return a.strides if known and not a.flags.c_contiguous else None


def place_of(a: Any) -> Any:
    """Where an array begins; None where that is not known."""
    if a.__class__ is DeviceArray:
        return a.pointer
    return address(a) if a.__class__ is np.ndarray else None


def turned(arrays: list[Any], turns: list[Turn]) -> list[Any]:
    """Results as eager code has them in memory; there may be more arrays than results."""
    made = [
        turn.array(a) if type(turn) is Spread else a if turn is None else a.transpose(turn)
        for a, turn in zip(arrays, turns, strict=False)
    ]
    return made + arrays[len(made) :]


def leaf_of(leaf: Any, arguments: list[Tensor]) -> Any:
    """A tensor whose gradient a program reads or writes: itself, or an argument's position."""
    return arguments[leaf] if leaf.__class__ is int else leaf


def tensor_of(kind: str, source: Any, arguments: list[Tensor]) -> Any:
    """The tensor behind an input: an argument, state itself, or a leaf's gradient."""
    if kind == "argument":
        return arguments[source]
    return source if kind == "state" else leaf_of(source, arguments)._grad
