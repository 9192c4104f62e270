"""Names of torchvision's pretrained weights, so that programs that mention them can be imported.
The weights are not included: a builder that is asked for them raises, and says what to do.
"""

from __future__ import annotations

import enum
import functools

SPELLING = {
    "resnet": "ResNet", "resnext": "ResNeXt", "wide": "Wide", "densenet": "DenseNet",
    "mobilenet": "MobileNet", "squeezenet": "SqueezeNet", "alexnet": "AlexNet",
    "googlenet": "GoogLeNet", "vit": "ViT", "convnext": "ConvNeXt", "efficientnet": "EfficientNet",
    "inception": "Inception", "mnasnet": "MNASNet", "regnet": "RegNet", "swin": "Swin",
    "shufflenet": "ShuffleNet", "deeplabv": "DeepLabV", "tiny": "Tiny", "small": "Small",
    "base": "Base", "large": "Large",
}  # fmt: skip
TWICE = {  # trained a second time
    "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d", "wide_resnet50_2",
    "wide_resnet101_2", "mobilenet_v2", "mobilenet_v3_large", "efficientnet_b1", "regnet_x_400mf",
    "regnet_x_800mf", "regnet_x_1_6gf", "regnet_x_3_2gf", "regnet_x_8gf", "regnet_x_16gf",
    "regnet_x_32gf", "regnet_y_400mf", "regnet_y_800mf", "regnet_y_1_6gf", "regnet_y_3_2gf",
    "regnet_y_8gf", "regnet_y_16gf", "regnet_y_32gf",
}  # fmt: skip
SWAG = {"regnet_y_16gf", "regnet_y_32gf", "regnet_y_128gf", "vit_b_16", "vit_l_16", "vit_h_14"}
ONLY_SWAG = {"regnet_y_128gf", "vit_h_14"}  # trained on tags of photographs, then tuned


class WeightsEnum(enum.Enum):
    """Sets of weights of one model; DEFAULT is another name of the best."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"


@functools.cache
def weights_of(builder: str) -> type[WeightsEnum]:
    """The class of a builder's sets of weights: ``ResNet18_Weights`` of ``resnet18``."""
    parts = []
    for part in builder.split("_"):
        letters = part.rstrip("0123456789")
        parts.append(SPELLING.get(letters, letters.upper()) + part[len(letters) :])
    names = [] if builder in ONLY_SWAG else ["IMAGENET1K_V1"]
    if builder in TWICE:
        names.append("IMAGENET1K_V2")
    best = names[-1:]
    if builder in SWAG:
        names += ["IMAGENET1K_SWAG_E2E_V1", "IMAGENET1K_SWAG_LINEAR_V1"]
    if builder == "vgg16":
        names.append("IMAGENET1K_FEATURES")
    home = "rushlight.vision.models"  # where pickle finds the class
    if builder.startswith(("fcn", "deeplab", "lraspp")):
        names = ["COCO_WITH_VOC_LABELS_V1"]
        home += ".segmentation"
    members = [(name, name) for name in names]
    members.append(("DEFAULT", best[0] if best and best[0] in names else names[0]))
    name = "_".join(parts) + "_Weights"
    return WeightsEnum(name, members, module=home)  # type: ignore[return-value]
