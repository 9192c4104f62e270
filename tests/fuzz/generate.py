"""A random program, grown while it runs on torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tests.fuzz import makers_state, makers_values  # noqa: F401  (where steps come from)
from tests.fuzz.growth import Maker
from tests.fuzz.observe import look, quiet
from tests.fuzz.program import Array


def generate(seed: int, length: int = 28, lib: Any = torch) -> Maker:
    """A random program with what torch made of it: `.steps`, `.seen` and `.watch`.

    It uses nothing that `lib` lacks; the same seed gives the same program once it lacks nothing.
    """
    m = Maker(seed, lib)
    with quiet():
        for i in range(3):
            shape = tuple(m.r.integers(1, 4, m.whole(1, 4)).tolist())
            values = np.round(m.r.uniform(-1.5, 1.5, shape), 2)
            m.append(("create", "", [Array(values)], {"requires_grad": i < 2}))
        for _ in range(length):
            if not m.done:
                m.grow()
        look(m.machine, m.seen)
    return m
