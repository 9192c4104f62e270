"""How the numbers of a tensor are printed, for libraries that print them their own way."""

from __future__ import annotations

from rushlight.config import print_options as PRINT_OPTS
from rushlight.core.tensor import Tensor
from rushlight.tensor_api.printing import bracketed

__all__ = ["PRINT_OPTS"]


def _tensor_str(self: Tensor, indent: int) -> str:
    """The bracketed numbers of a tensor, further lines indented by ``indent`` spaces."""
    return bracketed(self._array, indent, PRINT_OPTS) if self._array.size else "[]"
