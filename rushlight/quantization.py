"""The older name of ``ao.quantization``."""

from rushlight.ao import quantization as _quantization

globals().update({name: getattr(_quantization, name) for name in _quantization.__all__})
