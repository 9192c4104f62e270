"""What tests put around a compiled function."""

from __future__ import annotations

import queue
import types
from dataclasses import dataclass, field

import rushlight as rl
from rushlight import nn

X = rl.ones(4, 3)
CALLS = 12


def plain(f):
    """In place of ``compile``."""
    return f


@dataclass
class Settings:
    """Some of a user's."""

    scale: float = 1.0
    parts: list = field(default_factory=lambda: [1.0])

    kind = 1.0


class Slotted:
    """Settings in slots."""

    __slots__ = ("scale", "table")

    def __init__(self):
        self.scale, self.table = 1.0, rl.ones(3)


class Base:
    """What another class inherits from."""

    kind = 1.0

    def factor(self, by=1.0):
        """What a method computes."""
        return by * self.kind


class Heir(Base):
    """It inherits all that it has."""

    @property
    def inner(self):
        """An attribute that is computed."""
        return self._inner

    _inner = 1.0


class Doubled(nn.Module):
    """A module of the user's."""

    scale = 2.0

    def forward(self, x):
        return x * self.scale


def scaled(x, by=1.0, *, plus=0.0, table=(1.0,)):
    """A function with defaults."""
    return x * by + plus + table[0]


def fresh(cls):
    """A class like another, whose attributes a test may change."""
    own = {k: v for k, v in cls.__dict__.items() if k not in ("__dict__", "__weakref__")}
    return type(cls.__name__, cls.__bases__, own)


def heir():
    """An object whose class and base class a test may change."""
    return type("Heir", (fresh(Base),), {"inner": Heir.inner, "_inner": 1.0})()


def function():
    """A function that a test may change."""
    made = types.FunctionType(scaled.__code__, globals(), "scaled", scaled.__defaults__)
    made.__kwdefaults__ = {"plus": 0.0, "table": [1.0]}
    made.factor = 1.0
    return made


def queue_of_numbers():
    """Something of Python's own that has a state."""
    q = queue.Queue()
    q.put(1)
    return q


class Factor(rl.autograd.Function):
    """A function whose gradient is what a list says."""

    @staticmethod
    def forward(ctx, x, factors):
        ctx.factors = factors
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return g * ctx.factors[0], None


def gradient_of(factors):
    """What the list says."""
    x = X.detach().clone().requires_grad_()
    Factor.apply(x, factors).sum().backward()
    return x.grad


class Keeper:
    """An object with memory."""

    def __init__(self):
        self.count, self.history, self.table, self.state = 0, [], {}, rl.zeros(4, 3)
        self.inner = Settings()
