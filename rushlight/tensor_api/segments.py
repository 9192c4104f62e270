"""Reductions of consecutive pieces of a dim, of different lengths."""

from __future__ import annotations

from rushlight.core.autograd import known_as
from rushlight.core.tensor import Tensor
from rushlight.errors import NotSupportedError
from rushlight.tensor_api._common import wrap_dim
from rushlight.tensor_api.creation import full, zeros_like
from rushlight.tensor_api.joining import cat
from rushlight.tensor_api.ranges import arange
from rushlight.tensor_api.selection import scatter_reduce
from rushlight.tensor_api.shaping import repeat_interleave

__all__ = ["segment_reduce"]

KINDS = {"sum": "sum", "mean": "sum", "prod": "prod", "max": "amax", "min": "amin"}
KINDS |= {"amax": "amax", "amin": "amin"}
NEUTRAL = {"sum": 0.0, "prod": 1.0, "amax": float("-inf"), "amin": float("inf")}


def segment_reduce(
    data: Tensor,
    reduce: str,
    *,
    lengths: Tensor | None = None,
    indices: Tensor | None = None,
    offsets: Tensor | None = None,
    axis: int = 0,
    unsafe: bool = False,
    initial: float | None = None,
) -> Tensor:
    """Reduce each of the pieces that a dim is cut into.

    Args:
        data: floating, ``(*, N, ...)``, N being the size of ``axis``.
        reduce: sum, mean, prod, max or min. Of no elements they are 0, nan, 1, -inf and inf.
        lengths: ``(*, S)``, how long each piece is; N in all.
        indices: not supported, as in PyTorch.
        offsets: ``(*, S + 1)``, where each piece starts, and N; in place of ``lengths``.
        axis: the dim, which is the last of ``lengths``.
        unsafe: whether lengths go unchecked, and what lies beyond them is left out.
        initial: what each piece begins with.

    Returns:
        ``(*, S, ...)``.

    Example:
        >>> data = torch.tensor([1.0, 2.0, 3.0, 4.0])
        >>> torch.segment_reduce(data, "max", lengths=torch.tensor([3, 1]))
        tensor([3., 4.])
    """
    if reduce not in KINDS:
        raise RuntimeError(
            f"segment_reduce: reduce must be one of {', '.join(KINDS)}, but is {reduce!r}."
        )
    if not data.is_floating_point():
        raise NotSupportedError(f"segment_reduce is not there for {data.dtype}: use .float().")
    if indices is not None:
        raise RuntimeError("segment_reduce: indices are not supported; give lengths or offsets.")
    if lengths is None:
        if offsets is None:
            raise RuntimeError("segment_reduce: give lengths or offsets.")
        lengths = offsets[..., 1:] - offsets[..., :-1]
    axis = wrap_dim(axis, data.dim())
    if axis != lengths.dim() - 1:
        raise RuntimeError(
            f"segment_reduce: axis must be the last dim of lengths, {lengths.dim() - 1}, "
            f"but is {axis}."
        )
    lengths = lengths.detach()
    rest = data.shape[axis] - lengths.sum(-1, keepdim=True)
    if not unsafe and ((lengths < 0).any() or (rest != 0).any()):
        raise RuntimeError(
            f"segment_reduce: lengths must not be negative, and sum to {data.shape[axis]}, the "
            f"size of data in dim {axis}, but are {lengths.tolist()}."
        )
    count = lengths.shape[-1]
    pieces = cat([lengths, rest], -1).flatten()  # the rest is a piece that nobody asked for
    flat = data.flatten(0, axis)
    where = repeat_interleave(arange(len(pieces), device=pieces.device), pieces)
    where = where.reshape(-1, *[1] * (flat.dim() - 1)).expand(flat.shape)
    start = NEUTRAL[KINDS[reduce]] if initial is None else initial
    begun = full((len(pieces), *flat.shape[1:]), start, dtype=data.dtype, device=data.device)
    if KINDS[reduce] in ("amax", "amin"):
        result = _extremes(begun, where, flat, KINDS[reduce])
    else:
        result = scatter_reduce(begun, 0, where, flat, KINDS[reduce])
    result = result.unflatten(0, (*lengths.shape[:-1], count + 1)).narrow(axis, 0, count)
    if reduce == "mean":
        sizes = lengths if initial is None else lengths.clamp(min=1)
        result = result / sizes.reshape(*lengths.shape, *[1] * (flat.dim() - 1))
    return known_as("SegmentReduceBackward0", result)


def _extremes(begun: Tensor, where: Tensor, flat: Tensor, kind: str) -> Tensor:
    """The extremes of pieces, whose gradients their elements that equal them share: what a piece
    begins with has no part in it, and nan equals nan.
    """
    best = scatter_reduce(begun, 0, where, flat.detach(), kind)
    if not flat.requires_grad:
        return best
    hit = (flat.detach() == best.gather(0, where)) | flat.detach().isnan()
    many = zeros_like(best).scatter_add(0, where, hit.to(best.dtype))
    parts = flat.masked_fill(~hit, 0) / many.clamp(min=1).gather(0, where)
    mean = zeros_like(best).scatter_add(0, where, parts)
    rest = best - mean.detach()  # by rounding
    return mean + rest.masked_fill(~best.isfinite(), 0).where(many > 0, best)


_segment_reduce = segment_reduce
