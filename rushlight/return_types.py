"""The types of results with several named parts, such as ``return_types.max``."""

from __future__ import annotations

from typing import Any

from rushlight.tensor_api.named import TYPES


def __getattr__(name: str) -> Any:
    if name in TYPES:
        return TYPES[name]
    raise AttributeError(f"module 'rushlight.return_types' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(TYPES)
