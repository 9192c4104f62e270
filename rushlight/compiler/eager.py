"""Kernels for eager code: what ``core.native`` offers, and who computes it.

An elementwise kernel serves all arrays of some dtypes that share a shape, whatever that is. Several
shapes, and any other op, become a program for these. Both are made at the first call that can use
them; what has none is remembered too.

Note [Sizes that keep changing]
A program takes some 50 milliseconds to make, which a text that grows by a word per call, or images
of all sizes, would pay at every call and never get back. So an op makes programs freely for
``NEAR`` sizes of its first operand while the others stay alike, as the weights of a layer do (of
those that share its first size, the second has to), and for ``BROAD`` shapes in all; further shapes
are NumPy's until they were met ``OFTEN`` times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

from rushlight import dtypes
from rushlight.compiler import pipeline
from rushlight.compiler.eager_loops import loop, run_loop
from rushlight.compiler.formulas import formula
from rushlight.compiler.graph import Graph, Input, Node, Value
from rushlight.compiler.loops import ZERO, Affine, Kernel, Store, Table, axis_index
from rushlight.compiler.memory import address, common
from rushlight.compiler.parts import part_of, viewed
from rushlight.compiler.program import empty_outputs
from rushlight.compiler.scalars import FLOATS, HALVES, NATIVE, Scalar, UnsupportedError
from rushlight.core.elementwise import Elementwise
from rushlight.core.inplace import has_self_overlap
from rushlight.core.native import AT_ONCE, LEAST, ROW, kernels, without_kernels
from rushlight.core.op import Op
from rushlight.core.ready import EXACT, Ready, is_constant, is_operand, spread
from rushlight.core.sampling import memory_order
from rushlight.core.scalar import OWN_ERF
from rushlight.dtypes import NUMBERS
from rushlight.ops.reduce import Mean, Sum
from rushlight.ops.view import Permute

MOST = 1024  # kernels in the table
PROGRAMS = 512  # of one op
NEAR, BROAD, OFTEN = 6, 24, 64  # see Note [Sizes that keep changing]
SIZES = frozenset(("space", "sizes", "out", "shape", "size"))  # parameters that follow from shapes
DEEPEST = 3  # levels of dims that broadcast alike
VARIANTS = 8  # kernels of one op and dtypes: they differ in parameters, which are constants in them
PLAIN = frozenset((float, int, bool, str, type(None)))

_table: dict[Any, Any] = {}
_variants: dict[Any, int] = {}
_recent: dict[Any, Any] = {}  # programs of the table by ``recent_key``
_rows: dict[Any, Any] = {}  # how arrays that broadcast are gone through
_families: dict[Any, int] = {}  # programs made freely
_met: dict[Any, int] = {}  # calls of shapes without a program


def offers() -> Any:
    """``find`` and ``loop``, where native code can be made."""
    return (find, loop) if pipeline.has_llvm() else None


def find(op: Op, arrays: Any, params: dict[str, Any], out: Any = None) -> Any:
    """What ``op.eager`` would return for the arrays, in new memory or in ``out``; or None."""
    if isinstance(op, Elementwise) or op is kernels.cast:
        return elementwise(op, arrays, params, out)
    if arrays[0].__class__ is not ndarray:
        return None
    summing = op is Sum.instance or op is Mean.instance
    if not (summing and params["dim"] is None):
        entry = _recent.get(recent_key(op, arrays, params))
        if entry is not None:
            return computed(entry, [x for x in arrays if x is not None])
    return total(op, arrays[0], **params) if summing else whole(op, arrays, params)


def recent_key(op: Op, operands: Any, params: dict[str, Any]) -> Any:
    """What tells a program of contiguous arrays, and None, quickly; None where that takes a closer
    look: 0.0 equals -0.0.
    """
    key: Any = [op]
    for x in operands:
        if x is not None:
            if not (x.flags.c_contiguous and x.flags.aligned):
                return None
            key.append(x.dtype)
            x = x.shape
        key.append(x)
    values = (*params.values(),)
    if float in map(type, values):
        return None
    try:
        hash(values)
    except TypeError:
        return None
    return (*key, *params, values)


def frozen(value: Any) -> Any:
    """A parameter as part of a key; TypeError for what is none (an array)."""
    kind = value.__class__
    if kind in PLAIN:
        return kind, repr(value)  # 0.0 is not -0.0
    if kind is tuple or kind is list:
        return tuple([frozen(v) for v in value])
    if kind is dict:
        return tuple([(k, frozen(v)) for k, v in value.items()])
    if isinstance(value, (Op, np.dtype)):
        return value
    raise TypeError(f"{kind} in a kernel's parameters")


def made(key: Any, family: Any, most: int, make: Any) -> Any:
    """A new entry of the table, None if its family has ``most`` already."""
    count = _variants[family] = _variants.get(family, 0) + 1
    entry = make() if count <= most else None
    while len(_table) >= MOST:
        del _table[next(iter(_table))]
    _table[key] = entry
    return entry


# Elementwise ops


def elementwise(op: Any, elements: Any, params: dict[str, Any], out: Any) -> Any:
    """The result of an elementwise op for arrays and numbers."""
    if out is None and (op.compiled or not in_floats(elements)):
        elements = (spread(elements) or (elements,))[0]
    kinds: list[Any] = []
    shape, in_rows = None, True
    x: Any
    for x in elements:
        if x.__class__ is ndarray:
            if shape is None:
                shape = x.shape
            elif x.shape != shape:
                return broadcast(op, elements, params) if out is None else None
            in_rows = in_rows and x.flags.c_contiguous
            kinds.append(x.dtype)
        elif x.__class__ in NUMBERS and -EXACT <= x <= EXACT:  # type: ignore[operator]
            kinds.append(None)
        else:
            return None
    entry = flat(op, (op, *kinds), kinds, params) if params else plain_flat(op, kinds)
    if entry is None:
        return None
    kernel, d, names = entry
    key = ready_key(kinds, params, names)
    if kernel.flat is not None and key is not None:
        ready = Ready(kernel.flat, kernel.write_flat, d, kernel.units.size, kernel.most)
        op.ready[key] = ready
    n = math.prod(shape)  # type: ignore[arg-type]
    if n < kernel.units.size and (kernel.flat is None or not n):
        return None
    like = None
    if not in_rows:
        elements = None if out is not None else in_one_order(elements)
        if elements is None:
            return None
        like = next(x for x in elements if x.__class__ is ndarray)
    if names:
        elements = (*elements, *[params[k] for k in names])
    if out is not None:
        return kernel.write(elements, out) if d is out.dtype and shape == out.shape else None
    out = np.empty(shape, d) if like is None else np.empty_like(like, d)
    kernel(elements, out)
    return out


def in_floats(elements: Any) -> bool:
    """Whether they are arrays of one of NumPy's own floating dtypes."""
    d = elements[0].dtype if elements[0].__class__ is ndarray else None
    return d in FLOATS and all([x.__class__ is ndarray and x.dtype is d for x in elements])


def broadcast(op: Any, elements: Any, params: dict[str, Any]) -> Any:
    """The result of an elementwise op for arrays of several shapes: row by row, or, for an op that
    NumPy does not have, by a program for these shapes.
    """
    if not all([x.__class__ is ndarray for x in elements]):
        return None
    if all([x.flags.carray for x in elements]):
        key: Any = (op, *[v for x in elements for v in (x.shape, x.dtype)])
        try:
            key = (*key, frozen(params)) if params else key
        except TypeError:
            return None
        rows: Any = _rows.get(key, key)
        if rows is key:
            if len(_rows) >= MOST:
                _rows.clear()
            rows = _rows[key] = Rows.of(op, elements, params)
        alike = len(elements) == 2 and not params and elements[0].dtype is elements[1].dtype
        if alike and (rows is not None or not op.compiled):
            if len(op.rows) >= MOST:
                op.rows.clear()
            op.rows[elements[0].shape, elements[1].shape, elements[0].dtype] = rows
        if rows is not None:
            return rows(elements)
    if params or not op.compiled:
        return None
    try:
        size = math.prod(np.broadcast_shapes(*[x.shape for x in elements]))
    except ValueError:
        return None
    return whole(op, elements, {}) if size >= LEAST else None


@dataclass
class Rows:
    """How contiguous arrays that broadcast are gone through: rows in rows of rows."""

    compute: Any  # ``f(*elements, out)``
    block: Any  # which that needs
    dtype: Any
    shape: tuple[int, ...]

    @classmethod
    def of(cls, op: Op, elements: Any, params: dict[str, Any]) -> Rows | None:
        """None for few elements, for many, for short rows and for shapes of more levels."""
        try:
            shape = np.broadcast_shapes(*[x.shape for x in elements])
        except ValueError:
            return None
        levels = cls.levels(shape, [x.shape for x in elements])
        if len(levels) > DEEPEST:
            return None
        levels += [(1, (False,) * len(elements))] * (DEEPEST - len(levels))
        (n, inner), *outer = levels
        kinds: list[Any] = [x.dtype for x in elements]
        once = tuple([not moves for moves in inner])
        family = op, *kinds, once
        key = (*family, frozen(params))
        entry = _table.get(key, key)
        if entry is key:
            entry = made(key, family, VARIANTS, lambda: flat_kernel(op, kinds, params, (), once))
        if entry is None:
            return None
        kernel, d, _ = entry
        if n < kernel.units.size or math.prod(shape) > kernel.most:
            return None
        bytes = [*[x.itemsize for x in elements], d.itemsize]
        size, apart = [b * n if m else b for b, m in zip(bytes, (*inner, True), strict=True)], []
        for count, moving in outer:
            apart.append([b if m else 0 for b, m in zip(size, (*moving, True), strict=True)])
            size = [b * count if m else b for b, m in zip(size, (*moving, True), strict=True)]
        compute, block = kernel.on_rows(n, [count for count, _ in outer], apart)
        return cls(compute, block, d, shape)

    @staticmethod
    def levels(shape: tuple[int, ...], shapes: Any) -> list[tuple[int, tuple[bool, ...]]]:
        """Neighbouring dims taken together, the last first: the size, and which arrays move."""
        found: list[tuple[int, tuple[bool, ...]]] = []
        for d in range(1, len(shape) + 1):
            n = shape[-d]
            moving = tuple([len(s) >= d and s[-d] > 1 for s in shapes])
            if found and found[-1][1] == moving:
                found[-1] = found[-1][0] * n, moving
            elif n > 1:
                found.append((n, moving))
        return found

    def __call__(self, elements: Any) -> Any:
        out = np.empty(self.shape, self.dtype)
        self.compute(*elements, out)
        return out


def ready_key(kinds: list[Any], params: dict[str, Any], names: Any) -> Any:
    """Under what ``Elementwise.ready`` has a kernel whose operands are the parameters ``names``,
    others or all of them being constants; None where it cannot: 0.0 equals -0.0.
    """
    if not params:
        return kinds[0] if len(kinds) == 1 else (*kinds,)
    if all([k in names or is_constant(v) for k, v in params.items()]):
        return (*kinds, *[k if k in names else (k, v) for k, v in params.items()])
    plain = not names and all([v.__class__ in (float, int) and v for v in params.values()])
    return (*kinds, *params.items()) if plain else None


def plain_flat(op: Op, kinds: list[Any]) -> Any:
    """The kernel of an op without parameters."""
    key = (op, *kinds)
    entry = _table.get(key, key)
    if entry is key:
        entry = made(key, key, VARIANTS, lambda: flat_kernel(op, kinds, {}, ()))
    return entry


def flat(op: Op, family: Any, kinds: list[Any], params: dict[str, Any]) -> Any:
    """The kernel for parameters: numbers are operands of it, or, where the formula depends on them
    in other ways, constants in it.
    """
    names = tuple([k for k, v in params.items() if is_operand(v)])
    try:
        key: Any = (family, names)
        if len(names) < len(params):
            key = (*key, frozen({k: v for k, v in params.items() if k not in names}))
        entry = _table.get(key, key)
        if entry is key:
            entry = made(key, key, VARIANTS, lambda: flat_kernel(op, kinds, params, names))
        if entry is not None or not names:
            return entry
        key = (family, frozen(params))
    except TypeError:
        return None
    entry = _table.get(key, key)
    if entry is key:
        entry = made(key, family, VARIANTS, lambda: flat_kernel(op, kinds, params, ()))
    return entry


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


def flat_kernel(
    op: Op, kinds: list[Any], params: dict[str, Any], names: Any, once: Any = ()
) -> Any:
    """(the kernel, the result's dtype, the parameters that are operands: ``names``) of an
    elementwise op; None where there is none. ``once``: whether each array has but one element.
    """
    from rushlight.compiler.backends.llvm.calls import HUGE, Flat

    of_arrays = [d for d in kinds if d is not None]  # for NumPy, None is float64
    if not all([d in NATIVE for d in of_arrays]):
        return None
    to_half = op is kernels.cast and params["dtype"] in HALVES
    if not to_half and not any([d in FLOATS or d in HALVES for d in of_arrays]):
        return None
    some = [1.0 if k is None else np.ones(OWN_ERF, k) for k in kinds]  # which need no SciPy
    with without_kernels():
        d = op.forward(some, params).dtype
    graph, table = Graph(), Table()
    values = [graph.value((1,) if k is not None else (), k or np.float64) for k in kinds]
    given = [graph.value((), np.float64) for _ in names]
    out = graph.value((1,), d)
    fixed = once or [False] * len(kinds)
    operands = [
        element(table, v, k is None, o) for v, k, o in zip(values, kinds, fixed, strict=True)
    ]
    numbers = {k: element(table, v, True) for k, v in zip(names, given, strict=True)}
    node = Node(op, list(values), {**params, **numbers}, [out])
    try:
        result = formula(node, table, operands, {v.number for v in values if not v.shape})
    except UnsupportedError:
        return None
    kernel = Kernel({0: HUGE}, [0], [], [Store(out, axis_index(0), result.expr)])
    order = {v.number: k for k, v in enumerate((*values, *given, out))}
    sizes = [0 if k is None or o else k.itemsize for k, o in zip(kinds, fixed, strict=True)]
    sizes += [0] * len(names)
    return Flat(kernel, order, [*sizes, d.itemsize]), d, names


def element(table: Table, v: Value, is_number: bool, once: bool = False) -> Scalar:
    """An operand of a formula."""
    if is_number:
        return Scalar(table, table.make("number", v.dtype, (), v.number))
    at = ZERO if once else axis_index(0)
    return Scalar(table, table.make("load", v.dtype, (), (v.number, at)))


# Other ops

LONGEST = 1 << 16  # elements along the last dims: sums of more lose digits


def total(op: Op, x: ndarray[Any, Any], dim: Any, keepdim: bool) -> Any:
    """Sums and means: those of everything as the sum of sums of rows, so that digits are kept."""
    dims = range(x.ndim) if dim is None else dim
    if dim is not None and math.prod([x.shape[d] for d in dims]) < x.size:
        last = [n for d, n in enumerate(x.shape) if d in dims and d >= x.ndim - len(dims)]
        short = math.prod(last) <= LONGEST
        return whole(op, (x,), {"dim": dim, "keepdim": keepdim}) if short else None
    whole_rows = x.size >= ROW and (x.flags.c_contiguous or x.flags.f_contiguous)
    whole_rows = whole_rows and (op is Sum.instance or x.dtype not in dtypes.INTEGER_TYPES)
    if whole_rows and x.size <= AT_ONCE and x.dtype in TOTALS:
        return total_at_once(op, x, x.ndim if keepdim else x.ndim - len(dims))
    if not whole_rows or (x.dtype not in FLOATS and x.dtype not in HALVES):
        return None
    work = np.dtype(np.float32) if x.dtype in HALVES else x.dtype
    flat = x.reshape(-1, order="A")
    add = _table.get((op, x.dtype)) or _table.setdefault((op, x.dtype), row_sums(x.dtype, work))
    count = x.size // ROW
    sums = np.empty(count + 1, work)
    sums[count] = np.add.reduce(flat[count * ROW :].astype(work, copy=False))
    add(add.block(*[address((flat, sums)[k]) for k in add.operands]), count)
    kept = [1 for d in range(x.ndim) if keepdim or d not in dims]
    out = np.empty(kept, work)
    out[...] = np.add.reduce(sums)
    if op is Mean.instance:
        out /= x.size
    return out.astype(x.dtype, copy=False)


# how they are added up
TOTALS: dict[Any, np.dtype[Any]] = {d: np.dtype(np.int64) for d in dtypes.INTEGER_TYPES}
TOTALS |= {d: np.dtype(np.float64) for d in (*dtypes.FLOATS, *dtypes.HALVES)}
TOTALS |= {d: np.dtype(np.complex128) for d in dtypes.COMPLEX_TYPES}


def total_at_once(op: Op, x: ndarray[Any, Any], ones: int) -> Any:
    """The sum or mean. ``ones`` dims have size 1."""
    out = np.empty((1,) * ones, TOTALS[x.dtype])
    n = x.size * (2 if x.dtype in dtypes.COMPLEX_TYPES else 1)
    run_loop("total", x.dtype, (x, out), n // ROW, (n % ROW,))
    if op is Mean.instance:
        out /= x.size
    return out if out.dtype == np.int64 else out.astype(x.dtype)


def row_sums(d: np.dtype[Any], work: np.dtype[Any]) -> Any:
    """The kernel that adds up rows of an array in dtype ``work``: operand 0 to operand 1."""
    from rushlight.compiler.backends.llvm.calls import HUGE, Units

    table = Table()
    x = Scalar(table, table.make("load", d, (), (0, Affine(0, ((0, ROW), (1, 1)))))).astype(work)
    graph = Graph()
    out = graph.value((), work)
    kernel = Kernel({0: HUGE, 1: ROW}, [0], [1])
    kernel.stores.append(Store(out, axis_index(0), table.make("reduce", work, (x.expr,), "sum")))
    return Units(kernel)


def lies(x: ndarray[Any, Any]) -> Any:
    """What a program depends on of an array's place in memory: strides, or None for rows in order,
    or True where it needs a copy.
    """
    flags = x.flags
    if not flags.aligned:
        return True
    return None if flags.c_contiguous else x.strides


def whole(op: Op, operands: Any, params: dict[str, Any]) -> Any:
    """The result, or results, of an op for arrays and None."""
    try:
        key = (
            op,
            *[None if x is None else (x.shape, x.dtype, lies(x)) for x in operands],
            frozen(params),
        )
    except TypeError:
        return None
    entry = _table.get(key, key)
    if entry is key:
        if not worthwhile(key):
            return None
        entry = made(key, op, PROGRAMS, lambda: program(op, operands, params))
    if entry is None:
        return None
    quick = recent_key(op, operands, params)
    if quick is not None:
        if len(_recent) >= MOST:
            _recent.clear()
        _recent[quick] = entry
    return computed(entry, [x for x in operands if x is not None])


def worthwhile(key: Any) -> bool:
    """Whether to make a program for a key of ``whole``; see Note [Sizes that keep changing]."""
    op, *operands, params = key
    kinds = tuple([None if x is None else (len(x[0]), x[1]) for x in operands])
    broad = (op, kinds, tuple([p for p in params if p[0] not in SIZES]))
    rows, *others = [() if x is None else x[0] for x in operands]
    near = (broad, *[s[1:2] if s[:1] == rows[:1] else s for s in others])
    if _families.get(near, 0) < NEAR and _families.get(broad, 0) < BROAD:
        for family in {near, broad}:
            _families[family] = _families.get(family, 0) + 1
        return True
    calls = _met.pop(key, 0) + 1
    if calls < OFTEN:
        while len(_met) >= MOST:
            del _met[next(iter(_met))]
        _met[key] = calls
    return calls >= OFTEN


def computed(entry: Any, arrays: list[Any]) -> Any:
    """The result, or results, of a program; None where a check fails."""
    for k in entry.copied:
        arrays[k] = arrays[k].copy("C")
    outputs = empty_outputs(entry.graph)
    if not entry.attempt_in_order(arrays, outputs):
        return None
    for k, order in enumerate(entry.orders):
        outputs[k] = outputs[k].transpose(order)
    return outputs if entry.several else outputs[0]


def program(op: Op, operands: Any, params: dict[str, Any]) -> Any:
    """A program of one op; None where some of it would be left to NumPy."""
    if not all([x is None or x.dtype in NATIVE for x in operands]):
        return None
    results = op.outline(*operands, **params)
    several = results.__class__ in (tuple, list)
    results = results if several else (np.asarray(results),)
    graph, copied = Graph(), list[int]()
    values = [None if x is None else seen(graph, x, copied) for x in operands]
    made = [graph.value(r.shape, r.dtype) for r in results]
    graph.nodes.append(Node(op, values, params, list(made)))
    orders = [tuple(memory_order(operands[k])) for k in op.laid_out_as]
    if any([len(order) != len(v.shape) for order, v in zip(orders, made, strict=False)]):
        orders = []
    for k, order in enumerate(orders):
        made[k] = viewed(graph, Permute, made[k], dims=order)
    graph.results = made
    built: Any = pipeline.build(graph, room=common)
    built.several, built.copied = several, copied
    built.orders = [np.argsort(order) for order in orders]
    return built if built.native_only else None


def seen(graph: Graph, x: ndarray[Any, Any], copied: list[int]) -> Value:
    """An array as one more input; ``copied`` gets the inputs that need a copy."""
    where = lies(x)
    known = where.__class__ is tuple and part_of(x) is not None
    if where is not None and not known:
        copied.append(len(graph.inputs))
    return argument(graph, x.shape, x.dtype, x.strides if known else None)


def argument(graph: Graph, shape: tuple[int, ...], d: Any, strides: Any) -> Value:
    """One more input."""
    value = graph.value(shape, d)
    graph.inputs.append(Input(value, "argument", len(graph.inputs), strides))
    return value
