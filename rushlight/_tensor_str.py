"""How the numbers of a tensor are printed, for libraries that print them their own way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rushlight.config import print_options as PRINT_OPTS
from rushlight.core.tensor import Tensor
from rushlight.tensor_api.printing import bracketed, get_printoptions, set_printoptions

__all__ = ["PRINT_OPTS", "printoptions"]


@contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """The options of ``set_printoptions`` within a block.

    Example:
        >>> with torch._tensor_str.printoptions(precision=2):
        ...     print(torch.tensor([1.12345]))
        tensor([1.12])
    """
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


def _tensor_str(self: Tensor, indent: int) -> str:
    """The bracketed numbers of a tensor, further lines indented by ``indent`` spaces."""
    return bracketed(self._array, indent, PRINT_OPTS) if self._array.size else "[]"
