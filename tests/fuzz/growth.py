"""Growing a random program: the random source, what exists, and the sources of steps.

A maker returns ``(kind, name, args, kwargs)`` for the tensor it is offered, or None if it has no
use for it. About one step in nine is wrong in shape, dtype or state: both libraries must refuse.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from tests.fuzz.common import Drawn, Makers
from tests.fuzz.footguns import KERNEL, avoided
from tests.fuzz.observe import Observation, attempt
from tests.fuzz.program import Array, Machine, Ref, Step
from tests.fuzz.watch import Watch

Draft = tuple[str, str, list[Any], dict[str, Any]] | None
ARGUMENTS = re.compile(
    "does not require grad|can't retain_grad|appears to not have been used|implicitly"
)
maker = Makers()


class Maker(Drawn):
    """The random source, and the tensor in hand: `x`, its reference `X`, its `shape` and `ndim`."""

    def __init__(self, seed: int, lib: Any = torch) -> None:
        self.lib = lib
        self.missing: set[str] = set()
        self.done = False
        self.r = np.random.default_rng(seed)
        self.machine, self.watch = Machine(torch), Watch()
        self.steps: list[Step] = []
        self.seen = Observation()

    # -- choosing ----------------------------------------------------------------------------

    def take(self) -> None:
        """Choose a tensor, more likely a recent one."""
        refs = list(self.machine.tensors)
        self.X = self.pick(refs[-4:]) if self.chance(0.5) else self.pick(refs)
        self.x = self.machine.tensors[self.X]
        self.shape, self.ndim = tuple(self.x.shape), self.x.ndim

    def take_tracked(self) -> None:
        """Choose again until the tensor requires grad; usually, and not for ever."""
        tries = 6 if self.chance(0.85) else 0
        while tries and not self.x.requires_grad:
            self.take()
            tries -= 1

    def tracked(self, count: int) -> list[Ref]:
        """Tensors, nearly all of which require grad."""
        every = list(self.machine.tensors)
        usual = [ref for ref in every if self.machine.tensors[ref].requires_grad] or every
        return [self.pick(every if self.chance(0.1) else usual) for _ in range(count)]

    def dim(self) -> int:
        return self.whole(-self.ndim, self.ndim) if self.ndim else self.pick([0, -1, 0, 1])

    def number(self) -> float | int:
        return self.whole(-2, 3) if self.chance(0.25) else float(np.round(self.r.uniform(-2, 2), 1))

    def array(self, shape: tuple[int, ...], like: Any = None) -> Array:
        """New values; of x's dtype unless said otherwise."""
        dtype = str((self.x if like is None else like).dtype).removeprefix("torch.")
        values = np.asarray(np.round(self.r.uniform(-1.5, 1.5, shape), 2))
        if dtype == "bool":
            return Array(np.asarray(values > 0))
        if dtype in ("int64", "int32"):
            return Array(np.asarray(np.round(values * 2)).astype(dtype))
        if dtype == "bfloat16":
            dtype = "float32"
        return Array(values.astype(dtype))

    def alike(self, shape: tuple[int, ...] | None = None) -> list[Ref]:
        shape = self.shape if shape is None else shape
        return [
            ref
            for ref, t in self.machine.tensors.items()
            if tuple(t.shape) == shape and t.dtype == self.x.dtype
        ]

    def other(self, wrong: float = 0.2) -> Any:
        """An operand that usually fits x: a tensor of its shape, one that broadcasts, or any."""
        if self.chance(0.5):
            return self.pick(self.alike())
        if self.chance(wrong):
            return self.pick(list(self.machine.tensors))
        if self.chance(0.5):
            return self.array(self.shape[self.whole(0, self.ndim + 1) :])
        return self.array(tuple(1 if self.chance(0.3) else n for n in self.shape))

    def index(self) -> Any:
        """A basic index into x."""
        items: list[Any] = []
        d, n_left, ellipsis = 0, self.ndim, False
        while d < n_left and not (items and self.chance(0.15)):
            n, choice = self.shape[d], self.whole(0, 7)
            if choice == 0:
                items.append(None)
                continue
            if choice == 1 and not ellipsis:
                items.append(...)
                ellipsis = True
                d += self.whole(0, n_left - d + 1)
                continue
            items.append(self._slice(choice, n))
            d += 1
        if len(items) == 1 and self.chance(0.5):
            return items[0]
        return tuple(items) if items else ...

    def _slice(self, choice: int, n: int) -> Any:
        if choice in (1, 2):
            return self.whole(-n, n) if n and self.chance(0.95) else self.whole(-3, 4)
        if choice == 3:
            start, stop = sorted((self.whole(0, n + 1), self.whole(0, n + 1)))
            return slice(start, stop)
        if choice == 4:
            return slice(None, None, self.whole(1, 3))
        if choice == 5:
            return slice(self.whole(-n - 1, n + 1), None)
        return slice(None)

    def unique_rows(self, n: int) -> Array:
        return Array(self.r.permutation(n)[: self.whole(1, n + 1)])

    # -- growing -----------------------------------------------------------------------------

    def append(self, draft: Any, recording: bool = True) -> bool:
        """Run a step on torch and keep it, unless it is one to avoid."""
        kind, name, args, kwargs = draft
        step = Step(len(self.steps), kind, name, tuple(args), kwargs, recording)
        if not has(self.lib, step):
            self.missing.add(step.label)
            return False
        if avoided(step, self.machine, self.watch):
            return False
        outcome = attempt(self.machine, step)
        if outcome.error is not None:
            text = str(outcome.error)
            if "INTERNAL ASSERT" in text or (KERNEL.search(text) and self.chance(0.9)):
                return False
        if any(dtype == "torch.complex32" for dtype, _ in outcome.kinds):  # rushlight has none
            for index in range(outcome.made):
                del self.machine.tensors[Ref(step.id, index)]
            return False
        self.watch.after(step, self.machine, outcome)
        if step.kind in ("backward", "grad") and partial(outcome.error):
            self.done = self.watch.partial = True
        self.steps.append(step)
        self.seen.outcomes.append(outcome)
        return True

    def grow(self) -> None:
        """One more random step."""
        while True:
            self.take()
            draft = self.pick_maker()(self)
            if draft is None or self._explodes():
                continue
            recording = draft[0] in ("backward", "grad") or not self.chance(0.12)
            if self.append(draft, recording):
                return

    def pick_maker(self) -> Callable[[Maker], Draft]:
        return maker.drawn(self.r)

    def _explodes(self) -> bool:
        """Large numbers tell rounding from mistakes badly; they are left alone."""
        x = self.x.detach()
        if not x.numel() or not x.dtype.is_floating_point:
            return False
        largest = float(x.abs().max())
        if 0 < largest < 1e4 * torch.finfo(x.dtype).eps:  # what is left of numbers that cancel
            return True
        return not largest <= 1e4  # nor nan, which as an integer is undefined


def partial(error: BaseException | None) -> bool:
    """Whether a backward pass failed on its way, so that it has done some of its work."""
    return error is not None and not ARGUMENTS.search(str(error))


def has(lib: Any, step: Step) -> bool:
    """Whether the library has what the step uses at all; what is missing is counted apart."""
    if step.kind == "function":
        return hasattr(lib, step.name)
    if step.kind == "operator":
        plain = f"__{step.name}__"
        return any(
            getattr(lib.Tensor, name, None) is not getattr(object, name, None)
            for name in (plain, plain.replace("__i", "__", 1))
        )
    if step.kind == "grad":
        return hasattr(lib, "autograd") and hasattr(lib.autograd, "grad")
    return step.kind != "method" or hasattr(lib.Tensor, step.name)
