"""Optimisation of architectures: of it there is ``quantization``, which raises."""

from rushlight.ao import quantization as quantization

__all__ = ["quantization"]
