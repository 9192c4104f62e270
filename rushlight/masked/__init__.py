"""``torch.masked``: reductions and normalisations over the elements that a mask selects.

``reductions`` and ``normalizations`` hold the functions, ``maskedtensor`` the tensor that carries
its mask. All are compositions of ordinary operations, so gradients follow.
"""

import sys

from rushlight.masked.maskedtensor import (
    MaskedTensor,
    as_masked_tensor,
    is_masked_tensor,
    masked_tensor,
)
from rushlight.masked.normalizations import (
    cumprod,
    cumsum,
    log_softmax,
    normalize,
    softmax,
    softmin,
)
from rushlight.masked.reductions import (
    amax,
    amin,
    argmax,
    argmin,
    logaddexp,
    logsumexp,
    mean,
    median,
    norm,
    prod,
    std,
    sum,
    var,
)

__all__ = [
    "amax", "amin", "argmax", "argmin", "as_masked_tensor", "cumprod", "cumsum",
    "is_masked_tensor", "log_softmax", "logaddexp", "logsumexp", "masked_tensor", "MaskedTensor",
    "mean", "median", "norm", "normalize", "prod", "softmax", "softmin", "std", "sum", "var",
]  # fmt: skip

_ops = sys.modules[__name__]  # where PyTorch's documentation calls the functions
