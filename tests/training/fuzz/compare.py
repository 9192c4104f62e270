"""Two runs of a program: the first difference.

Tolerances follow from the dtype, and from the program: where torch itself, with first weights that
differ in their last digits, gets results that differ by more (signs of gradients that are zero but
for rounding, say), so may rushlight.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.fuzz.common import Mismatch
from tests.training.fuzz.observe import Seen, observe

MODES = ("eager", "step", "model")
# relative to a tensor's largest element; absolute; change of the first weights
ROUNDING = {"float64": (1e-9, 1e-11, 4e-16), "float32": (3e-4, 3e-6, 2e-7)}
MAGNIFIED = 300.0  # times what such a change makes of a value may be a difference
WILD = 1e-2  # of what is changed by more than this, nothing can be said

LAXER = (  # errors of torch's for what rushlight does, see docs/differences.md
    "is not implemented",
    "must have the same dtype",
)
EXACT = ("start", "random")


def compared(text: str, mode: str, expected: Seen) -> tuple[Mismatch | None, list[str]]:
    """What a mode's run shows that torch's did not, and what the compiler said."""
    seen = observe(text, mode)
    return (of_errors if seen.error or expected.error else of_values)(
        text, mode, seen, expected
    ), seen.said


def of_values(text: str, mode: str, seen: Seen, expected: Seen) -> Mismatch | None:
    """The first difference that rounding does not explain."""
    for said in seen.said:
        if "defect" in said:
            return Mismatch(f"{mode} defect", said)
    relative, absolute, jitter = ROUNDING["float64" if "float64" in text else "float32"]
    bounds = {
        name: relative * largest(value) + absolute
        for name, _, value in expected.values
        if is_float(value)
    }
    found = difference(mode, seen, expected, bounds)
    if found is None or not found.kind.endswith("values"):
        return found
    widen(bounds, expected, [observe(text, "torch", jitter, seed) for seed in (1, 2, 3)])
    found = difference(mode, seen, expected, bounds)
    if found is None:
        return Mismatch(f"{mode} values", "", reason="rounding that the program magnifies")
    return found


def widen(bounds: dict[str, float], expected: Seen, changed: list[Seen]) -> None:
    """Let values differ as they do when the first weights change in their last digits."""
    spread = 0.0
    for (name, _, value), *others in zip(
        expected.values, *[c.values for c in changed], strict=True
    ):
        if not isinstance(value, str):
            own = max([distance(value, other[2]) for other in others])
            spread = max(spread, own)
            wild = MAGNIFIED * spread > WILD
            bounds[name] = np.inf if wild else bounds.get(name, 0) + MAGNIFIED * own


def of_errors(text: str, mode: str, seen: Seen, expected: Seen) -> Mismatch | None:
    """Both must end with one kind of error, at one line."""
    ours, theirs = seen.error, expected.error
    if ours and theirs and ours[0] is theirs[0] and ours[2] == theirs[2]:
        return None
    found = Mismatch(f"{mode} error", f"{ours}; torch: {theirs}")
    if theirs and any(words in theirs[1] for words in LAXER):
        found.reason = "torch cannot"
    return found


def difference(mode: str, seen: Seen, expected: Seen, bounds: dict[str, float]) -> Mismatch | None:
    """The first difference beyond bounds."""
    for (name, kind, value), (known, other_kind, other) in zip(
        seen.values, expected.values, strict=False
    ):
        if (name, kind) != (known, other_kind):
            return Mismatch(f"{mode} kinds", f"{name}: {kind}; torch: {known}: {other_kind}")
        if isinstance(value, str):
            if value != other:
                return Mismatch(f"{mode} text", f"{name}: {value}; torch: {other}")
            continue
        if value.shape != other.shape:
            return Mismatch(f"{mode} shape", f"{name}: {value.shape}; torch: {other.shape}")
        exact = name.split(" ")[1].split(".")[0] in EXACT and name[-2:] not in ("_u", "_v")
        apart = distance(value, other)
        if apart > (0 if exact else bounds.get(name, 0)):
            return Mismatch(
                f"{mode} {'bits' if exact else 'values'}",
                f"{name}: differs by {apart:.3g}, of {largest(other):.3g}",
            )
    if len(seen.values) != len(expected.values):
        return Mismatch(f"{mode} length", f"{len(seen.values)}; torch: {len(expected.values)}")
    return None


def is_float(value: Any) -> bool:
    """Whether a value is rounded."""
    return not isinstance(value, str) and value.dtype.kind == "f"


def largest(value: Any) -> float:
    """The largest finite element."""
    return float(np.abs(np.where(np.isfinite(value), value, 0)).max(initial=0))


def distance(value: Any, other: Any) -> float:
    """How far two arrays are apart; infinite where only one is finite."""
    if value.shape != other.shape:
        return np.inf
    if value.dtype.kind != "f":
        return float((value != other).any())
    same = (value == other) | (np.isnan(value) & np.isnan(other))
    with np.errstate(invalid="ignore"):
        apart = np.abs(np.where(same, 0, value - other))
    return float(np.where(np.isnan(apart), np.inf, apart).max(initial=0))
