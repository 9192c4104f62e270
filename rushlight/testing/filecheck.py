"""Checks of printed text: which parts it must hold, and in what order."""

from __future__ import annotations

import re


class FileCheck:
    """Rules for a text, added one after the other; ``run`` goes through them.

    Each rule looks behind what the rule before it found.

    Example:
        >>> import rushlight as torch
        >>> FileCheck = torch.testing.FileCheck
        >>> FileCheck().check("graph").check_next("add").check_not("mul").run("graph:\\n  add\\n")
    """

    def __init__(self) -> None:
        self._rules: list[tuple[str, str, int]] = []  # kind, what to look for, how often (or 0)

    def _add(self, kind: str, text: str, count: int = 0) -> FileCheck:
        self._rules.append((kind, text, count))
        return self

    def check(self, text: str) -> FileCheck:
        """The text is there."""
        return self._add("CHECK", text)

    def check_not(self, text: str) -> FileCheck:
        """The text is not there before what the next rule finds; at the end: nowhere behind."""
        return self._add("CHECK-NOT", text)

    def check_same(self, text: str) -> FileCheck:
        """The text is there before the line ends."""
        return self._add("CHECK-SAME", text)

    def check_next(self, text: str) -> FileCheck:
        """The text is on the next line."""
        return self._add("CHECK-NEXT", text)

    def check_count(self, text: str, count: int, exactly: bool = False) -> FileCheck:
        """The text is there ``count`` times in a row; ``exactly``: and then no more."""
        self._add("CHECK-COUNT", text, count)
        return self._add("CHECK-NOT", text) if exactly else self

    def check_dag(self, text: str) -> FileCheck:
        """The text is there; neighbouring rules of this kind come in any order."""
        return self._add("CHECK-DAG", text)

    def check_regex(self, pattern: str) -> FileCheck:
        """A match of a regular expression is there."""
        return self._add("CHECK-REGEX", pattern)

    def run(self, text: str) -> None:
        """Go through the rules.

        Raises:
            RuntimeError: a rule is broken, or there are none.
        """
        if not self._rules:
            raise RuntimeError("No checks have been added; call check(...) before run(...).")
        at, forbidden, places = 0, list[str](), list[int]()
        for kind, wanted, count in self._rules:
            if kind != "CHECK-DAG" and places:  # a group is done: the next looks behind it
                at, places = max(places), []
            if kind == "CHECK-NOT":
                forbidden.append(wanted)
                continue
            start, end = _find(kind, wanted, text, at, max(count, 1))
            _refuse(forbidden, text, at, start)
            forbidden = []
            if kind == "CHECK-DAG":
                places.append(end)
            else:
                at = end
        _refuse(forbidden, text, max(places, default=at), len(text))

    def __repr__(self) -> str:
        return "\n".join([f"{kind}: {wanted}" for kind, wanted, _ in self._rules])


def _find(kind: str, wanted: str, text: str, at: int, count: int) -> tuple[int, int]:
    """From where to where a rule is met."""
    first, end = -1, at
    for _ in range(count):
        found = re.compile(wanted if kind == "CHECK-REGEX" else re.escape(wanted)).search(text, end)
        if found is None:
            raise _broken(f'Expected to find "{wanted}" but did not find it', text, end, kind)
        first, end = found.start() if first < 0 else first, found.end()
    lines = text.count("\n", at, first)
    if kind == "CHECK-SAME" and lines:
        raise _broken(f'Expected "{wanted}" on the same line', text, first, kind)
    if kind == "CHECK-NEXT" and lines != 1:
        raise _broken(f'Expected "{wanted}" one line on, it is {lines} on', text, first, kind)
    return first, end


def _refuse(forbidden: list[str], text: str, start: int, stop: int) -> None:
    for word in forbidden:
        place = text.find(word, start, stop)
        if place >= 0:
            message = f'Expected to not find "{word}" but found it'
            raise _broken(message, text, place, "CHECK-NOT")


def _broken(message: str, text: str, at: int, kind: str) -> RuntimeError:
    line = text.count("\n", 0, at) + 1
    behind = text[at:].split("\n")
    return RuntimeError(f"{message}, in line {line} at:\n{behind[0][:200]}\nFrom {kind}.")
