"""Images of other sizes."""

from __future__ import annotations

from typing import Any

from rushlight import dtypes
from rushlight.core.autograd import known_as
from rushlight.core.tensor import Tensor, expect_tensors
from rushlight.errors import warn_user
from rushlight.nn.functional.adaptive_pooling import adaptive_avg_pool
from rushlight.nn.functional.conv import remembered
from rushlight.nn.functional.pooling import check_floating
from rushlight.ops import resample as R
from rushlight.ops.along import Along
from rushlight.tensor_api._common import in_order_of

__all__ = ["interpolate", "upsample", "upsample_nearest", "upsample_bilinear"]


RANKS = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
NODES = {name: f"Upsample{name.title()}{rank}DBackward0" for name, rank in RANKS.items()}
MODES = ("nearest", "nearest-exact", "area", *RANKS)


def of_each_dim(given: Any, rank: int) -> tuple[Any, ...]:
    """What is given for each of ``rank`` dims, or once for all of them."""
    one = not hasattr(given, "__iter__") or getattr(given, "ndim", 1) == 0  # a tensor of one number
    return (given,) * rank if one else tuple(given)


def target_size(
    shape: Any, size: Any, scale_factor: Any, recompute: bool | None
) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """Sizes of the result, and the scale factors to compute places with (None: from the sizes)."""
    space = tuple(shape[2:])
    rank = len(space)
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is not None:
        sizes = of_each_dim(size, rank)
        if len(sizes) != rank:
            raise ValueError(
                "Input and output must have the same number of spatial dimensions, but got input"
                f" with spatial dimensions of {list(space)} and output size of {size}. Please"
                " provide input tensor in (N, C, d1, d2, ...,dK) format and output size in (o1,"
                " o2, ...,oK) format."
            )
        if recompute:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        return tuple(int(s) for s in sizes), (None,) * rank
    if scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    scales = tuple(float(s) for s in of_each_dim(scale_factor, rank))
    if len(scales) == 1:
        scales *= rank
    if len(scales) != rank:
        raise ValueError(
            "Input and scale_factor must have the same number of spatial dimensions, but got input"
            f" with spatial dimensions of {list(space)} and scale_factor of shape {scale_factor}."
        )
    sizes = tuple(R.output_size(n, s) for n, s in zip(space, scales, strict=True))
    return sizes, (None,) * rank if recompute else scales


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """The input at another size of its spatial dims.

    Args:
        input: ``(N, C, *)`` with one to three spatial dims.
        size: sizes of the result; or scale_factor, those sizes by the input's.
        mode: "nearest", "nearest-exact", "linear" (one dim), "bilinear" or "bicubic" (two),
            "trilinear" (three), "area".
        align_corners: the corner elements keep their values: distances are between centres.
        recompute_scale_factor: compute places from the sizes, not from scale_factor.
        antialias: widen the kernel where the size shrinks ("bilinear" and "bicubic").

    Example:
        >>> import rushlight as torch
        >>> torch.nn.functional.interpolate(torch.tensor([[[1.0, 2.0]]]), scale_factor=2)
        tensor([[[1., 1., 2., 2.]]])
    """
    expect_tensors("interpolate", input)
    shape = input._array.shape
    given = size, scale_factor, mode, align_corners, recompute_scale_factor, antialias
    sizes, indices, matrices = resampling(shape, *given)
    bytes_too = indices is not None or mode in ("bilinear", "bicubic")
    check_floating(f"interpolate, mode {mode}", input, *[dtypes.uint8] * bytes_too)
    if indices is not None:
        out = R.Pick.bind(input, indices=indices)
        if mode == "nearest-exact":
            known_as(f"UpsampleNearestExact{len(indices)}DBackward0", out)
    elif matrices is None:
        return adaptive_avg_pool(len(shape) - 2, input, sizes)
    elif input._array.dtype == dtypes.uint8:
        out = R.ResampleBytes.bind(input, matrices=matrices[0])
    else:
        out = known_as(NODES[mode], Along.bind(input, matrices=matrices[1]))
    return in_order_of(out, input)


@remembered
def resampling(
    shape: Any,
    size: Any,
    scale_factor: Any,
    mode: str,
    align_corners: bool | None,
    recompute: bool | None,
    antialias: bool,
) -> tuple[Any, Any, Any]:
    """The sizes of the result of ``interpolate`` for an input of this shape; the indices of the
    nearest neighbours, or None; the matrices for bytes and for other elements, or None.
    """
    if mode not in MODES:
        raise NotImplementedError(
            f"interpolate: mode is one of {', '.join(MODES)}, but is {mode!r}."
        )
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: linear |"
                " bilinear | bicubic | trilinear"
            )
    elif align_corners is None:
        align_corners = False
    rank = len(shape) - 2
    if not 1 <= rank <= 3:
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {len(shape)}D)"
            f" for the modes: {' | '.join(MODES)} (got {mode})"
        )
    sizes, scales = target_size(shape, size, scale_factor, recompute)
    if antialias and not (mode in ("bilinear", "bicubic") and rank == 2):
        raise ValueError(
            "Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D"
            " tensor as input"
        )
    space = tuple(shape[2:])
    if min(sizes) < 1 or 0 in space or not shape[1]:
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input (H, W, ...): {space}"
            f" output: {sizes}"
        )
    if mode == "area":
        return sizes, None, None
    if RANKS.get(mode, rank) != rank:
        raise NotImplementedError(
            f"Got {len(shape)}D input, but {mode} mode needs {RANKS[mode] + 2}D input"
        )
    plans = list(zip(space, sizes, scales, strict=True))
    if mode.startswith("nearest"):
        return sizes, tuple([R.nearest(*p, mode == "nearest-exact") for p in plans]), None
    if antialias:
        matrices = [R.smoothed(*p, align_corners, mode) for p in plans]  # type: ignore[arg-type]
    else:
        matrices = [(R.cubic if mode == "bicubic" else R.linear)(*p, align_corners) for p in plans]  # type: ignore[arg-type]
    needed = [None if R.changes_nothing(m) else m for m in matrices]
    return sizes, None, (tuple(matrices), tuple(needed))


def upsample(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """Old name of ``interpolate``."""
    warn_user("`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """``interpolate`` with mode "nearest"; an old name."""
    warn_user(
        "`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead."
    )
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """``interpolate`` with mode "bilinear" and aligned corners; an old name."""
    warn_user(
        "`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead."
    )
    return interpolate(input, size, scale_factor, "bilinear", True)
