"""Attention."""

from __future__ import annotations

import math
from typing import Any

from rushlight import dtypes, tensor_api as T
from rushlight.core.autocast import lower_dtype
from rushlight.core.autograd import known_as
from rushlight.core.tensor import Tensor, expect_tensors
from rushlight.errors import ShapeError, warn_user
from rushlight.nn.functional.dropout import dropout
from rushlight.nn.functional.linear import linear
from rushlight.nn.functional.padding import constant_pad_nd
from rushlight.ops.attention import Attention, tensor_weights
from rushlight.tensor_api._common import scalar

__all__ = ["scaled_dot_product_attention", "multi_head_attention_forward"]


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """``softmax(q k^T scale + mask) v``.

    Args:
        query: ``(N, *, L, E)``.
        key: ``(N, *, S, E)``.
        value: ``(N, *, S, V)``.
        attn_mask: ``(N, *, L, S)``, broadcast: bool, True where a position may be looked at; or
            floats, which are added.
        dropout_p: probability of dropping a weight. It applies whenever it is above 0, also in
            evaluation.
        is_causal: position i looks at positions up to i only; not together with attn_mask.
        scale: factor of the products; the default is ``1 / sqrt(E)``.
        enable_gqa: key and value have fewer heads (dim -3), each of which serves several of the
            query's.

    Shape: result ``(N, *, L, V)``.

    Raises:
        RuntimeError: there is a mask, and is_causal.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x = torch.eye(2)[None]  # two positions
        >>> F.scaled_dot_product_attention(x, x, x, is_causal=True, scale=100.0)
        tensor([[[1.0000e+00, 0.0000e+00],
                 [3.7835e-44, 1.0000e+00]]])

    Reference: Vaswani et al., 2017, arXiv:1706.03762.
    """
    check_attention(query, key, value, attn_mask, is_causal)
    scale = scalar(scale, "scale")
    if scale is None:
        scale = 1 / math.sqrt(query._array.shape[-1]) if query._array.shape[-1] else math.inf
    if enable_gqa:
        key = key.repeat_interleave(query._array.shape[-3] // key._array.shape[-3], -3)
        value = value.repeat_interleave(query._array.shape[-3] // value._array.shape[-3], -3)
    if not dropout_p:
        out = Attention.bind(query, key, value, attn_mask, scale=scale, is_causal=is_causal)
        if query._array.ndim != 4:
            return known_as("UnsafeViewBackward0", out)
        return heads_inside(out) if split_in_heads(query._array) else out
    return T.matmul(
        dropout(tensor_weights(query, key, attn_mask, scale, is_causal), dropout_p), value
    )


def check_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, is_causal: bool
) -> None:
    """Refuse what scaled_dot_product_attention cannot take."""
    expect_tensors("scaled_dot_product_attention", query, key, value)
    q, k, v = query._array.shape, key._array.shape, value._array.shape
    if min(len(q), len(k), len(v)) < 2:
        raise ShapeError(
            "scaled_dot_product_attention: Expected query, key, and value to all be at least 2"
            f" dimensional, but their shapes are {q}, {k} and {v}."
        )
    if q[-1] != k[-1]:
        raise ShapeError(
            "scaled_dot_product_attention: query and key must have one embedding size, their last,"
            f" but have shapes {q} and {k}."
        )
    if k[-2] != v[-2]:
        raise ShapeError(
            "scaled_dot_product_attention: key and value must be as long (dim -2), but have shapes"
            f" {k} and {v}."
        )
    if mask is not None and is_causal:
        raise RuntimeError(
            "scaled_dot_product_attention: Explicit attn_mask should not be set when"
            " is_causal=True."
        )
    d = query._array.dtype
    alike = d is key._array.dtype is value._array.dtype
    if not alike and lower_dtype(query) is None:
        names = [dtypes.of[t._array.dtype].name for t in (query, key, value)]
        raise RuntimeError(
            "scaled_dot_product_attention: Expected query, key, and value to have the same dtype,"
            f" but got {', '.join(names)}."
        )
    if d not in dtypes.FLOATING_TYPES:
        raise NotImplementedError(
            f"scaled_dot_product_attention: not implemented for {dtypes.of[d].name}; softmax needs"
            " floats."
        )
    if mask is not None and mask._array.dtype not in (dtypes.bool_, d, dtypes.float32):
        raise RuntimeError(
            "scaled_dot_product_attention: Expected attn_mask dtype to be bool or float or to"
            f" match query dtype, but got {dtypes.of[mask._array.dtype].name}."
        )


def split_in_heads(x: Any) -> bool:
    """Whether array x, ``(N, heads, L, E)``, has the heads of a position side by side in memory: so
    do queries that are the heads of longer vectors, and then, in torch, results.
    """
    return x.ndim == 4 and x.strides[1] < x.strides[2] and not x.flags.c_contiguous


def heads_inside(x: Tensor) -> Tensor:
    """x in the order of ``split_in_heads``: joining its heads copies nothing."""
    return x.transpose(1, 2).contiguous().transpose(1, 2)


def additive(
    mask: Tensor | None, name: str, d: Any, other: Tensor | None = None, check: bool = True
) -> Tensor | None:
    """A mask as floats to add: minus infinity where a bool mask is True."""
    if mask is None:
        return None
    kind = mask._array.dtype
    if kind != dtypes.bool_ and kind not in dtypes.FLOATING_TYPES:
        raise AssertionError(f"only bool and floating types of {name} are supported")
    if check and other is not None and other._array.dtype != kind:
        warn_user(
            f"Support for mismatched {name} and the other mask's dtype is deprecated. Use same type"
            " for both instead."
        )
    if kind != dtypes.bool_:
        return mask
    return T.zeros_like(mask, dtype=dtypes.of[d]).masked_fill_(mask, float("-inf"))


def check_shapes(
    query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Any, attn_mask: Any, heads: int
) -> bool:
    """Refuse shapes that do not go together; whether there is a batch dim."""
    n = query._array.ndim
    if n not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {n}-D query tensor"
        )
    if key._array.ndim != n or value._array.ndim != n:
        raise AssertionError(
            f"For {'batched' if n == 3 else 'unbatched'} ({n}-D) `query`, expected `key` and"
            f" `value` to be {n}-D but found {key._array.ndim}-D and {value._array.ndim}-D tensors"
            " respectively"
        )
    if key_padding_mask is not None and key_padding_mask._array.ndim != n - 1:
        raise AssertionError(
            f"For {'batched' if n == 3 else 'unbatched'} ({n}-D) `query`, expected"
            f" `key_padding_mask` to be `None` or {n - 1}-D but found"
            f" {key_padding_mask._array.ndim}-D tensor instead"
        )
    if attn_mask is not None:
        if attn_mask._array.ndim not in (2, 3):
            raise AssertionError(
                f"expected `attn_mask` to be `None`, 2-D or 3-D but found {attn_mask._array.ndim}-D"
                " tensor instead"
            )
        if n == 2 and attn_mask._array.ndim == 3:
            expected = (heads, query._array.shape[0], key._array.shape[0])
            if tuple(attn_mask._array.shape) != expected:
                raise AssertionError(
                    f"Expected `attn_mask` shape to be {expected} but got"
                    f" {tuple(attn_mask._array.shape)}"
                )
    return n == 3


def project(
    q: Tensor, k: Tensor, v: Tensor, weight: Tensor | None, bias: Tensor | None, separate: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value after their linear maps, whose weights are one under the other, or
    separate.
    """
    if separate is not None:
        biases = (None, None, None) if bias is None else bias.chunk(3)
        return tuple(linear(x, w, b) for x, w, b in zip((q, k, v), separate, biases, strict=True))  # type: ignore[return-value]
    assert weight is not None
    e = q._array.shape[-1]
    if k is v and q is k:
        return tuple(part.contiguous() for part in linear(q, weight, bias).chunk(3, -1))  # type: ignore[return-value]
    weights = weight.split([e, 2 * e] if k is v else [e, e, e])
    biases = (
        (None,) * len(weights) if bias is None else bias.split([e, 2 * e] if k is v else [e, e, e])
    )
    if k is v:
        pair = linear(k, weights[1], biases[1]).chunk(2, -1)
        return linear(q, weights[0], biases[0]), pair[0].contiguous(), pair[1].contiguous()
    return tuple(linear(x, w, b) for x, w, b in zip((q, k, v), weights, biases, strict=True))  # type: ignore[return-value]


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention by several heads, between linear maps of query, key and value, and of the result.

    Args:
        query: ``(L, N, E)`` or ``(L, E)``.
        key: ``(S, N, E)`` or ``(S, E)``; value likewise.
        embed_dim_to_check: E.
        num_heads: how many heads share E.
        in_proj_weight: ``(3 E, E)``, or None with the three separate weights.
        bias_k, bias_v: one more key and value, ``(1, 1, E)``.
        add_zero_attn: one more key and value of zeros.
        dropout_p: probability of dropping a weight in training.
        key_padding_mask: ``(N, S)``, True (or minus infinity) for keys to leave out.
        need_weights: also return the weights, ``(N, L, S)`` averaged over heads, or
            ``(N, heads, L, S)``.
        attn_mask: ``(L, S)`` or ``(N * heads, L, S)``, True where a position must not be looked at,
            or floats to add.
        is_causal: a hint that attn_mask is the causal one.

    Shape: result ``(L, N, E)`` or ``(L, E)``, and the weights or None.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> x, one = torch.tensor([[1.0], [3.0]]), torch.ones(1, 1)
        >>> maps = torch.tensor([[0.0], [1.0], [1.0]])
        >>> y, weights = F.multi_head_attention_forward(
        ...     x, x, x, 1, 1, maps, None, None, None, False, 0.0, one, None
        ... )
        >>> y, weights  # a query of 0 looks at all alike
        (tensor([[2.],
                [2.]]), tensor([[0.5000, 0.5000],
                [0.5000, 0.5000]]))

    Reference: Vaswani et al., 2017, arXiv:1706.03762.
    """
    batched = check_shapes(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        query, key, value = as_batch(query, key, value)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    length, n, e = query._array.shape
    source = key._array.shape[0]
    check_heads(e, embed_dim_to_check, num_heads)
    if is_causal and attn_mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
    heads, head = n * num_heads, e // num_heads
    d = query._array.dtype
    key_padding = additive(key_padding_mask, "key_padding_mask", d, attn_mask)
    mask_free = is_causal and key_padding is None and not need_weights
    mask = None if mask_free else additive(attn_mask, "attn_mask", d, check=False)
    maps = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else None
    check_maps(key, value, maps)
    q, k, v = project(query, key, value, in_proj_weight, in_proj_bias, maps)
    mask = None if mask is None else of_heads(mask, heads, length, source)
    extra = 0
    if bias_k is not None and bias_v is not None:
        k, v, extra = T.cat([k, bias_k.repeat(1, n, 1)]), T.cat([v, bias_v.repeat(1, n, 1)]), 1
    q = by_heads(q, heads, head)
    k = by_heads(k, heads, head) if static_k is None else static_k
    v = by_heads(v, heads, head) if static_v is None else static_v
    if add_zero_attn:
        zero = T.zeros((heads, 1, head), dtype=k.dtype, device=k.device)
        k, v, extra = T.cat([k, zero], 1), T.cat([v, zero], 1), extra + 1
    if extra:
        mask = None if mask is None else constant_pad_nd(mask, (0, extra))
        key_padding = None if key_padding is None else constant_pad_nd(key_padding, (0, extra))
    source = k._array.shape[1]
    if key_padding is not None:
        wide = padding_of_heads(key_padding, n, num_heads, source)
        mask = wide if mask is None else mask + wide
    p = dropout_p if training else 0.0
    if need_weights:
        weights = tensor_weights_of(q, k, mask)
        if p > 0:
            weights = dropout(weights, p)
        out = T.matmul(weights, v).transpose(0, 1).reshape(length * n, e)
        out = linear(out, out_proj_weight, out_proj_bias).unflatten(0, (length, n))
        weights = weights.view(n, num_heads, length, source)
        if average_attn_weights:
            weights = weights.mean(1)
        return (out, weights) if batched else (out.squeeze(1), weights.squeeze(0))
    if mask is not None:
        single = mask._array.shape[0] == 1
        mask = mask.unsqueeze(0) if single else mask.unflatten(0, (n, num_heads))
    q, k, v = (x.unflatten(0, (n, num_heads)) for x in (q, k, v))
    out = scaled_dot_product_attention(q, k, v, mask, p, mask_free)
    out = out.permute(2, 0, 1, 3).reshape(n * length, e)
    out = linear(out, out_proj_weight, out_proj_bias).unflatten(0, (length, n))
    return out if batched else out.squeeze(1), None


def check_heads(e: int, expected: int, heads: int) -> None:
    """AssertionError where queries are not of the expected size, or heads cannot share that."""
    if e != expected:
        raise AssertionError(f"was expecting embedding dimension of {expected}, but got {e}")
    if e % heads:
        raise AssertionError(f"embed_dim {e} not divisible by num_heads {heads}")


def by_heads(x: Tensor, heads: int, head: int) -> Tensor:
    """``(L, N, E)`` as ``(heads, L, head)``, for so many heads of the whole batch, of that size."""
    return x.reshape(x._array.shape[0], heads, head).transpose(0, 1)


def as_batch(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Single sequences as batches of one; what is one tensor stays one, as `project` asks."""
    q = query.unsqueeze(1)
    k = q if key is query else key.unsqueeze(1)
    return q, k, k if value is key else value.unsqueeze(1)


def check_maps(key: Tensor, value: Tensor, maps: tuple[Tensor | None, ...] | None) -> None:
    """AssertionError where keys and values do not go together, or one of their own maps lacks."""
    keys, values = tuple(key._array.shape), tuple(value._array.shape)
    if maps is None:
        if keys != values:
            raise AssertionError(f"key shape {keys} does not match value shape {values}")
        return
    if any(w is None for w in maps):
        raise AssertionError(
            "use_separate_proj_weight is True but one of q_proj_weight, k_proj_weight,"
            " v_proj_weight is None"
        )
    if keys[:2] != values[:2]:
        raise AssertionError(
            f"key's sequence and batch dims {keys[:2]} do not match value's {values[:2]}"
        )


def of_heads(mask: Tensor, heads: int, length: int, source: int) -> Tensor:
    """The mask of every head in turn, checked, or of all, ``(1, L, S)``."""
    shape = tuple(mask._array.shape)
    expected = (length, source) if len(shape) == 2 else (heads, length, source)
    if shape != expected:
        raise RuntimeError(
            f"The shape of the {len(shape)}D attn_mask is {shape}, but should be {expected}."
        )
    return mask.unsqueeze(0) if len(shape) == 2 else mask


def padding_of_heads(padding: Tensor, n: int, heads: int, source: int) -> Tensor:
    """A mask of keys, ``(N, S)``, checked, for each head: ``(N * heads, 1, S)``."""
    if tuple(padding._array.shape) != (n, source):
        raise AssertionError(
            f"expecting key_padding_mask shape of {(n, source)}, but got"
            f" {tuple(padding._array.shape)}"
        )
    return padding.view(n, 1, 1, source).expand(-1, heads, -1, -1).reshape(n * heads, 1, source)


def tensor_weights_of(q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax of scaled products plus the mask; nan in rows that may look at nothing."""
    scores = T.matmul(q * math.sqrt(1.0 / q._array.shape[-1]), k.transpose(-2, -1))
    return (scores if mask is None else scores + mask).softmax(-1)
