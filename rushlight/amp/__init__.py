"""Mixed precision: ``autocast`` chooses dtypes per operation, ``GradScaler`` keeps small gradients
from vanishing in float16.
"""

from __future__ import annotations

from typing import Any

from rushlight import dtypes
from rushlight.amp.grad_scaler import GradScaler as GradScaler
from rushlight.core.state import Mode, modes, state
from rushlight.dtypes import dtype as DType


class autocast(Mode):
    """Within it matrix products, linear layers and convolutions compute in a half dtype; losses and
    norms stay in float32.

    Args:
        device_type: "cpu" or "cuda"; on a machine without a GPU "cuda" changes nothing.
        dtype: bfloat16 (the default on the CPU) or float16.
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
        self.device, self.enabled = device_type, bool(enabled)
        self.dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        if self.dtype.numpy not in dtypes.HALVES and self.enabled:
            raise RuntimeError(
                f"autocast: dtype must be torch.bfloat16 or torch.float16, but is {self.dtype}."
            )
        self.previous: list[Any] = []

    def __enter__(self) -> autocast:
        self.previous.append(modes.autocast)
        self._set(
            self.dtype.numpy
            if self.enabled and self.device == "cpu"
            else None
            if self.device == "cpu"
            else modes.autocast
        )
        return self

    def __exit__(self, *exc: object) -> None:
        self._set(self.previous.pop())

    @staticmethod
    def _set(d: Any) -> None:
        """Fast paths make way as long as some thread casts."""
        state.busy += (d is not None) - (modes.autocast is not None)
        modes.autocast = d


def get_autocast_dtype(device_type: str) -> DType:
    """The dtype that autocast uses unless told: bfloat16 on the CPU, float16 on a GPU."""
    return dtypes.by_name["bfloat16" if device_type == "cpu" else "float16"]


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether autocast is on in this thread."""
    return device_type == "cpu" and modes.autocast is not None


def is_autocast_available(device_type: str) -> bool:
    """Whether autocast can change anything on the device."""
    return device_type == "cpu"


def custom_fwd(fwd: Any = None, *, device_type: str = "cuda", cast_inputs: Any = None) -> Any:
    """Decorator of a custom Function's forward; without effect on the CPU."""
    return fwd if fwd is not None else lambda f: f


custom_bwd = custom_fwd
