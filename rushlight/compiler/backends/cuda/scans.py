"""Running values along a dim: sums, products, extremes, logarithms of sums, linear recurrences.

Many lines have a thread each, which goes along its line. Few are gone through by blocks: a thread
combines a few neighbours, threads combine what they have, and the whole is carried on to the next
tile. Very few long ones are cut into parts first, each of which needs what all before it give.
Sums and products of floats are carried in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rushlight.compiler.backends.cuda import texts
from rushlight.compiler.backends.cuda.launch import SHARED, Launch
from rushlight.compiler.graph import Node, Value

MANY = 1 << 14  # lines from which on each has a thread
BRIEF = 32  # elements of lines that each have a thread in any case
ITEMS = 4  # neighbours of a thread
TILE = texts.BLOCK * ITEMS
FULL = 264  # blocks that keep a large GPU busy


@dataclass(frozen=True)
class Kind:
    """What is carried: C of a struct S; of ``none``, what changes nothing; ``one``, that of the
    element x at i; ``join(S l, S r)``, both together; and how the value v is had from s.
    """

    struct: str
    none: str
    one: str
    join: str
    value: str


def sums(d: Any, sign: str) -> Kind:
    """Sums or products."""
    wide = "double" if texts.is_float(d) else "T"
    zero = "0" if sign == "+" else "1"
    return Kind(
        f"struct S {{ {wide} v; }};", f"{{({wide}){zero}}}", f"{{({wide})x}}",
        f"return {{({wide})(l.v {sign} r.v)}};", "(W)s.v",
    )  # fmt: skip


def extremes(d: Any, sign: str) -> Kind:
    """Of equal ones the last; NaN stays."""
    worst = texts.lowest(d) if sign == ">" else texts.highest(d)
    return Kind(
        "struct S { W v; int at; };", f"{{{worst}, 0}}", "{x, (int)i}",
        f"return r.v {sign}= l.v || r.v != r.v ? r : l;", "s.v",
    )  # fmt: skip


def logs(d: Any) -> Kind:
    """The largest element, and the sum of exponentials of the distances from it; equal infinities
    have no distance.
    """
    exp, log = ("exp", "log") if d.itemsize == 8 else ("expf", "logf")
    worst = texts.lowest(d)
    join = f"""W top = larger(l.top, r.top);
  return {{top, l.sum * {exp}(l.top == top ? (W)0 : l.top - top)
              + r.sum * {exp}(r.top == top ? (W)0 : r.top - top)}};"""
    value = f"s.top + {log}((W)s.sum)"
    return Kind("struct S { W top; double sum; };", f"{{{worst}, 0.0}}", "{x, 1.0}", join, value)


KINDS = {
    "Cumsum": lambda d: sums(d, "+"),
    "Cumprod": lambda d: sums(d, "*"),
    "Cummax": lambda d: extremes(d, ">"),
    "Cummin": lambda d: extremes(d, "<"),
    "Logcumsumexp": logs,
}

COMMON = """
STRUCT
__device__ __forceinline__ S none() { return NONE; }
__device__ __forceinline__ S one(W x, I i) { return ONE; }
__device__ __forceinline__ S join(S l, S r) { JOIN }
__device__ __forceinline__ W value(S s) { return VALUE; }
// element i of a line, in the order of going; lines are (before the dim, behind it)
__device__ __forceinline__ I place(I line, I i) {
  return line / D * ((I)N * D) + line % D + (BACK ? N - 1 - i : i) * (I)D;
}
"""
LINES = (
    COMMON
    + """
extern "C" __global__ void kernel(const T* __restrict__ x, T* __restrict__ y INDICES) {
  I line = (I)blockIdx.x * blockDim.x + threadIdx.x;
  if (line >= LINES) return;
  S s = none();
  for (I i = 0; i < N; i++) {
    I at = place(line, i);
    s = join(s, one(load(x[at]), i));
    y[at] = store(value(s));
    KEEP
  }
}
"""
)
# the sums of threads, each with all before it
TOGETHER = """
__device__ __forceinline__ void scan(S* parts, int t) {
  for (int d = 1; d < BLOCK; d *= 2) {
    S left = t >= d ? parts[t - d] : none();
    __syncthreads();
    parts[t] = join(left, parts[t]);
    __syncthreads();
  }
}
"""
TOTALS = (
    COMMON
    + TOGETHER
    + """
extern "C" __global__ void kernel(const T* __restrict__ x, S* totals) {
  __shared__ S parts[BLOCK];
  int t = threadIdx.x;
  I line = blockIdx.x / PARTS, part = blockIdx.x % PARTS;
  I end = (part + 1) * PART < N ? (part + 1) * PART : N;
  S whole = none();
  for (I tile = part * PART; tile < end; tile += BLOCK * ITEMS) {
    S sum = none();
    for (int e = 0; e < ITEMS; e++) {
      I i = tile + t * ITEMS + e;
      if (i < end) sum = join(sum, one(load(x[place(line, i)]), i));
    }
    parts[t] = sum;
    __syncthreads();
    scan(parts, t);
    whole = join(whole, parts[BLOCK - 1]);
    __syncthreads();
  }
  if (t == 0) totals[blockIdx.x] = whole;
}
"""
)
BLOCKS = (
    COMMON
    + TOGETHER
    + """
extern "C" __global__ void kernel(const T* __restrict__ x, T* __restrict__ y INDICES TOTALS) {
  __shared__ S parts[BLOCK];
  __shared__ W row[BLOCK * ITEMS];  // so that neighbours read and write neighbours
  PLACES
  int t = threadIdx.x;
  I line = blockIdx.x / PARTS, part = blockIdx.x % PARTS;
  I end = (part + 1) * PART < N ? (part + 1) * PART : N;
  S whole = none();
  BEGIN
  for (I tile = part * PART; tile < end; tile += BLOCK * ITEMS) {
    S own[ITEMS], sum = none();
    for (int n = t; n < BLOCK * ITEMS && tile + n < end; n += BLOCK)
      row[n] = load(x[place(line, tile + n)]);
    __syncthreads();
    for (int e = 0; e < ITEMS; e++) {
      I i = tile + t * ITEMS + e;
      if (i < end) sum = join(sum, one(row[t * ITEMS + e], i));
      own[e] = sum;
    }
    parts[t] = sum;
    __syncthreads();
    scan(parts, t);
    S before = t ? join(whole, parts[t - 1]) : whole;
    for (int e = 0; e < ITEMS; e++) {
      S s = join(before, own[e]);
      row[t * ITEMS + e] = value(s);
      KEEP
    }
    whole = join(whole, parts[BLOCK - 1]);
    __syncthreads();
    for (int n = t; n < BLOCK * ITEMS && tile + n < end; n += BLOCK) {
      I at = place(line, tile + n);
      y[at] = store(row[n]);
      GIVE
    }
    __syncthreads();
  }
}
"""
)
BEGIN = """
  parts[t] = t < part ? totals[line * PARTS + t] : none();
  __syncthreads();
  scan(parts, t);
  if (part) whole = parts[part - 1];
  __syncthreads();
"""


def fits(node: Node) -> bool:
    """Whether a running value is of numbers of one dtype."""
    x, out = node.inputs[0], node.outputs[0]
    if not isinstance(x, Value) or x.dtype != out.dtype or not x.shape or 0 in x.shape:
        return False
    whole = type(node.op).__name__ != "Logcumsumexp" and x.dtype.kind in "iu"
    return (texts.is_float(x.dtype) or whole) and x.shape[node.params["dim"]] < 2**31


def write(node: Node) -> list[Launch]:
    """A running value."""
    x, dim = node.inputs[0], node.params["dim"] % len(node.inputs[0].shape)
    d, n, inner = x.dtype, x.shape[dim], math.prod(x.shape[dim + 1 :])
    lines = math.prod(x.shape) // n
    kind = KINDS[type(node.op).__name__](d)
    coded = len(node.outputs) > 1
    given: dict[str, Any] = {
        "N": n, "D": inner, "LINES": lines, "BLOCK": texts.BLOCK, "ITEMS": ITEMS,
        "BACK": bool(node.params.get("reverse", False)), "STRUCT": kind.struct, "NONE": kind.none,
        "ONE": kind.one, "JOIN": kind.join.replace("\n", " "), "VALUE": kind.value,
        "INDICES": ", i64* __restrict__ indices" if coded else "",
    }  # fmt: skip
    index = texts.index_type(x)
    if lines >= MANY or n <= BRIEF:
        given["KEEP"] = "indices[at] = s.at;" if coded else ""
        return texts.alone(texts.text(LINES, d, index, **given), node, texts.over(lines, 128))
    parts = min(texts.BLOCK, -(-n // (4 * TILE)), -(-FULL // lines))
    part = -(-n // (parts * TILE)) * TILE
    parts = -(-n // part)
    given |= {
        "PARTS": parts, "PART": part,
        "PLACES": "__shared__ int places[BLOCK * ITEMS];" if coded else "",
        "KEEP": "places[t * ITEMS + e] = s.at;" if coded else "",
        "GIVE": "indices[at] = places[n];" if coded else "",
    }  # fmt: skip
    grid: texts.Grid = (lines * parts, 1, 1), (texts.BLOCK, 1, 1)
    if parts == 1:
        c = texts.text(BLOCKS, d, index, TOTALS="", BEGIN="", **given)
        return texts.alone(c, node, grid)
    more = {"TOTALS": ", const S* __restrict__ totals", "BEGIN": BEGIN.replace("\n", " ")}
    totals, room = (SHARED, 0), lines * parts * 16
    first = texts.text(TOTALS, d, index, **given)
    last = texts.text(BLOCKS, d, index, **more, **given)
    return [
        Launch(first, ((0, 0), totals), *grid, scratch=room),
        Launch(last, (*texts.places(node), totals), *grid, scratch=room),
    ]


RECURRENCE = """
extern "C" __global__ void kernel(const T* __restrict__ x, const T* __restrict__ factor,
                                  T* __restrict__ y) {
  I line = (I)blockIdx.x * blockDim.x + threadIdx.x;
  if (line >= LINES) return;
  I first = line / D * ((I)N * D) + line % D, before = line / D * ((I)(N - 1) * D) + line % D;
  W s = load(x[first + (I)(N - 1) * D]);
  y[first + (I)(N - 1) * D] = store(s);
  for (I i = N - 2; i >= 0; i--) {
    s = load(x[first + i * D]) + load(factor[before + i * D]) * s;
    y[first + i * D] = store(s);
  }
}
"""


def fits_recurrence(node: Node) -> bool:
    """Whether a linear recurrence is of floats."""
    x, factor = node.inputs
    fine = texts.is_float(x.dtype) and factor.dtype == x.dtype == node.outputs[0].dtype
    return fine and bool(x.shape) and 0 not in x.shape


def recurrence(node: Node) -> list[Launch]:
    """Recurrence: one step after another, for products of factors may overflow where none of the
    steps does.
    """
    x, dim = node.inputs[0], node.params["dim"] % len(node.inputs[0].shape)
    n, inner = x.shape[dim], math.prod(x.shape[dim + 1 :])
    lines = math.prod(x.shape) // n
    c = texts.text(RECURRENCE, x.dtype, texts.index_type(x), N=n, D=inner, LINES=lines)
    return texts.alone(c, node, texts.over(lines, 64))
