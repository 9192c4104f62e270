"""Padding: values added around sequences, images and volumes."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F
from rushlight.nn.modules.module import Module
from rushlight.nn.modules.utils import _ntuple

__all__ = [
    f"{kind}Pad{n}d"
    for kind in ("Circular", "Constant", "Reflection", "Replication", "Zero")
    for n in (1, 2, 3)
]


class _Pad(Module):
    """What all paddings share. `mode` is `F.pad`'s; padding is (before, after) for each dim, the
    last first."""

    mode: str
    spatial_dims: int

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = _ntuple(2 * self.spatial_dims)(padding)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    """What paddings with one value share."""

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _CircularPad(_Pad):
    """What paddings with the other end's values share."""

    mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        low = self.spatial_dims + 1
        if input.dim() not in (low, low + 1):
            raise ValueError(f"expected {low}D or {low + 1}D input (got {input.dim()}D input)")
        return super().forward(input)


class ConstantPad1d(_ConstantPad):
    """Adds `value` at both ends of sequences. Shape: ``(*, L) -> (*, L + left + right)``.

    Args:
        padding: (left, right), or one number for both; negative to cut off.
        value: what to add.

    Example:
        >>> nn.ConstantPad1d(1, 5.0)(torch.zeros(1, 2))
        tensor([[5., 0., 0., 5.]])
    """

    spatial_dims = 1


class ConstantPad2d(_ConstantPad):
    """Adds `value` around images. Shape: ``(*, H, W) -> (*, H + top + bottom, W + left + right)``.

    Args:
        padding: (left, right, top, bottom), or one number for all; negative to cut off.
        value: what to add.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.ConstantPad2d((1, 0, 0, 0), 7.0)(torch.ones(1, 1, 2))
        tensor([[[7., 1., 1.]]])
    """

    spatial_dims = 2


class ConstantPad3d(_ConstantPad):
    """Adds `value` around volumes. Shape: ``(*, D, H, W)``, each size plus what is added to it.

    Args:
        padding: (left, right, top, bottom, front, back), or one number for all; negative to cut
            off.
        value: what to add.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.ConstantPad3d(1, 7.0)(torch.ones(1, 2, 2, 2)).shape
        torch.Size([1, 4, 4, 4])
    """

    spatial_dims = 3


class _ZeroPad(_ConstantPad):
    """What paddings with zeros share."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad1d(_ZeroPad, ConstantPad1d):
    """Adds zeros at both ends of sequences. Shape: ``(*, L) -> (*, L + left + right)``.

    Args:
        padding: (left, right), or one number for both; negative to cut off.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.ZeroPad1d(1)(torch.ones(1, 2))
        tensor([[0., 1., 1., 0.]])
    """


class ZeroPad2d(_ZeroPad, ConstantPad2d):
    """Adds zeros around images. Shape: ``(*, H, W) -> (*, H + top + bottom, W + left + right)``.

    Args:
        padding: (left, right, top, bottom), or one number for all; negative to cut off.

    Example:
        >>> nn.ZeroPad2d((1, 0, 0, 1))(torch.ones(1, 1, 2))
        tensor([[[0., 1., 1.],
                 [0., 0., 0.]]])
    """


class ZeroPad3d(_ZeroPad, ConstantPad3d):
    """Adds zeros around volumes. Shape: ``(*, D, H, W)``, each size plus what is added to it.

    Args:
        padding: (left, right, top, bottom, front, back), or one number for all; negative to cut
            off.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.ZeroPad3d(1)(torch.ones(1, 2, 2, 2)).shape
        torch.Size([1, 4, 4, 4])
    """


class ReflectionPad1d(_Pad):
    """Adds the mirror image at both ends of sequences, the end itself not repeated.

    Shape: ``(C, L)`` or ``(N, C, L)``, with L + left + right out.

    Args:
        padding: (left, right), each < L, or one number for both.

    Example:
        >>> nn.ReflectionPad1d(2)(torch.tensor([[1.0, 2.0, 3.0]]))
        tensor([[3., 2., 1., 2., 3., 2., 1.]])
    """

    mode, spatial_dims = "reflect", 1


class ReflectionPad2d(_Pad):
    """Adds the mirror image around images, the border itself not repeated.

    Shape: ``(C, H, W)`` or ``(N, C, H, W)``, each size plus what is added to it.

    Args:
        padding: (left, right, top, bottom), each less than its size, or one number for all.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.ReflectionPad2d((1, 1, 0, 0))(torch.tensor([[[1.0, 2.0]]]))
        tensor([[[2., 1., 2., 1.]]])
    """

    mode, spatial_dims = "reflect", 2


class ReflectionPad3d(_Pad):
    """Adds the mirror image around volumes, the border itself not repeated.

    Shape: ``(C, D, H, W)`` or ``(N, C, D, H, W)``, each size plus what is added to it.

    Args:
        padding: (left, right, top, bottom, front, back), each less than its size, or one number for
            all.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.ReflectionPad3d(1)(torch.ones(1, 2, 2, 2)).shape
        torch.Size([1, 4, 4, 4])
    """

    mode, spatial_dims = "reflect", 3


class ReplicationPad1d(_Pad):
    """Repeats the first and last values of sequences.

    Shape: ``(C, L)`` or ``(N, C, L)``, with L + left + right out.

    Args:
        padding: (left, right), or one number for both.

    Example:
        >>> nn.ReplicationPad1d(1)(torch.tensor([[1.0, 2.0, 3.0]]))
        tensor([[1., 1., 2., 3., 3.]])
    """

    mode, spatial_dims = "replicate", 1


class ReplicationPad2d(_Pad):
    """Repeats the border of images.

    Shape: ``(C, H, W)`` or ``(N, C, H, W)``, each size plus what is added to it.

    Args:
        padding: (left, right, top, bottom), or one number for all.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.ReplicationPad2d((2, 0, 0, 0))(torch.tensor([[[1.0, 2.0]]]))
        tensor([[[1., 1., 1., 2.]]])
    """

    mode, spatial_dims = "replicate", 2


class ReplicationPad3d(_Pad):
    """Repeats the border of volumes.

    Shape: ``(C, D, H, W)`` or ``(N, C, D, H, W)``, each size plus what is added to it.

    Args:
        padding: (left, right, top, bottom, front, back), or one number for all.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.ReplicationPad3d(1)(torch.ones(1, 2, 2, 2)).shape
        torch.Size([1, 4, 4, 4])
    """

    mode, spatial_dims = "replicate", 3


class CircularPad1d(_CircularPad):
    """Adds values from the other end of sequences, as if they were rings.

    Shape: ``(C, L)`` or ``(N, C, L)``, with L + left + right out.

    Args:
        padding: (left, right), each <= L, or one number for both.

    Example:
        >>> nn.CircularPad1d(1)(torch.tensor([[1.0, 2.0, 3.0]]))
        tensor([[3., 1., 2., 3., 1.]])
    """

    spatial_dims = 1


class CircularPad2d(_CircularPad):
    """Adds values from the other side of images, as if they were tiles.

    Shape: ``(C, H, W)`` or ``(N, C, H, W)``, each size plus what is added to it.

    Args:
        padding: (left, right, top, bottom), each at most its size, or one number for all.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.CircularPad2d((1, 1, 0, 0))(torch.tensor([[[1.0, 2.0, 3.0]]]))
        tensor([[[3., 1., 2., 3., 1.]]])
    """

    spatial_dims = 2


class CircularPad3d(_CircularPad):
    """Adds values from the other side of volumes, as if they were tiles.

    Shape: ``(C, D, H, W)`` or ``(N, C, D, H, W)``, each size plus what is added to it.

    Args:
        padding: (left, right, top, bottom, front, back), each at most its size, or one number for
            all.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.CircularPad3d(1)(torch.ones(1, 2, 2, 2)).shape
        torch.Size([1, 4, 4, 4])
    """

    spatial_dims = 3
