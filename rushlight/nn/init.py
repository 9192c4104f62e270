"""Initialisers: fill a tensor in place with values that keep signals at a fair size through many
layers.

Each works without recording, returns its tensor, and draws from the generator as PyTorch does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.state import no_grad
from rushlight.core.tensor import Tensor
from rushlight.errors import warn_user
from rushlight.ops.linalg import Qr

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

_LINEAR = ("linear", "sigmoid")
_LINEAR += tuple(f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3))


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor by which weights before a nonlinearity are scaled, to make up for what it
    takes away.

    Args:
        nonlinearity: "linear", "sigmoid" or a convolution's name (1), "tanh" (5/3), "relu" (sqrt
            2), "leaky_relu" (``sqrt(2 / (1 + param^2))``) or "selu" (3/4).
        param: slope of leaky_relu below zero; 0.01 unless given.

    Example:
        >>> nn.init.calculate_gain("relu")
        1.4142135623730951
    """
    if nonlinearity in _LINEAR:
        return 1
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        if param is None:
            slope = 0.01
        elif isinstance(param, (int, float)) and not isinstance(param, bool):
            slope = param
        else:
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}")


# -- one distribution ----------------------------------------------------------------------------


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with draws from the uniform distribution on [a, b).

    Args:
        tensor: what to fill.
        a: lower bound.
        b: upper bound.
        generator: source of the draws; the default one unless given.

    Example:
        >>> import rushlight as torch
        >>> w = torch.nn.init.uniform_(torch.empty(1000), -1, 1)
        >>> bool(w.abs().max() <= 1)
        True
    """
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with draws from the normal distribution.

    Args:
        tensor: what to fill.
        mean: its mean.
        std: its standard deviation, >= 0.
        generator: source of the draws; the default one unless given.

    Example:
        >>> import rushlight as torch
        >>> w = torch.nn.init.normal_(torch.empty(10000), std=0.1)
        >>> round(w.std().item(), 1)
        0.1
    """
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Any = None,
) -> Tensor:
    """Fill with draws from the normal distribution that fall into [a, b].

    Values outside are drawn again where [a, b] holds much of the distribution; otherwise uniform
    values are kept in proportion to their density. The draws are those of PyTorch 2.13.

    Args:
        tensor: what to fill.
        mean: mean of the whole distribution, best inside [a, b].
        std: its standard deviation, > 0.
        a: lower bound.
        b: upper bound.
        generator: source of the draws; the default one unless given.

    Example:
        >>> import rushlight as torch
        >>> w = torch.nn.init.trunc_normal_(torch.empty(1000), a=-1, b=1)
        >>> bool(w.abs().max() <= 1)
        True
    """
    if mean < a - 2 * std or mean > b + 2 * std:
        warn_user(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect."
        )
    share = _normal_share((b - mean) / std) - _normal_share((a - mean) / std)
    draw = _redraw_outside if share > 0.3 else _thin_uniform
    with no_grad():
        return draw(tensor, mean, std, a, b, generator)


def _normal_share(x: float) -> float:
    """The share of a standard normal distribution below x."""
    return 0.5 * (1 + math.erf(x / math.sqrt(2.0)))


def _redraw_outside(
    tensor: Tensor, mean: float, std: float, a: float, b: float, generator: Any
) -> Tensor:
    """Normal values, drawn again, all at a time, until none lies outside [a, b]."""
    tensor.normal_(mean, std, generator=generator)
    while bool((outside := (tensor < a) | (tensor > b)).any()):
        fresh = T.empty_like(tensor).normal_(mean, std, generator=generator)
        tensor.copy_(T.where(outside, fresh, tensor))
    return tensor


def _thin_uniform(
    tensor: Tensor, mean: float, std: float, a: float, b: float, generator: Any
) -> Tensor:
    """Uniform values, each kept with its density's share of the largest one in [a, b]."""
    peak = -0.5 * ((min(max(mean, a), b) - mean) / std) ** 2

    def refused(x: Tensor) -> Tensor:
        log_density = -0.5 * ((x - mean) / std) ** 2 - peak
        return T.empty_like(x).uniform_(generator=generator).log_() > log_density

    tensor.uniform_(a, b, generator=generator)
    rejected = refused(tensor)
    while bool(rejected.any()):
        fresh = T.empty_like(tensor).uniform_(a, b, generator=generator)
        tensor.copy_(T.where(rejected, fresh, tensor))
        rejected = rejected & refused(fresh)
    return tensor


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with the number `val`.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.init.constant_(torch.empty(2), 3.0)
        tensor([3., 3.])
    """
    with no_grad():
        return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.init.ones_(torch.empty(2))
        tensor([1., 1.])
    """
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.init.zeros_(torch.empty(2))
        tensor([0., 0.])
    """
    with no_grad():
        return tensor.zero_()


def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with ones on the diagonal and zeros elsewhere, so that a linear layer passes
    its input on.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.init.eye_(torch.empty(2, 2))
        tensor([[1., 0.],
                [0., 1.]])
    """
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    with no_grad():
        return tensor.copy_(T.eye(*tensor.shape, dtype=tensor.dtype, device=tensor.device))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fill a convolution's weight so that the convolution passes its input channels on.

    Args:
        tensor: weight of 3, 4 or 5 dimensions, (out, in / groups, kernel...).
        groups: of the convolution; divides the first size.

    Example:
        >>> import rushlight as torch
        >>> w = torch.nn.init.dirac_(torch.empty(2, 2, 3))
        >>> torch.nn.functional.conv1d(torch.arange(8.0).view(1, 2, 4), w, padding=1)
        tensor([[[0., 1., 2., 3.],
                 [4., 5., 6., 7.]]])
    """
    dims = tensor.ndimension()
    if dims not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    out, into, *kernel = tensor.size()
    if out % groups:
        raise ValueError("dim 0 must be divisible by groups")
    centre = tuple(n // 2 for n in kernel)
    with no_grad():
        tensor.zero_()
        for group in range(groups):
            for i in range(min(out // groups, into)):
                tensor[(group * (out // groups) + i, i, *centre)] = 1
    return tensor


# -- scaled by the size of the layer -------------------------------------------------------------


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """How many inputs each output of a layer with this weight has, and how many outputs each
    input."""
    if tensor.dim() < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions, but "
            f"this one has shape {tuple(tensor.shape)}. Start biases with zeros_ or constant_."
        )
    out, into, *kernel = tensor.shape
    area = math.prod(kernel)
    return into * area, out * area


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    return _calculate_fan_in_and_fan_out(tensor)[mode == "fan_out"]


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with uniform draws from [-a, a), ``a = gain sqrt(6 / (fan_in + fan_out))``.

    Args:
        tensor: weight of 2 dimensions or more.
        gain: see `calculate_gain`.
        generator: source of the draws; the default one unless given.

    Example:
        >>> import rushlight as torch
        >>> w = torch.nn.init.xavier_uniform_(torch.empty(100, 50))
        >>> bool(w.abs().max() <= (6 / 150) ** 0.5)
        True

    Reference: Glorot and Bengio, 2010.
    """
    std = gain * math.sqrt(2.0 / float(sum(_calculate_fan_in_and_fan_out(tensor))))
    bound = math.sqrt(3.0) * std
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with normal draws, ``std = gain sqrt(2 / (fan_in + fan_out))``.

    Args:
        tensor: weight of 2 dimensions or more.
        gain: see `calculate_gain`.
        generator: source of the draws; the default one unless given.

    Example:
        >>> import rushlight as torch
        >>> w = torch.nn.init.xavier_normal_(torch.empty(100, 100))
        >>> round(w.std().item(), 1)
        0.1

    Reference: Glorot and Bengio, 2010.
    """
    std = gain * math.sqrt(2.0 / float(sum(_calculate_fan_in_and_fan_out(tensor))))
    return normal_(tensor, 0.0, std, generator)


def _is_empty(tensor: Tensor) -> bool:
    if 0 in tensor.shape:
        warn_user("Initializing zero-element tensors is a no-op")
        return True
    return False


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Fill with uniform draws from [-b, b), ``b = gain sqrt(3 / fan)``.

    Args:
        tensor: weight of 2 dimensions or more.
        a: slope below zero of the leaky_relu that follows.
        mode: "fan_in" keeps the size of signals going forward, "fan_out" that of gradients going
            back.
        nonlinearity: what follows the layer; see `calculate_gain`.
        generator: source of the draws; the default one unless given.

    Example:
        >>> import rushlight as torch
        >>> w = torch.nn.init.kaiming_uniform_(torch.empty(100, 50))
        >>> bool(w.abs().max() <= (6 / 50) ** 0.5)
        True

    Reference: He et al., 2015, arXiv:1502.01852.
    """
    if _is_empty(tensor):
        return tensor
    fan = _calculate_correct_fan(tensor, mode)
    std = calculate_gain(nonlinearity, a) / math.sqrt(fan)
    bound = math.sqrt(3.0) * std
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Fill with normal draws, ``std = gain / sqrt(fan)``.

    Args:
        tensor: weight of 2 dimensions or more.
        a: slope below zero of the leaky_relu that follows.
        mode: "fan_in" keeps the size of signals going forward, "fan_out" that of gradients going
            back.
        nonlinearity: what follows the layer; see `calculate_gain`.
        generator: source of the draws; the default one unless given.

    Example:
        >>> import rushlight as torch
        >>> w = torch.nn.init.kaiming_normal_(torch.empty(100, 200))
        >>> round(w.std().item(), 1)
        0.1

    Reference: He et al., 2015, arXiv:1502.01852.
    """
    if _is_empty(tensor):
        return tensor
    fan = _calculate_correct_fan(tensor, mode)
    return normal_(tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(fan), generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Any = None) -> Tensor:
    """Fill with a random (semi-)orthogonal matrix, seen as (first size, all other sizes).

    Args:
        tensor: weight of 2 dimensions or more.
        gain: factor on the matrix.
        generator: source of the draws; the default one unless given.

    Example:
        >>> import rushlight as torch
        >>> w = torch.nn.init.orthogonal_(torch.empty(3, 5))
        >>> torch.allclose(w @ w.T, torch.eye(3), atol=1e-5)
        True

    Reference: Saxe et al., 2013, arXiv:1312.6120.
    """
    if tensor.ndimension() < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if tensor.numel() == 0:
        return tensor
    rows = tensor.size(0)
    with no_grad():
        columns = tensor.numel() // rows
        drawn = tensor.new_empty((rows, columns)).normal_(0, 1, generator=generator)
        tall = drawn.t() if rows < columns else drawn
        q, r = Qr.bind(tall, mode="reduced")
        q = q * T.diag(r).sign()  # the draws decide the signs, not the algorithm
        tensor.copy_((q.t() if rows < columns else q).reshape(tensor.shape))
        return tensor.mul_(gain)


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Any = None) -> Tensor:
    """Fill a matrix with normal draws, and set the same share of each column to zero.

    Args:
        tensor: a matrix.
        sparsity: share of zeros in each column, in [0, 1].
        std: standard deviation of the others.
        generator: source of the draws; the default one unless given.

    Example:
        >>> import rushlight as torch
        >>> w = torch.nn.init.sparse_(torch.empty(10, 4), sparsity=0.2)
        >>> (w == 0).sum(0)
        tensor([2, 2, 2, 2])

    Reference: Martens, 2010.
    """
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    with no_grad():
        tensor.normal_(0, std, generator=generator)
        for column in range(columns):
            tensor[T.randperm(rows)[:zeros], column] = 0
    return tensor


# -- names of older programs ---------------------------------------------------------------------


def _deprecated(new: Callable[..., Tensor]) -> Callable[..., Tensor]:
    old = new.__name__[:-1]

    def renamed(*args: Any, **kwargs: Any) -> Tensor:
        warn_user(
            f"`nn.init.{old}` is now deprecated in favor of `nn.init.{new.__name__}`.",
            FutureWarning,
        )
        return new(*args, **kwargs)

    renamed.__name__, renamed.__doc__ = old, f"Deprecated: use `{new.__name__}`."
    return renamed


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
constant = _deprecated(constant_)
eye = _deprecated(eye_)
dirac = _deprecated(dirac_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)

# -- what libraries with initialisers of their own import ------------------------------------------

_no_grad_uniform_, _no_grad_normal_, _no_grad_trunc_normal_ = uniform_, normal_, trunc_normal_
_no_grad_fill_, _no_grad_zero_ = constant_, zeros_
