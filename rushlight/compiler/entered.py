"""Programs that are entered directly without being a variant of a compiled function."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import Tensor


class Entered:
    """What an entry asks for in the place of a ``Variant``, see Note [Entry] in
    backends/llvm/entry.py: nothing is written, and there are no guards, unless a subclass says so.

    ``sources``: place, kind and source of each input that is no constant; ``inputs``: what these
    are now; ``sets``: of arrays that results are written to.
    """

    of_arrays = False  # whether arrays are given, and no tensors or other objects
    sources: list[tuple[int, str, Any]]
    inputs: list[Any]
    graph: Any

    def __init__(self) -> None:
        self.sets: list[list[Any]] = [[]]
        self.updates: list[tuple[int, str, Any]] = []
        self.guards: list[Any] = []
        self.gradients: dict[int, Tensor] = {}
        self.no_grads: list[Tensor] = []
        self.standing: list[Tensor] = []
        # gradients that are made anew: there are none
        self.leaves: list[Tensor] = []
        self.absent: list[bool] = []
        self.buffers, self.arrays = self, list[Any]()

    def updated(self) -> list[Any]:
        """The arrays that are written to."""
        return [t._array for _, _, t in self.updates]
