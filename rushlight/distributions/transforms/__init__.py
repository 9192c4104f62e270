"""Maps between spaces of values that know how they stretch volume.

base: Transform, its inverse, and composition; elementwise: of single values; vectors: of vectors
and matrices; structure: applied to parts, or to more dims.
"""

from rushlight.distributions.transforms.base import (
    ComposeTransform,
    Transform,
    _InverseTransform,
    identity_transform,
)
from rushlight.distributions.transforms.elementwise import (
    AbsTransform,
    AffineTransform,
    CumulativeDistributionTransform,
    ExpTransform,
    PowerTransform,
    SigmoidTransform,
    SoftplusTransform,
    TanhTransform,
    _clipped_sigmoid,
)
from rushlight.distributions.transforms.structure import (
    CatTransform,
    IndependentTransform,
    ReshapeTransform,
    StackTransform,
)
from rushlight.distributions.transforms.vectors import (
    CorrCholeskyTransform,
    LowerCholeskyTransform,
    PositiveDefiniteTransform,
    SoftmaxTransform,
    StickBreakingTransform,
)

__all__ = [
    "AbsTransform",
    "AffineTransform",
    "CatTransform",
    "ComposeTransform",
    "CorrCholeskyTransform",
    "CumulativeDistributionTransform",
    "ExpTransform",
    "IndependentTransform",
    "LowerCholeskyTransform",
    "PositiveDefiniteTransform",
    "PowerTransform",
    "ReshapeTransform",
    "SigmoidTransform",
    "SoftmaxTransform",
    "SoftplusTransform",
    "StackTransform",
    "StickBreakingTransform",
    "TanhTransform",
    "Transform",
    "identity_transform",
]

for _name in __all__:  # they are shown as of this module, as in PyTorch
    if isinstance(globals()[_name], type):
        globals()[_name].__module__ = __name__
