"""One recurrent layer in one direction, step by step. Tensors are time first, (T, B, features).

A packed batch (see Note [Packed] in nn/utils/rnn.py) has fewer sequences at later steps; an
ordinary one has the same number at each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F

State = tuple[Tensor, ...]  # (h,), or (h, c) of an LSTM
Step = Callable[[Tensor, State], State]

# How many blocks of hidden_size rows the weights have: the gates.
GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "GRU": 3, "LSTM": 4}


def make_step(
    mode: str, weight_hh: Tensor, bias_hh: Tensor | None, weight_hr: Tensor | None = None
) -> Step:
    """The function (what the input contributes at one step, state) -> next state."""
    if mode == "LSTM":

        def lstm(x: Tensor, state: State) -> State:
            h, c = state
            i, f, g, o = (x + F.linear(h, weight_hh, bias_hh)).chunk(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            return (h if weight_hr is None else F.linear(h, weight_hr)), c

        return lstm
    if mode == "GRU":

        def gru(x: Tensor, state: State) -> State:
            (h,) = state
            rx, zx, nx = x.chunk(3, -1)
            rh, zh, nh = F.linear(h, weight_hh, bias_hh).chunk(3, -1)
            z = (zx + zh).sigmoid()
            n = (nx + (rx + rh).sigmoid() * nh).tanh()
            return (n + z * (h - n),)

        return gru
    activation = Tensor.tanh if mode == "RNN_TANH" else Tensor.relu

    def simple(x: Tensor, state: State) -> State:
        return (activation(x + F.linear(state[0], weight_hh, bias_hh)),)

    return simple


def run(step: Step, inputs: Tensor, state: State, reverse: bool) -> tuple[Tensor, State]:
    """Run over (T, B, gates): the outputs (T, B, H) and the last state."""
    steps = inputs.unbind(0)
    outputs: list[Any] = [None] * len(steps)
    places = range(len(steps) - 1, -1, -1) if reverse else range(len(steps))
    for t in places:
        state = step(steps[t], state)
        outputs[t] = state[0]
    return T.stack(outputs), state


def run_packed(
    step: Step, inputs: Tensor, sizes: list[int], state: State, reverse: bool
) -> tuple[Tensor, State]:
    """Run over packed data (sum, gates): the outputs (sum, H) and the last state of every
    sequence."""
    steps = inputs.split(sizes)
    run_steps = _backwards if reverse else _forwards
    outputs, state = run_steps(step, steps, sizes, state)
    return T.cat(outputs), state


def _forwards(step: Step, steps: Any, sizes: list[int], state: State) -> tuple[list[Tensor], State]:
    """Sequences leave as they end; the shortest are the last in the batch."""
    outputs, ended = [], []
    for x, size in zip(steps, sizes, strict=True):
        if size < state[0].size(0):
            ended.append(tuple(s[size:] for s in state))
            state = tuple(s[:size] for s in state)
        state = step(x, state)
        outputs.append(state[0])
    parts = [state, *reversed(ended)]
    return outputs, tuple(T.cat(part) for part in zip(*parts, strict=True))


def _backwards(
    step: Step, steps: Any, sizes: list[int], first: State
) -> tuple[list[Tensor], State]:
    """From the last step to the first: sequences join, each with its own first state."""
    outputs: list[Any] = [None] * len(sizes)
    state = tuple(s[: sizes[-1]] for s in first)
    for t in range(len(sizes) - 1, -1, -1):
        here = state[0].size(0)
        if sizes[t] > here:
            joining = (s[here : sizes[t]] for s in first)
            state = tuple(T.cat(pair) for pair in zip(state, joining, strict=True))
        state = step(steps[t], state)
        outputs[t] = state[0]
    return outputs, state
