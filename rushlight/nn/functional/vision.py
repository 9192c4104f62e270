"""Images: resampling, grids, shuffled pixels, windows as columns."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from rushlight import dtypes, formats
from rushlight import tensor_api as T
from rushlight.core.device_array import constant_on, driver_of, unseen
from rushlight.core.state import state
from rushlight.core.tensor import Tensor, expect_tensors, no_tensor, wrap
from rushlight.errors import ShapeError, warn_user
from rushlight.nn.functional.conv import expanded, remembered
from rushlight.nn.functional.pooling import adaptive_avg_pool, check_floating
from rushlight.ops import resample as R
from rushlight.ops.fold import Fold, Unfold, window_counts
from rushlight.ops.grid import GridSample, sampled
from rushlight.ops.pool import Along
from rushlight.ops.resample import TakeEach
from rushlight.tensor_api._common import in_order_of
from rushlight.tensor_api.casting import in_float32_on_cpu

__all__ = [
    "interpolate", "upsample", "upsample_nearest", "upsample_bilinear", "affine_grid",
    "grid_sample", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle",
    "native_channel_shuffle", "fold", "unfold",
]  # fmt: skip

RANKS = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
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
    elif matrices is None:
        return adaptive_avg_pool(len(shape) - 2, input, sizes)
    elif input._array.dtype == dtypes.uint8:
        out = R.ResampleBytes.bind(input, matrices=matrices[0])
    else:
        out = Along.bind(input, matrices=matrices[1])
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
    needed = [
        None if n == s and np.array_equal(m, np.eye(n)) else m
        for m, (n, s, _) in zip(matrices, plans, strict=True)
    ]
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


# -- Grids ---------------------------------------------------------------------------------------


def corners_warning(name: str) -> None:
    """torch's warning when align_corners is not given."""
    warn_user(
        f"Default {name} and affine_grid behavior has changed to align_corners=False since 1.3.0."
        " Please specify align_corners=True if the old behavior is desired. See the documentation"
        f" of {name} for details."
    )


def affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Tensor:
    """Places to read for an affine map of an image, for ``grid_sample``.

    Args:
        theta: the maps, ``(N, 2, 3)`` or ``(N, 3, 4)``.
        size: the result's, ``(N, C, H, W)`` or ``(N, C, D, H, W)``.
        align_corners: whether -1 and 1 are the centres of the corner pixels, or their outer edges.

    Shape: ``(N, H, W, 2)`` or ``(N, D, H, W, 3)``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> theta = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])  # stays as it is
        >>> F.affine_grid(theta, (1, 1, 2, 2), align_corners=True)
        tensor([[[[-1., -1.],
                  [ 1., -1.]],
        <BLANKLINE>
                 [[-1.,  1.],
                  [ 1.,  1.]]]])
    """
    if align_corners is None:
        corners_warning("grid_sample")
        align_corners = False
    if theta._array.dtype not in dtypes.FLOATING_TYPES:
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    size = tuple(int(n) for n in size)
    rank = len(size) - 2
    if rank not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms,"
            f" respectively. Got size {size}."
        )
    if tuple(theta._array.shape[-2:]) != (rank, rank + 1) or theta._array.ndim != 3:
        raise ValueError(
            f"Expected a batch of {rank}D affine matrices of shape Nx{rank}x{rank + 1} for size"
            f" {size}. Got {tuple(theta._array.shape)}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    if align_corners and 1 in size[2:]:
        warn_user(
            "affine_grid: with align_corners=True, places along a dim of size 1 are those of its"
            " centre. See the documentation of affine_grid for details."
        )
    base = centres(size[2:], align_corners, theta._array.dtype)
    return T.matmul(constant_on(theta, base), theta.transpose(1, 2)).reshape(
        size[0], *size[2:], rank
    )


@functools.lru_cache(maxsize=16)
def centres(space: tuple[int, ...], align_corners: bool, d: Any) -> np.ndarray:
    """The places of all pixels, x first, and a one behind them: (1, pixels, rank + 1), not to be
    written to.
    """
    axes = [line(n, align_corners, d) for n in space]
    mesh = np.meshgrid(*axes, indexing="ij")[::-1]
    return np.stack([*mesh, np.ones(space, d)], -1).reshape(1, -1, len(space) + 1)


def line(n: int, align_corners: bool, d: Any) -> np.ndarray:
    """Places from -1 to 1, rounded as PyTorch does: an identity reads from centres of pixels."""
    if n == 1:
        return np.zeros(1, d)
    places: np.ndarray = T.linspace(-1, 1, n, dtype=dtypes.of[d])._array
    return places if align_corners else places * d.type(n - 1) / d.type(n)


@in_float32_on_cpu
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """The input at places given by a grid of numbers from -1 to 1.

    Args:
        input: ``(N, C, H, W)`` or ``(N, C, D, H, W)``.
        grid: places, x first: ``(N, H', W', 2)`` or ``(N, D', H', W', 3)``.
        mode: "bilinear" (for volumes trilinear), "nearest", or "bicubic" (images only).
        padding_mode: what lies outside: "zeros", "border" (the edge's value) or "reflection".
        align_corners: whether -1 and 1 are the centres of the corner pixels, or their outer edges.

    Shape: ``(N, C, H', W')`` or ``(N, C, D', H', W')``.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x = torch.tensor([[[[0.0, 2.0], [4.0, 6.0]]]])
        >>> middle, corner = [0.0, 0.0], [1.0, 1.0]
        >>> F.grid_sample(x, torch.tensor([[[middle, corner]]]), align_corners=True)
        tensor([[[[3., 6.]]]])
    """
    if align_corners is None:
        corners_warning("grid_sample")
        align_corners = False
    try:
        shapes, d = (input._array.shape, grid._array.shape), input._array.dtype
    except AttributeError:
        raise no_tensor("grid_sample", input, grid) from None
    by_formula = check_sampling(*shapes, mode, padding_mode, align_corners)
    here = d is grid._array.dtype in dtypes.FLOATS and driver_of(input) is None
    if by_formula or state.busy or not here:
        return sample(input, grid, mode, padding_mode, align_corners)
    if not (input._tracked or grid._tracked):
        found = sampled(input._array, grid._array, mode, padding_mode, align_corners)
        if found is not None:
            return wrap(found)
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    return GridSample.bind(input, grid, formula=sample, **options)


@functools.lru_cache(maxsize=256)
def check_sampling(
    x: tuple[int, ...], places: tuple[int, ...], mode: str, padding_mode: str, align_corners: bool
) -> bool:
    """Refuse shapes and options that do not fit. Whether only the formula samples so."""
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic',"
            f" but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or"
            f" 'reflection', but got: '{padding_mode}'"
        )
    rank = len(x) - 2
    if rank not in (2, 3) or len(places) != len(x) or places[-1] != rank or places[0] != x[0]:
        raise ShapeError(
            "grid_sampler(): expected grid and input to have same batch size and number of dims,"
            f" and grid to have size {rank} in the last dimension, but got input of shape"
            f" {tuple(x)} and grid of shape {tuple(places)}."
        )
    if mode == "bicubic" and rank == 3:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    if 0 in x[2:]:
        raise ShapeError(
            "grid_sampler(): expected input to have non-empty spatial dimensions, but input has"
            f" sizes {tuple(x)}."
        )
    return padding_mode == "reflection" and align_corners and 1 in x[2:]


def sample(
    input: Tensor, grid: Tensor, mode: str, padding_mode: str, align_corners: bool
) -> Tensor:
    """``grid_sample`` as a formula."""
    x, rank = input._array.shape, input._array.ndim - 2
    axes = [
        unnormalised(grid.select(-1, rank - 1 - i), x[2 + i], align_corners) for i in range(rank)
    ]  # slowest dim first
    if mode == "bicubic":
        return bicubic_sample(input, axes, padding_mode, align_corners)
    axes = [outside(a, x[2 + i], padding_mode, align_corners) for i, a in enumerate(axes)]
    if mode == "nearest":
        ones = axes[0].clone().fill_(1) if grid.requires_grad else None  # of gradient 0
        return weighted(input, [a.round().long() for a in axes], ones)
    return linear_sample(input, axes)


def unnormalised(a: Tensor, n: int, align_corners: bool) -> Tensor:
    """Numbers from -1 to 1 as places in pixels."""
    return (a + 1) * ((n - 1) / 2) if align_corners else ((a + 1) * n - 1) / 2


def outside(a: Tensor, n: int, padding_mode: str, align_corners: bool) -> Tensor:
    """Places moved into the input, by the padding mode."""
    if padding_mode == "zeros":
        return a
    if padding_mode == "reflection":
        a = reflect(a, 0, 2 * (n - 1)) if align_corners else reflect(a, -1, 2 * n - 1)
    within = (a > 0) & (a < n - 1)  # at the edge itself too, the gradient is 0
    return T.where(within, a, a.detach().clamp(0, n - 1))


def reflect(a: Tensor, low: int, high: int) -> Tensor:
    """Places mirrored between two bounds, given as twice their value."""
    if low == high:
        return a * 0
    start, span = low / 2, (high - low) / 2
    moved = a - start
    sign = T.where(moved < 0, -1.0, 1.0).to(a.dtype)
    moved = moved * sign
    flips = (moved.detach() / span).floor()
    rest = moved - flips * span
    return T.where(flips % 2 == 0, rest + start, span - rest + start)


def read(input: Tensor, index: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Input (N, C, *space) at integer places (N, *out), and which of these are inside."""
    shape = input._array.shape
    flat: Any = 0
    valid: Any = True
    for a, n in zip(index, shape[2:], strict=True):
        valid = valid & (a >= 0) & (a < n)
        flat = flat * n + a.clamp(0, n - 1)
    out = flat.shape[1:]
    values = TakeEach.bind(input.reshape(*shape[:2], -1), flat.reshape(shape[0], -1))
    return values.reshape(*shape[:2], *out), valid


def weighted(input: Tensor, index: list[Tensor], weight: Tensor | None) -> Tensor:
    """``read`` times a weight (N, *out); zero outside."""
    values, valid = read(input, index)
    if not unseen(valid) and valid._array.all():
        return values if weight is None else values * weight.unsqueeze(1)
    inside = valid.to(input.dtype)
    return values * (inside if weight is None else weight * inside).unsqueeze(1)


def linear_sample(input: Tensor, axes: list[Tensor]) -> Tensor:
    """Weighted means of the neighbours of each place."""
    lows = [a.detach().floor() for a in axes]
    shares = [a - low for a, low in zip(axes, lows, strict=True)]
    whole = [low.long() for low in lows]
    ends = [(1 - share, share) for share in shares]
    total: Any = None
    for corner in np.ndindex(*(2,) * len(axes)):
        weight: Any = None
        for pair, c in zip(ends, corner, strict=True):
            weight = pair[c] if weight is None else weight * pair[c]
        part = weighted(
            input, [w + c if c else w for w, c in zip(whole, corner, strict=True)], weight
        )
        total = part if total is None else total + part
    return total  # type: ignore[no-any-return]


def bicubic_sample(
    input: Tensor, axes: list[Tensor], padding_mode: str, align_corners: bool
) -> Tensor:
    """Cubic interpolation over the 4 by 4 neighbours of each place."""
    lows = [a.detach().floor() for a in axes]
    weights = [cubic_weights(a - low) for a, low in zip(axes, lows, strict=True)]
    total: Any = None
    for taps in np.ndindex(4, 4):
        places = [
            outside(low + (t - 1), n, padding_mode, align_corners)
            for low, t, n in zip(lows, taps, input._array.shape[2:], strict=True)
        ]
        index = [p.long() for p in places]
        part = weighted(input, index, weights[0][taps[0]] * weights[1][taps[1]])
        total = part if total is None else total + part
    return total  # type: ignore[no-any-return]


def cubic_weights(t: Tensor) -> list[Tensor]:
    """Keys' weights of the four neighbours of a place at a share t past the second."""
    a = -0.75

    def near(x: Tensor) -> Tensor:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Tensor) -> Tensor:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


# -- Pixels and windows --------------------------------------------------------------------------


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Channels moved into space. Shape: ``(*, C r^2, H, W) -> (*, C, H r, W r)``.

    Raises:
        RuntimeError: the number of channels is no multiple of the factor's square.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.pixel_shuffle(torch.arange(4.0).reshape(4, 1, 1), 2)
        tensor([[[0., 1.],
                 [2., 3.]]])

    Reference: Shi et al., 2016, arXiv:1609.05158.
    """
    expect_tensors("pixel_shuffle", input)
    shape, r = input._array.shape, upscale_factor
    if len(shape) < 3:
        raise ShapeError(
            "pixel_shuffle expects input to have at least 3 dimensions, but got input with"
            f" {len(shape)} dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *lead, c, h, w = shape
    if c % (r * r):
        raise ShapeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square"
            f" of upscale_factor, but input.size(-3)={c} is not divisible by {r * r}"
        )
    x = input.reshape(*lead, c // (r * r), r, r, h, w)
    n = len(lead)
    out = x.permute(*range(n + 1), n + 3, n + 1, n + 4, n + 2).reshape(
        *lead, c // (r * r), h * r, w * r
    )
    return in_order_of(out, input)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Space moved into channels: the inverse of ``pixel_shuffle``. Shape:
    ``(*, C, H r, W r) -> (*, C r^2, H, W)``.

    Raises:
        RuntimeError: height or width is no multiple of the factor.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.pixel_unshuffle(torch.arange(4.0).reshape(1, 2, 2), 2).flatten()
        tensor([0., 1., 2., 3.])
    """
    expect_tensors("pixel_unshuffle", input)
    shape, r = input._array.shape, downscale_factor
    if len(shape) < 3:
        raise ShapeError(
            "pixel_unshuffle expects input to have at least 3 dimensions, but got input with"
            f" {len(shape)} dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *lead, c, h, w = shape
    if h % r or w % r:
        raise ShapeError(
            f"pixel_unshuffle expects height and width to be divisible by downscale_factor, but {h}"
            f" and {w} are not by {r}"
        )
    x = input.reshape(*lead, c, h // r, r, w // r, r)
    n = len(lead)
    out = x.permute(*range(n + 1), n + 2, n + 4, n + 1, n + 3).reshape(
        *lead, c * r * r, h // r, w // r
    )
    return in_order_of(out, input)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Channels of ``groups`` groups interleaved. Shape: ``(N, C, *) -> (N, C, *)``.

    Raises:
        RuntimeError: the number of channels is no multiple of groups.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.channel_shuffle(torch.arange(4.0).reshape(1, 4, 1), 2).flatten()
        tensor([0., 2., 1., 3.])

    Reference: Zhang et al., 2017, arXiv:1707.01083.
    """
    expect_tensors("channel_shuffle", input)
    shape = input._array.shape
    if len(shape) < 3:
        raise ShapeError(
            f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(shape)}"
        )
    if groups <= 0:
        raise RuntimeError(
            f"Number of groups to divide channels in must be positive. Value of groups:{groups}"
        )
    if shape[1] % groups:
        raise ShapeError(
            f"Number of channels must be divisible by groups. Got {shape[1]} channels and {groups}"
            " groups."
        )
    if groups in (1, shape[1]):  # they stay in order
        return input.clone(memory_format=formats.contiguous_format)
    x = input.reshape(shape[0], groups, shape[1] // groups, *shape[2:])
    return x.transpose(1, 2).reshape(shape)


native_channel_shuffle = channel_shuffle


def pairs(value: Any, name: str) -> tuple[int, int]:
    """Two sizes."""
    a, b = expanded(value, 2, name, "fold")
    return a, b


def unfold(
    input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """All windows of an image as columns. Shape: ``(N, C, H, W) -> (N, C Kh Kw, windows)``, or both
    without N.

    Args:
        kernel_size, dilation, padding, stride: of the windows, an int or one for each dim.

    Raises:
        RuntimeError: no window lies in the padded image.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> F.unfold(torch.arange(6.0).reshape(1, 1, 2, 3), 2)
        tensor([[[0., 1.],
                 [1., 2.],
                 [3., 4.],
                 [4., 5.]]])
    """
    expect_tensors("unfold", input)
    x = input if input._array.ndim == 4 else input.unsqueeze(0)
    if input._array.ndim not in (3, 4) or 0 in x._array.shape[1:]:
        raise ShapeError(
            "unfold: Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other"
            f" non-zero dimensions for input, but got: {list(input._array.shape)}"
        )
    options = window_options(kernel_size, dilation, padding, stride)
    counts = window_counts(x._array.shape[2:], **options)
    if min(counts) < 1:
        raise ShapeError(
            f"unfold: Given input with spatial size {tuple(x._array.shape[2:])} and {options},"
            f" calculated shape of the array of sliding blocks as {counts}, but its components must"
            " be at least one."
        )
    out = Unfold.bind(x, **options)
    return out if x is input else out.squeeze(0)


def window_options(
    kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> dict[str, tuple[int, int]]:
    """The geometry that Fold and Unfold take."""
    options = {
        "kernel": pairs(kernel_size, "kernel_size"),
        "stride": pairs(stride, "stride"),
        "padding": pairs(padding, "padding"),
        "dilation": pairs(dilation, "dilation"),
    }
    for name in ("kernel", "stride", "dilation"):
        if min(options[name]) <= 0:
            raise RuntimeError(f"{name} should be greater than zero, but got {options[name]}")
    if min(options["padding"]) < 0:
        raise RuntimeError(f"padding should be non-negative, but got {options['padding']}")
    return options


def fold(
    input: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """Columns added up where their windows lie: the transpose of ``unfold``. Shape:
    ``(N, C Kh Kw, windows) -> (N, C, *output_size)``.

    Args:
        output_size: height and width of the image.
        kernel_size, dilation, padding, stride: of the windows, an int or one for each dim.

    Raises:
        RuntimeError: the number of windows is not what the sizes give.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> columns = torch.ones(1, 4, 2)  # two windows of 2 by 2
        >>> F.fold(columns, (2, 3), 2)
        tensor([[[[1., 2., 1.],
                  [1., 2., 1.]]]])
    """
    x = input if input._array.ndim == 3 else input.unsqueeze(0)
    if input._array.ndim not in (2, 3) or 0 in x._array.shape[1:]:
        raise ShapeError(
            "fold: Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and"
            f" non-zero dimensions for input, but got: {list(input._array.shape)}"
        )
    options = window_options(kernel_size, dilation, padding, stride)
    space = pairs(output_size, "output_size")
    taps = math.prod(options["kernel"])
    if x._array.shape[1] % taps:
        raise ShapeError(
            "fold: Expected size of input's dimension 1 to be divisible by the product of"
            f" kernel_size, but got input.size(1)={x._array.shape[1]} and"
            f" kernel_size={options['kernel']}."
        )
    counts = window_counts(space, **options)
    if min(counts) < 1 or x._array.shape[2] != math.prod(counts):
        raise ShapeError(
            f"fold: Given output_size={space} and {options}, expected size of input's dimension 2"
            f" to match the calculated number of sliding blocks {counts[0]} * {counts[1]} ="
            f" {math.prod(counts)}, but got input.size(2)={x._array.shape[2]}."
        )
    out = Fold.bind(x, space=space, **options)
    return out if x is input else out.squeeze(0)
