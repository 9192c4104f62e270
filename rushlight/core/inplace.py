"""Writing to a tensor: checks, the write, the version, the graph. One path for every op with a
trailing underscore.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

from numpy import ndarray

from rushlight import dtypes
from rushlight.core.autograd import any_needs_grad, edges_of, record
from rushlight.core.device_array import DeviceArray, address
from rushlight.core.history import check_write, rebase
from rushlight.core.sparse import Foreign, SparseOperand, rules
from rushlight.core.state import GradMode, modes, state
from rushlight.core.tensor import Tensor, alias, idle, layout_dense, written
from rushlight.errors import MemoryOverlapError


def write(op: Any, x: Tensor, others: tuple[Any, ...], params: dict[str, Any]) -> Tensor:
    """x <- op(x, *others), in x's memory."""
    if state.busy and modes.trace is not None:
        others, params = modes.trace.known((others, params))
        if op.spelled is not None and modes.trace.moves(params, (x, *others)):
            return x.copy_(op.spelled(x, *others, **params))
        params = modes.trace.fixed(params)
    node, had_grad = None, False
    if (
        modes.grad
        and op.differentiable
        and any_needs_grad((x, *others))
        and x._array.dtype in dtypes.DIFFERENTIABLE
    ):
        check_write(x)
        edges = edges_of((x, *others))
        had_grad = edges[0] is not None
        out = alias(x)
        node = record(op, (kept_input(op, x, edges), *others), out, params, edges)
    try:
        if isinstance(x._array, Foreign):  # before random numbers are drawn for it
            raise SparseOperand("dense memory")
        arrays = []
        for t in others:
            arrays.append(t._array if isinstance(t, Tensor) else t)
        check_memory(op, x._array, arrays)
        if state.busy and modes.trace is not None:
            if DeviceArray in map(type, arrays):  # the rules tell the trace
                raise SparseOperand("dense memory")
            modes.trace.wrote(op, x, others, params)
            arrays = modes.trace.plain(arrays)
        if state.busy and modes.profiler is not None:
            modes.profiler.call(op, op.store, x._array, arrays, params)
        else:
            op.store(x._array, arrays, params)
    except SparseOperand:
        if not rules.store(op, x, others, params):
            return rules.write(op, x, others, params)
    except Exception as error:
        if state.busy and modes.trace is not None:
            modes.trace.raised(op, error)
        if isinstance(error, ValueError) and "read-only" in str(error):
            raise RuntimeError(
                "the tensor's memory is read-only (from_numpy of a read-only array); clone() it "
                "first"
            ) from error
        raise
    version = written(x)
    if node is not None:
        if node.saved and node.saved[-1] is not None and node.versions[-1].__class__ is int:
            node.versions = (*node.versions[:-1], version)
        rebase(x, node, had_grad)
    return x


def kept_input(op: Any, x: Tensor, edges: tuple[Any, ...]) -> Tensor:
    """x for recording; a clone of its old value when a rule reads that, since the write destroys
    it.
    """
    if 0 not in op.kept(edges, 1)[0]:
        return x
    with GradMode(False):
        old: Tensor = x.clone()
    old._node, old._tracked = edges[0], edges[0] is not None
    return old


def steps(x: Any) -> list[int]:
    """Strides of the dims that have more than one element."""
    return [s for s, n in zip(x.strides, x.shape, strict=True) if n != 1]


def same_window(x: Any, y: Any) -> bool:
    """Whether two arrays are the same elements of the same memory."""
    if x is y:
        return True
    if x.shape != y.shape or (x.strides != y.strides and steps(x) != steps(y)):
        return False
    return address(x) == address(y)


def has_self_overlap(x: ndarray[Any, Any]) -> bool:
    """Whether x was expanded: several elements at one place."""
    if 0 not in x.strides or not x.size:
        return False
    return any([s == 0 and n > 1 for s, n in zip(x.strides, x.shape, strict=True)])


def root(x: Any) -> Any:
    """The array that owns x's memory, None when that cannot be told at once."""
    owner = x if x.base is None else x.base
    return owner if type(owner) is ndarray and owner.base is None else None


def apart(x: Any, y: Any) -> bool:
    """Whether two arrays surely share no memory."""
    a, b = x if x.base is None else x.base, y if y.base is None else y.base
    return a is not b and type(a) is ndarray is type(b) and a.base is None is b.base


@functools.lru_cache(maxsize=1024)
def separate(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether the elements of an array surely have memory of their own each."""
    dims = sorted([(s, n) for n, s in zip(shape, strides, strict=True) if n > 1])
    return all([s > 0 for s, _ in dims[:1]]) and all(
        [step >= s * n for (s, n), (step, _) in itertools.pairwise(dims)]
    )


def unrecorded(t: Tensor) -> bool:
    """Whether what happens to t is surely not recorded."""
    return not (t._tracked and modes.grad) or idle(t)


def may_share(owner: Any, other: Any) -> bool:
    """Whether memory of these owners may be the same."""
    return owner is other or owner is None or other is None


def check_memory(op: Any, x: ndarray[Any, Any], others: list[Any]) -> None:
    """Refuse writes whose result would depend on the order of the element writes."""
    if op.overlap == "any" or not x.size:
        return
    owner = root(x)
    near = []  # what may share memory with x
    for y in others:
        if isinstance(y, ndarray) and y.size and may_share(owner, root(y)):
            near.append(y)
    if x.base is None and not near:
        return
    if op.overlap == "itself" and near and same_window(x, others[0]):
        return
    if has_self_overlap(x):
        raise MemoryOverlapError(
            "unsupported operation: more than one element of the written-to tensor refers to a "
            "single memory location. "
            "Please clone() the tensor before performing the operation."
        )
    for y in near:
        if y is x and op.overlap == "none":
            raise MemoryOverlapError(
                "unsupported operation: the written-to tensor is also read; clone() one of them "
                "first."
            )
        if op.overlap != "none" and same_window(x, y):
            continue
        start, begin = x.__array_interface__["data"][0], y.__array_interface__["data"][0]
        if (
            start < begin + y.nbytes
            and begin < start + x.nbytes
            and layout_dense(x)
            and layout_dense(y)
        ):
            raise MemoryOverlapError(
                "unsupported operation: some elements of the input tensor and the written-to "
                "tensor refer to a single memory "
                "location. Please clone() the tensor before performing the operation."
            )
