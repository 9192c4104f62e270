"""Names of torchvision's pretrained weights, so that programs that mention them can be imported.
The weights are not included: a builder that is asked for them raises, and says what to do.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rushlight.vision.transforms._presets import (
    ImageClassification,
    ObjectDetection,
    SemanticSegmentation,
    VideoClassification,
)
from rushlight.vision.transforms.functional import InterpolationMode

SPELLING = {
    "resnet": "ResNet", "resnext": "ResNeXt", "wide": "Wide", "densenet": "DenseNet",
    "mobilenet": "MobileNet", "squeezenet": "SqueezeNet", "alexnet": "AlexNet",
    "googlenet": "GoogLeNet", "vit": "ViT", "convnext": "ConvNeXt", "efficientnet": "EfficientNet",
    "inception": "Inception", "mnasnet": "MNASNet", "regnet": "RegNet", "swin": "Swin",
    "shufflenet": "ShuffleNet", "deeplabv": "DeepLabV", "tiny": "Tiny", "small": "Small",
    "base": "Base", "large": "Large", "fasterrcnn": "FasterRCNN", "maskrcnn": "MaskRCNN",
    "keypointrcnn": "KeypointRCNN", "retinanet": "RetinaNet", "ssdlite": "SSDLite",
    "r2plus1d": "R2Plus1D",
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
SIZES = {  # of the cut and of the resized image, where they are not 224 and 256; V2: 224 and 232
    "convnext_tiny": (224, 236), "convnext_small": (224, 230), "convnext_base": (224, 232),
    "convnext_large": (224, 232), "efficientnet_b1": (240, 256), "efficientnet_b2": (288, 288),
    "efficientnet_b3": (300, 320), "efficientnet_b4": (380, 384), "efficientnet_b5": (456, 456),
    "efficientnet_b6": (528, 528), "efficientnet_b7": (600, 600), "efficientnet_v2_s": (384, 384),
    "efficientnet_v2_m": (480, 480), "efficientnet_v2_l": (480, 480), "inception_v3": (299, 342),
    "mnasnet0_75": (224, 232), "mnasnet1_3": (224, 232), "resnext101_64x4d": (224, 232),
    "shufflenet_v2_x1_5": (224, 232), "shufflenet_v2_x2_0": (224, 232), "swin_t": (224, 232),
    "swin_s": (224, 246), "swin_b": (224, 238), "swin_v2_t": (256, 260), "swin_v2_s": (256, 260),
    "swin_v2_b": (256, 272), "vit_l_16": (224, 242),
}  # fmt: skip
SWAG_SIZES = {"vit_l_16": 512, "vit_h_14": 518}  # tuned as a whole, otherwise 384
VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
KEYPOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee",
    "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
DETECTORS = ("fasterrcnn", "fcos", "keypointrcnn", "maskrcnn", "retinanet", "ssd")
VIDEO = ("r3d_18", "mc3_18", "r2plus1d_18", "s3d")
BICUBIC = ("swin", "efficientnet_b", "efficientnet_v2_l")


BUILDERS: dict[str, str] = {}  # of the classes of weights, by their names


class WeightsEnum(enum.Enum):
    """Sets of weights of one model; DEFAULT is another name of the best."""

    @property
    def transforms(self) -> Callable[..., Any]:
        """Makes what prepares an image for a model with these weights: arguments change it.

        Example:
            >>> from rushlight.vision.models import ResNet50_Weights
            >>> ResNet50_Weights.DEFAULT.transforms().resize_size
            [232]
        """
        return preparation(BUILDERS[type(self).__name__], self.name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    @property
    def meta(self) -> dict[str, Any]:
        """What is known of the weights: ``categories``, the names of the classes in the order of
        the outputs (None for features alone); for key points also ``keypoint_names``.

        Example:
            >>> from rushlight.vision.models import ResNet50_Weights
            >>> ResNet50_Weights.DEFAULT.meta["categories"][:2]
            ['tench', 'goldfish']
        """
        names: Any = None
        if self.name == "COCO_WITH_VOC_LABELS_V1":
            names = ["__background__", *VOC_CLASSES]
        elif BUILDERS[type(self).__name__].startswith("keypoint"):
            return {"categories": ["no person", "person"], "keypoint_names": list(KEYPOINTS)}
        elif self.name == "KINETICS400_V1":
            names = classes_of("kinetics400").copy()
        elif self.name == "COCO_V1":
            names = classes_of("coco").copy()
        elif self.name != "IMAGENET1K_FEATURES":
            names = classes_of("imagenet").copy()
        return {"categories": names}


@functools.cache
def classes_of(data: str) -> list[str]:
    """Names of the classes of ImageNet's challenge of 2012, of COCO by number, or of Kinetics."""
    path = Path(__file__).parent.parent / "data" / f"{data}-classes.txt"
    return path.read_text("utf-8").splitlines()


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
    if builder.startswith(DETECTORS):
        names = ["COCO_LEGACY"] * builder.startswith("keypoint") + ["COCO_V1"]
        best = names[-1:]
        home += ".detection"
    if builder in VIDEO:
        names = best = ["KINETICS400_V1"]
        home += ".video"
    members = [(name, name) for name in names]
    members.append(("DEFAULT", best[0] if best and best[0] in names else names[0]))
    name = "_".join(parts) + "_Weights"
    BUILDERS[name] = builder
    return WeightsEnum(name, members, module=home)  # type: ignore[return-value]


def preparation(builder: str, weights: str) -> Callable[..., Any]:
    """What makes the transform of images for a model's weights of this name."""
    if builder.startswith(DETECTORS):
        return ObjectDetection
    if builder in VIDEO:
        crop, resize = ((224,) * 2, (256,) * 2) if builder == "s3d" else ((112,) * 2, (128, 171))
        return functools.partial(VideoClassification, crop_size=crop, resize_size=resize)
    if weights == "COCO_WITH_VOC_LABELS_V1":
        return functools.partial(SemanticSegmentation, resize_size=520)
    crop, resized = SIZES.get(builder, (224, 256))
    options: dict[str, Any] = {}
    if builder.startswith(BICUBIC) or "SWAG" in weights:
        options["interpolation"] = InterpolationMode.BICUBIC
    if weights == "IMAGENET1K_V2":
        resized = 232
        if builder == "efficientnet_b1":
            resized = 255
            del options["interpolation"]
    elif weights == "IMAGENET1K_SWAG_E2E_V1":
        crop = resized = SWAG_SIZES.get(builder, 384)
    elif weights == "IMAGENET1K_SWAG_LINEAR_V1":
        crop = resized = 224
    elif weights == "IMAGENET1K_FEATURES":
        options |= {"mean": (0.48235, 0.45882, 0.40784), "std": (1 / 255,) * 3}
    if builder == "efficientnet_v2_l":
        options |= {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    return functools.partial(ImageClassification, crop_size=crop, resize_size=resized, **options)
