"""Maxima and means of windows, and what flows back through them.

A thread has one element of the result; a mean of many elements has the 32 threads of a warp.
Sizes are those of three dims, the first of which may be 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.compiler.backends.cuda import texts
from rushlight.compiler.backends.cuda.launch import Launch
from rushlight.compiler.graph import Node, Value

MANY = 64  # elements of a window that a warp adds up


def fits(node: Node) -> bool:
    """Whether windows of one to three dims, of numbers, are asked for."""
    values = [v for v in (*node.inputs, *node.outputs) if isinstance(v, Value)]
    d = values[0].dtype
    known = texts.is_float(d) or (type(node.op).__name__.startswith("MaxPool") and d.kind in "iu")
    return known and len(node.params["kernel"]) <= 3 and all([0 not in v.shape for v in values])


def three(values: Any, extra: int) -> tuple[int, ...]:
    """Options of up to three dims as those of three."""
    return (*[extra] * (3 - len(values)), *values)


def constants(p: dict[str, Any], space: Any, count: int) -> dict[str, Any]:
    """The sizes of windows: of the input N, the output O, the kernel K; the stride S, what is
    padded before B, the dilation D; how many elements there are.
    """
    rank = len(p["kernel"])
    given: dict[str, Any] = {
        "N": three(space[len(space) - rank :], 1),
        "O": three(p["out"], 1),
        "K": three(p["kernel"], 1),
        "S": three(p["stride"], 1),
        "B": three([a for a, _ in p["padding"]], 0),
        "D": three(p.get("dilation", (1,) * rank), 1),
    }
    named = {f"{name}{k}": v for name, values in given.items() for k, v in enumerate(values)}
    return {**named, "COUNT": count}


OUTPUT = """
  I rest = i;
  int o2 = (int)(rest % O2); rest /= O2;
  int o1 = (int)(rest % O1); rest /= O1;
  int o0 = (int)(rest % O0); rest /= O0;
  const T* plane = x + rest * ((I)N0 * N1 * N2);
"""
INPUT = """
  I rest = i;
  int p2 = (int)(rest % N2) + B2; rest /= N2;
  int p1 = (int)(rest % N1) + B1; rest /= N1;
  int p0 = (int)(rest % N0) + B0; rest /= N0;
  I plane = rest * ((I)O0 * O1 * O2);
"""

# the last window that can have element p
LAST = """
__device__ __forceinline__ int last(int p, int s, int o) {
  int q = p < 0 ? -1 : p / s;
  return q < o ? q : o - 1;
}"""

# of equal elements the first, of NaN the last
MAXIMA = f"""
extern "C" __global__ void kernel(const T* __restrict__ x, T* __restrict__ y CODES) {{
  {texts.each()}
  {OUTPUT}
  W best = LOW;
  int code = 0, tap = 0;
  for (int a = 0; a < K0; a++)
    for (int b = 0; b < K1; b++)
      for (int c = 0; c < K2; c++, tap++) {{
        int p0 = o0 * S0 - B0 + a * D0, p1 = o1 * S1 - B1 + b * D1, p2 = o2 * S2 - B2 + c * D2;
        if ((unsigned)p0 >= N0 || (unsigned)p1 >= N1 || (unsigned)p2 >= N2) continue;
        W v = load(plane[((I)p0 * N1 + p1) * N2 + p2]);
        if (v > best || v != v) best = v, code = tap;
      }}
  y[i] = store(best);
  KEEP
}}
"""

# element p is tap (p - o S) / D of window o
SPREAD = f"""
{LAST}
extern "C" __global__ void kernel(const T* __restrict__ g, const C* __restrict__ codes,
                                  T* __restrict__ x) {{
  {texts.each()}
  {INPUT}
  W total = 0;
  for (int o0 = last(p0, S0, O0); o0 >= 0; o0--) {{
    int r0 = p0 - o0 * S0;
    if (r0 > (K0 - 1) * D0) break;
    if (r0 % D0) continue;
    for (int o1 = last(p1, S1, O1); o1 >= 0; o1--) {{
      int r1 = p1 - o1 * S1;
      if (r1 > (K1 - 1) * D1) break;
      if (r1 % D1) continue;
      for (int o2 = last(p2, S2, O2); o2 >= 0; o2--) {{
        int r2 = p2 - o2 * S2;
        if (r2 > (K2 - 1) * D2) break;
        if (r2 % D2) continue;
        I at = plane + ((I)o0 * O1 + o1) * O2 + o2;
        if (codes[at] == (r0 / D0 * K1 + r1 / D1) * K2 + r2 / D2) total += load(g[at]);
      }}
    }}
  }}
  x[i] = store(total);
}}
"""

# how many elements, also of the padding if that counts, the windows of one dim have
SIZE = """
__device__ __forceinline__ int size(int o, int s, int b, int k, int n, int after) {
  int low = o * s - b, high = low + k;
  int end = n + (INCLUDE ? after : 0);
  if (!INCLUDE && low < 0) low = 0;
  return (high < end ? high : end) - low;
}
__device__ __forceinline__ W divisor(int o0, int o1, int o2) {
  if (DIVISOR) return (W)DIVISOR;
  return (W)size(o0, S0, B0, K0, N0, A0) * (W)size(o1, S1, B1, K1, N1, A1)
      * (W)size(o2, S2, B2, K2, N2, A2);
}
"""
MEANS = f"""
{SIZE}
extern "C" __global__ void kernel(const T* __restrict__ x, T* __restrict__ y) {{
  I i = ((I)blockIdx.x * blockDim.x + threadIdx.x) / LANES;
  int lane = threadIdx.x % LANES;
  if (i >= COUNT) return;
  {OUTPUT}
  W total = 0;
  for (int t = lane; t < K0 * K1 * K2; t += LANES) {{
    int p0 = o0 * S0 - B0 + t / (K1 * K2), p1 = o1 * S1 - B1 + t / K2 % K1;
    int p2 = o2 * S2 - B2 + t % K2;
    if ((unsigned)p0 < N0 && (unsigned)p1 < N1 && (unsigned)p2 < N2)
      total += load(plane[((I)p0 * N1 + p1) * N2 + p2]);
  }}
  for (int d = LANES / 2; d; d /= 2) total += __shfl_xor_sync(~0u, total, d);
  if (lane == 0) y[i] = store(total / divisor(o0, o1, o2));
}}
"""
MEANS_SPREAD = f"""
{SIZE}
{LAST}
extern "C" __global__ void kernel(const T* __restrict__ g, T* __restrict__ x) {{
  {texts.each()}
  {INPUT}
  W total = 0;
  for (int o0 = last(p0, S0, O0); o0 >= 0 && p0 - o0 * S0 < K0; o0--)
    for (int o1 = last(p1, S1, O1); o1 >= 0 && p1 - o1 * S1 < K1; o1--)
      for (int o2 = last(p2, S2, O2); o2 >= 0 && p2 - o2 * S2 < K2; o2--)
        total += load(g[plane + ((I)o0 * O1 + o1) * O2 + o2]) / divisor(o0, o1, o2);
  x[i] = store(total);
}}
"""


def maxima(node: Node) -> list[Launch]:
    """MaxPool and MaxPoolValues."""
    x, y = node.inputs[0], node.outputs[0]
    coded = len(node.outputs) > 1
    more: dict[str, Any] = {"CODES": "", "KEEP": "", "LOW": texts.lowest(x.dtype)}
    if coded:
        kind = texts.type_of(node.outputs[1].dtype)
        more |= {"CODES": f", {kind}* __restrict__ codes", "KEEP": f"codes[i] = ({kind})code;"}
    count = math.prod(y.shape)
    sizes = constants(node.params, x.shape, count)
    c = texts.text(MAXIMA, x.dtype, texts.index_type(x, y), **sizes, **more)
    return texts.alone(c, node, texts.over(count))


def spread(node: Node) -> list[Launch]:
    """MaxPoolSpread."""
    g, codes = node.inputs
    x = node.outputs[0]
    count = math.prod(x.shape)
    sizes = constants(node.params, x.shape, count)
    c = texts.text(SPREAD, g.dtype, texts.index_type(x, g), C=codes.dtype, **sizes)
    return texts.alone(c, node, texts.over(count))


def mean_constants(node: Node, space: Any, count: int) -> dict[str, Any]:
    """What means need besides: the divisor, or how it is counted."""
    p = node.params
    sizes = constants(p, space, count)
    sizes |= {f"A{k}": a for k, a in enumerate(three(p["after"], 0))}
    return sizes | {"INCLUDE": bool(p["include_pad"]), "DIVISOR": int(p["divisor"] or 0)}


def means(node: Node) -> list[Launch]:
    """AvgPool."""
    x, y = node.inputs[0], node.outputs[0]
    count = math.prod(y.shape)
    lanes = 32 if math.prod(node.params["kernel"]) >= MANY else 1
    sizes = mean_constants(node, x.shape, count)
    index = texts.index_type(x, y, most=count * lanes)
    c = texts.text(MEANS, x.dtype, index, LANES=lanes, **sizes)
    return texts.alone(c, node, texts.over(count * lanes))


def means_spread(node: Node) -> list[Launch]:
    """AvgPoolSpread."""
    g, x = node.inputs[0], node.outputs[0]
    count = math.prod(x.shape)
    sizes = mean_constants(node, x.shape, count)
    c = texts.text(MEANS_SPREAD, g.dtype, texts.index_type(x, g), **sizes)
    return texts.alone(c, node, texts.over(count))


# element p of the input was read from BEGINS[p] on, up to BEGINS[p + 1], along each dim
RUNS = f"""
TABLES
extern "C" __global__ void kernel(const T* __restrict__ g, T* __restrict__ x) {{
  {texts.each()}
  I rest = i;
  int p2 = (int)(rest % N2); rest /= N2;
  int p1 = (int)(rest % N1); rest /= N1;
  int p0 = (int)(rest % N0); rest /= N0;
  const T* plane = g + rest * ((I)O0 * O1 * O2);
  W total = 0;
  for (int a = begins0[p0]; a < begins0[p0 + 1]; a++)
    for (int b = begins1[p1]; b < begins1[p1 + 1]; b++)
      for (int c = begins2[p2]; c < begins2[p2 + 1]; c++)
        total += load(plane[((I)a * O1 + b) * O2 + c]);
  x[i] = store(total);
}}
"""


def fits_runs(node: Node) -> bool:
    """Whether up to three dims of floats are gathered."""
    g, x = node.inputs[0], node.outputs[0]
    few = len(node.params["indices"]) <= 3
    return texts.is_float(g.dtype) and g.dtype == x.dtype and few and 0 not in (*g.shape, *x.shape)


def runs(node: Node) -> list[Launch]:
    """Gathered: the transpose of reading at indices that never decrease."""
    g, x = node.inputs[0], node.outputs[0]
    indices, space = node.params["indices"], node.params["space"]
    tables = [np.searchsorted(k, np.arange(n + 1)) for k, n in zip(indices, space, strict=True)]
    tables = [np.array([0, 1])] * (3 - len(tables)) + tables
    c_tables = [
        f"__device__ const int begins{k}[] = {{{', '.join(map(str, t.tolist()))}}};"
        for k, t in enumerate(tables)
    ]
    count, sizes = math.prod(x.shape), three([len(k) for k in indices], 1)
    given = {f"N{k}": n for k, n in enumerate(three(space, 1))}
    given |= {f"O{k}": n for k, n in enumerate(sizes)}
    c = texts.text(
        RUNS, g.dtype, texts.index_type(g, x), COUNT=count, TABLES=" ".join(c_tables), **given
    )
    return texts.alone(c, node, texts.over(count))
