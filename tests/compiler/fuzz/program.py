"""A program: lines of Python that set up a training step, make it, and happen between its calls."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

import numpy as np

NAME = re.compile(r"\b[a-z]+\d+\b")
HEAD = "import rushlight as torch\nfrom rushlight import nn\nimport rushlight.nn.functional as F\n"


@dataclass(frozen=True)
class Line:
    """One statement and the names it binds."""

    text: str
    defines: tuple[str, ...] = ()

    def uses(self) -> set[str]:
        """Names that it reads."""
        return set(NAME.findall(self.text)) - set(self.defines)


@dataclass(frozen=True)
class Input:
    """An argument of the step. kind: "normal", "bool", or "index" (integers below ``high``).
    ``turned``: its memory lies column by column. ``batch``: its first dim may be another in a call.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    kind: str = "normal"
    high: int = 0
    turned: bool = False
    batch: bool = False

    def values(self, r: np.random.Generator, batch: int | None) -> np.ndarray:
        """Its array in a call."""
        shape = self.shape if batch is None or not self.batch else (batch, *self.shape[1:])
        if self.kind == "index":
            a = r.integers(0, self.high, shape)
        elif self.kind == "bool":
            a = r.random(shape) < 0.5
        elif "int" in self.dtype:
            a = r.integers(0 if self.dtype == "uint8" else -4, 5, shape)
        else:
            a = np.round(r.uniform(-1.5, 1.5, shape), 2)
        a = np.asarray(a).astype(self.dtype)
        return a.T.copy().T if self.turned else a


@dataclass(frozen=True)
class Call:
    """What happens before a call: lines outside of the step, and another size of the batch."""

    before: tuple[Line, ...] = ()
    batch: int | None = None
    keep: bool = False  # somebody holds on to the results and gradients


@dataclass(frozen=True)
class Program:
    """``setup`` runs once, ``body`` is the step; ``returns`` are names that it gives back."""

    seed: int
    setup: tuple[Line, ...] = ()
    inputs: tuple[Input, ...] = ()
    body: tuple[Line, ...] = ()
    returns: tuple[str, ...] = ()
    calls: tuple[Call, ...] = field(default_factory=lambda: (Call(),) * 4)

    def step(self) -> str:
        """The step's source."""
        lines = [f"def step({', '.join([i.name for i in self.inputs])}):"]
        lines += ["    " + part for line in self.body for part in line.text.split("\n")]
        made = ", ".join([f"{n}.detach()" if n[0] in "vl" else n for n in self.returns])
        return "\n".join([*lines, f"    return [{made}]"])

    def source(self) -> str:
        """All of it as a script; ``data`` stands for the arguments of a call."""
        parts = [HEAD.rstrip(), f"torch.manual_seed({self.seed})"]
        parts += [line.text for line in self.setup]
        parts.append(self.step())
        for i in self.inputs:
            parts.append(f"# {i}")
        for k, call in enumerate(self.calls):
            parts += [line.text for line in call.before]
            batch = "" if call.batch is None else f", batch={call.batch}"
            parts.append(f"step(*data({k}{batch})){'  # kept' if call.keep else ''}")
        return "\n".join(parts)

    def without(self, gone: set[str], lines: set[int]) -> Program:
        """The program without some lines (by id) and all that needs what they define."""
        gone = set(gone)

        def keep(all_of: tuple[Line, ...]) -> tuple[Line, ...]:
            kept = []
            for line in all_of:
                if id(line) in lines or line.uses() & gone:
                    gone.update(line.defines)
                else:
                    kept.append(line)
            return tuple(kept)

        setup = keep(self.setup)
        inputs = tuple([i for i in self.inputs if i.name not in gone])
        body = keep(self.body)
        calls = tuple([replace(c, before=keep(c.before)) for c in self.calls])
        returns = tuple([n for n in self.returns if n not in gone])
        return Program(self.seed, setup, inputs, body, returns, calls)

    def data(self, call: int) -> list[np.ndarray]:
        """The arguments' arrays of a call."""
        r = np.random.default_rng((self.seed, call))
        return [i.values(r, self.calls[call].batch) for i in self.inputs]
