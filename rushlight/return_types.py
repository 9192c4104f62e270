"""Types of results with several named parts, such as ``max(dim)``'s values and indices.

Example:
    >>> import rushlight as torch
    >>> isinstance(torch.ones(2, 3).max(0), torch.return_types.max)
    True
"""

from __future__ import annotations

from typing import Any

from rushlight.tensor_api.named import TYPES

__all__ = ["all_return_types", "pytree_register_structseq"]

all_return_types: list[type] = [kind for name, kind in TYPES.items() if name[0] != "_"]
# torch names a second type for results stored into out=; here it is the same one
WITHOUT_OUT = ("histogramdd",)
globals().update(TYPES)
globals().update({f"{name}_out": kind for name, kind in TYPES.items() if name not in WITHOUT_OUT})


def pytree_register_structseq(cls: Any) -> None:
    """Nothing: the types are tuples, which every tree knows."""
