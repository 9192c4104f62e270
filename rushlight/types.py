"""Names for annotations: what a number, a device, a file may be."""

from __future__ import annotations

import builtins
import os
from typing import IO, Any, TypeAlias

from rushlight.core.size import Size as _size  # noqa: F401
from rushlight.core.tensor import Tensor
from rushlight.devices import device as _device
from rushlight.dtypes import dtype as _dtype  # noqa: F401
from rushlight.formats import layout as _layout  # noqa: F401

__all__ = ["Number", "Device", "FileLike", "Storage"]

_int, _float, _bool, _complex = builtins.int, builtins.float, builtins.bool, builtins.complex

Number: TypeAlias = _int | _float | _bool
Device: TypeAlias = _device | str | _int | None
FileLike: TypeAlias = str | os.PathLike[str] | IO[bytes]
Storage: TypeAlias = Any
_TensorOrTensors: TypeAlias = Tensor | tuple[Tensor, ...]
_TensorOrTensorsOrGradEdge: TypeAlias = _TensorOrTensors
_dispatchkey: TypeAlias = str
_qscheme: TypeAlias = Any
