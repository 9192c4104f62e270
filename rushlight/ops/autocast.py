"""Ops that autocast lets compute in float32 on a GPU, but leaves alone on the CPU."""

from __future__ import annotations

from rushlight.core.op import Op
from rushlight.ops.activation import Softplus
from rushlight.ops.arithmetic import Pow
from rushlight.ops.math import Exp, Expm1, Log, Log1p, Log2, Log10, Reciprocal, Rsqrt
from rushlight.ops.norm import GroupNorm, LayerNorm
from rushlight.ops.reduce import Sum
from rushlight.ops.scan import Cumprod, Cumsum
from rushlight.ops.softmax import LogSoftmax, Softmax
from rushlight.ops.special import Erfinv
from rushlight.ops.statistics import Logsumexp, VectorNorm
from rushlight.ops.trigonometry import Acos, Asin, Cosh, Sinh, Tan

IN_FLOAT32: tuple[type[Op], ...] = (
    Acos, Asin, Cosh, Cumprod, Cumsum, Erfinv, Exp, Expm1, GroupNorm, LayerNorm, Log, Log10, Log1p,
    Log2, LogSoftmax, Logsumexp, Pow, Reciprocal, Rsqrt, Sinh, Softmax, Softplus, Sum, Tan,
    VectorNorm,
)  # fmt: skip

for _kind in IN_FLOAT32:
    _kind.instance.gpu_precision = "float32"
