"""What ops do with meta tensors: see Note [Meta tensors] in ``core.meta``."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.core.autograd import record
from rushlight.core.elementwise import Elementwise, broadcast_error
from rushlight.core.meta import MetaArray, without_memory
from rushlight.core.op import Op
from rushlight.core.refusals import check_store
from rushlight.core.sparse import rules
from rushlight.core.state import GradMode, modes
from rushlight.core.tensor import Tensor, needs_grad, wrap, written
from rushlight.core.view import View, bind_many
from rushlight.dtypes import DIFFERENTIABLE
from rushlight.errors import NotSupportedError
from rushlight.ops.copy import Copy
from rushlight.ops.sparse import rules as sparse

NO_DATA = (
    "Cannot copy out of meta tensor; no data! Use torch.nn.Module.to_empty() instead of "
    "torch.nn.Module.to() when moving a module from meta to another device."
)


def is_meta(t: Any) -> bool:
    """Whether t is a tensor on the device meta."""
    return isinstance(t, Tensor) and t._array.__class__ is MetaArray


class ToMeta(Op):
    """Shape, dtype and strides of ``input``, without its memory."""

    label = "ToCopy"

    def eager(self, xp: Any, input: Any) -> Any:
        return without_memory(input)

    def grad(self, g: Any) -> Any:
        raise NotSupportedError(NO_DATA)


def apply(op: Op, inputs: Any, params: dict[str, Any]) -> Any:
    """An op some of whose inputs are sparse or meta."""
    if not any(is_meta(t) for t in inputs):
        return sparse.apply(op, inputs, params)
    if isinstance(op, View):
        made = op.eager(np, inputs[0]._array.stand_in(), **params)
        if op.multi:
            return bind_many(op, inputs[0], [without_memory(a) for a in made], params)
        return type(op).linked(inputs[0], without_memory(made), params)
    if any([is_meta(t) for t in op.counting(inputs)]):
        raise NotSupportedError(
            f"{type(op).__name__.lower()}: the values of a meta tensor would decide the shape of "
            "the result, and it has none."
        )
    result = outcome(op, inputs, params)
    tracked = any([isinstance(t, Tensor) and needs_grad(t) for t in inputs])
    if tracked and op.differentiable and modes.grad:
        if result.__class__ is list or result._array.dtype in DIFFERENTIABLE:
            record(op, inputs, result, params)
    return result


def outcome(op: Op, inputs: Any, params: dict[str, Any]) -> Any:
    """Meta tensors of the shapes and dtypes of the op's results."""
    arrays = [t._array if isinstance(t, Tensor) else t for t in inputs]
    arrays = [a.filled(0) if a.__class__ is MetaArray else a for a in arrays]
    if isinstance(op, Elementwise):
        return alike(op, arrays, params)
    if type(op).outline is not Op.outline:
        out = op.outline(*arrays, **params)
    else:
        out = op.forward(arrays, params)
    if isinstance(out, (tuple, list)):
        return [wrap(MetaArray(o.shape, o.dtype)) for o in map(np.asarray, out)]
    out = np.asarray(out)
    return wrap(MetaArray(out.shape, out.dtype))


def alike(op: Elementwise, arrays: list[Any], params: dict[str, Any]) -> Any:
    """What an elementwise op makes of arrays of any size: it computes one element."""
    given = [a for a in arrays if isinstance(a, np.ndarray)]
    try:
        shape = np.broadcast_shapes(*[a.shape for a in given])
    except ValueError as error:
        raise broadcast_error(type(op).__name__, given) from error
    few = [np.ones((1,) * a.ndim, a.dtype) if isinstance(a, np.ndarray) else a for a in arrays]
    out = op.outline(*few, **params)
    if isinstance(out, (tuple, list)):
        return [wrap(MetaArray(shape, o.dtype)) for o in map(np.asarray, out)]
    return wrap(MetaArray(shape, np.asarray(out).dtype))


def write(op: Op, x: Tensor, others: tuple[Any, ...], params: dict[str, Any]) -> Tensor:
    """x <- op(x, *others), where x or others are sparse or meta."""
    if not is_meta(x):
        if not any(is_meta(t) for t in others):
            return sparse.write(op, x, others, params)
        raise NotSupportedError(NO_DATA)
    node = None
    if isinstance(op, Copy):
        if isinstance(others[0], Tensor):  # a number goes everywhere
            np.broadcast_to(np.empty(others[0]._array.shape, np.bool_), x._array.shape)
    elif others:
        with GradMode(False):
            result = outcome(op, (x, *others), params)
        check_store(type(op).__name__, x._array, result._array)
    written(x)
    if modes.grad and any([isinstance(t, Tensor) and needs_grad(t) for t in (x, *others)]):
        node = apply(op, (x, *others), params)._node
    if node is not None:
        x._node, x._tracked, x._wants_grad = node, True, False
    return x


rules.apply, rules.write = apply, write
