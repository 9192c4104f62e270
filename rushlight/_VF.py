"""torch._VF: functions by which programs of old call recurrent cells and the like."""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    """The function of this name at the top."""
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(importlib.import_module("rushlight"), name)
