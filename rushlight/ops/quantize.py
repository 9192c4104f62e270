"""Floats rounded to the levels that a quantized tensor has."""

from __future__ import annotations

from typing import Any

from rushlight import dtypes
from rushlight.core.elementwise import Elementwise
from rushlight.errors import NotSupportedError


def level(s: Any, input: Any, scale: Any, zero_point: Any) -> Any:
    """The number of the level nearest to ``input``, as a float; halves to even."""
    return s.rint(input * (1 / scale) + zero_point)


def dtype_of_input(arrays: list[Any]) -> Any:
    """The first array's dtype: scales do not promote it."""
    d = arrays[0].dtype
    if d not in dtypes.FLOATS and d not in dtypes.HALVES:
        raise NotSupportedError(
            f"fake_quantize: not implemented for {dtypes.of[d].name}; convert with .float()."
        )
    return d


class InLevels(Elementwise):
    """Whether ``input`` is nearest to one of the levels ``quant_min`` to ``quant_max``."""

    out_dtype = dtypes.bool_

    def scalar(self, s, input, scale, zero_point, *, quant_min, quant_max):
        x = level(s, input, scale, zero_point)
        return s.logical_and(x >= quant_min, x <= quant_max)

    def compute_dtype(self, arrays):
        d = dtype_of_input(arrays)
        return dtypes.float32 if d in dtypes.HALVES else d  # in which the scale is not rounded


class FakeQuantize(Elementwise, abstract=True):
    """``(clamp(round(input / scale + zero_point), quant_min, quant_max) - zero_point) * scale``.

    ``mask`` says where the level is in range, for the gradient only: it passes there as if nothing
    were rounded, and is zero elsewhere. Nothing else is kept, as scales may be written to.
    """

    def scalar(self, s, input, scale, zero_point, mask, *, quant_min, quant_max):
        x = level(s, input, scale, zero_point)
        x = s.where(x > quant_max, quant_max, s.where(x >= quant_min, x, quant_min))  # NaN: least
        return (x + 0.0 - zero_point) * scale  # levels are integers, which know no -0

    def compute_dtype(self, arrays):
        return dtype_of_input(arrays)

    def grad_input(self, g, mask):
        return g * mask


class FakeQuantizePerTensor(FakeQuantize):
    """One scale for all elements."""

    label = "FakeQuantizePerTensorAffineCachemask"


class FakeQuantizePerChannel(FakeQuantize):
    """A scale for each place along a dim."""

    label = "FakeQuantizePerChannelAffineCachemask"
