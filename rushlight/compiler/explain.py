"""What a compiled function has become, for people: captures, graph, launches with times, memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.compiler.staged import Stage, Staged
from rushlight.compiler.steps import Call, summary
from rushlight.compiler.variant import Variant
from rushlight.ops.device import where

RUNS = 5  # of each launch; the shortest counts


def explain(function: Any, *args: Any, **kwargs: Any) -> str:
    """What a compiled function has become: for each signature its graph, and its launches with the
    time that each takes and the memory that the program needs; or why it runs eagerly.

    Args:
        function: what ``compile`` returned, or a compiled module.
        args, kwargs: with arguments, the function is called until it is captured, which takes two
            calls the first time; a training step trains.

    Times are of runs on copies, in microseconds. Memory is in bytes, beside that of parameters,
    buffers, optimizer state and arguments: the program allocates exactly this. Of what runs on a
    GPU it is said which steps do, and which run on the CPU, as there is no kernel for them.

    Example:
        >>> import rushlight as torch
        >>> double = torch.compile(lambda x: x * 2)
        >>> print(torch.compiler.explain(double))
        not captured yet: that happens at the second call of a signature.
    """
    compiled = getattr(function, "_compiled", None)
    if compiled is None:
        compiled = getattr(getattr(function, "_compiled_call_impl", None), "_compiled", None)
    if compiled is None:
        raise TypeError(
            f"explain: expected a function or module that compile() returned, but got "
            f"{type(function).__name__}."
        )
    for _ in range(3 if args or kwargs else 0):
        function(*args, **kwargs)
    if compiled.eager is not None:
        return f"runs eagerly, because {compiled.eager}."
    variants = [v for group in compiled.variants.values() for v in group]
    if not variants:
        return "not captured yet: that happens at the second call of a signature."
    reasons = [f"capture {k}: {reason}" for k, reason in enumerate(compiled.reasons, 1)]
    return "\n".join([*reasons, *[part for v in variants for part in described(v)]])


def described(v: Variant) -> list[str]:
    """One variant: its signature, graph, launches and memory; both programs where there are two."""
    arguments = [i.value.describe() for i in v.graph.inputs if i.kind == "argument"]
    lines = ["", f"for arguments {', '.join(arguments) or '(none)'}", "", "graph", str(v.graph)]
    if v.assumed:
        lines[1:1] = ["", f"left where Python would decide otherwise, at {v.assumed}"]
    programs: list[tuple[str, Any, Any]] = [("program", v.program, v.inputs)]
    back = getattr(v, "back", None)
    if back is not None:
        programs.append(("program of the gradients", back, []))
    for title, program, inputs in programs:
        own = v if program is v.program else None
        if isinstance(program, Staged):
            parts: dict[str, int] = {}
            for stage in program.stages:
                lines += ["", f"{title} on {where(stage.driver)}", *ran(stage.program, [])]
                parts.update(of_stage(stage))
            parts.update({} if own is None else outside(own))
            lines += ["", "memory in bytes", *sized(parts)]
            continue
        lines += ["", title, *ran(program, inputs)]
        if hasattr(program, "times"):
            lines += memory(program, own)
    return lines


def ran(program: Any, inputs: list[Any]) -> list[str]:
    """What a program of one device runs."""
    if hasattr(program, "times"):
        return launches(program, inputs)
    if hasattr(program, "lowering"):
        return on_gpu(program)
    return ["one op at a time, by NumPy"]


def on_gpu(program: Any) -> list[str]:
    """A line for each step of a GPU's program, that says where it runs; how all are started."""
    steps = program.lowering.steps
    lines = [f"{'CPU' if type(s) is Call else 'GPU'}  {summary(s)}" for s in steps]
    if program.recordable:
        return [*lines, "recorded for the memory that it finds, and then started as a whole"]
    calls = {type(s.nodes[0].op).__name__ for s in steps if type(s) is Call}
    why = f"{', '.join(sorted(calls))} have no GPU kernel for this and run on the CPU, with copies"
    return [*lines, f"started step by step: {why if calls else 'Python decides by a value'}"]


def timed(program: Any, inputs: list[Any]) -> list[tuple[Any, Any, float]]:
    """Each step and launch with its seconds; ones stand for inputs that are not known."""
    specs = program.inputs[: program.given]
    known = [*inputs, *[None] * len(specs)][: len(specs)]
    filled = [
        np.ones(x.shape, x.dtype) if a is None else a for a, x in zip(known, specs, strict=True)
    ]
    copies = [np.copy(a) if isinstance(a, np.ndarray) else a for a in filled]
    outputs = [np.empty(v.shape, v.dtype) for v in program.ends]
    at = {id(i): k for k, i in enumerate(program.graph.inputs)}
    for k, (entry, _) in enumerate(program.graph.updates, len(program.graph.results)):
        outputs[k] = copies[at[id(entry)]]  # in place, as calls do
    times = np.min([program.times(copies, outputs) for _ in range(RUNS)], axis=0)
    return [(*x, seconds) for x, seconds in zip(program.launches, times, strict=True)]


def launches(program: Any, inputs: list[Any]) -> list[str]:
    """A line for each launch, in order."""
    lines = ["      us  units  what"]
    rows = timed(program, inputs)
    for step, launch, seconds in rows:
        units = 1 if launch is None else launch.units
        lines.append(f"{seconds * 1e6:8.1f}  {units:5d}  {summary(step)}")
    total = sum([seconds for _, _, seconds in rows]) * 1e6
    native = [launch for _, launch, _ in rows if launch is not None]
    lines.append(
        f"{total:8.1f}         {len(native)} launches of {len({x.ir for x in native})} kernels"
    )
    return lines


def memory(program: Any, v: Variant | None) -> list[str]:
    """What the program allocates."""
    parts = program.memory()
    if v is not None:
        parts.update(outside(v))
    return ["", "memory in bytes", *sized(parts)]


def of_stage(stage: Stage) -> dict[str, int]:
    """What a program on one of several devices allocates."""
    program: Any = stage.program
    parts = program.memory() if hasattr(program, "memory") else {}
    if not parts and hasattr(program, "lowering"):
        parts = {"values": program.room.memory.size}
    copies = [a for a in (*stage.brought, *stage.aside.values()) if a is not None]
    parts["copies of arguments, constants and results"] = sum([a.nbytes for a in copies])
    return {f"{name}, on {where(stage.driver)}": size for name, size in parts.items()}


def outside(v: Variant) -> dict[str, int]:
    """What is allocated besides a program's own memory."""
    return {
        "results, twice": sum([a.nbytes for arrays in v.sets for a in arrays]),
        "gradients": sum([x.nbytes for x in v.buffers.arrays if x is not None]),
    }


def sized(parts: dict[str, int]) -> list[str]:
    """A line for each part, and one for all."""
    lines = [f"{size:14,d}  {name}" for name, size in parts.items()]
    return [*lines, f"{sum(parts.values()):14,d}  in all"]
