"""What hooks return when they are registered, and marks on hooks that files leave out."""

from __future__ import annotations

from typing import Any

from rushlight.core.node import RemovableHandle as RemovableHandle
from rushlight.errors import warn_user

__all__ = ["RemovableHandle", "unserializable_hook", "warn_if_has_hooks"]


def unserializable_hook(f: Any) -> Any:
    """Decorator: saying that files leave the hook out is no news, so there is no warning."""
    f.__torch_unserializable__ = True
    return f


def warn_if_has_hooks(tensor: Any) -> None:
    """Warn about hooks of a tensor that a file would leave out."""
    for hook in (getattr(tensor, "_hooks", None) or {}).values():
        if not hasattr(hook, "__torch_unserializable__"):
            warn_user(f"backward hook {hook!r} on tensor will not be serialized.")
