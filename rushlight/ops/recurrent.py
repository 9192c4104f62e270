"""Recurrent layers: one direction over a whole batch of sequences, as one op.

The rows of `input` are what the input contributes at each step, the steps one after the other;
`sizes` says how many rows each step has. With as many rows at each step these are sequences of one
length; with fewer at later steps they are packed, longest first (Note [Packed] in nn/utils/rnn.py).
Step t works on the first ``sizes[t]`` rows of the state, so that in the end the state holds the
last value of every sequence, in both directions.

The arrays are looped over directly. When a gradient is itself recorded, the layer is computed again
in Tensor, step by step, and that is differentiated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any

import numpy as np

from rushlight.core.engine import run_backward, start
from rushlight.core.native import widened
from rushlight.core.op import Op
from rushlight.core.state import GradMode, modes
from rushlight.core.tensor import Tensor, edge
from rushlight.ops.copy import Cast
from rushlight.ops.join import Cat
from rushlight.ops.matmul import Linear

State = tuple[Tensor, ...]
Step = Callable[[Tensor, State, Tensor, Any], State]

# -- one step, in Tensor -------------------------------------------------------------------------


def hidden(h: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What the state contributes to the gates."""
    return h @ weight.t() if bias is None else Linear.bind(h, weight, bias)


def tanh_step(x: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
    """``h' = tanh(x + W h + b)``."""
    return ((x + hidden(state[0], weight, bias)).tanh(),)


def relu_step(x: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
    """``h' = relu(x + W h + b)``."""
    return ((x + hidden(state[0], weight, bias)).relu(),)


def gru_step(x: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
    """Reset r, update z, new n: ``h' = (1 - z) n + z h``."""
    (h,) = state
    rx, zx, nx = x.chunk(3, -1)
    rh, zh, nh = hidden(h, weight, bias).chunk(3, -1)
    z = (zx + zh).sigmoid()
    n = (nx + (rx + rh).sigmoid() * nh).tanh()
    return (n + z * (h - n),)


def lstm_step(x: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
    """Input i, forget f, cell g, output o: ``c' = f c + i g``, ``h' = o tanh(c')``."""
    h, c = state
    i, f, g, o = (x + hidden(h, weight, bias)).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def scan(
    step: Step,
    inputs: Tensor,
    state: State,
    weight: Tensor,
    bias: Tensor | None,
    sizes: list[int],
    reverse: bool,
) -> tuple[Tensor, State]:
    """Run `step` over all steps, in Tensor: the outputs, row by row, and the last state."""
    outputs: list[Any] = [None] * len(sizes)
    for t, begin, end in windows(sizes, reverse):
        n = end - begin
        fresh = step(inputs[begin:end], tuple([s[:n] for s in state]), weight, bias)
        outputs[t] = fresh[0]
        whole = n == state[0]._array.shape[0]
        state = (
            fresh if whole else tuple([join(a, s[n:]) for a, s in zip(fresh, state, strict=True)])
        )
    return join(*outputs), state


def join(*parts: Tensor) -> Tensor:
    """Rows below rows."""
    return Cat.bind(*parts, dim=0)


def windows(sizes: list[int], reverse: bool) -> Iterator[tuple[int, int, int]]:
    """Each step with its first row and the one behind its last, in order of time or against it."""
    ends = list(accumulate(sizes))
    steps = list(zip(range(len(sizes)), [0, *ends[:-1]], ends, strict=True))
    return iter(reversed(steps) if reverse else steps)


# -- whole layers, on arrays ---------------------------------------------------------------------


def sigmoid_(x: np.ndarray) -> np.ndarray:
    """The logistic sigmoid, in place."""
    np.negative(x, x)
    np.exp(x, x)
    x += 1
    return np.reciprocal(x, x)


class Recurrent(Op, abstract=True):
    """What the layers share. Inputs: input, weight (gates, H), bias or None, the first state."""

    compiled = True
    precision = "lower"
    step: Any

    def kernel(
        self, input: Any, weight: Any, bias: Any, states: Any, sizes: Any, reverse: Any
    ) -> Any:
        """The outputs for arrays of one wide dtype; those to save for backward come last."""
        raise NotImplementedError

    def forward_arrays(
        self, input: Any, weight: Any, bias: Any, states: Any, sizes: Any, reverse: Any
    ) -> Any:
        d = input.dtype
        first = [widened(s) for s in states]
        made = self.kernel(widened(input), widened(weight), widened(bias), first, sizes, reverse)
        count = 1 + len(states)  # what the user sees
        return (*[a.astype(d, copy=False) for a in made[:count]], *made[count:])

    def recorded(self, g: list[Any], inputs: list[Any], params: dict[str, Any]) -> list[Any]:
        """The gradients in Tensor, from the layer computed again step by step."""
        x, weight, bias, *state = inputs
        where = [None if t is None else edge(t) for t in inputs]
        with GradMode(True):
            out, last = scan(self.step, x, tuple(state), weight, bias, **params)
        reached = [(o, h) for o, h in zip((out, *last), g, strict=False) if edge(o)]
        roots = start(*zip(*reached, strict=True))
        found = run_backward(*roots, True, modes.grad, [e for e in where if e is not None])
        return [None if e is None else found.get(e) for e in where]

    def finished(
        self,
        needs: Any,
        inputs: list[Any],
        dz: Tensor,
        inner: Tensor,
        before: Tensor,
        states: list[Tensor],
    ) -> list[Any]:
        """The gradients in the inputs' dtypes, from those of the gates (of what the input and the
        state contribute) and of the first states. That of the weight is one product for all steps.
        """
        grads: list[Any] = [dz, None, None, *states]
        if needs[1]:
            grads[1] = inner.t() @ before
        if needs[2] and inputs[2] is not None:
            grads[2] = inner.sum(0)
        out: list[Any] = []
        for need, t, g in zip(needs, inputs, grads, strict=True):
            if not need or g is None:
                out.append(None)
            else:
                d = t._array.dtype
                out.append(g if g._array.dtype == d else Cast.bind(g, dtype=d))
        return out


class _Simple(Recurrent, abstract=True):
    """``h' = f(x + W h + b)``. Outputs: the states row by row, the last, those before each step."""

    outputs = ("out", "last", "before")
    gradient: Any

    def activate(self, z: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def eager(self, xp, input, weight, bias, h, *, sizes, reverse):
        return self.forward_arrays(input, weight, bias, (h,), sizes, reverse)

    def kernel(self, x, weight, bias, states, sizes, reverse):
        h = states[0].copy()
        out, before = np.empty((2, x.shape[0], h.shape[1]), x.dtype)
        turned = np.ascontiguousarray(weight.T)
        for _, begin, end in windows(sizes, reverse):
            now = h[: end - begin]
            before[begin:end] = now
            z = now.dot(turned)
            z += x[begin:end]
            if bias is not None:
                z += bias
            now[:] = out[begin:end] = self.activate(z)
        return out, h, before

    def grads(self, g, needs, input, weight, bias, h, out, before, params):
        inputs = [input, weight, bias, h]
        if modes.grad:
            return self.recorded(g, inputs, params)
        dz, dh = self.gradient.bind(*g[:2], weight, out, **params)
        return self.finished(needs, inputs, dz, dz, before, [dh])


class _SimpleGrad(Op, abstract=True):
    """Gradients of the gates and of the first state."""

    compiled = True
    outputs = ("dz", "dh")

    def slope(self, h: np.ndarray) -> Any:
        """The activation's derivative, from its result."""
        raise NotImplementedError

    def eager(self, xp, g_out, g_last, weight, out, *, sizes, reverse):
        g_out = widened(g_out)
        w = widened(weight)
        dz = self.slope(widened(out))
        dh = widened(g_last).copy()
        for _, begin, end in windows(sizes, not reverse):
            now = dh[: end - begin]
            now += g_out[begin:end]
            dz[begin:end] *= now
            now[:] = dz[begin:end].dot(w)
        return dz, dh


class RNNTanhGrad(_SimpleGrad):
    """The gradient of ``RNNTanh``."""

    def slope(self, h):
        return 1 - h * h


class RNNReluGrad(_SimpleGrad):
    """The gradient of ``RNNRelu``."""

    def slope(self, h):
        return (h > 0).astype(h.dtype)


class RNNTanh(_Simple):
    """``h' = tanh(x + W h + b)``."""

    step = staticmethod(tanh_step)
    gradient = RNNTanhGrad

    def activate(self, z):
        return np.tanh(z, z)


class RNNRelu(_Simple):
    """``h' = relu(x + W h + b)``."""

    step = staticmethod(relu_step)
    gradient = RNNReluGrad

    def activate(self, z):
        return np.maximum(z, 0, out=z)


class GRU(Recurrent):
    """Gated recurrent unit.

    Outputs: the states row by row, the last, those before each step, the gates r, z and n, and what
    the state contributes to n before r multiplies it.
    """

    outputs = ("out", "last", "before", "gates", "new")
    step = staticmethod(gru_step)

    def eager(self, xp, input, weight, bias, h, *, sizes, reverse):
        return self.forward_arrays(input, weight, bias, (h,), sizes, reverse)

    def kernel(self, x, weight, bias, states, sizes, reverse):
        h = states[0].copy()
        H = h.shape[1]
        out, before, new = np.empty((3, x.shape[0], H), x.dtype)
        gates = np.empty_like(x)
        turned = np.ascontiguousarray(weight.T)
        for _, begin, end in windows(sizes, reverse):
            now = h[: end - begin]
            before[begin:end] = now
            z = now.dot(turned)
            if bias is not None:
                z += bias
            new[begin:end] = z[:, 2 * H :]
            a = gates[begin:end]
            np.add(z, x[begin:end], a)
            sigmoid_(a[:, : 2 * H])
            n = a[:, :H] * z[:, 2 * H :]
            n += x[begin:end, 2 * H :]
            a[:, 2 * H :] = np.tanh(n, n)
            now -= n
            now *= a[:, H : 2 * H]
            now += n
            out[begin:end] = now
        return out, h, before, gates, new

    def grads(self, g, needs, input, weight, bias, h, before, gates, new, params):
        inputs = [input, weight, bias, h]
        if modes.grad:
            return self.recorded(g, inputs, params)
        dz, inner, dh = GRUGrad.bind(*g[:2], weight, before, gates, new, **params)
        return self.finished(needs, inputs, dz, inner, before, [dh])


class GRUGrad(Op):
    """The gradient of ``GRU``: of the gates by the input, by the state, and of the first state."""

    compiled = True
    outputs = ("dz", "inner", "dh")

    def eager(self, xp, g_out, g_last, weight, before, gates, new, *, sizes, reverse):
        g_out, w, dh = widened(g_out), widened(weight), widened(g_last).copy()
        H = new.shape[1]
        r, z, n = gates[:, :H], gates[:, H : 2 * H], gates[:, 2 * H :]
        # the gates' gradients are these factors times dh
        dz = np.empty_like(gates)
        dz[:, H : 2 * H] = (before - n) * z * (1 - z)
        dz[:, 2 * H :] = (1 - z) * (1 - n * n)
        dz[:, :H] = dz[:, 2 * H :] * new * r * (1 - r)
        inner = dz.copy()  # of what the state contributes: n's passes through r
        inner[:, 2 * H :] *= r
        for _, begin, end in windows(sizes, not reverse):
            now = dh[: end - begin]
            now += g_out[begin:end]
            every = np.tile(now, 3)
            dz[begin:end] *= every
            inner[begin:end] *= every
            now *= z[begin:end]
            now += inner[begin:end].dot(w)
        return dz, inner, dh


class LSTM(Recurrent):
    """Long short-term memory.

    Outputs: h row by row, the last h and c, h and c before each step, the gates i, f, g and o, and
    tanh(c) after each step.
    """

    outputs = ("out", "last_h", "last_c", "before", "cells", "gates", "squashed")
    step = staticmethod(lstm_step)

    def eager(self, xp, input, weight, bias, h, c, *, sizes, reverse):
        return self.forward_arrays(input, weight, bias, (h, c), sizes, reverse)

    def kernel(self, x, weight, bias, states, sizes, reverse):
        h, c = (s.copy() for s in states)
        H = h.shape[1]
        out, before, cells, squashed = np.empty((4, x.shape[0], H), x.dtype)
        gates = np.empty_like(x)
        turned = np.ascontiguousarray(weight.T)
        for _, begin, end in windows(sizes, reverse):
            now, cell, a = h[: end - begin], c[: end - begin], gates[begin:end]
            before[begin:end] = now
            cells[begin:end] = cell
            np.add(now.dot(turned), x[begin:end], a)
            if bias is not None:
                a += bias
            new = np.tanh(a[:, 2 * H : 3 * H])
            sigmoid_(a)
            a[:, 2 * H : 3 * H] = new
            cell *= a[:, H : 2 * H]
            new *= a[:, :H]
            cell += new
            s = np.tanh(cell, squashed[begin:end])
            np.multiply(s, a[:, 3 * H :], now)
            out[begin:end] = now
        return out, h, c, before, cells, gates, squashed

    def grads(self, g, needs, input, weight, bias, h, c, before, cells, gates, squashed, params):
        inputs = [input, weight, bias, h, c]
        if modes.grad:
            return self.recorded(g, inputs, params)
        dz, dh, dc = LSTMGrad.bind(*g[:3], weight, cells, gates, squashed, **params)
        return self.finished(needs, inputs, dz, dz, before, [dh, dc])


class LSTMGrad(Op):
    """The gradient of ``LSTM``: of the gates and of the first states."""

    compiled = True
    outputs = ("dz", "dh", "dc")

    def eager(self, xp, g_out, g_h, g_c, weight, cells, gates, squashed, *, sizes, reverse):
        g_out, w, s = widened(g_out), widened(weight), squashed
        dh, dc = widened(g_h).copy(), widened(g_c).copy()
        H = s.shape[1]
        i, f, n, o = (gates[:, k * H : (k + 1) * H] for k in range(4))
        # the gates' gradients are these factors times dc, and dh for o
        dz = gates * (1 - gates)
        dz[:, :H] *= n
        dz[:, H : 2 * H] *= cells
        dz[:, 2 * H : 3 * H] = i * (1 - n * n)
        dz[:, 3 * H :] *= s
        through = o * (1 - s * s)
        for _, begin, end in windows(sizes, not reverse):
            now, cell, a = dh[: end - begin], dc[: end - begin], dz[begin:end]
            now += g_out[begin:end]
            cell += now * through[begin:end]
            a[:, : 3 * H] *= np.tile(cell, 3)
            a[:, 3 * H :] *= now
            cell *= f[begin:end]
            now[:] = a.dot(w)
        return dz, dh, dc


LAYERS: dict[str, Any] = {"RNN_TANH": RNNTanh, "RNN_RELU": RNNRelu, "GRU": GRU, "LSTM": LSTM}
