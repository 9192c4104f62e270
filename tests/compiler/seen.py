"""What there is to see of calls, of a function itself and of it compiled."""

from __future__ import annotations

import collections
from dataclasses import dataclass, field

import numpy as np

import rushlight as rl

CALLS = 6


@dataclass
class Output:
    """A result of a user's."""

    loss: object
    notes: list = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Frozen:
    """A result that nobody changes."""

    loss: object
    count: int = 3


def seen(x):
    """What there is to see of a value."""
    if isinstance(x, rl.Tensor):
        values = x.detach().numpy()
        values = values.round(6) if x.is_floating_point() else values  # less is rounding
        return str(x.dtype), np.vectorize(lambda v: f"{v:.4g}")(values).tolist()
    if isinstance(x, (list, tuple, collections.deque)):
        return type(x).__name__, [seen(v) for v in x]
    if isinstance(x, dict):
        return type(x).__name__, [(k, seen(v)) for k, v in x.items()]
    return repr(x)


def both_ways(case):
    """What a case, which is given ``compile``, has to show without and with it."""
    found = []
    for compile in (lambda f: f, rl.compile):
        rl.manual_seed(0)
        found.append([seen(x) for x in case(compile)])
    return found
