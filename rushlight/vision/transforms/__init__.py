"""Transforms of images. `functional` decides between `pil` and `tensor`, which hold the work; the
classes (`containers`, `convert`, `crops`, `geometry`, `color`) hold options and draw random
numbers; `batch` does whole batches.
"""

from rushlight.vision.transforms import functional
from rushlight.vision.transforms.color import (
    ColorJitter,
    GaussianBlur,
    Grayscale,
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
    RandomAffine,
    RandomErasing,
    RandomHorizontalFlip,
    RandomRotation,
    RandomVerticalFlip,
)

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "ConvertImageDtype",
    "FiveCrop",
    "GaussianBlur",
    "Grayscale",
    "InterpolationMode",
    "Lambda",
    "LinearTransformation",
    "Normalize",
    "PILToTensor",
    "Pad",
    "RandomAffine",
    "RandomApply",
    "RandomChoice",
    "RandomCrop",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomInvert",
    "RandomOrder",
    "RandomPosterize",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomSolarize",
    "RandomVerticalFlip",
    "Resize",
    "TenCrop",
    "ToPILImage",
    "ToTensor",
    "functional",
]


def __getattr__(name: str) -> object:
    """``v2`` is imported when first asked for: it builds on this module."""
    if name == "v2":
        import importlib

        return importlib.import_module("rushlight.vision.transforms.v2")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
