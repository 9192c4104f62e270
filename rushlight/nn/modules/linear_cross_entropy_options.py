"""Options of the joint linear layer and cross entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["LinearCrossEntropyOptions"]


@dataclass
class LinearCrossEntropyOptions:
    """How PyTorch trades time for memory in `LinearCrossEntropyLoss`. Accepted; here it changes
    nothing.

    Args:
        allow_retain_graph: whether backward may run twice.
        batch_chunk_size: examples at a time.
        chunking_method: how that number is chosen.
        acc_policy: how gradients are accumulated.
        acc_dtype: in which element type.
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: Any = None
