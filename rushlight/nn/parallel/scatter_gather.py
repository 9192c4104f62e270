"""Batches cut into parts for devices, and put together: with one device at most, one part."""

from __future__ import annotations

from typing import Any

__all__ = ["gather", "scatter", "scatter_kwargs"]


def scatter(inputs: Any, target_gpus: Any, dim: int = 0) -> list[Any]:
    """``[inputs]``: one part."""
    return [inputs]


def scatter_kwargs(
    inputs: tuple[Any, ...], kwargs: dict[str, Any] | None, target_gpus: Any, dim: int = 0
) -> tuple[Any, Any]:
    """``((inputs,), (kwargs,))``: arguments of a call, as one part."""
    return (inputs,), (kwargs or {},)


def gather(outputs: Any, target_device: Any, dim: int = 0) -> Any:
    """The only part."""
    (output,) = outputs
    return output
