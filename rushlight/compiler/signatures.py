"""The signature of a call: what a program depends on in its arguments.

That is tensors' shapes, dtypes, order and shared memory, and the numbers and objects beside them.
"""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Any

import numpy as np

from rushlight.compiler.early import layout
from rushlight.compiler.given import Given
from rushlight.compiler.held import BUFFERS
from rushlight.compiler.objects import attributes, identity, ours
from rushlight.compiler.orders import order_in_memory
from rushlight.compiler.storages import may_overlap
from rushlight.core.device_array import DeviceArray
from rushlight.core.sparse import SparseArray
from rushlight.core.tensor import Tensor, wrap
from rushlight.ops.sparse.entries import held_values
from rushlight.ops.view import owner


def signature(x: Any, arguments: list[Any], given: Given) -> Any:
    """What a program depends on in an argument; tensors are appended to ``arguments``."""
    if isinstance(x, Tensor):
        a = x._array
        if a.__class__ is SparseArray:
            arguments.append(held_values(x))
            return a.pattern, a.shape, a.dtype, x.requires_grad
        arguments.append(x)
        needs = x.requires_grad and ("leaf" if x._wants_grad else "made")
        if a.__class__ is DeviceArray:
            return a.driver, a.shape, a.dtype, needs, order_in_memory(a)
        if a.flags.c_contiguous:
            return a.shape, a.dtype, needs
        return a.shape, a.dtype, needs, a.strides  # which decide what is a view, or a copy
    kind = type(x)
    if kind is float or kind is complex:
        return kind, repr(x)  # -0.0 is another number than 0.0
    if isinstance(x, (list, tuple, deque)):
        found = (kind, *[signature(v, arguments, given) for v in x])
        return found if kind in CONTAINERS else (found, added(x, arguments, given))
    if isinstance(x, dict):
        found = (kind, *[(key_of(k), signature(v, arguments, given)) for k, v in x.items()])
        return found if kind in CONTAINERS else (found, added(x, arguments, given))
    if isinstance(x, (set, frozenset)):
        return kind, frozenset([(type(v), v) for v in x])
    if isinstance(x, BUFFERS):
        return kind, bytes(x)
    if given.takes(x):
        arguments.append(wrap(x))
        return kind, layout(x)
    if isinstance(x, np.ndarray):
        return x.shape, x.dtype.str, hashlib.sha1(x.tobytes()).digest()
    inner = given.inside(x)
    if inner is None:
        own = (kind, x) if ours(x) and kind.__hash__ is not None else given.stand(x)
        if own is not None:
            return own
        inner = attributes(x)
    return kind, *[(k, signature(v, arguments, given)) for k, v in inner.items()]


CONTAINERS = (list, tuple, dict, deque)


def added(x: Any, arguments: list[Any], given: Given) -> Any:
    """What a program depends on in the attributes that a list, dict or the like has besides."""
    return tuple([(k, signature(v, arguments, given)) for k, v in attributes(x).items()])


def itself(t: Tensor) -> tuple[Any, ...]:
    """A tensor, its array, and whose memory that is."""
    return t, t._array, owner(t._array)


def key_of(k: Any) -> Any:
    """What stands for the key of a dict in a signature; tensors do not say whether they are one."""
    return identity(k) if isinstance(k, Tensor) else k


def sharing(arguments: list[Any]) -> tuple[int, ...]:
    """Which arguments are one tensor, have one array, or share memory: for each the first such.
    Then, of those that share memory, which overlap.
    """
    if len(arguments) < 2:
        return ()
    firsts: tuple[dict[int, int], ...] = ({}, {}, {})
    found = [
        first.setdefault(id(x), k)
        for k, t in enumerate(arguments)
        for first, x in zip(firsts, (t, t._array, owner(t._array)), strict=True)
    ]
    owners = found[2::3]
    if len(firsts[2]) < len(owners):
        pairs = [(j, k) for k, o in enumerate(owners) for j in range(o, k) if owners[j] == o]
        found += [may_overlap(arguments[j]._array, arguments[k]._array) for j, k in pairs]
    return tuple(found)
