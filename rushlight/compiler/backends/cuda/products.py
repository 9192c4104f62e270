"""Products of matrices, of any batch and any strides."""

from __future__ import annotations

import math
from typing import Any

from rushlight.compiler.backends.cuda import texts, tiles
from rushlight.compiler.backends.cuda.launch import Launch
from rushlight.compiler.graph import Node
from rushlight.compiler.windows import Windows

C = """
struct SpotA { I at; };
struct SpotB { I at; };
__device__ __forceinline__ int depth(I batch) { return K; }
__device__ __forceinline__ I begin_a(I batch) { BEGIN_A }
__device__ __forceinline__ I begin_b(I batch) { BEGIN_B }
__device__ __forceinline__ I begin_y(I batch) { BEGIN_Y }
__device__ __forceinline__ SpotA spot_a(I batch, int m) { return {begin_a(batch) + (I)m * A_M}; }
__device__ __forceinline__ SpotB spot_b(I batch, int n) { return {begin_b(batch) + (I)n * B_N}; }
__device__ __forceinline__ W load_a(const T* a, SpotA s, int k) {
  return load(a[s.at + (I)k * A_K]);
}
__device__ __forceinline__ W load_b(const T* b, SpotB s, int k) {
  return load(b[s.at + (I)k * B_K]);
}
__device__ __forceinline__ void put(T* y, I batch, int m, int n, W v) {
  y[begin_y(batch) + (I)m * Y_M + (I)n * Y_N] = store(v);
}
"""


def fits(node: Node) -> bool:
    """Whether a node is a product of matrices of numbers."""
    if type(node.op).__name__ != "Matmul":
        return False
    a, b = node.inputs
    d = node.outputs[0].dtype
    known = texts.is_float(d) or d.kind in "iu"
    sizes = (*a.shape, *b.shape)
    matrices = len(a.shape) >= 2 and len(b.shape) >= 2 and 0 not in sizes
    return known and a.dtype == b.dtype == d and matrices and max(sizes) < 2**31


def begin(batch: tuple[int, ...], shape: tuple[int, ...], steps: tuple[int, ...]) -> str:
    """C of where a matrix of a batch begins, which operands of ``shape`` broadcast to."""
    lead = len(batch) - (len(shape) - 2)
    lines, rest = [], "batch"
    for i in range(len(batch) - 1, -1, -1):
        step = 0 if i < lead or shape[i - lead] == 1 else steps[i - lead]
        if step:
            lines.append(f"{rest} % {batch[i]} * (I){step}")
        rest = f"({rest} / {batch[i]})"
    return f"return {' + '.join(lines) or '0'};"


def launches(node: Node, windows: Windows) -> list[Launch]:
    """The launches of a product; operands are positions among (*inputs, *outputs)."""
    values = [*node.inputs, *node.outputs]
    return written(node, [windows.layout(v)[1] for v in values])


def written(node: Node, steps: Any) -> list[Launch]:
    """The launches of a product whose operands have strides, in elements."""
    a, b, y = values = [*node.inputs, *node.outputs]
    batch = y.shape[:-2]
    # distances that elements have, so that I can count them
    most = max([sum([(n - 1) * abs(t) for n, t in zip(v.shape, own, strict=True)])
                for v, own in zip(values, steps, strict=True)])  # fmt: skip
    (a_m, a_k), (b_k, b_n), (y_m, y_n) = [own[-2:] for own in steps]
    sizes = tiles.Sizes(
        math.prod(batch), a.shape[-2], b.shape[-1], a.shape[-1],
        abs(a_k) <= abs(a_m) or a.shape[-2] == 1, abs(b_k) < abs(b_n) or b.shape[-1] == 1,
    )  # fmt: skip
    begins = [begin(batch, v.shape, own) for v, own in zip(values, steps, strict=True)]
    return tiles.launches(
        C, y.dtype, texts.index_type(*values, most=most), sizes, [0, 1, 2], False,
        K=a.shape[-1], BEGIN_A=begins[0], BEGIN_B=begins[1], BEGIN_Y=begins[2], A_M=a_m, A_K=a_k,
        B_K=b_k, B_N=b_n, Y_M=y_m, Y_N=y_n,
    )  # fmt: skip
