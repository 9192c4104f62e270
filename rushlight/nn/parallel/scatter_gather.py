"""Batches cut into parts for devices, and put together: with one device at most, one part."""

from __future__ import annotations

from typing import Any

__all__ = ["gather", "parallel_apply", "replicate", "scatter", "scatter_kwargs"]


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


def replicate(network: Any, devices: Any, detach: bool = False) -> list[Any]:
    """``[network]``: one part needs one copy, the module itself."""
    return [network]


def parallel_apply(
    modules: Any, inputs: Any, kwargs_tup: Any = None, devices: Any = None
) -> list[Any]:
    """The result of each module for its inputs, a tuple of arguments or the only one."""
    named = kwargs_tup or [{}] * len(modules)
    return [
        module(*(args if isinstance(args, (list, tuple)) else (args,)), **kwargs)
        for module, args, kwargs in zip(modules, inputs, named, strict=True)
    ]
