"""Two observations of one program: where do they first differ?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.fuzz.common import Mismatch
from tests.fuzz.footguns import accepted
from tests.fuzz.observe import Observation, attempt, observe, quiet
from tests.fuzz.program import Machine, Ref, Step
from tests.fuzz.watch import Watch

ROUNDING = {"float16": 8e-2, "bfloat16": 8e-2, "float32": 1e-4, "complex64": 1e-4}


def difference(
    program: Sequence[Step],
    reference: Any,
    lib: Any,
    known: tuple[Observation, Watch] | None = None,
) -> Mismatch | None:
    """Run `program` on both libraries and compare; `known` is what the reference gave already."""
    if known is None:
        watch = Watch()
        known = observe(program, reference, watch=watch), watch
    expected, watch = known
    got = observe(program, lib, expected)
    if got.stopped_at is not None:
        return _outcome(program, reference, expected, got)
    found = _first(expected, got, watch)
    if found is not None and found.kind in ("value", "gradient", "hook value"):
        _excuse_rounding(found, program, reference, expected, watch)
        if found.kind == "value" and not found.reason:
            _excuse_tie(found, program, (reference, lib), expected, watch)
    return found


def _outcome(
    program: Sequence[Step], reference: Any, expected: Observation, got: Observation
) -> Mismatch:
    i = got.stopped_at
    assert i is not None
    step, a, b = program[i], expected.outcomes[i], got.outcomes[i]
    machine = Machine(reference)
    with quiet():
        for earlier in program[:i]:
            attempt(machine, earlier)
        reason = accepted(step, machine, a, b)
    kind = "outcome"
    if a.error is not None and b.error is not None:
        kind = "error type"
    elif a.error is None and b.error is None:
        kind = "result"
    detail = f"{step.label}: torch {_brief(a)} | ours {_brief(b)}"
    return Mismatch(kind, detail, i, reason)


def _brief(outcome: Any) -> str:
    if outcome.error is not None:
        return f"{type(outcome.error).__name__}: {str(outcome.error)[:110]}"
    return f"ok {outcome.kinds} {outcome.plain if outcome.plain is not None else ''}"


def _first(a: Observation, b: Observation, watch: Watch) -> Mismatch | None:
    coarse = coarsest(a)
    for ref, x in a.tensors.items():
        y = b.tensors[ref]
        where = f"v{ref.step}[{ref.index}]"
        if (x.dtype, x.values.shape) != (y.dtype, y.values.shape):
            return Mismatch("dtype or shape", f"{where}: {x.dtype} {y.dtype}", ref.step)
        if not close(x.values, y.values, coarse or x.dtype):
            return Mismatch(
                "value", f"{where}: torch {_show(x.values)} | ours {_show(y.values)}", ref.step
            )
        for name, fact in x.facts.items():
            if name in ("_version", "retains_grad") and ref in watch.unversioned:
                continue
            if name in ("requires_grad", "is_leaf") and ref in watch.derived and not x.values.any():
                continue  # see footguns: gradients that are zero
            if fact != y.facts[name]:
                return Mismatch(name, f"{where}: torch {fact} | ours {y.facts[name]}", ref.step)
        found = _gradients(where, ref, x.gradient, y.gradient, coarse, watch)
        if found is not None and not watch.partial:
            return found
        if ref not in watch.loose and x.strides != y.strides:
            return Mismatch("strides", f"{where}: torch {x.strides} | ours {y.strides}", ref.step)
    found = None if watch.partial else _hooks(a, b, coarse)
    return found or _aliasing(a, b, watch)


def coarsest(seen: Observation) -> str | None:
    """The least precise dtype: one such tensor makes all that follows from it as coarse."""
    present = {x.dtype for x in seen.tensors.values()}
    return next(
        (d for d in ("torch.bfloat16", "torch.float16", "torch.float32") if d in present), None
    )


def _gradients(
    where: str, ref: Ref, x: Any, y: Any, coarse: str | None, watch: Watch
) -> Mismatch | None:
    if (x is None) != (y is None):
        return Mismatch("gradient set", f"{where}: torch {x} | ours {y}", ref.step)
    if x is None:
        return None
    # see footguns: torch leaves some gradients that are zero out of the graph
    recorded = x[2] == y[2] or (watch.recorded and y[2])
    if x[1] != y[1] or not recorded or x[0].shape != y[0].shape:
        return Mismatch("gradient dtype", f"{where}: torch {x[1:]} | ours {y[1:]}", ref.step)
    if not close(x[0], y[0], coarse or x[1]):
        return Mismatch("gradient", f"{where}: torch {_show(x[0])} | ours {_show(y[0])}", ref.step)
    return None


def _hooks(a: Observation, b: Observation, coarse: str | None) -> Mismatch | None:
    order, our_order = [key for key, _ in a.hooks], [key for key, _ in b.hooks]
    if order != our_order:
        return Mismatch("hook order", f"torch {order} | ours {our_order}")
    for (key, x), (_, y) in zip(a.hooks, b.hooks, strict=True):
        if (x is None) != (y is None) or (
            x is not None and not close(x, y, coarse or str(y.dtype))
        ):
            return Mismatch("hook value", f"v{key}: torch {x} | ours {y}", key)
    return None


def _aliasing(a: Observation, b: Observation, watch: Watch) -> Mismatch | None:
    """Which tensors share memory."""
    refs = [
        ref
        for ref, x in a.tensors.items()
        if ref not in watch.foreign and isinstance(x.memory, np.ndarray) and x.memory.size
    ]
    for i, first in enumerate(refs):
        for second in refs[:i]:
            x = np.shares_memory(a.tensors[first].memory, a.tensors[second].memory)
            y = np.shares_memory(b.tensors[first].memory, b.tensors[second].memory)
            if x != y:
                names = f"v{second.step}[{second.index}] and v{first.step}[{first.index}]"
                return Mismatch("aliasing", f"{names}: torch {x} | ours {y}", first.step)
    return None


def close(x: np.ndarray, y: np.ndarray, dtype: str) -> bool:
    """Equal up to what a different order of summation may change."""
    if x.shape != y.shape:
        return False
    if x.dtype.kind not in "fc":
        return bool((x == y).all())
    if x.dtype.kind == "c":  # which part becomes nan depends on how complex numbers are divided
        x, y = (np.where(np.isfinite(z), z, np.nan) for z in (x, y))
    else:  # the sign of a zero, and so of what is divided by it, is rounding too
        x, y = (np.where(np.isinf(z), np.inf, z) for z in (x, y))
    rtol = ROUNDING.get(dtype.removeprefix("torch."), 1e-7)
    finite = np.abs(x[np.isfinite(x)])
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    return bool(np.allclose(x, y, rtol=rtol, atol=rtol * 0.1 * scale, equal_nan=True))


def _show(x: np.ndarray) -> str:
    return np.array2string(x.ravel()[:6], precision=6, separator=",").replace("\n", "")


def _excuse_rounding(
    found: Mismatch, program: Sequence[Step], reference: Any, expected: Observation, watch: Watch
) -> None:
    """Nothing is wrong if torch itself changes as much when its inputs do in the last digits."""
    for jitter in (8, -8, 5):
        moved = observe(program, reference, expected, jitter=jitter)
        if moved.stopped_at is not None:
            found.reason = "ill-conditioned"
            return
        again = _first(expected, moved, watch)
        if again is not None and again.kind == found.kind and again.step == found.step:
            found.reason = "ill-conditioned"
            return


def _excuse_tie(
    found: Mismatch, program: Sequence[Step], libs: Any, expected: Observation, watch: Watch
) -> None:
    """A truth value that hangs on the last digit: both agree as soon as the inputs are moved."""
    if any(x.values.dtype.kind == "f" for r, x in expected.tensors.items() if r.step == found.step):
        return
    moved = [observe(program, lib, jitter=8) for lib in libs]
    if moved[0].tensors.keys() == moved[1].tensors.keys() and _first(*moved, watch) is None:
        found.reason = "ill-conditioned"
