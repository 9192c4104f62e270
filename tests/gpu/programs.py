"""Programs of a simulated GPU that run the ops of their graphs on copies, so that tests of what is
around them are quick.
"""

import contextlib

import numpy as np

from rushlight.compiler import pipeline, staged
from rushlight.compiler.backends.reference import Reference
from rushlight.core.device_array import DeviceArray


class HostProgram:
    """Runs a graph of values on one GPU with NumPy. It takes what CudaProgram takes."""

    def __init__(self, graph, driver):
        self.graph, self.driver = graph, driver
        self.reference = Reference(pipeline.simplified(graph), len(graph.inputs))

    def run(self, inputs, outputs):
        for a in (*inputs, *outputs):
            assert a.__class__ in (DeviceArray, float, int), a
            if a.__class__ is DeviceArray:
                assert a.driver is self.driver and a.flags.c_contiguous
        hosts = [a.fetch() if a.__class__ is DeviceArray else a for a in inputs]
        found = [np.empty(a.shape, a.dtype) for a in outputs]
        self.reference.run(hosts, found)
        for a, made in zip(outputs, found, strict=True):
            self.driver.put(made.reshape(-1).view(np.uint8), a.memory, a.offset)

    def describe(self):
        return self.reference.describe()


@contextlib.contextmanager
def on_host():
    """Programs of GPUs are such meanwhile."""
    before = staged.program_on
    staged.program_on = lambda graph, driver: (
        before(graph, driver) if driver is None else HostProgram(graph, driver)
    )
    try:
        yield
    finally:
        staged.program_on = before
