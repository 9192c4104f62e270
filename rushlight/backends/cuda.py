"""Settings of CUDA's libraries: kept, without effect."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from rushlight.errors import warn_user
from rushlight.gpu import matmul as matmul

cufft_plan_cache = SimpleNamespace(size=0, max_size=0, clear=lambda: None)
_attention = {"flash": True, "mem_efficient": True, "math": True, "cudnn": True}


def is_built() -> bool:
    """Always False."""
    return False


def _setter(kind: str) -> Callable[[bool], None]:
    def enable(enabled: bool) -> None:
        _attention[kind] = bool(enabled)

    return enable


def _getter(kind: str) -> Callable[[], bool]:
    return lambda: _attention[kind]


enable_flash_sdp, flash_sdp_enabled = _setter("flash"), _getter("flash")
enable_mem_efficient_sdp = _setter("mem_efficient")
mem_efficient_sdp_enabled = _getter("mem_efficient")
enable_math_sdp, math_sdp_enabled = _setter("math"), _getter("math")
enable_cudnn_sdp, cudnn_sdp_enabled = _setter("cudnn"), _getter("cudnn")


def is_flash_attention_available() -> bool:
    """Always False."""
    return False


def sdp_kernel(
    enable_flash: bool = True,
    enable_math: bool = True,
    enable_mem_efficient: bool = True,
    enable_cudnn: bool = True,
) -> contextlib.AbstractContextManager[dict[str, Any]]:
    """Context in which only some ways to compute attention are allowed; the result is the same."""
    warn_user(
        "`torch.backends.cuda.sdp_kernel()` is deprecated: use torch.nn.attention.sdpa_kernel(), "
        "whose arguments are others.",
        FutureWarning,
    )
    return _only(enable_flash, enable_math, enable_mem_efficient, enable_cudnn)


@contextlib.contextmanager
def _only(
    enable_flash: bool, enable_math: bool, enable_mem_efficient: bool, enable_cudnn: bool
) -> Iterator[dict[str, Any]]:
    before = dict(_attention)
    _attention.update(flash=enable_flash, math=enable_math)
    _attention.update(mem_efficient=enable_mem_efficient, cudnn=enable_cudnn)
    try:
        yield {}
    finally:
        _attention.update(before)
