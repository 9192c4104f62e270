"""Functions that torch also has at top level, with the signatures they have there.

Where the two agree the function is the same object; the others take their arguments in another
order, or reductions as numbers. Without one they do not reduce, as in PyTorch, whose parser takes
their default for 0; its operators, ``torch.ops.aten``, have the mean.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes, tensor_api as T
from rushlight.core.autograd import known_as
from rushlight.core.device_array import beside, host
from rushlight.core.tensor import Tensor, no_tensor
from rushlight.nn import functional as F
from rushlight.nn.functional import (
    adaptive_avg_pool1d,
    avg_pool1d,
    bilinear,
    celu,
    celu_,
    channel_shuffle,
    constant_pad_nd,
    conv1d,
    conv2d,
    conv3d,
    conv_tbc,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    cosine_similarity,
    max_pool1d,
    max_pool1d_with_indices,
    max_pool2d,
    max_pool3d,
    native_channel_shuffle,
    pairwise_distance,
    pdist,
    pixel_shuffle,
    pixel_unshuffle,
    rms_norm,
    rrelu,
    rrelu_,
    selu,
    selu_,
    threshold,
    threshold_,
)
from rushlight.nn.functional.dropout import drop, drop_alpha
from rushlight.nn.functional.norm import check_normalized_shape
from rushlight.nn.functional.rnn import (
    gru,
    gru_cell,
    lstm,
    lstm_cell,
    rnn_relu,
    rnn_relu_cell,
    rnn_tanh,
    rnn_tanh_cell,
)
from rushlight.nn.functional.sparse import renormalise
from rushlight.ops.distance import Cdist
from rushlight.tensor_api._common import store_outs
from rushlight.tensor_api.numpy_names import explaining
from rushlight.tensor_api.own_names import renamed

__all__ = [
    "adaptive_avg_pool1d", "avg_pool1d", "bilinear", "celu", "celu_", "channel_shuffle", "conv1d",
    "conv2d", "conv3d", "conv_tbc", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "cosine_similarity", "constant_pad_nd", "max_pool1d", "max_pool1d_with_indices", "max_pool2d",
    "max_pool3d", "native_channel_shuffle", "pairwise_distance", "pdist", "pixel_shuffle",
    "pixel_unshuffle", "rms_norm", "rrelu", "rrelu_", "selu", "selu_", "threshold", "threshold_",
    "group_norm", "rnn_tanh", "rnn_relu", "lstm", "gru", "rnn_tanh_cell", "rnn_relu_cell",
    "lstm_cell", "gru_cell", "adaptive_max_pool1d", "alpha_dropout", "alpha_dropout_",
    "batch_norm", "binary_cross_entropy_with_logits", "cdist", "convolution",
    "cosine_embedding_loss", "ctc_loss", "dropout", "dropout_", "embedding", "embedding_bag",
    "embedding_renorm_", "feature_alpha_dropout", "feature_alpha_dropout_", "feature_dropout",
    "feature_dropout_", "affine_grid_generator", "grid_sampler", "grid_sampler_2d",
    "grid_sampler_3d", "hinge_embedding_loss", "instance_norm", "kl_div", "layer_norm",
    "margin_ranking_loss", "native_batch_norm", "native_dropout", "native_group_norm",
    "native_layer_norm", "norm_except_dim", "poisson_nll_loss", "triplet_margin_loss",
]  # fmt: skip

REDUCTIONS = ("none", "mean", "sum")


def _grouped_mm(
    input: Tensor, mat2: Tensor, offs: Any = None, bias: Any = None, out_dtype: Any = None
) -> Tensor:
    """``nn.functional.grouped_mm``."""
    return F.grouped_mm(input, mat2, offs=offs, bias=bias, out_dtype=out_dtype)


def batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """``nn.functional.batch_norm`` with its arguments in another order."""
    return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """``nn.functional.instance_norm`` with its arguments in another order."""
    return F.instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


def layer_norm(
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    """``nn.functional.layer_norm``."""
    return F.layer_norm(input, normalized_shape, weight, bias, eps)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    """``nn.functional.group_norm``."""
    return F.group_norm(input, num_groups, weight, bias, eps)


def moments(x: Tensor, dims: tuple[int, ...], eps: float) -> tuple[Tensor, Tensor]:
    """Means over dims, and ``1 / sqrt(var + eps)``; the dims stay with size 1."""
    mean = x.mean(dims, keepdim=True)
    return mean, ((x - mean).square().mean(dims, keepdim=True) + eps).rsqrt()


def native_layer_norm(
    input: Tensor, normalized_shape: Any, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """``layer_norm``, and the means and ``1 / sqrt(var + eps)`` that it used."""
    rank = check_normalized_shape("layer_norm", input, normalized_shape, weight, bias)
    out = F.layer_norm(input, normalized_shape, weight, bias, eps)
    return out, *moments(input.detach(), tuple(range(-rank, 0)), eps)


def native_group_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    N: int,
    C: int,
    HxW: int,
    group: int,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """``group_norm``, and the means and ``1 / sqrt(var + eps)`` that it used."""
    out = F.group_norm(input, group, weight, bias, eps)
    mean, scale = moments(input.reshape(N, group, C // group * HxW), (2,), eps)
    return out, mean.squeeze(2), scale.squeeze(2)


def native_batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    *,
    out: Any = None,
) -> tuple[Tensor, ...]:
    """``batch_norm``, and the means and ``1 / sqrt(var + eps)`` that it used (empty unless
    training).
    """
    result = F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    if training:
        x, dims = input.detach(), [d for d in range(input._array.ndim) if d != 1]
        x = x.float() if x._array.dtype in dtypes.HALVES else x
        parts = result, x.mean(dims), (x.var(dims, correction=0) + eps).rsqrt()
    else:
        parts = result, input.new_empty(0), input.new_empty(0)
    # the moments have the dtype of those that are kept, or of the weight
    like = next(t for t in (running_mean, weight, input) if t is not None)
    parts = (result, *[p.to(like.dtype) for p in parts[1:]])
    return parts if out is None else tuple(store_outs(out, parts))


def dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """``nn.functional.dropout``."""
    return F.dropout(input, p, train)


def dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """In-place form of ``dropout``."""
    return F.dropout(input, p, train, True)


def native_dropout(input: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    """``dropout``, and the mask of what was kept; it draws numbers for a ``p`` of 0, too."""
    if train is False:
        out, mask = input.clone(), T.ones_like(input.detach())
    else:
        mask = T.empty_like(input.detach()).bernoulli_(1 - p)
        out = input * mask * (1 / (1 - p) if p < 1 else 0.0)
    return known_as("NativeDropoutBackward0", out), mask.bool()


def alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """``nn.functional.alpha_dropout``."""
    return F.alpha_dropout(input, p, train)


def alpha_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """In-place form of ``alpha_dropout``."""
    return F.alpha_dropout(input, p, train, True)


def feature_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Dropout of whole channels. Shape: ``(N, C, *) -> (N, C, *)``."""
    return drop(input, p, train, False, True)


def feature_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """In-place form of ``feature_dropout``."""
    return drop(input, p, train, True, True)


def feature_alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """``nn.functional.feature_alpha_dropout``."""
    return F.feature_alpha_dropout(input, p, train)


def feature_alpha_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """In-place form of ``feature_alpha_dropout``."""
    return drop_alpha(input, p, train, True, True)


def embedding(
    weight: Tensor,
    indices: Tensor,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """``nn.functional.embedding`` with the table first; a padding_idx of -1 is none."""
    return F.embedding(
        indices,
        weight,
        None if padding_idx == -1 else padding_idx,
        None,
        2.0,
        scale_grad_by_freq,
        sparse,
    )


def embedding_renorm_(input: Tensor, indices: Tensor, max_norm: float, norm_type: float) -> Tensor:
    """Scales the rows of ``input`` at ``indices`` down to ``max_norm``, in place."""
    renormalise(input, indices, max_norm, norm_type)
    return input


def embedding_bag(
    weight: Tensor,
    indices: Tensor,
    offsets: Tensor,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``nn.functional.embedding_bag`` with the table first and the mode as a number (0 sum, 1 mean,
    2 max).

    Returns:
        the bags, and for what PyTorch computes gradients with: the bag of each index, the size of
        each bag without padding, and the index that each maximum is from, or sizes again. Sums
        have no sizes, but zeros; nor bags of indices, where PyTorch has a kernel that needs none.
    """
    out = F.embedding_bag(
        indices,
        weight,
        offsets,
        None,
        2.0,
        scale_grad_by_freq,
        ("sum", "mean", "max")[mode],
        sparse,
        per_sample_weights,
        include_last_offset,
        padding_idx,
    )
    i, starts = host(indices), host(offsets)
    count = out._array.shape[0]
    bags = np.repeat(np.arange(count), np.diff(np.append(starts, i.size)[: count + 1]))
    sizes = np.bincount(bags[i != padding_idx % len(weight)] if padding_idx is not None else bags)
    sizes = np.append(sizes, np.zeros(count - sizes.size, sizes.dtype))
    where = sizes
    if mode == 0:
        sizes = where = np.zeros_like(starts)
        rows = weight._array.strides[-1] == weight._array.itemsize
        if rows and weight.dtype is not dtypes.by_name["float64"] and padding_idx is None:
            bags = bags[:0]
    elif mode == 2:
        where = np.zeros(out._array.shape, np.int64)
        x, best = host(weight), host(out)
        for at in reversed(range(len(bags))):  # the first of equal ones
            row = np.where(x[i[at]] == best[bags[at]], i[at], where[bags[at]])
            where[bags[at]] = where[bags[at]] if i[at] == padding_idx else row
    return out, *[beside(weight, a.astype(starts.dtype)) for a in (bags, sizes, where.copy())]


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    reduction: int = 0,
) -> Tensor:
    """``nn.functional.binary_cross_entropy_with_logits`` with the reduction as a number (0 none, 1
    mean, 2 sum).
    """
    return F.binary_cross_entropy_with_logits(
        input, target, weight, reduction=REDUCTIONS[reduction], pos_weight=pos_weight
    )


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: int = 0,
    zero_infinity: bool = False,
) -> Tensor:
    """``nn.functional.ctc_loss`` with the reduction as a number (0 none, 1 mean, 2 sum)."""
    return F.ctc_loss(
        log_probs,
        targets,
        input_lengths,
        target_lengths,
        blank,
        REDUCTIONS[reduction],
        zero_infinity,
    )


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 0
) -> Tensor:
    """``nn.functional.cosine_embedding_loss`` with the reduction as a number (0 none, 1 mean, 2
    sum).
    """
    return F.cosine_embedding_loss(input1, input2, target, margin, reduction=REDUCTIONS[reduction])


def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, reduction: int = 0
) -> Tensor:
    """``nn.functional.hinge_embedding_loss`` with the reduction as a number (0 none, 1 mean, 2
    sum).
    """
    return F.hinge_embedding_loss(input, target, margin, reduction=REDUCTIONS[reduction])


def kl_div(
    input: Tensor, target: Tensor, reduction: int = 0, *, log_target: bool = False
) -> Tensor:
    """``nn.functional.kl_div`` with the reduction as a number (0 none, 1 mean, 2 sum)."""
    loss = F.kl_div(input, target, reduction="none", log_target=log_target)
    return loss if reduction == 0 else loss.mean() if reduction == 1 else loss.sum()


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 0
) -> Tensor:
    """``nn.functional.margin_ranking_loss``, reduction as a number (0 none, 1 mean, 2 sum)."""
    return F.margin_ranking_loss(input1, input2, target, margin, reduction=REDUCTIONS[reduction])


def poisson_nll_loss(
    input: Tensor, target: Tensor, log_input: bool, full: bool, eps: float, reduction: int
) -> Tensor:
    """``nn.functional.poisson_nll_loss`` with the reduction as a number (0 none, 1 mean, 2 sum)."""
    return F.poisson_nll_loss(
        input, target, log_input, full, eps=eps, reduction=REDUCTIONS[reduction]
    )


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: int = 0,
) -> Tensor:
    """``nn.functional.triplet_margin_loss``, reduction as a number (0 none, 1 mean, 2 sum)."""
    return F.triplet_margin_loss(
        anchor, positive, negative, margin, p, eps, swap, reduction=REDUCTIONS[reduction]
    )


def adaptive_max_pool1d(input: Tensor, output_size: Any) -> tuple[Tensor, Tensor]:
    """Maxima of ``output_size`` bins over one dim, and where they are."""
    return F.adaptive_max_pool1d(input, output_size, True)  # type: ignore[no-any-return]


def convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Tensor:
    """Any convolution, or transposed convolution, over as many dims as the weight has after its
    first two.
    """
    rank = weight._array.ndim - 2
    if transposed:
        function = getattr(F, f"conv_transpose{rank}d")
        return function(input, weight, bias, stride, padding, output_padding, groups, dilation)  # type: ignore[no-any-return]
    return getattr(F, f"conv{rank}d")(input, weight, bias, stride, padding, dilation, groups)  # type: ignore[no-any-return]


def _convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    *settings_of_cudnn: bool,
) -> Tensor:
    """``convolution``."""
    return convolution(
        input, weight, bias, stride, padding, dilation, transposed, output_padding, groups
    )


def affine_grid_generator(theta: Tensor, size: Any, align_corners: bool) -> Tensor:
    """``nn.functional.affine_grid``."""
    return F.affine_grid(theta, size, align_corners)


def grid_sampler(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """``nn.functional.grid_sample`` with modes as numbers, in the order of its documentation."""
    modes, pads = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")
    return F.grid_sample(input, grid, modes[interpolation_mode], pads[padding_mode], align_corners)


grid_sampler_2d = grid_sampler_3d = grid_sampler


def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """p-norms of all slices of ``dim`` (-1: of the whole), which broadcast against v."""
    if dim == -1:
        return T.norm(v, pow)
    kept = dim % v.dim()
    return T.norm(v, pow, tuple([d for d in range(v.dim()) if d != kept]), keepdim=True)


def cdist(
    x1: Tensor,
    x2: Tensor,
    p: float = 2.0,
    compute_mode: str = "use_mm_for_euclid_dist_if_necessary",
) -> Tensor:
    """p-norm distances between all rows of x1 and all rows of x2.

    Args:
        p: of the norm, >= 0.
        compute_mode: accepted; Euclidean distances of many rows are computed by products of
            matrices, unless it says not to.

    Shape: ``(*, P, M), (*, R, M) -> (*, P, R)``.

    Example:
        >>> import rushlight as torch
        >>> torch.cdist(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
        tensor([[5., 1.]])
    """
    try:
        a, b = x1._array, x2._array
    except AttributeError:
        raise no_tensor("cdist", x1, x2) from None
    if a.ndim < 2 or b.ndim < 2:
        raise RuntimeError(
            f"cdist only supports at least 2D tensors, but got {a.ndim}D and {b.ndim}D."
        )
    if a.shape[-1] != b.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {a.shape[-1]} X2: {b.shape[-1]}"
        )
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    if compute_mode not in (
        "use_mm_for_euclid_dist_if_necessary",
        "use_mm_for_euclid_dist",
        "donot_use_mm_for_euclid_dist",
    ):
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    many = a.shape[-2] > 25 or b.shape[-2] > 25
    products = p == 2 and (
        many if compute_mode.endswith("necessary") else compute_mode.startswith("use")
    )
    return Cdist.bind(x1, x2, p=float(p), products=products)  # type: ignore[no-any-return]


# other objects than those of nn.functional, as in torch
_OWN = "celu max_pool1d max_pool1d_with_indices max_pool2d max_pool3d rms_norm rrelu selu threshold"
for _name in _OWN.split():
    globals()[_name] = renamed(globals()[_name], _name)

# These look at their arguments before an op does.
explaining(
    globals(),
    """
    affine_grid_generator alpha_dropout_ convolution dropout_ embedding_renorm_
    feature_alpha_dropout_ feature_dropout feature_dropout_ gru gru_cell lstm lstm_cell
    native_dropout norm_except_dim rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell
    """.split(),  # noqa: SIM905
)


def by_mean(function: Any) -> Any:
    """A loss whose default is the mean."""
    own = renamed(function, function.__name__)
    code, defaults = function.__code__, function.__defaults__
    names = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
    pairs = zip(names, defaults, strict=True)
    own.__defaults__ = tuple([1 if n == "reduction" else value for n, value in pairs])
    return own


OPERATORS = {  # of torch.ops.aten, that differ from torch's functions
    function.__name__: by_mean(function)
    for function in (
        binary_cross_entropy_with_logits, cosine_embedding_loss, ctc_loss, hinge_embedding_loss,
        kl_div, margin_ranking_loss, triplet_margin_loss,
    )
}  # fmt: skip
