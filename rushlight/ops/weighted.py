"""Weighted sums of tensors: lerp, addcmul, addcdiv."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.elementwise import Elementwise
from rushlight.core.native import kernels
from rushlight.core.ready import is_number, ready_for
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, bump
from rushlight.dtypes import NUMBERS
from rushlight.errors import DTypeError
from rushlight.ops.arithmetic import conj
from rushlight.ops.copy import ORDINARY, expect_factor, expect_fit
from rushlight.ops.math import floating_only


def fast_update(op: Any, general: Any, store: Any) -> Any:
    """``update`` when no operand broadcasts or differs in dtype and nothing is recorded or shared.

    Without kernels ``store(x, *others, **params)`` writes into arrays x, or returns False; then,
    and for all other operands, ``general`` is called.
    """

    def update(x: Tensor, *others: Any, **params: Any) -> Any:
        a = x._array
        d, recording = a.dtype, modes.grad
        if state.busy or a.base is not None or d not in dtypes.FLOATS or type(a) is not np.ndarray:
            return general(x, *others, **params)
        if not a.ndim or not a.flags.carray or (recording and x._tracked):
            return general(x, *others, **params)
        arrays: list[Any] = []
        key: list[Any] = [d]
        for t in others:
            if isinstance(t, Tensor):
                b = t._array
                if b.dtype is not d or b.shape != a.shape or b.base is not None:
                    return general(x, *others, **params)
                if (recording and t._tracked) or not b.flags.carray:
                    return general(x, *others, **params)
                t = b
            elif not is_number(t):
                return general(x, *others, **params)
            arrays.append(t)
            key.append(d if t.__class__ is np.ndarray else None)
        if kernels.on:
            ready, values = ready_for(op.ready, key, params)
            if ready is None or ready.dtype is not d or not 0 < a.size <= ready.most:
                return general(x, *others, **params)
            ready.overwrite(a, (a, *arrays), values, a.size)
        elif arrays[0].__class__ is not np.ndarray or not store(a, *arrays, **params):
            return general(x, *others, **params)
        bump(x)
        return x

    return update


class Lerp(Elementwise):
    """``start + weight * (end - start)``. Shape: broadcast of the three."""

    def scalar(self, s, start, end, weight):
        return s.where(
            s.abs(weight) < 0.5, start + weight * (end - start), end - (end - start) * (1 - weight)
        )

    def eager(self, xp, start, end, weight):
        if isinstance(weight, np.ndarray) and weight.ndim:
            return self.scalar(xp, start, end, weight)
        step = end - start
        near = abs(weight) < 0.5
        factor = weight if near else 1 - weight
        step = step * factor_of(factor, step)
        return start + step if near else end - step

    def make_update(self):
        return fast_update(self, super().make_update(), self._write)

    def _write(self, x: Any, end: Any, weight: Any) -> bool:
        """Into x, when that is simple."""
        if weight.__class__ is not float:
            return False
        step = end - x
        near = abs(weight) < 0.5
        step *= np.array(weight if near else 1 - weight, step.dtype)
        if near:
            np.add(x, step, x)
        else:
            np.subtract(end, step, x)
        return True

    def grad_start(self, g, weight):
        return g * conj(1 - weight)

    def grad_end(self, g, weight):
        return g * conj(weight)

    def grad_weight(self, g, start, end):
        return g * conj(end - start)


class Blend(Elementwise):
    """``running * (1 - weight) + new * weight``, which leaves what is infinite so."""

    def scalar(self, s, running, new, *, weight):
        return running * (1 - weight) + new * weight


class Addcmul(Elementwise):
    """``input + value * tensor1 * tensor2``. Shape: broadcast of the three."""

    def scalar(self, s, input, tensor1, tensor2, *, value):
        if input.dtype.kind in "iu":
            value = number_for(input.dtype, value)
        return input + value * tensor1 * tensor2  # rounded in torch's order

    def spelled(self, input, tensor1, tensor2, *, value):
        return input + value * tensor1 * tensor2

    def eager(self, xp, input, tensor1, tensor2, *, value):
        return input + times(value, tensor1) * tensor2

    direct = True

    def forward(self, arrays, params):
        value = number_for(self.compute_dtype(arrays), params["value"])
        return super().forward(arrays, {"value": value})

    def make_update(self):
        return fast_update(self, super().make_update(), self._write)

    def _write(self, x: Any, tensor1: Any, tensor2: Any, value: Any = 1) -> bool:
        """Into x, when that is simple."""
        if tensor2.__class__ is not np.ndarray or value.__class__ not in NUMBERS:
            return False
        np.add(x, times(value, tensor1) * tensor2, x)
        return True

    def grad_input(self, g):
        return g

    def grad_tensor1(self, g, tensor2, value):
        return g * conj(tensor2 * value)

    def grad_tensor2(self, g, tensor1, value):
        return g * conj(tensor1 * value)


class Addcdiv(Elementwise):
    """``input + value * tensor1 / tensor2``. Shape: broadcast of the three."""

    def scalar(self, s, input, tensor1, tensor2, *, value):
        return input + value * tensor1 / tensor2  # rounded in torch's order

    def spelled(self, input, tensor1, tensor2, *, value):
        return input + value * tensor1 / tensor2

    def eager(self, xp, input, tensor1, tensor2, *, value):
        return input + times(value, tensor1) / tensor2

    def compute_dtype(self, arrays):
        floating_only(
            super().compute_dtype(arrays[1:]),
            "addcdiv: integer division with addcdiv is no longer supported;",
        )
        return super().compute_dtype(arrays)

    def make_update(self):
        return fast_update(self, super().make_update(), self._write)

    def _write(self, x: Any, tensor1: Any, tensor2: Any, value: Any = 1) -> bool:
        """Into x, when that is simple."""
        if tensor2.__class__ is not np.ndarray or value.__class__ not in NUMBERS:
            return False
        np.add(x, times(value, tensor1) / tensor2, x)
        return True

    def grad_input(self, g):
        return g

    def grad_tensor1(self, g, tensor2, value):
        return g * conj(value / tensor2)

    def grad_tensor2(self, g, tensor1, tensor2, value):
        return -g * conj(value * tensor1 / (tensor2 * tensor2))


def factor_of(value: Any, x: Any) -> Any:
    """A number as a 0-dim array of the dtype of floats x: NumPy takes twice as long with a Python
    number, and takes over the dtype of its own.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value.__class__ is float and x.dtype in dtypes.FLOATS:
        if not -ORDINARY < value < ORDINARY:
            expect_fit(value, x.dtype)
        return np.array(value, x.dtype)
    return value


def times(value: Any, x: Any) -> Any:
    """``value x``, which is x itself for 1."""
    return x if value == 1 else x * factor_of(value, x)


def number_for(d: Any, value: Any) -> Any:
    """The factor ``value`` of a computation in dtype d: for integers without its fraction. One that
    is out of the range of what is computed in raises.
    """
    if value.__class__ is complex and d not in dtypes.COMPLEX_TYPES:
        raise DTypeError(
            f"argument value must not be complex for {dtypes.of[d].name}; convert the tensors."
        )
    if d in dtypes.INTEGER_TYPES:
        expect_fit(value, d)
        return int(value) if value >= 0 or d.kind == "i" else int(value) % 256**d.itemsize
    expect_factor(value, dtypes.float32 if d in dtypes.HALVES else d)
    return bool(value) if d is dtypes.bool_ else value
