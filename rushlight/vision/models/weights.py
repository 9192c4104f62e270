"""Names of torchvision's pretrained weights, so that programs that mention them can be imported.
The weights are not included: a builder that is asked for them raises, and says what to do.
"""

from __future__ import annotations

import enum

SPELLING = {
    "resnet": "ResNet", "resnext": "ResNeXt", "wide": "Wide", "vgg": "VGG", "bn": "BN",
    "densenet": "DenseNet", "mobilenet": "MobileNet", "squeezenet": "SqueezeNet",
    "alexnet": "AlexNet", "googlenet": "GoogLeNet", "vit": "ViT",
}  # fmt: skip
TWICE = {  # trained a second time
    "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d", "wide_resnet50_2",
    "wide_resnet101_2", "mobilenet_v2",
}  # fmt: skip


class WeightsEnum(enum.Enum):
    """Sets of weights of one model; DEFAULT is another name of the best."""


def weights_of(builder: str) -> type[WeightsEnum]:
    """The class of a builder's sets of weights: ``ResNet18_Weights`` of ``resnet18``."""
    parts = []
    for part in builder.split("_"):
        letters = part.rstrip("0123456789")
        parts.append(SPELLING.get(letters, letters.upper()) + part[len(letters) :])
    members = [("IMAGENET1K_V1", "V1")]
    if builder in TWICE:
        members.append(("IMAGENET1K_V2", "V2"))
    members.append(("DEFAULT", members[-1][1]))
    name = "_".join(parts) + "_Weights"
    return WeightsEnum(name, members, module=__name__)  # type: ignore[return-value]
