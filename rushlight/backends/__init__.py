"""Switches of the libraries that torch computes with. rushlight has none of them: the settings can
be read and written, and results do not depend on them.
"""

from rushlight.backends import (
    cpu as cpu,
    cuda as cuda,
    cudnn as cudnn,
    cusparselt as cusparselt,
    mha as mha,
    mkl as mkl,
    mkldnn as mkldnn,
    mps as mps,
    nnpack as nnpack,
    openmp as openmp,
    opt_einsum as opt_einsum,
    quantized as quantized,
    xnnpack as xnnpack,
)
