"""What ordinary ops do where an operand is sparse: see Note [Sparse operands].

A rule takes the op's tensors and parameters and composes what ``entries`` and ``products`` have, so
gradients need no rules of their own. Here are the table of rules and in-place operations;
``elementwise`` and ``structure`` fill the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from rushlight import dtypes
from rushlight.core.autograd import any_needs_grad
from rushlight.core.op import Op
from rushlight.core.refusals import check_store
from rushlight.core.sparse import SparseArray, rules
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor, written
from rushlight.errors import NotSupportedError, ShapeError
from rushlight.ops import arithmetic, copy
from rushlight.ops.create import zeros
from rushlight.ops.sparse.entries import assembled, coalesced, dense_of, spread
from rushlight.ops.sparse.pattern import Coordinates

RULES: dict[type[Op], Callable[..., Any]] = {}


def rule(*ops: type[Op]) -> Callable[[Any], Any]:
    """Decorator: what these ops do, given the op, its inputs and parameters."""

    def register(function: Any) -> Any:
        RULES.update(dict.fromkeys(ops, function))
        return function

    return register


def apply(op: Op, inputs: Any, params: dict[str, Any]) -> Any:
    """An op some of whose inputs are sparse."""
    found = RULES.get(type(op))
    if found is None:
        unsupported(op, inputs)
    return found(op, *inputs, **params)


def unsupported(op: Op, inputs: Any) -> NoReturn:
    """There is no rule."""
    layouts = [str(layout_of(t)) for t in inputs if isinstance(t, Tensor)]
    raise NotSupportedError(
        f"{type(op).__name__.lower()} has no version for tensors of the layouts "
        f"({', '.join(layouts)}): convert the sparse ones with .to_dense(), or compute with their "
        ".coalesce().values()."
    )


def is_sparse(t: Any) -> bool:
    """Whether t is a sparse tensor."""
    return isinstance(t, Tensor) and t._array.__class__ is SparseArray


def layout_of(t: Tensor) -> Any:
    """The layout of a tensor."""
    return t._array.pattern.layout if is_sparse(t) else "torch.strided"


def node_label(op: Op) -> str:
    """What the node of an op is called, without its ending."""
    return op.backward_name(None).removesuffix("Backward0")


def distinct(x: Tensor) -> Tensor:
    """x with every place once, in its layout."""
    return coalesced(x) if isinstance(x._array.pattern, Coordinates) else x


def same_shape(name: str, a: Tensor, b: Tensor) -> None:
    """Sparse operands do not broadcast."""
    if a._array.shape != b._array.shape:
        raise ShapeError(
            f"{name}: expected sparse tensors of the same shape, but got {tuple(a._array.shape)} "
            f"and {tuple(b._array.shape)}; sparse operands do not broadcast."
        )


# In place


def write(op: Op, x: Tensor, others: tuple[Any, ...], params: dict[str, Any]) -> Tensor:
    """x <- op(x, *others), where x or others are sparse; ``core.inplace.write`` has checked x."""
    if modes.trace is not None:
        modes.trace.fail("it writes to sparse tensors, or adds them in place")
    if not is_sparse(x):
        return write_dense(op, x, others, params)
    if isinstance(op, copy.Fill):
        result = filled(op, x, params["value"])
    elif isinstance(op, copy.Copy):
        (src,) = others
        refuse_copy(x, src)
        result = src.to(dtypes.of[x._array.dtype]).clone()
    else:
        result = apply(op, (x, *others), params)
    if not is_sparse(result):
        unsupported(op, (x, *others))
    check_store(type(op).__name__, x._array, result._array)
    if result._array.dtype != x._array.dtype:
        result = result.to(dtypes.of[x._array.dtype])
    x._array.become(result._array)
    written(x)
    if result._node is not None:
        x._node, x._tracked, x._wants_grad = result._node, True, False
    return x


def filled(op: Op, x: Tensor, value: Any) -> Tensor:
    """No entries: what zero_() leaves."""
    if value != 0:
        unsupported(op, (x,))
    a = x._array
    values = zeros((0, *a.values.shape[1:]), a.dtype)
    return assembled(values, a.pattern.without_entries(), "Zero")


def refuse_copy(x: Tensor, src: Any) -> None:
    """RuntimeError unless both are sparse or both are dense."""
    if is_sparse(x) != is_sparse(src):
        raise ShapeError(
            "copy_() between dense and sparse Tensors is not implemented: convert the source with "
            ".to_dense() or .to_sparse()."
        )
    same_shape("copy_", x, src)


ADDING: dict[Any, float] = {arithmetic.Add: 1, arithmetic.AddScaled: 1, arithmetic.Sub: -1}


def write_dense(op: Op, x: Tensor, others: tuple[Any, ...], params: dict[str, Any]) -> Tensor:
    """A dense x; a sparse addend touches its own places only."""
    if isinstance(op, copy.Copy):
        refuse_copy(x, others[0])
    sign, a = ADDING.get(type(op)), x._array
    if sign is None and not isinstance(op, arithmetic.Mul):
        unsupported(op, (x, *others))
    recording = modes.grad and any_needs_grad((x, *others))
    if sign is None or recording or not a.flags.c_contiguous or a.shape != others[0]._array.shape:
        dense = [dense_of(t) if is_sparse(t) else t for t in others]
        return op.update(x, *dense, **params)
    s = others[0]._array
    if dtypes.CATEGORY[s.dtype] > dtypes.CATEGORY[a.dtype]:
        check_store(type(op).__name__, a, s)
    factor, values = sign * params.get("alpha", 1), s.values
    if factor != 1:  # in the dtype of the sum, which may hold what the addend's does not
        d = dtypes.promote(a.dtype, s.dtype)
        values = values.astype(d) * np.asarray(factor).astype(d)
    spread(a, s.pattern, values)
    written(x)
    return x


rules.apply, rules.write = apply, write
