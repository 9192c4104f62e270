"""Learning-rate schedules. `base` says when they run; `decay`, `cycles`, `plateau` and `combine`
hold them.
"""

from rushlight.optim.lr_scheduler.base import (
    LRScheduler,
    _warn_get_lr_called_within_step as _warn_get_lr_called_within_step,
)
from rushlight.optim.lr_scheduler.combine import ChainedScheduler, SequentialLR
from rushlight.optim.lr_scheduler.cycles import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    OneCycleLR,
)
from rushlight.optim.lr_scheduler.decay import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from rushlight.optim.lr_scheduler.plateau import ReduceLROnPlateau

_LRScheduler = LRScheduler  # its name in older programs

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]

for _name in __all__:  # they are shown as of this module, as in PyTorch
    globals()[_name].__module__ = __name__
