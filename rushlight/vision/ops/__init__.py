"""Boxes and building blocks of networks, by torchvision's names.

Boxes are ``(N, 4)`` tensors of corners ``x1, y1, x2, y2`` with ``x1 <= x2`` and ``y1 <= y2``.
"""

from rushlight.vision.ops import (
    boxes as boxes,
    feature_pyramid_network as feature_pyramid_network,
    misc as misc,
    operators as operators,
)
from rushlight.vision.ops.boxes import *
from rushlight.vision.ops.deformable import *
from rushlight.vision.ops.drop_block import *
from rushlight.vision.ops.feature_pyramid_network import (
    FeaturePyramidNetwork as FeaturePyramidNetwork,
)
from rushlight.vision.ops.losses import *
from rushlight.vision.ops.misc import *
from rushlight.vision.ops.poolers import *
from rushlight.vision.ops.regions import *
