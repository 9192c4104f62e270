"""A traced call, made again by its program.

Eager code and programs add in another order. A run that goes on from a checkpoint traces other
calls than one that was not stopped, and has to get its bits. So what a traced call left in memory
is replaced by what its program makes of the same inputs: a trace keeps what memory held before its
first write, and numbers. Where memory was written to behind the trace's back, nothing is replaced.

A first call is traced for this alone. As the code that it enters is not known yet, nothing stands
for NumPy's arrays in it.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import Any

import numpy as np

from rushlight.compiler.capture import Call
from rushlight.compiler.guards import CHANGING, Attributes, Guard
from rushlight.compiler.held import PLAIN
from rushlight.compiler.live import Live
from rushlight.compiler.optimizer_guards import Options
from rushlight.compiler.program import empty, run_noted
from rushlight.compiler.trace import Trace
from rushlight.compiler.variant import Variant, turned
from rushlight.core.generator import Watch, put
from rushlight.core.tensor import Tensor
from rushlight.errors import UnforeseenError
from rushlight.ops.view import owner


def replayed(call: Call, variant: Variant, out: Any) -> Any:
    """The result of a traced call, and what it left in memory, as its program makes them."""
    found = make_again(call.trace, variant.program, call.made, call.fresh, call.draws)
    if found is None or type(variant) is not Live or call.changes or call.flat.asks:
        return out  # tensors in it hold what the program made
    rest = [i for i in variant.gradients_of.rest if i.kind == "number"]
    numbers = [call.trace.before[i.value.number] for i in rest]
    return variant.differentiable(found, numbers, call.trace.given)


def settled(call: Call, guards: list[Guard], out: Any) -> Any:
    """The result of a traced call of which no program is kept, though one could stand for it: what
    it leaves has the bits of later calls.
    """
    if call.failure() is None and call.matters() and all(map(foreseen, guards)):
        with contextlib.suppress(Exception):  # of the compiler, which the next call tells of
            out = replayed(call, call.variant([]), out)
    call.trace.forget()
    return out


def foreseen(guard: Guard) -> bool:
    """Whether a call left what a guard looks at as it was, or changed it as programs do."""
    if type(guard) is Options or guard.holds():
        return True
    if type(guard) is Attributes and guard.values.keys().isdisjoint(guard.others()):
        return True  # they are new, or just named by code that was not known before
    places = guard.places() if isinstance(guard, CHANGING) else None
    return places is not None and all([isinstance(p.get(), (*PLAIN, Tensor)) for p in places])


def make_again(
    trace: Trace, program: Any, made: list[Tensor], leaves: list[Tensor], draws: Watch
) -> list[Any] | None:
    """Let a program of a trace make its results, its updates and new gradients of leaves in place
    of the trace; the graph's results, None if it could not. ``draws`` knows where generators of
    random numbers stood before.
    """
    returned = [t._array for t in made]
    kept = [trace.memory_of(i) for i, _ in trace.graph.updates]
    kept += [leaf._grad._array for leaf in leaves]  # type: ignore[union-attr]
    known = all([type(a) is np.ndarray and a.flags.writeable for a in (*returned, *kept)])
    if not known or trace.written_behind():  # on a GPU nothing is kept
        return None
    inputs = inputs_before(trace)
    results = [empty(v) for v in trace.graph.results]
    places = written_in_place(kept, inputs)
    after = draws.now()
    draws.restore()
    try:
        run_noted(program, inputs, [*results, *places])
    except UnforeseenError:  # it would have decided otherwise, and wrote to results at most
        return None
    finally:
        put(after)
    turns = turned(results, trace.turns)[: len(made)]
    for a, x in zip((*returned, *kept), (*turns, *places), strict=True):
        if a is not x:
            a[...] = x
    return results


def written_in_place(arrays: list[Any], inputs: list[Any]) -> list[Any]:
    """Where a program writes what arrays are to hold: there, or, where others are on that memory
    or its elements do not lie in rows, in new ones.
    """
    known = [a for a in (*arrays, *inputs) if isinstance(a, np.ndarray)]
    users = Counter([id(owner(a)) for a in known])
    return [
        a if a.flags.c_contiguous and users[id(owner(a))] == 1 else np.empty(a.shape, a.dtype)
        for a in arrays
    ]


def inputs_before(trace: Trace) -> list[Any]:
    """What the inputs of a trace's graph were before the call."""
    found = []
    for i in trace.graph.inputs:
        if i.kind == "constant":
            found.append(i.source)
        elif i.value.number in trace.before:
            found.append(trace.before[i.value.number])
        else:
            found.append(trace.memory_of(i))
    return found
