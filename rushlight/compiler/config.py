"""Settings of ``compile``: what is read and set here is an attribute of
`rushlight.config.compile_options`, as in ``torch._dynamo.config``. Those written below are accepted
without effect: programs are kept on disk, or not, see `rushlight.compiler.disk`.

Example:
    >>> import rushlight as torch
    >>> torch.compiler.config.recompile_limit
    8
"""

import sys
from types import ModuleType
from typing import Any

from rushlight.config import CompileOptions, compile_options

job_id: str | None = None
cache_key_tag = ""
force_disable_caches = False
dynamic_sources = unbacked_sources = ""


class Settings(ModuleType):
    """A module whose attributes are the options; its own are Python's, like ``__spec__``, and those
    that it had from the start.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(compile_options, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__") or name in vars(self):
            super().__setattr__(name, value)
        else:
            setattr(compile_options, name, value)

    def __delattr__(self, name: str) -> None:
        """What undoes a patch deletes what the module has not itself: back to the default."""
        setattr(compile_options, name, getattr(CompileOptions(), name))


sys.modules[__name__].__class__ = Settings
