"""Networks that say what happens in a video, by torchvision's names."""

from rushlight.vision.models.video import resnet as resnet
from rushlight.vision.models.video.resnet import *
from rushlight.vision.models.video.s3d import *
from rushlight.vision.models.weights import VIDEO, weights_of

for _name in VIDEO:
    _weights = weights_of(_name)
    globals()[_weights.__name__] = _weights
