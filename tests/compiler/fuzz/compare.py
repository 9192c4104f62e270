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
from tests.compiler.fuzz.exact import Exact, explained
from tests.compiler.fuzz.observe import Observation, observe
from tests.compiler.fuzz.program import Program
from tests.compiler.graphs import copied
from tests.fuzz.common import Mismatch

ROUNDING = {"bfloat16": 8e-2, "float16": 2e-2, "float32": 2e-4, "float64": 1e-9}
INTERPRETED = 100_000  # elements of a graph at the most whose loops are run one by one
NOISES = 30  # times that rounding at random is tried: what it decides, it decides in some


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
        found.reason = rounded_reason(program, expected, got, found)
    if found is not None and found.kind == "outcome" and got.error is None:
        every = tuple([n for line in program.body for n in line.defines])
        whole = observe(replace(program, returns=every), rl.compile)
        if type(whole.error) is type(expected.error):
            found.reason = "what nobody reads is not checked"
    return found


def rounded_reason(program: Program, a: Observation, b: Observation, found: Mismatch) -> str | None:
    """Why rounding explains a difference, if it does: by what the same calls give in float64, and
    in float64 with noise.
    """
    call, name = where(found), found.detail.partition(", ")[2].partition(": ")[0]
    upto = replace(program, calls=program.calls[: call + 1])
    e, c = a.calls[call], b.calls[call]
    exact, overflowed = observed_exactly(upto, 0.0)
    others = [e[name]]
    for seed in range(NOISES):
        noisy, _ = observed_exactly(upto, 1.0, seed)
        if any([len(r.calls) <= call or name not in r.calls[call] for r in (exact, noisy)]):
            return None
        x, y = exact.calls[call], noisy.calls[call]
        if not (x["random state"] == e["random state"]).all():
            return None
        others.append(y[name])
        reason = explained(x[name], c[name], others, overflowed)
        if reason:
            return reason
    return None


def observed_exactly(program: Program, noise: float, seed: int = 0) -> tuple[Observation, bool]:
    """The program, its compiled calls in float64; whether a result there was too large."""
    build, made = pipeline.build, []

    def wide(graph: Graph, backend: str | None = None, room: Any = None) -> Any:
        if room is not None:
            return build(graph, backend, room)
        made.append(Exact(graph, noise, seed))
        return made[-1]

    pipeline.build = wide
    try:
        seen = observe(program, rl.compile)
    finally:
        pipeline.build = build
    failed = [text for text in seen.warned if "compiler failed" in text]
    assert not failed, failed  # what was seen would be eager code
    return seen, any([program.overflowed for program in made])


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
                return Mismatch(name, text, reason=rounded(graph, inputs, v, x, y))
    return None


def rounded(graph: Graph, inputs: list[Any], v: Value, x: Any, y: Any) -> str | None:
    """Why rounding explains that y is not the reference's array x of a value, if it does."""
    state, at = rl.get_rng_state(), [e.number for e in graph.ends()].index(v.number)
    programs = [Exact(graph), *[Exact(graph, 1.0, seed) for seed in range(NOISES)]]
    exact, others = None, [x]
    for program in programs:
        outputs = empty_outputs(graph)
        rl.set_rng_state(state)
        program.run(inputs, outputs)
        if exact is None:
            exact = outputs[at]
            continue
        others.append(outputs[at])
        reason = explained(exact, y, others, programs[0].overflowed)
        if reason:
            break
    rl.set_rng_state(state)
    return reason


def coarsest(graph: Graph) -> float:
    """The rounding of the least precise dtype of a graph."""
    values = [i.value for i in graph.inputs] + [v for n in graph.nodes for v in n.outputs]
    return max([ROUNDING.get(v.dtype.name, 0.0) for v in values], default=0.0)
