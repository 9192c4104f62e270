"""Rows written, or combined, by index, in the order of the indices; and the greatest rows of bags.

What is written last wins: each row of the result notes the last index that names it. What is
combined is sorted by index first, and then every row has a thread for each column, which goes
through its part of the sorted indices.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.compiler.backends.cuda import sorts, texts
from rushlight.compiler.backends.cuda.launch import SHARED, Launch
from rushlight.compiler.graph import Node

LEAST = 1024  # indices up to which a block sorts them by counting
WHOLE = (np.dtype(np.int64), np.dtype(np.int32))


def fits_place(node: Node) -> bool:
    """Whether rows of numbers are placed; halves are not combined, for sums are rounded once."""
    _, where, source = node.inputs
    out, written = node.outputs[0], node.params["how"] == "write"
    d = out.dtype
    known = texts.is_float(d) or d.kind in "iub"
    plain = known and (written or not (texts.is_half(d) or d.kind == "b"))
    some = 0 not in (*out.shape, *source.shape)
    return plain and where.dtype in WHOLE and source.dtype == d and some and where.shape[0] < 2**31


ROW = """
__device__ __forceinline__ int row_of(Place k) { return k < 0 ? 0 : k >= R ? R - 1 : (int)k; }
"""
NOTHING = f"""
extern "C" __global__ void kernel(int* last) {{
  {texts.each()}
  last[i] = -1;
}}
"""
NOTE = f"""
{ROW}
extern "C" __global__ void kernel(const Place* __restrict__ where, int* last) {{
  {texts.each()}
  atomicMax(&last[row_of(where[i])], (int)i);
}}
"""
WRITE = f"""
extern "C" __global__ void kernel(BASE const T* __restrict__ source, const int* __restrict__ last,
                                  T* __restrict__ out) {{
  {texts.each()}
  int m = last[i / D % R];
  out[i] = m < 0 ? OLD : source[(i / D / R * M + m) * D + i % D];
}}
"""
START = f"""
extern "C" __global__ void kernel(BASE T* __restrict__ out) {{
  {texts.each()}
  out[i] = OLD;
}}
"""
KEYS = f"""
{ROW}
extern "C" __global__ void kernel(const Place* __restrict__ where, u32* rows, u32* at) {{
  {texts.each()}
  rows[i] = row_of(where[i]);
  at[i] = (u32)i;
}}
"""
# few indices: the place of each is the number of those before it
FEW_KEYS = f"""
{ROW}
extern "C" __global__ void kernel(const Place* __restrict__ where, u32* at) {{
  __shared__ int all[M];
  for (int i = threadIdx.x; i < M; i += blockDim.x) all[i] = row_of(where[i]);
  __syncthreads();
  for (int i = threadIdx.x; i < M; i += blockDim.x) {{
    int own = all[i], place = 0;
    for (int j = 0; j < M; j++) place += all[j] < own || (all[j] == own && j < i);
    at[place] = i;
  }}
}}
"""
# the thread of the first of equal rows combines them all
COMBINE = f"""
{ROW}
extern "C" __global__ void kernel(const Place* __restrict__ where, const u32* __restrict__ at,
                                  const T* __restrict__ source, T* __restrict__ out) {{
  {texts.each()}
  I column = i % D, a = i / D / M;
  int j = (int)(i / D % M);
  int row = row_of(where[at[j]]);
  if (j && row_of(where[at[j - 1]]) == row) return;
  T* to = out + (a * R + row) * D + column;
  const T* from = source + a * M * D + column;
  T total = *to;
  for (; j < M && row_of(where[at[j]]) == row; j++) {{
    T x = from[(I)at[j] * D];
    total = BOTH;
  }}
  *to = total;
}}
"""
BOTH = {
    "add": "total + x",
    "mul": "total * x",
    "max": "larger(total, x)",
    "min": "smaller(total, x)",
}


def place(node: Node) -> list[Launch]:
    """PlaceRows."""
    base, where, source = node.inputs
    (a, r, columns), m, how = node.params["shape"], where.shape[0], node.params["how"]
    d, count = source.dtype, a * r * columns
    index = texts.index_type(source, node.outputs[0], where)
    sizes: dict[str, Any] = {"R": r, "M": m, "D": columns}
    zero = {"float16": "0", "bfloat16": "bfloat_bits{0}"}.get(texts.name_of(d), "(T)0")
    old = {"BASE": "", "OLD": zero}
    if base is not None:
        old = {"BASE": "const T* __restrict__ base,", "OLD": "base[i]"}
    given: list[Any] = [] if base is None else [(0, 0)]

    def launch(body: str, operands: Any, number: int, scratch: int, **more: Any) -> Launch:
        c = texts.text(body, d, index, COUNT=number, Place=where.dtype, **sizes, **more)
        return Launch(c, tuple(operands), *texts.over(number), scratch=scratch)

    if how == "write":
        last, room = (SHARED, 0), 4 * r
        return [
            launch(NOTHING, [last], r, room),
            launch(NOTE, [(1, 0), last], m, room),
            launch(WRITE, [*given, (2, 0), last, (3, 0)], count, room, **old),
        ]
    start = launch(START, [*given, (3, 0)], count, 0, **old)
    passes = sorts.Passes(1, m, "u32")
    if m <= LEAST:
        c = texts.text(FEW_KEYS, d, index, Place=where.dtype, **sizes)
        sorting = [
            Launch(c, ((1, 0), passes.at), (1, 1, 1), (texts.BLOCK, 1, 1), scratch=passes.size)
        ]
    else:
        sorting = [launch(KEYS, [(1, 0), passes.keys, passes.at], m, passes.size)]
        sorting += passes.launches((r - 1).bit_length())
    operands = [(1, 0), passes.at, (2, 0), (3, 0)]
    both = {"BOTH": f"(T)({BOTH[how]})"}
    return [start, *sorting, launch(COMBINE, operands, a * m * columns, passes.size, **both)]


# Bags of rows, whose numbers ascend: the first of equal ones, but the first NaN before all others
BAGS = f"""
__device__ __forceinline__ int first_of(const i64* __restrict__ bag, i64 b) {{
  int low = 0, high = M;
  while (low < high) {{
    int middle = (low + high) / 2;
    if (bag[middle] < b) low = middle + 1; else high = middle;
  }}
  return low;
}}
extern "C" __global__ void kernel(const T* __restrict__ rows, const i64* __restrict__ bag ABSENT,
                                  i64* __restrict__ best) {{
  {texts.each()}
  I column = i % D;
  int end = first_of(bag, i / D + 1), found = -1;
  W most = 0;
  for (int m = first_of(bag, i / D); m < end; m++) {{
    if (LEFT_OUT) continue;
    W x = load(rows[(I)m * D + column]);
    if (found < 0 || x > most || (x != x && most == most)) most = x, found = m;
  }}
  best[i] = found;
}}
"""


def fits_bags(node: Node) -> bool:
    """Whether rows of floats are compared."""
    x, bag = node.inputs[:2]
    some = 0 not in (*x.shape, *node.outputs[0].shape)
    return texts.is_float(x.dtype) and bag.dtype == WHOLE[0] and some and x.shape[0] < 2**31


def bag_maxima(node: Node) -> list[Launch]:
    """BagMaxima."""
    x, _, absent = node.inputs
    count = math.prod(node.outputs[0].shape)
    left = {"ABSENT": "", "LEFT_OUT": "false"}
    if absent is not None:
        left = {"ABSENT": ", const u8* __restrict__ absent", "LEFT_OUT": "absent[m]"}
    index = texts.index_type(x, node.outputs[0])
    c = texts.text(BAGS, x.dtype, index, M=x.shape[0], D=x.shape[1], COUNT=count, **left)
    return texts.alone(c, node, texts.over(count))
