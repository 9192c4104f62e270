"""Extensions in C++ and CUDA: not supported, as they are compiled against PyTorch's own library.
The names are here so that programs that build them only on demand run.
"""

from __future__ import annotations

import shutil
from typing import Any, NoReturn

from rushlight.errors import NotSupportedError

__all__ = [
    "BuildExtension", "CppExtension", "CUDAExtension", "SyclExtension", "include_paths",
    "is_ninja_available", "library_paths", "load", "load_inline",
]  # fmt: skip

CUDA_HOME = ROCM_HOME = CUDNN_HOME = None
IS_HIP_EXTENSION = False


def _refuse(name: str) -> NoReturn:
    raise NotSupportedError(
        f"cpp_extension.{name}: extensions are compiled against PyTorch's C++ library, which is "
        "not here. Write the op with library.custom_op or autograd.Function: it may call compiled "
        "code through ctypes on t.numpy(), and torch.compile fuses loops over elements."
    )


def load(name: str, sources: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises: extensions are not compiled."""
    _refuse("load")


def load_inline(name: str, cpp_sources: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises: extensions are not compiled."""
    _refuse("load_inline")


def CppExtension(name: str, sources: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises: extensions are not compiled."""
    _refuse("CppExtension")


def CUDAExtension(name: str, sources: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises: extensions are not compiled."""
    _refuse("CUDAExtension")


def SyclExtension(name: str, sources: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises: extensions are not compiled."""
    _refuse("SyclExtension")


def include_paths(device_type: str = "cpu", *args: Any) -> NoReturn:
    """Raises: there are no header files."""
    _refuse("include_paths")


def library_paths(device_type: str = "cpu", *args: Any) -> NoReturn:
    """Raises: there is no C++ library."""
    _refuse("library_paths")


def is_ninja_available() -> bool:
    """Whether the build tool ninja is installed."""
    return shutil.which("ninja") is not None


class BuildExtension:
    """The command ``build_ext`` of setup scripts: using it raises."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse("BuildExtension")

    @classmethod
    def with_options(cls, **options: Any) -> type[BuildExtension]:
        """The class, whatever the options."""
        return cls
