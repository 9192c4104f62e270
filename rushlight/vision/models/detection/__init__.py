"""Networks that find objects in images, by torchvision's names."""

from rushlight.vision.models.detection import (
    anchor_utils as anchor_utils,
    backbone_utils as backbone_utils,
    faster_rcnn as faster_rcnn,
    keypoint_rcnn as keypoint_rcnn,
    mask_rcnn as mask_rcnn,
)
from rushlight.vision.models.detection.faster_rcnn import *
from rushlight.vision.models.detection.fcos import *
from rushlight.vision.models.detection.keypoint_rcnn import *
from rushlight.vision.models.detection.mask_rcnn import *
from rushlight.vision.models.detection.retinanet import *
from rushlight.vision.models.detection.ssd import *
from rushlight.vision.models.detection.ssdlite import *
from rushlight.vision.models.registry import BUILDERS
from rushlight.vision.models.weights import DETECTORS, weights_of

for _name in [_name for _name in BUILDERS if _name.startswith(DETECTORS)]:
    _weights = weights_of(_name)
    globals()[_weights.__name__] = _weights
