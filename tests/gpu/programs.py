"""Compiled functions in tests of GPUs. Programs of simulated GPUs run the ops of their graphs on
copies here, so that tests of what is around them are quick.
"""

import contextlib

import numpy as np

import rushlight as torch
from rushlight import nn
from rushlight.compiler import pipeline, staged
from rushlight.compiler.backends.reference import Reference
from rushlight.core.device_array import DeviceArray


class HostProgram:
    """Runs a graph of values on one GPU with NumPy. It takes what CudaProgram takes."""

    recordable = True

    def __init__(self, graph, driver):
        self.graph, self.driver = graph, driver
        self.reference = Reference(pipeline.simplified(graph), len(graph.inputs))
        self.addresses = []  # of each run

    def run(self, inputs, outputs):
        for a in (*inputs, *outputs):
            assert a.__class__ in (DeviceArray, float, int), a
            if a.__class__ is DeviceArray:
                assert a.driver is self.driver and a.flags.c_contiguous
        arrays = [a for a in (*inputs, *outputs) if a.__class__ is DeviceArray]
        self.addresses.append(tuple([a.pointer for a in arrays]))
        hosts = [a.fetch() if a.__class__ is DeviceArray else a for a in inputs]
        found = [np.empty(a.shape, a.dtype) for a in outputs]
        self.reference.run(hosts, found)
        for a, made in zip(outputs, found, strict=True):
            self.driver.put(made.reshape(-1).view(np.uint8), a.memory, a.offset)

    def write(self, raw, target):
        self.driver.put(raw, target.memory, target.offset)

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


def variants(step):
    """The programs of a compiled function, which must not have been left."""
    assert step._compiled.eager is None
    return [v for found in step._compiled.variants.values() for v in found]


def devices(variant):
    """The devices that a program runs on, in order."""
    return ["cpu" if s.driver is None else "cuda" for s in variant.program.stages]


def close(a, b, tolerance=1e-5):
    a, b = [np.asarray(t.detach().cpu()) for t in (a, b)]
    assert a.dtype == b.dtype and np.allclose(a, b, tolerance, tolerance), (a, b)


def same_models(a, b, tolerance=1e-5):
    """Parameters, buffers and gradients are close, and where they belong."""
    for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert y.is_cuda, name
        close(x, y, tolerance)
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None) and (q.grad is None or q.grad.is_cuda)
        if p.grad is not None:
            close(p.grad, q.grad, tolerance)


def regression(device="cuda", width=3):
    """A model on a device with what trains it."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(width, 4), nn.Tanh(), nn.Linear(4, 1)).to(device)
    return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)


def both(make, *calls):
    """Calls of ``make(device)``, eagerly on the CPU and compiled on the GPU: results are close.
    Returns the compiled function.
    """
    expected = make("cpu")
    found = torch.compile(make("cuda"))
    for call in calls:
        given = call() if callable(call) else call
        moved = [t.cuda() if isinstance(t, torch.Tensor) else t for t in given]
        a, b = expected(*given), found(*moved)
        for x, y in zip(*[r if isinstance(r, tuple) else (r,) for r in (a, b)], strict=True):
            assert type(x) is type(y)
            close(torch.as_tensor(x), torch.as_tensor(y))
    return found


def step_of(device, loss=lambda model, x: model(x).square().mean()):
    model, optimizer = regression(device)

    def step(x):
        optimizer.zero_grad()
        value = loss(model, x)
        value.backward()
        optimizer.step()
        return value.detach()

    step.model, step.optimizer = model, optimizer
    return step


def rows(n=5, width=3):
    return (torch.randn(n, width),)
