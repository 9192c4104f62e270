"""The wrapper of a module that several processes train: there is one process, so it refuses."""

from __future__ import annotations

from typing import Any

from rushlight.nn.modules.module import Module


class DistributedDataParallel(Module):
    """Raises ValueError, as torch's does without a process group; programs that import it, or ask
    whether a model is one, run.

    Args:
        module: the module to train.
        args: of torch's wrapper.
        kwargs: of torch's wrapper.
    """

    def __init__(self, module: Module, *args: Any, **kwargs: Any) -> None:
        raise ValueError(
            "Default process group has not been initialized, and cannot be: rushlight trains in "
            "one process. Use the module as it is, or DataParallel."
        )
