"""Losses: how far predictions are from targets, as one number (or one per element)."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.errors import warn_user
from rushlight.nn import functional as F
from rushlight.nn.modules._loss import _Loss, _WeightedLoss
from rushlight.nn.modules.linear import Linear
from rushlight.nn.modules.linear_cross_entropy_options import LinearCrossEntropyOptions
from rushlight.nn.modules.margin_loss import (
    CosineEmbeddingLoss,
    HingeEmbeddingLoss,
    MarginRankingLoss,
    MultiLabelMarginLoss,
    MultiLabelSoftMarginLoss,
    MultiMarginLoss,
    SoftMarginLoss,
    TripletMarginLoss,
    TripletMarginWithDistanceLoss,
)
from rushlight.nn.modules.utils import fields

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CTCLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "LinearCrossEntropyLoss",
    "MSELoss",
    "NLLLoss",
    "NLLLoss2d",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "CosineEmbeddingLoss",
    "HingeEmbeddingLoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


# -- regression ----------------------------------------------------------------------------------


class L1Loss(_Loss):
    """Absolute difference, ``|x - y|``. Shape: ``(*), (*) -> ()``.

    Args:
        reduction: "mean", "sum" or "none".

    Example:
        >>> a, b = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])
        >>> nn.L1Loss()(a, b)
        tensor(1.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, reduction=self.reduction)


class MSELoss(_Loss):
    """Squared difference, ``(x - y)^2``. Shape: ``(*), (*) -> ()``.

    Args:
        reduction: "mean", "sum" or "none".

    Example:
        >>> nn.MSELoss()(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
        tensor(2.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """Squared near zero, absolute beyond: ``d^2 / (2 beta)`` where ``|d| < beta``, else
    ``|d| - beta/2``.

    Args:
        reduction: "mean", "sum" or "none".
        beta: where one becomes the other, >= 0.

    Example:
        >>> a, b = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])
        >>> nn.SmoothL1Loss()(a, b)
        tensor(0.7500)
    """

    def __init__(
        self,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """Squared near zero, absolute beyond: ``d^2 / 2`` where ``|d| < delta``, else
    ``delta (|d| - delta/2)``.

    Args:
        reduction: "mean", "sum" or "none".
        delta: where one becomes the other, > 0.

    Example:
        >>> a, b = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])
        >>> nn.HuberLoss(delta=1.0)(a, b)
        tensor(0.7500)

    Reference: Huber, 1964.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        if not isinstance(delta, (int, float)):
            raise TypeError(f"delta must be a float or int, got: {type(delta)}")
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class PoissonNLLLoss(_Loss):
    """Minus log likelihood of counts under a Poisson distribution, without the term of the target's
    factorial.

    ``exp(x) - y x``, or ``x - y log(x + eps)`` when not log_input.

    Args:
        log_input: whether the input is the logarithm of the rate.
        full: add Stirling's approximation of the factorial's term.
        eps: added within the logarithm.
        reduction: "mean", "sum" or "none".

    Example:
        >>> nn.PoissonNLLLoss()(torch.zeros(2), torch.ones(2))
        tensor(1.)
    """

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: Any = None,
        eps: float = 1e-8,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        return F.poisson_nll_loss(
            log_input,
            target,
            log_input=self.log_input,
            full=self.full,
            eps=self.eps,
            reduction=self.reduction,
        )


class GaussianNLLLoss(_Loss):
    """Minus log likelihood under normal distributions, ``(log(var) + (x - y)^2 / var) / 2``.

    Args:
        full: add the constant term.
        eps: smallest variance.
        reduction: "mean", "sum" or "none".

    Shape: input and target ``(*)``; var ``(*)``, or with its last size 1 or missing, or a number.

    Example:
        >>> nn.GaussianNLLLoss()(torch.zeros(2), torch.ones(2), torch.ones(2))
        tensor(0.5000)
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor, var: Any) -> Tensor:
        return F.gaussian_nll_loss(
            input, target, var, full=self.full, eps=self.eps, reduction=self.reduction
        )


# -- classification ------------------------------------------------------------------------------


class NLLLoss(_WeightedLoss):
    """Minus the log probability of the right class, ``-weight[y] x[y]``; the mean is weighted too.

    Args:
        weight: (C,), a weight for each class.
        ignore_index: a target that does not count.
        reduction: "mean", "sum" or "none".

    Shape: log probabilities ``(N, C, *)`` or ``(C,)``; target of class indices ``(N, *)`` or
    ``()``.

    Example:
        >>> log_p = torch.log(torch.tensor([[0.5, 0.25, 0.25]]))
        >>> nn.NLLLoss()(log_p, torch.tensor([0]))
        tensor(0.6931)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Any = None,
        ignore_index: int = -100,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )


class NLLLoss2d(NLLLoss):
    """Deprecated: `NLLLoss` takes images too."""

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        warn_user("`NLLLoss2d` has been deprecated. Please use `NLLLoss`.", FutureWarning)
        super().__init__(weight, size_average, ignore_index, reduce, reduction)


class CrossEntropyLoss(_WeightedLoss):
    """Minus the log probability of the right class, from scores: ``-weight[y] log softmax(x)[y]``.

    Args:
        weight: (C,), a weight for each class.
        ignore_index: a target that does not count; for class indices.
        reduction: "mean", "sum" or "none".
        label_smoothing: share of the target that is spread evenly over all classes, in [0, 1].

    Shape: scores ``(N, C, *)`` or ``(C,)``; target of class indices ``(N, *)`` or ``()``, or of
    probabilities, shaped as the scores.

    Example:
        >>> nn.CrossEntropyLoss()(torch.zeros(2, 4), torch.tensor([0, 3]))
        tensor(1.3863)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Any = None,
        ignore_index: int = -100,
        reduce: Any = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class KLDivLoss(_Loss):
    """Kullback-Leibler divergence from log probabilities, ``y (log(y) - x)``.

    Args:
        reduction: "mean" over elements, "batchmean" (what the formula of the divergence means),
            "sum" or "none".
        log_target: whether the target is given as log probabilities too.

    Example:
        >>> p = torch.tensor([[0.5, 0.5]])
        >>> nn.KLDivLoss(reduction="batchmean")(torch.log(torch.tensor([[0.25, 0.75]])), p)
        tensor(0.1438)
    """

    def __init__(
        self,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class BCELoss(_WeightedLoss):
    """Cross entropy of two classes, ``-weight (y log(x) + (1 - y) log(1 - x))``; logarithms are at
    least -100.

    Args:
        weight: a factor on each element of the batch.
        reduction: "mean", "sum" or "none".

    Shape: probabilities and targets in [0, 1], ``(*), (*) -> ()``.

    Example:
        >>> nn.BCELoss()(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0]))
        tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Cross entropy of two classes from scores: `BCELoss` of their sigmoid, without its loss of
    precision.

    Args:
        weight: a factor on each element of the batch.
        reduction: "mean", "sum" or "none".
        pos_weight: a factor on the term of the positive class.

    Example:
        >>> nn.BCEWithLogitsLoss()(torch.zeros(2), torch.tensor([1.0, 0.0]))
        tensor(0.6931)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, pos_weight=self.pos_weight, reduction=self.reduction
        )


class LinearCrossEntropyLoss(_WeightedLoss):
    """A linear layer and the cross entropy of its output.

    Args:
        in_features: size of the input's last dim.
        num_classes: C.
        out_features: further sizes of the layer's output, after the classes.
        bias: whether the layer has one.
        device: where the parameters are.
        dtype: their element type.
        reduction: "mean", "sum" or "none".
        weight: (C,), a weight for each class.
        ignore_index: a target that does not count; -100 unless given.
        label_smoothing: share of the target that is spread evenly over all classes, in [0, 1].
        options: how PyTorch saves memory; the values are the same, and here it changes nothing.
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: LinearCrossEntropyOptions | None = None,
    ) -> None:
        super().__init__(weight, None, None, reduction)
        if weight is not None and tuple(weight.shape) != (num_classes,):
            raise RuntimeError(
                f"expected weight shape to be {(num_classes,)}, got {tuple(weight.shape)}"
            )
        if not 0.0 <= label_smoothing <= 1.0:
            raise RuntimeError(
                f"expected label_smoothing to be in range [0, 1], got {label_smoothing}"
            )
        self.num_classes = num_classes
        self.out_features = out_features
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.options = options
        size = num_classes
        for n in out_features:
            size *= n
        self.linear = Linear(in_features, size, bias=bias, device=device, dtype=dtype)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        scores = self.linear(input)
        if self.out_features:
            scores = scores.unflatten(-1, (self.num_classes, *self.out_features))
        return F.cross_entropy(
            scores,
            target,
            weight=self.weight,
            ignore_index=-100 if self.ignore_index is None else self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )

    def extra_repr(self) -> str:
        bias = self.linear.bias is not None
        names = "reduction", "ignore_index", "label_smoothing", "options"
        return (
            f"in_features={self.linear.in_features}, "
            f"{fields(self, 'num_classes', 'out_features')}, bias={bias}, {fields(self, *names)}"
        )


class CTCLoss(_Loss):
    """Connectionist temporal classification: minus the log probability that a sequence of scores
    spells the target.

    Args:
        blank: the class that stands for nothing.
        reduction: "mean" (each divided by its target's length first), "sum" or "none".
        zero_infinity: take 0 for a target that is too long to be spelt.

    Shape: log probabilities ``(T, N, C)``; targets ``(N, S)`` or all in one row; lengths ``(N,)``.

    Example:
        >>> log_p = torch.full((4, 1, 3), 1 / 3).log()  # 4 steps, a batch of 1, 3 classes
        >>> nn.CTCLoss()(log_p, torch.tensor([[1, 2]]), torch.tensor([4]), torch.tensor([2]))
        tensor(0.8432)

    Reference: Graves et al., 2006.
    """

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__(reduction=reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(
        self, log_probs: Tensor, targets: Tensor, input_lengths: Tensor, target_lengths: Tensor
    ) -> Tensor:
        return F.ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
        )
