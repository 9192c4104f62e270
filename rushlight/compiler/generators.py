"""Where generators of random numbers of Python's and NumPy's stand, and how they go back there."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

TWISTER = "MT19937"


def is_generator(x: Any) -> bool:
    """Whether x is a generator whose place can be told."""
    if type(x) is np.random.RandomState:
        return x.get_state(legacy=False)["bit_generator"] == TWISTER
    if type(x) is np.random.Generator:
        return type(x.bit_generator) in (np.random.PCG64, np.random.PCG64DXSM)
    return type(x) is random.Random


def mark(g: Any) -> Any:
    """Where a generator stands; equal for equal places."""
    if type(g) is random.Random:
        return g.getstate()
    if type(g) is np.random.Generator:
        return g.bit_generator.state
    _, words, *rest = g.get_state()
    return words.tobytes(), rest


def rewind(g: Any, where: Any) -> None:
    """Let a generator stand where it stood."""
    if type(g) is random.Random:
        g.setstate(where)
    elif type(g) is np.random.Generator:
        g.bit_generator.state = where
    else:
        words, rest = where
        g.set_state((TWISTER, np.frombuffer(words, np.uint32), *rest))
