"""Matrix products in tiles, or through BLAS, called by address from native code."""

from __future__ import annotations

import ctypes
import functools
import math
from typing import Any

from rushlight.compiler.backends.llvm import gemm
from rushlight.compiler.backends.llvm.code import kernel
from rushlight.compiler.backends.llvm.launch import Launch
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


BLAS = {"float": "sgemm", "double": "dgemm"}  # operands that are addresses of routines


def reference(module: Module, value: Any, kind: str) -> str:
    """The address of a constant: Fortran takes everything by address."""
    text = literal(value, kind) if kind in ("float", "double") else str(value)
    name = f"@c_{kind}_{str(value).replace('.', '_').replace('-', 'm')}"
    module.declarations.add(f"{name} = private constant {kind} {text}")
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


def launches(windows: Windows, node: Node, width: int) -> list[Launch]:
    """The launches that compute the product of a node's inputs, in tiles or through BLAS."""
    (a, b), out = node.inputs, node.outputs[0]
    f = kernel(width, out.dtype)
    module, size = f.module, f.size
    kind = "float" if size == 4 else "double"
    batch = out.shape[:-2]
    x, y = Operand(windows, a, batch), Operand(windows, b, batch)
    (m, k), n = a.shape[-2:], b.shape[-1]
    bases = list(
        zip(
            [f.operand(i) for i in range(3)],
            [x.batch, y.batch, batch_strides(out.shape)],
            strict=True,
        )
    )
    places: list[tuple[Any, int]] = [
        (x.root.number, x.offset * size),
        (y.root.number, y.offset * size),
        (out.number, 0),
    ]
    cost = 2 * math.prod(batch) * m * n * k / (320 / size)
    sizes = gemm.Matrices(m, n, k, x.distance, x.by_rows, y.distance, y.by_rows)
    if gemm.suits(sizes, f.lanes):
        count = gemm.write(f, sizes, batch, bases, "%scratch")
        f.end()
        return [Launch(module.text(), tuple(places), scratch=count * size, cost=cost)]
    places.append((BLAS[kind], 0))
    routine = f.operand(3)
    letter = {True: reference(module, ord("N"), "i8"), False: reference(module, ord("T"), "i8")}
    one, zero = reference(module, 1.0, kind), reference(module, 0.0, kind)
    i = [reference(module, v, "i32") for v in (n, m, k, y.distance, x.distance, n)]

    def call(at: list[str]) -> None:
        p = []
        for q, steps in bases:
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
    return [Launch(module.text(), tuple(places), cost=cost)]


def batch_strides(shape: tuple[int, ...]) -> list[int]:
    """Strides of the batch dims of a contiguous array."""
    steps, step = [], shape[-1] * shape[-2]
    for n in reversed(shape[:-2]):
        steps.append(step)
        step *= n
    return steps[::-1]
