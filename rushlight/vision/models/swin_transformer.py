"""Swin transformers: attention within windows, which every second block shifts by a half."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from rushlight import nn, tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F
from rushlight.vision.models.registry import model
from rushlight.vision.ops import MLP, Permute, StochasticDepth

__all__ = [
    "SwinTransformer", "swin_b", "swin_s", "swin_t", "swin_v2_b", "swin_v2_s", "swin_v2_t",
]  # fmt: skip


def _four_neighbours(x: Tensor) -> Tensor:
    """The pixels of 2x2 squares, stacked. Shape: ``(..., H, W, C) -> (..., ceil(H / 2), ceil(W /
    2), 4 C)``.
    """
    height, width = x.shape[-3:-1]
    x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
    return T.cat([x[..., i::2, j::2, :] for j in (0, 1) for i in (0, 1)], -1)


class PatchMerging(nn.Module):
    """Half the size, twice the features: normalise, then combine four neighbours."""

    def __init__(self, dim: int, norm_layer: Callable[..., nn.Module] = nn.LayerNorm) -> None:
        super().__init__()
        self.dim = dim
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = norm_layer(4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.reduction(self.norm(_four_neighbours(x)))
        return out


class PatchMergingV2(nn.Module):
    """Half the size, twice the features: combine four neighbours, then normalise."""

    def __init__(self, dim: int, norm_layer: Callable[..., nn.Module] = nn.LayerNorm) -> None:
        super().__init__()
        self.dim = dim
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = norm_layer(2 * dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.reduction(_four_neighbours(x)))
        return out


def _windows(x: Tensor, window: list[int]) -> Tensor:
    """``(N, H, W, C) -> (N H W / (h w), h w, C)``."""
    (n, height, width, c), (h, w) = x.shape, window
    x = x.view(n, height // h, h, width // w, w, c)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, h * w, c)


def _unwindowed(x: Tensor, shape: tuple[int, ...], window: list[int]) -> Tensor:
    (n, height, width, c), (h, w) = shape, window
    x = x.view(n, height // h, width // w, h, w, c)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(n, height, width, c)


def _apart(height: int, width: int, window: list[int], shift: list[int], like: Tensor) -> Tensor:
    """-100 between pixels that only the shift brought into one window, otherwise 0. Shape:
    ``(windows, h w, h w)``.
    """
    parts = []
    for size, length, by in zip((height, width), window, shift, strict=True):
        place = T.arange(size, device=like.device)
        parts.append((place >= size - length).long() + (place >= size - by).long())
    part = 3 * parts[0][:, None] + parts[1]
    part = _windows(part[None, :, :, None], window).squeeze(-1)
    return (part[:, None] != part[:, :, None]).to(like.dtype) * -100.0


def shifted_window_attention(
    input: Tensor,
    qkv_weight: Tensor,
    proj_weight: Tensor,
    relative_position_bias: Tensor,
    window_size: list[int],
    num_heads: int,
    shift_size: list[int],
    attention_dropout: float = 0.0,
    dropout: float = 0.0,
    qkv_bias: Tensor | None = None,
    proj_bias: Tensor | None = None,
    logit_scale: Tensor | None = None,
    training: bool = True,
) -> Tensor:
    """Attention within windows. Shape: ``(N, H, W, C) -> same``.

    Args:
        input: pixels.
        qkv_weight: ``(3 C, C)``, of queries, keys and values.
        proj_weight: ``(C, C)``, of the results.
        relative_position_bias: added to the scores, ``(1, heads, h w, h w)``.
        window_size: h and w; the input is padded to multiples of them.
        num_heads: of attention.
        shift_size: pixels by which windows are shifted, in each direction; 0 in a direction with
            one window.
        attention_dropout: probability of zeroing a weight.
        dropout: probability of zeroing a result.
        qkv_bias: ``(3 C)`` or None.
        proj_bias: ``(C)`` or None.
        logit_scale: logarithm of the factors of cosine scores, ``(heads, 1, 1)``; None for scaled
            products as scores.
        training: whether to drop.
    """
    n, height, width, c = input.shape
    down, across = (-size % step for size, step in zip((height, width), window_size, strict=True))
    x = F.pad(input, (0, 0, 0, across, 0, down))
    shape = x.shape
    shift = [
        0 if window >= size else by
        for by, window, size in zip(shift_size, window_size, shape[1:3], strict=True)
    ]
    if any(shift):
        x = x.roll((-shift[0], -shift[1]), (1, 2))
    x = _windows(x, window_size)  # (windows, h w, C)
    if logit_scale is not None and qkv_bias is not None:  # keys have no bias
        ones = T.ones_like(qkv_bias)
        ones[c : 2 * c] = 0
        qkv_bias = qkv_bias * ones
    qkv = F.linear(x, qkv_weight, qkv_bias).view(*x.shape[:2], 3, num_heads, c // num_heads)
    q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # (windows, heads, h w, C / heads)
    if logit_scale is None:
        scores = (q * (c // num_heads) ** -0.5) @ k.transpose(-2, -1)
    else:
        scores = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
        scores = scores * logit_scale.clamp(max=math.log(100.0)).exp()
    scores = scores + relative_position_bias
    if any(shift):
        apart = _apart(shape[1], shape[2], window_size, shift, scores)
        several = scores.view(n, -1, num_heads, *scores.shape[-2:]) + apart[:, None]
        scores = several.view(-1, num_heads, *scores.shape[-2:])
    weights = F.dropout(scores.softmax(-1), p=attention_dropout, training=training)
    x = (weights @ v).transpose(1, 2).reshape(*x.shape[:2], c)
    x = F.dropout(F.linear(x, proj_weight, proj_bias), p=dropout, training=training)
    x = _unwindowed(x, shape, window_size)
    if any(shift):
        x = x.roll((shift[0], shift[1]), (1, 2))
    return x[:, :height, :width].contiguous()


class ShiftedWindowAttention(nn.Module):
    """Attention within windows, with a learned bias for each distance. Shape: ``(N, H, W, C) ->
    same``.

    Args:
        dim: C.
        window_size: height and width of windows, in pixels.
        shift_size: pixels by which they are shifted.
        num_heads: of attention.
        qkv_bias: whether queries, keys and values have a bias.
        proj_bias: whether results have.
        attention_dropout: probability of zeroing a weight.
        dropout: probability of zeroing a result.
    """

    def __init__(
        self,
        dim: int,
        window_size: list[int],
        shift_size: list[int],
        num_heads: int,
        qkv_bias: bool = True,
        proj_bias: bool = True,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(window_size) != 2 or len(shift_size) != 2:
            raise ValueError(
                f"{type(self).__name__}: window_size and shift_size must be 2 numbers each, not "
                f"{window_size} and {shift_size}."
            )
        self.window_size, self.shift_size, self.num_heads = window_size, shift_size, num_heads
        self.attention_dropout, self.dropout = attention_dropout, dropout
        self.qkv = nn.Linear(dim, dim * 3, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim, bias=proj_bias)
        self.define_relative_position_bias_table()
        self.define_relative_position_index()

    def define_relative_position_bias_table(self) -> None:
        h, w = self.window_size
        self.relative_position_bias_table = nn.Parameter(
            T.zeros((2 * h - 1) * (2 * w - 1), self.num_heads)
        )
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def define_relative_position_index(self) -> None:
        h, w = self.window_size
        y, x = (p.flatten() for p in T.meshgrid(T.arange(h), T.arange(w), indexing="ij"))
        rows = y[:, None] - y + h - 1
        index = rows * (2 * w - 1) + (x[:, None] - x + w - 1)
        self.register_buffer("relative_position_index", index.flatten())

    def get_relative_position_bias(self) -> Tensor:
        return self._looked_up(self.relative_position_bias_table)

    def _looked_up(self, table: Tensor) -> Tensor:
        """``(distances, heads) -> (1, heads, h w, h w)``."""
        size = self.window_size[0] * self.window_size[1]
        found = table[self.relative_position_index].view(size, size, -1)
        return found.permute(2, 0, 1).contiguous().unsqueeze(0)

    def _attended(self, x: Tensor, logit_scale: Tensor | None) -> Tensor:
        return shifted_window_attention(
            x,
            self.qkv.weight,
            self.proj.weight,
            self.get_relative_position_bias(),
            self.window_size,
            self.num_heads,
            shift_size=self.shift_size,
            attention_dropout=self.attention_dropout,
            dropout=self.dropout,
            qkv_bias=self.qkv.bias,
            proj_bias=self.proj.bias,
            logit_scale=logit_scale,
            training=self.training,
        )

    def forward(self, x: Tensor) -> Tensor:
        return self._attended(x, None)


class ShiftedWindowAttentionV2(ShiftedWindowAttention):
    """Attention within windows, with cosines as scores and a bias that a small network computes
    from each distance.
    """

    def __init__(self, dim: int, window_size: list[int], *args: Any, **kwargs: Any) -> None:
        super().__init__(dim, window_size, *args, **kwargs)
        self.logit_scale = nn.Parameter(T.log(10 * T.ones((self.num_heads, 1, 1))))
        self.cpb_mlp = nn.Sequential(
            nn.Linear(2, 512, bias=True),
            nn.ReLU(inplace=True),
            nn.Linear(512, self.num_heads, bias=False),
        )

    def define_relative_position_bias_table(self) -> None:
        h, w = self.window_size
        steps = [T.arange(-(n - 1), n).float() / (n - 1) for n in (h, w)]
        table = T.stack(T.meshgrid(*steps, indexing="ij"), -1).unsqueeze(0) * 8
        table = table.sign() * (table.abs() + 1.0).log2() / 3.0
        self.register_buffer("relative_coords_table", table)

    def get_relative_position_bias(self) -> Tensor:
        table = self.cpb_mlp(self.relative_coords_table).view(-1, self.num_heads)
        return 16 * self._looked_up(table).sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return self._attended(x, self.logit_scale)


class SwinTransformerBlock(nn.Module):
    """Attention and a perceptron, each beside the identity and behind a normalisation."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window_size: list[int],
        shift_size: list[int],
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        stochastic_depth_prob: float = 0.0,
        norm_layer: Callable[..., nn.Module] = nn.LayerNorm,
        attn_layer: Callable[..., nn.Module] = ShiftedWindowAttention,
    ) -> None:
        super().__init__()
        self.norm1 = norm_layer(dim)
        self.attn = attn_layer(
            dim,
            window_size,
            shift_size,
            num_heads,
            attention_dropout=attention_dropout,
            dropout=dropout,
        )
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")
        self.norm2 = norm_layer(dim)
        sizes = [int(dim * mlp_ratio), dim]
        self.mlp = MLP(dim, sizes, activation_layer=nn.GELU, inplace=None, dropout=dropout)
        for m in self.mlp.modules():
            if isinstance(m, nn.Linear):
                nn.init.xavier_uniform_(m.weight)
                if m.bias is not None:
                    nn.init.normal_(m.bias, std=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.stochastic_depth(self.attn(self.norm1(x)))
        out: Tensor = x + self.stochastic_depth(self.mlp(self.norm2(x)))
        return out


class SwinTransformerBlockV2(SwinTransformerBlock):
    """Attention and a perceptron, each beside the identity and before a normalisation."""

    def __init__(
        self,
        *args: Any,
        attn_layer: Callable[..., nn.Module] = ShiftedWindowAttentionV2,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, attn_layer=attn_layer, **kwargs)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.stochastic_depth(self.norm1(self.attn(x)))
        out: Tensor = x + self.stochastic_depth(self.norm2(self.mlp(x)))
        return out


class SwinTransformer(nn.Module):
    """Stages of blocks, each at half the size of the one before. Shape: ``(N, 3, H, W) -> (N,
    num_classes)``.

    Args:
        patch_size: height and width of the squares that become one pixel each.
        embed_dim: features in the first stage; each has twice as many as the one before.
        depths: blocks of the stages.
        num_heads: of attention, in each stage.
        window_size: height and width of windows.
        mlp_ratio: how much the perceptrons widen.
        dropout: probability of zeroing a feature.
        attention_dropout: probability of zeroing a weight of attention.
        stochastic_depth_prob: of dropping a row in the last block; in earlier ones less.
        num_classes: size of the output.
        norm_layer: what makes a normalisation of so many features; default: LayerNorm.
        block: class of the blocks; default: SwinTransformerBlock.
        downsample_layer: class of what is between the stages.

    References: Liu et al., 2021, arXiv:2103.14030, and 2022, arXiv:2111.09883.
    """

    def __init__(
        self,
        patch_size: list[int],
        embed_dim: int,
        depths: list[int],
        num_heads: list[int],
        window_size: list[int],
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        stochastic_depth_prob: float = 0.1,
        num_classes: int = 1000,
        norm_layer: Callable[..., nn.Module] | None = None,
        block: Callable[..., nn.Module] | None = None,
        downsample_layer: Callable[..., nn.Module] = PatchMerging,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        block, norm_layer = block or SwinTransformerBlock, norm_layer or partial(nn.LayerNorm)
        patch = patch_size[0], patch_size[1]
        stem = nn.Conv2d(3, embed_dim, kernel_size=patch, stride=patch)
        layers: list[nn.Module] = [
            nn.Sequential(stem, Permute([0, 2, 3, 1]), norm_layer(embed_dim))
        ]
        total, done = sum(depths), 0
        for stage, depth in enumerate(depths):
            dim, blocks = embed_dim * 2**stage, []
            for i in range(depth):
                blocks.append(
                    block(
                        dim,
                        num_heads[stage],
                        window_size=window_size,
                        shift_size=[w // 2 if i % 2 else 0 for w in window_size],
                        mlp_ratio=mlp_ratio,
                        dropout=dropout,
                        attention_dropout=attention_dropout,
                        stochastic_depth_prob=stochastic_depth_prob * float(done) / (total - 1),
                        norm_layer=norm_layer,
                    )
                )
                done += 1
            layers.append(nn.Sequential(*blocks))
            if stage < len(depths) - 1:
                layers.append(downsample_layer(dim, norm_layer))
        self.features = nn.Sequential(*layers)
        features = embed_dim * 2 ** (len(depths) - 1)
        self.norm = norm_layer(features)
        self.permute = Permute([0, 3, 1, 2])
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten(1)
        self.head = nn.Linear(features, num_classes)
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.trunc_normal_(m.weight, std=0.02)
                if m.bias is not None:
                    nn.init.zeros_(m.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.permute(self.norm(self.features(x)))
        out: Tensor = self.head(self.flatten(self.avgpool(x)))
        return out


def _builder(name: str, dim: int, heads: int, depth: int, chance: float) -> Any:
    def build(**kwargs: Any) -> SwinTransformer:
        window = 7
        if "v2" in name:
            window = 8
            kwargs = {"block": SwinTransformerBlockV2, "downsample_layer": PatchMergingV2, **kwargs}
        return SwinTransformer(
            patch_size=[4, 4],
            embed_dim=dim,
            depths=[2, 2, depth, 2],
            num_heads=[heads, 2 * heads, 4 * heads, 8 * heads],
            window_size=[window, window],
            stochastic_depth_prob=kwargs.pop("stochastic_depth_prob", chance),
            **kwargs,
        )

    build.__name__ = build.__qualname__ = f"swin_{name}"
    build.__doc__ = f"Swin transformer of {depth + 6} blocks, {dim} features in the first stage."
    return model(build)


swin_t, swin_v2_t = (_builder(name, 96, 3, 6, 0.2) for name in ("t", "v2_t"))
swin_s, swin_v2_s = (_builder(name, 96, 3, 18, 0.3) for name in ("s", "v2_s"))
swin_b, swin_v2_b = (_builder(name, 128, 4, 18, 0.5) for name in ("b", "v2_b"))
