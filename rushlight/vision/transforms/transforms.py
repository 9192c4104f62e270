"""The module that torchvision keeps its transforms in."""

from rushlight.vision import transforms as _transforms

globals().update({name: getattr(_transforms, name) for name in _transforms.__all__})
