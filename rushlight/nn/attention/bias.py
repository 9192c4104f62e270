"""Causal masks of attention whose queries and keys are not equally many."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np

from rushlight.core.overrides import without_overrides
from rushlight.core.tensor import Tensor, instance

__all__ = ["CausalBias", "CausalVariant", "causal_lower_right", "causal_upper_left"]


class CausalVariant(IntEnum):
    """Where the diagonal begins or ends."""

    UPPER_LEFT = 1  # query i sees keys 0 .. i
    LOWER_RIGHT = 2  # the last query sees all keys


class CausalBias(Tensor):
    """A causal mask ``(queries, keys)`` for `F.scaled_dot_product_attention`: a bool tensor.

    Args:
        variant: see CausalVariant.
        seq_len_q: number of queries.
        seq_len_kv: number of keys.
    """

    variant: CausalVariant
    seq_len_q: int
    seq_len_kv: int

    def __new__(cls, variant: CausalVariant, seq_len_q: int, seq_len_kv: int) -> CausalBias:
        if not isinstance(variant, CausalVariant):
            raise AssertionError(f"CausalBias: variant must be a CausalVariant, but is {variant!r}")
        shift = seq_len_kv - seq_len_q if variant is CausalVariant.LOWER_RIGHT else 0
        self = instance(cls, np.tri(seq_len_q, seq_len_kv, shift, np.bool_))
        self.variant, self.seq_len_q, self.seq_len_kv = variant, seq_len_q, seq_len_kv
        return self  # type: ignore[no-any-return]

    def __init__(self, *arguments: Any) -> None:
        pass

    __torch_function__ = without_overrides

    def __repr__(self) -> str:  # type: ignore[override]
        return repr(self._materialize())

    def _materialize(self, device: Any = None) -> Tensor:
        return instance(Tensor, self._array)  # type: ignore[no-any-return]


def _made(variant: CausalVariant, name: str, size: tuple[int, ...]) -> CausalBias:
    if len(size) != 2:
        raise AssertionError(f"{name} only supports 2D tensors, but got sizes {size}")
    return CausalBias(variant, *size)


def causal_upper_left(*size: int) -> CausalBias:
    """A mask with the diagonal in the upper left corner: query i sees keys 0 .. i.

    Example:
        >>> from rushlight.nn.attention.bias import causal_upper_left
        >>> causal_upper_left(2, 3)
        tensor([[ True, False, False],
                [ True,  True, False]])
    """
    return _made(CausalVariant.UPPER_LEFT, "causal_upper_left", size)


def causal_lower_right(*size: int) -> CausalBias:
    """A mask with the diagonal in the lower right corner: the last query sees all keys.

    Example:
        >>> from rushlight.nn.attention.bias import causal_lower_right
        >>> causal_lower_right(2, 3)
        tensor([[ True,  True, False],
                [ True,  True,  True]])
    """
    return _made(CausalVariant.LOWER_RIGHT, "causal_lower_right", size)
