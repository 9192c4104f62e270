"""Memory shared with other libraries: the DLPack protocol, and on GPUs CUDA's array interface."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import devices, dtypes, gpu
from rushlight.core.device_array import DeviceArray
from rushlight.core.tensor import Tensor, value_needed, wrap
from rushlight.core.window import Window
from rushlight.tensor_api._common import finish, methods

__all__ = ["from_dlpack"]


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor on the memory of another library's array that speaks DLPack (on a copy, if asked).

    Example:
        >>> import numpy as np, rushlight as torch
        >>> torch.from_dlpack(np.arange(3))
        tensor([0, 1, 2])
    """
    place = None if device is None else devices.place(device)
    if isinstance(ext_tensor, Tensor):  # NumPy has no bfloat16 to pass on
        expect_no_grad(ext_tensor)
        here = ext_tensor.detach().clone() if copy else ext_tensor.detach()
        return here if device is None else here.to(device)  # type: ignore[no-any-return]
    if hasattr(ext_tensor, "__cuda_array_interface__"):
        seen = from_gpu(ext_tensor)
        return seen.clone() if copy else seen  # type: ignore[no-any-return]
    if not hasattr(ext_tensor, "__dlpack__"):
        ext_tensor = Capsule(ext_tensor)
    array = np.from_dlpack(ext_tensor)
    return finish(array.copy() if copy else array, place=place)


def expect_no_grad(x: Tensor) -> None:
    """Refuse to share the memory of what has a place in a graph, which it does not tell."""
    if x.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")


def from_gpu(owner: Any) -> Tensor:
    """A tensor on the memory of another library's array on a GPU, which has
    ``__cuda_array_interface__``.
    """
    told = owner.__cuda_array_interface__
    kind, (pointer, _) = np.dtype(told["typestr"]), told["data"]
    d = dtypes.from_numpy(kind).numpy
    index = getattr(getattr(owner, "device", None), "id", gpu.current.index)
    made = Window(told["shape"], d, told.get("strides"))
    memory = gpu.driver(index).adopt(pointer, made.extent, owner)
    return wrap(DeviceArray(memory, 0, made.shape, d, made.strides))


def _cuda_array_interface(self: Tensor) -> dict[str, Any]:
    """What other libraries for GPUs read to share the memory.

    Raises:
        AttributeError: the tensor is not on a GPU.
        RuntimeError: it requires grad.
    """
    if not self.is_cuda:
        raise AttributeError(
            "Can't get __cuda_array_interface__ on a tensor of the CPU; move it with .cuda()."
        )
    if self.requires_grad:
        raise RuntimeError(
            "Can't get __cuda_array_interface__ on a tensor that requires grad; use detach()."
        )
    value_needed("__cuda_array_interface__")
    x = self._array
    return {
        "typestr": x.dtype.str,
        "shape": x.shape,
        "strides": None if x.flags.c_contiguous else x.strides,
        "data": (x.pointer if x.size else 0, False),
        "version": 2,
    }


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
    expect_no_grad(self)
    value_needed("__dlpack__()")
    if self.is_cuda:
        return self._array.driver.shown(self).__dlpack__(stream=stream)
    return self._array.__dlpack__(max_version=max_version)


methods(
    __dlpack__=_dlpack,
    __cuda_array_interface__=property(_cuda_array_interface),
    __dlpack_device__=lambda self: (2, self.get_device()) if self.is_cuda else (1, 0),
)
