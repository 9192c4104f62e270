"""Recurrent layers: one direction of one layer over a whole sequence, with backpropagation through time.

The sequence is a matrix of rows, step after step; step t has ``sizes[t]`` rows, the first of the batch, so that sequences may end early
(sizes never grow). Gates: LSTM input, forget, cell, output; GRU reset, update, new.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import run_backward
from rushlight.core.op import Op
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor, edge, wrap
from rushlight.ops.bits import as_bits, from_bits
from rushlight.ops.join import Cat

GATES = {"lstm": 4, "gru": 3, "tanh": 1, "relu": 1}


def wide(x: Any) -> Any:
    """Halves as float32, contiguous."""
    if x is None:
        return None
    return np.ascontiguousarray(x.astype(dtypes.float32) if x.dtype in dtypes.HALVES else x)


def step_rows(sizes: tuple[int, ...], reverse: bool) -> list[tuple[slice, int]]:
    """(rows, how many) of each step, in the order in which the steps are taken."""
    ends = np.cumsum((0, *sizes)).tolist()
    steps = [(slice(a, b), b - a) for a, b in zip(ends, ends[1:], strict=False)]
    return steps[::-1] if reverse else steps


def sigmoid_(x: Any) -> Any:
    """The logistic function, written over x."""
    np.negative(x, x)
    np.exp(x, x)
    x += 1
    return np.divide(1, x, x)


class Simple:
    """``h = act(x + h W^T)``; keeps nothing but its results."""

    def __init__(self, relu: bool) -> None:
        self.relu = relu

    def step(self, x: Any, hidden: Any, h: Any, c: Any, keep: Any) -> Any:
        """The new hidden state from the input's part x and the state's part ``hidden``; ``keep`` takes what the gradient needs."""
        x = np.add(x, hidden, keep)
        return np.maximum(x, 0, x).copy() if self.relu else np.tanh(x, x).copy()

    def back(self, g: Any, keep: Any, h: Any, c: Any, gc: Any) -> tuple[Any, Any, Any, Any]:
        """Gradients by the input's part, the state's part, h directly (None: none) and c."""
        d = g * (keep > 0) if self.relu else g * (1 - keep * keep)
        return d, d, None, None


class Lstm:
    """Keeps its gates."""

    def step(self, x: Any, hidden: Any, h: Any, c: Any, keep: Any) -> Any:
        """As in Simple; c is overwritten."""
        size = c.shape[1]
        gates = np.add(x, hidden, keep)
        sigmoid_(gates[:, : 2 * size])
        cell = gates[:, 2 * size : 3 * size]
        np.tanh(cell, cell)
        sigmoid_(gates[:, 3 * size :])
        c *= gates[:, size : 2 * size]
        c += gates[:, :size] * cell
        return gates[:, 3 * size :] * np.tanh(c)

    def back(self, g: Any, keep: Any, h: Any, c: Any, gc: Any) -> tuple[Any, Any, Any, Any]:
        """As in Simple; c is the cell before the step, gc the gradient by the cell after it."""
        size = c.shape[1]
        i, f, cell, o = (keep[:, k * size : (k + 1) * size] for k in range(4))
        t = np.tanh(f * c + i * cell)
        gc = gc + g * o * (1 - t * t)
        d = np.empty_like(keep)
        d[:, :size] = gc * cell * i * (1 - i)
        d[:, size : 2 * size] = gc * c * f * (1 - f)
        d[:, 2 * size : 3 * size] = gc * i * (1 - cell * cell)
        d[:, 3 * size :] = g * t * o * (1 - o)
        return d, d, None, gc * f


class Gru:
    """Keeps its gates, and the state's part of the new gate."""

    def step(self, x: Any, hidden: Any, h: Any, c: Any, keep: Any) -> Any:
        """As in Simple."""
        size = h.shape[1]
        both = np.add(x[:, : 2 * size], hidden[:, : 2 * size], keep[:, : 2 * size])
        sigmoid_(both)
        keep[:, 3 * size :] = hidden[:, 2 * size :]
        new = np.multiply(both[:, :size], hidden[:, 2 * size :], keep[:, 2 * size : 3 * size])
        new += x[:, 2 * size :]
        np.tanh(new, new)
        return new + both[:, size:] * (h - new)

    def back(self, g: Any, keep: Any, h: Any, c: Any, gc: Any) -> tuple[Any, Any, Any, Any]:
        """As in Simple."""
        size = h.shape[1]
        r, z, new, part = (keep[:, k * size : (k + 1) * size] for k in range(4))
        dx = np.empty((len(g), 3 * size), g.dtype)
        dn = g * (1 - z) * (1 - new * new)
        dx[:, :size] = dn * part * r * (1 - r)
        dx[:, size : 2 * size] = g * (h - new) * z * (1 - z)
        dx[:, 2 * size :] = dn
        dh = dx.copy()
        dh[:, 2 * size :] *= r
        return dx, dh, g * z, None


KINDS = {"tanh": Simple(False), "relu": Simple(True), "lstm": Lstm(), "gru": Gru()}


class Recurrent(Op):
    """A layer in one direction.

    Inputs: data ``(rows, I)``, h ``(N, H)``, c ``(N, S)`` (LSTM) or None, weights ``(gates S, I)`` and ``(gates S, H)``, biases
    ``(gates S)`` or None, and the projection ``(H, S)`` or None (then H is S). Outputs: the hidden state of each row, the last h and c, and
    bits that the gradient needs: gates, and the states before each step.
    """

    names = ("data", "h", "c", "w_ih", "w_hh", "b_ih", "b_hh", "w_hr")
    outputs = ("out", "last_h", "last_c", "gates", "before_h", "before_c")

    def backward_name(self, params):
        return {"lstm": "Lstm", "gru": "Gru", "tanh": "RnnTanh", "relu": "RnnRelu"}[params["cell"]] + "Backward0"

    def eager(self, xp, data, h, c, w_ih, w_hh, b_ih, b_hh, w_hr, *, cell, sizes, reverse):
        d = data.dtype
        data, h, c, w_ih, w_hh, b_ih, b_hh, w_hr = [wide(a) for a in (data, h, c, w_ih, w_hh, b_ih, b_hh, w_hr)]
        kind, h = KINDS[cell], h.copy()
        c = np.zeros((len(h), 0), h.dtype) if c is None else c.copy()
        x = data.dot(w_ih.T)
        if b_ih is not None:
            x += b_ih
        rows = len(x)
        keep = np.empty((rows, x.shape[1] // 3 * 4 if cell == "gru" else x.shape[1]), x.dtype)
        out, before_h, before_c = (np.empty((rows, a.shape[1]), x.dtype) for a in (h, h, c))
        turned = np.ascontiguousarray(w_hh.T)
        for where, n in step_rows(sizes, reverse):
            state, memory = h[:n], c[:n]
            before_h[where], before_c[where] = state, memory
            hidden = state.dot(turned)
            if b_hh is not None:
                hidden += b_hh
            new = kind.step(x[where], hidden, state, memory, keep[where])
            if w_hr is not None:
                new = new.dot(w_hr.T)
            out[where] = new
            h[:n] = new
        results = [a.astype(d, copy=False) for a in (out, h, c)]
        return (*results, *[as_bits(a) for a in (keep, before_h, before_c)])

    def grads(self, g, needs, data, h, c, w_ih, w_hh, b_ih, b_hh, w_hr, gates, before_h, before_c, params):
        inputs = (data, h, c, w_ih, w_hh, b_ih, b_hh, w_hr)
        if modes.grad:
            return again(inputs, g[:3], needs, params)
        arrays = [None if t is None else wide(t._array) for t in (*g[:3], *inputs)]
        kept = [from_bits(t._array) for t in (gates, before_h, before_c)]
        results = through_time(*arrays, *kept, **params)
        return [
            wrap(r.astype(t._array.dtype, copy=False)) if need and r is not None else None
            for r, need, t in zip(results, needs, inputs, strict=True)
        ]


def through_time(
    g: Any, gh: Any, gc: Any, data: Any, h: Any, c: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, w_hr: Any, keep: Any,
    before_h: Any, before_c: Any, cell: str, sizes: tuple[int, ...], reverse: bool,
) -> list[Any]:  # fmt: skip
    """The gradients of Recurrent by all of its inputs, for arrays."""
    kind, gates = KINDS[cell], len(w_ih)
    gh, gc = gh.copy(), gc.copy()
    dx = np.empty((len(data), gates), g.dtype)
    dh = dx if cell != "gru" else np.empty_like(dx)
    projected = None if w_hr is None else np.zeros_like(w_hr)
    for where, n in reversed(step_rows(sizes, reverse)):
        now = gh[:n] + g[where]
        if w_hr is not None:
            projected += now.T.dot(unprojected(keep[where], before_c[where]))
            now = now.dot(w_hr)
        a, b, direct, cells = kind.back(now, keep[where], before_h[where], before_c[where], gc[:n])
        dx[where], dh[where] = a, b
        gh[:n] = b.dot(w_hh)
        if direct is not None:
            gh[:n] += direct
        if cells is not None:
            gc[:n] = cells
    bias = np.add.reduce(dx, 0)
    return [
        dx.dot(w_ih), gh, None if c is None else gc, dx.T.dot(data), dh.T.dot(before_h), bias if b_ih is not None else None,
        (bias if dh is dx else np.add.reduce(dh, 0)) if b_hh is not None else None, projected,
    ]  # fmt: skip


def unprojected(keep: Any, c: Any) -> Any:
    """The LSTM's hidden state before its projection, from its gates and the cell before the step."""
    size = c.shape[1]
    i, f, cell, o = (keep[:, k * size : (k + 1) * size] for k in range(4))
    return o * np.tanh(f * c + i * cell)


# The same in Tensor, for gradients of gradients ----------------------------------------------------------------------


def again(inputs: Any, g: Any, needs: Any, params: Any) -> list[Any]:
    """The gradients of Recurrent as tensors with a history: run its steps once more in Tensor and differentiate those."""
    outs = composed(*inputs, **params)
    wanted = [t for t, need in zip(inputs, needs, strict=True) if need]
    positions = [edge(t) for t in wanted]
    pairs = [(edge(o), go) for o, go in zip(outs, g, strict=True) if o is not None and edge(o) is not None]
    found = run_backward([e for e, _ in pairs], [go for _, go in pairs], True, True, positions)
    rest = iter([found[p] for p in positions])
    return [next(rest) if need else None for need in needs]


def composed(
    data: Any, h: Any, c: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, w_hr: Any, cell: str, sizes: tuple[int, ...], reverse: bool
) -> tuple[Any, Any, Any]:
    """The outputs (rows, last h, last c) of Recurrent in Tensor."""
    parts: dict[int, Tensor] = {}
    for where, n in step_rows(sizes, reverse):
        x = data.narrow(0, where.start, n).matmul(w_ih.t())
        hidden = h.narrow(0, 0, n).matmul(w_hh.t())
        x = x if b_ih is None else x + b_ih
        hidden = hidden if b_hh is None else hidden + b_hh
        new, memory = composed_step(cell, x, hidden, h.narrow(0, 0, n), None if c is None else c.narrow(0, 0, n))
        new = new if w_hr is None else new.matmul(w_hr.t())
        parts[where.start] = new
        rest = h._array.shape[0] - n
        h = new if not rest else Cat.bind(new, h.narrow(0, n, rest), dim=0)
        if c is not None:
            c = memory if not rest else Cat.bind(memory, c.narrow(0, n, rest), dim=0)
    return Cat.bind(*[parts[k] for k in sorted(parts)], dim=0), h, c


def composed_step(cell: str, x: Any, hidden: Any, h: Any, c: Any) -> tuple[Any, Any]:
    """The new hidden state and cell of one step in Tensor."""
    if cell in ("tanh", "relu"):
        x = x + hidden
        return (x.tanh() if cell == "tanh" else x.relu()), None
    if cell == "lstm":
        i, f, g, o = (x + hidden).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c
    size = h._array.shape[1]
    both = (x.narrow(1, 0, 2 * size) + hidden.narrow(1, 0, 2 * size)).sigmoid()
    r, z = both.narrow(1, 0, size), both.narrow(1, size, size)
    new = (x.narrow(1, 2 * size, size) + r * hidden.narrow(1, 2 * size, size)).tanh()
    return new + z * (h - new), None
