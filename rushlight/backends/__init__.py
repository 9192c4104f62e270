"""Switches of the libraries that torch computes with. rushlight has none of them: the settings can
be read and written, and results do not depend on them.
"""

from rushlight.backends import (
    cpu as cpu,
)
from rushlight.backends import (
    cuda as cuda,
)
from rushlight.backends import (
    cudnn as cudnn,
)
from rushlight.backends import (
    cusparselt as cusparselt,
)
from rushlight.backends import (
    mha as mha,
)
from rushlight.backends import (
    mkl as mkl,
)
from rushlight.backends import (
    mkldnn as mkldnn,
)
from rushlight.backends import (
    mps as mps,
)
from rushlight.backends import (
    nnpack as nnpack,
)
from rushlight.backends import (
    openmp as openmp,
)
from rushlight.backends import (
    opt_einsum as opt_einsum,
)
from rushlight.backends import (
    quantized as quantized,
)
from rushlight.backends import (
    xnnpack as xnnpack,
)
