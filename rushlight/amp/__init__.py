"""Mixed precision: ``autocast`` chooses dtypes per operation, ``GradScaler`` keeps small gradients
from vanishing in float16.
"""

from __future__ import annotations

import functools
from typing import Any

from rushlight import dtypes, gpu
from rushlight.amp.grad_scaler import GradScaler as GradScaler
from rushlight.core.state import Mode, modes
from rushlight.core.tensor import Tensor
from rushlight.dtypes import dtype as DType
from rushlight.errors import warn_user
from rushlight.tensor_api.casting import switch


class autocast(Mode):
    """Within it matrix products, linear layers and convolutions compute in a half dtype; losses and
    norms stay in float32.

    Args:
        device_type: "cpu" or "cuda"; on a machine without a GPU "cuda" changes nothing.
        dtype: bfloat16 (the default on the CPU) or float16; others change nothing, with a warning.
        enabled: whether to change anything.

    Example:
        >>> import rushlight as torch
        >>> with torch.autocast("cpu", dtype=torch.bfloat16):
        ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
        torch.bfloat16
    """

    def __init__(
        self,
        device_type: str,
        dtype: DType | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(
                f"Expected `device_type` of type `str`, got: `{type(device_type).__name__}`"
            )
        if device_type not in ("cpu", "cuda", "mps"):
            raise RuntimeError(
                f"User specified an unsupported autocast device_type {device_type!r}; use 'cpu' "
                "or 'cuda'."
            )
        if enabled and device_type == "cuda" and not gpu.drivers():
            warn_user("CUDA is not available, so autocast('cuda') changes nothing.")
            enabled = False
        self.dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        if enabled and self.dtype.numpy not in dtypes.HALVES:
            warn_user(
                f"In {device_type.upper()} autocast, but the target dtype is not supported. "
                f"Disabling autocast. It is {self.dtype}; use torch.bfloat16 or torch.float16."
            )
            enabled = False
        self.device, self.enabled = device_type, bool(enabled)
        self.previous: list[Any] = []

    def __enter__(self) -> autocast:
        self.previous.append(modes.autocast)
        set_autocast_enabled(self.device, self.enabled, self.dtype)
        return self

    def __exit__(self, *exc: object) -> None:
        switch(self.previous.pop())


PLACES = {"cpu": 0, "cuda": 1}  # in Modes.autocast
_lower: dict[str, DType] = {}  # what set_autocast_dtype chose, by device type


def get_autocast_dtype(device_type: str) -> DType:
    """The dtype that autocast uses unless told: bfloat16 on the CPU, float16 on a GPU."""
    return _lower.get(
        device_type, dtypes.by_name["bfloat16" if device_type == "cpu" else "float16"]
    )


def set_autocast_dtype(device_type: str, dtype: DType) -> None:
    """Set the dtype that autocast uses unless told."""
    _lower[device_type] = dtype


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether autocast is on in this thread."""
    chosen = modes.autocast
    return chosen is not None and device_type in PLACES and chosen[PLACES[device_type]] is not None


def set_autocast_enabled(
    device_type: str | bool, enabled: bool | None = None, dtype: DType | None = None
) -> None:
    """Switch autocast in this thread; prefer ``with autocast(...)``. For a GPU nothing changes
    where there is none. The older form has ``enabled`` alone, for a GPU.
    """
    if isinstance(device_type, bool) and enabled is None:
        device_type, enabled = "cuda", device_type
    if not isinstance(device_type, str) or enabled is None:
        raise TypeError(
            "set_autocast_enabled() takes a device type and a bool, or a bool alone, but got "
            f"({device_type!r}, {enabled!r})"
        )
    if not is_autocast_available(device_type):
        return
    chosen = list(modes.autocast or (None, None))
    d = get_autocast_dtype(device_type) if dtype is None else dtype
    chosen[PLACES[device_type]] = d.numpy if enabled else None
    switch(tuple(chosen))


def _warn_of_name(old: str, new: str) -> None:
    warn_user(f"torch.{old} is deprecated. Please use torch.{new}.", DeprecationWarning)


def get_autocast_cpu_dtype() -> DType:
    """``get_autocast_dtype("cpu")``."""
    _warn_of_name("get_autocast_cpu_dtype()", "get_autocast_dtype('cpu')")
    return get_autocast_dtype("cpu")


def get_autocast_gpu_dtype() -> DType:
    """``get_autocast_dtype("cuda")``."""
    _warn_of_name("get_autocast_gpu_dtype()", "get_autocast_dtype('cuda')")
    return get_autocast_dtype("cuda")


def set_autocast_cpu_dtype(dtype: DType) -> None:
    """``set_autocast_dtype("cpu", dtype)``."""
    _warn_of_name("set_autocast_cpu_dtype(dtype)", "set_autocast_dtype('cpu', dtype)")
    set_autocast_dtype("cpu", dtype)


def set_autocast_gpu_dtype(dtype: DType) -> None:
    """``set_autocast_dtype("cuda", dtype)``."""
    _warn_of_name("set_autocast_gpu_dtype(dtype)", "set_autocast_dtype('cuda', dtype)")
    set_autocast_dtype("cuda", dtype)


def is_autocast_cpu_enabled() -> bool:
    """``is_autocast_enabled("cpu")``."""
    _warn_of_name("is_autocast_cpu_enabled()", "is_autocast_enabled('cpu')")
    return is_autocast_enabled("cpu")


def set_autocast_cpu_enabled(enabled: bool) -> None:
    """``set_autocast_enabled("cpu", enabled)``."""
    _warn_of_name("set_autocast_cpu_enabled(enabled)", "set_autocast_enabled('cpu', enabled)")
    set_autocast_enabled("cpu", enabled)


def is_autocast_cache_enabled() -> bool:
    """Always False: converted weights are not kept."""
    return False


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Accepted: converted weights are not kept."""


def clear_autocast_cache() -> None:
    """Nothing: converted weights are not kept."""


_blocks: list[None] = []  # one for each block that a program opened by itself


def autocast_increment_nesting() -> int:
    """A program opens a block of autocast by itself: how many of those there are now. Only counted,
    as converted weights are not kept.
    """
    _blocks.append(None)
    return len(_blocks)


def autocast_decrement_nesting() -> int:
    """A program closes a block of autocast by itself: how many of those are left."""
    _blocks.pop()
    return len(_blocks)


def is_autocast_available(device_type: str) -> bool:
    """Whether autocast can change anything on the device."""
    return device_type == "cpu" or (device_type == "cuda" and bool(gpu.drivers()))


def custom_fwd(fwd: Any = None, *, device_type: str, cast_inputs: Any = None) -> Any:
    """Decorator of a custom Function's ``forward``, whose ``backward`` is decorated by
    ``custom_bwd``: that then runs with autocast as it is now.

    Args:
        device_type: "cpu" or "cuda".
        cast_inputs: under autocast, a dtype that floating-point tensors on the device are converted
            to, and autocast is off inside.
    """
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        ctx._dtype, on = get_autocast_dtype(device_type), is_autocast_enabled(device_type)
        ctx._fwd_used_autocast = on and cast_inputs is None
        if not on or cast_inputs is None:
            return fwd(ctx, *args, **kwargs)
        with autocast(device_type, enabled=False):
            given = _converted([args, kwargs], device_type, cast_inputs)
            return fwd(ctx, *given[0], **given[1])

    return decorated


def _converted(x: Any, device_type: str, d: Any) -> Any:
    """Floating-point tensors of a device, also in sequences and dicts, as dtype d."""
    if isinstance(x, (list, tuple)):
        return type(x)([_converted(v, device_type, d) for v in x])
    if isinstance(x, dict):
        return {name: _converted(v, device_type, d) for name, v in x.items()}
    fits = isinstance(x, Tensor) and x.is_floating_point() and x.device.type == device_type
    return x.to(d) if fits and x.dtype is not dtypes.by_name["float64"] else x


def custom_bwd(bwd: Any = None, *, device_type: str) -> Any:
    """Decorator of a custom Function's ``backward``: it runs with autocast as ``forward`` did, see
    ``custom_fwd``.
    """
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        if not is_autocast_available(device_type):
            return bwd(ctx, *args, **kwargs)
        with autocast(device_type, enabled=ctx._fwd_used_autocast, dtype=ctx._dtype):
            return bwd(ctx, *args, **kwargs)

    return decorated
