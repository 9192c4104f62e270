"""Rows written, or combined, by index, in the order of the indices; the greatest rows of bags; and
where truths are.

What is written last wins: each row of the result notes the last index that names it. What is
combined is sorted by index first; then threads combine neighbours, and what these leave of rows
that many indices name.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.compiler.backends.cuda import sorts, texts
from rushlight.compiler.backends.cuda.launch import SHARED, Launch
from rushlight.compiler.graph import Node

EACH = 16  # indices of a thread
LEAST = 4096  # indices up to which they are sorted by counting
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
COUNTED = f"""
{ROW}
extern "C" __global__ void kernel(const Place* __restrict__ where, u32* at) {{
  __shared__ int all[M];
  for (int j = threadIdx.x; j < M; j += blockDim.x) all[j] = row_of(where[j]);
  __syncthreads();
  {texts.each("M")}
  int own = all[i], place = 0;
  #pragma unroll 8
  for (int j = 0; j < M; j++) place += all[j] < own || (all[j] == own && j < i);
  at[place] = i;
}}
"""
# A thread combines what a few neighbours in the order give to one column. A row that is all theirs
# is written; of one that goes on, the part of its first thread is a tail, those behind it heads.
COMBINE = f"""
{ROW}
extern "C" __global__ void kernel(const Place* __restrict__ where, const u32* __restrict__ at,
                                  const T* __restrict__ source, T* __restrict__ out,
                                  T* __restrict__ heads, T* __restrict__ tails) {{
  {texts.each()}
  I column = i % D, a = i / D / PARTS;
  int first = (int)(i / D % PARTS) * EACH, count = first + EACH < M ? EACH : M - first;
  int rows[EACH + 1];
  T x[EACH + 1];
  #pragma unroll
  for (int k = 0; k < EACH; k++) {{
    u32 m = at[first + (k < count ? k : 0)];
    rows[k] = row_of(where[m]);
    x[k] = source[(a * M + m) * D + column];
  }}
  int before = first ? row_of(where[at[first - 1]]) : -1;
  int after = first + count < M ? row_of(where[at[first + count]]) : -1;
  bool begins = rows[0] != before;
  T total = x[0];
  #pragma unroll
  for (int k = 1; k <= EACH; k++) {{
    if (k > count) break;
    T more = x[k];
    if (k < count && rows[k] == rows[k - 1]) {{ total = BOTH; continue; }}
    if (!begins) heads[i] = total;
    else if (k == count && rows[k - 1] == after) tails[i] = total;
    else {{
      T* to = out + (a * R + rows[k - 1]) * D + column;
      more = *to;
      *to = BOTH;
    }}
    total = x[k];
    begins = true;
  }}
}}
"""
# the thread of a tail adds the heads that follow
JOIN = f"""
{ROW}
extern "C" __global__ void kernel(const Place* __restrict__ where, const u32* __restrict__ at,
                                  T* __restrict__ out, const T* __restrict__ heads,
                                  const T* __restrict__ tails) {{
  {texts.each()}
  I column = i % D, a = i / D / PARTS;
  int part = (int)(i / D % PARTS), next = (part + 1) * EACH;
  if (next >= M) return;
  int row = row_of(where[at[next]]);
  if (row_of(where[at[next - 1]]) != row) return;  // none goes on
  if (part && row_of(where[at[part * EACH - 1]]) == row) return;  // it began before
  T total = tails[i];
  for (int k = 1; next < M && row_of(where[at[next]]) == row; k++, next += EACH) {{
    T more = heads[i + k * D];
    total = BOTH;
  }}
  T* to = out + (a * R + row) * D + column;
  T more = *to;
  *to = BOTH;
}}
"""
BOTH = {
    "add": "total + more",
    "mul": "total * more",
    "max": "larger(total, more)",
    "min": "smaller(total, more)",
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
        sorting = [launch(COUNTED, [(1, 0), passes.at], m, passes.size)]
    else:
        sorting = [launch(KEYS, [(1, 0), passes.keys, passes.at], m, passes.size)]
        sorting += passes.launches((r - 1).bit_length())
    parts = math.ceil(m / EACH)
    number, size = a * parts * columns, d.itemsize
    heads = math.ceil(passes.size / sorts.ALIGN) * sorts.ALIGN
    tails = heads + math.ceil(number * size / sorts.ALIGN) * sorts.ALIGN
    between = [(SHARED, heads), (SHARED, tails)]
    more = {"BOTH": f"(T)({BOTH[how]})", "EACH": EACH, "PARTS": parts}
    room = tails + number * size
    order = [(1, 0), passes.at]
    made = [
        start,
        *sorting,
        launch(COMBINE, [*order, (2, 0), (3, 0), *between], number, room, **more),
    ]
    if parts > 1:
        made.append(launch(JOIN, [*order, (3, 0), *between], number, room, **more))
    return made


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


CHOSEN = f"""
extern "C" __global__ void kernel(const T* __restrict__ mask, const i64* __restrict__ counts,
                                  i64* __restrict__ out) {{
  {texts.each()}
  if (mask[i]) out[counts[i] - 1] = i;
}}
"""


def fits_chosen(node: Node) -> bool:
    """Whether places of truths are asked for."""
    mask, counts = node.inputs
    return mask.dtype.kind == "b" and counts.dtype == np.int64 and bool(node.params["count"])


def chosen(node: Node) -> list[Launch]:
    """A thread for each truth writes its place."""
    mask = node.inputs[0]
    count = mask.shape[0]
    c = texts.text(CHOSEN, mask.dtype, texts.index_type(mask), COUNT=count)
    return texts.alone(c, node, texts.over(count))
