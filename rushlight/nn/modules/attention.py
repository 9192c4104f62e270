"""Multi-head attention."""

from __future__ import annotations

from typing import Any

from rushlight import dtypes, tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.errors import warn_user
from rushlight.nn import functional as F
from rushlight.nn.init import constant_, xavier_normal_, xavier_uniform_
from rushlight.nn.modules.linear import NonDynamicallyQuantizableLinear
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter

__all__ = ["MultiheadAttention"]


def warn_of_other_type(name: str, padding: Tensor | None, other: str, mask: Tensor | None) -> None:
    """Warn of two masks one of which is of bools, the other of numbers."""
    if padding is not None and mask is not None and padding.dtype != mask.dtype:
        warn_user(f"Support for mismatched {name} and {other} is deprecated. Use one dtype.")


class MultiheadAttention(Module):
    """Several attentions at once: each head looks with its own projections of query, key and value.

        head_i = softmax(q_i k_i^T / sqrt(head_dim)) v_i
        out = concat(head_1, ..., head_h) W_o + b_o

    Args:
        embed_dim: size of the embedding, over all heads.
        num_heads: how many; divides embed_dim.
        dropout: probability of dropping an attention weight in training.
        bias: whether the projections have biases.
        add_bias_kv: append one learnt key and value.
        add_zero_attn: append a key and value of zeros.
        kdim: size of the keys; embed_dim unless given.
        vdim: size of the values; embed_dim unless given.
        batch_first: (batch, sequence, feature) instead of (sequence, batch, feature).
        device: where the parameters are.
        dtype: their element type.

    Shape: query ``(L, N, E)``, key ``(S, N, kdim)``, value ``(S, N, vdim)`` -> output ``(L, N, E)``
    and weights ``(N, L, S)``, or ``(N, heads, L, S)`` when not averaged; all without N for a single
    example.

    Example:
        >>> attention = nn.MultiheadAttention(8, 2, batch_first=True)
        >>> x = torch.zeros(3, 5, 8)
        >>> out, weights = attention(x, x, x)
        >>> out.shape, weights.shape
        (torch.Size([3, 5, 8]), torch.Size([3, 5, 5]))

    Reference: Vaswani et al., 2017, arXiv:1706.03762.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                "embed_dim and num_heads must be greater than 0,"
                f" got embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        super().__init__()
        self.embed_dim = embed_dim
        self.kdim = kdim if kdim is not None else embed_dim
        self.vdim = vdim if vdim is not None else embed_dim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            raise AssertionError(
                f"embed_dim must be divisible by num_heads, got {embed_dim} and {num_heads}"
            )
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self._make_projections(factory)
        if bias:
            self.in_proj_bias = Parameter(T.empty(3 * embed_dim, **factory))
        else:
            self.register_parameter("in_proj_bias", None)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias=bias, **factory)
        if add_bias_kv:
            self.bias_k = Parameter(T.empty((1, 1, embed_dim), **factory))
            self.bias_v = Parameter(T.empty((1, 1, embed_dim), **factory))
        else:
            self.bias_k = self.bias_v = None
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _make_projections(self, factory: dict[str, Any]) -> None:
        """One joint weight when query, key and value are of one size, else one each."""
        E = self.embed_dim
        separate = {"q_proj_weight": E, "k_proj_weight": self.kdim, "v_proj_weight": self.vdim}
        if self._qkv_same_embed_dim:
            self.in_proj_weight = Parameter(T.empty((3 * E, E), **factory))
            for name in separate:
                self.register_parameter(name, None)
        else:
            for name, size in separate.items():
                setattr(self, name, Parameter(T.empty((E, size), **factory)))
            self.register_parameter("in_proj_weight", None)

    def _reset_parameters(self) -> None:
        if self._qkv_same_embed_dim:
            xavier_uniform_(self.in_proj_weight)
        else:
            for weight in (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
                xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            constant_(self.in_proj_bias, 0.0)
            constant_(self.out_proj.bias, 0.0)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                xavier_normal_(bias)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({"_qkv_same_embed_dim": True, **state})

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend; see the class for shapes.

        Args:
            query: what looks.
            key: what it is compared with.
            value: what is mixed.
            key_padding_mask: (N, S); True, or a number to add, where a key is to be left out.
            need_weights: return the weights too.
            attn_mask: (L, S) or (N heads, L, S); True, or a number to add, where a place is not to
                be looked at.
            average_attn_weights: return the weights' mean over heads.
            is_causal: a hint that attn_mask is the causal mask.
        """
        key_padding_mask, attn_mask = self._canonical_masks(query, key_padding_mask, attn_mask)
        swap = self.batch_first and query.dim() == 3
        if swap:
            query, key, value = self._swapped(query, key, value)
        out, weights = F.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=not self._qkv_same_embed_dim,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return (out.transpose(1, 0) if swap else out), weights

    @staticmethod
    def _swapped(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Sequence first. What was one tensor stays one, which lets the projections be made in one
        product."""
        same_value, same_key = value is key, key is query
        query = query.transpose(1, 0)
        key = query if same_key else key.transpose(1, 0)
        return query, key, (key if same_value else value.transpose(1, 0))

    @staticmethod
    def _canonical_masks(query: Tensor, padding: Tensor | None, mask: Tensor | None) -> Any:
        """Bool masks as numbers to add: -inf where True."""
        warn_of_other_type("key_padding_mask", padding, "attn_mask", mask)
        both = {"key_padding_mask": padding, "attn_mask": mask}
        for name, given in both.items():
            if given is None:
                continue
            if given.dtype == dtypes.by_name["bool"]:
                zeros = T.zeros_like(given, dtype=query.dtype)
                both[name] = zeros.masked_fill_(given, float("-inf"))
            elif not given.is_floating_point():
                raise AssertionError(
                    f"MultiheadAttention: {name} is {given.dtype}; it must be bool or floating "
                    "point"
                )
        return both["key_padding_mask"], both["attn_mask"]

    def merge_masks(
        self, attn_mask: Tensor | None, key_padding_mask: Tensor | None, query: Tensor
    ) -> tuple[Tensor | None, int | None]:
        """Return one mask and its type: 0 attn_mask, 1 key_padding_mask, 2 both joined, None
        none."""
        if attn_mask is not None and key_padding_mask is not None:
            N, L = query.shape[:2]
            mask = attn_mask if attn_mask.dim() == 3 else attn_mask.view(1, 1, L, L)
            mask = mask.view(N, -1, L, L).expand(N, self.num_heads, -1, -1)
            padding = key_padding_mask.view(N, 1, 1, L).expand(-1, self.num_heads, -1, -1)
            return mask + padding, 2
        if key_padding_mask is not None:
            return key_padding_mask, 1
        return attn_mask, None if attn_mask is None else 0
