"""What libraries ask of ``torch._utils``: tensors read back, many tensors as one, exceptions that
change processes.
"""

from __future__ import annotations

import sys
import traceback
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

from rushlight import devices, gpu, tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.nn.parameter import (
    _rebuild_parameter as _rebuild_parameter,
    _rebuild_parameter_with_state as _rebuild_parameter_with_state,
)
from rushlight.tensor_api.pickling import (
    _rebuild_meta_tensor_no_storage as _rebuild_meta_tensor_no_storage,
    _rebuild_sparse_tensor as _rebuild_sparse_tensor,
    _rebuild_tensor as _rebuild_tensor,
    _rebuild_tensor_v2 as _rebuild_tensor_v2,
    _rebuild_tensor_v3 as _rebuild_tensor_v3,
)


def _flatten_dense_tensors(tensors: Sequence[Tensor]) -> Tensor:
    """The elements of all tensors, one after the other.

    Example:
        >>> import rushlight as torch
        >>> torch._utils._flatten_dense_tensors([torch.ones(1, 2), torch.zeros(1)])
        tensor([1., 1., 0.])
    """
    return T.cat([t.reshape(-1) for t in tensors])


def _unflatten_dense_tensors(flat: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """What `_flatten_dense_tensors` joined, in the shapes of ``tensors``."""
    parts = flat.split([t.numel() for t in tensors])
    return tuple([part.view(t.shape) for part, t in zip(parts, tensors, strict=True)])


def _take_tensors(tensors: Iterable[Tensor], size_limit: int) -> Iterator[list[Tensor]]:
    """Tensors of one dtype each, in groups of at most ``size_limit`` bytes where they fit."""
    waiting: dict[Any, list[Tensor]] = defaultdict(list)
    sizes: dict[Any, int] = defaultdict(int)
    for t in tensors:
        size = t.numel() * t.element_size()
        if waiting[t.dtype] and sizes[t.dtype] + size > size_limit:
            yield waiting[t.dtype]
            waiting[t.dtype], sizes[t.dtype] = [], 0
        waiting[t.dtype].append(t)
        sizes[t.dtype] += size
    yield from (group for group in waiting.values() if group)


def _element_size(dtype: Any) -> int:
    """Bytes of an element."""
    return int(dtype.itemsize)


def _get_available_device_type() -> str | None:
    """The kind of accelerator there is, or None."""
    return "cuda" if gpu.drivers() else None


def _get_all_device_indices() -> list[int]:
    """The indices of accelerators."""
    return [driver.index for driver in gpu.drivers()]


def _get_device_index(device: Any, optional: bool = False, allow_cpu: bool = False) -> int:
    """The index of a device, which is -1 for a CPU where one is allowed.

    Raises:
        ValueError: the device has no index.
    """
    if isinstance(device, int):
        return device
    device = devices.device(device) if isinstance(device, str) else device
    if isinstance(device, devices.device):
        if device.type == "cpu" and allow_cpu:
            return -1 if device.index is None else device.index
        if device.type != "cpu" and device.index is not None:
            return device.index
    raise ValueError(
        f"Expected a torch.device with a specified index or an integer, but got:{device}"
    )


class KeyErrorMessage(str):
    """The text of a KeyError, which Python would print quoted, on one line."""

    def __repr__(self) -> str:
        return str(self)


class ExceptionWrapper:
    """An exception as text, which another process or thread can raise anew.

    Args:
        exc_info: what ``sys.exc_info()`` gives; default the exception being handled.
        where: said in the message, such as "in worker 1".
    """

    def __init__(self, exc_info: Any = None, where: str = "in background") -> None:
        exc_info = sys.exc_info() if exc_info is None else exc_info
        self.exc_type, self.where = exc_info[0], where
        self.exc_msg = "".join(traceback.format_exception(*exc_info))

    def reraise(self) -> NoReturn:
        """Raise an exception of the same type whose message holds where it first was raised."""
        text = f"Caught {self.exc_type.__name__} {self.where}.\nOriginal {self.exc_msg}"
        if self.exc_type is KeyError:
            raise KeyError(KeyErrorMessage(text))
        try:
            error = self.exc_type(text)
        except Exception:
            error = RuntimeError(text)  # its constructor wants other arguments
        raise error
