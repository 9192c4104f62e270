"""The older names of mixed precision on a CPU: ``torch.amp`` with the device "cpu" filled in."""

from __future__ import annotations

import sys
from typing import Any

from rushlight import amp, dtypes
from rushlight.errors import warn_user


def _warn_of_name(name: str, new: str) -> None:
    warn_user(
        f"`torch.cpu.amp.{name}(args...)` is deprecated. Please use `torch.amp.{new}`.",
        FutureWarning,
    )


class autocast(amp.autocast):
    """``torch.amp.autocast("cpu", ...)``."""

    def __init__(
        self,
        enabled: bool = True,
        dtype: Any = dtypes.by_name["bfloat16"],
        cache_enabled: bool = True,
    ) -> None:
        _warn_of_name("autocast", "autocast('cpu', args...)")
        super().__init__("cpu", dtype, enabled, cache_enabled)


class GradScaler(amp.GradScaler):
    """``torch.amp.GradScaler("cpu", ...)``."""

    def __init__(
        self,
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        _warn_of_name("GradScaler", "GradScaler('cpu', args...)")
        super().__init__("cpu", init_scale, growth_factor, backoff_factor, growth_interval, enabled)


grad_scaler = autocast_mode = sys.modules[__name__]  # modules of PyTorch's, with the same names
sys.modules.update({f"{__name__}.{name}": grad_scaler for name in ("grad_scaler", "autocast_mode")})
