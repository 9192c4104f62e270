"""DataParallel: the wrapper that programs for several GPUs use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.nn.modules.module import Module

__all__ = ["DataParallel", "data_parallel"]


class DataParallel(Module):
    """Calls `module` with the whole batch; its parameters get the prefix ``module.``.

    Programs written for several GPUs run unchanged, on one device.

    Args:
        module: what to call.
        device_ids: accepted; the module stays where it is.
        output_device: accepted.
        dim: dim of the batch.

    Example:
        >>> list(nn.DataParallel(nn.Linear(1, 1)).state_dict())
        ['module.weight', 'module.bias']
    """

    def __init__(
        self,
        module: Module,
        device_ids: Sequence[Any] | None = None,
        output_device: Any = None,
        dim: int = 0,
    ) -> None:
        super().__init__()
        self.module = module
        self.device_ids: list[Any] = []
        self.dim = dim

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Sequence[Any] | None = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: dict[str, Any] | None = None,
) -> Any:
    """Call `module` with `inputs`, a tuple of arguments or the only one; see `DataParallel`."""
    args = inputs if isinstance(inputs, tuple) else (inputs,)
    return module(*args, **(module_kwargs or {}))
