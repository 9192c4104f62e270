"""Recurrent layers over sequences that stay padded, as in captured calls: see Note [Packed while
traced] in nn/utils/rnn.py.
"""

from __future__ import annotations

from typing import Any

from rushlight import tensor_api as T
from rushlight.core.autocast import lower_dtype
from rushlight.core.tensor import Tensor
from rushlight.nn.utils.rnn import PaddedSequence

CLOSED = 40.0  # whose sigmoid is 1, and that of whose negative 0, as far as floats tell


def is_fine(rnn: Any, input: PaddedSequence) -> bool:
    """Whether padding changes nothing: dropout draws for rows that are there, and what grows
    without bounds may become infinite there.
    """
    draws = rnn.dropout and rnn.training and rnn.num_layers > 1
    bounded = rnn.mode in ("GRU", "LSTM", "RNN_TANH") and not rnn.proj_size
    return bounded and not draws and lower_dtype(input.padded) is None


def forward(rnn: Any, input: PaddedSequence, states: Any) -> tuple[PaddedSequence, Any]:
    """What ``rnn`` gives for the packed sequence: the output, which stays padded, and the states
    after each sequence's last element.
    """
    x = input.padded  # (T, B, F)
    rnn._check_data(x, True)
    if states is None:
        states = rnn._zero_states(x, x.size(1))
    else:
        rnn._check_states(states, x, x.size(1))
    shape, inside, ends = x.shape[:2], input.inside(x), input.last()
    x, last = x.masked_fill(inside.logical_not(), 0), []  # whatever padding holds
    turned = input.turned() if rnn._directions == 2 else None

    def back(y: Tensor) -> Any:
        return y.flatten(0, 1).index_select(0, turned).unflatten(0, shape)

    for layer in range(rnn.num_layers):
        outputs = []
        for direction in range(rnn._directions):
            k = layer * rnn._directions + direction
            first, given = tuple(s[k] for s in states), back(x) if direction else x
            y, state = rnn._run_one(k, given, None, first, False, inside)
            last.append((y.flatten(0, 1).index_select(0, ends), *state[1:]))
            outputs.append(back(y) if direction else y)
        x = outputs[0] if len(outputs) == 1 else T.cat(outputs, -1)
    made = tuple(T.stack(of_each) for of_each in zip(*last, strict=True))
    return PaddedSequence.of(x, input.lengths, input.is_sorted), made


def closed(like: Tensor, size: int) -> Tensor:
    """What the gates of an LSTM are given for its cell to keep what it holds: i, f, g and o."""
    shut = T.full((4, size), -CLOSED, dtype=like.dtype, device=like.device)
    shut[1] = CLOSED
    return shut.flatten()
