"""Rectifiers: activations that pass what is positive, and less or nothing of what is negative.

`Hardtanh`, of which `ReLU6` is a case, limits both.
"""

from __future__ import annotations

from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.errors import warn_user
from rushlight.nn import functional as F
from rushlight.nn.init import constant_
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter


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
