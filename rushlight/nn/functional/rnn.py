"""Recurrent networks: all layers of a sequence, and single cells. What ``nn.LSTM`` and its kin
call; torch has them at top level.

The first argument pair decides the form: ``(input, hx, ...)`` for padded input,
``(data, batch_sizes, hx, ...)`` for packed.
"""

from __future__ import annotations

from typing import Any

from rushlight import tensor_api as T
from rushlight.core.autocast import lower_dtype
from rushlight.core.autograd import known_as
from rushlight.core.tensor import Tensor
from rushlight.errors import DTypeError, ShapeError
from rushlight.nn.functional.dropout import dropout
from rushlight.nn.functional.linear import linear
from rushlight.ops import recurrent

__all__ = [
    "rnn_tanh", "rnn_relu", "lstm", "gru", "rnn_tanh_cell", "rnn_relu_cell", "lstm_cell",
    "gru_cell",
]  # fmt: skip


def layers(
    cell: str,
    data: Tensor,
    sizes: tuple[int, ...],
    h: Tensor,
    c: Tensor | None,
    params: Any,
    biases: bool,
    count: int,
    p: float,
    train: bool,
    both: bool,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """All layers over rows ``(rows, I)``: the last layer's rows, and the last h and c of each layer
    and direction.
    """
    directions = 2 if both else 1
    each = len(params) // (count * directions)
    last_h, last_c = [], []
    for layer in range(count):
        outs = []
        for direction in range(directions):
            at = layer * directions + direction
            state = (h.select(0, at),) if c is None else (h.select(0, at), c.select(0, at))
            out, *last = one_direction(
                cell,
                data,
                sizes,
                state,
                params[at * each : (at + 1) * each],
                biases,
                direction == 1,
            )
            outs.append(out)
            last_h.append(last[0])
            last_c.append(last[-1])
        data = outs[0] if not both else T.cat(outs, 1)
        if p and train and layer < count - 1:
            data = dropout(data, p)
    return data, T.stack(last_h), None if c is None else T.stack(last_c)


def one_direction(
    cell: str,
    data: Tensor,
    sizes: tuple[int, ...],
    state: tuple[Tensor, ...],
    params: Any,
    biases: bool,
    reverse: bool,
) -> tuple[Tensor, ...]:
    """One layer over the rows in one direction: the rows, and the last states."""
    w_ih, w_hh, *rest = params
    b_ih, b_hh = rest[:2] if biases else (None, None)
    x, steps = linear(data, w_ih, b_ih), list(sizes)
    if len(rest) == (3 if biases else 1):  # a projection of the hidden state
        out, last = recurrent.scan(projected(rest[-1]), x, state, w_hh, b_hh, steps, reverse)
        return out, *last
    made = recurrent.LAYERS[LAYERS[cell]].bind(x, w_hh, b_hh, *state, sizes=steps, reverse=reverse)
    return tuple(made[: 1 + len(state)])


LAYERS = {"tanh": "RNN_TANH", "relu": "RNN_RELU", "gru": "GRU", "lstm": "LSTM"}


def projected(w_hr: Tensor) -> Any:
    """An LSTM's step whose output is projected to fewer features."""

    def step(x: Tensor, state: Any, weight: Tensor, bias: Tensor | None) -> Any:
        h, c = recurrent.lstm_step(x, state, weight, bias)
        return linear(h, w_hr), c

    return step


def run(cell: str, args: tuple[Any, ...]) -> tuple[Tensor, Tensor, Tensor | None]:
    """A recurrent network on padded or packed input."""
    packed = (
        isinstance(args[1], Tensor) and not isinstance(args[3], bool) and isinstance(args[4], bool)
    )
    if packed:
        data, batch_sizes, hx, params, biases, count, p, train, both = args
        sizes = tuple(batch_sizes.tolist())
        n = sizes[0]
    else:
        input, hx, params, biases, count, p, train, both, batch_first = args
        if input._array.ndim not in (2, 3):
            raise ShapeError(
                f"{cell}: expected input to be 2D or 3D, got {input._array.ndim}D instead."
            )
        single = input._array.ndim == 2
        if single:
            input = input.unsqueeze(0 if batch_first else 1)
            hx = tuple(t.unsqueeze(1) for t in hx) if cell == "lstm" else hx.unsqueeze(1)
        if batch_first:
            input = input.transpose(0, 1)
        steps, n, width = input._array.shape
        data, sizes = input.reshape(steps * n, width), (n,) * steps
    h, c = hx if cell == "lstm" else (hx, None)
    check(cell, data, n, h, params)
    data, h, c = layers(cell, data, sizes, h, c, params, biases, count, p, train, both)
    if packed:
        return data, h, c
    out = data.reshape(steps, n, data._array.shape[1])
    if batch_first:
        out = out.transpose(0, 1)
    if single:
        out = out.squeeze(0 if batch_first else 1)
        h = h.squeeze(1)
        c = None if c is None else c.squeeze(1)
    return out, h, c


def check(cell: str, data: Tensor, n: int, h: Tensor, params: Any) -> None:
    """Refuse sizes that do not go together."""
    if data._array.shape[1] != params[0]._array.shape[1]:
        raise ShapeError(
            f"{cell}: input.size(-1) must be equal to input_size. Expected"
            f" {params[0]._array.shape[1]}, got {data._array.shape[1]}"
        )
    if h._array.shape[1] != n:
        raise ShapeError(
            f"{cell}: Expected hidden batch size {n}, got hidden state of shape"
            f" {tuple(h._array.shape)}."
        )
    if data._array.dtype != params[0]._array.dtype:
        raise RuntimeError(
            f"{cell}: the input's dtype {data.dtype} must be that of the weights,"
            f" {params[0].dtype}; convert one with .to()."
        )
    if h._array.dtype is not data._array.dtype and lower_dtype(h) is None:
        raise DTypeError(
            f"{cell}: the hidden state's dtype {h.dtype} must be the input's, {data.dtype};"
            " convert one with .to()."
        )


def lstm(*args: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Long short-term memory:
    ``(input, (h, c), params, has_biases, num_layers, dropout, train, bidirectional, batch_first)``.

    Args:
        input: ``(T, N, I)``, or ``(N, T, I)`` with batch_first.
        h: ``(layers * directions, N, H)``; c likewise.
        params: for each layer and direction w_ih, w_hh, and b_ih, b_hh when has_biases, and w_hr
            with a projection.
        dropout: probability of dropping the outputs of all layers but the last while training.

    Returns:
        output ``(T, N, directions * H)``, and the last h and c.

    Reference: Hochreiter and Schmidhuber, 1997, "Long short-term memory".
    """
    return run("lstm", args)  # type: ignore[return-value]


def gru(*args: Any) -> tuple[Tensor, Tensor]:
    """Gated recurrent units:
    ``(input, h, params, has_biases, num_layers, dropout, train, bidirectional, batch_first)``; see
    ``lstm``.

    Reference: Cho et al., 2014, arXiv:1406.1078.
    """
    return run("gru", args)[:2]


def rnn_tanh(*args: Any) -> tuple[Tensor, Tensor]:
    """``h = tanh(W_ih x + b_ih + W_hh h + b_hh)``; arguments as ``gru``'s."""
    return run("tanh", args)[:2]


def rnn_relu(*args: Any) -> tuple[Tensor, Tensor]:
    """``h = relu(W_ih x + b_ih + W_hh h + b_hh)``; arguments as ``gru``'s."""
    return run("relu", args)[:2]


def one_step(
    cell: str,
    input: Tensor,
    h: Tensor,
    c: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The next h and c."""
    if input._array.shape[-1] != w_ih._array.shape[1]:
        raise ShapeError(
            f"{cell}_cell: input has inconsistent input_size: got {input._array.shape[-1]} expected"
            f" {w_ih._array.shape[1]}"
        )
    if h._array.shape[-1] != w_hh._array.shape[1]:
        raise ShapeError(
            f"{cell}_cell: hidden has inconsistent hidden_size: got {h._array.shape[-1]}, expected"
            f" {w_hh._array.shape[1]}"
        )
    if input._array.shape[:-1] != h._array.shape[:-1]:
        raise ShapeError(
            f"{cell}_cell: Input batch size {tuple(input._array.shape)} doesn't match hidden batch"
            f" size {tuple(h._array.shape)}"
        )
    single = input._array.ndim == 1
    if single:
        input, h, c = input.unsqueeze(0), h.unsqueeze(0), None if c is None else c.unsqueeze(0)
    state = (h,) if c is None else (h, c)
    biases = b_ih is not None
    rest = (b_ih, b_hh) if biases else ()
    _, *last = one_direction(
        cell, input, (input._array.shape[0],), state, (w_ih, w_hh, *rest), biases, False
    )
    if single:
        return last[0].squeeze(0), last[-1].squeeze(0)
    return known_as(NODES[cell], last[0]), last[-1]


NODES = {  # torch's last operation for h
    "tanh": "TanhBackward0",
    "relu": "ReluBackward0",
    "gru": "AddBackward0",
    "lstm": "MulBackward0",
}


def lstm_cell(
    input: Tensor,
    hx: Any,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One step of an LSTM: the next (h, c). Shape: input ``(N, I)``, h and c ``(N, H)``."""
    return one_step("lstm", input, hx[0], hx[1], w_ih, w_hh, b_ih, b_hh)


def gru_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """One step of a GRU: the next h. Shape: input ``(N, I)``, h ``(N, H)``."""
    return one_step("gru", input, hx, None, w_ih, w_hh, b_ih, b_hh)[0]


def rnn_tanh_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """``tanh(W_ih x + b_ih + W_hh h + b_hh)``. Shape: input ``(N, I)``, h ``(N, H)``."""
    return one_step("tanh", input, hx, None, w_ih, w_hh, b_ih, b_hh)[0]


def rnn_relu_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """``relu(W_ih x + b_ih + W_hh h + b_hh)``. Shape: input ``(N, I)``, h ``(N, H)``."""
    return one_step("relu", input, hx, None, w_ih, w_hh, b_ih, b_hh)[0]
