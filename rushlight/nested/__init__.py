"""Nested tensors: batches of tensors whose sizes differ. `tensor` says what they are, `functions`
what public functions do with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight import formats, tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.nested import functions as functions
from rushlight.nested.tensor import HANDLERS, NestedTensor, Ragged, jagged, packed, plain

__all__ = [
    "to_padded_tensor", "as_nested_tensor", "nested_tensor", "nested_tensor_from_jagged", "narrow",
    "masked_select",
]  # fmt: skip


def _irregular(shapes: Sequence[Any]) -> int:
    """The dim in which components of the jagged layout differ: the first where none does."""
    if not shapes:
        raise RuntimeError("Cannot construct a nested tensor of layout jagged from no tensors.")
    if len({len(s) for s in shapes}) != 1 or not shapes[0]:
        raise RuntimeError(
            "All Tensors given to nested_tensor must have the same dimension, at least 1, but they "
            f"have the shapes {[tuple(s) for s in shapes]}."
        )
    differ = [i for i, n in enumerate(zip(*shapes, strict=True)) if len(set(n)) > 1]
    if len(differ) > 1:
        raise RuntimeError(
            "No valid nested tensor of layout jagged: more than one dim is irregular in the shapes "
            f"{[tuple(s) for s in shapes]}. Use layout=torch.strided."
        )
    return differ[0] if differ else 0


def as_nested_tensor(
    ts: Any, dtype: Any = None, device: Any = None, layout: Any = None
) -> NestedTensor:
    """A nested tensor of tensors, which stay in the graph.

    Args:
        ts: the components, of one rank; or one tensor, whose rows are the components.
        dtype, device: those of the first component unless given.
        layout: ``torch.strided`` (the default), or ``torch.jagged`` where the components differ in
            one dim only.

    Example:
        >>> import rushlight as torch
        >>> x = torch.nested.as_nested_tensor([torch.ones(2), torch.zeros(1)])
        >>> x.to_padded_tensor(9.0)
        tensor([[1., 1.],
                [0., 9.]])
    """
    if isinstance(ts, NestedTensor):
        return ts
    if not isinstance(ts, (list, tuple, Tensor)):
        raise TypeError(
            "as_nested_tensor(): Expected first argument to be a tensor or a list / tuple of "
            f"tensors, but got {type(ts).__name__}"
        )
    parts = list(ts.unbind() if isinstance(ts, Tensor) else ts)
    if any(not isinstance(p, Tensor) for p in parts):
        raise TypeError("as_nested_tensor(): all of the list must be tensors")
    if parts:
        dtype, device = dtype or parts[0].dtype, device or parts[0].device
        parts = [p.to(dtype=dtype, device=device) for p in parts]
    if layout is formats.jagged:
        dim = _irregular([p.shape for p in parts])
        return packed(parts, Ragged([p.shape[dim] for p in parts]), dim)
    if len({p.dim() for p in parts}) > 1:
        raise RuntimeError(
            "All Tensors given to nested_tensor must have the same dimension, but they have "
            f"{[p.dim() for p in parts]}."
        )
    return packed(parts, None)


def nested_tensor(
    tensor_list: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> NestedTensor:
    """A nested tensor of copies of tensors, or of what ``torch.tensor`` takes: a leaf.

    Args:
        tensor_list: the components, of one rank.
        layout: as for `as_nested_tensor`.
        requires_grad: whether its gradient is wanted.

    Example:
        >>> import rushlight as torch
        >>> x = torch.nested.nested_tensor([[1.0, 2.0], [3.0]], layout=torch.jagged)
        >>> x.shape[0], x.values()
        (2, tensor([1., 2., 3.]))
    """
    if not isinstance(tensor_list, (list, tuple)):
        raise TypeError(
            "nested_tensor(): expected a list of tensors, but got "
            f"{type(tensor_list).__name__}; as_nested_tensor takes one tensor."
        )
    parts = [p.detach() if isinstance(p, Tensor) else T.tensor(p, dtype=dtype) for p in tensor_list]
    made = as_nested_tensor(parts, dtype, device, layout).detach()
    return made.requires_grad_() if requires_grad else made  # type: ignore[return-value]


def nested_tensor_from_jagged(
    values: Tensor,
    offsets: Tensor | None = None,
    lengths: Tensor | None = None,
    jagged_dim: int | None = None,
    min_seqlen: int | None = None,
    max_seqlen: int | None = None,
) -> NestedTensor:
    """A nested tensor of layout ``torch.jagged`` from joined components, which stay in the graph.

    Args:
        values: the components, joined along dim ``jagged_dim - 1``.
        offsets: where each begins, and the last ends: ``(B + 1,)``.
        lengths: how long each is, ``(B,)``; with offsets, there may be holes between them.
        jagged_dim: of the result, 1 unless given.
        min_seqlen, max_seqlen: not needed.

    Example:
        >>> import rushlight as torch
        >>> x = torch.nested.nested_tensor_from_jagged(torch.arange(3), torch.tensor([0, 1, 3]))
        >>> x.unbind()
        (tensor([0]), tensor([1, 2]))
    """
    dim = 0 if jagged_dim is None else jagged_dim - 1
    if offsets is None and lengths is None:
        raise RuntimeError(
            "nested_tensor_from_jagged: at least one of offsets and lengths is needed"
        )
    if offsets is None:
        counts = lengths.tolist()  # type: ignore[union-attr]
    else:
        edges = offsets.tolist()
        counts = [b - a for a, b in zip(edges[:-1], edges[1:], strict=True)]
        if lengths is not None and (given := lengths.tolist()) != counts:
            parts = [values.narrow(dim, a, n) for a, n in zip(edges[:-1], given, strict=True)]
            return packed(parts, Ragged(given), dim)
    if sum(counts) != values.shape[dim] or any(n < 0 for n in counts):
        raise RuntimeError(
            f"nested_tensor_from_jagged: lengths {counts} do not fill dim {dim} of values of shape "
            f"{tuple(values.shape)}."
        )
    ragged = _of_offsets(offsets if offsets is not None else lengths, counts)
    return jagged(values, ragged, dim)


def _of_offsets(offsets: Any, counts: Any) -> Ragged:
    """The irregular size of offsets: nested tensors of the same ones fit together."""
    ragged = getattr(offsets, "_nested_size", None)
    if ragged is None or ragged.lengths != tuple(counts):
        ragged = offsets._nested_size = Ragged(counts)
    return ragged


def narrow(
    tensor: Tensor, dim: int, start: Any, length: Any, layout: Any = formats.strided
) -> NestedTensor:
    """Parts of the rows of a tensor: of row i, ``length[i]`` elements from ``start[i]`` on.

    Args:
        tensor: ``(B, L, *)``.
        dim: 1.
        start, length: tensors of ints, ``(B,)``, or ints for all rows.
        layout: as for `as_nested_tensor`.

    Example:
        >>> import rushlight as torch
        >>> x = torch.nested.narrow(torch.ones(2, 3), 1, 0, torch.tensor([1, 3]), torch.jagged)
        >>> x.offsets()
        tensor([0, 1, 4])
    """
    if dim != 1:
        raise RuntimeError(f"narrow: nested tensors are cut along dim 1, not {dim}.")
    n = tensor.shape[0]
    starts, lengths = (
        x.expand(n).tolist() if isinstance(x, Tensor) else [int(x)] * n for x in (start, length)
    )
    parts = [
        tensor[i].narrow(0, a, m) for i, (a, m) in enumerate(zip(starts, lengths, strict=True))
    ]
    return packed(parts, Ragged(lengths) if layout is formats.jagged else None)


def masked_select(tensor: Tensor, mask: Tensor) -> NestedTensor:
    """Of each row the elements where a mask is True; of layout ``torch.jagged``.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([[1, 2], [3, 4]])
        >>> torch.nested.masked_select(x, x > 1).unbind()
        (tensor([2]), tensor([3, 4]))
    """
    parts = [row[keep] for row, keep in zip(tensor, mask.expand_as(tensor), strict=True)]
    return packed(parts, Ragged([len(p) for p in parts]))


def to_padded_tensor(input: Tensor, padding: float, output_size: Any = None) -> Tensor:
    """The components side by side, each filled up at its ends to the largest sizes.

    Args:
        input: a nested tensor.
        padding: the value of places that no component has.
        output_size: sizes of the result, if larger.

    Example:
        >>> import rushlight as torch
        >>> x = torch.nested.nested_tensor([[1.0, 2.0], [3.0]])
        >>> torch.nested.to_padded_tensor(x, 0.0)
        tensor([[1., 2.],
                [3., 0.]])
    """
    if not isinstance(input, NestedTensor):
        raise RuntimeError("to_padded_tensor: expected a nested tensor, but got a dense one.")
    padded: Tensor = HANDLERS["to_padded_tensor"](None, input, padding, output_size)
    return padded
