"""The shortest program that still shows a difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.compiler.fuzz.program import Call, Program


def shrink(program: Program, shows: Callable[[Program], bool]) -> Program:
    """Drop calls, lines and what needs them, and results, as long as ``shows`` stays true."""
    while True:
        smaller = next((p for p in candidates(program) if shows(p)), None)
        if smaller is None:
            return program
        program = smaller


def candidates(p: Program) -> list[Program]:
    """Programs that are a little smaller, the smallest first."""
    found = []
    for lines in (p.body, p.setup):
        size = len(lines) // 2
        while size:
            for at in range(0, len(lines), size):
                found.append(p.without(set(), {id(line) for line in lines[at : at + size]}))
            size //= 2
    for k in range(len(p.calls)):
        found.append(replace(p, calls=p.calls[:k] + p.calls[k + 1 :]))
        if p.calls[k] != Call():
            found.append(replace(p, calls=(*p.calls[:k], Call(), *p.calls[k + 1 :])))
    for i in p.inputs:
        found.append(p.without({i.name}, set()))
    for name in p.returns:
        found.append(replace(p, returns=tuple([n for n in p.returns if n != name])))
    return [q for q in found if q != p and weight(q) < weight(p)]


def weight(p: Program) -> int:
    """What shrinks."""
    calls = sum([2 + len(c.before) + (c.batch is not None) + c.keep for c in p.calls])
    return 3 * (len(p.setup) + len(p.body) + len(p.inputs)) + len(p.returns) + calls
