"""Dropout of squares and cubes."""

from __future__ import annotations

from rushlight import nn
from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F

__all__ = ["DropBlock2d", "DropBlock3d", "drop_block2d", "drop_block3d"]


def _dropped(
    dims: int, x: Tensor, p: float, block_size: int, inplace: bool, eps: float, training: bool
) -> Tensor:
    """Each value may be the middle of a block; that many are, that a share ``p`` is zeroed."""
    name = f"drop_block{dims}d"
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{name}: p is {p}; it must lie in [0, 1].")
    if x.dim() != dims + 2:
        raise ValueError(
            f"{name}: input has {x.dim()} dims, {tuple(x.shape)}; it must have {dims + 2}."
        )
    if not training or p == 0.0:
        return x
    sizes = list(x.shape[2:])
    block = min(block_size, *sizes)
    middles = [size - block + 1 for size in sizes]
    chance = p / block**dims
    for size, count in zip(sizes, middles, strict=True):
        chance *= size / count
    noise = x.new_empty((*x.shape[:2], *middles)).bernoulli_(chance)
    noise = F.pad(noise, [block // 2] * 2 * dims, value=0)
    pool = F.max_pool2d if dims == 2 else F.max_pool3d
    kept = 1 - pool(noise, kernel_size=block, stride=1, padding=block // 2)
    scale = kept.numel() / (eps + kept.sum())
    return x.mul_(kept).mul_(scale) if inplace else x * kept * scale


def drop_block2d(
    input: Tensor,
    p: float,
    block_size: int,
    inplace: bool = False,
    eps: float = 1e-6,
    training: bool = True,
) -> Tensor:
    """Zeroes squares, and scales up the rest. Shape: ``(N, C, H, W) -> same``.

    Args:
        input: to change.
        p: share of values to zero, in [0, 1].
        block_size: side of the squares.
        inplace: change the input itself.
        eps: keeps a division from being one by 0.
        training: whether to do anything.

    Reference: Ghiasi et al., 2018, arXiv:1810.12890.
    """
    return _dropped(2, input, p, block_size, inplace, eps, training)


def drop_block3d(
    input: Tensor,
    p: float,
    block_size: int,
    inplace: bool = False,
    eps: float = 1e-6,
    training: bool = True,
) -> Tensor:
    """`drop_block2d` with cubes. Shape: ``(N, C, D, H, W) -> same``."""
    return _dropped(3, input, p, block_size, inplace, eps, training)


class DropBlock2d(nn.Module):
    """`drop_block2d` as a module."""

    DIMS = 2

    def __init__(self, p: float, block_size: int, inplace: bool = False, eps: float = 1e-6) -> None:
        super().__init__()
        self.p, self.block_size, self.inplace, self.eps = p, block_size, inplace, eps

    def forward(self, input: Tensor) -> Tensor:
        options = self.p, self.block_size, self.inplace, self.eps, self.training
        return _dropped(self.DIMS, input, *options)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(p={self.p}, block_size={self.block_size}, "
            f"inplace={self.inplace})"
        )


class DropBlock3d(DropBlock2d):
    """`drop_block3d` as a module."""

    DIMS = 3
