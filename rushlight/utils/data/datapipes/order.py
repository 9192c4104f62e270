"""What pipes that shuffle share."""

from __future__ import annotations

import random
from typing import Any, Self

from rushlight.utils.data.sampler import draw_seed


class Shuffled:
    """A pipe in another order in each pass."""

    _shuffle_enabled, seed = True, None

    def set_shuffle(self, shuffle: bool = True) -> Self:
        """Whether to shuffle at all."""
        self._shuffle_enabled = shuffle
        return self

    def set_seed(self, seed: int) -> Self:
        """Seeds the next pass; others draw a seed from the default generator."""
        self.seed: Any = seed
        return self

    def generator(self) -> random.Random:
        """The random numbers of one pass."""
        seed, self.seed = self.seed, None
        return random.Random(draw_seed() if seed is None else seed)
