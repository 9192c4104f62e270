"""Sizes as programs that export themselves write them: here sizes are Python numbers, and so are
results.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any


class SymInt:
    """A size that is not known yet, for ``isinstance``: there is none."""


class SymFloat:
    """A number that is not known yet, for ``isinstance``: there is none."""


class SymBool:
    """A condition that is not known yet, for ``isinstance``: there is none."""


def sym_int(a: Any) -> int:
    """``a`` as an int, cut off towards zero."""
    return int(a)


def sym_float(a: Any) -> float:
    """``a`` as a float."""
    return float(a)


def sym_not(a: Any) -> bool:
    """``not a``."""
    return not a


def _kind(a: Any, b: Any) -> Any:
    return float if isinstance(a, float) or isinstance(b, float) else int


def sym_max(a: Any, b: Any) -> Any:
    """The larger one, a float where one of them is.

    Example:
        >>> import rushlight as torch
        >>> torch.sym_max(1, 2.0), torch.sym_min(1, 2.0)
        (2.0, 1.0)
    """
    return _kind(a, b)(max(a, b))


def sym_min(a: Any, b: Any) -> Any:
    """The smaller one, a float where one of them is."""
    return _kind(a, b)(min(a, b))


def sym_ite(b: bool, t: Any, f: Any) -> Any:
    """``t`` if ``b``, else ``f``."""
    return t if b else f


def sym_sum(args: Iterable[Any]) -> Any:
    """The sum of numbers."""
    return sum(args)


def sym_sqrt(a: Any) -> float:
    """The square root of a number."""
    return math.sqrt(a)
