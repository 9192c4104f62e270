"""`Function` under the name of its module in torch."""

from rushlight.core.function import (
    Function as Function,
    FunctionCtx as FunctionCtx,
    once_differentiable as once_differentiable,
)

__all__ = ["Function", "FunctionCtx", "InplaceFunction", "once_differentiable"]


class InplaceFunction(Function):
    """A Function that may write to its inputs, as older programs call it: any may."""
