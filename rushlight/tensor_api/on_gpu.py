"""What the values of a tensor on a GPU decide, found there: Python waits for few numbers, and does
not copy the tensor.
"""

from __future__ import annotations

from rushlight.core.device_array import host
from rushlight.core.state import no_grad
from rushlight.core.tensor import Tensor
from rushlight.ops.masked import Chosen

LEAST = 1 << 14  # elements; few are copied and searched on the CPU sooner


def chosen(mask: Tensor) -> Tensor:
    """The flat places where a mask is True."""
    with no_grad():
        flat = mask.detach().reshape(-1)
        counts = flat.long().cumsum(0)
        count = int(host(counts[-1:])[0]) if flat._array.size else 0
        return Chosen.bind(flat, counts, count=count) if count else counts.new_empty(0)


def unique(input: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The distinct elements, in order, where each element is among them, and how many of each there
    are.
    """
    with no_grad():
        ordered, order = input.detach().reshape(-1).sort()
        new = ordered.new_ones(len(ordered)).bool()
        new[1:] = ordered[1:] != ordered[:-1]
        begins = chosen(new)
        ends = begins.new_full((len(begins),), len(ordered))
        ends[:-1] = begins[1:]
        inverse = order.scatter(0, order, new.long().cumsum(0) - 1)
        return ordered[begins], inverse.reshape(input.shape), ends - begins


def sampled(weights: Tensor, count: int, generator: object) -> Tensor | None:
    """``count`` different categories for each row of weights; None where these are no weights.

    Whose exponential clock, slowed down by its weight, rings first is drawn by its weight.

    Reference: Efraimidis and Spirakis, 2006, Information Processing Letters 97.
    """
    with no_grad():
        w = weights.detach()
        fine = ((w >= 0) & w.isfinite()).all() & (w.sum(-1) > 0).all()
        if not host(fine):
            return None
        clocks = w / w.new_empty(w.shape).exponential_(generator=generator)
        if count == 1:
            return clocks.argmax(-1, keepdim=True)  # type: ignore[no-any-return]
        return clocks.topk(count, -1)[1]  # type: ignore[no-any-return]
