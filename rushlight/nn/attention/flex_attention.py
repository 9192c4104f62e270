"""Attention whose scores a function changes and whose pairs another one chooses.

Functions get a score and four indices, and may be made of any operations that work element by
element, or read other tensors by index: they are called once, on indices that broadcast. Scores of
all pairs are in memory; blocks that a mask leaves out are computed like others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from rushlight import dtypes, tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.errors import NotSupportedError

__all__ = [
    "AuxOutput", "AuxRequest", "BlockMask", "FlexKernelOptions", "and_masks", "create_block_mask",
    "create_mask", "flex_attention", "noop_mask", "or_masks",
]  # fmt: skip

_DEFAULT_SPARSE_BLOCK_SIZE = 128
Mod = Callable[..., Tensor]
FlexKernelOptions = dict[str, Any]  # accepted, without effect


class AuxRequest(NamedTuple):
    """What `flex_attention` gives besides its result."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """``lse``: logarithms of the sums of exponentials of scores, (B, H, L), float32 (float64 for
    float64 inputs), -inf where nothing may be seen. ``max_scores``: the largest scores, (B, H, L).
    """

    lse: Tensor | None = None
    max_scores: Tensor | None = None


def noop_mask(batch: Tensor, head: Tensor, token_q: Tensor, token_kv: Tensor) -> Tensor:
    """A mask that leaves out nothing."""
    return T.ones((), dtype=dtypes.of[dtypes.bool_], device=batch.device)


def and_masks(*mask_mods: Mod) -> Mod:
    """The mask of pairs that all of some masks keep."""
    return _combined("and_masks", mask_mods, True, Tensor.__and__)


def or_masks(*mask_mods: Mod) -> Mod:
    """The mask of pairs that any of some masks keeps."""
    return _combined("or_masks", mask_mods, False, Tensor.__or__)


def _combined(name: str, mods: tuple[Mod, ...], start: bool, combine: Any) -> Mod:
    if not all([callable(mod) for mod in mods]):
        raise RuntimeError(f"{name}: all inputs should be callable mask functions: {mods}")

    def mask(b: Tensor, h: Tensor, q: Tensor, kv: Tensor) -> Tensor:
        result = T.tensor(start)
        for mod in mods:
            result = combine(result, mod(b, h, q, kv))
        return result

    return mask


def _indices(sizes: tuple[int, int, int, int], device: Any = None) -> list[Tensor]:
    """The indices of batch, head, query and key, which broadcast to all pairs."""
    return [
        T.arange(n, device=device).view([n if i == k else 1 for i in range(4)])
        for k, n in enumerate(sizes)
    ]


def create_mask(
    mod_fn: Mod, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = None
) -> Tensor:
    """The mask of a function as a tensor.

    Args:
        mod_fn: ``(b, h, q, kv) -> bool``: whether query q sees key kv in head h of sample b; or one
            that changes scores, ``(score, b, h, q, kv)``, and makes those of unseen keys -inf.
        B, H: samples and heads; None where the mask is the same for all.
        Q_LEN, KV_LEN: queries and keys.
        device: "cpu" or None.

    Returns:
        bool, (B or 1, H or 1, Q_LEN, KV_LEN).

    Example:
        >>> create_mask(lambda b, h, q, kv: q >= kv, None, None, 2, 2)
        tensor([[[[ True, False],
                  [ True,  True]]]])
    """
    shape = (B or 1, H or 1, Q_LEN, KV_LEN)
    if _changes_scores(mod_fn):
        scores = mod_fn(T.zeros(shape, device=device), *_indices(shape, device))
        return (scores > -math.inf).expand(shape)
    mask = mod_fn(*_indices(shape, device))
    if mask.dtype != dtypes.of[dtypes.bool_]:
        raise AssertionError(f"mask.dtype must be torch.bool, got {mask.dtype}")
    return mask.to(device or "cpu").expand(shape)


def _changes_scores(mod: Mod) -> bool:
    """Whether a function takes a score before the indices."""
    code = getattr(mod, "__code__", None)
    return code is not None and code.co_argcount == 5


class BlockMask:
    """A mask function, and which blocks of pairs it leaves out.

    Made by `create_block_mask`. ``kv_num_blocks`` (B, H, rows of blocks) and ``kv_indices`` (B, H,
    rows, columns) say which blocks of keys hold some pairs for each block of queries, and
    ``full_kv_num_blocks`` and ``full_kv_indices`` which hold all, int32.
    ``mask[b, h]`` is the mask of some samples and heads.
    """

    def __init__(
        self, mask_mod: Mod, lead: tuple[int, int], lengths: tuple[int, int], size: tuple[int, int]
    ) -> None:
        self.mask_mod, self.seq_lengths, self.BLOCK_SIZE = mask_mod, lengths, size
        mask = create_mask(mask_mod, *lead, *lengths)
        rows, columns = [-(-n // s) for n, s in zip(lengths, size, strict=True)]
        padded = mask.new_zeros((*lead, rows * size[0], columns * size[1]))
        padded[:, :, : lengths[0], : lengths[1]] = mask
        counts = padded.view(*lead, rows, size[0], columns, size[1]).sum((3, 5))
        full = counts == size[0] * size[1]
        self._full, self._some = full, (counts > 0) & ~full
        self.kv_num_blocks, self.kv_indices = _listed(self._some)
        self.full_kv_num_blocks, self.full_kv_indices = _listed(full)
        self.q_num_blocks, self.q_indices = _listed(self._some.mT)
        self.full_q_num_blocks, self.full_q_indices = _listed(full.mT)

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, H, queries, keys)."""
        return (*self.kv_num_blocks.shape[:2], *self.seq_lengths)

    def numel(self) -> int:
        """Pairs of all samples and heads."""
        return math.prod(self.shape)

    def sparsity(self) -> float:
        """Per cent of pairs in blocks that are left out; negative where blocks reach far beyond."""
        blocks = int(self._some.sum()) + int(self._full.sum())
        return 100 * (1 - blocks * math.prod(self.BLOCK_SIZE) / self.numel())

    def to_dense(self) -> Tensor:
        """int32 (B, H, rows, columns): 1 for a block that holds some pairs."""
        return (self._some | self._full).int()

    def to(self, device: Any) -> BlockMask:
        """The mask on another device: there is one."""
        self.kv_num_blocks.to(device)
        return self

    def __getitem__(self, index: Any) -> BlockMask:
        index = index if isinstance(index, tuple) else (index,)
        if len(index) > 2 or not all([isinstance(i, (int, slice)) for i in index]):
            raise NotSupportedError(
                f"BlockMask: numbers and slices of samples and heads are taken, not {index!r}; "
                "create_block_mask() makes a mask for other lengths."
            )
        ranges = [range(n) for n in self.shape[:2]]
        for k, i in enumerate(index):
            ranges[k] = ranges[k][i] if isinstance(i, slice) else ranges[k][i : i + 1 or None]
            if not ranges[k]:
                raise IndexError(f"index {i} is out of range for BlockMask of shape {self.shape}")
        (b0, bs), (h0, hs) = [(r.start, r.step) for r in ranges]
        mod = self.mask_mod

        def part(b: Tensor, h: Tensor, q: Tensor, kv: Tensor) -> Tensor:
            return mod(b0 + bs * b, h0 + hs * h, q, kv)

        lead = (len(ranges[0]), len(ranges[1]))
        return BlockMask(part, lead, self.seq_lengths, self.BLOCK_SIZE)

    def __repr__(self) -> str:
        return f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%)"


def _listed(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """How many blocks of each row are there, and their columns, those first."""
    return blocks.sum(-1).int(), blocks.int().argsort(-1, descending=True, stable=True).int()


def create_block_mask(
    mask_mod: Mod,
    B: int | None,
    H: int | None,
    Q_LEN: int,
    KV_LEN: int,
    device: Any = None,
    BLOCK_SIZE: int | tuple[int, int] = 128,
    _compile: bool = False,
) -> BlockMask:
    """A mask for `flex_attention`.

    Args:
        mask_mod: ``(b, h, q, kv) -> bool``: whether query q sees key kv in head h of sample b.
        B, H: samples and heads; None where the mask is the same for all.
        Q_LEN, KV_LEN: queries and keys.
        device: "cpu" or None.
        BLOCK_SIZE: queries and keys of a block, a number or a pair.

    Example:
        >>> create_block_mask(lambda b, h, q, kv: q >= kv, None, None, 512, 512)
        BlockMask(shape=(1, 1, 512, 512), sparsity=37.50%)

    Reference: Dong et al., 2024, "Flex Attention", arXiv:2412.05496.
    """
    size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else tuple(BLOCK_SIZE)
    return BlockMask(mask_mod, (B or 1, H or 1), (Q_LEN, KV_LEN), size)


def flex_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score_mod: Mod | None = None,
    block_mask: BlockMask | None = None,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: bool = False,
    kernel_options: FlexKernelOptions | None = None,
    *,
    return_aux: AuxRequest | None = None,
) -> Any:
    """``softmax(mod(scale * q @ k.T)) @ v``, over the pairs that a mask keeps.

    Args:
        query: (B, Hq, L, E).
        key: (B, Hkv, S, E). A mask made for B samples may meet keys of one sample.
        value: (B, Hkv, S, Ev).
        score_mod: ``(score, b, h, q, kv) -> score``, see the module.
        block_mask: which pairs count, from `create_block_mask`, for L queries and S keys.
        scale: of the scores; ``1 / sqrt(E)`` by default.
        enable_gqa: whether Hq may be a multiple of Hkv, whose heads then serve several.
        return_lse: whether the logarithms of the sums are returned too.
        kernel_options: without effect.
        return_aux: what else is returned.

    Returns:
        (B, Hq, L, Ev), zeros for queries that see nothing; with ``return_lse`` a pair with lse (B,
        Hq, L); with ``return_aux`` a pair with an `AuxOutput`.

    Example:
        >>> import rushlight as torch
        >>> q = k = v = torch.ones(1, 1, 3, 2)
        >>> flex_attention(q, k, v, lambda score, b, h, i, j: score - (i - j).abs()).shape
        torch.Size([1, 1, 3, 2])

    Reference: Dong et al., 2024, "Flex Attention", arXiv:2412.05496.
    """
    _check(query, key, value, block_mask, enable_gqa)
    shared = query.shape[1] // key.shape[1]
    if shared > 1:
        key, value = key.repeat_interleave(shared, 1), value.repeat_interleave(shared, 1)
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    double = query.dtype == dtypes.of[dtypes.float64]
    scores = (query @ key.mT).to(dtypes.of[dtypes.float64 if double else dtypes.float32]) * scale
    places = _indices(tuple(scores.shape))
    if score_mod is not None:
        scores = score_mod(scores, *places)
    if block_mask is not None:
        scores = T.where(block_mask.mask_mod(*places), scores, -math.inf)
    blind = (scores == -math.inf).all(-1, keepdim=True)
    weights = scores.softmax(-1).masked_fill(blind, 0.0)
    out = weights.to(query.dtype) @ value
    if not return_lse and return_aux is None:
        return out
    lse = scores.logsumexp(-1)
    if return_aux is None:
        return out, lse
    largest = scores.amax(-1) if return_aux.max_scores else None
    return out, AuxOutput(lse if return_aux.lse else None, largest)


def _check(q: Tensor, k: Tensor, v: Tensor, mask: BlockMask | None, shared: bool) -> None:
    """Refuse shapes that do not fit together."""
    if not q.ndim == k.ndim == v.ndim == 4:
        raise NotImplementedError(
            "flex_attention: query, key and value must have 4 dims (batch, heads, length, "
            f"features), but have {q.ndim}, {k.ndim} and {v.ndim}."
        )
    if q.shape[-1] != k.shape[-1]:
        raise ValueError(
            "flex_attention: expect query and key to have the same number of features, but got "
            f"E={q.shape[-1]} and E={k.shape[-1]}."
        )
    heads, given = q.shape[1], k.shape[1]
    if heads != given and not shared:
        raise ValueError(
            "flex_attention: expect query and key/value to have the same number of heads, but got "
            f"Hq={heads} and Hkv={given}; set enable_gqa=True if heads of keys serve several."
        )
    if heads % given:
        raise ValueError(
            "flex_attention: expect the number of query heads to be a multiple of the key's, but "
            f"got Hq={heads} and Hkv={given}."
        )
    if q.shape[0] != k.shape[0] and (mask is None or mask.shape[0] != q.shape[0]):
        raise ValueError(
            "flex_attention: expect query and key/value to have the same batch size, or a "
            f"block_mask of the query's, but got Bq={q.shape[0]} and Bkv={k.shape[0]}."
        )
    if mask is not None and mask.seq_lengths != (q.shape[2], k.shape[2]):
        raise ValueError(
            f"flex_attention: block_mask was created for {mask.seq_lengths[0]} queries and "
            f"{mask.seq_lengths[1]} keys, but got q_len={q.shape[2]} and kv_len={k.shape[2]}; "
            "create one for these lengths."
        )
