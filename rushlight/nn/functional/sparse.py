"""Lookup tables and one-hot vectors."""

from __future__ import annotations

import numpy as np

from rushlight import dtypes, tensor_api as T
from rushlight.core.autograd import known_as
from rushlight.core.device_array import beside, constant_on, host, unseen
from rushlight.core.state import modes, no_grad
from rushlight.core.tensor import Tensor, expect_tensors, no_tensor, value_pinned
from rushlight.errors import DTypeError, NotSupportedError, ShapeError, warn_user
from rushlight.ops.embedding import BagMaxima, BagOf, Bags, Embedding
from rushlight.ops.slices import IndexCopy
from rushlight.ops.sparse.embedding import SparseEmbedding
from rushlight.ops.statistics import VectorNorm

__all__ = ["embedding", "embedding_bag", "one_hot"]


def tracked(t: Tensor) -> bool:
    """Whether what is computed from t may need its gradient."""
    return t._tracked and modes.grad


def renormalise(weight: Tensor, index: Tensor, max_norm: float, norm_type: float) -> None:
    """Scale the rows of ``weight`` that are looked up down to ``max_norm``, in place, outside the
    graph.
    """
    with no_grad():
        flat = index.reshape(-1).long()
        rows = Embedding.bind(weight, flat, padding_idx=None, by_frequency=False)
        norm = VectorNorm.bind(rows, ord=norm_type, dim=(1,), keepdim=True)
        scale = T.where(norm > max_norm, max_norm / (norm + 1e-7), 1.0)
        IndexCopy.update(weight, flat, (rows * scale).to(weight.dtype), dim=0)


def check_padding(
    padding_idx: int | None, rows: int, error: type[Exception] = AssertionError
) -> int | None:
    """padding_idx as an index >= 0."""
    if padding_idx is None:
        return None
    if not -rows <= padding_idx < rows:
        raise error(
            f"padding_idx must be within the number of embeddings: it is {padding_idx} and they"
            f" are {rows}."
        )
    return padding_idx % rows


def check_index(name: str, index: Tensor) -> None:
    """Indices are int64 or int32."""
    if not isinstance(index, Tensor):
        raise no_tensor(name, index)
    if index._array.dtype not in (dtypes.int64, dtypes.int32):
        raise DTypeError(
            f"{name}: Expected tensor for argument #1 'indices' to have one of the following scalar"
            f" types: Long, Int; but got {dtypes.of[index._array.dtype].name} instead; convert with"
            " .long()."
        )


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """``weight[input]``: a row of the table for each index.

    Args:
        input: indices, int64 or int32, in [0, V).
        weight: the table, ``(V, D)``.
        padding_idx: a row that gets no gradient.
        max_norm: rows that are looked up with a greater norm are scaled down to it, in place.
        norm_type: the p of that norm.
        scale_grad_by_freq: divide a row's gradient by how often its index occurs.
        sparse: the gradient is a sparse tensor with a row for each index. Optimizers that take it:
            SGD, Adagrad and SparseAdam.

    Shape: ``(*), (V, D) -> (*, D)``.

    Example:
        >>> import rushlight as torch
        >>> table = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> torch.nn.functional.embedding(torch.tensor([1, 0]), table)
        tensor([[3., 4.],
                [1., 2.]])
    """
    check_index("embedding", input)
    if not isinstance(weight, Tensor):
        raise no_tensor("embedding", weight)
    if weight._array.ndim != 2:
        raise ShapeError(
            "embedding: 'weight' must be 2-D, (rows, size), but has shape"
            f" {tuple(weight._array.shape)}."
        )
    padding_idx = check_padding(padding_idx, weight._array.shape[0])
    if max_norm is not None:
        renormalise(weight, input, max_norm, norm_type)
    return look_up(weight, input, padding_idx, scale_grad_by_freq, sparse)


def look_up(
    weight: Tensor, index: Tensor, padding_idx: int | None, by_frequency: bool, sparse: bool
) -> Tensor:
    """Rows of a table, of which ``padding_idx`` gets no gradient."""
    if sparse and tracked(weight):
        if by_frequency:
            raise RuntimeError(
                "embedding: scale_grad_by_freq is not supported with sparse gradients; leave one"
                " of them out."
            )
        return SparseEmbedding.bind(weight, index, padding_idx=padding_idx)  # type: ignore[no-any-return]
    return Embedding.bind(weight, index, padding_idx=padding_idx, by_frequency=by_frequency)  # type: ignore[no-any-return]


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Sums, means or maxima of bags of rows of a table.

    Args:
        input: indices, ``(B, n)`` (n for each bag), or ``(M)`` with offsets.
        weight: the table, ``(V, D)``.
        offsets: where each bag starts in a 1-D input.
        mode: "sum", "mean" or "max".
        sparse: the gradient is a sparse tensor; not for "max".
        per_sample_weights: factor of each row, of input's shape; for "sum" only.
        include_last_offset: offsets also hold the end of the last bag.
        padding_idx: an index that counts as absent.

    Shape: ``(B, D)``.

    Raises:
        ValueError: there are offsets, though input has two dims.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.nn.functional as F
        >>> table = torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 5.0]])
        >>> F.embedding_bag(torch.tensor([0, 1, 2]), table, torch.tensor([0, 1]), mode="sum")
        tensor([[1., 1.],
                [5., 7.]])
    """
    if weight._array.dtype in dtypes.INTEGER_TYPES and input._array.dtype in dtypes.FLOATING_TYPES:
        warn_user(
            "Argument order of nn.functional.embedding_bag was changed. Usage"
            " `embedding_bag(weight, input, ...)` is deprecated, and should now be"
            " `embedding_bag(input, weight, ...)`."
        )
        input, weight = weight, input
    if mode == "max" and sparse:
        raise ValueError("max mode does not support sparse weights")
    if include_last_offset and offsets is not None and input._array.ndim == 1:
        options = max_norm, norm_type, scale_grad_by_freq, mode, sparse, per_sample_weights
        bags = embedding_bag(input, weight, offsets, *options, False, padding_idx)
        return bags[:-1]  # the last offset begins what belongs to no bag
    if per_sample_weights is not None and per_sample_weights.dtype != weight.dtype:
        raise DTypeError(
            "embedding_bag: expected weight to have the same type as per_sample_weights, but they"
            f" are {weight.dtype} and {per_sample_weights.dtype}; convert one of them."
        )
    out = bags_of_rows(
        input, weight, offsets, max_norm, norm_type, scale_grad_by_freq, mode, sparse,
        per_sample_weights, padding_idx,
    )  # fmt: skip
    return known_as("EmbeddingBagBackward0", out)


def bags_of_rows(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None,
    max_norm: float | None,
    norm_type: float,
    scale_grad_by_freq: bool,
    mode: str,
    sparse: bool,
    per_sample_weights: Tensor | None,
    padding_idx: int | None,
) -> Tensor:
    """``embedding_bag`` of arguments that fit together."""
    index, bag, bags, factors = bags_of(input, offsets, per_sample_weights, mode)
    padding_idx = check_padding(padding_idx, weight._array.shape[0], RuntimeError)
    if max_norm is not None:
        renormalise(weight, index, max_norm, norm_type)
    even_bags = input._array.ndim == 2 and input._array.shape[1] and padding_idx is None
    if even_bags and factors is None and mode != "max" and not tracked(weight):
        total = Bags.bind(weight, index, each=input._array.shape[1])
        return total if mode == "sum" else total / input._array.shape[1]  # type: ignore[no-any-return]
    absent_row = padding_idx if sparse else None  # else it gets zeros, from the mask below
    rows = look_up(weight, index, absent_row, scale_grad_by_freq, sparse)  # (M, D)
    if factors is not None:
        rows = rows * factors.unsqueeze(1)
    absent = None if padding_idx is None else (index == padding_idx).unsqueeze(1)  # (M, 1)
    if mode == "max":
        return bag_maxima(rows, bag, absent, bags)
    if even_bags:
        even = rows.reshape(*input._array.shape, -1)
        return even.sum(1) if mode == "sum" else even.mean(1)  # type: ignore[no-any-return]
    if absent is not None:
        rows = rows.masked_fill(absent, 0)
    total = rows.new_zeros((bags, weight._array.shape[1])).index_add(0, bag, rows)
    if mode == "sum":
        return total
    one = rows.new_ones((len(bag), 1))
    one = one if absent is None else one.masked_fill(absent, 0)
    return total / rows.new_zeros((bags, 1)).index_add(0, bag, one).clamp(min=1)


def bags_of(
    input: Tensor, offsets: Tensor | None, factors: Tensor | None, mode: str
) -> tuple[Tensor, Tensor, int, Tensor | None]:
    """Flat indices, the bag of each, how many bags there are, and flat factors."""
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    check_index("embedding_bag", input)
    if factors is not None:
        if factors._array.shape != input._array.shape:
            raise ValueError(
                f"embedding_bag: If per_sample_weights ({tuple(factors.shape)}) is not None, then"
                f" it must have the same shape as the input ({tuple(input.shape)})"
            )
        if mode != "sum":
            raise NotSupportedError(
                "embedding_bag: per_sample_weights was not None. per_sample_weights is only"
                f" supported for mode='sum' (got mode={mode!r})."
            )
        factors = factors.reshape(-1)
    if input._array.ndim == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch"
                " of fixed length sequences."
            )
        b, n = input._array.shape
        return input.reshape(-1), constant_on(input, np.repeat(np.arange(b), n)), b, factors
    if input._array.ndim != 1:
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input._array.ndim}"
        )
    if offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    if offsets._array.ndim != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    bag = BagOf.bind(offsets, total=input._array.size)
    return input, bag, offsets._array.size, factors


def bag_maxima(rows: Tensor, bag: Tensor, absent: Tensor | None, bags: int) -> Tensor:
    """The greatest of each bag's rows, by column; zeros for an empty bag."""
    if not rows._array.size:
        return rows.sum(0).expand(bags, -1).clone()
    index = BagMaxima.bind(rows.detach(), bag, absent, bags=bags)
    return rows.gather(0, index.clamp(min=0)).masked_fill(index < 0, 0)  # type: ignore[no-any-return]


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """int64 vectors with a single 1 at each index. Shape: ``(*) -> (*, num_classes)``.

    Args:
        tensor: indices, int64, >= 0.
        num_classes: length of the vectors; the default is the greatest index plus 1.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.functional.one_hot(torch.tensor([0, 2]))
        tensor([[1, 0, 0],
                [0, 0, 1]])
    """
    expect_tensors("one_hot", tensor)
    x = host(tensor)
    if x.dtype != np.int64:
        raise DTypeError(
            "one_hot is only applicable to index tensor of type LongTensor, but got"
            f" {dtypes.of[x.dtype].name}; convert with .long()."
        )
    if modes.trace is not None and num_classes == -1 and x.size and x.min() >= 0:
        value_pinned("the largest class of one_hot() without num_classes", tensor.max())
        num_classes = int(x.max()) + 1
    if unseen(tensor) and num_classes > 0:
        out = tensor.new_zeros((*x.shape, num_classes))
        return out.scatter(-1, tensor.unsqueeze(-1), 1)
    if not x.size and num_classes <= 0:
        raise RuntimeError("Can not infer total number of classes from empty tensor.")
    if x.size and x.min() < 0:
        raise RuntimeError("one_hot: Class values must be non-negative.")
    if num_classes == -1:
        num_classes = int(x.max()) + 1
    elif num_classes < 1:
        raise RuntimeError("one_hot: num_classes should be positive.")
    elif x.size and x.max() >= num_classes:
        raise RuntimeError(
            f"one_hot: Class values must be smaller than num_classes, {num_classes}, but there is"
            f" {x.max()}."
        )
    out = np.zeros((x.size, num_classes), np.int64)
    out[np.arange(x.size), x.reshape(-1)] = 1
    return beside(tensor, out.reshape(*x.shape, num_classes))
