"""Transformers: attention and a small network in each layer, around both a residual connection and
a normalisation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from rushlight import dtypes, tensor_api as T
from rushlight.core.state import is_grad_enabled, modes
from rushlight.core.tensor import Tensor
from rushlight.errors import warn_user
from rushlight.nn import functional as F
from rushlight.nn.init import xavier_uniform_
from rushlight.nn.modules.attention import MultiheadAttention, warn_of_other_type
from rushlight.nn.modules.container import ModuleList
from rushlight.nn.modules.dropout import Dropout
from rushlight.nn.modules.linear import Linear
from rushlight.nn.modules.module import Module
from rushlight.nn.modules.normalization import LayerNorm

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]

# What the masks mean, in all of these classes: True, or -inf, where one must not look. A mask of
# places is (L, S) or (N heads, L, S); a key padding mask is (N, S). is_causal is a hint that the
# mask is the causal one; the mask is still needed.


def _square_subsequent_mask(size: int, device: Any = None, dtype: Any = None) -> Tensor:
    blocked = T.full((size, size), float("-inf"), dtype=dtype, device=device)
    return T.triu(blocked, diagonal=1)


def _is_causal(mask: Tensor | None, is_causal: bool | None) -> bool:
    """Whether the mask is the causal one; the caller may say so."""
    if is_causal is not None or mask is None or modes.trace is not None:
        return bool(is_causal)  # a trace cannot look at the mask; which is used in any case
    if mask.size(-1) != mask.size(-2):
        return False
    causal = _square_subsequent_mask(mask.size(-1), mask.device, dtypes.get_default_dtype())
    if mask.dtype == dtypes.by_name["bool"]:
        causal = causal != 0
    return bool((mask == causal).all())


def _additive(mask: Tensor | None, like: Tensor) -> Tensor | None:
    """A bool mask as numbers to add; numbers stay as they are."""
    if mask is None or mask.is_floating_point():
        return mask
    if mask.dtype != dtypes.by_name["bool"]:
        raise AssertionError("only bool and floating types of attn_mask are supported")
    return T.zeros_like(mask, dtype=like.dtype).masked_fill_(mask, float("-inf"))


def _get_activation_fn(activation: Any) -> Any:
    if not isinstance(activation, str):
        return activation
    functions = {"relu": F.relu, "gelu": F.gelu}
    if activation not in functions:
        raise RuntimeError(f"activation should be relu/gelu, not {activation}")
    return functions[activation]


def _get_clones(module: Module, count: int) -> ModuleList:
    return ModuleList([copy.deepcopy(module) for _ in range(count)])


class Transformer(Module):
    """Encoder and decoder: from a source sequence to a target sequence.

    Args:
        d_model: features of both sequences.
        nhead: heads in each attention; divides d_model.
        num_encoder_layers: layers of the encoder.
        num_decoder_layers: layers of the decoder.
        dim_feedforward: size of the hidden layer in each layer's small network.
        dropout: probability of dropping, in [0, 1].
        activation: of the small networks: "relu", "gelu" or a function.
        custom_encoder: used in place of the encoder.
        custom_decoder: used in place of the decoder.
        layer_norm_eps: of the normalisations.
        batch_first: (batch, time, feature) instead of (time, batch, feature).
        norm_first: normalise before attention and small network, not after.
        bias: whether layers and normalisations have biases.
        device: where the parameters are.
        dtype: their element type.

    Shape: source ``(S, N, E)``, target ``(T, N, E)`` -> ``(T, N, E)``, or all without N.

    Example:
        >>> net = nn.Transformer(8, 2, 1, 1, dim_feedforward=16, batch_first=True)
        >>> net(torch.zeros(3, 5, 8), torch.zeros(3, 4, 8)).shape
        torch.Size([3, 4, 8])

    Reference: Vaswani et al., 2017, arXiv:1706.03762.
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = F.relu,
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        sizes = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps)
        options = (batch_first, norm_first, bias, device, dtype)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, eps=layer_norm_eps, bias=bias, device=device, dtype=dtype)

        if custom_encoder is not None:
            self.encoder = custom_encoder
        else:
            layer = TransformerEncoderLayer(*sizes, *options)
            self.encoder = TransformerEncoder(layer, num_encoder_layers, norm())
        if custom_decoder is not None:
            self.decoder = custom_decoder
        else:
            decoder_layer = TransformerDecoderLayer(*sizes, *options)
            self.decoder = TransformerDecoder(decoder_layer, num_decoder_layers, norm())
        self._reset_parameters()
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        batch = 0 if self.batch_first else 1
        if src.dim() == 3 and src.size(batch) != tgt.size(batch):
            raise RuntimeError(
                "the batch number of src and tgt must be equal: "
                f"they are {tuple(src.shape)} and {tuple(tgt.shape)}"
            )
        if src.size(-1) != self.d_model or tgt.size(-1) != self.d_model:
            raise RuntimeError(
                "the feature number of src and tgt must be equal to d_model: "
                f"they are {tuple(src.shape)} and {tuple(tgt.shape)}, and d_model is {self.d_model}"
            )
        memory = self.encoder(
            src,
            mask=src_mask,
            src_key_padding_mask=src_key_padding_mask,
            is_causal=src_is_causal,
        )
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """The causal mask: ``-inf`` above the diagonal of a (sz, sz) matrix, else 0."""
        return _square_subsequent_mask(sz, device, dtype)

    def _reset_parameters(self) -> None:
        for parameter in self.parameters():
            if parameter.dim() > 1:
                xavier_uniform_(parameter)


class TransformerEncoder(Module):
    """Copies of one encoder layer on top of each other.

    In evaluation without gradients, padded places of the output are 0 when the layers allow it, as
    in PyTorch.

    Args:
        encoder_layer: the layer, which is copied.
        num_layers: how many.
        norm: applied to the output.
        enable_nested_tensor: whether padded places may be left out.
        mask_check: accepted; PyTorch's check of that.

    Example:
        >>> layer = nn.TransformerEncoderLayer(8, nhead=2, batch_first=True)
        >>> nn.TransformerEncoder(layer, num_layers=2)(torch.randn(3, 5, 8)).shape
        torch.Size([3, 5, 8])
    """

    def __init__(
        self,
        encoder_layer: TransformerEncoderLayer,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _get_clones(encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm
        self.enable_nested_tensor = enable_nested_tensor
        self.use_nested_tensor = enable_nested_tensor
        self.mask_check = mask_check
        obstacle = _obstacle_to_leaving_out(encoder_layer)
        if enable_nested_tensor and obstacle:
            warn_user(
                "enable_nested_tensor is True, but self.use_nested_tensor is False because "
                + obstacle
            )
            self.use_nested_tensor = False

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        warn_of_other_type("src_key_padding_mask", src_key_padding_mask, "mask", mask)
        padding = _additive(src_key_padding_mask, src)
        mask = _additive(mask, src)
        causal = _is_causal(mask, is_causal)
        output = src
        for layer in self.layers:
            output = layer(output, src_mask=mask, is_causal=causal, src_key_padding_mask=padding)
        if padding is not None and mask is None and self._leaves_out(src, padding):
            output = output.masked_fill((padding != 0).unsqueeze(-1), 0.0)
        return output if self.norm is None else self.norm(output)

    def _leaves_out(self, src: Tensor, padding: Tensor) -> bool:
        """Whether PyTorch would compute without the padded places, which are 0 afterwards."""
        if not getattr(self, "use_nested_tensor", False) or self.training or src.dim() != 3:
            return False
        if is_grad_enabled() and (
            src.requires_grad or any(p.requires_grad for p in self.parameters())
        ):
            return False
        kept = (padding == 0).to(dtypes.by_name["int64"])
        return bool((kept[:, 1:] <= kept[:, :-1]).all())  # padding at the end only


def _obstacle_to_leaving_out(layer: Any) -> str | None:
    """Why padded places cannot be left out in this layer, in the words that PyTorch's warning
    uses."""
    if not isinstance(layer, TransformerEncoderLayer):
        return "encoder_layer was not TransformerEncoderLayer"
    attention = layer.self_attn
    obstacles = {
        "encoder_layer.norm_first was True": layer.norm_first,
        "encoder_layer.self_attn.batch_first was not True"
        "(use batch_first for better inference performance)": not attention.batch_first,
        "encoder_layer.self_attn was passed bias=False": attention.in_proj_bias is None,
        "encoder_layer.activation_relu_or_gelu was not True": not layer.activation_relu_or_gelu,
        "encoder_layer.norm1.eps was not equal to encoder_layer.norm2.eps": layer.norm1.eps
        != layer.norm2.eps,
        "encoder_layer.self_attn.num_heads is odd": attention.num_heads % 2 == 1,
    }
    return next((words for words, true in obstacles.items() if true), None)


class TransformerDecoder(Module):
    """Copies of one decoder layer on top of each other.

    Args:
        decoder_layer: the layer, which is copied.
        num_layers: how many.
        norm: applied to the output.

    Example:
        >>> layer = nn.TransformerDecoderLayer(8, nhead=2, batch_first=True)
        >>> net = nn.TransformerDecoder(layer, num_layers=2)
        >>> net(torch.randn(3, 4, 8), torch.randn(3, 5, 8)).shape
        torch.Size([3, 4, 8])
    """

    def __init__(
        self, decoder_layer: TransformerDecoderLayer, num_layers: int, norm: Module | None = None
    ) -> None:
        super().__init__()
        self.layers = _get_clones(decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        causal = _is_causal(tgt_mask, tgt_is_causal)
        output = tgt
        for layer in self.layers:
            output = layer(
                output,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=causal,
                memory_is_causal=memory_is_causal,
            )
        return output if self.norm is None else self.norm(output)


class TransformerEncoderLayer(Module):
    """Self-attention, then a small network at each place.

        x = norm1(x + dropout1(attention(x)))
        x = norm2(x + dropout2(W2 dropout(activation(W1 x))))

    With norm_first it is ``x + ...(norm(x))``.

    Args:
        d_model: features.
        nhead: heads; divides d_model.
        dim_feedforward: size of the small network's hidden layer.
        dropout: probability of dropping, in [0, 1].
        activation: of the small network: "relu", "gelu" or a function.
        layer_norm_eps: of the normalisations.
        batch_first: (batch, time, feature) instead of (time, batch, feature).
        norm_first: normalise before attention and small network, not after.
        bias: whether layers and normalisations have biases.
        device: where the parameters are.
        dtype: their element type.

    Shape: ``(S, N, E)`` or ``(S, E)``, the same out.

    Example:
        >>> nn.TransformerEncoderLayer(8, nhead=2, batch_first=True)(torch.randn(3, 5, 8)).shape
        torch.Size([3, 5, 8])
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        factory: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout=dropout, batch_first=batch_first, **factory
        )
        self.linear1 = Linear(d_model, dim_feedforward, **factory)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **factory)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, **factory)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, **factory)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = _get_activation_fn(activation)
        known = {F.relu: 1, F.gelu: 2}
        self.activation_relu_or_gelu = known.get(self.activation, 0)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if not hasattr(self, "activation"):
            self.activation = F.relu

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        warn_of_other_type("src_key_padding_mask", src_key_padding_mask, "src_mask", src_mask)
        padding = _additive(src_key_padding_mask, src)
        mask = _additive(src_mask, src)
        x = src
        if self.norm_first:
            x = x + self._sa_block(self.norm1(x), mask, padding, is_causal)
            return x + self._ff_block(self.norm2(x))
        x = self.norm1(x + self._sa_block(x, mask, padding, is_causal))
        return self.norm2(x + self._ff_block(x))

    def _sa_block(
        self, x: Tensor, attn_mask: Tensor | None, padding: Tensor | None, is_causal: bool = False
    ) -> Tensor:
        x, _ = self.self_attn(
            x,
            x,
            x,
            attn_mask=attn_mask,
            key_padding_mask=padding,
            need_weights=False,
            is_causal=is_causal,
        )
        return self.dropout1(x)

    def _ff_block(self, x: Tensor) -> Tensor:
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))


class TransformerDecoderLayer(Module):
    """Self-attention, attention to what the encoder made of the source, then a small network at
    each place.

        x = norm1(x + dropout1(attention(x)))
        x = norm2(x + dropout2(attention(x, memory)))
        x = norm3(x + dropout3(W2 dropout(activation(W1 x))))

    With norm_first it is ``x + ...(norm(x))``. Arguments as `TransformerEncoderLayer`.

    Shape: target ``(T, N, E)``, memory ``(S, N, E)`` -> ``(T, N, E)``, or all without N.

    Example:
        >>> layer = nn.TransformerDecoderLayer(8, nhead=2, batch_first=True)
        >>> layer(torch.randn(3, 4, 8), torch.randn(3, 5, 8)).shape
        torch.Size([3, 4, 8])
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        factory: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout=dropout, batch_first=batch_first, **factory
        )
        self.multihead_attn = MultiheadAttention(
            d_model, nhead, dropout=dropout, batch_first=batch_first, **factory
        )
        self.linear1 = Linear(d_model, dim_feedforward, **factory)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **factory)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, **factory)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, **factory)
        self.norm3 = LayerNorm(d_model, eps=layer_norm_eps, **factory)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)
        self.activation = _get_activation_fn(activation)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if not hasattr(self, "activation"):
            self.activation = F.relu

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        own = (tgt_mask, tgt_key_padding_mask, tgt_is_causal)
        other = (memory, memory_mask, memory_key_padding_mask, memory_is_causal)
        x = tgt
        if self.norm_first:
            x = x + self._sa_block(self.norm1(x), *own)
            x = x + self._mha_block(self.norm2(x), *other)
            return x + self._ff_block(self.norm3(x))
        x = self.norm1(x + self._sa_block(x, *own))
        x = self.norm2(x + self._mha_block(x, *other))
        return self.norm3(x + self._ff_block(x))

    def _sa_block(
        self, x: Tensor, attn_mask: Tensor | None, padding: Tensor | None, is_causal: bool = False
    ) -> Tensor:
        x, _ = self.self_attn(
            x,
            x,
            x,
            attn_mask=attn_mask,
            key_padding_mask=padding,
            is_causal=is_causal,
            need_weights=False,
        )
        return self.dropout1(x)

    def _mha_block(
        self,
        x: Tensor,
        mem: Tensor,
        attn_mask: Tensor | None,
        padding: Tensor | None,
        is_causal: bool = False,
    ) -> Tensor:
        x, _ = self.multihead_attn(
            x,
            mem,
            mem,
            attn_mask=attn_mask,
            key_padding_mask=padding,
            is_causal=is_causal,
            need_weights=False,
        )
        return self.dropout2(x)

    def _ff_block(self, x: Tensor) -> Tensor:
        return self.dropout3(self.linear2(self.dropout(self.activation(self.linear1(x)))))
