"""Quantisation: not supported. What only marks a model for it does nothing, as in PyTorch before
``convert``; what would quantise raises, saying what to do instead.
"""

from __future__ import annotations

from typing import Any

from rushlight import nn
from rushlight.absent import FAMILIES, QUANTIZED
from rushlight.core.tensor import Tensor
from rushlight.errors import NotSupportedError

REFUSED = """
    FakeQuantize FakeQuantizeBase FixedQParamsFakeQuantize FusedMovingAvgObsFakeQuantize
    HistogramObserver MinMaxObserver MovingAverageMinMaxObserver
    MovingAveragePerChannelMinMaxObserver PerChannelMinMaxObserver PlaceholderObserver QConfig
    QConfigMapping default_dynamic_quant_observer default_fake_quant default_observer
    default_weight_fake_quant default_weight_observer disable_fake_quant disable_observer
    enable_fake_quant enable_observer get_default_qat_qconfig_mapping get_default_qconfig_mapping
    convert convert_jit convert_dynamic_jit fuse_modules fuse_modules_qat get_default_qat_qconfig
    get_default_qconfig prepare prepare_jit prepare_dynamic_jit prepare_qat propagate_qconfig_
    quantize quantize_dynamic quantize_dynamic_jit quantize_jit quantize_qat swap_module
""".split()  # noqa: SIM905
__all__ = ["DeQuantStub", "QuantStub", "QuantWrapper", *REFUSED]  # noqa: PLE0604


class QuantStub(nn.Module):
    """Where values would become quantized: returns what it is given.

    Example:
        >>> import rushlight as torch
        >>> torch.ao.quantization.QuantStub()(torch.ones(2))
        tensor([1., 1.])
    """

    def __init__(self, qconfig: Any = None) -> None:
        super().__init__()
        if qconfig:
            self.qconfig = qconfig

    def forward(self, x: Tensor) -> Tensor:
        """x."""
        return x


class DeQuantStub(QuantStub):
    """Where quantized values would become floats again: returns what it is given."""


class QuantWrapper(nn.Module):
    """A module between a ``QuantStub`` and a ``DeQuantStub``: computes what the module does."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.quant, self.dequant, self.module = QuantStub(), DeQuantStub(), module
        self.train(module.training)

    def forward(self, x: Tensor) -> Any:
        """The module's result."""
        return self.dequant(self.module(self.quant(x)))


def refusing(name: str) -> Any:
    """A function that raises: there are no quantized tensors."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise NotSupportedError(f"quantization.{name}: {FAMILIES[QUANTIZED]}")

    refuse.__name__ = refuse.__qualname__ = name
    return refuse


globals().update({name: refusing(name) for name in REFUSED})
