"""CUDA C of attention for any GPU, dtype and size.

A tile of 64 by 64 products belongs to 16 by 16 threads, 4 by 4 to each; a tile of results has up to
128 columns, or 64 of float64.
"""

from __future__ import annotations

import math
from typing import Any

from rushlight.compiler.backends.cuda import texts
from rushlight.compiler.backends.cuda.launch import SHARED, Launch
from rushlight.compiler.graph import Node

TILE, THREADS = 64, 256
WIDE = {4: (16, 128), 8: (8, 64)}  # depth of slices, and most columns of results at once

COMMON = """
// rows of a matrix, and how far its elements are apart
struct Rows { const T* p; I row, column; int count; };

__device__ __forceinline__ W at(Rows m, int r, int c, int columns) {
  return r < m.count && c < columns ? load(m.p[r * m.row + c * m.column]) : (W)0;
}
struct Memory {
  W left[DEPTH][TILE + 4], right[DEPTH][TILE + 4];  // slices of factors
  W weights[TILE][TILE + 1];
  W values[DEPTH][ACROSS];
};
// c[i][j] = the product of row 4 y + i of a, from a0, and row x + 16 j of b, from b0
__device__ __forceinline__ void multiply(Memory& m, Rows a, int a0, Rows b, int b0, int depth,
                                         W (*c)[4]) {
  int t = threadIdx.x, x = t % 16, y = t / 16;
  for (int i = 0; i < 4; i++) for (int j = 0; j < 4; j++) c[i][j] = 0;
  for (int e0 = 0; e0 < depth; e0 += DEPTH) {
    __syncthreads();
    for (int n = t; n < TILE * DEPTH; n += THREADS) {
      int r = n / DEPTH, e = n % DEPTH;
      m.left[e][r] = at(a, a0 + r, e0 + e, depth);
      m.right[e][r] = at(b, b0 + r, e0 + e, depth);
    }
    __syncthreads();
    #pragma unroll
    for (int e = 0; e < DEPTH; e++)
      #pragma unroll
      for (int i = 0; i < 4; i++)
        #pragma unroll
        for (int j = 0; j < 4; j++) c[i][j] += m.left[e][4 * y + i] * m.right[e][x + 16 * j];
  }
}
// out[i][j] += the product of row 4 y + i of the weights and column c0 + x + 16 j of b, from b0
__device__ __forceinline__ void add(Memory& m, Rows b, int b0, int c0, int columns,
                                    W (*out)[ACROSS / 16]) {
  int t = threadIdx.x, x = t % 16, y = t / 16;
  for (int k0 = 0; k0 < TILE && b0 + k0 < b.count; k0 += DEPTH) {
    __syncthreads();
    for (int n = t; n < DEPTH * ACROSS; n += THREADS)
      m.values[n / ACROSS][n % ACROSS] = at(b, b0 + k0 + n / ACROSS, c0 + n % ACROSS, columns);
    __syncthreads();
    #pragma unroll
    for (int k = 0; k < DEPTH; k++)
      #pragma unroll
      for (int i = 0; i < 4; i++)
        #pragma unroll
        for (int j = 0; j < ACROSS / 16; j++)
          out[i][j] += m.weights[4 * y + i][k0 + k] * m.values[k][x + 16 * j];
  }
}
// of the 16 threads of a row
__device__ __forceinline__ W sum(W v) {
  for (int d = 8; d; d /= 2) v += __shfl_xor_sync(~0u, v, d);
  return v;
}
__device__ __forceinline__ W most(W v) {
  for (int d = 8; d; d /= 2) v = larger(v, __shfl_xor_sync(~0u, v, d));
  return v;
}
// the score of a query and a key, -inf where the query may not look
__device__ __forceinline__ W score(W product, const Mask* mask, I batch, int q, int k) {
  if (k >= KEYS || (CAUSAL && k > q)) return LOWEST;
  W s = product * SCALE;
  MASKED
  return s;
}
__device__ __forceinline__ Rows rows_q(const T* p, I batch) {
  return {p + BEGIN_Q, Q_R, Q_C, QUERIES};
}
__device__ __forceinline__ Rows rows_k(const T* p, I batch) {
  return {p + BEGIN_K, K_R, K_C, KEYS};
}
__device__ __forceinline__ Rows rows_v(const T* p, I batch) {
  return {p + BEGIN_V, V_R, V_C, KEYS};
}
"""
GRADIENT = """
__device__ __forceinline__ Rows rows_g(const T* p, I batch) {
  return {p + BEGIN_G, G_R, G_C, QUERIES};
}
"""
FORWARD = (
    COMMON
    + """
extern "C" __global__ void __launch_bounds__(THREADS) kernel(
    const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v MASK,
    T* __restrict__ y) {
  __shared__ Memory m;
  int t = threadIdx.x, tx = t % 16, ty = t / 16;
  int q0 = (int)(blockIdx.x % Q_TILES) * TILE, c0 = (int)(blockIdx.x / Q_TILES % V_TILES) * ACROSS;
  I batch = blockIdx.x / Q_TILES / V_TILES;
  Rows qs = rows_q(q, batch), ks = rows_k(k, batch), vs = rows_v(v, batch);
  W top[4], total[4], s[4][4], out[4][ACROSS / 16];
  for (int i = 0; i < 4; i++) {
    top[i] = LOWEST, total[i] = 0;
    for (int j = 0; j < ACROSS / 16; j++) out[i][j] = 0;
  }
  int end = CAUSAL && q0 + TILE < KEYS ? q0 + TILE : KEYS;
  for (int k0 = 0; k0 < end; k0 += TILE) {
    multiply(m, qs, q0, ks, k0, E, s);
    #pragma unroll
    for (int i = 0; i < 4; i++) {
      int row = q0 + 4 * ty + i;
      W best = top[i];
      for (int j = 0; j < 4; j++) {
        s[i][j] = score(s[i][j], MASK_GIVEN, batch, row, k0 + tx + 16 * j);
        best = larger(best, s[i][j]);
      }
      best = most(best);
      W zero = best == LOWEST ? (W)0 : best;  // a query that may look at nothing so far
      W shrink = EXP(top[i] - zero), here = 0;
      for (int j = 0; j < 4; j++) {
        W p = EXP(s[i][j] - zero);
        here += p;
        m.weights[4 * ty + i][tx + 16 * j] = p;
      }
      total[i] = total[i] * shrink + sum(here);
      for (int j = 0; j < ACROSS / 16; j++) out[i][j] *= shrink;
      top[i] = best;
    }
    add(m, vs, k0, c0, VALUES, out);
  }
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < ACROSS / 16; j++) {
      int r = q0 + 4 * ty + i, c = c0 + tx + 16 * j;
      if (r < QUERIES && c < VALUES)
        y[BEGIN_Y + r * (I)Y_R + c * (I)Y_C] =
            store(total[i] == 0 ? (W)0 : out[i][j] / total[i]);
    }
}
"""
)
# per query: the largest score and the logarithm of the sum, and the sum of weights times gradients
STATISTICS = (
    COMMON
    + GRADIENT
    + """
extern "C" __global__ void __launch_bounds__(THREADS) kernel(
    const T* __restrict__ g, const T* __restrict__ q, const T* __restrict__ k,
    const T* __restrict__ v MASK, W* __restrict__ found) {
  __shared__ Memory m;
  int t = threadIdx.x, tx = t % 16, ty = t / 16;
  int q0 = (int)(blockIdx.x % Q_TILES) * TILE;
  I batch = blockIdx.x / Q_TILES;
  Rows qs = rows_q(q, batch), ks = rows_k(k, batch), vs = rows_v(v, batch), gs = rows_g(g, batch);
  W top[4], total[4], dot[4], s[4][4], d[4][4];
  for (int i = 0; i < 4; i++) top[i] = LOWEST, total[i] = dot[i] = 0;
  int end = CAUSAL && q0 + TILE < KEYS ? q0 + TILE : KEYS;
  for (int k0 = 0; k0 < end; k0 += TILE) {
    multiply(m, qs, q0, ks, k0, E, s);
    multiply(m, gs, q0, vs, k0, VALUES, d);
    #pragma unroll
    for (int i = 0; i < 4; i++) {
      W best = top[i];
      for (int j = 0; j < 4; j++) {
        s[i][j] = score(s[i][j], MASK_GIVEN, batch, q0 + 4 * ty + i, k0 + tx + 16 * j);
        best = larger(best, s[i][j]);
      }
      best = most(best);
      W zero = best == LOWEST ? (W)0 : best;
      W shrink = EXP(top[i] - zero), here = 0, dots = 0;
      for (int j = 0; j < 4; j++) {
        W p = EXP(s[i][j] - zero);
        here += p;
        dots += p * d[i][j];
      }
      total[i] = total[i] * shrink + sum(here);
      dot[i] = dot[i] * shrink + sum(dots);
      top[i] = best;
    }
  }
  for (int i = 0; i < 4; i++) {
    int r = q0 + 4 * ty + i;
    if (tx || r >= QUERIES) continue;
    W* to = found + (batch * QUERIES + r) * 3;
    to[0] = top[i] == LOWEST ? (W)0 : top[i];
    to[1] = total[i] == 0 ? (W)0 : 1 / total[i];
    to[2] = total[i] == 0 ? (W)0 : dot[i] / total[i];
  }
}
"""
)
WEIGHTS = """
// the weights of 4 by 4 queries and keys, and their scores' gradients; BACK: keys are the rows
template <bool BACK> __device__ __forceinline__ void weigh(
    W (*s)[4], W (*d)[4], const W* found, const Mask* mask, I batch, int q0, int k0) {
  int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
  #pragma unroll
  for (int i = 0; i < 4; i++)
    #pragma unroll
    for (int j = 0; j < 4; j++) {
      int q = q0 + (BACK ? tx + 16 * j : 4 * ty + i), k = k0 + (BACK ? 4 * ty + i : tx + 16 * j);
      const W* own = found + (batch * QUERIES + (q < QUERIES ? q : 0)) * 3;
      W p = q < QUERIES ? EXP(score(s[i][j], mask, batch, q, k) - own[0]) * own[1] : (W)0;
      s[i][j] = p;
      d[i][j] = p * (d[i][j] - own[2]) * SCALE;
    }
}
__device__ __forceinline__ void keep(Memory& m, W (*s)[4]) {
  int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
  __syncthreads();
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++) m.weights[4 * ty + i][tx + 16 * j] = s[i][j];
}
__device__ __forceinline__ void write(T* y, I begin, I row, I column, int r0, int rows,
                                      int c0, int columns, W (*out)[ACROSS / 16]) {
  int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < ACROSS / 16; j++) {
      int r = r0 + 4 * ty + i, c = c0 + tx + 16 * j;
      if (r < rows && c < columns) y[begin + r * row + c * column] = store(out[i][j]);
    }
}
"""
BY_QUERY = (
    COMMON
    + GRADIENT
    + WEIGHTS
    + """
extern "C" __global__ void __launch_bounds__(THREADS) kernel(
    const T* __restrict__ g, const T* __restrict__ q, const T* __restrict__ k,
    const T* __restrict__ v MASK, const W* __restrict__ found, T* __restrict__ dq) {
  __shared__ Memory m;
  int q0 = (int)(blockIdx.x % Q_TILES) * TILE, c0 = (int)(blockIdx.x / Q_TILES % E_TILES) * ACROSS;
  I batch = blockIdx.x / Q_TILES / E_TILES;
  Rows qs = rows_q(q, batch), ks = rows_k(k, batch), vs = rows_v(v, batch), gs = rows_g(g, batch);
  W s[4][4], d[4][4], out[4][ACROSS / 16];
  for (int i = 0; i < 4; i++) for (int j = 0; j < ACROSS / 16; j++) out[i][j] = 0;
  int end = CAUSAL && q0 + TILE < KEYS ? q0 + TILE : KEYS;
  for (int k0 = 0; k0 < end; k0 += TILE) {
    multiply(m, qs, q0, ks, k0, E, s);
    multiply(m, gs, q0, vs, k0, VALUES, d);
    weigh<false>(s, d, found, MASK_GIVEN, batch, q0, k0);
    keep(m, d);
    add(m, ks, k0, c0, E, out);
  }
  write(dq, BEGIN_DQ, DQ_R, DQ_C, q0, QUERIES, c0, E, out);
}
"""
)
BY_KEY = (
    COMMON
    + GRADIENT
    + WEIGHTS
    + """
extern "C" __global__ void __launch_bounds__(THREADS) kernel(
    const T* __restrict__ g, const T* __restrict__ q, const T* __restrict__ k,
    const T* __restrict__ v MASK, const W* __restrict__ found, T* __restrict__ dk,
    T* __restrict__ dv) {
  __shared__ Memory m;
  int k0 = (int)(blockIdx.x % K_TILES) * TILE, c0 = (int)(blockIdx.x / K_TILES % C_TILES) * ACROSS;
  I batch = blockIdx.x / K_TILES / C_TILES;
  Rows qs = rows_q(q, batch), ks = rows_k(k, batch), vs = rows_v(v, batch), gs = rows_g(g, batch);
  W s[4][4], d[4][4], by_key[4][ACROSS / 16], by_value[4][ACROSS / 16];
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < ACROSS / 16; j++) by_key[i][j] = by_value[i][j] = 0;
  for (int q0 = CAUSAL ? k0 : 0; q0 < QUERIES; q0 += TILE) {
    multiply(m, ks, k0, qs, q0, E, s);
    multiply(m, vs, k0, gs, q0, VALUES, d);
    weigh<true>(s, d, found, MASK_GIVEN, batch, q0, k0);
    keep(m, s);
    add(m, gs, q0, c0, VALUES, by_value);
    keep(m, d);
    add(m, qs, q0, c0, E, by_key);
  }
  write(dk, BEGIN_DK, DK_R, DK_C, k0, KEYS, c0, E, by_key);
  write(dv, BEGIN_DV, DV_R, DV_C, k0, KEYS, c0, VALUES, by_value);
}
"""
)


def sizes(node: Node) -> dict[str, Any]:
    """The constants of tiles."""
    q, k, v, _ = node.inputs[-4:]
    depth, across = WIDE[8 if q.dtype.itemsize == 8 else 4]
    across = min(across, 16 * math.ceil(max(q.shape[-1], v.shape[-1]) / 16))
    across_e, across_v = math.ceil(q.shape[-1] / across), math.ceil(v.shape[-1] / across)
    return {
        "TILE": TILE, "DEPTH": depth, "ACROSS": across, "THREADS": THREADS, "UNIT": 1,
        "EXP": "exp" if q.dtype.itemsize == 8 else "expf",
        "Q_TILES": math.ceil(q.shape[-2] / TILE), "K_TILES": math.ceil(k.shape[-2] / TILE),
        "E_TILES": across_e, "V_TILES": across_v, "C_TILES": max(across_e, across_v),
    }  # fmt: skip


def forward(node: Node, given: dict[str, Any]) -> list[Launch]:
    """The launch of FlashAttention; ``given``: the constants of its operands."""
    q, own = node.inputs[0], sizes(node)
    blocks = math.prod(q.shape[:-2]) * own["Q_TILES"] * own["V_TILES"]
    c = texts.text(FORWARD, q.dtype, **given, **own)
    return texts.alone(c, node, ((blocks, 1, 1), (THREADS, 1, 1)))


def backward(node: Node, given: dict[str, Any]) -> list[Launch]:
    """The launches of FlashAttentionGrad."""
    q, own = node.inputs[1], sizes(node)
    batch, found = math.prod(q.shape[:-2]), (SHARED, 0)
    room = batch * q.shape[-2] * 3 * (8 if q.dtype.itemsize == 8 else 4)
    inputs = [(k, 0) for k, v in enumerate(node.inputs) if v is not None]

    def launch(body: str, blocks: int, *more: Any) -> Launch:
        c = texts.text(body, q.dtype, **given, **own)
        operands = (*inputs, *more)
        return Launch(c, operands, (batch * blocks, 1, 1), (THREADS, 1, 1), scratch=room)

    return [
        launch(STATISTICS, own["Q_TILES"], found),
        launch(BY_QUERY, own["Q_TILES"] * own["E_TILES"], found, (5, 0)),
        launch(BY_KEY, own["K_TILES"] * own["C_TILES"], found, (6, 0), (7, 0)),
    ]
