"""What autocast does to the inputs of an op."""

from __future__ import annotations

from typing import Any

from rushlight import dtypes
from rushlight.core.device_array import DeviceArray
from rushlight.core.node import required
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor

WIDE = (dtypes.float32, dtypes.float16, dtypes.bfloat16)  # what autocast converts


def lower_dtype(t: Tensor) -> Any:
    """The dtype that autocast lowers to on the device of t; None where it does not."""
    return None if modes.autocast is None else modes.autocast[t._array.__class__ is DeviceArray]


def autocast_inputs(inputs: Any, precision: str | None, on_gpu: str | None = None) -> list[Any]:
    """Floating-point inputs in the dtype that autocast chose for the op; float64 stays. ``on_gpu``:
    the precision for tensors there.
    """
    made = []
    for t in inputs:
        if isinstance(t, Tensor) and t._array.dtype in WIDE:
            wanted, d = on_gpu if t._array.__class__ is DeviceArray else precision, lower_dtype(t)
            if wanted and d is not None:
                d = d if wanted == "lower" else dtypes.float32
                t = t if t._array.dtype == d else required.cast(t, d)
        made.append(t)
    return made
