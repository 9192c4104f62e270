"""Activation functions, softmax and dropout's relatives without state."""

from __future__ import annotations

from typing import Any

from rushlight import tensor_api as T
from rushlight.core.autograd import known_as
from rushlight.core.generator import engine_of
from rushlight.core.tensor import Tensor, expect_tensors
from rushlight.errors import DTypeError, ShapeError, warn_user
from rushlight.ops import activation as A
from rushlight.ops.random import RreluNoise
from rushlight.tensor_api._common import scalar, stored_exactly, wrap_dim

__all__ = [
    "relu", "relu_", "relu6", "leaky_relu", "leaky_relu_", "elu", "elu_", "selu", "selu_", "celu",
    "celu_", "gelu", "silu", "mish", "softplus", "hardtanh", "hardtanh_", "hardswish",
    "hardsigmoid", "hardshrink", "softshrink", "tanhshrink", "softsign", "logsigmoid", "prelu",
    "rrelu", "rrelu_", "glu", "threshold", "threshold_", "sigmoid", "tanh", "softmax",
    "log_softmax", "softmin", "gumbel_softmax",
]  # fmt: skip


def _apply(op: Any, input: Tensor, inplace: bool, **params: Any) -> Tensor:
    return op.update(input, **params) if inplace else op.bind(input, **params)  # type: ignore[no-any-return]


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``max(0, x)``. Shape: ``(*) -> (*)``.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.functional.relu(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """
    return A.Relu.update(input) if inplace else A.Relu.bind(input)  # type: ignore[no-any-return]


relu_ = T.relu_
hardshrink = T.hardshrink
prelu = T.prelu


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """``min(max(0, x), 6)``. Shape: ``(*) -> (*)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.relu6(torch.tensor([-2.0, 3.0, 8.0]))
        tensor([0., 3., 6.])
    """
    return _apply(A.Hardtanh, input, inplace, low=0, high=6)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """``x`` where positive, else ``negative_slope * x``. Shape: ``(*) -> (*)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.leaky_relu(torch.tensor([-2.0, 0.0, 3.0]), 0.1)
        tensor([-0.2000,  0.0000,  3.0000])
    """
    negative_slope = scalar(negative_slope, "negative_slope")
    return _apply(A.LeakyRelu, input, inplace, negative_slope=negative_slope)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """In-place form of ``leaky_relu``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x = torch.tensor([-2.0, 0.0, 3.0])
        >>> F.leaky_relu_(x, 0.1) is x
        True
        >>> x
        tensor([-0.2000,  0.0000,  3.0000])
    """
    return leaky_relu(input, negative_slope, True)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``x`` where positive, else ``alpha (exp(x) - 1)``. Shape: ``(*) -> (*)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.elu(torch.tensor([-2.0, 0.0, 3.0]))
        tensor([-0.8647,  0.0000,  3.0000])
    """
    alpha = scalar(alpha, "alpha")
    return _apply(A.Elu, input, inplace, alpha=alpha, scale=1, input_scale=1)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """In-place form of ``elu``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x = torch.tensor([-2.0, 0.0, 3.0])
        >>> F.elu_(x) is x
        True
        >>> x
        tensor([-0.8647,  0.0000,  3.0000])
    """
    return elu(input, alpha, True)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """``scale * elu(x, alpha)`` with the constants that keep mean 0 and variance 1 through layers.
    Shape: ``(*) -> (*)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.selu(torch.tensor([-2.0, 0.0, 3.0]))
        tensor([-1.5202,  0.0000,  3.1521])

    Reference: Klambauer et al., 2017, arXiv:1706.02515.
    """
    return _apply(
        A.Elu,
        input,
        inplace,
        alpha=1.6732632423543772848170429916717,
        scale=1.0507009873554804934193349852946,
        input_scale=1,
    )


def selu_(input: Tensor) -> Tensor:
    """In-place form of ``selu``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x = torch.tensor([-2.0, 0.0, 3.0])
        >>> F.selu_(x) is x
        True
        >>> x
        tensor([-1.5202,  0.0000,  3.1521])
    """
    return selu(input, True)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``max(0, x) + min(0, alpha (exp(x / alpha) - 1))``. Shape: ``(*) -> (*)``.

    Raises:
        RuntimeError: alpha is 0.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.celu(torch.tensor([-2.0, 0.0, 3.0]))
        tensor([-0.8647,  0.0000,  3.0000])
    """
    alpha = scalar(alpha, "alpha")
    if alpha == 0:
        raise RuntimeError("celu: ZeroDivisionError: alpha cannot be 0; pass a positive number.")
    out = _apply(A.Elu, input, inplace, alpha=alpha, scale=1, input_scale=1 / alpha)
    return out if inplace else known_as("CeluBackward0", out)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """In-place form of ``celu``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x = torch.tensor([-2.0, 0.0, 3.0])
        >>> F.celu_(x) is x
        True
        >>> x
        tensor([-0.8647,  0.0000,  3.0000])
    """
    return celu(input, alpha, True)


def gelu(input: Tensor, approximate: str = "none", *, out: Tensor | None = None) -> Tensor:
    """``x * P(X <= x)`` of a standard normal X; ``approximate="tanh"`` is cheaper. Shape:
    ``(*) -> (*)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.gelu(torch.tensor([-1.0, 0.0, 3.5]))
        tensor([-0.1587,  0.0000,  3.4992])

    Reference: Hendrycks and Gimpel, 2016, arXiv:1606.08415.
    """
    if approximate == "none":
        return stored_exactly(A.Gelu.bind(input), out)
    if approximate == "tanh":
        return stored_exactly(A.GeluTanh.bind(input), out)
    raise RuntimeError(
        f"gelu: approximate argument must be either none or tanh, but is {approximate!r}."
    )


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """``x * sigmoid(x)``, also called swish. Shape: ``(*) -> (*)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.silu(torch.tensor([-2.0, 0.0, 3.0]))
        tensor([-0.2384,  0.0000,  2.8577])
    """
    return A.Silu.update(input) if inplace else A.Silu.bind(input)  # type: ignore[no-any-return]


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """``x * tanh(softplus(x))``. Shape: ``(*) -> (*)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.mish(torch.tensor([-2.0, 0.0, 3.0]))
        tensor([-0.2525,  0.0000,  2.9865])
    """
    return A.Mish.update(input) if inplace else A.Mish.bind(input)  # type: ignore[no-any-return]


def softplus(
    input: Tensor, beta: float = 1, threshold: float = 20, *, out: Tensor | None = None
) -> Tensor:
    """``log(1 + exp(beta x)) / beta``; x where ``beta x > threshold``. Shape: ``(*) -> (*)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.softplus(torch.tensor([-2.0, 0.0, 30.0]))
        tensor([ 0.1269,  0.6931, 30.0000])
    """
    beta, threshold = scalar(beta, "beta"), scalar(threshold, "threshold")
    return stored_exactly(A.Softplus.bind(input, beta=beta, threshold=threshold), out)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """``x`` limited to ``[min_val, max_val]``. Shape: ``(*) -> (*)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.hardtanh(torch.tensor([-2.0, 0.0, 3.0]))
        tensor([-1.,  0.,  1.])
    """
    min_val, max_val = scalar(min_val, "min_val"), scalar(max_val, "max_val")
    if min_val > max_val:
        raise ValueError(
            f"hardtanh: min_val cannot be greater than max_val, but they are {min_val} and"
            f" {max_val}."
        )
    expect_tensors("hardtanh", input)
    if min_val < 0 and input._array.dtype.kind == "u":
        raise DTypeError(
            f"hardtanh: {input.dtype} has no negative numbers, but min_val is {min_val}."
        )
    return _apply(A.Hardtanh, input, inplace, low=min_val, high=max_val)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """In-place form of ``hardtanh``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x = torch.tensor([-2.0, 0.0, 3.0])
        >>> F.hardtanh_(x) is x
        True
        >>> x
        tensor([-1.,  0.,  1.])
    """
    return hardtanh(input, min_val, max_val, True)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """``x * relu6(x + 3) / 6``. Shape: ``(*) -> (*)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.hardswish(torch.tensor([-4.0, 1.0, 4.0]))
        tensor([-0.0000, 0.6667, 4.0000])
    """
    return A.Hardswish.update(input) if inplace else A.Hardswish.bind(input)  # type: ignore[no-any-return]


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """``relu6(x + 3) / 6``. Shape: ``(*) -> (*)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.hardsigmoid(torch.tensor([-4.0, 0.0, 1.5]))
        tensor([0.0000, 0.5000, 0.7500])
    """
    return A.Hardsigmoid.update(input) if inplace else A.Hardsigmoid.bind(input)  # type: ignore[no-any-return]


def softshrink(input: Tensor, lambd: float = 0.5, *, out: Tensor | None = None) -> Tensor:
    """``x`` moved towards 0 by ``lambd``, not past it. Shape: ``(*) -> (*)``.

    Raises:
        RuntimeError: lambd is negative.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.softshrink(torch.tensor([-2.0, 0.0, 3.0]))
        tensor([-1.5000,  0.0000,  2.5000])
    """
    lambd = scalar(lambd, "lambd")
    if lambd < 0:
        raise RuntimeError(
            f"softshrink: lambda must be greater or equal to 0, but found to be {lambd}."
        )
    return stored_exactly(A.Softshrink.bind(input, lambd=lambd), out)


def tanhshrink(input: Tensor) -> Tensor:
    """``x - tanh(x)``. Shape: ``(*) -> (*)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.tanhshrink(torch.tensor([-2.0, 0.0, 3.0]))
        tensor([-1.0360,  0.0000,  2.0049])
    """
    return input - input.tanh()


def softsign(input: Tensor) -> Tensor:
    """``x / (1 + |x|)``. Shape: ``(*) -> (*)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.softsign(torch.tensor([-2.0, 0.0, 3.0]))
        tensor([-0.6667,  0.0000,  0.7500])
    """
    return input / (input.abs() + 1)  # type: ignore[no-any-return]


def logsigmoid(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """``log(sigmoid(x))`` without underflow. Shape: ``(*) -> (*)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.logsigmoid(torch.tensor([-100.0, 0.0, 2.0]))
        tensor([-100.0000,   -0.6931,   -0.1269])
    """
    return stored_exactly(A.LogSigmoid.bind(input), out)


def sigmoid(input: Tensor) -> Tensor:
    """``1 / (1 + exp(-x))``. Shape: ``(*) -> (*)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.sigmoid(torch.tensor([-2.0, 0.0, 3.0]))
        tensor([0.1192, 0.5000, 0.9526])
    """
    return input.sigmoid()


def tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent. Shape: ``(*) -> (*)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.tanh(torch.tensor([-2.0, 0.0, 3.0]))
        tensor([-0.9640,  0.0000,  0.9951])
    """
    return input.tanh()


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """Leaky ReLU with a slope drawn from [lower, upper] for each negative element; with their mean
    when not training.

    Shape: ``(*) -> (*)``.

    Raises:
        RuntimeError: lower is above upper.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.rrelu(torch.tensor([-3.0, 2.0]), 0.2, 0.4)  # their mean is 0.3
        tensor([-0.9000,  2.0000])
        >>> y = F.rrelu(-torch.ones(100), 0.2, 0.4, training=True)
        >>> y.min() >= -0.4, y.max() <= -0.2
        (tensor(True), tensor(True))

    Reference: Xu et al., 2015, arXiv:1505.00853.
    """
    if lower > upper:
        raise RuntimeError(
            "rrelu: Lower bound should be less than or equal to the upper bound, but they are"
            f" {lower} and {upper}."
        )
    expect_tensors("rrelu", input)
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    noise = RreluNoise.bind(input.detach(), engine=engine_of(None), lower=lower, upper=upper)
    return A.Rrelu.update(input, noise) if inplace else A.Rrelu.bind(input, noise)  # type: ignore[no-any-return]


def rrelu_(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Tensor:
    """In-place form of ``rrelu``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x = torch.tensor([-3.0, 2.0])
        >>> F.rrelu_(x, 0.2, 0.4) is x
        True
        >>> x
        tensor([-0.9000,  2.0000])
    """
    return rrelu(input, lower, upper, training, True)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half along ``dim`` times the sigmoid of the second half. Shape:
    ``(*, 2n, *) -> (*, n, *)``.

    Raises:
        RuntimeError: the size along dim is odd.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.glu(torch.tensor([1.0, 2.0, 0.0, 100.0]))
        tensor([0.5000, 2.0000])

    Reference: Dauphin et al., 2016, arXiv:1612.08083.
    """
    if not input._array.ndim:
        raise RuntimeError(
            "glu does not support 0-dimensional tensors: the input is halved along a dim."
        )
    d = wrap_dim(dim, input._array.ndim)
    size = input._array.shape[d]
    if size % 2:
        raise ShapeError(f"glu: Halving dimension must be even, but dimension {d} is size {size}.")
    return A.Glu.bind(input, dim=d)  # type: ignore[no-any-return]


def _bounds(input: Tensor, threshold: Any, value: Any) -> dict[str, Any]:
    return A.Threshold.numbers(input, scalar(threshold, "threshold"), scalar(value, "value"))  # type: ignore[no-any-return]


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """``x`` where ``x > threshold``, else ``value``. Shape: ``(*) -> (*)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.threshold(torch.tensor([-2.0, 0.0, 3.0]), 1.0, -5.0)
        tensor([-5., -5.,  3.])
    """
    return _apply(A.Threshold, input, inplace, **_bounds(input, threshold, value))


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """In-place form of ``threshold``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x = torch.tensor([-2.0, 0.0, 3.0])
        >>> F.threshold_(x, 1.0, -5.0) is x
        True
        >>> x
        tensor([-5., -5.,  3.])
    """
    return _apply(A.Threshold, input, True, **_bounds(input, threshold, value))


def implicit_dim(name: str, ndim: int) -> int:
    """The dim that softmax takes when none is given, which warns."""
    warn_user(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include"
        " dim=X as an argument."
    )
    return 0 if ndim in (0, 1, 3) else 1


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """``exp(x)`` scaled to sum to 1 along ``dim``. Shape: ``(*) -> (*)``.

    Args:
        dim: along which the results sum to 1.
        dtype: convert the input to it first.

    Raises:
        IndexError: dim is none of the input's.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.softmax(torch.tensor([[0.0, 0.0], [0.0, 100.0]]), dim=1)
        tensor([[5.0000e-01, 5.0000e-01],
                [3.7835e-44, 1.0000e+00]])
    """
    return T.softmax(
        input,
        implicit_dim("softmax", input._array.ndim) if dim is None else dim,
        dtype,
    )


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """Logarithm of ``softmax``, computed without underflow. Shape: ``(*) -> (*)``.

    Args:
        dim: along which the probabilities sum to 1.
        dtype: convert the input to it first.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.log_softmax(torch.tensor([0.0, 0.0, -200.0]), dim=0)
        tensor([  -0.6931,   -0.6931, -200.6931])
    """
    return T.log_softmax(
        input,
        implicit_dim("log_softmax", input._array.ndim) if dim is None else dim,
        dtype,
    )


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """Softmax of ``-x``. Shape: ``(*) -> (*)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.softmin(torch.tensor([0.0, 1.0, 100.0]), dim=0)
        tensor([7.3106e-01, 2.6894e-01, 2.8026e-44])
    """
    return T.softmax(
        -input,
        implicit_dim("softmin", input._array.ndim) if dim is None else dim,
        dtype,
    )


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A sample of the Gumbel-softmax distribution; one-hot when ``hard``, with the gradient of the
    soft sample.

    Args:
        logits: unnormalised log-probabilities, shape ``(*)``.
        tau: temperature, > 0.
        hard: return the nearest one-hot vectors.
        dim: along which the results sum to 1.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.gumbel_softmax(torch.zeros(4, 3), hard=True).sum(1)
        tensor([1., 1., 1., 1.])

    Reference: Jang et al., 2016, arXiv:1611.01144.
    """
    if eps != 1e-10:
        warn_user("`eps` parameter is deprecated and has no effect.")
    noise = -T.empty_like(logits.detach()).exponential_().log()
    soft = T.softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    one_hot = T.zeros_like(logits).scatter_(dim, index, 1.0)
    return one_hot - soft.detach() + soft
