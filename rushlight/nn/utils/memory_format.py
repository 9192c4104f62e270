"""Memory formats of convolutions' weights."""

from __future__ import annotations

from typing import Any

from rushlight.nn.modules.conv import Conv2d, Conv3d, ConvTranspose2d, ConvTranspose3d
from rushlight.nn.modules.module import Module

__all__ = ["convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format"]


def _convert(module: Module, kinds: tuple[type, ...], memory_format: Any) -> Module:
    for layer in module.modules():
        if isinstance(layer, kinds):
            layer.weight.data = (
                layer.weight.detach().clone().contiguous(memory_format=memory_format)
            )
    return module


def convert_conv2d_weight_memory_format(module: Module, memory_format: Any) -> Module:
    """Lay the weights of all 2-d convolutions out in `memory_format`; values stay.

    Args:
        module: one or a tree of them.
        memory_format: such as ``torch.channels_last``.
    """
    return _convert(module, (Conv2d, ConvTranspose2d), memory_format)


def convert_conv3d_weight_memory_format(module: Module, memory_format: Any) -> Module:
    """Lay the weights of all 3-d convolutions out in `memory_format`; values stay.

    Args:
        module: one or a tree of them.
        memory_format: such as ``torch.channels_last_3d``.
    """
    return _convert(module, (Conv3d, ConvTranspose3d), memory_format)
