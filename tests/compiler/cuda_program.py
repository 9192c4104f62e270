"""Programs whose kernels are CUDA C, run by the emulator; what has none runs the ops' own code."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.compiler import pipeline
from rushlight.compiler.backends.cuda import source
from rushlight.compiler.backends.cuda.launch import SHARED, Launch
from rushlight.compiler.backends.loops_reference import LoopsReference
from rushlight.compiler.graph import Graph
from rushlight.compiler.steps import Group, Step

from .cuda_emulator import run


class Emulated(LoopsReference):
    """The loops of a graph as CUDA C."""

    def step(self, step: Step) -> bool:
        if not isinstance(step, Group) or step.kernel is None:
            return super().step(step)
        for v in step.buffers:
            size = int(np.prod(v.shape, dtype=int))
            self.memory.setdefault(v.number, np.empty(size, v.dtype))
        launches = source.launches_of(step.kernel)
        shared = np.full(max([x.scratch for x in launches]), 0x7F, np.uint8)
        for launch in launches:
            run(launch, [self.operand(key, shared) for key, _ in launch.operands])
        return True

    def operand(self, key: Any, shared: Any) -> Any:
        return shared if key == SHARED else self.memory[key]


def emulated(graph: Graph) -> Emulated:
    """The program of a graph."""
    simple = pipeline.simplified(graph)
    return Emulated(simple, pipeline.expanded(simple), len(graph.inputs))


__all__ = ["Emulated", "Launch", "emulated"]
