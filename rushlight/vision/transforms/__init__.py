"""Transforms of images. `functional` decides between `pil` and `tensor`, which hold the work; the
classes (`containers`, `convert`, `crops`, `geometry`, `color`, `autoaugment`) hold options and draw
random numbers; `batch` does whole batches.
"""

from rushlight.vision.transforms import functional
from rushlight.vision.transforms.autoaugment import (
    AugMix,
    AutoAugment,
    AutoAugmentPolicy,
    RandAugment,
    TrivialAugmentWide,
)
from rushlight.vision.transforms.color import (
    ColorJitter,
    GaussianBlur,
    Grayscale,
    RandomAdjustSharpness,
    RandomAutocontrast,
    RandomEqualize,
    RandomGrayscale,
    RandomInvert,
    RandomPosterize,
    RandomSolarize,
)
from rushlight.vision.transforms.containers import (
    Compose,
    Lambda,
    RandomApply,
    RandomChoice,
    RandomOrder,
)
from rushlight.vision.transforms.convert import (
    ConvertImageDtype,
    LinearTransformation,
    Normalize,
    PILToTensor,
    ToPILImage,
    ToTensor,
)
from rushlight.vision.transforms.crops import (
    CenterCrop,
    FiveCrop,
    Pad,
    RandomCrop,
    RandomResizedCrop,
    Resize,
    TenCrop,
)
from rushlight.vision.transforms.functional import InterpolationMode
from rushlight.vision.transforms.geometry import (
    ElasticTransform,
    RandomAffine,
    RandomErasing,
    RandomHorizontalFlip,
    RandomPerspective,
    RandomRotation,
    RandomVerticalFlip,
)

__all__ = [
    "AugMix",
    "AutoAugment",
    "AutoAugmentPolicy",
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "ConvertImageDtype",
    "ElasticTransform",
    "FiveCrop",
    "GaussianBlur",
    "Grayscale",
    "InterpolationMode",
    "Lambda",
    "LinearTransformation",
    "Normalize",
    "PILToTensor",
    "Pad",
    "RandAugment",
    "RandomAdjustSharpness",
    "RandomAffine",
    "RandomApply",
    "RandomAutocontrast",
    "RandomChoice",
    "RandomCrop",
    "RandomEqualize",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomInvert",
    "RandomOrder",
    "RandomPerspective",
    "RandomPosterize",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomSolarize",
    "RandomVerticalFlip",
    "Resize",
    "TenCrop",
    "ToPILImage",
    "ToTensor",
    "TrivialAugmentWide",
    "functional",
]


def __getattr__(name: str) -> object:
    """``v2`` is imported when first asked for: it builds on this module."""
    if name == "v2":
        import importlib

        return importlib.import_module("rushlight.vision.transforms.v2")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
