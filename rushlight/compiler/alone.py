"""Graphs of one op, for eager code on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.compiler.graph import Graph, Input, Node
from rushlight.compiler.kinds import is_number, same
from rushlight.core.device_array import DeviceArray
from rushlight.core.elementwise import Elementwise
from rushlight.core.mt19937 import Engine
from rushlight.core.native import without_kernels
from rushlight.core.op import Op
from rushlight.core.tensor import layout_dense
from rushlight.dtypes import CATEGORY
from rushlight.ops.batch_norm import BatchNorm
from rushlight.ops.bits import BACK
from rushlight.ops.copy import Cast
from rushlight.ops.norm import GroupNorm, LayerNorm
from rushlight.ops.view import AsStrided

ANY_ENGINE = Engine(0)  # made here, as a trace takes new ones for the user's
NORMS = (LayerNorm, GroupNorm)  # only their first output is read on a GPU


class Writer:
    """Writes the graph of an op on some operands."""

    def __init__(self, op: Op, operands: Any, params: dict[str, Any], free: bool) -> None:
        self.graph, self.op = Graph(), op
        self.operands = operands
        self.entries: list[Any] = []  # inputs of the graph, by operands; None for what is none
        values = [self.operand(x) for x in operands]
        self.names, given = self.numbers_of(params) if free else ([], params)
        self.made = True
        try:
            specs = outline(op, operands, params)
        except (ValueError, TypeError, RuntimeError, IndexError):
            self.made = False  # the host says what is wrong
            return
        floats = BACK if isinstance(op, BatchNorm) else {}  # what it keeps is written as such
        self.outputs = [self.graph.value(shape, floats.get(d, d)) for shape, d, _ in specs]
        self.dtypes = [d for _, d, _ in specs]  # of the arrays
        self.strides = [steps for _, _, steps in specs]  # where they are not those of rows
        self.graph.nodes.append(Node(op, values, given, self.outputs))

    def operand(self, x: Any) -> Any:
        """An operand as the node takes it."""
        if is_number(x) and isinstance(self.op, Elementwise):
            value = self.graph.value((), np.float64)
            self.graph.inputs.append(Input(value, "number", None))
            self.entries.append(None)
            return value
        if x.__class__ is not DeviceArray:
            self.entries.append(None)
            return x
        whole = x.shape if x.flags.c_contiguous else (x.extent // x.itemsize,)
        value = self.graph.value(whole, x.dtype)
        self.graph.inputs.append(Input(value, "argument", len(self.graph.inputs)))
        self.entries.append(self.graph.inputs[-1])
        if x.flags.c_contiguous:
            return value
        steps = tuple([s // x.itemsize for s in x.strides])
        seen = self.graph.value(x.shape, x.dtype)
        params = {"size": x.shape, "stride": steps, "offset": 0, "source": None}
        self.graph.nodes.append(Node(AsStrided.instance, [value], params, [seen]))
        return seen

    def numbers_of(self, params: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
        """The names of parameters that are operands, and the parameters with them."""
        names = [k for k, v in params.items() if is_number(v)]
        given = dict(params)
        for k in names:
            given[k] = self.graph.value((), np.float64)
            self.graph.inputs.append(Input(given[k], "number", None))
        return names, given

    def finish(self, into: DeviceArray | None) -> bool:
        """Say what the results are; False where ``into`` cannot take the one there is."""
        graph, outputs = self.graph, self.outputs
        if into is None:
            graph.results = outputs[:1] if isinstance(self.op, NORMS) else outputs
            return True
        v = outputs[0]
        if len(outputs) > 1 or CATEGORY[v.dtype] > CATEGORY[into.dtype]:
            return False
        if v.shape != into.shape:
            return False
        if v.dtype != into.dtype:
            cast = graph.value(v.shape, into.dtype)
            graph.nodes.append(Node(Cast.instance, [v], {"dtype": into.dtype}, [cast]))
            v = cast
        self.outputs, self.dtypes = [v], [v.dtype]
        for x, entry in zip(self.operands, self.entries, strict=True):
            if entry is not None and same(x, into) and into.flags.c_contiguous:
                graph.updates = [(entry, v)]
                return True
        graph.results = [v]
        return True


def outline(op: Op, operands: Any, params: dict[str, Any]) -> list[tuple[Any, Any, Any]]:
    """Shapes and dtypes of the op's results, and their strides, where these are not of rows."""
    if "engine" in params:
        params = {**params, "engine": ANY_ENGINE}  # nothing may be drawn from the op's own
    arrays = [x for x in operands if x.__class__ is DeviceArray]
    laid = "memory_format" in params or not all([x.flags.c_contiguous for x in arrays])
    with without_kernels(), np.errstate(all="ignore"):
        if isinstance(op, Elementwise):
            few = [
                np.ones((1,) * x.ndim, x.dtype) if x.__class__ is DeviceArray else x
                for x in operands
            ]
            outs = several(op.forward(few, params))
            shape = np.broadcast_shapes(*[x.shape for x in arrays])
            like = in_order_of_memory(arrays) if laid else None
            steps = [like and tuple([s * o.itemsize for s in like]) for o in outs]
            return [(shape, o.dtype, s) for o, s in zip(outs, steps, strict=True)]
        given = [blank(x, laid) if x.__class__ is DeviceArray else x for x in operands]
        own = type(op).outline is not Op.outline
        outs = several(op.outline(*given, **params) if own else op.forward(given, params))
    found = []
    for o in map(np.asarray, outs):
        keep = laid and not o.flags.c_contiguous and layout_dense(o) and o.size
        found.append((o.shape, o.dtype, o.strides if keep else None))
    return found


def several(out: Any) -> Any:
    """One or more results of an op as more."""
    return out if isinstance(out, (tuple, list)) else (out,)


def blank(x: DeviceArray, laid: bool) -> Any:
    """Zeros in the place of an array's elements, which are one, unless it matters how they lie."""
    if not laid:
        return np.broadcast_to(np.zeros((), x.dtype), x.shape)
    return np.ndarray(x.shape, x.dtype, np.zeros(x.extent, np.uint8), 0, x.strides)


def in_order_of_memory(arrays: list[DeviceArray]) -> Any:
    """The strides in elements that NumPy gives to what it computes of arrays; None for rows."""
    seen = []
    for x in arrays:
        steps, extent = tuple([s // x.itemsize for s in x.strides]), x.extent // x.itemsize
        seen.append(np.ndarray(x.shape, np.uint8, np.empty(extent, np.uint8), 0, steps))
    flags: Any = [*[["readonly"]] * len(seen), ["writeonly", "allocate"]]
    out: Any = np.nditer([*seen, None], op_flags=flags, order="K").operands[-1]
    return None if out.flags.c_contiguous else out.strides
