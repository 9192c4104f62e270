"""Ops that only compiled graphs contain."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.core.op import Op


class OneHot(Op):
    """Whether each position along a new ``dim`` of size ``classes`` is the target's."""

    def eager(self, xp: Any, target: Any, *, classes: int, dim: int) -> Any:
        shape = [1] * (target.ndim + 1)
        shape[dim] = classes
        return np.expand_dims(target, dim) == np.arange(classes).reshape(shape)


class Require(Op):
    """Stops the program if its input is False: the call is then run by the ops themselves, which
    say what is wrong.
    """

    def eager(self, xp: Any, input: Any) -> Any:
        if not input.all():
            raise IndexError("an index is out of range")
        return input


class Settle(Op):
    """Its input, in memory of its own."""

    def eager(self, xp: Any, input: Any) -> Any:
        return np.array(input, order="C")
