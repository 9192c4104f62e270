"""Two observations of one program: where do they first differ? And one graph on three backends."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import rushlight as rl
from rushlight.compiler import pipeline
from rushlight.compiler.graph import Graph, Value
from rushlight.compiler.program import empty_outputs
from tests.compiler.fuzz.exact import Exact, no_farther
from tests.compiler.fuzz.observe import Observation, observe
from tests.compiler.fuzz.program import Program
from tests.compiler.graphs import copied
from tests.fuzz.common import Mismatch

ROUNDING = {"bfloat16": 8e-2, "float16": 2e-2, "float32": 2e-4, "float64": 1e-9}
SCALING = ("Adam", "RMSprop", "Adagrad", "Adadelta", "Rprop")
JITTER = (8.0, -8.0, 20.0)
INTERPRETED = 100_000  # elements of a graph at the most whose loops are run one by one
ROUNDED = "eager code, or rounding at random, is as far from the exact result"


class Recorded:
    """Keeps the graphs that are built, with their native programs."""

    def __init__(self) -> None:
        self.built: list[tuple[Graph, Any]] = []
        self.build = pipeline.build

    def __enter__(self) -> Recorded:
        def build(graph: Graph, backend: str | None = None, room: Any = None) -> Any:
            program = self.build(graph, backend, room)
            if room is None:  # else eager code's
                self.built.append((graph, program))
            return program

        pipeline.build = build
        return self

    def __exit__(self, *exc: object) -> None:
        pipeline.build = self.build


@dataclass
class Outcome:
    """What a check found, and whether the program was compiled at all."""

    mismatch: Mismatch | None
    eager: str | None = None
    captured: int = 0


def check(program: Program) -> Outcome:
    """Compare compiled and eager, then the captured graphs on all backends."""
    expected = observe(program)
    with Recorded() as recorded:
        got = observe(program, rl.compile)
    compiled = getattr(got.compiled, "_compiled", None)
    eager = None if compiled is None else compiled.eager
    coarse = max([coarsest(graph) for graph, _ in recorded.built], default=ROUNDING["float32"])
    found = difference(program, expected, got, coarse)
    if found is None:
        for graph, native in recorded.built:
            found = found or backends(graph, native, got.arguments)
    return Outcome(found, eager, len(recorded.built))


def difference(
    program: Program, expected: Observation, got: Observation, coarse: float
) -> Mismatch | None:
    """The first difference that rounding does not explain."""
    for text in got.warned:
        if "compiler failed" in text:
            return Mismatch("compiler error", text)
    found = first(expected, got, coarse)
    if found is not None and found.kind == "value":
        for jitter in JITTER:
            again = first(expected, observe(program, jitter=jitter), coarse)
            if again is not None and where(again) <= where(found):
                found.reason = "ill-conditioned"
        if found.reason is None and scales_rounding(program, expected, got, where(found)):
            found.reason = "an optimizer scales a gradient that is rounding"
        if found.reason is None and rounds_as_much(program, expected, got, found):
            found.reason = ROUNDED
    if found is not None and found.kind == "outcome" and got.error is None:
        every = tuple([n for line in program.body for n in line.defines])
        whole = observe(replace(program, returns=every), rl.compile)
        if type(whole.error) is type(expected.error):
            found.reason = "what nobody reads is not checked"
    return found


def scales_rounding(program: Program, a: Observation, b: Observation, call: int) -> bool:
    """Whether an optimizer that divides gradients by their size met one that would be zero but for
    rounding: one so small, or so small that the two do not agree even about its size.
    """
    if not any(name in program.source() for name in SCALING):
        return False
    for x, y in zip(a.calls[: call + 1], b.calls, strict=False):
        for name in [n for n in x if n.endswith(".grad")]:
            g, h = x[name], y.get(name)
            if g is None or h is None or g.shape != h.shape:
                continue
            size, gap = np.maximum(np.abs(g), np.abs(h)), np.abs(g - h)
            if ((size > 0) & ((size < 1e-6) | ((size < 1e-4) & (gap > 0.2 * size)))).any():
                return True
    return False


def rounds_as_much(program: Program, a: Observation, b: Observation, found: Mismatch) -> bool:
    """Whether the compiled result is about as close to what the same calls give in float64 as the
    eager one, or as float64 with noise.
    """
    call, name = where(found), found.detail.partition(", ")[2].partition(": ")[0]
    runs = [observed_exactly(program, noise) for noise in (0.0, 1.0)]
    if any([len(r.calls) <= call or name not in r.calls[call] for r in runs]):
        return False
    x, noisy, e, c = [r.calls[call] for r in (*runs, a, b)]
    alike = (x["random state"] == e["random state"]).all()
    return bool(alike and no_farther(x[name], c[name], [e[name], noisy[name]]))


def observed_exactly(program: Program, noise: float) -> Observation:
    """The program, its compiled calls in float64."""
    build = pipeline.build

    def wide(graph: Graph, backend: str | None = None, room: Any = None) -> Any:
        return Exact(graph, noise) if room is None else build(graph, backend, room)

    pipeline.build = wide
    try:
        return observe(program, rl.compile)
    finally:
        pipeline.build = build


def where(m: Mismatch) -> int:
    """The call of a difference."""
    return int(m.detail.partition("call ")[2].partition(",")[0])


def first(a: Observation, b: Observation, coarse: float) -> Mismatch | None:
    """The first difference."""
    for k, (x, y) in enumerate(zip(a.calls, b.calls, strict=False)):
        for name in [*x, *[n for n in y if n not in x]]:
            problem = unlike(x.get(name), y.get(name), coarse)
            if problem:
                kind = "value" if problem[0] == "v" else "kind of value"
                return Mismatch(kind, f"call {k}, {name}: {problem[1:]}")
    if len(a.calls) != len(b.calls) or type(a.error) is not type(b.error):
        at = min(len(a.calls), len(b.calls))
        return Mismatch("outcome", f"call {at}, eager {a.error!r} | compiled {b.error!r}")
    if a.error is not None and str(a.error) != str(b.error):
        return Mismatch("message", f"call {len(a.calls)}, eager {a.error} | compiled {b.error}")
    if a.stale is None and b.stale is not None:
        return Mismatch("stale", f"{b.stale} was overwritten")
    return None


def unlike(x: Any, y: Any, coarse: float) -> str | None:
    """How two facts differ; "v..." where only numbers do."""
    if x is None or y is None:
        return None if x is y else f"keager {x} | compiled {y}"
    if (x.shape, x.dtype) != (y.shape, y.dtype):
        return f"keager {x.dtype}{x.shape} | compiled {y.dtype}{y.shape}"
    if close(x, y, coarse):
        return None
    return f"veager {brief(x)} | compiled {brief(y)}"


def brief(x: np.ndarray) -> str:
    return np.array2string(x.ravel()[:6], precision=6, separator=",").replace("\n", "")


def close(x: np.ndarray, y: np.ndarray, rtol: float) -> bool:
    """Equal up to what a different order of summation may change."""
    if x.dtype.kind in "biu":
        return bool((x == y).all())
    finite = np.abs(x[np.isfinite(x)])
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    return bool(np.allclose(x, y, rtol=rtol, atol=rtol * 0.1 * scale, equal_nan=True))


# The backends


def backends(graph: Graph, native: Any, arguments: list[Any]) -> Mismatch | None:
    """Native code, the loops and the ops on the same inputs."""
    inputs = [current(i, arguments) for i in graph.inputs]
    if any(a is None for a in inputs):
        return None
    state, results = rl.get_rng_state(), {}
    programs = {"reference": pipeline.build(graph, "reference"), "native": native}
    if elements(graph) <= INTERPRETED:
        programs["loops"] = pipeline.build(graph, "loops")
    if native.native_only:
        programs["kept on disk"] = copied(native)
    for name, program in programs.items():
        rl.set_rng_state(state)
        outputs = empty_outputs(graph)
        try:
            program.run([a.copy() if isinstance(a, np.ndarray) else a for a in inputs], outputs)
        except (IndexError, ValueError, RuntimeError) as error:
            outputs = error
        results[name] = outputs
    return disagreement(graph, inputs, results)


def elements(graph: Graph) -> int:
    """Of all its values."""
    return sum([math.prod(v.shape) for n in graph.nodes for v in n.outputs])


def current(entry: Any, arguments: list[Any]) -> Any:
    """An input's array or number now; None where a call has other shapes."""
    if entry.kind == "constant":
        return entry.source
    if entry.kind == "number":
        return entry.source()
    if entry.source is None:  # a gradient, of which programs keep none: any numbers will do
        v = entry.value
        return np.linspace(-1, 1, math.prod(v.shape)).astype(v.dtype).reshape(v.shape)
    t = arguments[entry.source] if entry.kind == "argument" else entry.source
    a = t._array
    return a if (a.shape, a.dtype) == (entry.value.shape, entry.value.dtype) else None


def disagreement(graph: Graph, inputs: list[Any], results: dict[str, Any]) -> Mismatch | None:
    """Where a backend differs from the reference."""
    expected = results.pop("reference")
    for name, outputs in results.items():
        if isinstance(outputs, Exception) or isinstance(expected, Exception):
            if type(outputs) is not type(expected):
                return Mismatch(f"{name} outcome", f"{expected!r} | {outputs!r}")
            continue
        coarse = coarsest(graph)
        for v, x, y in zip(graph.ends(), expected, outputs, strict=True):
            if not close(x, y, coarse):
                text = f"{v}: reference {brief(x)} | {name} {brief(y)}"
                reason = overflowing(inputs, x) or unstable(graph, inputs, expected)
                return Mismatch(name, text, reason=reason or rounded(graph, inputs, v, x, y))
    return None


def overflowing(inputs: list[Any], x: Any) -> str | None:
    """Whether training has diverged, so that what is infinite depends on the order of sums."""
    real = [a for a in inputs if isinstance(a, np.ndarray) and a.dtype in (np.float32, np.float64)]
    huge = any([(np.abs(a) > np.sqrt(np.finfo(a.dtype).max)).any() for a in real])
    return "squares of its numbers overflow" if huge and not np.isfinite(x).all() else None


def rounded(graph: Graph, inputs: list[Any], v: Value, x: Any, y: Any) -> str | None:
    """Whether y is about as close to the exact array of a value as the reference's x, or noise."""
    state, at = rl.get_rng_state(), [e.number for e in graph.ends()].index(v.number)
    found = []
    for noise in (0.0, 1.0):
        outputs = empty_outputs(graph)
        rl.set_rng_state(state)
        Exact(graph, noise).run(inputs, outputs)
        found.append(outputs[at])
    rl.set_rng_state(state)
    return ROUNDED if no_farther(found[0], y, [x, found[1]]) else None


def coarsest(graph: Graph) -> float:
    """The rounding of the least precise dtype of a graph."""
    values = [i.value for i in graph.inputs] + [v for n in graph.nodes for v in n.outputs]
    return max([ROUNDING.get(v.dtype.name, 0.0) for v in values], default=0.0)


def unstable(graph: Graph, inputs: list[Any], expected: list[Any]) -> str | None:
    """Whether the reference itself changes as much when inputs do in the last digits."""
    from tests.compiler.fuzz.program import jittered

    for jitter in JITTER:
        outputs, state = empty_outputs(graph), rl.get_rng_state()
        moved = [jittered(a.copy(), jitter) if isinstance(a, np.ndarray) else a for a in inputs]
        pipeline.build(graph, "reference").run(moved, outputs)
        rl.set_rng_state(state)
        if not all(close(x, y, coarsest(graph)) for x, y in zip(expected, outputs, strict=True)):
            return "ill-conditioned"
    return None
