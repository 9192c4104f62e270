"""Augmentations that choose among many operations.

An operation has a range of magnitudes, of which one is picked by number, and those that go both
ways get a random sign.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight import tensor_api as rl
from rushlight.core.tensor import Tensor
from rushlight.nn import Module
from rushlight.tensor_api.random_samples import _sample_dirichlet
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms.containers import integer

Magnitudes = dict[str, tuple[Any, bool]]  # per operation its magnitudes, None or an array; signed?

SHIFT = 150.0 / 331.0  # the largest translation, as a share of the image


class AutoAugmentPolicy(enum.Enum):
    """The data sets for which policies were learnt."""

    IMAGENET = "imagenet"
    CIFAR10 = "cifar10"
    SVHN = "svhn"


# Cubuk et al., 2019, arXiv:1805.09501, tables 7 to 9: pairs of operation, probability in tenths and
# number of the magnitude
LEARNT = {
    AutoAugmentPolicy.IMAGENET: """
        Posterize 4 8 Rotate 6 9; Solarize 6 5 AutoContrast 6 -; Equalize 8 - Equalize 6 -;
        Posterize 6 7 Posterize 6 6; Equalize 4 - Solarize 2 4; Equalize 4 - Rotate 8 8;
        Solarize 6 3 Equalize 6 -; Posterize 8 5 Equalize 10 -; Rotate 2 3 Solarize 6 8;
        Equalize 6 - Posterize 4 6; Rotate 8 8 Color 4 0; Rotate 4 9 Equalize 6 -;
        Equalize 0 - Equalize 8 -; Invert 6 - Equalize 10 -; Color 6 4 Contrast 10 8;
        Rotate 8 8 Color 10 2; Color 8 8 Solarize 8 7; Sharpness 4 7 Invert 6 -;
        ShearX 6 5 Equalize 10 -; Color 4 0 Equalize 6 -; Equalize 4 - Solarize 2 4;
        Solarize 6 5 AutoContrast 6 -; Invert 6 - Equalize 10 -; Color 6 4 Contrast 10 8;
        Equalize 8 - Equalize 6 -""",
    AutoAugmentPolicy.CIFAR10: """
        Invert 1 - Contrast 2 6; Rotate 7 2 TranslateX 3 9; Sharpness 8 1 Sharpness 9 3;
        ShearY 5 8 TranslateY 7 9; AutoContrast 5 - Equalize 9 -; ShearY 2 7 Posterize 3 7;
        Color 4 3 Brightness 6 7; Sharpness 3 9 Brightness 7 9; Equalize 6 - Equalize 5 -;
        Contrast 6 7 Sharpness 6 5; Color 7 7 TranslateX 5 8; Equalize 3 - AutoContrast 4 -;
        TranslateY 4 3 Sharpness 2 6; Brightness 9 6 Color 2 8; Solarize 5 2 Invert 0 -;
        Equalize 2 - AutoContrast 6 -; Equalize 2 - Equalize 6 -; Color 9 9 Equalize 6 -;
        AutoContrast 8 - Solarize 2 8; Brightness 1 3 Color 7 0; Solarize 4 5 AutoContrast 9 -;
        TranslateY 9 9 TranslateY 7 9; AutoContrast 9 - Solarize 8 3; Equalize 8 - Invert 1 -;
        TranslateY 7 9 AutoContrast 9 -""",
    AutoAugmentPolicy.SVHN: """
        ShearX 9 4 Invert 2 -; ShearY 9 8 Invert 7 -; Equalize 6 - Solarize 6 6;
        Invert 9 - Equalize 6 -; Equalize 6 - Rotate 9 3; ShearX 9 4 AutoContrast 8 -;
        ShearY 9 8 Invert 4 -; ShearY 9 5 Solarize 2 6; Invert 9 - AutoContrast 8 -;
        Equalize 6 - Rotate 9 3; ShearX 9 4 Solarize 3 3; ShearY 8 8 Invert 7 -;
        Equalize 9 - TranslateY 6 6; Invert 9 - Equalize 6 -; Contrast 3 3 Rotate 8 4;
        Invert 8 - TranslateY 0 2; ShearY 7 6 Solarize 4 8; Invert 6 - Rotate 8 4;
        ShearY 3 7 TranslateX 9 3; ShearX 1 6 Invert 6 -; Solarize 7 2 TranslateY 6 7;
        ShearY 8 4 Invert 8 -; ShearX 7 9 TranslateY 8 3; ShearY 8 5 AutoContrast 7 -;
        ShearX 7 2 Invert 1 -""",
}


def learnt(policy: AutoAugmentPolicy) -> list[tuple[tuple[str, float, int | None], ...]]:
    """Pairs of (operation, probability, number of the magnitude)."""
    pairs = []
    for line in LEARNT[policy].split(";"):
        words = line.split()
        pair = [
            (words[i], int(words[i + 1]) / 10, None if words[i + 2] == "-" else int(words[i + 2]))
            for i in (0, 3)
        ]
        pairs.append(tuple(pair))
    return pairs


def apply(
    img: Any, name: str, magnitude: float, interpolation: F.InterpolationMode, fill: Any
) -> Any:
    """One operation of that magnitude."""
    degrees = math.degrees(math.atan(magnitude))
    if name in ("ShearX", "ShearY"):
        shear = [degrees, 0.0] if name == "ShearX" else [0.0, degrees]
        return F.affine(img, 0.0, [0, 0], 1.0, shear, interpolation, fill, center=[0, 0])
    if name in ("TranslateX", "TranslateY"):
        move = [int(magnitude), 0] if name == "TranslateX" else [0, int(magnitude)]
        return F.affine(img, 0.0, move, 1.0, [0.0, 0.0], interpolation, fill)
    if name == "Rotate":
        return F.rotate(img, magnitude, interpolation, fill=fill)
    factors = {
        "Brightness": F.adjust_brightness,
        "Color": F.adjust_saturation,
        "Contrast": F.adjust_contrast,
        "Sharpness": F.adjust_sharpness,
    }
    if name in factors:
        return factors[name](img, 1.0 + magnitude)
    if name == "Posterize":
        return F.posterize(img, int(magnitude))
    if name == "Solarize":
        return F.solarize(img, magnitude)
    plain = {"AutoContrast": F.autocontrast, "Equalize": F.equalize, "Invert": F.invert}
    return img if name == "Identity" else plain[name](img)


def steps(stop: float, bins: int, start: float = 0.0) -> np.ndarray:
    """Magnitudes at equal distances, in torch's float32 rounding."""
    values: np.ndarray = rl.linspace(start, stop, bins).numpy()
    return values


def bits(most: int, fewer: int, bins: int) -> np.ndarray:
    """Bits that are kept, from ``most`` down by ``fewer``."""
    return most - np.rint(np.arange(bins) / ((bins - 1) / fewer)).astype(int)


def common(
    bins: int, shear: float, moves: Sequence[float], turn: float, factor: float, kept: Any
) -> Magnitudes:
    """The operations that all methods share, in their order."""
    return {
        "ShearX": (steps(shear, bins), True),
        "ShearY": (steps(shear, bins), True),
        "TranslateX": (steps(moves[0], bins), True),
        "TranslateY": (steps(moves[1], bins), True),
        "Rotate": (steps(turn, bins), True),
        "Brightness": (steps(factor, bins), True),
        "Color": (steps(factor, bins), True),
        "Contrast": (steps(factor, bins), True),
        "Sharpness": (steps(factor, bins), True),
        "Posterize": (kept, False),
        "Solarize": (steps(0.0, bins, 255.0), False),
        "AutoContrast": (None, False),
        "Equalize": (None, False),
    }


class _Augmentation(Module):
    """What the methods have in common: how pixels are resampled and what fills the outside."""

    def __init__(self, interpolation: F.InterpolationMode, fill: Any) -> None:
        super().__init__()
        self.interpolation = F.interpolation_mode(interpolation)
        self.fill = fill

    def _filling(self, img: Any) -> Any:
        channels = F.get_dimensions(img)[0]
        if isinstance(img, Tensor) and self.fill is not None:
            if isinstance(self.fill, int | float):
                return [float(self.fill)] * channels
            return [float(f) for f in self.fill]
        return self.fill

    def _random(self, img: Any, table: Magnitudes, pick: Any, fill: Any) -> Any:
        """A random operation; ``pick`` chooses the number of its magnitude."""
        name = list(table)[integer(0, len(table))]
        magnitudes, signed = table[name]
        magnitude = 0.0 if magnitudes is None else float(magnitudes[pick(magnitudes)])
        if signed and integer(0, 2):
            magnitude = -magnitude
        return apply(img, name, magnitude, self.interpolation, fill)


class AutoAugment(_Augmentation):
    """One of 25 pairs of operations that were learnt for a data set.

    Args:
        policy: of which data set.
        interpolation: how new pixels get their values.
        fill: value of what lay outside; None for 0.

    Reference: Cubuk et al., 2019, arXiv:1805.09501.
    """

    def __init__(
        self,
        policy: AutoAugmentPolicy = AutoAugmentPolicy.IMAGENET,
        interpolation: F.InterpolationMode = F.InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation, fill)
        if not isinstance(policy, AutoAugmentPolicy):
            raise ValueError(f"The provided policy {policy} is not recognized.")
        self.policy = policy
        self.policies = learnt(policy)

    @staticmethod
    def get_params(transform_num: int) -> tuple[int, Tensor, Tensor]:
        """Which pair; chances and signs of its two operations."""
        return integer(0, transform_num), rl.rand((2,)), rl.randint(2, (2,))

    def forward(self, img: Any) -> Any:
        fill = self._filling(img)
        _, height, width = F.get_dimensions(img)
        chosen, chances, signs = self.get_params(len(self.policies))
        moves = SHIFT * width, SHIFT * height
        table = common(10, 0.3, moves, 30.0, 0.9, bits(8, 4, 10))
        for i, (name, p, number) in enumerate(self.policies[chosen]):
            if chances[i] <= p:
                magnitudes, signed = table.get(name, (None, False))
                magnitude = 0.0 if number is None else float(magnitudes[number])
                if signed and signs[i] == 0:
                    magnitude = -magnitude
                img = apply(img, name, magnitude, self.interpolation, fill)
        return img

    def __repr__(self) -> str:
        return f"AutoAugment(policy={self.policy}, fill={self.fill})"


class RandAugment(_Augmentation):
    """Some random operations of one magnitude.

    Args:
        num_ops: how many.
        magnitude: number of the magnitude, below ``num_magnitude_bins``.
        num_magnitude_bins: into how many steps ranges are divided.
        interpolation: how new pixels get their values.
        fill: value of what lay outside; None for 0.

    Reference: Cubuk et al., 2020, arXiv:1909.13719.
    """

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: F.InterpolationMode = F.InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation, fill)
        self.num_ops, self.magnitude = num_ops, magnitude
        self.num_magnitude_bins = num_magnitude_bins

    def forward(self, img: Any) -> Any:
        fill = self._filling(img)
        _, height, width = F.get_dimensions(img)
        bins, moves = self.num_magnitude_bins, (SHIFT * width, SHIFT * height)
        table = {"Identity": (None, False)}
        table |= common(bins, 0.3, moves, 30.0, 0.9, bits(8, 4, bins))
        for _ in range(self.num_ops):
            img = self._random(img, table, lambda magnitudes: self.magnitude, fill)
        return img

    def __repr__(self) -> str:
        return (
            f"RandAugment(num_ops={self.num_ops}, magnitude={self.magnitude}, "
            f"num_magnitude_bins={self.num_magnitude_bins}, interpolation={self.interpolation}, "
            f"fill={self.fill})"
        )


class TrivialAugmentWide(_Augmentation):
    """One random operation of random magnitude.

    Args:
        num_magnitude_bins: into how many steps ranges are divided.
        interpolation: how new pixels get their values.
        fill: value of what lay outside; None for 0.

    Reference: Mueller and Hutter, 2021, arXiv:2103.10158.
    """

    def __init__(
        self,
        num_magnitude_bins: int = 31,
        interpolation: F.InterpolationMode = F.InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation, fill)
        self.num_magnitude_bins = num_magnitude_bins

    def forward(self, img: Any) -> Any:
        bins = self.num_magnitude_bins
        table = {"Identity": (None, False)}
        table |= common(bins, 0.99, (32.0, 32.0), 135.0, 0.99, bits(8, 6, bins))
        return self._random(img, table, lambda m: integer(0, len(m)), self._filling(img))

    def __repr__(self) -> str:
        return (
            f"TrivialAugmentWide(num_magnitude_bins={self.num_magnitude_bins}, "
            f"interpolation={self.interpolation}, fill={self.fill})"
        )


class AugMix(_Augmentation):
    """The image mixed with some chains of random operations.

    Args:
        severity: the largest number of a magnitude, from 1 to 10.
        mixture_width: chains.
        chain_depth: operations in each; not positive: 1 to 3 at random.
        alpha: of the Dirichlet distribution of shares.
        all_ops: also brightness, colour, contrast and sharpness.
        interpolation: how new pixels get their values.
        fill: value of what lay outside; None for 0.

    Reference: Hendrycks et al., 2020, arXiv:1912.02781.
    """

    def __init__(
        self,
        severity: int = 3,
        mixture_width: int = 3,
        chain_depth: int = -1,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: F.InterpolationMode = F.InterpolationMode.BILINEAR,
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation, fill)
        if not 1 <= severity <= 10:
            raise ValueError(f"The severity must be between [1, 10]. Got {severity} instead.")
        self.severity, self.mixture_width, self.chain_depth = severity, mixture_width, chain_depth
        self.alpha, self.all_ops = alpha, all_ops

    def _table(self, height: int, width: int) -> Magnitudes:
        table = common(10, 0.3, (width / 3.0, height / 3.0), 30.0, 0.9, bits(4, 4, 10))
        extra = {name: table.pop(name) for name in ("Brightness", "Color", "Contrast", "Sharpness")}
        return table | extra if self.all_ops else table

    def forward(self, orig_img: Any) -> Any:
        fill = self._filling(orig_img)
        _, height, width = F.get_dimensions(orig_img)
        is_tensor = isinstance(orig_img, Tensor)
        img = orig_img if is_tensor else F.pil_to_tensor(orig_img)
        table = self._table(height, width)
        batch = img.view([1] * max(4 - img.dim(), 0) + list(img.shape))
        n = batch.shape[0]

        def shares(count: int) -> Tensor:
            return _sample_dirichlet(rl.tensor([float(self.alpha)] * count).expand(n, -1))

        keep = shares(2)
        weights = shares(self.mixture_width) * keep[:, 1].view(n, 1)
        mixed = keep[:, 0].view(n, 1, 1, 1) * batch
        for i in range(self.mixture_width):
            changed = batch
            depth = self.chain_depth if self.chain_depth > 0 else integer(1, 4)
            for _ in range(depth):
                changed = self._random(changed, table, lambda m: integer(0, self.severity), fill)
            mixed.add_(weights[:, i].view(n, 1, 1, 1) * changed)
        out = mixed.view(img.shape).to(img.dtype)
        return out if is_tensor else F.to_pil_image(out)

    def __repr__(self) -> str:
        return (
            f"AugMix(severity={self.severity}, mixture_width={self.mixture_width}, "
            f"chain_depth={self.chain_depth}, alpha={self.alpha}, all_ops={self.all_ops}, "
            f"interpolation={self.interpolation}, fill={self.fill})"
        )
