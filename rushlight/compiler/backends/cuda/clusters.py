"""Recurrent layers by clusters: a few blocks share the weight, each keeps its columns in its own
memory and computes these columns of the state of a few sequences, for all steps. What it finds it
writes to the memory of all blocks of the cluster. Clusters are there from compute capability 9.0
on; what does not fit is left to recurrent.py, which has the formulas.

    HC      columns of a block
    PARTS   parts of a sum, each computed by other threads; SPAN: how many products are in one
    ROWS    sequences of a cluster; the threads of the first ROWS parts own an element of the state
"""

from __future__ import annotations

import math
from typing import Any

from rushlight.compiler.backends.cuda import texts
from rushlight.compiler.fits import target

TEAM = 8  # blocks of a cluster at most
COLUMNS = 32  # of a block at least, unless a cluster is one block
THREADS = 512  # of a block at most
PARTS = 16  # at most
ROWS = 8  # at most
MEMORY = 224 * 1024  # bytes of a block's shared memory

BEGIN = """
#define NEXT(n) \\
  step = BACKWARDS ? STEPS - 1 - (n) : (n); count = rows_at(step, first); \\
  there = owns && part < count; \\
  if (there) { row = (I)BEGIN_AT + first + part; wide = row * WIDE + j; narrow = row * H + j; READ }
extern "C" __global__ void __cluster_dims__(TEAM) __launch_bounds__(THREADS) kernel(OPERANDS) {
  extern __shared__ __align__(16) unsigned char memory[];
  T* columns = (T*)memory;
  W* known = (W*)(memory + WEIGHTS);  // two sides: a step writes one while others read the other
  W* sums = known + 2 * ROWS * KNOWN;
  int t = threadIdx.x, rank = blockIdx.x % TEAM, first = blockIdx.x / TEAM * ROWS;
  int part = t / HC, lane = t % HC, j = rank * HC + lane, side = 0, step, count;
  bool owns = part < ROWS && first + part < ALL && j < H, sums_up = part < PARTS && j < H, there;
  I own = (I)(first + part) * H + j, row, wide, narrow;
"""
FORWARD = (
    BEGIN
    + """
  for (int i = t; i < HC * GATES * H; i += THREADS) {
    int k = i % H, c = i / H % HC, g = i / (H * HC);
    if (rank * HC + c < H)
      columns[(k * GATES + g) * HC + c] = weight[(g * H + rank * HC + c) * (I)H + k];
  }
  for (int i = t; i < ROWS * H; i += THREADS)
    known[i] = first + i / H < ALL ? load(h0[(I)first * H + i]) : (W)0;
  W h = 0, cell = 0, shift[GATES], given[GATES];
  if (owns) {
    h = load(h0[own]);
    for (int g = 0; g < GATES; g++) shift[g] = BIAS;
    START
  }
  NEXT(0)
  cluster_sync();
  for (int n = 0; n < STEPS; n++) {
    if (sums_up) {
      W z[ROWS][GATES] = {};
      const W* state = known + side * ROWS * KNOWN;
      #pragma unroll 8
      for (int k = part * SPAN; k < (part + 1) * SPAN; k++)
        if (KNOWN % PARTS == 0 || k < KNOWN)
          for (int g = 0; g < GATES; g++) {
            W w = load(columns[(k * GATES + g) * HC + lane]);
            for (int r = 0; r < ROWS; r++) z[r][g] += w * state[r * KNOWN + k];
          }
      for (int r = 0; r < ROWS; r++)
        for (int g = 0; g < GATES; g++)
          sums[((part * ROWS + r) * GATES + g) * HC + lane] = z[r][g];
    }
    __syncthreads();
    side ^= 1;
    if (there) {
      W z[GATES];
      for (int g = 0; g < GATES; g++) {
        z[g] = shift[g];
        for (int p = 0; p < PARTS; p++) z[g] += sums[((p * ROWS + part) * GATES + g) * HC + lane];
      }
      before[narrow] = h;
      CELL
      out[narrow] = store(h);
    }
    if (owns) {
      W* place = known + (side * ROWS + part) * KNOWN + j;
      for (int b = 0; b < TEAM; b++) *of_block(place, b) = h;
    }
    if (n + 1 < STEPS) { NEXT(n + 1) }
    cluster_sync();
  }
  if (owns) { last[own] = store(h); END }
}
"""
)
BACKWARD = (
    BEGIN
    + """
  for (int i = t; i < WIDE * HC; i += THREADS)
    if (rank * HC + i % HC < H) columns[i] = weight[i / HC * (I)H + rank * HC + i % HC];
  W now = 0, by_cell = 0, given = 0, FIELDS;
  if (owns) { now = load(g_last[own]); START }
  NEXT(0)
  cluster_sync();
  for (int n = 0; n < STEPS; n++) {
    bool had = there;
    if (had) {
      W d[GATES], rest = 0;
      now += given;
      CELL
      W* place = known + (side * ROWS + part) * KNOWN + j;
      for (int g = 0; g < GATES; g++)
        for (int b = 0; b < TEAM; b++) *of_block(place + g * H, b) = d[g];
      now = rest;
    }
    if (n + 1 < STEPS) { NEXT(n + 1) }
    cluster_sync();
    if (sums_up) {
      W sum[ROWS] = {};
      const W* inner = known + side * ROWS * KNOWN;
      #pragma unroll 8
      for (int k = part * SPAN; k < (part + 1) * SPAN; k++)
        if (KNOWN % PARTS == 0 || k < KNOWN) {
          W w = load(columns[k * HC + lane]);
          for (int r = 0; r < ROWS; r++) sum[r] += w * inner[r * KNOWN + k];
        }
      for (int r = 0; r < ROWS; r++) sums[(part * ROWS + r) * HC + lane] = sum[r];
    }
    __syncthreads();
    if (had)
      for (int p = 0; p < PARTS; p++) now += sums[(p * ROWS + part) * HC + lane];
    side ^= 1;
  }
  if (owns) { dh[own] = now; END }
}
"""
)


def plan(
    hidden: int, gates: int, everyone: int, backward: bool, d: Any, kept: Any, many: int
) -> Any:
    """How clusters divide a layer, as constants, with the bytes of shared memory; None where they
    cannot. ``d``: the weight's dtype; ``kept``: what is computed in; ``many``: blocks that run at
    the same time.
    """
    if target.capability < (9, 0):
        return None
    team = 1
    while team < TEAM and team * COLUMNS < hidden:
        team *= 2
    width = math.ceil(hidden / team)
    parts = 1
    while 2 * parts <= PARTS and 2 * parts * width <= THREADS:
        parts *= 2
    if parts * width > THREADS:
        return None
    known, found = hidden * gates if backward else hidden, 1 if backward else gates
    weights = 16 * math.ceil(width * gates * hidden * d.itemsize / 16)
    for rows in range(min(ROWS, parts, math.ceil(everyone * team / many)), 0, -1):
        memory = weights + rows * (2 * known + parts * found * width) * kept.itemsize
        if memory <= MEMORY:
            return memory, {
                "TEAM": team, "HC": width, "PARTS": parts, "ROWS": rows, "KNOWN": known,
                "SPAN": math.ceil(known / parts), "WEIGHTS": weights,
                "THREADS": 32 * math.ceil(parts * width / 32),
            }  # fmt: skip
    return None


def grid(given: dict[str, Any]) -> texts.Grid:
    """A cluster for each few sequences."""
    return (given["TEAM"] * math.ceil(given["ALL"] / given["ROWS"]), 1, 1), (given["THREADS"], 1, 1)
