"""CUDA C of attention on tensor cores: float32 and halves, with up to 128 columns.

A warp has 16 rows of a block's: queries, or keys where gradients are those of keys. The rows of the
other side stream by, COLUMNS at a time, copied to shared memory while others are worked on. A
product of 16 by 8 lies over a warp's lanes as ``mma`` lays it: lane l has columns 2 (l % 4) and the
next of rows l / 4 and 8 more. So do weights, which are the left factor of the next product without
leaving registers: a sum of products does not care in which order terms come, if both factors have
them in one.

Note [Three products]
Tensor cores take float32 numbers with 11 significant bits. A number is the sum of a big part, which
has so many, and a small one; (a + a') (b + b') is a b + a b' + a' b, up to what float32 rounds.

Note [Places of chunks]
16 bytes, a chunk, are read at once. Rows lie an odd number of chunks apart, so that eight lanes
that read at once find eight different groups of banks, whether their chunks are below each other
or, two rows of four, two chunks apart.

Note [Gradients by query]
The weights' common sum, and what their gradients have in common, are known at the end only. So what
comes before is added up twice, with the weights and with their gradients d times them, and
    sum of p (d - D) k = sum of p d k - D times sum of p k.
Few digits are lost if d is near 0: what it has in common at a query's first keys is taken off.
"""

from __future__ import annotations

import math
from typing import Any

from rushlight.compiler.backends.cuda import texts
from rushlight.compiler.backends.cuda.launch import SHARED, Launch
from rushlight.compiler.graph import Node

WIDEST = 128  # columns of q, k and v
# rows of a block, and rows that stream by at once
ROWS, COLUMNS = 64, 32
MOST = 99 * 1024  # bytes of shared memory that a block may have on any GPU with tensor cores
LOG2E = "1.44269504f"
PACKS = {"tf32": "pack_half", "half": "pack_half", "bfloat": "pack_bfloat"}
KINDS = {"float32": "tf32", "float16": "half", "bfloat16": "bfloat"}

COMMON = """
constexpr bool SINGLE = sizeof(T) == 4;
constexpr int PER = 16 / sizeof(T);  // elements of a chunk
struct alignas(16) Chunk { u32 v[4]; };
// a matrix in memory; chunks: whether its rows are made of them
struct Rows { const T* p; I row, column; int count, columns; bool chunks; };
// what a product takes of a matrix
template <int N> struct Factor { u32 big[N], small[SINGLE ? N : 1]; };

template <int N> __device__ __forceinline__ Factor<N> factor(const u32 (&x)[N]) {
  Factor<N> f;
  #pragma unroll
  for (int i = 0; i < N; i++) {
    f.big[i] = SINGLE ? (x[i] + 0x1000) & 0xffffe000 : x[i];
    if (SINGLE) f.small[i] = as_bits(as_float(x[i]) - as_float(f.big[i]));
  }
  return f;
}
// See Note [Three products].
template <int N> __device__ __forceinline__ void multiply(float (*c)[4], Factor<4>& a,
                                                          Factor<2> (&b)[N]) {
  #pragma unroll
  for (int j = 0; SINGLE && j < N; j++) MMA(c[j], a.small, b[j].big);
  #pragma unroll
  for (int j = 0; SINGLE && j < N; j++) MMA(c[j], a.big, b[j].small);
  #pragma unroll
  for (int j = 0; j < N; j++) MMA(c[j], a.big, b[j].big);
}
// N rows of a matrix from row r0, with zeros around it, to shared memory
template <int N, int WIDTH> __device__ __forceinline__ void fetch(T* to, Rows m, int r0) {
  constexpr int CHUNKS = WIDTH / PER, STRIDE = WIDTH + PER;
  if (m.chunks) {
    #pragma unroll
    for (int n = threadIdx.x; n < N * CHUNKS; n += THREADS) {
      int r = n / CHUNKS, c = n % CHUNKS * PER;
      bool there = r0 + r < m.count && c < m.columns;
      copy_async(to + r * STRIDE + c, there ? m.p + (r0 + r) * m.row + c : m.p, there ? 16 : 0);
    }
  } else {
    for (int n = threadIdx.x; n < N * WIDTH; n += THREADS) {
      int r = n / WIDTH, c = n % WIDTH;
      bool there = r0 + r < m.count && c < m.columns;
      to[r * STRIDE + c] = there ? m.p[(r0 + r) * m.row + c * m.column] : T();
    }
  }
}
// look(n, stage) at each tile after start(n, stage) has fetched it, while others are on their way
template <typename Start, typename Look>
__device__ __forceinline__ void stream(int first, int end, Start start, Look look) {
  #pragma unroll
  for (int n = 0; n < STAGES - 1; n++) {
    if (first + n < end) start(first + n, n);
    copies_end();
  }
  for (int n = first; n < end; n++) {
    int ahead = n + STAGES - 1;
    if (ahead < end) start(ahead, (ahead - first) % STAGES);
    copies_end();
    copies_wait<STAGES - 1>();
    __syncthreads();
    look(n, (n - first) % STAGES);
    __syncthreads();
  }
}
// c = the products of 16 rows of a and 8 N of b, in shared memory
template <int N, int WIDTH>
__device__ __forceinline__ void products(float (*c)[4], const T* a, const T* b) {
  constexpr int CHUNKS = WIDTH / PER, STRIDE = WIDTH + PER, G = N % 4 ? 2 : 4;
  int row = threadIdx.x % 32 / 4, l = threadIdx.x % 4;
  #pragma unroll
  for (int j = 0; j < N; j++)
    #pragma unroll
    for (int i = 0; i < 4; i++) c[j][i] = 0;
  #pragma unroll
  for (int n = 0; n < CHUNKS / 4; n++) {
    bool apart = n < CHUNKS / 8 * 2;  // see Note [Places of chunks]
    int at = row * STRIDE + (apart ? n / 2 * 8 + 2 * l + n % 2 : 4 * n + l) * PER;
    Chunk x = *(const Chunk*)(a + at), y = *(const Chunk*)(a + 8 * STRIDE + at);
    Factor<4> left[2] = {factor<4>({x.v[0], y.v[0], x.v[1], y.v[1]}),
                         factor<4>({x.v[2], y.v[2], x.v[3], y.v[3]})};
    #pragma unroll
    for (int j = 0; j < N; j += G) {
      Factor<2> right[2][G];
      #pragma unroll
      for (int i = 0; i < G; i++) {
        Chunk z = *(const Chunk*)(b + 8 * (j + i) * STRIDE + at);
        right[0][i] = factor<2>({z.v[0], z.v[1]});
        right[1][i] = factor<2>({z.v[2], z.v[3]});
      }
      multiply<G>(c + j, left[0], right[0]);
      multiply<G>(c + j, left[1], right[1]);
    }
  }
}
// c += the product of weights, 16 by 8 N, and b, in shared memory
template <int N, int WIDTH>
__device__ __forceinline__ void add(float (*c)[4], float (*w)[4], const T* b) {
  constexpr int STRIDE = WIDTH + PER;
  int lane = threadIdx.x % 32;
  if (SINGLE) {
    b += 2 * (lane % 4) * STRIDE + lane / 4 * 4;
    #pragma unroll
    for (int j = 0; j < N; j++) {
      Factor<4> left = factor<4>({as_bits(w[j][0]), as_bits(w[j][2]), as_bits(w[j][1]),
                                  as_bits(w[j][3])});
      #pragma unroll
      for (int h = 0; h < WIDTH / 32; h++) {
        const T* p = b + 8 * j * STRIDE + 32 * h;
        Chunk x = *(const Chunk*)p, y = *(const Chunk*)(p + STRIDE);
        Factor<2> right[4];
        #pragma unroll
        for (int i = 0; i < 4; i++) right[i] = factor<2>({x.v[i], y.v[i]});
        multiply<4>(c + 4 * h, left, right);
      }
    }
  } else {
    b += lane % 16 * STRIDE + lane / 16 * 8;
    #pragma unroll
    for (int j = 0; j < N; j += 2) {
      Factor<4> left = {PACK(w[j][0], w[j][1]), PACK(w[j][2], w[j][3]),
                        PACK(w[j + 1][0], w[j + 1][1]), PACK(w[j + 1][2], w[j + 1][3])};
      #pragma unroll
      for (int h = 0; h < WIDTH / 16; h++) {
        u32 x[4];
        turned(x, b + 8 * j * STRIDE + 16 * h);
        Factor<2> right[2] = {factor<2>({x[0], x[1]}), factor<2>({x[2], x[3]})};
        multiply<2>(c + 2 * h, left, right);
      }
    }
  }
}
// 16 rows of what ``add`` has made, times a factor for each of a lane's two, to memory
template <int WIDTH> __device__ __forceinline__ void put(
    Rows m, int r0, float (*c)[4], float above, float below) {
  int l = threadIdx.x % 4;
  #pragma unroll
  for (int h = 0; h < 2; h++) {
    int r = r0 + threadIdx.x % 32 / 4 + 8 * h;
    if (r >= m.count) continue;
    T* to = (T*)m.p + r * m.row;
    float by = h ? below : above;
    #pragma unroll
    for (int j = 0; j < WIDTH / 8; j++) {
      c[j][2 * h] *= by;
      c[j][2 * h + 1] *= by;
    }
    #pragma unroll
    for (int j = 0; j < WIDTH / 8; j++)
      #pragma unroll
      for (int e = 0; e < 2; e++) {
        int at = SINGLE ? j / 4 * 32 + 8 * l + 4 * e + j % 4 : 8 * j + 2 * l + e;
        if (at >= m.columns) continue;
        if (!m.chunks) {
          to[at * m.column] = store(c[j][2 * h + e]);
        } else if (SINGLE && j % 4 == 0) {
          Chunk x;
          for (int i = 0; i < 4; i++) x.v[i] = as_bits(c[j + i][2 * h + e]);
          *(Chunk*)(to + at) = x;
        } else if (!SINGLE && e == 0) {
          *(u32*)(to + at) = PACK(c[j][2 * h], c[j][2 * h + 1]);
        }
      }
  }
}
// of the four lanes that have a row
__device__ __forceinline__ float sum(float v) {
  v += __shfl_xor_sync(~0u, v, 1);
  return v + __shfl_xor_sync(~0u, v, 2);
}
__device__ __forceinline__ float most(float v) {
  v = fmaxf(v, __shfl_xor_sync(~0u, v, 1));
  return fmaxf(v, __shfl_xor_sync(~0u, v, 2));
}
// a score in units of log 2, -inf where the query may not look
__device__ __forceinline__ float score(float s, const Mask* mask, I batch, int q, int k) {
  if (k >= KEYS || (CAUSAL && k > q)) return LOWEST;
  MASKED
  return s;
}
// turns products to scores; queries are rows, or columns; some: whether some may not look
template <int N, bool BACK> __device__ __forceinline__ void scored(
    float (*s)[4], const Mask* mask, I batch, int row, int column, bool some) {
  #pragma unroll
  for (int j = 0; j < N; j++)
    #pragma unroll
    for (int i = 0; i < 4; i++) s[j][i] *= SCALE * LOG2E;
  if (!some) return;
  row += threadIdx.x % 32 / 4, column += threadIdx.x % 4 * 2;
  #pragma unroll
  for (int j = 0; j < N; j++)
    #pragma unroll
    for (int i = 0; i < 4; i++) {
      int r = row + i / 2 * 8, c = column + 8 * j + i % 2;
      s[j][i] = score(s[j][i], mask, batch, BACK ? c : r, BACK ? r : c);
    }
}
constexpr int N = COLUMNS / 8;
constexpr int STRIDE_E = WIDE_E + PER, STRIDE_V = WIDE_V + PER;
constexpr int STAGE = COLUMNS * (STRIDE_E + STRIDE_V);
"""
# fields of Rows: where matrices of a batch begin, and their steps
ROWS_OF = """
__device__ __forceinline__ Rows rows_{low}(const T* p, I batch) {{
  p += BEGIN_{name};
  return {{p, {name}_R, {name}_C, {count}, {columns}, {whole} && (u64)p % 16 == 0}};
}}
"""

FORWARD = """
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) kernel(
    const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v MASK,
    T* __restrict__ y) {
  extern __shared__ __align__(16) unsigned char room[];
  T *own = (T*)room, *tiles = own + ROWS * STRIDE_E;
  int at = threadIdx.x / 32 * 16, q0 = (int)(Q_TILES - 1 - blockIdx.x % Q_TILES) * ROWS;
  int first = q0 + at;
  I batch = blockIdx.x / Q_TILES;
  Rows ks = rows_k(k, batch), vs = rows_v(v, batch), ys = rows_y(y, batch);
  float s[N][4], out[WIDE_V / 8][4], top[2] = {LOWEST, LOWEST}, total[2] = {0, 0};
  #pragma unroll
  for (int j = 0; j < WIDE_V / 8; j++)
    #pragma unroll
    for (int i = 0; i < 4; i++) out[j][i] = 0;
  fetch<ROWS, WIDE_E>(own, rows_q(q, batch), q0);
  int end = CAUSAL && q0 + ROWS < KEYS ? q0 + ROWS : KEYS;
  auto start = [&](int n, int stage) {
    T* to = tiles + stage * STAGE;
    fetch<COLUMNS, WIDE_E>(to, ks, n * COLUMNS);
    fetch<COLUMNS, WIDE_V>(to + COLUMNS * STRIDE_E, vs, n * COLUMNS);
  };
  stream(0, (end + COLUMNS - 1) / COLUMNS, start, [&](int n, int stage) {
    const T* tile = tiles + stage * STAGE;
    int k0 = n * COLUMNS;
    if (first >= QUERIES || (CAUSAL && k0 > first + 15)) return;
    products<N, WIDE_E>(s, own + at * STRIDE_E, tile);
    bool some = MASKS || k0 + COLUMNS > KEYS || (CAUSAL && k0 + COLUMNS > first + 1);
    scored<N, false>(s, MASK_GIVEN, batch, first, k0, some);
    #pragma unroll
    for (int h = 0; h < 2; h++) {
      float best = top[h];
      #pragma unroll
      for (int j = 0; j < N; j++) best = fmaxf(best, fmaxf(s[j][2 * h], s[j][2 * h + 1]));
      best = most(best);
      float zero = best == LOWEST ? 0 : best;  // a query that may look at nothing so far
      float shrink = power_of_2(top[h] - zero), here = 0;
      #pragma unroll
      for (int j = 0; j < N; j++)
        #pragma unroll
        for (int e = 2 * h; e < 2 * h + 2; e++) here += s[j][e] = power_of_2(s[j][e] - zero);
      total[h] = total[h] * shrink + here;
      top[h] = best;
      #pragma unroll
      for (int j = 0; j < WIDE_V / 8; j++) out[j][2 * h] *= shrink, out[j][2 * h + 1] *= shrink;
    }
    add<N, WIDE_V>(out, s, tile + COLUMNS * STRIDE_E);
  });
  #pragma unroll
  for (int h = 0; h < 2; h++) {
    total[h] = sum(total[h]);
    total[h] = total[h] == 0 ? 0 : 1 / total[h];
  }
  put<WIDE_V>(ys, first, out, total[0], total[1]);
}
"""
# See Note [Gradients by query]. found: per query the logarithm of the sum of its exponentials, and
# what its weights' gradients have in common
BY_QUERY = """
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) kernel(
    const T* __restrict__ g, const T* __restrict__ q, const T* __restrict__ k,
    const T* __restrict__ v MASK, float* __restrict__ found, T* __restrict__ dq) {
  extern __shared__ __align__(16) unsigned char room[];
  T *own = (T*)room, *own_g = own + ROWS * STRIDE_E, *tiles = own_g + ROWS * STRIDE_V;
  int at = threadIdx.x / 32 * 16, q0 = (int)(Q_TILES - 1 - blockIdx.x % Q_TILES) * ROWS;
  int first = q0 + at;
  I batch = blockIdx.x / Q_TILES;
  Rows ks = rows_k(k, batch), vs = rows_v(v, batch), ys = rows_dq(dq, batch);
  float s[N][4], d[N][4], by_weight[WIDE_E / 8][4], out[WIDE_E / 8][4];
  float top[2] = {LOWEST, LOWEST}, total[2] = {0, 0}, dot[2] = {0, 0}, begin_d[2] = {0, 0};
  #pragma unroll
  for (int j = 0; j < WIDE_E / 8; j++)
    #pragma unroll
    for (int i = 0; i < 4; i++) out[j][i] = by_weight[j][i] = 0;
  fetch<ROWS, WIDE_E>(own, rows_q(q, batch), q0);
  fetch<ROWS, WIDE_V>(own_g, rows_g(g, batch), q0);
  int end = CAUSAL && q0 + ROWS < KEYS ? q0 + ROWS : KEYS;
  auto start = [&](int n, int stage) {
    T* to = tiles + stage * STAGE;
    fetch<COLUMNS, WIDE_E>(to, ks, n * COLUMNS);
    fetch<COLUMNS, WIDE_V>(to + COLUMNS * STRIDE_E, vs, n * COLUMNS);
  };
  stream(0, (end + COLUMNS - 1) / COLUMNS, start, [&](int n, int stage) {
    const T* tile = tiles + stage * STAGE;
    int k0 = n * COLUMNS;
    if (first >= QUERIES || (CAUSAL && k0 > first + 15)) return;
    products<N, WIDE_E>(s, own + at * STRIDE_E, tile);
    products<N, WIDE_V>(d, own_g + at * STRIDE_V, tile + COLUMNS * STRIDE_E);
    bool some = MASKS || k0 + COLUMNS > KEYS || (CAUSAL && k0 + COLUMNS > first + 1);
    scored<N, false>(s, MASK_GIVEN, batch, first, k0, some);
    #pragma unroll
    for (int h = 0; h < 2; h++) {
      float best = top[h];
      #pragma unroll
      for (int j = 0; j < N; j++) best = fmaxf(best, fmaxf(s[j][2 * h], s[j][2 * h + 1]));
      best = most(best);
      float zero = best == LOWEST ? 0 : best;
      float shrink = power_of_2(top[h] - zero), here = 0, dots = 0;
      #pragma unroll
      for (int j = 0; j < N; j++)
        #pragma unroll
        for (int e = 2 * h; e < 2 * h + 2; e++) {
          here += s[j][e] = power_of_2(s[j][e] - zero);
          dots += s[j][e] * d[j][e];
        }
      here = sum(here), dots = sum(dots);
      if (total[h] == 0 && here > 0) begin_d[h] = dots / here;
      total[h] = total[h] * shrink + here;
      dot[h] = dot[h] * shrink + (dots - begin_d[h] * here);
      top[h] = best;
      #pragma unroll
      for (int j = 0; j < N; j++)
        #pragma unroll
        for (int e = 2 * h; e < 2 * h + 2; e++) d[j][e] = s[j][e] * (d[j][e] - begin_d[h]);
      #pragma unroll
      for (int j = 0; j < WIDE_E / 8; j++)
        #pragma unroll
        for (int e = 2 * h; e < 2 * h + 2; e++) by_weight[j][e] *= shrink, out[j][e] *= shrink;
    }
    add<N, WIDE_E>(by_weight, s, tile);
    add<N, WIDE_E>(out, d, tile);
  });
  #pragma unroll
  for (int h = 0; h < 2; h++) {
    int r = first + threadIdx.x % 32 / 4 + 8 * h;
    float by = total[h] == 0 ? 0 : 1 / total[h], common = dot[h] * by;
    if (threadIdx.x % 4 == 0) {
      float* to = found + (batch * PADDED + r) * 2;
      to[0] = total[h] == 0 ? -LOWEST : top[h] + log2f(total[h]);
      to[1] = common + begin_d[h];
    }
    #pragma unroll
    for (int j = 0; j < WIDE_E / 8; j++)
      #pragma unroll
      for (int e = 2 * h; e < 2 * h + 2; e++) out[j][e] -= common * by_weight[j][e];
    total[h] = by * SCALE;
  }
  put<WIDE_E>(ys, first, out, total[0], total[1]);
}
"""
BY_KEY = """
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) kernel(
    const T* __restrict__ g, const T* __restrict__ q, const T* __restrict__ k,
    const T* __restrict__ v MASK, const float* __restrict__ found, T* __restrict__ dk,
    T* __restrict__ dv) {
  extern __shared__ __align__(16) unsigned char room[];
  T *own = (T*)room, *own_v = own + ROWS * STRIDE_E, *tiles = own_v + ROWS * STRIDE_V;
  int at = threadIdx.x / 32 * 16, k0 = (int)(blockIdx.x % K_TILES) * ROWS, first = k0 + at;
  I batch = blockIdx.x / K_TILES;
  Rows qs = rows_q(q, batch), gs = rows_g(g, batch);
  Rows ks = rows_dk(dk, batch), vs = rows_dv(dv, batch);
  float s[N][4], d[N][4], by_key[WIDE_E / 8][4], by_value[WIDE_V / 8][4];
  #pragma unroll
  for (int j = 0; j < WIDE_E / 8; j++)
    #pragma unroll
    for (int i = 0; i < 4; i++) by_key[j][i] = 0;
  #pragma unroll
  for (int j = 0; j < WIDE_V / 8; j++)
    #pragma unroll
    for (int i = 0; i < 4; i++) by_value[j][i] = 0;
  fetch<ROWS, WIDE_E>(own, rows_k(k, batch), k0);
  fetch<ROWS, WIDE_V>(own_v, rows_v(v, batch), k0);
  found += batch * PADDED * 2;
  auto start = [&](int n, int stage) {
    T* to = tiles + stage * STAGE;
    fetch<COLUMNS, WIDE_E>(to, qs, n * COLUMNS);
    fetch<COLUMNS, WIDE_V>(to + COLUMNS * STRIDE_E, gs, n * COLUMNS);
  };
  stream(CAUSAL ? k0 / COLUMNS : 0, (QUERIES + COLUMNS - 1) / COLUMNS, start,
         [&](int n, int stage) {
    const T* tile = tiles + stage * STAGE;
    int q0 = n * COLUMNS;
    if (first >= KEYS || (CAUSAL && q0 + COLUMNS <= first)) return;
    products<N, WIDE_E>(s, own + at * STRIDE_E, tile);
    products<N, WIDE_V>(d, own_v + at * STRIDE_V, tile + COLUMNS * STRIDE_E);
    scored<N, true>(s, MASK_GIVEN, batch, first, q0, MASKS || (CAUSAL && q0 < first + 15));
    #pragma unroll
    for (int j = 0; j < N; j++) {
      Chunk there = *(const Chunk*)(found + (q0 + 8 * j + threadIdx.x % 4 * 2) * 2);
      #pragma unroll
      for (int i = 0; i < 4; i++) {
        s[j][i] = power_of_2(s[j][i] - as_float(there.v[i % 2 * 2]));
        d[j][i] = s[j][i] * (d[j][i] - as_float(there.v[i % 2 * 2 + 1]));
      }
    }
    add<N, WIDE_V>(by_value, s, tile + COLUMNS * STRIDE_E);
    add<N, WIDE_E>(by_key, d, tile);
  });
  put<WIDE_E>(ks, first, by_key, SCALE, SCALE);
  put<WIDE_V>(vs, first, by_value, 1, 1);
}
"""

# rows and columns of the matrices that are taken, or made
SIZES = {
    "Q": ("QUERIES", "E"), "K": ("KEYS", "E"), "V": ("KEYS", "VALUES"), "G": ("QUERIES", "VALUES"),
    "Y": ("QUERIES", "VALUES"), "DQ": ("QUERIES", "E"), "DK": ("KEYS", "E"),
    "DV": ("KEYS", "VALUES"),
}  # fmt: skip


def shape_for(wide: int, row: int, own: int) -> dict[str, int]:
    """How the work is cut: rows of a block, rows that stream by at once, stages of those, and the
    blocks that a processor has at least.

    Args:
        wide: columns, at most.
        row: bytes of a row of both matrices of a tile.
        own: bytes of a row of the matrices that stay.
    """
    stages = 2 if ROWS * own + 2 * COLUMNS * row <= MOST else 1
    return {"ROWS": ROWS, "COLUMNS": COLUMNS, "STAGES": stages, "BLOCKS": 3 if wide <= 64 else 2}


def launch(
    node: Node, given: dict[str, Any], body: str, operands: Any, both: bool, keys: bool = False
) -> Launch:
    """A kernel whose blocks have rows of one matrix or both, of keys or of queries."""
    q, _, v, _ = node.inputs[-4:]
    d, batch, kind = q.dtype, math.prod(q.shape[:-2]), KINDS[texts.name_of(q.dtype)]
    wide_e, wide_v = [math.ceil(x.shape[-1] / 32) * 32 for x in (q, v)]
    row_e, row_v = [wide * d.itemsize + 16 for wide in (wide_e, wide_v)]
    own = row_e + row_v if both else row_e
    cut = shape_for(max(wide_e, wide_v), row_e + row_v, own)
    rows = cut["ROWS"]
    c, per = COMMON, 16 // d.itemsize
    for name, (count, columns) in SIZES.items():
        if f"BEGIN_{name}" in given:
            step, apart = given[f"{name}_R"], given[f"{name}_C"]
            whole = step % per == 0 and apart == 1 and given[columns] % per == 0
            c += ROWS_OF.format(
                low=name.lower(), name=name, count=count, columns=columns, whole=str(whole).lower()
            )
    q_tiles, k_tiles = math.ceil(given["QUERIES"] / rows), math.ceil(given["KEYS"] / rows)
    constants: dict[str, Any] = {
        **given, **cut, "THREADS": 2 * rows, "WIDE_E": wide_e, "WIDE_V": wide_v,
        "Q_TILES": q_tiles, "K_TILES": k_tiles, "PADDED": q_tiles * rows, "LOG2E": LOG2E,
        "UNIT": "LOG2E", "MMA": f"mma_{kind}", "PACK": PACKS[kind],
    }  # fmt: skip
    return Launch(
        texts.text(c + body, d, **constants),
        operands,
        (batch * (k_tiles if keys else q_tiles), 1, 1),
        (2 * rows, 1, 1),
        shared=rows * own + cut["STAGES"] * cut["COLUMNS"] * (row_e + row_v),
        scratch=batch * q_tiles * rows * 8,
    )


def forward(node: Node, given: dict[str, Any]) -> list[Launch]:
    """The launch of FlashAttention; ``given``: the constants of its operands."""
    return [launch(node, given, FORWARD, texts.places(node), both=False)]


def backward(node: Node, given: dict[str, Any]) -> list[Launch]:
    """The launches of FlashAttentionGrad."""
    inputs = [(k, 0) for k, v in enumerate(node.inputs) if v is not None]
    found = (SHARED, 0)
    return [
        launch(node, given, BY_QUERY, (*inputs, found, (5, 0)), both=True),
        launch(node, given, BY_KEY, (*inputs, found, (6, 0), (7, 0)), both=True, keys=True),
    ]
