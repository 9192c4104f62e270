"""Networks for images, by torchvision's names: the same layers, state_dict keys and, from the same
seed, initial weights. Pretrained weights are not included; `load_state_dict` takes torchvision's.
"""

from rushlight.vision.models import (
    detection as detection,
    feature_extraction as feature_extraction,
    segmentation as segmentation,
    video as video,
)
from rushlight.vision.models.alexnet import *
from rushlight.vision.models.convnext import *
from rushlight.vision.models.densenet import *
from rushlight.vision.models.efficientnet import *
from rushlight.vision.models.googlenet import *
from rushlight.vision.models.inception import *
from rushlight.vision.models.mnasnet import *
from rushlight.vision.models.mobilenetv2 import *
from rushlight.vision.models.mobilenetv3 import *
from rushlight.vision.models.registry import (
    get_model as get_model,
    get_model_builder as get_model_builder,
    get_model_weights as get_model_weights,
    get_weight as get_weight,
    list_models as list_models,
)
from rushlight.vision.models.regnet import *
from rushlight.vision.models.resnet import *
from rushlight.vision.models.shufflenetv2 import *
from rushlight.vision.models.squeezenet import *
from rushlight.vision.models.swin_transformer import *
from rushlight.vision.models.vgg import *
from rushlight.vision.models.vision_transformer import *
from rushlight.vision.models.weights import WeightsEnum as WeightsEnum, weights_of

_apart = (detection, segmentation, video)
for _name in [n for n in list_models() if not any(hasattr(home, n) for home in _apart)]:
    _weights = weights_of(_name)
    globals()[_weights.__name__] = _weights
