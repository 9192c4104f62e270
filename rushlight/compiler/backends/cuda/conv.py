"""Convolutions and their gradients, of one to three dims.

Windows are columns of a matrix that is never written: sums of products read them from the image
(tiles.py). The gradient of the input, with strides, falls into classes of positions, which meet the
same taps of the kernel. Groups of few channels have a thread for each element of the result.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

from rushlight.compiler.backends.cuda import texts, tiles
from rushlight.compiler.backends.cuda.launch import Launch
from rushlight.compiler.backends.cuda.pools import three
from rushlight.compiler.graph import Node, Value

FEW = 4  # channels of a group that tiles would be nearly empty for
MOST = 1 << 14  # taps, and classes of positions, that are written down
Triple = tuple[int, ...]


@dataclass
class Shape:
    """Sizes of a convolution, of three dims: images; groups of inner and outer channels; the
    input's space, the kernel, the output; stride, what is padded before, dilation.
    """

    images: int
    groups: int
    inner: int
    outer: int
    space: Triple
    kernel: Triple
    out: Triple
    stride: Triple
    before: Triple
    dilation: Triple

    def constants(self) -> dict[str, int]:
        """As names in C."""
        named = {
            "N": self.space, "K": self.kernel, "O": self.out, "S": self.stride, "B": self.before,
            "D": self.dilation,
        }  # fmt: skip
        made = {f"{name}{k}": v for name, values in named.items() for k, v in enumerate(values)}
        return made | {
            "GROUPS": self.groups, "INNER": self.inner, "OUTER": self.outer, "IMAGES": self.images,
            "TAPS": math.prod(self.kernel), "SPACE": math.prod(self.space),
            "PLACES": math.prod(self.out),
        }  # fmt: skip


def shape_of(node: Node) -> Shape:
    """The sizes of a convolution node, whichever of the three it is."""
    p, kind = node.params, type(node.op).__name__
    a, b, c = node.inputs[0].shape, node.inputs[1].shape, node.outputs[0].shape
    x, w, y = {"Conv": (a, b, c), "ConvInput": (c, b, a), "ConvWeight": (a, c, b)}[kind]
    groups = p["groups"]
    return Shape(
        x[0], groups, x[1] // groups, y[1] // groups, three(x[2:], 1), three(w[2:], 1),
        three(y[2:], 1), three(p["stride"], 1), three([a for a, _ in p["padding"]], 0),
        three(p["dilation"], 1),
    )  # fmt: skip


def fits(node: Node) -> bool:
    """Whether a convolution is of floats of one dtype, up to three dims, and not empty."""
    values = [v for v in (*node.inputs, *node.outputs) if isinstance(v, Value)]
    d = values[0].dtype
    if not texts.is_float(d) or any([v.dtype != d or 0 in v.shape for v in values]):
        return False
    if not 3 <= len(node.outputs[0].shape) <= 5:
        return False
    s = shape_of(node)
    count = s.images * max(math.prod(s.space), math.prod(s.out))
    return count < 2**31 and max(math.prod(s.kernel), math.prod(s.stride)) <= MOST


# the place in the input that a window's tap is at
PLACE = """
__device__ __forceinline__ bool inside(int p0, int p1, int p2) {
  return (unsigned)p0 < N0 && (unsigned)p1 < N1 && (unsigned)p2 < N2;
}
__device__ __forceinline__ bool within(int q0, int q1, int q2) {
  return (unsigned)q0 < O0 && (unsigned)q1 < O1 && (unsigned)q2 < O2;
}
"""
FORWARD = """
struct SpotA { I at; };
struct SpotB { I at; int p0, p1, p2; };
__device__ __forceinline__ int depth(I g) { return INNER * TAPS; }
__device__ __forceinline__ SpotA spot_a(I g, int m) { return {(g * OUTER + m) * (INNER * TAPS)}; }
__device__ __forceinline__ W load_a(const T* w, SpotA s, int k) { return load(w[s.at + k]); }
__device__ __forceinline__ SpotB spot_b(I g, int n) {
  int place = n % PLACES;
  return {((I)(n / PLACES) * GROUPS + g) * INNER * SPACE, place / (O1 * O2) * S0 - B0,
          place / O2 % O1 * S1 - B1, place % O2 * S2 - B2};
}
__device__ __forceinline__ W load_b(const T* x, SpotB s, int k) {
  int c = k / TAPS, tap = k % TAPS;
  int p0 = s.p0 + tap / (K1 * K2) * D0, p1 = s.p1 + tap / K2 % K1 * D1, p2 = s.p2 + tap % K2 * D2;
  return inside(p0, p1, p2) ? load(x[s.at + (I)c * SPACE + ((I)p0 * N1 + p1) * N2 + p2]) : (W)0;
}
__device__ __forceinline__ void put(T* y BIAS_OPERAND, I g, int m, int n, W v) {
  y[(((I)(n / PLACES) * GROUPS + g) * OUTER + m) * PLACES + n % PLACES] = store(v ADD);
}
"""
# a class of positions r + S i, a batch for each group and class; its taps, and how far the outputs
# that they meet are from i
INPUT = """
struct Tap { int tap, q0, q1, q2; };
struct Class { int r0, r1, r2, first, count; };
__device__ const Tap taps[] = {TABLE};
__device__ const Class classes[] = {CLASSES_TABLE};
struct SpotA { I at; int first; };
struct SpotB { I at; int i0, i1, i2, first; };
__device__ __forceinline__ int depth(I batch) { return OUTER * classes[batch % CLASSES].count; }
__device__ __forceinline__ SpotA spot_a(I batch, int m) {
  return {(batch / CLASSES * OUTER * INNER + m) * TAPS, (int)(batch % CLASSES)};
}
__device__ __forceinline__ W load_a(const T* w, SpotA s, int k) {
  Class of = classes[s.first];
  int o = k / of.count;
  return load(w[s.at + (I)o * (INNER * TAPS) + taps[of.first + k % of.count].tap]);
}
__device__ __forceinline__ SpotB spot_b(I batch, int n) {
  int i = n % STEPS;
  return {((I)(n / STEPS) * GROUPS + batch / CLASSES) * OUTER * PLACES, i / (I1 * I2), i / I2 % I1,
          i % I2, (int)(batch % CLASSES)};
}
__device__ __forceinline__ W load_b(const T* y, SpotB s, int k) {
  Class of = classes[s.first];
  int o = k / of.count;
  Tap t = taps[of.first + k % of.count];
  int q0 = s.i0 + t.q0, q1 = s.i1 + t.q1, q2 = s.i2 + t.q2;
  return within(q0, q1, q2) ? load(y[s.at + (I)o * PLACES + ((I)q0 * O1 + q1) * O2 + q2]) : (W)0;
}
__device__ __forceinline__ void put(T* x BIAS_OPERAND, I batch, int m, int n, W v) {
  Class of = classes[batch % CLASSES];
  I g = batch / CLASSES;
  int i = n % STEPS;
  int p0 = i / (I1 * I2) * S0 + of.r0, p1 = i / I2 % I1 * S1 + of.r1, p2 = i % I2 * S2 + of.r2;
  if (inside(p0, p1, p2))
    x[(((I)(n / STEPS) * GROUPS + g) * INNER + m) * SPACE + ((I)p0 * N1 + p1) * N2 + p2] =
        store(v ADD);
}
"""
WEIGHT = """
struct SpotA { I at; };
struct SpotB { I at; int p0, p1, p2; };
__device__ __forceinline__ int depth(I g) { return IMAGES * PLACES; }
__device__ __forceinline__ SpotA spot_a(I g, int m) { return {(g * OUTER + m) * PLACES}; }
__device__ __forceinline__ W load_a(const T* y, SpotA s, int k) {
  return load(y[s.at + (I)(k / PLACES) * GROUPS * OUTER * PLACES + k % PLACES]);
}
__device__ __forceinline__ SpotB spot_b(I g, int n) {
  int tap = n % TAPS;
  return {(g * INNER + n / TAPS) * SPACE, tap / (K1 * K2) * D0 - B0, tap / K2 % K1 * D1 - B1,
          tap % K2 * D2 - B2};
}
__device__ __forceinline__ W load_b(const T* x, SpotB s, int k) {
  int place = k % PLACES;
  int p0 = s.p0 + place / (O1 * O2) * S0, p1 = s.p1 + place / O2 % O1 * S1;
  int p2 = s.p2 + place % O2 * S2;
  I image = (I)(k / PLACES) * GROUPS * INNER * SPACE;
  return inside(p0, p1, p2) ? load(x[s.at + image + ((I)p0 * N1 + p1) * N2 + p2]) : (W)0;
}
__device__ __forceinline__ void put(T* w, I g, int m, int n, W v) {
  w[(g * OUTER + m) * (INNER * TAPS) + n] = store(v);
}
"""


def with_bias(node: Node) -> dict[str, str]:
    """C of the bias, by channel."""
    channels = "OUTER" if type(node.op).__name__ == "Conv" else "INNER"
    if node.inputs[2] is None:
        return {"BIAS_OPERAND": "", "ADD": ""}
    return {
        "BIAS_OPERAND": ", const T* bias",
        "ADD": f"+ load(bias[g * {channels} + m])",
    }


def index_of(node: Node) -> str:
    """What counts the elements of any operand."""
    return texts.index_type(*[v for v in (*node.inputs, *node.outputs) if isinstance(v, Value)])


def forward(node: Node) -> list[Launch]:
    """Conv."""
    s, bias = shape_of(node), node.inputs[2] is not None
    d, n = node.inputs[0].dtype, s.images * math.prod(s.out)
    if s.outer <= FEW:
        return direct(FORWARD, node, s, s.groups, s.outer, n)
    sizes = tiles.Sizes(s.groups, s.outer, n, s.inner * math.prod(s.kernel), True, False)
    keys = [1, 0, 2, 3] if bias else [1, 0, 3]
    return tiles.launches(
        PLACE + FORWARD, d, index_of(node), sizes, keys, bias, **s.constants(), **with_bias(node)
    )


def classes(s: Shape) -> tuple[dict[str, Any], int]:
    """C tables of the classes of positions, and how many taps a class has at most."""
    table: list[str] = []
    found, most = [], 0
    for r in itertools.product(*map(range, s.stride)):
        first = len(table)
        for number, tap in enumerate(itertools.product(*map(range, s.kernel))):
            away = [a + b - t * e for a, b, t, e in zip(r, s.before, tap, s.dilation, strict=True)]
            if not any([q % step for q, step in zip(away, s.stride, strict=True)]):
                steps = [q // step for q, step in zip(away, s.stride, strict=True)]
                table.append(f"{{{number}, {', '.join(map(str, steps))}}}")
        count = len(table) - first
        most = max(most, count)
        found.append(f"{{{', '.join(map(str, (*r, first, count)))}}}")
    made = {"TABLE": ", ".join(table), "CLASSES_TABLE": ", ".join(found), "CLASSES": len(found)}
    return made, most


def to_input(node: Node) -> list[Launch]:
    """ConvInput."""
    s, bias = shape_of(node), node.inputs[2] is not None
    d = node.inputs[0].dtype
    tables, most = classes(s)
    steps = [math.ceil(n / step) for n, step in zip(s.space, s.stride, strict=True)]
    given = tables | {f"I{k}": v for k, v in enumerate(steps)} | {"STEPS": math.prod(steps)}
    n, batch = s.images * math.prod(steps), s.groups * tables["CLASSES"]
    if s.inner <= FEW:
        return direct(INPUT, node, s, batch, s.inner, n, **given)
    sizes = tiles.Sizes(batch, s.inner, n, s.outer * most, True, False)
    keys = [1, 0, 2, 3] if bias else [1, 0, 3]
    return tiles.launches(
        PLACE + INPUT, d, index_of(node), sizes, keys, bias,
        **s.constants(), **given, **with_bias(node),
    )  # fmt: skip


# one thread for each element
DIRECT = f"""
extern "C" __global__ void kernel(const T* __restrict__ a, const T* __restrict__ b OPERANDS) {{
  {texts.each()}
  I batch = i / ((I)N * M);
  int m = (int)(i / N % M), n = (int)(i % N);
  SpotA at_a = spot_a(batch, m);
  SpotB at_b = spot_b(batch, n);
  W total = 0;
  for (int k = 0; k < depth(batch); k++) total += load_a(a, at_a, k) * load_b(b, at_b, k);
  put(y BIAS, batch, m, n, total);
}}
"""


def direct(c: str, node: Node, s: Shape, batch: int, m: int, n: int, **given: Any) -> list[Launch]:
    """A thread for each element of the result of ``c``."""
    bias = node.inputs[2] is not None
    count = batch * m * n
    ends = ", const T* __restrict__ bias, T* __restrict__ y" if bias else ", T* __restrict__ y"
    text = texts.text(
        PLACE + c + DIRECT, node.inputs[0].dtype, index_of(node), M=m, N=n, COUNT=count,
        OPERANDS=ends, BIAS=", bias" if bias else "", **s.constants(), **given, **with_bias(node),
    )  # fmt: skip
    keys = [1, 0, 2, 3] if bias else [1, 0, 3]
    return [Launch(text, tuple([(k, 0) for k in keys]), *texts.over(count))]


# a block for each element
EACH = """
extern "C" __global__ void kernel(const T* __restrict__ a, const T* __restrict__ b,
                                  T* __restrict__ y) {
  __shared__ W parts[BLOCK];
  int t = threadIdx.x, m = (int)(blockIdx.x / N % M), n = (int)(blockIdx.x % N);
  I batch = blockIdx.x / N / M;
  SpotA at_a = spot_a(batch, m);
  SpotB at_b = spot_b(batch, n);
  W total = 0;
  for (int k = t; k < depth(batch); k += BLOCK) total += load_a(a, at_a, k) * load_b(b, at_b, k);
  parts[t] = total;
  __syncthreads();
  for (int d = BLOCK / 2; d; d /= 2) {
    if (t < d) parts[t] += parts[t + d];
    __syncthreads();
  }
  if (t == 0) put(y, batch, m, n, parts[0]);
}
"""


def to_weight(node: Node) -> list[Launch]:
    """ConvWeight."""
    s, d = shape_of(node), node.inputs[0].dtype
    n = s.inner * math.prod(s.kernel)
    if s.outer <= FEW:
        c = texts.text(
            PLACE + WEIGHT + EACH, d, index_of(node), M=s.outer, N=n, BLOCK=texts.BLOCK,
            **s.constants(),
        )  # fmt: skip
        grid: texts.Grid = (s.groups * s.outer * n, 1, 1), (texts.BLOCK, 1, 1)
        return [Launch(c, ((1, 0), (0, 0), (2, 0)), *grid)]
    sizes = tiles.Sizes(s.groups, s.outer, n, s.images * math.prod(s.out), True, True)
    return tiles.launches(
        PLACE + WEIGHT, d, index_of(node), sizes, [1, 0, 2], False, **s.constants()
    )
