"""What all losses share."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.nn._reduction import legacy_get_string
from rushlight.nn.modules.module import Module

# The arguments that all losses share are explained here once. reduction: "mean" (the default) or
# "sum" over all elements, or "none" for one value each. size_average and reduce are what came
# before reduction.


class _Loss(Module):
    """What all losses share: how the values of the elements are put together."""

    def __init__(
        self, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__()
        legacy = size_average is not None or reduce is not None
        self.reduction = legacy_get_string(size_average, reduce) if legacy else reduction


class _WeightedLoss(_Loss):
    """What losses with a weight for each class share."""

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
