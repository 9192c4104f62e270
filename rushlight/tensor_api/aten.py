"""Operators that have another name, or none, among functions and methods: ``torch.ops.aten``."""

from __future__ import annotations

import builtins
from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.tensor_api.added_products import addmm as _sparse_addmm
from rushlight.tensor_api.elements import item as _local_scalar_dense

__all__ = ["_local_scalar_dense", "_pin_memory", "_sparse_addmm", "_to_copy", "alias", "slice"]


def _pin_memory(self: Any, device: Any = None) -> Tensor:
    return self.pin_memory(device)  # type: ignore[no-any-return]


def _to_copy(self: Any, *, dtype: Any = None, **options: Any) -> Tensor:
    given = {name: value for name, value in options.items() if value is not None}
    return self.to(dtype or self.dtype, copy=True, **given)  # type: ignore[no-any-return]


def alias(self: Any) -> Tensor:
    """A view of all of a tensor."""
    return self.view_as(self)  # type: ignore[no-any-return]


def slice(self: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Tensor:
    """``self[start:end:step]`` along a dim."""
    whole = (builtins.slice(None),) * (dim % self.dim())
    return self[(*whole, builtins.slice(start, end, step))]  # type: ignore[no-any-return]
