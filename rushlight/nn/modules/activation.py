"""Activations: functions of each element, or of each row, without learnt state (PReLU excepted)."""

from __future__ import annotations

from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.errors import warn_user
from rushlight.nn import functional as F
from rushlight.nn.init import constant_
from rushlight.nn.modules.attention import MultiheadAttention
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "MultiheadAttention",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


class _MayOverwrite(Module):
    """What activations with an `inplace` flag share."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""

    def _with_inplace(self, text: str) -> str:
        return f"{text}, inplace=True" if self.inplace else text


class Threshold(_MayOverwrite):
    """``x`` where ``x > threshold``, else ``value``. Shape: ``(*) -> (*)``.

    Args:
        threshold: where the function changes.
        value: the result at and below it.
        inplace: write the result over the input.

    Example:
        >>> nn.Threshold(0.5, 0.0)(torch.tensor([0.2, 0.8]))
        tensor([0.0000, 0.8000])
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.threshold = threshold
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        return self._with_inplace(f"threshold={self.threshold}, value={self.value}")


class ReLU(_MayOverwrite):
    """Rectified linear unit, ``max(0, x)``. Shape: ``(*) -> (*)``.

    Args:
        inplace: write the result over the input.

    Example:
        >>> nn.ReLU()(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(input, inplace=self.inplace)


class RReLU(_MayOverwrite):
    """Leaky ReLU whose slope below zero is drawn for each element, and is its mean in evaluation.
    Shape: ``(*) -> (*)``.

    Args:
        lower: smallest slope.
        upper: largest slope.
        inplace: write the result over the input.

    Example:
        >>> nn.RReLU().eval()(torch.tensor([-1.0, 2.0]))
        tensor([-0.2292,  2.0000])

    Reference: Xu et al., 2015, arXiv:1505.00853.
    """

    def __init__(
        self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False
    ) -> None:
        super().__init__(inplace)
        self.lower = lower
        self.upper = upper

    def forward(self, input: Tensor) -> Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return self._with_inplace(f"lower={self.lower}, upper={self.upper}")


class Hardtanh(_MayOverwrite):
    """``x`` limited to [min_val, max_val]. Shape: ``(*) -> (*)``.

    Args:
        min_val: lower limit.
        max_val: upper limit, > min_val.
        inplace: write the result over the input.
        min_value: deprecated name of `min_val`.
        max_value: deprecated name of `max_val`.

    Example:
        >>> nn.Hardtanh()(torch.tensor([-4.0, 0.5, 4.0]))
        tensor([-1.0000,  0.5000,  1.0000])
    """

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__(inplace)
        for old, new, value in (
            ("min_value", "min_val", min_value),
            ("max_value", "max_val", max_value),
        ):
            if value is not None:
                warn_user(
                    f"keyword argument `{old}` is deprecated and rename to `{new}`", FutureWarning
                )
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        if self.max_val <= self.min_val:
            raise AssertionError(
                f"Hardtanh: max_val ({self.max_val}) must be larger than min_val ({self.min_val})"
            )

    def forward(self, input: Tensor) -> Tensor:
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        return self._with_inplace(f"min_val={self.min_val}, max_val={self.max_val}")


class ReLU6(Hardtanh):
    """``min(max(0, x), 6)``. Shape: ``(*) -> (*)``.

    Args:
        inplace: write the result over the input.

    Example:
        >>> nn.ReLU6()(torch.tensor([-1.0, 2.0, 9.0]))
        tensor([0., 2., 6.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Sigmoid(Module):
    """Logistic sigmoid, ``1 / (1 + exp(-x))``. Shape: ``(*) -> (*)``.

    Example:
        >>> nn.Sigmoid()(torch.tensor([0.0]))
        tensor([0.5000])
    """

    def forward(self, input: Tensor) -> Tensor:
        return T.sigmoid(input)


class Hardsigmoid(_MayOverwrite):
    """``min(max(0, x / 6 + 1/2), 1)``, a sigmoid of straight lines. Shape: ``(*) -> (*)``.

    Args:
        inplace: write the result over the input.

    Example:
        >>> nn.Hardsigmoid()(torch.tensor([-4.0, 0.0, 4.0]))
        tensor([0.0000, 0.5000, 1.0000])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.hardsigmoid(input, self.inplace)

    def extra_repr(self) -> str:
        return ""


class Tanh(Module):
    """Hyperbolic tangent. Shape: ``(*) -> (*)``.

    Example:
        >>> nn.Tanh()(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7616])
    """

    def forward(self, input: Tensor) -> Tensor:
        return T.tanh(input)


class SiLU(_MayOverwrite):
    """``x sigmoid(x)``, also called swish. Shape: ``(*) -> (*)``.

    Args:
        inplace: write the result over the input.

    Example:
        >>> nn.SiLU()(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7311])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.silu(input, inplace=self.inplace)


class Mish(_MayOverwrite):
    """``x tanh(softplus(x))``. Shape: ``(*) -> (*)``.

    Args:
        inplace: write the result over the input.

    Example:
        >>> nn.Mish()(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.8651])

    Reference: Misra, 2019, arXiv:1908.08681.
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.mish(input, inplace=self.inplace)


class Hardswish(_MayOverwrite):
    """``x min(max(0, x + 3), 6) / 6``. Shape: ``(*) -> (*)``.

    Args:
        inplace: write the result over the input.

    Example:
        >>> nn.Hardswish()(torch.tensor([-4.0, 0.0, 4.0]))
        tensor([-0., 0., 4.])

    Reference: Howard et al., 2019, arXiv:1905.02244.
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.hardswish(input, self.inplace)

    def extra_repr(self) -> str:
        return ""


class ELU(_MayOverwrite):
    """``x`` where positive, else ``alpha (exp(x) - 1)``. Shape: ``(*) -> (*)``.

    Args:
        alpha: minus the limit at -infinity.
        inplace: write the result over the input.

    Example:
        >>> nn.ELU()(torch.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.0000])

    Reference: Clevert et al., 2015, arXiv:1511.07289.
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return self._with_inplace(f"alpha={self.alpha}")


class CELU(_MayOverwrite):
    """``max(0, x) + min(0, alpha (exp(x / alpha) - 1))``. Shape: ``(*) -> (*)``.

    Args:
        alpha: minus the limit at -infinity, not 0.
        inplace: write the result over the input.

    Example:
        >>> nn.CELU()(torch.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.0000])

    Reference: Barron, 2017, arXiv:1704.07483.
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        return F.celu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return self._with_inplace(f"alpha={self.alpha}")


class SELU(_MayOverwrite):
    """ELU with alpha 1.673 times 1.051, constants that keep mean 0 and variance 1 through layers.
    Shape: ``(*) -> (*)``.

    Args:
        inplace: write the result over the input.

    Example:
        >>> nn.SELU()(torch.tensor([-1.0, 1.0]))
        tensor([-1.1113,  1.0507])

    Reference: Klambauer et al., 2017, arXiv:1706.02515.
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.selu(input, self.inplace)


class GLU(Module):
    """Gated linear unit: the first half along `dim` times the sigmoid of the second.

    Shape: ``(*, 2 n, *) -> (*, n, *)``.

    Args:
        dim: along which to halve.

    Example:
        >>> nn.GLU()(torch.tensor([2.0, 0.0]))
        tensor([1.])

    Reference: Dauphin et al., 2016, arXiv:1612.08083.
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class GELU(Module):
    """``x Phi(x)``, with the normal distribution's cumulative function. Shape: ``(*) -> (*)``.

    Args:
        approximate: "none", or "tanh" for ``x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))``.

    Example:
        >>> nn.GELU()(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([-0.1587,  0.0000,  0.8413])

    Reference: Hendrycks and Gimpel, 2016, arXiv:1606.08415.
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Hardshrink(Module):
    """``x`` where ``|x| > lambd``, else 0. Shape: ``(*) -> (*)``.

    Args:
        lambd: half the width of the zero part, >= 0.

    Example:
        >>> nn.Hardshrink()(torch.tensor([-1.0, 0.2, 2.0]))
        tensor([-1.,  0.,  2.])
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        return F.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class LeakyReLU(_MayOverwrite):
    """``x`` where positive, else ``negative_slope x``. Shape: ``(*) -> (*)``.

    Args:
        negative_slope: slope below zero.
        inplace: write the result over the input.

    Example:
        >>> nn.LeakyReLU(0.1)(torch.tensor([-1.0, 2.0]))
        tensor([-0.1000,  2.0000])
    """

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        return self._with_inplace(f"negative_slope={self.negative_slope}")


class LogSigmoid(Module):
    """``log(1 / (1 + exp(-x)))``. Shape: ``(*) -> (*)``.

    Example:
        >>> nn.LogSigmoid()(torch.tensor([0.0]))
        tensor([-0.6931])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.logsigmoid(input)


class Softplus(Module):
    """``log(1 + exp(beta x)) / beta``, a smooth ReLU. Shape: ``(*) -> (*)``.

    Args:
        beta: sharpness of the bend, not 0.
        threshold: above this ``beta x`` the result is ``x``.

    Example:
        >>> nn.Softplus()(torch.tensor([0.0, 30.0]))
        tensor([ 0.6931, 30.0000])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Softshrink(Module):
    """``x`` moved by `lambd` towards zero, and 0 where that would cross it. Shape: ``(*) -> (*)``.

    Args:
        lambd: how far, >= 0.

    Example:
        >>> nn.Softshrink()(torch.tensor([-1.0, 0.2, 2.0]))
        tensor([-0.5000,  0.0000,  1.5000])
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        return F.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class PReLU(Module):
    """``x`` where positive, else ``weight x`` with a learnt slope. Shape: ``(*) -> (*)``.

    Args:
        num_parameters: 1, or the number of channels (dim 1) for a slope each.
        init: value to begin with.
        device: where the parameter is.
        dtype: its element type.

    Example:
        >>> nn.PReLU()(torch.tensor([-1.0, 2.0])).detach()
        tensor([-0.2500,  2.0000])

    Reference: He et al., 2015, arXiv:1502.01852.
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        self.num_parameters = num_parameters
        super().__init__()
        self.init = init
        self.weight = Parameter(T.empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class Softsign(Module):
    """``x / (1 + |x|)``. Shape: ``(*) -> (*)``.

    Example:
        >>> nn.Softsign()(torch.tensor([-1.0, 3.0]))
        tensor([-0.5000,  0.7500])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softsign(input)


class Tanhshrink(Module):
    """``x - tanh(x)``. Shape: ``(*) -> (*)``.

    Example:
        >>> nn.Tanhshrink()(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.2384])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.tanhshrink(input)


class _AlongDim(Module):
    """What Softmin, Softmax and LogSoftmax share."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("dim", None)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmin(_AlongDim):
    """``exp(-x)`` scaled to sum to one along `dim`. Shape: ``(*) -> (*)``.

    Args:
        dim: along which to sum.

    Example:
        >>> nn.Softmin(dim=0)(torch.zeros(2))
        tensor([0.5000, 0.5000])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softmin(input, self.dim)


class Softmax(_AlongDim):
    """``exp(x)`` scaled to sum to one along `dim`. Shape: ``(*) -> (*)``.

    Args:
        dim: along which to sum.

    Example:
        >>> nn.Softmax(dim=0)(torch.tensor([0.0, 0.0]))
        tensor([0.5000, 0.5000])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim)


class Softmax2d(Module):
    """Softmax over the channels at each place of an image. Shape: ``(N, C, H, W)`` or
    ``(C, H, W)``, the same out.

    Example:
        >>> nn.Softmax2d()(torch.zeros(4, 1, 1)).flatten()
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() not in (3, 4):
            raise ValueError(
                f"Softmax2d: expected input to be 3D or 4D, got {input.dim()}D instead"
            )
        return F.softmax(input, -3)


class LogSoftmax(_AlongDim):
    """Logarithm of softmax along `dim`. Shape: ``(*) -> (*)``.

    Args:
        dim: along which to sum.

    Example:
        >>> nn.LogSoftmax(dim=0)(torch.zeros(2))
        tensor([-0.6931, -0.6931])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim)
