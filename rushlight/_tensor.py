"""The class of tensors, and how those of derived classes are read back."""

from rushlight.core.tensor import Tensor as Tensor
from rushlight.tensor_api.pickling import _rebuild_from_type_v2 as _rebuild_from_type_v2

__all__ = ["Tensor"]
