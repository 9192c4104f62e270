"""Models for phones: not available."""

from __future__ import annotations

from typing import Any, NoReturn

from rushlight.errors import NotSupportedError

__all__ = ["optimize_for_mobile"]


def optimize_for_mobile(script_module: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises: there is no TorchScript."""
    raise NotSupportedError(
        "optimize_for_mobile: there is no TorchScript; keep the state_dict with torch.save, and "
        "load it with PyTorch where the model has to run."
    )
