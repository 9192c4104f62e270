"""Kernels for eager code: what ``core.native`` offers, and who computes it.

A kernel serves all arrays of some dtypes, of whatever size. It is made at the first call that can
use it; what has none is remembered too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from rushlight.compiler import pipeline
from rushlight.compiler.formulas import formula
from rushlight.compiler.graph import Graph, Node
from rushlight.compiler.loops import Kernel, Store, Table, axis_index
from rushlight.compiler.scalars import FLOATS, NATIVE, Scalar, UnsupportedError
from rushlight.core.inplace import has_self_overlap
from rushlight.core.op import Elementwise, Op

MOST = 1024  # kernels in the table
VARIANTS = 8  # kernels of one op and dtypes: they differ in parameters, which are constants in them
PLAIN = frozenset((float, int, bool, str, type(None)))
NUMBERS = frozenset((float, int, bool))
EXACT = 2**53  # integers up to here are float64 numbers

_table: dict[Any, Any] = {}
_variants: dict[Any, int] = {}


def finder() -> Any:
    """``find``, where native code can be made."""
    return find if pipeline.has_llvm() else None


def find(op: Op, arrays: Any, params: dict[str, Any]) -> Any:
    """What ``op.eager`` would return for the arrays, in new memory; or None."""
    if isinstance(op, Elementwise):
        return elementwise(op, arrays, params)
    return None


def frozen(value: Any) -> Any:
    """A parameter as part of a key; TypeError for what is none (an array)."""
    kind = value.__class__
    if kind in PLAIN:
        return kind, repr(value)  # 0.0 is not -0.0
    if kind is tuple or kind is list:
        return tuple([frozen(v) for v in value])
    if kind is dict:
        return tuple([(k, frozen(v)) for k, v in value.items()])
    if isinstance(value, Op):
        return value
    raise TypeError(f"{kind} in a kernel's parameters")


def made(key: Any, family: Any, make: Any) -> Any:
    """The table's entry for a key; made if it is new and its family is not too large."""
    try:
        return _table[key]
    except KeyError:
        pass
    count = _variants[family] = _variants.get(family, 0) + 1
    entry = make() if count <= VARIANTS else None
    while len(_table) >= MOST:
        del _table[next(iter(_table))]
    _table[key] = entry
    return entry


# Elementwise ops


def elementwise(op: Elementwise, elements: Any, params: dict[str, Any]) -> Any:
    """The result of an elementwise op for arrays of one shape and numbers."""
    kinds: list[Any] = []
    shape = None
    x: Any
    for x in elements:
        if x.__class__ is ndarray:
            if shape is None:
                shape = x.shape
            elif x.shape != shape:
                return None
            kinds.append(x.dtype)
        elif x.__class__ in NUMBERS and -EXACT <= x <= EXACT:  # type: ignore[operator]
            kinds.append(None)
        else:
            return None
    family = (op, *kinds)
    if params:
        try:
            key: Any = (family, frozen(params))
        except TypeError:
            return None
    else:
        key = family
    entry = _table.get(key, key)
    if entry is key:
        entry = made(key, family, lambda: flat_kernel(op, kinds, params))
    if entry is None:
        return None
    kernel, d = entry
    for x in elements:
        if x.__class__ is ndarray and not x.flags.c_contiguous:
            elements = in_one_order(elements)
            if elements is None:
                return None
            break
    like = next(x for x in elements if x.__class__ is ndarray)
    out = np.empty_like(like, d)
    kernel(elements, out)
    return out


def in_one_order(elements: Any) -> Any:
    """The elements, with the arrays copied where they do not lie in the order that the result will
    have, without gaps; None where NumPy has to find that order.
    """
    arrays = [x for x in elements if x.__class__ is ndarray]
    if all([x.flags.f_contiguous for x in arrays]):
        return elements
    if any([x.flags.c_contiguous for x in arrays]):
        order: Any = "C"
    elif all([x.strides == arrays[0].strides for x in arrays]) and not has_self_overlap(arrays[0]):
        order = "K"
    else:
        return None
    return [x.copy(order) if x.__class__ is ndarray else x for x in elements]


def flat_kernel(op: Elementwise, kinds: list[Any], params: dict[str, Any]) -> Any:
    """(the kernel, the result's dtype) of an elementwise op; None where there is none."""
    from rushlight.compiler.backends.llvm.calls import HUGE, Flat

    if not any([d in FLOATS for d in kinds]) or not all([d is None or d in NATIVE for d in kinds]):
        return None
    one = [1.0 if d is None else np.ones(1, d) for d in kinds]
    d = np.asarray(op.plain(*one, **params)).dtype
    graph, table = Graph(), Table()
    values = [graph.value((1,) if k is not None else (), k or np.float64) for k in kinds]
    out = graph.value((1,), d)
    operands: list[Any] = []
    for v, kind in zip(values, kinds, strict=True):
        if kind is None:
            element = table.make("number", v.dtype, (), v.number)
        else:
            element = table.make("load", v.dtype, (), (v.number, axis_index(0)))
        operands.append(Scalar(table, element))
    node = Node(op, list(values), params, [out])
    try:
        result = formula(node, table, operands, {v.number for v in values if not v.shape})
    except UnsupportedError:
        return None
    kernel = Kernel({0: HUGE}, [0], [], [Store(out, axis_index(0), result.expr)])
    names = {v.number: k for k, v in enumerate((*values, out))}
    sizes = [0 if k is None else k.itemsize for k in kinds]
    return Flat(kernel, names, [*sizes, d.itemsize]), d
