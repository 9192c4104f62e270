"""A traced call, made again by its program.

Eager code and programs add in another order. A run that goes on from a checkpoint traces other
calls than one that was not stopped, and has to get its bits. So what a traced call left in memory
is replaced by what its program makes of the same inputs: a trace keeps what memory held before its
first write, and numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.compiler.program import empty_outputs, run_noted
from rushlight.compiler.trace import Trace


def update_again(trace: Trace, program: Any) -> None:
    """Let a program of a trace that has nothing but updates make them in place of the trace."""
    targets = [trace.memory_of(i) for i, _ in trace.graph.updates]
    if not all([type(a) is np.ndarray for a in targets]):  # on a GPU nothing is kept
        return
    outputs = empty_outputs(trace.graph)
    run_noted(program, inputs_before(trace), outputs)
    for a, x in zip(targets, outputs, strict=True):
        a[...] = x


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
