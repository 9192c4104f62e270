"""Devices. Tensors live on the CPU as NumPy arrays, on a GPU (``cuda``) where there is one, or on
none: on ``meta`` they are a shape and a dtype. Every other device of PyTorch's can be named, and
says that it cannot be used.
"""

from __future__ import annotations

import functools
import threading
from typing import Any

from rushlight import dtypes, gpu as gpus
from rushlight.errors import AcceleratorError, DeviceError

KNOWN = (
    "cpu", "cuda", "ipu", "xpu", "mkldnn", "opengl", "opencl", "ideep", "hip", "ve", "fpga", "maia",
    "xla", "lazy", "vulkan", "mps", "meta", "hpu", "mtia", "privateuseone",
)  # fmt: skip


class Current(threading.local):
    """The device of new tensors that name none; None means the CPU."""

    chosen: device | None = None
    outer: tuple[device | None, ...] = ()  # those of the blocks around


current = Current()


class device:
    """Where a tensor lives: ``device("cpu")``, ``device("cuda:0")``, ``device("cuda", 1)``. Devices
    that PyTorch knows can be named and compared.

    Args:
        type: a name such as ``"cpu"``, optionally followed by ``:index``; or a device; or an int,
            the index of a GPU.
        index: which GPU, >= 0; None means the current one.

    On the device ``"meta"`` tensors have a shape and a dtype, but no memory. As a context manager a
    device is that of the tensors made inside that name none.

    Example:
        >>> import rushlight as torch
        >>> torch.device("cuda:0")
        device(type='cuda', index=0)
        >>> with torch.device("meta"):
        ...     torch.ones(2, 3)
        tensor(..., device='meta', size=(2, 3))
    """

    __slots__ = ("type", "index")
    type: str
    index: int | None

    def __init__(self, type: Any = None, index: int | None = None, *, device: Any = None) -> None:
        where = device if type is None else type
        if isinstance(where, int) and not isinstance(where, bool):
            self.type, self.index = "cuda", where
            return
        if isinstance(getattr(where, "type", None), str) and hasattr(where, "index"):
            self.type, self.index = where.type, where.index
            return
        if not isinstance(where, str):
            raise TypeError(f"device: expected a string, an int or a device, but got {where!r}")
        name, _, number = where.partition(":")
        if name not in KNOWN:
            fix = {"gpu": "; write 'cuda'"}.get(name.lower(), "")
            if name in dtypes.by_name:
                fix = f"; a dtype is no string: torch.{name}"
            raise DeviceError(
                f"Expected one of {', '.join(KNOWN)} device type at start of device string: "
                f"{where}{fix}"
            )
        if number and (index is not None or not number.isdigit()):
            raise DeviceError(f"Invalid device string: {where!r}; write it as 'cuda' or 'cuda:0'")
        self.type, self.index = name, int(number) if number else index

    def __repr__(self) -> str:
        return (
            f"device(type={self.type!r})"
            if self.index is None
            else f"device(type={self.type!r}, index={self.index})"
        )

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type, self.index)

    def __enter__(self) -> device:
        current.outer, current.chosen = (*current.outer, current.chosen), self
        return self

    def __exit__(self, *exception: object) -> None:
        *outer, current.chosen = current.outer
        current.outer = tuple(outer)

    def __call__(self, function: Any) -> Any:
        """Decorator: what the function makes is on this device."""

        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return inside


META = device("meta")
CPU = device("cpu")


def is_cpu(where: Any) -> bool:
    """Whether something is the CPU, as a device or by its name."""
    if where.__class__ is device:
        return bool(where.type == "cpu")
    return where.__class__ is str and where == "cpu"


@functools.cache
def gpu(index: int) -> device:
    """The GPU of that index."""
    return device("cuda", index)


def check(where: Any, meta: bool = False) -> device:
    """``where`` as a device that tensors can be made on, meta only if ``meta``; None means that of
    new tensors. A GPU without an index is the current one.
    """
    if where is None:
        where = current.chosen
        if where is None:
            return CPU
    found = where if isinstance(where, device) else device(where)
    if found.type == "cpu":
        return found
    if found.type == "meta":
        if not meta:
            raise DeviceError("this cannot be on the device meta; use device='cpu'")
        return META
    count = len(gpus.drivers()) if found.type == "cuda" else 0
    if not count:
        why = f" ({gpus.missing()})" if found.type == "cuda" else ""
        raise DeviceError(
            f"no {found.type.upper()} device can be used{why}, so nothing can be on {found}: "
            "tensors live on the CPU. Use device='cpu', or choose as in "
            "device = 'cuda' if torch.cuda.is_available() else 'cpu'."
        )
    index = gpus.current.index if found.index is None else found.index
    if index >= count:
        raise AcceleratorError(
            f"CUDA error: invalid device ordinal. {found} was asked for, but the last of the GPUs "
            f"here is cuda:{count - 1}."
        )
    return gpu(index)


def find_gpu(where: Any = None) -> gpus.Driver:
    """The driver of a GPU: an index, or what names a device; None means the current one.

    Raises:
        DeviceError: there is no GPU, or the device is none.
    """
    if where is None or isinstance(where, int):
        where = device("cuda", where)
    found = check(where, meta=True)
    if found.type != "cuda":
        raise ValueError(f"Expected a cuda device, but got: {found}")
    return gpus.driver(found.index)


def place(where: Any) -> gpus.Driver | device | None:
    """Where memory is taken for tensors on a device, which ``check`` finds: a GPU's driver, META,
    or None for the CPU.
    """
    found = check(where, meta=True)
    if found.type == "cuda":
        return gpus.driver(found.index)
    return None if found.type == "cpu" else META
