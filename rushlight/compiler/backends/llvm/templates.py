"""Ops that have a kernel of their own: what fits, and the function that runs one step."""

from __future__ import annotations

from typing import Any

from rushlight.compiler.backends.llvm import conv, pool
from rushlight.compiler.backends.llvm.code import Code
from rushlight.compiler.backends.llvm.kernels import Writer
from rushlight.compiler.backends.llvm.text import Module
from rushlight.compiler.graph import Node

WRITERS = {
    "Conv": (conv.fits, conv.write_forward),
    "ConvInput": (conv.fits, conv.write_input),
    "ConvWeight": (conv.fits, conv.write_weight),
    "MaxPool": (pool.fits, pool.write_max),
    "MaxPoolValues": (pool.fits, pool.write_max),
    "MaxPoolSpread": (pool.fits, pool.write_spread),
}


def supported(node: Node) -> bool:
    """Whether a node has a template that fits it."""
    op = type(node.op)
    found = WRITERS.get(op.__name__) if op.__module__.startswith("rushlight.ops") else None
    return found is not None and found[0](node)


def write(module: Module, name: str, node: Node, pointers: dict[Any, Any], windows: Any) -> int:
    """Add the function ``name(args)`` to the module; returns the bytes of scratch memory it needs.

    Inputs are windows whose elements lie one after another.
    """
    f = Code(module, name, "ptr %args", node.outputs[0].dtype)
    places = []
    for v in (*node.inputs, *node.outputs):
        if v is None:
            places.append("")
            continue
        root, _, offset = windows.layout(v)
        slot, start = pointers[root.number]
        where = (slot, start + offset * v.dtype.itemsize)
        places.append(Writer.write_pointer(f, f.here, where))
    scratch = Writer.write_pointer(f, f.here, pointers["scratch"])
    size = WRITERS[type(node.op).__name__][1](f, node, places, scratch)
    f.end()
    return size * f.size
