"""Which kernel computes attention. There is one here, so choosing changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

__all__ = [
    "SDPBackend", "WARN_FOR_UNFUSED_KERNELS", "activate_flash_attention_impl",
    "current_flash_attention_impl", "list_flash_attention_impls", "register_flash_attention_impl",
    "restore_flash_attention_impl", "sdpa_kernel",
]  # fmt: skip

WARN_FOR_UNFUSED_KERNELS = False


class SDPBackend(IntEnum):
    """Names of PyTorch's kernels for `F.scaled_dot_product_attention`."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextmanager
def sdpa_kernel(
    backends: list[SDPBackend] | SDPBackend, set_priority: bool = False
) -> Iterator[None]:
    """Accepted for PyTorch's programs: attention is computed the same way within it.

    Args:
        backends: one kernel or several.
        set_priority: whether their order matters.
    """
    given = [backends] if isinstance(backends, SDPBackend) else list(backends)
    if not all(isinstance(backend, SDPBackend) for backend in given):
        raise AssertionError(
            f"sdpa_kernel: backends must be SDPBackend or a list of them, but is {backends!r}"
        )
    yield


def register_flash_attention_impl(impl: str, *, register_fn: Any) -> None:
    """Accepted: there is one kernel."""


def activate_flash_attention_impl(impl: str) -> None:
    """ValueError: no other kernel can be chosen."""
    raise ValueError(
        f"activate_flash_attention_impl: {impl!r} is not available; attention has one kernel here."
    )


def list_flash_attention_impls() -> list[str]:
    """No other kernels."""
    return []


def current_flash_attention_impl() -> str | None:
    """None: the one there is."""
    return None


def restore_flash_attention_impl(_raise_warn: bool = True) -> None:
    """Nothing: no other kernel was chosen."""
