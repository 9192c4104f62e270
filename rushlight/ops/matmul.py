"""Matrix products."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from rushlight import dtypes
from rushlight.core.autograd import record, record_binary
from rushlight.core.native import converted, kernels, widened
from rushlight.core.node import new_node
from rushlight.core.op import Op, packed, run
from rushlight.core.sparse import SparseOperand
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, edge, wrap
from rushlight.dtypes import FLOATS
from rushlight.errors import DTypeError, ShapeError
from rushlight.ops.arithmetic import conj
from rushlight.ops.reduce import Sum

FEW = 4096  # products of integers that BLAS would not make faster
LARGE = 1 << 16  # elements of an operand, from which on kernels compute products


def same_dtype(name: str, x: Any, y: Any, which: str = "both tensors") -> None:
    """Products do not promote."""
    if x.dtype != y.dtype:
        a, b = dtypes.of[x.dtype].name, dtypes.of[y.dtype].name
        whole = [d for d in (x.dtype, y.dtype) if d in dtypes.INTEGER_TYPES or d == dtypes.bool_]
        fix = f"the {dtypes.of[whole[0]].name} one with .float()" if whole else "one with .to()"
        raise DTypeError(
            f"{name}: expected {which} to have the same dtype, but got {a} and {b}; convert {fix}."
        )


def product(x: Any, y: Any) -> Any:
    """``x @ y`` for arrays of one dtype; halves are computed in float32."""
    d = x.dtype
    if d in dtypes.HALVES:
        return converted(widened(x) @ widened(y), d)
    dtypes.computed_with("matmul", d)
    if d in dtypes.INTEGER_TYPES and x.size * y.shape[-1] > FEW and y.size:
        return whole_product(x, y)
    if x.ndim == 2 and y.ndim == 2:
        return x.dot(y)
    return x @ y


def stacked(x: Any, y: Any) -> Any:
    """Products of as many matrices x as y. NumPy multiplies two alone in half the time."""
    if len(x) == 1:
        out = np.empty((1, x.shape[1], y.shape[2]), x.dtype)
        x[0].dot(y[0], out[0])
        return out
    return packed(np.matmul(x, y))


SINGLE = 1 << 13  # integers that are tried in float32 first


def suits_dot(x: Any, y: Any) -> bool:
    """Whether arrays are few integers, which NumPy multiplies as they are."""
    return x.dtype is dtypes.int64 and x.size * y.shape[-1] <= FEW


def whole_product(x: Any, y: Any) -> Any:
    """``x @ y`` of integers: by BLAS where floats hold every sum exactly."""
    few = x.size + y.size <= SINGLE
    for d, most in ((dtypes.float32, 2.0**46), (dtypes.float64, 2.0**104))[not few :]:
        a, b = x.astype(d), y.astype(d)
        squares = a.ravel().dot(a.ravel()) * b.ravel().dot(b.ravel())  # no sum is above their root
        if squares < most:
            break
    else:
        if largest(a) * largest(b) * x.shape[-1] >= 2**53:
            return x @ y
    whole = (a.dot(b) if a.ndim == b.ndim == 2 else a @ b).astype(np.int64)
    return whole if x.dtype is dtypes.int64 else whole.astype(x.dtype)


def largest(x: Any) -> float:
    """The largest distance from 0."""
    return max(x.item(x.argmax()), -x.item(x.argmin()))


def unfit(a: tuple[int, ...], b: tuple[int, ...]) -> ShapeError:
    """Why a product of these shapes does not exist."""
    k, n = a[-1], b[-2] if len(b) > 1 else b[0]
    if k != n:
        reason = (
            f"the first's last size ({k}) must equal the second's "
            f"{'first' if len(b) < 3 else 'second last'} ({n}). Transpose one?"
        )
    else:
        reason = f"their batches {a[:-2]} and {b[:-2]} cannot be broadcast."
    return ShapeError(
        f"matmul: cannot multiply {a} by {b} (mat1 and mat2 shapes cannot be multiplied); {reason}"
    )


def rows(x: Any) -> Any:
    """A batch of matrices as one matrix."""
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


class Matmul(Op):
    """Matrix product of the last two dims, broadcasting the others; vectors as ``torch.matmul``."""

    fits = True
    label = "Mm"
    precision = "lower"
    compiled = True
    least = LARGE

    def node_name(self, params, specs):
        """As torch's decomposition ends: a vector, a matrix, a batch, or a folded batch."""
        if params is BATCHED:
            return "BmmBackward0"
        dims = tuple(len(shape) for shape, _ in specs) if specs else (2, 2)
        names: dict[Any, str] = {(1, 1): "Dot", (2, 1): "Mv", (2, 2): "Mm"}
        if dims == (1, 2):
            return "SqueezeBackward4"
        return names.get(dims, "UnsafeView") + "Backward0"

    def eager(self, xp, input, other):
        same_dtype("matmul", input, other)
        if not input.ndim or not other.ndim:
            raise ShapeError(
                "matmul: both arguments to matmul need to be at least 1D, but they are "
                f"{input.ndim}D and {other.ndim}D; use * instead."
            )
        if input.dtype == np.bool_:
            raise DTypeError(
                "matmul: bool tensors cannot be multiplied; convert them with .int() or .float()."
            )
        try:
            return packed(product(input, other))
        except ValueError as error:
            raise unfit(input.shape, other.shape) from error

    def forward(self, arrays, params):
        """As ``Op.forward``, where the second operand is the large one too."""
        x, y = arrays
        if x.size < self.least <= y.size and x.ndim and len(x) > 1 and kernels.on:
            out = kernels.find(self, arrays, params)
            if out is not None:
                return out
        return super().forward(arrays, params)

    def grad_input(self, g, other, input_spec):
        other = conj(other)
        if other.ndim == 1:
            return g.unsqueeze(-1) * other
        if len(input_spec[0]) == 1:
            gx = Matmul.bind(other, g.unsqueeze(-1)).squeeze(-1)  # (..., k)
            return gx
        return Matmul.bind(g, other.transpose(-2, -1))

    def grad_other(self, g, input, other_spec):
        input = conj(input)
        if input.ndim == 1:
            return g * input if len(other_spec[0]) == 1 else input.unsqueeze(-1) * g.unsqueeze(-2)
        if len(other_spec[0]) == 1:
            return Matmul.bind(input.transpose(-2, -1), g.unsqueeze(-1)).squeeze(-1)
        if len(other_spec[0]) == 2:  # one product, not the sum of one for each matrix of the batch
            input, g = rows(input), rows(g)
        return Matmul.bind(input.transpose(-2, -1), g)

    def make_bind(self) -> Callable[..., Any]:
        op = self

        def bind(a: Tensor, b: Tensor) -> Tensor:
            x, y = a._array, b._array
            if (
                state.busy
                or not 0 < x.ndim < 4
                or not 0 < y.ndim < 4
                or x.dtype is not y.dtype
                or not (x.dtype in FLOATS or suits_dot(x, y))
                or type(x) is not ndarray
                or ((x.size >= op.least or (y.size >= op.least and len(x) > 1)) and kernels.on)
            ):
                return run(op, (a, b), {})
            try:
                if x.ndim < 3 and y.ndim < 3:
                    out = x.dot(y)  # a third of the overhead of @
                else:
                    out = packed(np.matmul(x, y))
            except (ValueError, SparseOperand):
                return run(op, (a, b), {})
            t = wrap(out if type(out) is ndarray else np.asarray(out))
            if (a._tracked or b._tracked) and modes.grad:
                if x.ndim == y.ndim == 2:
                    record_binary(op, a, b, t)
                else:
                    record(op, (a, b), t, {})
            return t

        return bind


BATCHED: dict[str, Any] = {}  # the params of a product by bmm: its node has another name


def batched_product(input: Tensor, mat2: Tensor) -> Any:
    """``Matmul`` of two batches of matrices, as ``bmm``."""
    x, y, op = input._array, mat2._array, Matmul.instance
    small = x.size < op.least > y.size and x.dtype is y.dtype and x.dtype in FLOATS
    if state.busy or not small or x.shape[2] != y.shape[1]:
        return run(op, (input, mat2), BATCHED)
    try:
        t = wrap(stacked(x, y))
    except SparseOperand:
        return run(op, (input, mat2), BATCHED)
    if (input._tracked or mat2._tracked) and modes.grad:
        record(op, (input, mat2), t, BATCHED)
    return t


class Linear(Op):
    """``input @ weight.T + bias`` for input ``(*, in)``, weight ``(out, in)`` and bias ``(out,)``:
    one node, the bias added in place.
    """

    label = "Addmm"
    precision = "lower"
    compiled = True
    least = LARGE
    edge_order = (2, 0, 1)

    def node_name(self, params, specs):
        """A batch is folded into a matrix, and viewed as a batch again."""
        return "ViewBackward0" if specs and len(specs[0][0]) != 2 else "AddmmBackward0"

    def eager(self, xp, input, weight, bias):
        same_dtype("linear", input, weight, "input and weight")
        same_dtype("linear", input, bias, "input and bias")
        if weight.ndim != 2 or not input.ndim or input.shape[-1] != weight.shape[1]:
            raise ShapeError(
                f"linear: cannot multiply {input.shape} by the weight {weight.shape} transposed "
                "(mat1 and mat2 shapes cannot be multiplied); the input's last size must be the "
                f"layer's in_features, {weight.shape[-1]}."
            )
        if input.dtype in dtypes.HALVES:
            wide = [widened(a) for a in (input, weight, bias)]
            return converted(self.eager(xp, *wide), input.dtype)
        out = rows(input).dot(weight.T)
        out += bias
        return out.reshape(*input.shape[:-1], weight.shape[0])

    def grad_input(self, g, weight):
        return Matmul.bind(g, conj(weight))

    def grad_weight(self, g, input):
        return Matmul.bind(rows(g).t(), conj(rows(input)))

    def grad_bias(self, g):
        return Sum.bind(g, tuple(range(g.ndim - 1)))

    def make_bind(self) -> Callable[..., Any]:
        op = self

        def bind(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
            a, v, c = x._array, w._array, b._array
            d = a.dtype
            if (
                state.busy
                or a.ndim != 2
                or d is not v.dtype
                or d is not c.dtype
                or d not in FLOATS
                or type(a) is not ndarray
                or (a.size >= op.least and kernels.on)
            ):
                return run(op, (x, w, b), {})
            try:
                out = a.dot(v.T)
            except (ValueError, SparseOperand):
                return run(op, (x, w, b), {})
            out += c
            t = wrap(out)
            if (x._tracked or w._tracked or b._tracked) and modes.grad:
                self.record_linear(x, w, b, t)
            return t

        return bind

    def record_linear(self, x: Tensor, w: Tensor, b: Tensor, t: Tensor) -> None:
        """``record`` for matrices."""
        ex = edge(x) if x._tracked else None
        ew = edge(w) if w._tracked else None
        eb = edge(b) if b._tracked else None
        if ex is None and ew is None and eb is None:
            record(self, (x, w, b), t)
            return
        n = t._node = new_node(self, (ex, ew, eb))
        t._tracked = True
        keep_x, keep_w = ew is not None, ex is not None
        n.saved = (x if keep_x else None, w if keep_w else None, None, None)
        n.versions = (
            x._counter.value if keep_x else None,
            w._counter.value if keep_w else None,
            None,
            None,
        )
