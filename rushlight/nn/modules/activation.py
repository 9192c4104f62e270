"""Activations: functions of each element, or of each row. Rectifiers are in `rectifiers`."""

from __future__ import annotations

from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F
from rushlight.nn.modules.attention import MultiheadAttention
from rushlight.nn.modules.module import Module
from rushlight.nn.modules.rectifiers import (
    CELU,
    ELU,
    SELU,
    Hardtanh,
    LeakyReLU,
    PReLU,
    ReLU,
    ReLU6,
    RReLU,
    Threshold,
    _MayOverwrite,
)

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
