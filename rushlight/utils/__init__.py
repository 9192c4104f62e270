"""Tools around training: data loading, checkpointing of activations."""

import importlib
from typing import Any

_LAZY = ("data", "checkpoint", "tensorboard")


def __getattr__(name: str) -> Any:
    """Submodules are imported when first asked for."""
    if name in _LAZY:
        try:
            return importlib.import_module(f"rushlight.utils.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"rushlight.utils.{name}":
                raise
    raise AttributeError(f"module 'rushlight.utils' has no attribute {name!r}")
