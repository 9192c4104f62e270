"""The version as a string that also compares as versions do."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["TorchVersion"]


def _parts(version: Any) -> tuple[Any, ...]:
    """``"1.10.0a"`` as (1, 10, 0, "a"), with numbers as numbers; words sort before the end."""
    if isinstance(version, (tuple, list)):
        version = ".".join(map(str, version))
    found = re.findall(r"\d+|[a-z]+", str(version).split("+")[0])
    return tuple((1, int(p), "") if p.isdigit() else (0, 0, p) for p in found)


class TorchVersion(str):
    """A version: ``"2.10" > "2.9"``, and it compares with strings and tuples.

    Example:
        >>> TorchVersion("2.10.0") > "2.9", TorchVersion("1.2") >= (1, 2)
        (True, True)
    """

    def _pair(self, other: Any) -> tuple[Any, Any]:
        a, b = list(_parts(str(self))), list(_parts(other))
        while len(a) < len(b):
            a.append((1, 0, ""))
        while len(b) < len(a):
            b.append((1, 0, ""))
        return a, b

    def __gt__(self, other: Any) -> bool:
        a, b = self._pair(other)
        return bool(a > b)

    def __lt__(self, other: Any) -> bool:
        a, b = self._pair(other)
        return bool(a < b)

    def __ge__(self, other: Any) -> bool:
        return not self < other

    def __le__(self, other: Any) -> bool:
        return not self > other

    def __eq__(self, other: object) -> bool:
        a, b = self._pair(other)
        return bool(a == b)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__
