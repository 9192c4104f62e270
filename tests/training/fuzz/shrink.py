"""The shortest program that still shows a difference."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

VALUE = re.compile(r"( *)(x\d+) = (.*)")


def shrink(text: str, shows: Callable[[str], bool]) -> str:
    """Drop lines with what is within them, and layers, as long as ``shows`` stays true."""
    lines, k = text.splitlines(), len(text.splitlines())
    while k:
        k = min(k, len(lines)) - 1
        smaller = next((c for c in candidates(lines, k) if shows("\n".join(c) + "\n")), None)
        if smaller is not None:
            lines, k = smaller, k + 1
    return "\n".join(lines) + "\n"


def candidates(lines: list[str], k: int) -> Iterator[list[str]]:
    """Without line k; or with what it computes replaced by what it is computed from."""
    end = next((j for j in range(k + 1, len(lines)) if depth(lines[j]) <= depth(lines[k])), None)
    yield lines[:k] + lines[len(lines) if end is None else end :]
    found = VALUE.fullmatch(lines[k])
    if found:
        for x in dict.fromkeys(re.findall(r"\bx\d*\b", found[3])):
            shorter = f"{found[1]}{found[2]} = {x}"
            if shorter != lines[k]:
                yield [*lines[:k], shorter, *lines[k + 1 :]]


def depth(line: str) -> int:
    """How far a line is indented."""
    return len(line) - len(line.lstrip())
