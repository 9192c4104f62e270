"""An optimizer's updates as compiled programs.

Note [Fused updates]
The second step of a group with many elements is traced while it runs, some parameters at a time;
later steps run the programs. A program holds what the trace took for granted: the group's options
but for the learning rate, which parameters have gradients, and which tensors their state is. When
any of it is another, the step is made by the update rule as before, and the next one traced again,
a few times at most. Rules that add elements up are traced as soon as there is state, and the traced
step is made again by its program. Groups of few elements are traced once they made many steps:
programs leave what rules leave, to the bit. A step like the last one is entered directly, see
entered.py.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from numpy import ndarray

from rushlight.config import is_own
from rushlight.core.device_array import DeviceArray, driver_of
from rushlight.core.generator import Watch
from rushlight.core.native import kernels
from rushlight.core.sparse import SparseArray
from rushlight.core.state import modes, state as run_state
from rushlight.core.tensor import Tensor, written

if TYPE_CHECKING:
    from rushlight.optim.optimizer import Optimizer

LEAST = 1 << 17  # elements of a group on the CPU: with fewer, a program takes long to pay
SOON = 128  # steps of such a group before it gets one
LATE = 1 << 16  # updates of parameters before that, while there is no compiler, which takes longer
TOGETHER = 32  # parameters of a program
MOST = 8  # times that a group is traced
WAY, MOST_VAIN = 4, 32  # steps that make up for finding a way, and that no way makes up for
PLAIN = (int, float, bool, str, type(None), tuple)
ARRAYS = (ndarray, DeviceArray)
NONE: dict[int, Any] = {}


class Part:
    """The update of some parameters. Making it makes a step; ``program`` is None if that cannot be
    repeated.
    """

    def __init__(self, optimizer: Optimizer, group: dict[str, Any], params: list[Tensor]) -> None:
        from rushlight.compiler import memory, pipeline
        from rushlight.compiler.passes.rounding import rounded
        from rushlight.compiler.places import Planted
        from rushlight.compiler.program import run_noted
        from rushlight.compiler.replay import make_again
        from rushlight.compiler.surroundings import with_options
        from rushlight.compiler.trace import Trace

        self.params = params
        self.states = [(p, optimizer.state.get(p)) for p in params]
        self.way: Any = None  # into the program, see entered.py; False: there is none
        self.vain = 0  # steps that ways have to make up for
        before = self.names()
        gradients = {id(p._grad): p for p in params}
        trace = Trace([], keeps=optimizer._adds_up)
        with with_options(Planted([], trace), [group], ["lr"]), trace:
            optimizer._update_params(group, params, False)
        self.program: Any = None
        self.launch = run_noted
        self.watch = trace.watch
        if trace.failure is not None or self.names() != before:
            return
        trace.finish([])
        self.find_sources(trace.graph, gradients)
        if self.known:
            self.program = pipeline.build(rounded(trace.graph), room=memory.common)
            if optimizer._adds_up:
                make_again(trace, self.program, [], [], Watch())
        trace.forget()

    def names(self) -> list[Any]:
        """Which tensors the state is."""
        return [None if s is None else [id(t) for t in s.values()] for _, s in self.states]

    def find_sources(self, graph: Any, gradients: dict[int, Tensor]) -> None:
        """Where each input of the program comes from."""
        own = {id(p) for p, _ in self.states}
        own |= {id(t) for _, s in self.states for t in (s or {}).values()}
        self.sources = [
            ("grad", gradients[id(i.source)]) if id(i.source) in gradients else (i.kind, i.source)
            for i in graph.inputs
        ]
        for entry in graph.inputs:
            if id(entry.source) in gradients:
                entry.source = None  # the next step brings others
        self.known = all(
            [id(source) in own for kind, source in self.sources if kind == "state"]
        ) and not any([kind == "argument" for kind, _ in self.sources])
        self.specs = [(i.value.shape, i.value.dtype, i.value.driver) for i in graph.inputs]
        # the kinds of arrays on a GPU that were as the specs say
        self.kinds: list[Any] = [None] * len(self.specs)
        at = {id(i): n for n, i in enumerate(graph.inputs)}
        self.targets = [at[id(i)] for i, _ in graph.updates]
        in_rows = [self.sources[k][1]._array.flags.c_contiguous for k in self.targets]
        self.known = self.known and all(in_rows)  # as a program writes
        self.state_names = self.names()

    def is_kept(self, states: Any) -> bool:
        """Whether an optimizer's state is the same tensors as before."""
        if any([states.get(p) is not s for p, s in self.states]):
            return False
        return self.names() == self.state_names

    def enter(self, optimizer: Optimizer) -> bool:
        """Make a step if it is like the last one; False: nothing was done."""
        if not self.way or not self.way.take(optimizer.state):
            return False
        if self.vain:
            self.vain -= 1
        return True

    def fetch(self, optimizer: Optimizer) -> bool:
        """Collect the inputs of this step; False where something is not as it was traced."""
        if not self.is_kept(optimizer.state) or not all([c() == out for c, out in self.watch]):
            return False
        self.inputs: list[Any] = []
        for k, (kind, source) in enumerate(self.sources):
            if kind in ("number", "constant"):
                self.inputs.append(source() if kind == "number" else source)
                continue
            t = source._grad if kind == "grad" else source
            a = None if t is None else t._array
            if a.__class__ is not DeviceArray or a.kind is not self.kinds[k]:
                if type(a) not in ARRAYS or (a.shape, a.dtype, driver_of(t)) != self.specs[k]:
                    return False
                self.kinds[k] = a.kind if a.__class__ is DeviceArray else None
            self.inputs.append(a)
        return all([self.inputs[k].flags.c_contiguous for k in self.targets])

    def run(self) -> None:
        """Update parameters and state."""
        self.launch(self.program, self.inputs, [self.inputs[k] for k in self.targets])
        for k in self.targets:
            written(self.sources[k][1])
        self.inputs = []

    def arm(self, plan: Plan, optimizer: Optimizer, group: dict[str, Any]) -> None:
        """Let steps like the one just made be entered directly, if they can."""
        if self.way is False or not hasattr(self.program, "entry"):
            return
        from rushlight.optim.entered import Way

        self.vain += WAY
        try:
            if self.vain > MOST_VAIN:
                raise ValueError("steps are mostly unlike the last one")
            self.way = Way(self, plan, group, optimizer.state)
        except ValueError:
            self.way = False


class Plan:
    """The programs of a group of parameters."""

    def __init__(self, group: dict[str, Any]) -> None:
        self.parts: list[Part] | None = []  # None: never again
        self.rest: list[Tensor] = []  # updated by the rule
        self.calls = self.traces = 0
        on_cpu = [p._array for p in group["params"] if p._array.__class__ is ndarray]
        self.small = sum([a.size for a in on_cpu]) < LEAST and len(on_cpu) == len(group["params"])

    def key(self, group: dict[str, Any]) -> Any:
        """What the programs take for granted of a group."""
        options = [(k, v) for k, v in group.items() if k not in ("params", "param_names", "lr")]
        return options, [(id(p), p._grad is None) for p in group["params"]]

    def step(self, optimizer: Optimizer, group: dict[str, Any]) -> bool:
        """Make a step; False: nothing was done."""
        self.calls += 1
        if self.parts and not run_state.busy and self.parts[0].enter(optimizer):
            for part in self.parts[1:]:
                self.make(part, optimizer, group)
            if self.rest:
                optimizer._update_params(group, self.rest, False)
            return True
        if self.parts is None or type(group.get("lr")) is not float:
            return False
        if not self.is_ready(optimizer, group):
            return False
        if not self.parts:
            return not run_state.busy and self.trace(optimizer, group)
        if self.key(group) == self.made_for and all([p.fetch(optimizer) for p in self.parts]):
            for part in self.parts:
                part.run()
                part.arm(self, optimizer, group)
            optimizer._update_params(group, self.rest, False)
            return True
        self.parts = [] if self.traces < MOST else None
        if self.small:
            self.calls = 0
        return False

    def make(self, part: Part, optimizer: Optimizer, group: dict[str, Any]) -> None:
        """Update the parameters of a part, when those of the first one were."""
        if part.enter(optimizer):
            return
        if part.fetch(optimizer):
            part.run()
            part.arm(self, optimizer, group)
        else:
            optimizer._update_params(group, part.params, False)

    def is_ready(self, optimizer: Optimizer, group: dict[str, Any]) -> bool:
        """Whether this step may be traced: from the second on, or, where programs have bits of
        their own, once there is state, so that a run that was resumed has them at once.
        """
        if self.parts:
            return True
        if self.small and (optimizer._adds_up or not pays(self.calls, len(group["params"]))):
            return False
        if not optimizer._adds_up:
            return self.calls > 1
        return all([optimizer.state.get(p) for p in group["params"] if p._grad is not None])

    def trace(self, optimizer: Optimizer, group: dict[str, Any]) -> bool:
        """Make a step that later ones repeat."""
        if not all(
            [type(v) in PLAIN for k, v in group.items() if k not in ("params", "param_names")]
        ):
            return False
        params = [p for p in group["params"] if p._grad is not None]
        if any([p._grad._array.__class__ is SparseArray for p in params]):
            self.parts = None
            return False
        rows = [p for p in params if p._array.flags.c_contiguous]  # as programs write
        if params and not rows:
            self.parts = None
            return False
        self.traces += 1
        self.made_for = self.key(group)
        self.parts = [
            Part(optimizer, group, rows[k : k + TOGETHER]) for k in range(0, len(rows), TOGETHER)
        ]
        self.rest = [p for p in params if not p._array.flags.c_contiguous]
        optimizer._update_params(group, self.rest, False)
        if any([part.program is None for part in self.parts]):
            self.parts = None
        return True


def pays(steps: int, params: int) -> bool:
    """Whether a small group made so many steps that a program pays if as many follow."""
    return steps > SOON if "llvmlite" in sys.modules else steps * params > LATE


def update(optimizer: Optimizer, group: dict[str, Any]) -> bool:
    """Update a group's parameters by compiled programs; False: there are none, nothing was done."""
    plan = optimizer.__dict__.get("_plans", NONE).get(id(group))
    if plan is not None and kernels.on and not run_state.busy:
        return bool(plan.step(optimizer, group))
    if modes.trace is not None and modes.trace.is_first and is_own(type(optimizer).__module__):
        return traced(optimizer, group)
    busy = run_state.busy > (modes.profiler is not None)  # with more than a profiler
    if not kernels.on or busy or not is_own(type(optimizer).__module__):
        return False
    if plan is None:
        own, known = optimizer.__dict__, {id(g) for g in optimizer.param_groups}
        own["_plans"] = {k: p for k, p in own.get("_plans", NONE).items() if k in known}
        plan = own["_plans"][id(group)] = Plan(group)
    return bool(plan.step(optimizer, group))


def traced(optimizer: Optimizer, group: dict[str, Any]) -> bool:
    """Make a step of a first call, which is traced, see replay.py: learning rates are inputs."""
    from rushlight.compiler.places import Planted
    from rushlight.compiler.surroundings import with_options

    params, known = group["params"], len(optimizer.state)
    with with_options(Planted([], modes.trace), [group], ["lr"]):
        for some in (params[:1], params[1:]):  # soon it is known whether there is new state
            optimizer._update_params(group, some, False)
            if len(optimizer.state) > known:
                modes.trace.fail("it makes state")
    return True
