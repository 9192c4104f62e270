"""Sequences of different lengths: padded to one length, or packed without padding.

Note [Packed]
Sequences are sorted by length, longest first, and laid out step by step: `data` holds the first
element of every sequence, then the second of those that have one, and so on; `batch_sizes` says how
many there are at each step.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Self

import numpy as np

from rushlight import dtypes, tensor_api as T
from rushlight.core.autograd import known_as
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, constant, expect_tensors

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]

INDEX = dtypes.by_name["int64"]


class PackedSequence_(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(PackedSequence_):
    """A batch of sequences without padding; see Note [Packed]. Made by `pack_padded_sequence` and
    `pack_sequence`.

    Args:
        data: (sum of lengths, *), the elements step by step.
        batch_sizes: (longest,), how many sequences reach each step.
        sorted_indices: (B,), the places that the sorted sequences had; None if they were sorted.
        unsorted_indices: (B,), the inverse of that.
    """

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> Self:
        if batch_sizes is None:  # both in one tuple
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise AssertionError("Expected data to be a list or tuple of length 2")
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def _with(self, data: Tensor) -> Self:
        return type(self)(data, self.batch_sizes, self.sorted_indices, self.unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """The same with its data moved or converted, as `Tensor.to`."""
        data = self.data.to(*args, **kwargs)
        return self if data is self.data else self._with(data)

    def cuda(self, *args: Any, **kwargs: Any) -> Self:
        return self._with(self.data.cuda(*args, **kwargs))

    def cpu(self, *args: Any, **kwargs: Any) -> Self:
        return self.to("cpu")

    def pin_memory(self) -> Self:
        return self

    def _as(self, name: str) -> Self:
        return self.to(dtypes.by_name[name])

    def double(self) -> Self:
        return self._as("float64")

    def float(self) -> Self:
        return self._as("float32")

    def half(self) -> Self:
        return self._as("float16")

    def long(self) -> Self:
        return self._as("int64")

    def int(self) -> Self:
        return self._as("int32")

    def short(self) -> Self:
        return self._as("int16")

    def char(self) -> Self:
        return self._as("int8")

    def byte(self) -> Self:
        return self._as("uint8")

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a CUDA device."""
        return self.data.device.type == "cuda"

    def is_pinned(self) -> bool:
        return False


# Note [Packed while traced]
# Lengths decide how many rows there are when packed, and how many at each step. So that calls of a
# captured function may have any lengths, what was to be packed stays padded there. Recurrent layers
# compute on the padding, too: what comes after the end of a sequence changes nothing before it, and
# a sequence that is read backwards is turned around first. What looks at the packed rows themselves
# makes a capture that holds for these lengths.


class PaddedSequence(PackedSequence):
    """Stands for a packed sequence while a call is traced, see Note [Packed while traced]."""

    padded: Tensor  # (T, B, *)
    lengths: Tensor  # (B,), each from 1 to T
    is_sorted: bool
    _made: PackedSequence | None = None
    _make = PackedSequence._make  # what has rows is packed

    @classmethod
    def of(cls, padded: Tensor, lengths: Tensor, is_sorted: bool) -> PaddedSequence:
        """What packing these would give."""
        made = tuple.__new__(cls, (None,) * 4)
        made.padded, made.lengths, made.is_sorted = padded, lengths, is_sorted
        return made

    def packed(self) -> PackedSequence:
        """It, packed."""
        if self._made is None:
            self._made = _packed(self.padded, self.lengths, False, self.is_sorted)
        return self._made

    def _with(self, data: Tensor) -> Any:
        return self.packed()._with(data)

    def __getitem__(self, k: Any) -> Any:
        return tuple(self.packed())[k]

    def __iter__(self) -> Any:
        return iter(self.packed())

    data: Any = property(lambda self: self.packed().data)
    batch_sizes: Any = property(lambda self: self.packed().batch_sizes)
    sorted_indices: Any = property(lambda self: self.packed().sorted_indices)
    unsorted_indices: Any = property(lambda self: self.packed().unsorted_indices)

    def steps(self) -> Tensor:
        """0 .. T - 1, (T, 1)."""
        return T.arange(self.padded.size(0), device=self.padded.device)[:, None]

    def inside(self, value: Tensor) -> Tensor:
        """Where ``value``, (T, B, *), is no padding, ready to broadcast."""
        inside = self.steps() < self.lengths  # (T, B)
        return inside.reshape(*inside.shape, *[1] * (value.dim() - 2))

    def turned(self) -> Tensor:
        """The rows of (T B, *) in an order that turns each sequence around, padding apart."""
        steps, count = self.steps(), self.lengths.size(0)
        back = T.where(steps < self.lengths, self.lengths - 1 - steps, steps)
        return (back * count + T.arange(count, device=back.device)).flatten()

    def last(self) -> Tensor:
        """The rows of (T B, *) that are the sequences' last elements, (B,)."""
        count = self.lengths.size(0)
        return (self.lengths - 1) * count + T.arange(count, device=self.lengths.device)

    def refilled(self, value: float, total_length: int | None) -> Tensor | None:
        """Padded anew with another value, (T, B, *), to ``total_length`` or the longest; None where
        the longest is longer than that.
        """
        x, steps = self.padded, self.padded.size(0)
        if total_length is None:
            longest = self.lengths.max()
            total = steps if bool(longest == steps) else int(longest)
        elif total_length < steps and bool((self.lengths > total_length).any()):
            return None
        else:
            total = total_length
        x = x.masked_fill(self.inside(x).logical_not(), value)[:total]
        more = total - x.size(0)
        return T.cat([x, x.new_full((more, *x.shape[1:]), value)]) if more else x


def _may_stay_padded(input: Tensor, lengths: Any, batch_first: bool, is_sorted: bool) -> bool:
    """Whether these are as they must be."""
    batch, steps = (0, 1) if batch_first else (1, 0)
    if not isinstance(lengths, Tensor) or lengths.is_floating_point():
        return False
    if lengths.dim() != 1 or input.dim() < 2 or lengths.size(0) != input.size(batch):
        return False
    if input.numel() == 0:
        return False
    wrong = (lengths < 1).any() | (lengths > input.size(steps)).any()
    if is_sorted:
        wrong = wrong | (lengths[1:] > lengths[:-1]).any()
    return not bool(wrong)


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """Return the permutation that undoes this one; None for None."""
    if permutation is None:
        return None
    places = T.arange(permutation.numel(), dtype=permutation.dtype, device=permutation.device)
    return T.empty_like(permutation).scatter_(0, permutation, places)


def _lengths_array(lengths: Any) -> np.ndarray[Any, Any]:
    if isinstance(lengths, Tensor):
        lengths = [int(n) for n in lengths.tolist()]  # each is one that a trace takes for granted
    return np.asarray(lengths).astype(np.int64)


def _index(values: np.ndarray[Any, Any], like: Tensor) -> Tensor:
    return constant(np.ascontiguousarray(values)).to(like.device)


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Take the padding out of a batch.

    Args:
        input: (T, B, *), or (B, T, *) when batch_first.
        lengths: (B,), each > 0, how much of each sequence is not padding.
        batch_first: whether the batch is the first dim.
        enforce_sorted: require lengths in decreasing order; otherwise the sequences are sorted.

    Example:
        >>> x = torch.tensor([[1, 2], [3, 0]])
        >>> nn.utils.rnn.pack_padded_sequence(x, [2, 1], batch_first=True).data
        tensor([1, 3, 2])
    """
    traced = bool(state.busy) and modes.trace is not None
    if traced and isinstance(lengths, (list, tuple)) and all(isinstance(n, int) for n in lengths):
        lengths = T.tensor(lengths)  # numbers that may be others at the next call
    if traced and _may_stay_padded(input, lengths, batch_first, enforce_sorted):
        steps_first = input.transpose(0, 1) if batch_first else input
        return PaddedSequence.of(steps_first, lengths.long(), enforce_sorted)
    return _packed(input, lengths, batch_first, enforce_sorted)


def _packed(input: Tensor, lengths: Any, batch_first: bool, enforce_sorted: bool) -> PackedSequence:
    """``pack_padded_sequence`` for lengths that are known."""
    sizes = _lengths_array(lengths)
    order = None
    if not enforce_sorted:
        by_length = np.argsort(-sizes, kind="stable")
        sizes, order = sizes[by_length], _index(by_length, input)
        input = input.index_select(0 if batch_first else 1, order)
    if input.numel() == 0:
        raise RuntimeError("Cannot pack empty tensors.")
    steps_first = input.transpose(0, 1) if batch_first else input
    _check_lengths(sizes, *steps_first.shape[:2])
    longest, batch = int(sizes[0]), len(sizes)
    inside = np.arange(longest)[:, None] < sizes  # (T, B)
    rows = np.flatnonzero(inside)
    flat = steps_first[:longest].reshape(longest * batch, *steps_first.shape[2:])
    data = known_as("PackPaddedSequenceBackward0", flat.index_select(0, _index(rows, input)))
    return PackedSequence(data, constant(inside.sum(1).astype(np.int64)), order)


def _check_lengths(sizes: np.ndarray[Any, Any], steps: int, batch: int) -> None:
    if len(sizes) != batch:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(sizes)} "
            f"(batch_size={batch})"
        )
    if (np.diff(sizes) > 0).any():
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. "
            "You can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence."
        )
    if sizes[-1] <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    if sizes[0] > steps:
        raise RuntimeError(
            f"pack_padded_sequence: a length is {sizes[0]}, but the padded sequences have {steps} "
            "steps; is the batch their first dim? Pass batch_first=True."
        )


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Put the padding back: the opposite of `pack_padded_sequence`.

    Args:
        sequence: the packed batch.
        batch_first: whether the batch shall be the first dim.
        padding_value: what to fill with.
        total_length: pad to this length, at least the longest's; to the longest's unless given.

    Returns:
        The padded batch, (T, B, *) or (B, T, *), and the lengths, (B,).

    Example:
        >>> packed = nn.utils.rnn.pack_sequence([torch.tensor([1, 2, 3]), torch.tensor([4])])
        >>> nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
        (tensor([[1, 2, 3],
                [4, 0, 0]]), tensor([3, 1]))
    """
    if type(sequence) is PaddedSequence:
        kept = sequence.refilled(padding_value, total_length)
        if kept is not None:
            found = kept.transpose(0, 1) if batch_first else kept
            if not sequence.is_sorted:
                found = found.contiguous()  # as the rows that are taken in their order are
            return found, sequence.lengths.cpu().clone()
    sizes = _lengths_array(sequence.batch_sizes)
    longest, batch = len(sizes), int(sizes[0])
    if total_length is not None:
        if total_length < longest:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, "
                f"but got total_length={total_length} and max sequence length being {longest}"
            )
        longest = total_length
    data = sequence.data
    lengths = (np.arange(batch)[:, None] < sizes).sum(1)  # (B,)
    inside = np.arange(longest)[:, None] < lengths  # (T, B)
    rows = np.full((longest, batch), data.size(0))  # where nothing is: one row more, of padding
    rows[inside] = np.arange(data.size(0))
    padding = data.new_full((1, *data.shape[1:]), padding_value)
    padded = T.cat([data, padding]).index_select(0, _index(rows.reshape(-1), data))
    padded = padded.reshape(longest, batch, *data.shape[1:])
    counts = constant(lengths.astype(np.int64))
    if batch_first:
        padded = padded.transpose(0, 1)
    back = sequence.unsorted_indices
    if back is not None:
        padded = padded.index_select(0 if batch_first else 1, back)
        counts = counts[back.cpu()]
    elif not batch_first:
        known_as("CopySlices", padded)
    return padded, counts


def pad_sequence(
    sequences: Any,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Stack sequences of different lengths, filled up to the longest.

    Args:
        sequences: tensors (length, *), all of the same other sizes.
        batch_first: whether the batch shall be the first dim.
        padding_value: what to fill with.
        padding_side: "right" or "left".

    Example:
        >>> nn.utils.rnn.pad_sequence([torch.ones(2), torch.ones(3)], batch_first=True)
        tensor([[1., 1., 0.],
                [1., 1., 1.]])
    """
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        )
    tensors = list(sequences.unbind(0) if isinstance(sequences, Tensor) else sequences)
    if not tensors:
        raise RuntimeError("received an empty list of sequences")
    expect_tensors("pad_sequence", *tensors)
    longest = max(t.size(0) for t in tensors)
    rest = tensors[0].shape[1:]
    filled = []
    for t in tensors:
        if t.shape[1:] != rest:
            raise RuntimeError(
                f"pad_sequence: sequences of sizes {tuple(tensors[0].shape)} and {tuple(t.shape)}; "
                "all sizes but the first must match at non-singleton dimension 1 and beyond"
            )
        padding = tensors[0].new_full((longest - t.size(0), *rest), padding_value)
        filled.append(T.cat([t, padding] if padding_side == "right" else [padding, t]))
    return known_as("CopySlices", T.stack(filled, 0 if batch_first else 1))


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """Split a padded batch into its sequences: the opposite of `pad_sequence`.

    Args:
        padded_sequences: (T, B, *), or (B, T, *) when batch_first.
        lengths: (B,).
        batch_first: whether the batch is the first dim.

    Example:
        >>> nn.utils.rnn.unpad_sequence(torch.tensor([[1, 2], [3, 0]]), torch.tensor([2, 1]), True)
        [tensor([1, 2]), tensor([3])]
    """
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    counts = _lengths_array(lengths)
    rows = zip(padded_sequences, counts.tolist(), strict=True)
    return [known_as("IndexBackward0", row[:n]) for row, n in rows]


def pack_sequence(sequences: list[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences of different lengths.

    Args:
        sequences: tensors (length, *), all of the same other sizes.
        enforce_sorted: require lengths in decreasing order; otherwise the sequences are sorted.

    Example:
        >>> nn.utils.rnn.pack_sequence([torch.tensor([1, 2, 3]), torch.tensor([4])]).batch_sizes
        tensor([2, 1, 1])
    """
    lengths = [t.size(0) for t in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Split a packed batch into its sequences: the opposite of `pack_sequence`.

    Example:
        >>> packed = nn.utils.rnn.pack_sequence([torch.tensor([1, 2, 3]), torch.tensor([4])])
        >>> nn.utils.rnn.unpack_sequence(packed)
        [tensor([1, 2, 3]), tensor([4])]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
