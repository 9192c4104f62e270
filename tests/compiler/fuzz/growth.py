"""Growing a random program while it runs eagerly: what exists, and how lines are added.

A maker adds lines for the tensor in hand, ``m.x`` with the name ``m.X``. A line that raises, or
whose values are no longer fit to compare, is dropped.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np

import rushlight as rl
from tests.compiler.fuzz.program import HEAD, Call, Input, Line, Program
from tests.fuzz.common import Drawn, Makers

ERRORS = (RuntimeError, IndexError, ValueError, TypeError, NotImplementedError)
# sizes of dims, of which the first seven are the most common, and elements of a tensor at the most
SMALL = (1, 2, 3, 4, 5, 7, 8, 16, 17, 33), 3000
LARGE = (1, 3, 8, 17, 33, 64, 100, 31, 65, 96, 130, 257), 150_000  # tiles, panels, chunks, workers
FLOATS = ("float32", "float64")

maker = Makers()


class Grower(Drawn):
    """The random source, the program so far, and its names' values."""

    def __init__(self, seed: int, large: bool = False) -> None:
        self.sizes, self.largest = LARGE if large else SMALL
        self.seed, self.r = seed, np.random.default_rng((seed, 2026))
        self.setup: list[Line] = []
        self.body: list[Line] = []
        self.inputs: list[Input] = []
        self.names: dict[str, Any] = {}
        self.counts: dict[str, int] = {}
        self.pool: list[str] = []  # names of tensors in the step
        self.parameters: list[str] = []
        self.buffers: list[str] = []
        self.modules: list[str] = []
        self.indent = ""  # "with torch.no_grad():" around lines
        self.writes = self.chance(0.5)
        self.dtype = "float64" if self.chance(0.35) else "float32"
        rl.manual_seed(seed)
        exec(HEAD, self.names)

    # Choosing

    def number(self) -> Any:
        value = float(np.round(self.r.uniform(-2, 2), 1))
        return self.pick([value, value, self.whole(-2, 4)])

    def size(self) -> int:
        if self.chance(0.015):
            return 0
        return self.pick(self.sizes[:7] if self.chance(0.7) else self.sizes)

    def take(self) -> None:
        """Choose a tensor, more likely a recent one."""
        self.set(self.pick(self.pool[-4:]) if self.chance(0.6) else self.pick(self.pool))

    def set(self, name: str) -> None:
        self.X, self.x = name, self.names[name]
        self.shape, self.ndim = tuple(self.x.shape), self.x.ndim
        self.kind = str(self.x.dtype).removeprefix("torch.")
        self.floating = self.kind in (*FLOATS, "float16", "bfloat16")

    def dim(self) -> int:
        return self.whole(-self.ndim, self.ndim) if self.ndim else self.pick([0, -1])

    def float(self) -> str | None:
        """The tensor in hand as one of floats: itself, or converted."""
        if self.kind in FLOATS:
            return self.X
        # no whole numbers: functions that come close to them would be rounded either way
        return f"({self.X}.{'float' if self.dtype == 'float32' else 'double'}() * 0.937)"

    def alike(self, shape: tuple[int, ...] | None = None, kind: str | None = None) -> list[str]:
        """Tensors of a shape and dtype."""
        shape, kind = self.shape if shape is None else shape, kind or self.kind
        every = [*self.pool, *self.parameters, *self.buffers]
        found = [(n, self.names[n]) for n in every]
        return [n for n, t in found if tuple(t.shape) == shape and str(t.dtype)[6:] == kind]

    def other(self) -> str:
        """An operand for the tensor in hand: of its shape, one that broadcasts, or a number."""
        choice = self.r.random()
        if choice < 0.4:
            return self.pick(self.alike())
        if choice < 0.5:
            return repr(self.number())
        if choice < 0.6:
            return self.pick(self.pool)
        shape = tuple(1 if self.chance(0.25) else n for n in self.shape)
        return self.tensor(shape[self.whole(0, self.ndim + 1) if self.chance(0.4) else 0 :])

    # Adding

    def fresh(self, letter: str) -> str:
        """A new name."""
        self.counts[letter] = self.counts.get(letter, -1) + 1
        return f"{letter}{self.counts[letter]}"

    def tensor(self, shape: tuple[int, ...]) -> str:
        """A tensor of that shape and the usual dtype: one that is there, a parameter, a buffer or
        an argument.
        """
        known = self.alike(tuple(shape), self.dtype)
        if known and self.chance(0.6):
            return self.pick(known)
        if self.chance(0.55):
            return self.parameter(shape)
        return self.buffer(shape) if self.chance(0.3) else self.input(shape)

    def parameter(self, shape: Any, shared: float = 0.4) -> str:
        """A parameter of that shape, old or new."""
        known = [n for n in self.parameters if tuple(self.names[n].shape) == tuple(shape)]
        if known and self.chance(shared):
            return self.pick(known)
        name, text = self.fresh("p"), f"torch.randn({tuple(shape)}, dtype=torch.{self.dtype})"
        wrapped = self.pick([f"nn.Parameter({text} * 0.5)", f"({text} * 0.5).requires_grad_()"])
        self.prepare(f"{name} = {wrapped}", name)
        self.parameters.append(name)
        return name

    def buffer(self, shape: Any) -> str:
        """A tensor outside of the step that requires no gradient."""
        name = self.fresh("b")
        self.prepare(f"{name} = torch.randn({tuple(shape)}, dtype=torch.{self.dtype})", name)
        self.buffers.append(name)
        return name

    def prepare(self, text: str, *defines: str) -> None:
        """A line outside of the step."""
        exec(text, self.names)
        self.setup.append(Line(text, defines))

    def input(self, shape: Any, kind: str = "normal", dtype: str = "", high: int = 0) -> str:
        """A new argument of the step."""
        turned = len(shape) > 1 and self.chance(0.1)
        entry = Input(self.fresh("x"), tuple(shape), dtype or self.dtype, kind, high, turned)
        self.names[entry.name] = rl.from_numpy(entry.values(self.r, None))
        self.inputs.append(entry)
        self.pool.append(entry.name)
        return entry.name

    def add(self, text: str, results: int = 1) -> list[str] | None:
        """``v1, v2 = text`` as a line; the new names, or None if it is of no use."""
        names = [self.fresh("v") for _ in range(results)]
        if not self.run(f"{', '.join(names)} = {text}", names):
            return None
        self.pool += names
        return names

    def run(self, text: str, defines: Any = ()) -> bool:
        """A line of the step, tried out."""
        if self.indent:
            text = f"{self.indent}\n    {text}"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                exec(text, self.names)
        except ERRORS:
            return False
        made = [self.names[n] for n in defines]
        if not all(isinstance(t, rl.Tensor) and fit(t, self.largest) for t in made):
            return False
        self.body.append(Line(text, tuple(defines)))
        return True


def fit(t: Any, most: int) -> bool:
    """Whether a tensor is worth comparing: not large, in no sense."""
    if t.numel() > most or t.is_complex():
        return False
    x = t.detach()
    if not t.numel() or not t.is_floating_point():
        return True
    largest = float(x.abs().max())
    return largest <= 1e3 and (largest == 0 or largest > 1e-3)


def generate(seed: int, large: bool = False) -> Program:
    """The program of a seed, of small tensors or large ones. Where writes make backward fail,
    without them.
    """
    from tests.compiler.fuzz import (  # noqa: F401  (they register)
        makers_layers,
        makers_state,
        makers_values,
    )
    from tests.compiler.fuzz.makers_ends import finish

    for attempt in range(4):
        m = Grower(seed + attempt * 10_000_000, large)
        m.writes = m.writes and not attempt
        m.seed = seed
        for _ in range(m.whole(1, 3)):
            m.input(
                tuple([m.size() for _ in range(m.whole(0, 5) if m.chance(0.3) else m.whole(1, 4))])
            )
        if m.chance(0.6):
            m.pool.append(m.parameter(tuple([m.size() for _ in range(m.whole(0, 4))])))
        wanted = m.whole(2, 12)
        for _ in range(60):
            if len(m.body) >= wanted:
                break
            m.take()
            maker.drawn(m.r)(m)
        calls = finish(m)
        if calls is not None:
            inputs, calls = batched(m, calls)
            return Program(seed, tuple(m.setup), inputs, tuple(m.body), returned(m), calls)
    return Program(seed, (), (Input("x0", (2,), "float32"),), (), ("x0",), (Call(),) * 3)


def batched(m: Grower, calls: Any) -> Any:
    """Perhaps calls with another size of the batch: the arguments' first dim, where it is x0's."""
    size = next((i.shape[0] for i in m.inputs if i.shape), None)
    if size is None or not m.chance(0.2):
        return tuple(m.inputs), calls
    n = m.whole(1, 7)
    inputs = [replace(i, batch=i.shape[:1] == (size,) and not i.turned) for i in m.inputs]
    return tuple(inputs), tuple([replace(c, batch=n) if m.chance(0.5) else c for c in calls])


def returned(m: Grower) -> tuple[str, ...]:
    """Some of the names that the step made."""
    made = [n for line in m.body for n in line.defines]
    names = [n for n in made if m.chance(0.4)] or made[-1:]
    names += [n for n in (*m.parameters, *m.buffers) if m.chance(0.03)]
    names += [i.name for i in m.inputs if m.chance(0.05)]
    return tuple(names + ([m.pick(names)] if names and m.chance(0.05) else []))
