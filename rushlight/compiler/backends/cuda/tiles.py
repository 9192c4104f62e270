"""Sums of products, C[m, n] = sum over k of A[m, k] B[k, n], whatever A, B and C are.

A block has a tile of C, whose elements its threads hold in registers. Slices of A and B go through
shared memory; while one is used the next is read. If there are few tiles and k is long, blocks
take parts of it, and another launch adds these up.

What A, B and C are is C:

    struct SpotA; spot_a(batch, m)         what does not depend on k
    W load_a(a, spot, k)                   likewise for B, with n
    void put(y, bias, batch, m, n, value)
    int depth(batch)                       how long k is
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rushlight.compiler.backends.cuda import texts
from rushlight.compiler.backends.cuda.launch import SHARED, Launch

THREADS = 256
DEPTH = 8  # of a slice
PROCESSORS = 132  # of a large GPU
LONG = 512  # terms of a sum that may be cut
PART = 256  # terms of a part, at least
# rows and columns of a tile, of threads, and how well they are used
SHAPES = [
    (128, 128, 16, 16, 1.0),
    (64, 64, 16, 16, 0.7),
    (32, 128, 8, 32, 0.6),
    (128, 32, 32, 8, 0.6),
]

PRODUCT = """
struct alignas(16) Four { W v[4]; };
struct alignas(16) SliceA { W v[DEPTH][BM + 4]; };
struct alignas(16) SliceB { W v[DEPTH][BN + 4]; };
constexpr int LA = BM * DEPTH / THREADS, LB = BN * DEPTH / THREADS;  // elements that a thread loads
constexpr int TM = BM / TY, TN = BN / TX;  // elements of C that it has
// element j of a thread in a slice: neighbours are along k, or across
template <bool ALONG, int R> __device__ __forceinline__ int across(int t, int j) {
  return ALONG ? t / DEPTH + j * (THREADS / DEPTH) : t % R;
}
template <bool ALONG, int R> __device__ __forceinline__ int along(int t, int j) {
  return ALONG ? t % DEPTH : t / R + j * (THREADS / R);
}
// where a thread's elements are: in groups of four
__device__ __forceinline__ int row(int t, int i) { return i / 4 * TY * 4 + t / TX * 4 + i % 4; }
__device__ __forceinline__ int column(int t, int j) { return j / 4 * TX * 4 + t % TX * 4 + j % 4; }

extern "C" __global__ void __launch_bounds__(THREADS, 2) kernel(
    const T* __restrict__ a, const T* __restrict__ b OPERANDS) {
  __shared__ SliceA as[2];
  __shared__ SliceB bs[2];
  int t = threadIdx.x;
  I block = blockIdx.x;
  int m0 = (int)(block % TILES_M) * BM; block /= TILES_M;
  int n0 = (int)(block % TILES_N) * BN; block /= TILES_N;
  int split = (int)(block % SPLITS);
  I batch = block / SPLITS;
  int end = depth(batch), begin = split * SPLIT;
  if (SPLITS > 1 && begin + SPLIT < end) end = begin + SPLIT;

  SpotA spots_a[A_ALONG ? LA : 1];
  SpotB spots_b[B_ALONG ? LB : 1];
  for (int j = 0; j < (A_ALONG ? LA : 1); j++) {
    int m = m0 + across<A_ALONG, BM>(t, j);
    spots_a[j] = spot_a(batch, m < M ? m : 0);
  }
  for (int j = 0; j < (B_ALONG ? LB : 1); j++) {
    int n = n0 + across<B_ALONG, BN>(t, j);
    spots_b[j] = spot_b(batch, n < N ? n : 0);
  }
  W ra[LA], rb[LB], c[TM][TN];
  auto fetch = [&](int k0) {
    #pragma unroll
    for (int j = 0; j < LA; j++) {
      int k = k0 + along<A_ALONG, BM>(t, j), m = m0 + across<A_ALONG, BM>(t, j);
      ra[j] = k < end && m < M ? load_a(a, spots_a[A_ALONG ? j : 0], k) : (W)0;
    }
    #pragma unroll
    for (int j = 0; j < LB; j++) {
      int k = k0 + along<B_ALONG, BN>(t, j), n = n0 + across<B_ALONG, BN>(t, j);
      rb[j] = k < end && n < N ? load_b(b, spots_b[B_ALONG ? j : 0], k) : (W)0;
    }
  };
  auto keep = [&](int side) {
    #pragma unroll
    for (int j = 0; j < LA; j++)
      as[side].v[along<A_ALONG, BM>(t, j)][across<A_ALONG, BM>(t, j)] = ra[j];
    #pragma unroll
    for (int j = 0; j < LB; j++)
      bs[side].v[along<B_ALONG, BN>(t, j)][across<B_ALONG, BN>(t, j)] = rb[j];
    __syncthreads();
  };
  #pragma unroll
  for (int i = 0; i < TM; i++)
    for (int j = 0; j < TN; j++) c[i][j] = 0;
  if (begin < end) { fetch(begin); keep(0); }
  int side = 0;
  for (int k0 = begin; k0 < end; k0 += DEPTH) {
    bool more = k0 + DEPTH < end;
    if (more) fetch(k0 + DEPTH);
    #pragma unroll
    for (int k = 0; k < DEPTH; k++) {
      Four av[TM / 4], bv[TN / 4];
      #pragma unroll
      for (int i = 0; i < TM; i += 4) av[i / 4] = *(const Four*)&as[side].v[k][row(t, i)];
      #pragma unroll
      for (int j = 0; j < TN; j += 4) bv[j / 4] = *(const Four*)&bs[side].v[k][column(t, j)];
      #pragma unroll
      for (int i = 0; i < TM; i++)
        #pragma unroll
        for (int j = 0; j < TN; j++) c[i][j] += av[i / 4].v[i % 4] * bv[j / 4].v[j % 4];
    }
    side ^= 1;
    if (more) keep(side);
  }
  #pragma unroll
  for (int i = 0; i < TM; i++)
    #pragma unroll
    for (int j = 0; j < TN; j++) {
      int m = m0 + row(t, i), n = n0 + column(t, j);
      if (m < M && n < N) { PUT }
    }
}
"""
SUMS = f"""
extern "C" __global__ void kernel(const W* __restrict__ parts OPERANDS) {{
  {texts.each()}
  I batch = i / ((I)M * N);
  int m = (int)(i / N % M), n = (int)(i % N);
  W total = 0;
  for (int s = 0; s < SPLITS; s++) total += parts[((batch * SPLITS + s) * M + m) * N + n];
  put(y BIAS, batch, m, n, total);
}}
"""


@dataclass
class Sizes:
    """``m`` and ``n`` of each of a batch, ``depth`` at most; whether neighbours in memory are along
    k.
    """

    batch: int
    m: int
    n: int
    depth: int
    a_along: bool
    b_along: bool


def shape_for(s: Sizes, wide: bool) -> tuple[int, int, int, int]:
    """The tile that takes least time, by what it computes in vain and how many there are."""

    def time(shape: tuple[int, int, int, int, float]) -> float:
        bm, bn, _, _, quality = shape
        tiles = s.batch * math.ceil(s.m / bm) * math.ceil(s.n / bn)
        rounds: float = math.ceil(tiles / PROCESSORS)
        if s.depth >= LONG:  # as even as parts make it
            rounds = max(tiles / PROCESSORS, PART / s.depth)
        return rounds * bm * bn / quality

    return min(SHAPES[wide:], key=time)[:4]


def launches(
    c: str, d: Any, index: str, s: Sizes, operands: list[Any], bias: bool, **constants: Any
) -> list[Launch]:
    """The launches; ``operands``: keys of A, B, the bias if there is one, and C."""
    bm, bn, ty, tx = shape_for(s, d.itemsize == 8)
    tiles_m, tiles_n = math.ceil(s.m / bm), math.ceil(s.n / bn)
    tiles = s.batch * tiles_m * tiles_n
    splits, part = 1, s.depth
    if tiles < PROCESSORS and s.depth >= LONG:
        splits = max(1, min(2 * PROCESSORS // tiles, s.depth // PART))
        part = math.ceil(s.depth / (splits * DEPTH)) * DEPTH
        splits = math.ceil(s.depth / part)
    given = constants | {
        "M": s.m, "N": s.n, "BM": bm, "BN": bn, "TY": ty, "TX": tx, "THREADS": THREADS,
        "DEPTH": DEPTH, "TILES_M": tiles_m, "TILES_N": tiles_n, "SPLITS": splits, "SPLIT": part,
        "A_ALONG": s.a_along, "B_ALONG": s.b_along, "BIAS": ", bias" if bias else "",
    }  # fmt: skip
    last = [(k, 0) for k in operands[2:]]
    ends = ", const T* __restrict__ bias, T* __restrict__ y" if bias else ", T* __restrict__ y"
    grid: texts.Grid = (tiles * splits, 1, 1), (THREADS, 1, 1)
    factors = [(k, 0) for k in operands[:2]]
    if splits == 1:
        more = {"OPERANDS": ends, "PUT": "put(y BIAS, batch, m, n, c[i][j]);"}
        return [
            Launch(texts.text(c + PRODUCT, d, index, **given, **more), (*factors, *last), *grid)
        ]
    count = s.batch * s.m * s.n
    room = count * splits * (8 if d.itemsize == 8 else 4)
    more = {
        "OPERANDS": ", W* __restrict__ parts",
        "PUT": "parts[((batch * SPLITS + split) * M + m) * N + n] = c[i][j];",
    }
    first = Launch(
        texts.text(c + PRODUCT, d, index, **given, **more),
        (*factors, (SHARED, 0)), *grid, scratch=room,
    )  # fmt: skip
    end = texts.text(c + SUMS, d, index, **given, OPERANDS=ends, COUNT=count)
    return [first, Launch(end, ((SHARED, 0), *last), *texts.over(count), scratch=room)]
