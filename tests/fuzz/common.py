"""What fuzzers share: drawing, where lines come from, and what a run has seen."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


class Drawn:
    """Choices from the random source ``r``."""

    r: np.random.Generator

    def chance(self, p: float) -> bool:
        return bool(self.r.random() < p)

    def pick(self, options: Any) -> Any:
        return options[int(self.r.integers(len(options)))]

    def whole(self, low: int, high: int) -> int:
        return int(self.r.integers(low, high))


class Makers:
    """Sources of lines, each drawn in proportion to its weight."""

    def __init__(self) -> None:
        self.known: list[Any] = []
        self.weights: list[float] = []

    def __call__(self, weight: float) -> Callable[[Any], Any]:
        """Register a function."""

        def register(function: Any) -> Any:
            self.known.append(function)
            self.weights.append(weight)
            return function

        return register

    def drawn(self, r: np.random.Generator) -> Any:
        """One of them."""
        shares = np.array(self.weights) / sum(self.weights)
        return self.known[int(np.searchsorted(np.cumsum(shares)[:-1], r.random()))]


@dataclass
class Mismatch:
    """A difference: its class, for counting, what exactly, and why it is accepted, if it is."""

    kind: str
    detail: str
    step: int | None = None
    reason: str | None = None

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


class Findings:
    """Counts, and the seeds of what differs: accepted, by reason, or not, by kind."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.accepted: dict[str, list[int]] = defaultdict(list)
        self.found: dict[str, list[tuple[int, Mismatch]]] = defaultdict(list)

    def note(self, seed: int, mismatch: Mismatch | None, kind: str = "") -> None:
        """What a program's comparison gave."""
        if mismatch is None:
            self.counts["agree"] += 1
        elif mismatch.reason:
            self.accepted[mismatch.reason].append(seed)
        else:
            self.found[kind or mismatch.kind].append((seed, mismatch))

    def remarks(self) -> list[str]:
        """Lines about anything else."""
        return []

    def __str__(self) -> str:
        lines = [", ".join([f"{n} {name}" for name, n in self.counts.items()]), *self.remarks()]
        for reason, seeds in sorted(self.accepted.items(), key=lambda item: -len(item[1])):
            lines.append(f"{len(seeds):5d} accepted: {reason}, such as {seeds[:6]}")
        for kind, cases in sorted(self.found.items(), key=lambda item: -len(item[1])):
            lines.append(f"{len(cases):5d} DIFFER: {kind}, seeds {[s for s, _ in cases[:12]]}")
            lines.append(f"        {cases[0][1].detail}")
        return "\n".join(lines)
