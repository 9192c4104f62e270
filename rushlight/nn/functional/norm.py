"""Normalisation of batches, layers, groups and instances."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import known_as
from rushlight.core.native import kernels
from rushlight.core.state import no_grad, state
from rushlight.core.tensor import Tensor, bump, counted_once, expect_tensors, no_tensor
from rushlight.errors import DTypeError, NotSupportedError, ShapeError
from rushlight.nn.functional.padding import constant_pad_nd
from rushlight.nn.functional.pooling import avg_pool2d, avg_pool3d
from rushlight.ops.batch_norm import BatchNorm, BlendVariance
from rushlight.ops.bits import from_bits
from rushlight.ops.given_norm import GivenNorm
from rushlight.ops.norm import GroupNorm, LayerNorm, kept_on_gpu
from rushlight.ops.sums import number
from rushlight.ops.weighted import Blend
from rushlight.tensor_api._common import in_order_of

__all__ = [
    "batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "local_response_norm",
]  # fmt: skip


def check_floating(name: str, input: Tensor, allowed: Any = dtypes.FLOATING_TYPES) -> None:
    """The input is of a dtype that can be normalised."""
    if input._array.dtype not in allowed:
        raise NotSupportedError(
            f"{name}: not implemented for {dtypes.of[input._array.dtype].name}; convert the input"
            " with .float()."
        )


def nothing(input: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """An input without elements, normalised: the gradients of weight and bias are zero."""
    out = input.clone()
    for factor in (weight, bias):
        out = out if factor is None else out * factor.sum()
    return out


def check_parameters(name: str, input: Tensor, *parameters: Tensor | None) -> None:
    """Parameters have the input's dtype; those of a half may all be float32 instead."""
    d = input._array.dtype
    for t in parameters:
        if t is not None and t._array.dtype is not d:
            break
    else:
        return
    found = {t._array.dtype for t in parameters if t is not None}
    if d not in dtypes.HALVES or found != {dtypes.float32}:
        given = ", ".join(sorted([dtypes.of[f].name for f in found]))
        raise DTypeError(
            f"{name}: expected parameters of the input's dtype, {dtypes.of[d].name} (or all of"
            f" float32 for a half), but got {given}; convert with .to()."
        )


def check_running(mean: Tensor | None, var: Tensor | None) -> None:
    """Running statistics come together."""
    if (mean is None) is not (var is None):
        raise ValueError(
            "running_mean and running_var must either both be None or neither be None; got only "
            f"running_{'var' if mean is None else 'mean'}."
        )


def check_channels(name: str, channels: int, **tensors: Tensor | None) -> None:
    """Each tensor that is given has one value for each channel."""
    for argument, t in tensors.items():
        if t is not None and not isinstance(t, Tensor):
            raise no_tensor(name, t)
        if t is not None and t._array.size != channels:
            raise ShapeError(
                f"{name}: {argument} should contain {channels} elements not {t._array.size}: one"
                " for each channel (dim 1)."
            )


def blend(running: Tensor, new: Any, momentum: float) -> None:
    """Move a running statistic towards a new value."""
    if isinstance(new, Tensor) and not state.busy:  # on a GPU
        Blend.update(running, new, weight=momentum)
        return
    if isinstance(new, Tensor):  # while a trace follows
        with counted_once([running]):
            running.mul_(1 - momentum).add_(new * momentum)
        return
    a = running._array
    a *= number(1 - momentum, a.dtype)
    a += (new * number(momentum, new.dtype)).astype(a.dtype, copy=False)
    bump(running)


def moved(running: list[Tensor], mean: Tensor, scale: Tensor, numbers: Any) -> bool:
    """Whether a loop has moved running means and variances towards the statistics of a batch.
    ``numbers``: eps, what makes variances unbiased, and the weight of the new ones.
    """
    arrays = [t._array for t in running]
    if state.busy or len(arrays) != 2 or not mean._array.size:
        return False
    if mean._array.__class__ is not np.ndarray:
        return moved_on_gpu(*running, mean, scale, numbers)
    m, s = from_bits(mean._array), from_bits(scale._array)
    for a in arrays:
        if a.__class__ is not np.ndarray or a.dtype is not m.dtype or not a.flags.carray:
            return False
    loop = kernels.runner("running statistics", m.dtype, 5, m.size, exact=False)
    if loop is None:
        return False
    loop(m, s, *arrays, np.array(numbers), m.size)
    for t in running:
        bump(t)
    return True


def moved_on_gpu(
    running_mean: Tensor, running_var: Tensor, mean: Tensor, scale: Tensor, numbers: Any
) -> bool:
    """``moved`` where the statistics are on a GPU."""
    found = kept_on_gpu(mean, scale)
    if found[0] is None:
        return False
    eps, unbiased, weight = numbers
    Blend.update(running_mean, found[0], weight=weight)
    BlendVariance.update(running_var, found[1], eps=eps, unbiased=unbiased, weight=weight)
    return True


def statistics(mean: Tensor, scale: Tensor, x: Tensor, dims: Any, eps: float, count: int) -> Any:
    """Means and unbiased variances that a norm found; computed anew, in Tensor, under a trace
    and where there are no elements on the CPU.
    """
    if state.busy or scale._array.__class__ is not np.ndarray:
        with no_grad():
            return x.mean(dims), x.var(dims, correction=1)
    variance = from_bits(scale._array).astype(np.float64)  # a copy
    variance *= variance
    np.reciprocal(variance, variance)
    variance -= number(eps, dtypes.float64)
    variance *= number(count / (count - 1), dtypes.float64)
    return from_bits(mean._array), variance


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``(x - mean) / sqrt(var + eps) * weight + bias`` for each channel.

    Args:
        input: ``(N, C)`` or ``(N, C, *)``.
        running_mean: ``(C)``, used unless training; in training moved towards the batch's means, in
            place.
        running_var: likewise for the variances (with Bessel's correction).
        weight: ``(C)``.
        bias: ``(C)``.
        training: use the statistics of the batch.
        momentum: weight of the new statistics in the running ones.
        eps: added to the variance, > 0.

    Shape: that of input.

    Raises:
        ValueError: there is one value for each channel, in training.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x = torch.tensor([[1.0, 10.0], [3.0, 30.0]])
        >>> mean, var = torch.zeros(2), torch.ones(2)
        >>> F.batch_norm(x, mean, var, training=True)
        tensor([[-1.0000, -1.0000],
                [ 1.0000,  1.0000]])
        >>> mean  # a tenth of the way
        tensor([0.2000, 2.0000])

    Reference: Ioffe and Szegedy, 2015, arXiv:1502.03167.
    """
    expect_tensors("batch_norm", input)
    shape = input._array.shape
    if len(shape) == 1 and not shape[0]:
        return input.clone()
    if len(shape) < 2:
        raise ShapeError(
            "batch_norm: the input must have a batch and a channel dim, (N, C, ...), but has shape"
            f" {tuple(shape)}."
        )
    count = shape[0] * math.prod(shape[2:])
    if training and eps <= 0:
        raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
    if eps < 0:
        raise ValueError(f"batch_norm eps must be non-negative, but got {eps}")
    if training and count == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {input.size()}; "
            "use a larger batch (drop_last=True in the DataLoader), or .eval()."
        )
    check_running(running_mean, running_var)
    check_channels(
        "batch_norm",
        shape[1],
        running_mean=running_mean,
        running_var=running_var,
        weight=weight,
        bias=bias,
    )
    check_floating("batch_norm", input)
    check_parameters("batch_norm", input, running_mean, running_var, weight, bias)
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError(
                "batch_norm: Expected running_mean and running_var to be defined when"
                " training=False."
            )
        out = affine_by_statistics(input, running_mean, running_var, weight, bias, eps)
        return known_as("NativeBatchNormBackward0", out)
    if not count:
        return nothing(input, weight, bias)
    out, mean, scale = BatchNorm.bind(input, weight, bias, eps=eps)
    if running_mean is not None and running_var is not None:
        running = [running_mean, running_var]
        if not moved(running, mean, scale, (eps, count / (count - 1), momentum)):
            dims = (0, *range(2, input._array.ndim))
            found = statistics(mean, scale, input, dims, eps, count)
            for old, new in zip(running, found, strict=True):
                blend(old, new, momentum)
    return in_order_of(out, input)


def affine_by_statistics(
    input: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Normalisation by given statistics, as one product and one sum."""
    given = (input, weight, bias, mean, var)
    if not state.busy and alike(given):
        return GivenNorm.bind(*given, eps=eps)
    shape = (1, -1, *[1] * (input._array.ndim - 2)) if input._array.ndim > 2 else (-1,)
    scale = (var.detach() + eps).rsqrt()
    factor = scale if weight is None else scale * weight
    shift = -mean.detach() * factor
    if bias is not None:
        shift = shift + bias
    d = input.dtype
    out = input * factor.reshape(shape) + shift.reshape(shape)
    return out if out._array.dtype is input._array.dtype else out.to(d)  # type: ignore[no-any-return]


def alike(given: Any) -> bool:
    """Whether what is given has arrays that are floats of one dtype, halves counting as float32."""
    found = set()
    for t in given:
        if t is not None:
            a = t._array
            if a.__class__ is not np.ndarray:
                return False
            found.add(dtypes.float32 if a.dtype in dtypes.HALVES else a.dtype)
    return len(found) == 1 and found <= dtypes.FLOATS


def check_normalized_shape(
    name: str, input: Tensor, normalized_shape: Any, weight: Tensor | None, bias: Tensor | None
) -> int:
    """How many trailing dims are normalised."""
    if hasattr(normalized_shape, "__index__"):
        raise TypeError(
            f"{name}(): argument 'normalized_shape' must be tuple of ints, not "
            f"{type(normalized_shape).__name__}; ({normalized_shape},) is the last dim alone."
        )
    shape = tuple(normalized_shape)
    rank = len(shape)
    if not rank:
        raise ShapeError(
            f"{name}: Expected normalized_shape to be at least 1-dimensional, i.e., containing at"
            " least one element, but got ()."
        )
    try:
        if tuple(input._array.shape[-rank:]) != shape:
            raise ShapeError(
                f"{name}: Given normalized_shape={list(shape)}, expected input with shape"
                f" [{', '.join(['*', *map(str, shape)])}], but got input of size"
                f" {list(input._array.shape)}."
            )
        for argument, t in (("weight", weight), ("bias", bias)):
            if t is not None and tuple(t._array.shape) != shape:
                raise ShapeError(
                    f"{name}: Expected {argument} to be of same shape as normalized_shape, but got"
                    f" {argument} of shape {list(t._array.shape)} and normalized_shape ="
                    f" {list(shape)}."
                )
    except AttributeError:
        raise no_tensor(name, input, weight, bias) from None
    return rank


def layer_norm(
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """``(x - mean) / sqrt(var + eps) * weight + bias`` over the last dims.

    Args:
        normalized_shape: sizes of the dims to normalise over, the input's last.
        weight: of that shape.
        bias: of that shape.
        eps: added to the variance.

    Shape: ``(*, *normalized_shape)``, and so the result.

    Raises:
        RuntimeError: the last dims of input have other sizes.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.layer_norm(torch.tensor([[1.0, 3.0], [10.0, 30.0]]), (2,))
        tensor([[-1.0000,  1.0000],
                [-1.0000,  1.0000]])

    Reference: Ba et al., 2016, arXiv:1607.06450.
    """
    rank = check_normalized_shape("layer_norm", input, normalized_shape, weight, bias)
    check_floating("layer_norm", input)
    check_parameters("layer_norm", input, weight, bias)
    if not input._array.size:
        return nothing(input, weight, bias)
    return LayerNorm.bind(input, weight, bias, rank=rank, eps=eps, center=True)[0]  # type: ignore[no-any-return]


def rms_norm(
    input: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """``x / sqrt(mean(x^2) + eps) * weight`` over the last dims.

    Args:
        normalized_shape: sizes of the dims to normalise over, the input's last.
        weight: of that shape.
        eps: the default is the smallest step of the dtype at 1.

    Shape: ``(*, *normalized_shape)``, and so the result.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.rms_norm(torch.tensor([3.0, 4.0]), (2,))
        tensor([0.8485, 1.1314])

    Reference: Zhang and Sennrich, 2019, arXiv:1910.07467.
    """
    rank = check_normalized_shape("rms_norm", input, normalized_shape, weight, None)
    check_floating("rms_norm", input, dtypes.DIFFERENTIABLE)
    if eps is None:
        d = input._array.dtype
        eps = float(
            np.finfo(dtypes.float32 if d in dtypes.HALVES else dtypes.REAL_OF.get(d, d)).eps
        )
    if input._array.dtype in dtypes.COMPLEX_TYPES:
        out = input * (input.pow(2).mean(tuple(range(-rank, 0)), keepdim=True) + eps).rsqrt()
        return out if weight is None else out * weight
    if not input._array.size:
        return nothing(input, weight, None)
    out = LayerNorm.bind(input, weight, None, rank=rank, eps=eps, center=False)[0]
    return in_order_of(known_as("MulBackward0", out), input)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """``(x - mean) / sqrt(var + eps) * weight + bias`` over groups of channels of each sample.

    Args:
        input: ``(N, C, *)``.
        num_groups: into how many groups the channels are split.
        weight: ``(C)``.
        bias: ``(C)``.

    Shape: that of input.

    Raises:
        RuntimeError: the number of channels is no multiple of num_groups.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.group_norm(torch.tensor([[[1.0], [3.0], [10.0], [30.0]]]), 2)
        tensor([[[-1.0000],
                 [ 1.0000],
                 [-1.0000],
                 [ 1.0000]]])

    Reference: Wu and He, 2018, arXiv:1803.08494.
    """
    expect_tensors("group_norm", input)
    shape = input._array.shape
    if len(shape) < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {len(shape)}"
        )
    n, c = shape[:2]
    if num_groups < 1 or c % num_groups:
        raise ShapeError(
            "group_norm: Expected number of channels in input to be divisible by num_groups, but"
            f" got input of shape {list(shape)} and num_groups={num_groups}"
        )
    check_channels("group_norm", c, weight=weight, bias=bias)
    check_floating("group_norm", input)
    check_parameters("group_norm", input, weight, bias)
    if n * c // num_groups * math.prod(shape[2:]) == 1:
        raise ValueError(
            "Expected more than 1 value per channel when training, got input size"
            f" {[n * c // num_groups, num_groups, *shape[2:]]}"
        )
    if not input._array.size:
        return nothing(input, weight, bias)
    if not state.busy:
        out = GroupNorm.bind(input, weight, bias, groups=num_groups, eps=eps)[0]
        return in_order_of(out, input)
    out = LayerNorm.bind(
        input.reshape(n, num_groups, -1), None, None, rank=1, eps=eps, center=True
    )[0].reshape(shape)
    per_channel = (-1, *[1] * (len(shape) - 2))
    if weight is not None:
        out = out * weight.reshape(per_channel)
    return in_order_of(out if bias is None else out + bias.reshape(per_channel), input)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``(x - mean) / sqrt(var + eps) * weight + bias`` for each channel of each sample.

    Args:
        input: ``(N, C, *)``.
        use_input_stats: normalise by the input's statistics (and move the running ones), else by
            the running ones.

    Shape: that of input.

    Raises:
        ValueError: there is one value for each channel.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.instance_norm(torch.tensor([[[1.0, 3.0], [10.0, 30.0]]]))
        tensor([[[-1.0000,  1.0000],
                 [-1.0000,  1.0000]]])

    Reference: Ulyanov et al., 2016, arXiv:1607.08022.
    """
    shape = input._array.shape
    count = math.prod(shape[2:])
    if use_input_stats and (len(shape) < 3 or count == 1):
        raise ValueError(
            f"Expected more than 1 spatial element when training, got input size {input.size()}"
        )
    check_running(running_mean, running_var)
    check_channels(
        "instance_norm",
        shape[1],
        running_mean=running_mean,
        running_var=running_var,
        weight=weight,
        bias=bias,
    )
    check_parameters("instance_norm", input, weight, bias)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise RuntimeError(
                "instance_norm: Expected running_mean and running_var to be defined when"
                " use_input_stats=False"
            )
        out = affine_by_statistics(input, running_mean, running_var, weight, bias, eps)
        return known_as("ViewBackward0", out)
    check_floating("instance_norm", input)
    if not input._array.size:
        return nothing(input, weight, bias)
    out, mean, scale = LayerNorm.bind(input, None, None, rank=len(shape) - 2, eps=eps, center=True)
    if running_mean is not None and running_var is not None:
        dims = tuple(range(2, input._array.ndim))
        found = statistics(mean, scale, input, dims, eps, count)
        for old, new in zip((running_mean, running_var), found, strict=True):
            blend(old, new.reshape(tuple(shape[:2])).mean(0), momentum)
    per_channel = (-1, *[1] * (len(shape) - 2))
    if weight is not None:
        out = out * weight.reshape(per_channel)
    if bias is not None:
        out = out + bias.reshape(per_channel)
    if out._array.dtype is not input._array.dtype:  # a half with parameters of float32
        out = out.to(input.dtype)
    return known_as("ViewBackward0", out)


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """``x / (k + alpha mean(x^2))^beta``, the mean over ``size`` neighbouring channels.

    Shape: ``(N, C, *) -> (N, C, *)``.

    Args:
        size: how many neighbours count, itself among them.
        alpha, beta, k: as in the formula; channels beyond the edge count as 0.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.local_response_norm(torch.ones(1, 3, 1), 3, alpha=3.0, beta=1.0)
        tensor([[[0.3333],
                 [0.2500],
                 [0.3333]]])

    Reference: Krizhevsky et al., 2012, "ImageNet classification with deep convolutional neural
    networks".
    """
    n = input._array.ndim
    if n < 3:
        raise ValueError(
            f"Expected 3D or higher dimensionality                          input (got {n}"
            " dimensions)"
        )
    if not input._array.size:
        return input
    square = (input * input).unsqueeze(1)  # (N, 1, C, *)
    around = (size // 2, (size - 1) // 2)
    if n == 3:
        mean = avg_pool2d(constant_pad_nd(square, (0, 0, *around)), (size, 1), stride=1).squeeze(1)
    else:
        shape = input._array.shape
        square = square.reshape(shape[0], 1, shape[1], shape[2], -1)
        mean = (
            avg_pool3d(constant_pad_nd(square, (0, 0, 0, 0, *around)), (size, 1, 1), stride=1)
            .squeeze(1)
            .reshape(shape)
        )
    return in_order_of(input / (mean * alpha + k).pow(beta), input)
