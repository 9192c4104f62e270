"""Matrix products in tiles, or through BLAS, called by address from native code."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm import gemm
from rushlight.compiler.backends.llvm.code import Code
from rushlight.compiler.backends.llvm.text import Module, literal
from rushlight.compiler.graph import Node, Value
from rushlight.compiler.windows import Windows
from rushlight.core import threads


@functools.cache
def blas_address(name: str) -> int:
    """The address of a BLAS routine (Fortran calling convention, 32-bit integers) that SciPy
    carries.
    """
    from scipy.linalg import cython_blas

    threads.apply()  # to this BLAS too
    capsule = cython_blas.__pyx_capi__[name]
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = (
        ctypes.c_char_p,
        [ctypes.py_object],
    )
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    address: int = api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule))
    return address


def reference(module: Module, value: Any, kind: str) -> str:
    """The address of a constant: Fortran takes everything by address."""
    text = literal(value, kind) if kind in ("float", "double") else str(value)
    name = f"@c_{kind}_{str(value).replace('.', '_').replace('-', 'm')}"
    module.declarations.add(f"{name} = internal constant {kind} {text}")
    return name


class Operand:
    """A window as BLAS sees it: whether it lies by rows, the distance of rows (or columns), and the
    strides of batches.
    """

    def __init__(self, windows: Windows, v: Value, batch: tuple[int, ...]) -> None:
        self.root, strides, self.offset = windows.layout(v)
        (m, n), (s, t) = v.shape[-2:], strides[-2:]
        self.by_rows = (t == 1 or n == 1) and (s >= n or m == 1)
        self.distance = max(s if m > 1 else 0, n) if self.by_rows else max(t if n > 1 else 0, m)
        extra = len(batch) - (len(v.shape) - 2)
        self.batch = [0] * extra + [
            0 if k == 1 else step for k, step in zip(v.shape[:-2], strides[:-2], strict=True)
        ]


def write_product(
    module: Module, name: str, windows: Windows, node: Node, pointers: dict[Any, Any]
) -> int:
    """A function that computes the product of a node's inputs, in tiles or through BLAS.

    Returns the bytes of scratch memory that it needs.
    """
    (a, b), out = node.inputs, node.outputs[0]
    from rushlight.compiler.backends.llvm.kernels import Writer

    f = Code(module, name, "ptr %args", out.dtype)
    kind, size = ("float", 4) if out.dtype == np.float32 else ("double", 8)
    batch = out.shape[:-2]
    x, y = Operand(windows, a, batch), Operand(windows, b, batch)
    (m, k), n = a.shape[-2:], b.shape[-1]
    bases = [
        (Writer.write_pointer(f, f.here, pointers[x.root.number]), x.offset, x.batch),
        (Writer.write_pointer(f, f.here, pointers[y.root.number]), y.offset, y.batch),
        (Writer.write_pointer(f, f.here, pointers[out.number]), 0, batch_strides(out.shape)),
    ]
    sizes = gemm.Matrices(m, n, k, x.distance, x.by_rows, y.distance, y.by_rows)
    if gemm.suits(sizes, f.lanes):
        scratch = Writer.write_pointer(f, f.here, pointers["scratch"])
        operands = [(f.at(p, offset), steps) for p, offset, steps in bases]
        count = gemm.write(f, sizes, batch, operands, scratch)
        f.end()
        return count * size
    routine = Writer.write_pointer(f, f.here, pointers["gemm" + kind])
    letter = {True: reference(module, ord("N"), "i8"), False: reference(module, ord("T"), "i8")}
    one, zero = reference(module, 1.0, kind), reference(module, 0.0, kind)
    i = [reference(module, v, "i32") for v in (n, m, k, y.distance, x.distance, n)]

    def call(at: list[str]) -> None:
        p = []
        for base, offset, steps in bases:
            q = f(f"getelementptr inbounds i8, ptr {base}, i64 {offset * size}")
            for j, step in zip(at, steps, strict=True):
                if step:
                    far = f(f"mul nsw i64 {j}, {step * size}")
                    q = f(f"getelementptr inbounds i8, ptr {q}, i64 {far}")
            p.append(q)
        arguments = [
            letter[y.by_rows],
            letter[x.by_rows],
            *i[:3],
            one,
            p[1],
            i[3],
            p[0],
            i[4],
            zero,
            p[2],
            i[5],
        ]
        f.do(f"call void {routine}({', '.join([f'ptr {v}' for v in arguments])})")

    def loops(at: list[str]) -> None:
        if len(at) == len(batch):
            call(at)
            return

        def body(j: str, _: list[str]) -> list[str]:
            loops([*at, j])
            return []

        f.loop(batch[len(at)], 1, [], body)

    loops([])
    f.end()
    return 0


def batch_strides(shape: tuple[int, ...]) -> list[int]:
    """Strides of the batch dims of a contiguous array."""
    steps, step = [], shape[-1] * shape[-2]
    for n in reversed(shape[:-2]):
        steps.append(step)
        step *= n
    return steps[::-1]
