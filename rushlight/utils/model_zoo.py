"""The older name of what downloads weights, for programs that use it; see `torch.hub`."""

from __future__ import annotations

import importlib
from typing import Any


def load_url(*args: Any, **kwargs: Any) -> Any:
    """The same as ``torch.hub.load_state_dict_from_url``."""
    # by name: hub stands above this folder
    return importlib.import_module("rushlight.hub").load_state_dict_from_url(*args, **kwargs)


def __getattr__(name: str) -> Any:
    """Other names of ``torch.hub`` that older programs ask for here."""
    if name in ("tqdm", "urlparse", "download_url_to_file"):
        return getattr(importlib.import_module("rushlight.hub"), name)
    raise AttributeError(f"module 'rushlight.utils.model_zoo' has no attribute {name!r}")
