"""The shortest program that still shows a mismatch, written as Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.fuzz.observe import Observation
from tests.fuzz.program import Array, DType, Ref, Step


def shrink(program: Sequence[Step], shows: Callable[[Sequence[Step]], bool]) -> list[Step]:
    """Drop steps, and what needs them, as long as `shows` stays true."""
    program = list(program)
    size = max(1, len(program) // 2)
    while True:
        i, smaller = len(program), False
        while i > 0:
            i = max(0, i - size)
            candidate = _without(program, program[i : i + size])
            if candidate and shows(candidate):
                program, smaller = candidate, True
        if size > 1:
            size //= 2
        elif not smaller:
            return program


def _without(program: list[Step], dropped: list[Step]) -> list[Step]:
    gone = {step.id for step in dropped}
    kept = []
    for step in program:
        needs = {ref.step for ref in step.refs()}
        if step.kind == "unhook":
            needs.add(step.args[0])
        if step.id in gone or needs & gone:
            gone.add(step.id)
        else:
            kept.append(step)
    return kept


# ---- as Python ---------------------------------------------------------------------------------


def source(program: Sequence[Step], seen: Observation | None = None) -> str:
    """The program as a script; with `seen`, what torch did stands beside each line."""
    lines = []
    for i, step in enumerate(program):
        outcome = seen.outcomes[i] if seen is not None and i < len(seen.outcomes) else None
        line = _statement(step, 1 if outcome is None else outcome.made)
        if not step.recording:
            line = f"with torch.no_grad(): {line}"
        if outcome is not None and (outcome.error is not None or outcome.skipped):
            line += f"   # {str(outcome).splitlines()[0][:100]}"
        lines.append(line)
    return "\n".join(lines)


def _statement(step: Step, made: int) -> str:
    args = [_text(a) for a in step.args]
    extra = [f"{name}={_text(value)}" for name, value in step.kwargs.items()]
    call = _CALLS[step.kind](step, args, extra)
    if made == 0:
        return call
    names = ", ".join(_name(Ref(step.id, i)) for i in range(made))
    return f"{names}{',' if made > 1 else ''} = {call}"


def _name(ref: Ref) -> str:
    return f"v{ref.step}" + (f"_{ref.index}" if ref.index else "")


def _text(value: Any) -> str:
    if isinstance(value, Ref):
        return _name(value)
    if isinstance(value, DType):
        return f"torch.{value.name}"
    if isinstance(value, Array):
        return f"torch.tensor({value.values.tolist()}, dtype=torch.{value.values.dtype})"
    if isinstance(value, (tuple, list)):
        inside = ", ".join(map(_text, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside},)"
    return "..." if value is ... else repr(value)


def _join(parts: Sequence[str]) -> str:
    return ", ".join(parts)


_CALLS: dict[str, Callable[[Step, list[str], list[str]], str]] = {
    "create": lambda s, a, k: (
        a[0]
        + (f".to({_text(s.kwargs['dtype'])})" if "dtype" in s.kwargs else "")
        + (".requires_grad_()" if s.kwargs.get("requires_grad") else "")
    ),
    "method": lambda s, a, k: f"{a[0]}.{s.name}({_join(a[1:] + k)})",
    "function": lambda s, a, k: f"torch.{s.name}({_join(a + k)})",
    "operator": lambda s, a, k: f"operator.{s.name}({_join(a)})",
    "get": lambda s, a, k: f"{a[0]}.{s.name}",
    "set": lambda s, a, k: f"{a[0]}.{s.name} = {a[1]}{'.detach()' if s.name == 'data' else ''}",
    "hook": lambda s, a, k: f"h{s.id} = {a[0]}.{s.name}(hook({s.id}, {_join(k)}))",
    "unhook": lambda s, a, k: f"h{a[0]}.remove()",
    "backward": lambda s, a, k: (
        f"({a[0]} * {a[1]}).sum().backward({_join(k)})"
        if s.name == "weighted"
        else f"{a[0]}.backward({_join(a[1:] + k)})"
    ),
    "grad": lambda s, a, k: f"torch.autograd.grad(({a[0]} * {a[0]}).sum(), {_join(a[1:] + k)})",
}
