"""The older names of mixed precision on a GPU: ``torch.amp`` with the device "cuda" filled in."""

from __future__ import annotations

import sys
from typing import Any

from rushlight import amp, dtypes
from rushlight.errors import warn_user


def _warn_of_name(name: str, new: str) -> None:
    warn_user(
        f"`torch.cuda.amp.{name}(args...)` is deprecated. Please use `torch.amp.{new}`.",
        FutureWarning,
    )


class autocast(amp.autocast):
    """``torch.amp.autocast("cuda", ...)``."""

    def __init__(
        self,
        enabled: bool = True,
        dtype: Any = dtypes.by_name["float16"],
        cache_enabled: bool = True,
    ) -> None:
        _warn_of_name("autocast", "autocast('cuda', args...)")
        super().__init__("cuda", dtype, enabled, cache_enabled)


class GradScaler(amp.GradScaler):
    """``torch.amp.GradScaler("cuda", ...)``."""

    def __init__(
        self,
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        _warn_of_name("GradScaler", "GradScaler('cuda', args...)")
        super().__init__(
            "cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled
        )


def custom_fwd(fwd: Any = None, *, cast_inputs: Any = None) -> Any:
    """``torch.amp.custom_fwd(device_type="cuda")``."""
    _warn_of_name("custom_fwd", "custom_fwd(args..., device_type='cuda')")
    return amp.custom_fwd(fwd, device_type="cuda", cast_inputs=cast_inputs)


def custom_bwd(bwd: Any = None) -> Any:
    """``torch.amp.custom_bwd(device_type="cuda")``."""
    _warn_of_name("custom_bwd", "custom_bwd(args..., device_type='cuda')")
    return amp.custom_bwd(bwd, device_type="cuda")


grad_scaler = autocast_mode = sys.modules[__name__]  # modules of PyTorch's, with the same names
sys.modules.update({f"{__name__}.{name}": grad_scaler for name in ("grad_scaler", "autocast_mode")})
