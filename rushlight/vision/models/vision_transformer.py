"""Vision transformers: images as sequences of patches."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from rushlight import fx, nn, tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.vision.models.registry import model
from rushlight.vision.ops import MLP, Conv2dNormActivation

__all__ = [
    "ConvStemConfig",
    "VisionTransformer",
    "vit_b_16",
    "vit_b_32",
    "vit_h_14",
    "vit_l_16",
    "vit_l_32",
]


class ConvStemConfig(NamedTuple):
    """One convolution of a stem, with what normalises its output and the activation."""

    out_channels: int
    kernel_size: int
    stride: int
    norm_layer: Callable[..., nn.Module] = nn.BatchNorm2d
    activation_layer: Callable[..., nn.Module] = nn.ReLU


class MLPBlock(MLP):
    """The two linear layers of an encoder block."""

    def __init__(self, in_dim: int, mlp_dim: int, dropout: float) -> None:
        super().__init__(
            in_dim, [mlp_dim, in_dim], activation_layer=nn.GELU, inplace=None, dropout=dropout
        )
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.xavier_uniform_(m.weight)
                if m.bias is not None:
                    nn.init.normal_(m.bias, std=1e-6)


class EncoderBlock(nn.Module):
    """Attention and two linear layers, each normalised before and beside the identity."""

    def __init__(
        self,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
        norm_layer: Callable[..., nn.Module],
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.ln_1 = norm_layer(hidden_dim)
        self.self_attention = nn.MultiheadAttention(
            hidden_dim, num_heads, dropout=attention_dropout, batch_first=True
        )
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = norm_layer(hidden_dim)
        self.mlp = MLPBlock(hidden_dim, mlp_dim, dropout)

    def forward(self, input: Tensor) -> Tensor:
        x = self.ln_1(input)
        x, _ = self.self_attention(x, x, x, need_weights=False)
        x = self.dropout(x) + input
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class Encoder(nn.Module):
    """Positions are added, then blocks applied. Shape: ``(N, length, hidden) -> same``."""

    def __init__(
        self,
        seq_length: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
        norm_layer: Callable[..., nn.Module],
    ) -> None:
        super().__init__()
        positions = T.empty(1, seq_length, hidden_dim).normal_(std=0.02)
        self.pos_embedding = nn.Parameter(positions)
        self.dropout = nn.Dropout(dropout)
        sizes = num_heads, hidden_dim, mlp_dim, dropout, attention_dropout, norm_layer
        self.layers = nn.Sequential(
            OrderedDict((f"encoder_layer_{i}", EncoderBlock(*sizes)) for i in range(num_layers))
        )
        self.ln = norm_layer(hidden_dim)

    def forward(self, input: Tensor) -> Tensor:
        out: Tensor = self.ln(self.layers(self.dropout(input + self.pos_embedding)))
        return out


class VisionTransformer(nn.Module):
    """A transformer encoder of patches, with a class token in front. Shape:
    ``(N, 3, image_size, image_size) -> (N, num_classes)``.

    Args:
        image_size: height and width, in pixels.
        patch_size: of a patch, in pixels; divides ``image_size``.
        num_layers: encoder blocks.
        num_heads: of the attention.
        hidden_dim: features of each token.
        mlp_dim: features between the two linear layers of a block.
        dropout: probability of zeroing a feature.
        attention_dropout: likewise an attention weight.
        num_classes: size of the output.
        representation_size: features of one more layer before the output; None for none.
        norm_layer: what makes a normalisation of so many features.
        conv_stem_configs: convolutions that make the patches, one after another, in place of one
            with patches for windows; their strides multiply to ``patch_size``.

    References: Dosovitskiy et al., 2021, arXiv:2010.11929; for stems Xiao et al., 2021,
    arXiv:2106.14881.
    """

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        num_classes: int = 1000,
        representation_size: int | None = None,
        norm_layer: Callable[..., nn.Module] = partial(nn.LayerNorm, eps=1e-6),  # noqa: B008
        conv_stem_configs: list[ConvStemConfig] | None = None,
    ) -> None:
        super().__init__()
        if image_size % patch_size:
            raise AssertionError("Input shape indivisible by patch size!")
        self.image_size, self.patch_size = image_size, patch_size
        self.hidden_dim, self.mlp_dim = hidden_dim, mlp_dim
        self.attention_dropout, self.dropout = attention_dropout, dropout
        self.num_classes, self.representation_size = num_classes, representation_size
        self.norm_layer = norm_layer
        self.conv_proj: nn.Module
        if conv_stem_configs is None:
            self.conv_proj = nn.Conv2d(3, hidden_dim, kernel_size=patch_size, stride=patch_size)
        else:
            self.conv_proj = _stem(conv_stem_configs, hidden_dim)
        self.seq_length = (image_size // patch_size) ** 2 + 1
        self.class_token = nn.Parameter(T.zeros(1, 1, hidden_dim))
        self.encoder = Encoder(
            self.seq_length,
            num_layers,
            num_heads,
            hidden_dim,
            mlp_dim,
            dropout,
            attention_dropout,
            norm_layer,
        )
        heads: OrderedDict[str, nn.Module] = OrderedDict()
        if representation_size is None:
            heads["head"] = nn.Linear(hidden_dim, num_classes)
        else:
            heads["pre_logits"] = nn.Linear(hidden_dim, representation_size)
            heads["act"] = nn.Tanh()
            heads["head"] = nn.Linear(representation_size, num_classes)
        self.heads = nn.Sequential(heads)
        self._initialise()

    def _initialise(self) -> None:
        """Patches by their fan-in, of a stem by its fan-out; the output starts at zero."""
        last: Any = self.conv_proj
        if isinstance(last, nn.Conv2d):
            fan_in = last.in_channels * self.patch_size**2
            nn.init.trunc_normal_(last.weight, std=math.sqrt(1 / fan_in))
        else:
            last = last.conv_last
            nn.init.normal_(last.weight, std=math.sqrt(2 / last.out_channels))
        if last.bias is not None:
            nn.init.zeros_(last.bias)
        before, head = getattr(self.heads, "pre_logits", None), self.heads.head
        if before is not None:
            nn.init.trunc_normal_(before.weight, std=math.sqrt(1 / before.in_features))
            nn.init.zeros_(before.bias)
        nn.init.zeros_(head.weight)  # type: ignore[arg-type]
        nn.init.zeros_(head.bias)  # type: ignore[arg-type]

    def _process_input(self, x: Tensor) -> Tensor:
        """The patches, which programs look at by this name."""
        _check_size(x.shape[2], x.shape[3], self.image_size)
        patches: Tensor = self.conv_proj(x).flatten(2).permute(0, 2, 1)  # (N, patches, hidden)
        return patches

    def forward(self, x: Tensor) -> Tensor:
        patches = self._process_input(x)
        tokens = T.cat([self.class_token.expand(x.shape[0], -1, -1), patches], 1)
        out: Tensor = self.heads(self.encoder(tokens)[:, 0])
        return out


def _stem(configs: list[ConvStemConfig], hidden_dim: int) -> nn.Sequential:
    """Convolutions, and one of single pixels that gives the hidden features."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 3
    for i, c in enumerate(configs):
        layers[f"conv_bn_relu_{i}"] = Conv2dNormActivation(
            channels,
            c.out_channels,
            c.kernel_size,
            c.stride,
            norm_layer=c.norm_layer,
            activation_layer=c.activation_layer,
        )
        channels = c.out_channels
    layers["conv_last"] = nn.Conv2d(channels, hidden_dim, 1)
    return nn.Sequential(layers)


@fx.wrap
def _check_size(height: int, width: int, expected: int) -> None:
    for name, size in (("height", height), ("width", width)):
        if size != expected:
            raise AssertionError(f"Wrong image {name}! Expected {expected} but got {size}!")


def _builder(size: str, patch: int, layers: int, heads: int, hidden: int) -> Any:
    def build(**kwargs: Any) -> VisionTransformer:
        sizes = patch, layers, heads, hidden, 4 * hidden
        return VisionTransformer(kwargs.pop("image_size", 224), *sizes, **kwargs)

    build.__name__ = build.__qualname__ = f"vit_{size}_{patch}"
    build.__doc__ = f"Vision transformer of {layers} layers, {hidden} features, {patch}x{patch}."
    return model(build)


vit_b_16, vit_b_32 = (_builder("b", patch, 12, 12, 768) for patch in (16, 32))
vit_l_16, vit_l_32 = (_builder("l", patch, 24, 16, 1024) for patch in (16, 32))
vit_h_14 = _builder("h", 14, 32, 16, 1280)
