"""Memory shared with other libraries: the DLPack protocol."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import devices
from rushlight.core.tensor import Tensor, value_needed, wrap
from rushlight.tensor_api._common import methods

__all__ = ["from_dlpack"]


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor on the memory of another library's array that speaks DLPack (on a copy, if asked).

    Example:
        >>> import numpy as np, rushlight as torch
        >>> torch.from_dlpack(np.arange(3))
        tensor([0, 1, 2])
    """
    if device is not None:
        devices.check(device)
    if isinstance(ext_tensor, Tensor):  # NumPy has no bfloat16 to pass on
        return ext_tensor.detach().clone() if copy else ext_tensor.detach()
    if not hasattr(ext_tensor, "__dlpack__"):
        ext_tensor = Capsule(ext_tensor)
    array = np.from_dlpack(ext_tensor)
    return wrap(array.copy() if copy else array)


class Capsule:
    """What ``to_dlpack`` returns, as an object that speaks the protocol: memory of the CPU."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **options: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


def _dlpack(
    self: Tensor,
    *,
    stream: Any = -1,
    max_version: Any = None,
    dl_device: Any = None,
    copy: Any = None,
) -> Any:
    if not (stream is None or isinstance(stream, int)):
        raise TypeError(f"stream must be ``int`` or ``none``, but is {stream!r}")
    if self.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    value_needed("__dlpack__()")
    return self._array.__dlpack__()


methods(
    __dlpack__=_dlpack,
    __dlpack_device__=lambda self: (1, 0),
)
