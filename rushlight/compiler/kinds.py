"""What programs of eager ops on a GPU depend on: keys of operands and parameters."""

from __future__ import annotations

import hashlib
import weakref
from typing import Any

import numpy as np

from rushlight.core.device_array import DeviceArray
from rushlight.core.generator import GpuGenerator
from rushlight.core.op import Op
from rushlight.formats import memory_format

PLAIN = (float, int, bool, str, type(None), type(Ellipsis))
SELF = frozenset([int, str, type(None)])  # of values that are parts of keys as they are


def same(x: Any, y: DeviceArray) -> bool:
    """Whether x is the same window on the same memory."""
    return x is y or (x.__class__ is DeviceArray and x.pointer == y.pointer and x.kind is y.kind)


def spec(x: Any, numbers: bool = True) -> Any:
    """What a program depends on of an operand; ``numbers``: other calls may bring others."""
    if x.__class__ is DeviceArray:
        return x.kind
    if x.__class__ is float:
        return float if numbers else (float, repr(x))
    return x.__class__, x


def is_number(x: Any) -> bool:
    """Whether a kernel takes x as a float64 number that other calls may bring others of."""
    return x.__class__ is float


def frozen(params: dict[str, Any], free: bool) -> Any:
    """Parameters as part of a key; ``free``: numbers are operands. TypeError for what is none."""
    found: list[Any] = [*params]
    for v in params.values():
        if v.__class__ in SELF:
            found.append(v)
        else:
            found.append(float if free and is_number(v) else part(v))
    return tuple(found)


def part(v: Any) -> Any:
    """A parameter's value as part of a key."""
    if v.__class__ in (tuple, list):
        return tuple(v) if SELF.issuperset(map(type, v)) else tuple([part(x) for x in v])
    if v.__class__ is dict:
        return tuple([(k, part(x)) for k, x in v.items()])
    if v.__class__ is slice:
        return slice, v.start, v.stop, v.step
    if v.__class__ in PLAIN:
        return v if v.__class__ in SELF else (v.__class__, repr(v))
    if isinstance(v, (Op, np.dtype, GpuGenerator)):
        return v
    if v.__class__ is np.ndarray:
        return np.ndarray, v.shape, v.dtype, content(v)
    if v.__class__ is memory_format:
        return v
    raise TypeError(f"{v.__class__} in a kernel's parameters")


_contents: dict[int, Any] = {}  # by the ids of arrays, while these live


def content(a: Any) -> bytes:
    """A digest of an array among an op's parameters, which nobody changes."""
    known = _contents.get(id(a))
    if known is None or known[0]() is not a:
        where = id(a)
        alive = weakref.ref(a, lambda _: _contents.pop(where, None))
        found = hashlib.blake2b(a.tobytes(), digest_size=16).digest()
        known = _contents[where] = alive, found
    digest: bytes = known[1]
    return digest
