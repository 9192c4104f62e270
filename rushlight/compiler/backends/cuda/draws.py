"""Random numbers: Philox4x32-10 (Salmon, Moraes, Dror and Shaw, 2011, "Parallel random numbers: as
easy as 1, 2, 3").

Four words are a function of a key, the seed, and a counter. A generator's desk, two u64 in the
GPU's memory, holds the seed and the first counter that is free; each thread takes one counter, and
makes two or four elements of its words, so that an element depends on nothing but the desk and its
place. A last launch moves the desk on: what is captured can be run again.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.compiler.backends.cuda import sorts, texts
from rushlight.compiler.backends.cuda.launch import Launch
from rushlight.compiler.graph import Node
from rushlight.core.sampling import DIGITS

DESK = (np.dtype(np.uint64), (2,))  # the seed, and the first counter that is free
WORDS = 4  # of a counter
WIDE = 2**28  # integers below which one word is enough
SPARE = 16  # bits of sorted keys beyond those for which half of all shuffles have no equal ones

PHILOX = """
__device__ __forceinline__ void philox(u32* c, u32 k0, u32 k1) {
  for (int round = 0; round < 10; round++) {
    u32 high0 = __umulhi(0xD2511F53u, c[0]), low0 = 0xD2511F53u * c[0];
    u32 high1 = __umulhi(0xCD9E8D57u, c[2]), low1 = 0xCD9E8D57u * c[2];
    c[0] = high1 ^ c[1] ^ k0; c[1] = low1; c[2] = high0 ^ c[3] ^ k1; c[3] = low0;
    k0 += 0x9E3779B9u; k1 += 0xBB67AE85u;
  }
}
__device__ __forceinline__ void draw(const u64* desk, i64 number, u32* words) {
  u64 seed = desk[0], at = desk[1] + number;
  words[0] = (u32)at; words[1] = (u32)(at >> 32); words[2] = words[3] = 0;
  philox(words, (u32)seed, (u32)(seed >> 32));
}
__device__ __forceinline__ u64 both(const u32* words) { return (u64)words[1] << 32 | words[0]; }
// fractions in [0, 1): of some bits of a word, and of 53 of two
__device__ __forceinline__ float fraction(u32 word, int bits) {
  return (float)(word >> (32 - bits)) * (1.0f / (1u << bits));
}
__device__ __forceinline__ double fraction(const u32* words) {
  return (double)(both(words) >> 11) * (1.0 / 9007199254740992.0);
}
"""
DRAWS = (
    PHILOX
    + """
struct alignas(EACH * sizeof(Out)) Pack { Out v[EACH]; };
extern "C" __global__ void kernel(const u64* __restrict__ desk OPERANDS, Out* __restrict__ out,
                                  i64 size) {
  I number = (I)blockIdx.x * blockDim.x + threadIdx.x, first = number * EACH, count = size;
  if (first >= count) return;
  u32 words[4];
  draw(desk, number, words);
  Made made[EACH];
  MAKE
  Pack pack;
  for (int e = 0; e < EACH; e++) {
    I i = first + e;
    if (i < count) pack.v[e] = FINISH;
  }
  if (first + EACH <= count && (u64)(out + first) % sizeof(Pack) == 0)
    *(Pack*)(out + first) = pack;  // in one piece, so that neighbours write whole lines
  else
    for (int e = 0; e < EACH; e++)
      if (first + e < count) out[first + e] = pack.v[e];
}
"""
)
ADVANCE = """
extern "C" __global__ void kernel(u64* desk, i64 numbers) { desk[1] += numbers; }
"""
# two normal values of two uniform ones, the first of which is never 0 (Box and Muller, 1958)
NORMALS = {
    4: """for (int e = 0; e < 4; e += 2) {
    float radius = sqrtf(-2.0f * logf(((float)words[e] + 1.0f) * 2.3283064365386963e-10f)), s, c;
    sincospif((float)words[e + 1] * 4.656612873077393e-10f, &s, &c);
    made[e] = radius * c; made[e + 1] = radius * s;
  }""",
    8: """double radius = sqrt(-2.0 * log(fraction(words) + 1.0 / 9007199254740992.0)), s, c;
  sincospi(2.0 * fraction(words + 2), &s, &c);
  made[0] = radius * c; made[1] = radius * s;""",
}
FRACTIONS = {
    4: "for (int e = 0; e < 4; e++) made[e] = fraction(words[e], BITS);",
    8: "made[0] = fraction(words); made[1] = fraction(words + 2);",
}
# u (high - low) + low, rounded once; what rounding made of the upper limit becomes the lower one
SCALED = """
__device__ __forceinline__ T scaled(W u) {
  T v = store(fma(u, SCALE, LOW));
  return load(v) >= HIGH ? store(LOW) : v;
}
"""
SHORT_SHUFFLE = (
    sorts.BITONIC
    + PHILOX
    + """
extern "C" __global__ void kernel(const u64* __restrict__ desk, i64* __restrict__ out) {
  __shared__ Key keys[P];
  __shared__ u32 at[P];
  int t = threadIdx.x;
  for (int i = t; i < P / 2; i += LANES) {
    u32 words[4];
    draw(desk, i, words);
    for (int e = 0; e < 2; e++) {
      int k = 2 * i + e;
      keys[k] = k < COUNT ? both(words + 2 * e) : ~(Key)0;
      at[k] = k;
    }
  }
  bitonic(keys, at, t);
  for (int i = t; i < COUNT; i += LANES) out[i] = at[i];
}
"""
)
SHUFFLE_KEYS = (
    PHILOX
    + """
extern "C" __global__ void kernel(const u64* __restrict__ desk, u64* keys, u32* at) {
  I number = (I)blockIdx.x * blockDim.x + threadIdx.x;
  if (number >= NUMBERS) return;
  u32 words[4];
  draw(desk, number, words);
  for (int e = 0; e < 2; e++) {
    I i = number * 2 + e;
    if (i < COUNT) keys[i] = both(words + 2 * e), at[i] = (u32)i;
  }
}
"""
)
INDICES = f"""
extern "C" __global__ void kernel(const u32* __restrict__ at, i64* __restrict__ out) {{
  {texts.each()}
  out[i] = at[i];
}}
"""


def fits(node: Node) -> bool:
    """Whether the GPU draws what a node draws, which has a desk for it."""
    desk, out = node.inputs[0], node.outputs[0]
    if (desk.dtype, desk.shape) != DESK:
        return False
    small = type(node.op).__name__ != "Shuffled" or math.prod(out.shape) < 2**31
    return 0 not in out.shape and small


def advance(numbers: int) -> Launch:
    """The launch that moves the desk on."""
    return Launch(texts.text(ADVANCE, np.dtype(np.int64)), ((0, 0),), sizes=(numbers,))


def drawn(
    node: Node,
    d: Any,
    each: int,
    make: str,
    finish: str,
    kind: str,
    before: str = "",
    **constants: Any,
) -> list[Launch]:
    """Launches that draw: ``make`` fills ``made``, of a C type ``kind``, with ``each`` values of
    the four words, and ``finish`` makes element i of them.
    """
    out = node.outputs[0]
    count = math.prod(out.shape)
    numbers = -(-count // each)
    given = {"OPERANDS": ", const T* __restrict__ x" if len(node.inputs) > 1 else ""} | constants
    c = texts.text(
        before + DRAWS, d, texts.index_type(out), EACH=each, Out=out.dtype,
        MAKE=make.replace("\n", " "), FINISH=finish, Made=kind, **given,
    )  # fmt: skip
    first = texts.alone(c, node, texts.over(numbers), sizes=(count,))
    return [*first, advance(numbers)]


def truths(node: Node) -> list[Launch]:
    """Truths: words below a limit."""
    limit = math.ceil(node.params["p"] * 2.0**32)
    return drawn(
        node, node.outputs[0].dtype, WORDS, "for (int e = 0; e < 4; e++) made[e] = words[e];",
        f"made[e] < {limit}ull", "u64",
    )  # fmt: skip


def uniforms(node: Node) -> list[Launch]:
    """Uniforms, and Slopes, which are 1 where x is positive."""
    p, d = node.params, node.outputs[0].dtype
    slopes = len(node.inputs) > 1
    low, high = (p["lower"], p["upper"]) if slopes else (p["low"], p["high"])
    wide = d.itemsize == 8
    low, high = (float(d.type(bound)) for bound in (low, high))
    value = "scaled(made[e])"
    constants = {
        "LOW": texts.number(low, d), "HIGH": texts.number(high, d), "BITS": DIGITS[d],
        "SCALE": texts.number(high - low, d),
    }  # fmt: skip
    return drawn(
        node, d, 2 if wide else 4, FRACTIONS[8 if wide else 4],
        f"load(x[i]) <= 0 ? {value} : store((W)1)" if slopes else value, "W", SCALED,
        **constants,
    )  # fmt: skip


def normals(node: Node) -> list[Launch]:
    """Normals."""
    p, d = node.params, node.outputs[0].dtype
    wide = d.itemsize == 8
    mean, std = texts.number(p["mean"], d), texts.number(p["std"], d)
    return drawn(
        node, d, 2 if wide else 4, NORMALS[8 if wide else 4], f"store(fma(made[e], {std}, {mean}))",
        "W",
    )  # fmt: skip


def waits(node: Node) -> list[Launch]:
    """Waits."""
    d = node.outputs[0].dtype
    factor = texts.number(-1.0 / node.params["rate"], d)
    return drawn(node, d, 2, FRACTIONS[8], f"{factor} * log1p(-made[e])", "W")


def integers(node: Node) -> list[Launch]:
    """Integers: words, or pairs of them, modulo the count of values."""
    low, count = node.params["low"], node.params["high"] - node.params["low"]
    d = node.outputs[0].dtype
    value = f"(i64)(made[e] % {count}ull + (u64){texts.number(low, np.dtype(np.int64))})"
    if count < WIDE:
        value = value.replace("made[e]", "(u32)made[e]").replace("ull +", "u +")
        make, each = "for (int e = 0; e < 4; e++) made[e] = words[e];", 4
    else:
        make, each = "made[0] = both(words); made[1] = both(words + 2);", 2
    return drawn(node, d, each, make, value, "u64")


def shuffled(node: Node) -> list[Launch]:
    """Shuffled: the order of random keys."""
    out = node.outputs[0]
    count = math.prod(out.shape)
    d = np.dtype(np.uint64)
    if count <= sorts.SHORT[8]:
        room = 1 << max(1, (count - 1).bit_length())
        lanes = min(texts.BLOCK, room // 2)
        c = texts.text(SHORT_SHUFFLE, d, P=room, LANES=lanes, COUNT=count, Key=d)
        first = Launch(c, ((0, 0), (1, 0)), (1, 1, 1), (lanes, 1, 1))
        return [first, advance(-(-count // 2))]
    numbers = -(-count // 2)
    index = texts.index_type(out)
    passes = sorts.Passes(1, count, "u64")
    c = texts.text(SHUFFLE_KEYS, d, index, COUNT=count, NUMBERS=numbers)
    keys = ((0, 0), passes.keys, passes.at)
    first = Launch(c, keys, *texts.over(numbers), scratch=passes.size)
    sorting = passes.launches(min(64, 2 * count.bit_length() + SPARE))
    c = texts.text(INDICES, d, index, COUNT=count)
    last = Launch(c, (passes.at, (1, 0)), *texts.over(count))
    return [first, *sorting, last, advance(numbers)]
