"""Parameters that are given as probabilities or as logits."""

from __future__ import annotations

from typing import Any

from rushlight.core.size import Size
from rushlight.core.tensor import Tensor
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.utils import lazy_property, logits_to_probs, probs_to_logits


class Choice(Distribution):
    """A distribution with ``probs`` and ``logits``, of which one is given and the other follows."""

    _binary = True  # log-odds of single probabilities; else log probabilities along the last dim

    @lazy_property
    def logits(self) -> Tensor:
        """Logarithms of the odds (of the probabilities, where several categories share one)."""
        return probs_to_logits(self.probs, is_binary=self._binary)

    @lazy_property
    def probs(self) -> Tensor:
        """Probabilities."""
        return logits_to_probs(self.logits, is_binary=self._binary)

    @property
    def _param(self) -> Tensor:
        known: dict[str, Any] = self.__dict__
        return known["probs"] if "probs" in known else known["logits"]

    @property
    def param_shape(self) -> Size:
        """Shape of ``probs`` and ``logits``."""
        return self._param.size()
