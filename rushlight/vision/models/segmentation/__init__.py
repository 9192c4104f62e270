"""Networks that give every pixel a class, by torchvision's names."""

from rushlight.vision.models.segmentation import (
    deeplabv3 as deeplabv3,
    fcn as fcn,
    lraspp as lraspp,
)
from rushlight.vision.models.segmentation.deeplabv3 import *
from rushlight.vision.models.segmentation.fcn import *
from rushlight.vision.models.segmentation.lraspp import *
from rushlight.vision.models.weights import weights_of

for _name in deeplabv3.__all__ + fcn.__all__ + lraspp.__all__:
    if _name[0].isupper():
        continue
    _weights = weights_of(_name)
    globals()[_weights.__name__] = _weights
