"""What self-contained detection code calls as ``torch.ops.torchvision.<name>``: the functions with
torchvision's arguments below Python, sizes one by one.
"""

from __future__ import annotations

from rushlight.core.tensor import Tensor
from rushlight.ops.operators import Namespace, namespaces
from rushlight.vision.ops import boxes, deformable, regions


def _roi_align(
    input: Tensor,
    rois: Tensor,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    size = (pooled_height, pooled_width)
    return regions.roi_align(input, rois, size, spatial_scale, sampling_ratio, aligned)


def _deform_conv2d(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor,
    bias: Tensor | None,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    groups: int,
    offset_groups: int,
    use_mask: bool,
) -> Tensor:
    """Both numbers of groups follow from the shapes."""
    stride, padding, dilation = (stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w)
    factors = mask if use_mask else None
    return deformable.deform_conv2d(input, offset, weight, bias, stride, padding, dilation, factors)


namespaces["torchvision"] = Namespace(
    "torchvision",
    {"nms": boxes.nms, "roi_align": _roi_align, "deform_conv2d": _deform_conv2d}.get,
)
