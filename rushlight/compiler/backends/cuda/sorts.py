"""Rows in order: elements become unsigned integers, their keys, which are in the same order.

Short rows are sorted by comparing pairs of a key and an index in shared memory. Of long rows, a few
are kept while a block looks at all; or they are sorted by the digits of their keys, the last digit
first: a pass counts the digits of each tile, adds the counts up, and moves every element behind
those that come before it. Equal keys keep their order everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.compiler.backends.cuda import texts
from rushlight.compiler.backends.cuda.launch import SHARED, Launch
from rushlight.compiler.graph import Node

SHORT = {4: 4096, 8: 2048}  # elements of a row that shared memory holds, by the bytes of keys
ROOM = 2048  # pairs: of the first few of a row, and candidates
FEW = ROOM // 4
SHARE = 8192  # elements of a row that are worth a block
BLOCKS = 264  # that keep a large GPU busy
EACH = 4  # elements that a thread looks at before candidates are sorted in
BITS, DIGITS = 4, 16  # of a digit, and how many there are
THREADS, ITEMS = 256, 8  # of a block of a pass, and elements of a thread
TILE = THREADS * ITEMS
ALIGN = 256  # bytes between arrays of scratch memory


def fits(node: Node) -> bool:
    """Whether rows of numbers are to be ordered, of fewer elements than 32 bits count."""
    x = node.inputs[0]
    some = 0 not in (*x.shape, *node.outputs[0].shape)
    known = texts.is_float(x.dtype) or x.dtype.kind in "iub"
    return known and some and x.shape[1] < 2**31


def key_bits(d: Any) -> int:
    """Bits of an element's key."""
    return 8 * np.dtype(d).itemsize


def key_type(d: Any) -> str:
    """The C type that holds a key."""
    return "u64" if np.dtype(d).itemsize == 8 else "u32"


def key_c(d: Any, descending: bool) -> str:
    """C of ``key_of``: NaN is the largest, and zeros are equal."""
    bits, kind = key_bits(d), key_type(d)
    unsigned = {8: "u8", 16: "u16", 32: "u32", 64: "u64"}[bits]
    ones = f"({kind})({unsigned})~({unsigned})0"
    lines = [f"{unsigned} b = BITS_OF(x);"]
    if texts.is_float(d):
        fraction = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}[texts.name_of(d)]
        sign = f"(({unsigned})1 << {bits - 1})"
        infinity = f"((({unsigned})1 << {bits - 1 - fraction}) - 1) << {fraction}"
        lines += [
            f"{unsigned} size = b & ({unsigned})~{sign};",
            f"if (size > ({unsigned})({infinity})) b = {ones};",
            f"else if (size == 0) b = {sign};",
            f"else b = ({unsigned})(b & {sign} ? ~b : b | {sign});",
        ]
    elif np.dtype(d).kind == "i":
        lines.append(f"b ^= ({unsigned})1 << {bits - 1};")
    if descending:
        lines.append(f"b = ({unsigned})~b;")
    body = "\n  ".join([*lines, f"return ({kind})b;"])
    how = {
        "float32": "as_bits(x)",
        "float64": "__builtin_bit_cast(u64, x)",
        "bfloat16": "x.bits",
    }.get(texts.name_of(d), f"({unsigned})x")
    body = body.replace("BITS_OF(x)", how)
    return f"__device__ __forceinline__ {kind} key_of(T x) {{\n  {body}\n}}"


# pairs in order, by key and then by index: P, a power of two, of a row, by LANES threads
BITONIC = """
__device__ __forceinline__ bool before(Key a, u32 i, Key b, u32 j) {
  return a < b || (a == b && i < j);
}
__device__ __forceinline__ void bitonic(Key* keys, u32* at, int t) {
  for (int size = 2; size <= P; size *= 2)
    for (int d = size / 2; d; d /= 2) {
      __syncthreads();
      for (int n = t; n < P / 2; n += LANES) {
        int i = (n & ~(d - 1)) * 2 + (n & (d - 1)), j = i + d;  // which differ in one bit
        bool up = (i & size) == 0;
        if (before(keys[j], at[j], keys[i], at[i]) == up) {
          Key k = keys[i]; keys[i] = keys[j]; keys[j] = k;
          u32 a = at[i]; at[i] = at[j]; at[j] = a;
        }
      }
    }
  __syncthreads();
}
"""
SHORT_ROWS = (
    BITONIC
    + """
extern "C" __global__ void kernel(const T* __restrict__ x, T* __restrict__ values,
                                  i64* __restrict__ indices) {
  __shared__ Key keys[TOGETHER * P];
  __shared__ u32 at[TOGETHER * P];
  int mine = threadIdx.x / LANES, t = threadIdx.x % LANES;
  I r = (I)blockIdx.x * TOGETHER + mine;
  const T* row = x + r * N;
  for (int i = t; i < P; i += LANES) {
    bool real = r < ROWS && i < N;
    keys[mine * P + i] = real ? key_of(row[i]) : ~(Key)0;  // behind all others, by its index
    at[mine * P + i] = i;
  }
  bitonic(keys + mine * P, at + mine * P, t);
  if (r >= ROWS) return;
  for (int i = t; i < COUNT; i += LANES) {
    u32 j = at[mine * P + i];
    values[r * COUNT + i] = row[j];
    indices[r * COUNT + i] = j;
  }
}
"""
)
# SHARES of a row are gone through by blocks, and what each finds once more by one. FETCH: the key k
# and the index j of element i; KEEP: what is done with the pair at i
FIRST_FEW = (
    BITONIC
    + """
extern "C" __global__ void kernel(OPERANDS) {
  __shared__ Key keys[P];
  __shared__ u32 at[P];
  __shared__ int filled;
  int t = threadIdx.x;
  I r = blockIdx.x / SHARES;
  u32 begin = blockIdx.x % SHARES * SHARE, end = begin + SHARE < N ? begin + SHARE : N;
  for (int i = t; i < P; i += LANES) keys[i] = ~(Key)0, at[i] = ~0u;
  if (t == 0) filled = 0;
  __syncthreads();
  Key last = ~(Key)0;
  u32 last_at = ~0u;
  // candidates come behind the first COUNT in any order: the pairs, which differ, say the rest
  for (u32 start = begin; start < end; start += EACH * LANES) {
    for (int e = 0; e < EACH; e++) {
      u32 i = start + e * LANES + t;
      if (i >= end) break;
      FETCH
      if (before(k, j, last, last_at)) {
        int place = COUNT + atomicAdd(&filled, 1);
        keys[place] = k, at[place] = j;
      }
    }
    __syncthreads();
    int some = filled;
    if (some > P - COUNT - EACH * LANES || (some && start + EACH * LANES >= end)) {
      bitonic(keys, at, t);
      last = keys[COUNT - 1], last_at = at[COUNT - 1];
      __syncthreads();
      for (int i = COUNT + t; i < P; i += LANES) keys[i] = ~(Key)0, at[i] = ~0u;
      if (t == 0) filled = 0;
    }
    __syncthreads();
  }
  for (int i = t; i < COUNT; i += LANES) { KEEP }
}
"""
)

# Passes over digits. Rows of N keys, in TILES tiles each; counts (ROWS, DIGITS, TILES). A pass
# drops the digit that it has used.
KEYS = f"""
extern "C" __global__ void kernel(const T* __restrict__ x, Key* keys, u32* at) {{
  {texts.each()}
  keys[i] = key_of(x[i]);
  at[i] = (u32)(i % N);
}}
"""
COUNTS = """
extern "C" __global__ void kernel(const Key* __restrict__ keys, u32* counts, i64 n,
                                  i64 tiles) {
  const I N = n, TILES = tiles;
  __shared__ u32 found[DIGITS];
  int t = threadIdx.x;
  I r = blockIdx.x / TILES;
  int tile = blockIdx.x % TILES;
  if (t < DIGITS) found[t] = 0;
  __syncthreads();
  for (int e = 0; e < ITEMS; e++) {
    I i = (I)tile * ITEMS * THREADS + e * THREADS + t;
    if (i < N) atomicAdd(&found[(u32)keys[r * N + i] % DIGITS], 1u);
  }
  __syncthreads();
  if (t < DIGITS) counts[(r * DIGITS + t) * TILES + tile] = found[t];
}
"""
# the sum of what the threads before this one have
BEFORE = """
__device__ __forceinline__ u32 before(u32* sums, u32 own) {
  int t = threadIdx.x;
  sums[t] = own;
  __syncthreads();
  for (int d = 1; d < THREADS; d *= 2) {
    u32 left = t >= d ? sums[t - d] : 0;
    __syncthreads();
    sums[t] += left;
    __syncthreads();
  }
  return sums[t] - own;
}
"""
# counts become the number of elements before; each thread takes those that lie together
BEGINS = (
    BEFORE
    + """
extern "C" __global__ void kernel(u32* counts, i64 n, i64 tiles) {
  __shared__ u32 sums[THREADS];
  const int ALL = DIGITS * (int)tiles, PART = (ALL + THREADS - 1) / THREADS;
  u32* own = counts + (I)blockIdx.x * ALL;
  int t = threadIdx.x, first = t * PART, end = first + PART < ALL ? first + PART : ALL;
  u32 sum = 0;
  for (int i = first; i < end; i++) sum += own[i];
  sum = before(sums, sum);
  for (int i = first; i < end; i++) { u32 n = own[i]; own[i] = sum; sum += n; }
}
"""
)
MOVES = (
    BEFORE
    + """
extern "C" __global__ void kernel(const Key* __restrict__ keys, const u32* __restrict__ at,
                                  const u32* __restrict__ begins, Key* to_keys, u32* to_at,
                                  i64 n, i64 tiles) {
  const I N = n, TILES = tiles;
  __shared__ u32 places[DIGITS * THREADS];  // of each digit and thread
  __shared__ u32 sums[THREADS], starts[DIGITS];
  int t = threadIdx.x;
  I r = blockIdx.x / TILES;
  int tile = blockIdx.x % TILES;
  I first = ((I)tile * THREADS + t) * ITEMS;
  for (int d = 0; d < DIGITS; d++) places[d * THREADS + t] = 0;
  for (int e = 0; e < ITEMS; e++)
    if (first + e < N) places[(u32)keys[r * N + first + e] % DIGITS * THREADS + t]++;
  __syncthreads();
  u32 sum = 0;
  for (int d = 0; d < DIGITS; d++) sum += places[t * DIGITS + d];
  sum = before(sums, sum);
  for (int d = 0; d < DIGITS; d++) {
    u32 n = places[t * DIGITS + d];
    places[t * DIGITS + d] = sum;
    sum += n;
  }
  __syncthreads();
  // where the tile's elements of a digit go, less their place in the tile
  if (t < DIGITS) starts[t] = begins[(r * DIGITS + t) * TILES + tile] - places[t * THREADS];
  __syncthreads();
  for (int e = 0; e < ITEMS; e++) {
    I i = first + e;
    if (i >= N) break;
    Key k = keys[r * N + i];
    u32 d = (u32)k % DIGITS;
    I to = r * N + starts[d] + places[d * THREADS + t]++;
    to_keys[to] = k >> BITS;
    to_at[to] = at[r * N + i];
  }
}
"""
)
TAKE = f"""
extern "C" __global__ void kernel(const T* __restrict__ x, const u32* __restrict__ at,
                                  T* __restrict__ values, i64* __restrict__ indices) {{
  {texts.each()}
  I r = i / TAKEN;
  u32 j = at[r * N + i % TAKEN];
  values[i] = x[r * N + j];
  indices[i] = j;
}}
"""


class Passes:
    """Scratch memory of the passes over ``rows`` of ``n`` keys: two arrays of keys, two of indices,
    and counts. ``keys`` and ``at`` are where the keys and indices are, in bytes.
    """

    def __init__(self, rows: int, n: int, kind: str) -> None:
        self.rows, self.n, self.kind = rows, n, kind
        self.tiles = -(-n // TILE)
        sizes = [rows * n * (8 if kind == "u64" else 4)] * 2 + [rows * n * 4] * 2
        sizes.append(rows * DIGITS * self.tiles * 4)
        self.begins: list[int] = []
        total = 0
        for size in sizes:
            self.begins.append(total)
            total += -(-size // ALIGN) * ALIGN
        self.size, self.side = total, 0

    @property
    def keys(self) -> tuple[str, int]:
        """The keys, as an operand."""
        return SHARED, self.begins[self.side]

    @property
    def at(self) -> tuple[str, int]:
        """Their indices."""
        return SHARED, self.begins[2 + self.side]

    def launches(self, bits: int) -> list[Launch]:
        """Sort by the last bits of keys."""
        made = []
        counts = (SHARED, self.begins[4])
        index = texts.index_type(most=self.rows * self.n)
        sizes: dict[str, Any] = {"DIGITS": DIGITS, "BITS": BITS}
        sizes |= {"THREADS": THREADS, "ITEMS": ITEMS, "Key": self.kind}
        block = (THREADS, 1, 1)

        def launch(body: str, operands: Any, blocks: int) -> Launch:
            c = texts.text(body, np.dtype(np.uint32), index, **sizes)
            grid, both = (blocks, 1, 1), (self.n, self.tiles)
            return Launch(c, tuple(operands), grid, block, scratch=self.size, sizes=both)

        for _ in range(0, bits, BITS):
            tiles = self.rows * self.tiles
            made += [
                launch(COUNTS, [self.keys, counts], tiles),
                launch(BEGINS, [counts], self.rows),
            ]
            before = [self.keys, self.at, counts]
            self.side ^= 1
            made.append(launch(MOVES, [*before, self.keys, self.at], tiles))
        return made


def ranked(node: Node) -> list[Launch]:
    """Ranked."""
    x, k = node.inputs[0], node.params["k"]
    rows, n = x.shape
    d, kind = x.dtype, key_type(x.dtype)
    key = key_c(d, node.params["descending"])
    index = texts.index_type(x)
    given: dict[str, Any] = {"ROWS": rows, "N": n, "COUNT": k, "Key": kind}
    if n <= SHORT[8 if kind == "u64" else 4]:
        room = 1 << max(1, (n - 1).bit_length())
        lanes = min(texts.BLOCK, room // 2)
        together = max(1, texts.BLOCK // (2 * lanes))
        c = texts.text(key + SHORT_ROWS, d, index, P=room, LANES=lanes, TOGETHER=together, **given)
        return texts.alone(c, node, ((-(-rows // together), 1, 1), (lanes * together, 1, 1)))
    if k <= FEW:
        return first_few(node, key, given)
    passes = Passes(rows, n, kind)
    c = texts.text(key + KEYS, d, index, N=n, COUNT=rows * n, Key=kind)
    first = Launch(c, ((0, 0), passes.keys, passes.at), *texts.over(rows * n), scratch=passes.size)
    sorting = passes.launches(key_bits(d))
    c = texts.text(TAKE, d, index, N=n, TAKEN=k, COUNT=rows * k)
    last = Launch(c, ((0, 0), passes.at, (1, 0), (2, 0)), *texts.over(rows * k))
    return [first, *sorting, last]


def first_few(node: Node, key: str, given: dict[str, Any]) -> list[Launch]:
    """The first few of long rows, which are shared by several blocks if there are few."""
    x, k = node.inputs[0], node.params["k"]
    (rows, n), d = x.shape, x.dtype
    most = max(1, min(n // SHARE, ROOM // k, BLOCKS // rows))
    share = -(-n // most)
    shares = -(-n // share)
    size = 8 if given["Key"] == "u64" else 4
    found = -(-rows * shares * k * size // ALIGN) * ALIGN
    pairs = (SHARED, 0), (SHARED, found)

    def launch(operands: Any, blocks: int, **more: Any) -> Launch:
        c = texts.text(
            key + FIRST_FEW, d, texts.index_type(x), P=ROOM, LANES=texts.BLOCK, EACH=EACH,
            **given | more,
        )  # fmt: skip
        room = 0 if shares == 1 else found + rows * shares * k * 4
        grid = (blocks, 1, 1), (texts.BLOCK, 1, 1)
        return Launch(c, tuple(operands), *grid, scratch=room)

    element = "Key k = key_of(x[r * N + i]); u32 j = i;"
    results = "T* __restrict__ values, i64* __restrict__ indices"
    keep = "values[r * COUNT + i] = x[r * WIDTH + at[i]]; indices[r * COUNT + i] = at[i];"
    first = {"OPERANDS": f"const T* __restrict__ x, {results}", "FETCH": element, "KEEP": keep}
    first |= {"SHARES": shares, "SHARE": share, "WIDTH": n}
    if shares == 1:
        return [launch([(0, 0), (1, 0), (2, 0)], rows, **first)]
    first["OPERANDS"] = "const T* __restrict__ x, Key* found, u32* places"
    first["KEEP"] = "I to = (I)blockIdx.x * COUNT + i; found[to] = keys[i]; places[to] = at[i];"
    last = {
        "OPERANDS": f"const T* __restrict__ x, const Key* found, const u32* places, {results}",
        "FETCH": "Key k = found[r * N + i]; u32 j = places[r * N + i];", "KEEP": keep,
        "SHARES": 1, "SHARE": shares * k, "N": shares * k, "WIDTH": n,
    }  # fmt: skip
    return [
        launch([(0, 0), *pairs], rows * shares, **first),
        launch([(0, 0), *pairs, (1, 0), (2, 0)], rows, **last),
    ]
