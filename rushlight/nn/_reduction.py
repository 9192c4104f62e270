"""How losses were reduced before `reduction`: two flags, still accepted."""

from __future__ import annotations

from rushlight.core.tensor import Tensor
from rushlight.errors import warn_user

NUMBERS = {"none": 0, "mean": 1, "sum": 2}


def legacy_get_string(
    size_average: bool | None, reduce: bool | None, emit_warning: bool = True
) -> str:
    """The `reduction` that the two flags stand for, each True unless given."""
    if isinstance(size_average, Tensor) or isinstance(reduce, Tensor):
        raise RuntimeError(
            "a loss was given tensors where its options belong (Boolean value of Tensor with more "
            "than one value is ambiguous); make it first, then call it: nn.MSELoss()(input, target)"
        )
    if reduce is not None and not reduce:
        reduction = "none"
    else:
        reduction = "mean" if size_average is None or size_average else "sum"
    if emit_warning:
        warn_user(
            "size_average and reduce args will be deprecated, "
            f"please use reduction='{reduction}' instead."
        )
    return reduction


def get_enum(reduction: str) -> int:
    """The number of a reduction, by which losses written for PyTorch ask: 0 none, 1 mean, 2 sum.

    Example:
        >>> from rushlight.nn import functional as F
        >>> F._Reduction.get_enum("sum")
        2
    """
    if reduction == "elementwise_mean":
        warn_user(
            "reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead."
        )
        reduction = "mean"
    if reduction not in NUMBERS:
        raise ValueError(f"{reduction} is not a valid value for reduction: {', '.join(NUMBERS)}")
    return NUMBERS[reduction]


def legacy_get_enum(
    size_average: bool | None, reduce: bool | None, emit_warning: bool = True
) -> int:
    """The number of the reduction that the two flags stand for."""
    return get_enum(legacy_get_string(size_average, reduce, emit_warning))
