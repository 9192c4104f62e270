"""What PyTorch's compiler would log; rushlight's says why it runs eagerly, in warnings."""

from __future__ import annotations

from typing import Any

__all__ = ["set_logs"]


def set_logs(*, modules: dict[str, Any] | None = None, **artifacts: Any) -> None:
    """Accepted for PyTorch's programs: there are no such logs. See ``torch._dynamo.explain``."""
    for name, level in artifacts.items():
        if not isinstance(level, (bool, int)) and level is not None:
            raise ValueError(f"set_logs: {name} must be a bool or a level, but is {level!r}")
