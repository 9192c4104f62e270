"""Settings of ``compile`` that programs change, under PyTorch's name for them.

``config.recompile_limit`` (``cache_size_limit``): how often a function is captured, at most.
"""

from rushlight.compiler.front import disable as disable
from rushlight.compiler.front import is_compiling as is_compiling
from rushlight.compiler.front import reset as reset
from rushlight.config import compile_options as config

__all__ = ["config", "disable", "is_compiling", "reset"]
