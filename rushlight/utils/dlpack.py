"""Sharing memory with other libraries: ``from_dlpack`` and ``to_dlpack``."""

from rushlight.tensor_api import from_dlpack as from_dlpack, to_dlpack as to_dlpack

__all__ = ["from_dlpack", "to_dlpack"]
