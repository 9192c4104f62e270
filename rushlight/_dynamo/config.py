"""Settings of ``compile`` under PyTorch's name: what is read and set here is an attribute of
`rushlight.config.compile_options`.

Example:
    >>> import rushlight as torch
    >>> import rushlight._dynamo.config
    >>> torch._dynamo.config.suppress_errors = True
    >>> torch._dynamo.config.cache_size_limit  # the default
    8
"""

import sys
from types import ModuleType
from typing import Any

from rushlight.config import CompileOptions, compile_options


class _Settings(ModuleType):
    """A module whose attributes are the options; Python's own, like ``__spec__``, are its."""

    def __getattr__(self, name: str) -> Any:
        return getattr(compile_options, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__"):
            super().__setattr__(name, value)
        else:
            setattr(compile_options, name, value)

    def __delattr__(self, name: str) -> None:
        """What undoes a patch deletes what the module has not itself: back to the default."""
        setattr(compile_options, name, getattr(CompileOptions(), name))


sys.modules[__name__].__class__ = _Settings
