"""Adaptive softmax: cheap for many classes of very different frequency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F
from rushlight.nn.modules.container import ModuleList, Sequential
from rushlight.nn.modules.linear import Linear
from rushlight.nn.modules.module import Module

__all__ = ["AdaptiveLogSoftmaxWithLoss"]


class _ASMoutput(NamedTuple):
    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """Log softmax over classes ordered by frequency: frequent ones directly, the others through
    their cluster.

    The head scores the frequent classes and the clusters; each cluster has a smaller projection of
    its own, so rare classes cost little.

    Args:
        in_features: size of the input.
        n_classes: number of classes, the most frequent first.
        cutoffs: where clusters begin, increasing, each in [1, n_classes - 1].
        div_value: each cluster's projection is smaller by this factor than the one before.
        head_bias: whether the head has a bias.
        device: where the parameters are.
        dtype: their element type.

    Shape: ``(N, in_features)`` or ``(in_features,)`` with target ``(N,)`` or ``()`` -> the target's
    log probability for each example, and the mean of minus that.

    Example:
        >>> layer = nn.AdaptiveLogSoftmaxWithLoss(64, 20, cutoffs=[5, 10])
        >>> output, loss = layer(torch.randn(4, 64), torch.tensor([0, 6, 12, 19]))
        >>> output.shape
        torch.Size([4])

    Reference: Grave et al., 2016, arXiv:1609.04309.
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        if not cutoffs:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        rising = cutoffs == sorted(set(cutoffs))
        if not rising or cutoffs[0] <= 0 or cutoffs[-1] > n_classes - 1:
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing "
                f"order, where each value is between 1 and n_classes-1; they are {cutoffs}"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **factory)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            hidden = int(in_features // (div_value ** (i + 1)))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(
                    Linear(in_features, hidden, bias=False, **factory),
                    Linear(hidden, size, bias=False, **factory),
                )
            )

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        self.head.reset_parameters()
        for projection, output in self.tail:
            projection.reset_parameters()
            output.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> _ASMoutput:
        self._check(input_, target_)
        single = target_.dim() == 0
        input = input_.unsqueeze(0) if single else input_
        target = target_.unsqueeze(0) if single else target_
        head = F.log_softmax(self.head(input), dim=1)
        place = target.clone()  # of the class, or of its cluster, in the head
        output = T.zeros_like(target, dtype=head.dtype)
        for i in range(self.n_clusters):
            low, high = self.cutoffs[i], self.cutoffs[i + 1]
            inside = (target >= low) & (target < high)
            rows = inside.nonzero().squeeze(1)
            if rows.numel() == 0:
                continue
            place = place.masked_fill(inside, self.shortlist_size + i)
            within = F.log_softmax(self.tail[i](input.index_select(0, rows)), dim=1)
            chosen = within.gather(1, (target.index_select(0, rows) - low).unsqueeze(1))
            output = output.index_add(0, rows, chosen.squeeze(1))
        output = output + head.gather(1, place.unsqueeze(1)).squeeze(1)
        loss = (-output).mean()
        return _ASMoutput(output.squeeze(0) if single else output, loss)

    def _check(self, input: Tensor, target: Tensor) -> None:
        if target.dim() == 1:
            if input.shape[0] != target.shape[0]:
                raise RuntimeError(
                    "Input and target should have the same size in the batch dimension: "
                    f"they have {input.shape[0]} and {target.shape[0]}."
                )
            if input.dim() != 2:
                raise RuntimeError(
                    "1D target tensor expects 2D input tensors, "
                    f"but found inputs with size {input.shape}"
                )
        elif target.dim() == 0:
            if input.dim() != 1:
                raise RuntimeError(
                    "0D target tensor expects 1D input tensors, "
                    f"but found inputs with size {input.shape}"
                )
        else:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        low, high = int(target.min()), int(target.max())
        if low < 0 or high >= self.n_classes:
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], "
                f"but values in range [{low}, {high}] were found. "
            )

    def log_prob(self, input: Tensor) -> Tensor:
        """The log probability of every class. Shape: ``(N, in_features) -> (N, n_classes)``."""
        head = self.head(input)
        return self._all_log_prob(input, F.log_softmax(head, dim=1))

    def _all_log_prob(self, input: Tensor, head: Tensor) -> Tensor:
        parts = [head[:, : self.shortlist_size]]
        for i, tail in enumerate(self.tail):
            within = F.log_softmax(tail(input), dim=1)
            parts.append(within + head[:, self.shortlist_size + i].unsqueeze(1))
        return T.cat(parts, dim=1)

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of each example. Shape: ``(N, in_features) -> (N,)``."""
        return T.argmax(self.log_prob(input), dim=1)
