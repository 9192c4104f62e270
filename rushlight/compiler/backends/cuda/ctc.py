"""Connectionist temporal classification: paths through the labels of a sample, in logarithms.

A block has a sample, and its threads the states: the labels, with blanks between and around them.
What comes before the first step, and after the last, is a row in which one state is certain. The
states of all samples lie side by side in the rows of scratch memory.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.compiler.backends.cuda import texts
from rushlight.compiler.backends.cuda.launch import SHARED, Launch
from rushlight.compiler.graph import Node

THREADS = 256
MOST = 1 << 30  # bytes of scratch memory
INT64 = np.dtype(np.int64)

COMMON = """
struct Sample { int n, steps, states, at; i64 start; bool fine; };

__device__ __forceinline__ int within(i64 v, i64 most) {
  return (int)(v < 0 ? 0 : v < most ? v : most);
}
// lengths that are wrong are cut off, and said to be wrong
__device__ __forceinline__ Sample sample(const i64* steps, const i64* counts) {
  Sample s;
  int n = s.n = blockIdx.x;
  i64 joined = 0;
  for (int i = 0; i < n; i++) joined += counts[i] < 0 ? 0 : counts[i];
  joined = within(joined, LABELS);
  s.start = STRIDE ? (i64)n * STRIDE : joined;
  int count = within(counts[n], STRIDE ? STRIDE : LABELS - joined);
  s.steps = within(steps[n], STEPS);
  s.fine = s.steps == steps[n] && count == counts[n];
  s.states = 2 * count + 1;
  s.at = STRIDE ? n * (2 * STRIDE + 1) : 2 * (int)joined + n;
  return s;
}
// -inf, for no path, stays
__device__ __forceinline__ W together(W a, W b, W c) {
  W top = larger(larger(a, b), c);
  return top == LOWEST ? top : top + LOG(EXP(a - top) + EXP(b - top) + EXP(c - top));
}
__device__ __forceinline__ int label(Sample s, const i64* targets, int k) {
  return k % 2 ? within(targets[s.start + k / 2], CLASSES - 1) : BLANK;
}
// whether state k may come right after k - 2
__device__ __forceinline__ bool jumps(const int* labels, int k) {
  return k >= 2 && labels[k] != BLANK && labels[k] != labels[k - 2];
}
__device__ __forceinline__ I place(Sample s, int step) {
  return ((I)step * SAMPLES + s.n) * CLASSES;
}
// labels, and what is known before the first step
__device__ __forceinline__ void begin(Sample s, const i64* targets, int* labels, W* row) {
  for (int k = threadIdx.x; k < s.states; k += THREADS) {
    labels[s.at + k] = label(s, targets, k);
    row[s.at + k] = k ? LOWEST : (W)0;
  }
  __syncthreads();
}
// the paths up to each step: row t of ROWS, in turn
__device__ __forceinline__ void forward(Sample s, const T* x, const int* labels, W* rows) {
  for (int t = 0; t < s.steps; t++) {
    const W* old = rows + (I)(t % ROWS) * COLUMNS + s.at;
    W* now = rows + (I)((t + 1) % ROWS) * COLUMNS + s.at;
    for (int k = threadIdx.x; k < s.states; k += THREADS) {
      W jump = jumps(labels, k) ? old[k - 2] : LOWEST;
      now[k] = together(old[k], k ? old[k - 1] : LOWEST, jump) + load(x[place(s, t) + labels[k]]);
    }
    __syncthreads();
  }
}
__device__ __forceinline__ W loss_of(Sample s, const W* rows) {
  const W* last = rows + (I)(s.steps % ROWS) * COLUMNS + s.at + s.states - 1;
  return -together(last[0], s.states > 1 ? last[-1] : LOWEST, LOWEST);
}
"""
LOSSES = (
    COMMON
    + """
extern "C" __global__ void kernel(
    const T* __restrict__ x, const i64* __restrict__ targets, const i64* __restrict__ steps,
    const i64* __restrict__ counts, T* __restrict__ losses, i64* __restrict__ fine, int* labels,
    W* rows) {
  Sample s = sample(steps, counts);
  begin(s, targets, labels, rows);
  forward(s, x, labels + s.at, rows);
  if (threadIdx.x) return;
  bool known = s.fine;
  for (int i = 0; i < s.states / 2; i++) {
    i64 label = targets[s.start + i];
    known &= label >= 0 && label < CLASSES;
  }
  losses[s.n] = store(loss_of(s, rows));
  fine[s.n] = known;
}
"""
)
# states of equal labels are linked; the first of each adds up what they have
GRADIENTS = (
    COMMON
    + """
extern "C" __global__ void kernel(
    const T* __restrict__ g, const T* __restrict__ x, const i64* __restrict__ targets,
    const i64* __restrict__ steps, const i64* __restrict__ counts, T* __restrict__ out, int* labels,
    int* after, int* leads, W* rows, W* ends) {
  int t = threadIdx.x;
  Sample s = sample(steps, counts);
  W factor = load(g[s.n]);
  if (factor == 0) s.steps = 0;
  begin(s, targets, labels, rows);
  labels += s.at; after += s.at; leads += s.at;
  for (int k = t; k < s.states; k += THREADS) {
    int next = k + 1;
    while (next < s.states && labels[next] != labels[k]) next++;
    after[k] = next;
    leads[k] = 1;
    ends[s.at + k] = k < s.states - 1 ? LOWEST : (W)0;
  }
  __syncthreads();
  for (int k = t; k < s.states; k += THREADS)
    if (after[k] < s.states) leads[after[k]] = 0;
  forward(s, x, labels, rows);
  W loss = loss_of(s, rows);
  __syncthreads();  // all have it: the last row is overwritten
  for (int n = 0; n < s.steps; n++) {
    int step = s.steps - 1 - n;
    const W* old = ends + (I)(n % 2) * COLUMNS + s.at;
    W* now = ends + (I)((n + 1) % 2) * COLUMNS + s.at;
    W* share = rows + (I)(step + 1) * COLUMNS + s.at;
    I first = place(s, step);
    for (int k = t; k < s.states; k += THREADS) {
      W jump = k + 2 < s.states && jumps(labels, k + 2) ? old[k + 2] : LOWEST;
      W total = together(old[k], k + 1 < s.states ? old[k + 1] : LOWEST, jump);
      now[k] = total + load(x[first + labels[k]]);
      share[k] = EXP(total + share[k] + loss);
    }
    for (int c = t; c < CLASSES; c += THREADS)
      out[first + c] = store(factor * EXP(load(x[first + c])));
    __syncthreads();
    for (int k = t; k < s.states; k += THREADS) {
      if (!leads[k]) continue;
      W sum = 0;
      for (int q = k; q < s.states; q = after[q]) sum += share[q];
      I c = first + labels[k];
      out[c] = store(factor * (EXP(load(x[c])) - sum));
    }
    __syncthreads();
  }
  for (int step = s.steps; step < STEPS; step++)
    for (int c = t; c < CLASSES; c += THREADS) out[place(s, step) + c] = store((W)0);
}
"""
)


def sizes_of(node: Node) -> dict[str, Any]:
    """Sizes of losses or gradients: COLUMNS are the states of all samples."""
    x, targets = node.inputs[-4:-2]
    steps, samples, classes = x.shape
    stride = targets.shape[1] if len(targets.shape) == 2 else 0
    labels = math.prod(targets.shape)
    columns = samples * (2 * stride + 1) if stride else 2 * labels + samples
    rows = 2 if type(node.op).__name__ == "CtcLosses" else steps + 1
    return {
        "STEPS": steps, "SAMPLES": samples, "CLASSES": classes, "STRIDE": stride, "LABELS": labels,
        "COLUMNS": columns, "ROWS": rows,
    }  # fmt: skip


def places(node: Node) -> list[int]:
    """Where the arrays of scratch memory begin, in bytes, and the end: three of labels and links,
    rows, and two rows of ends.
    """
    s, size = sizes_of(node), 8 if node.inputs[-4].dtype.itemsize == 8 else 4
    made = [0]
    for count in [4 * s["COLUMNS"]] * 3 + [size * n * s["COLUMNS"] for n in (s["ROWS"], 2)]:
        made.append(made[-1] + math.ceil(count / 256) * 256)
    return made


def fits(node: Node) -> bool:
    """Whether losses or gradients are of floats, with labels and lengths of int64."""
    x, *integers = node.inputs[-4:]
    known = x.dtype.kind == "f" and x.dtype.itemsize >= 4
    some = 0 not in (*x.shape, *integers[0].shape)
    return known and some and all([v.dtype == INT64 for v in integers]) and places(node)[-1] <= MOST


def write(node: Node) -> list[Launch]:
    """CtcLosses or CtcGradients."""
    x, losses = node.inputs[-4], type(node.op).__name__ == "CtcLosses"
    d, at, wide = x.dtype, places(node), x.dtype.itemsize == 8
    c = texts.text(
        LOSSES if losses else GRADIENTS, d, texts.index_type(x, most=at[-1]), THREADS=THREADS,
        BLANK=int(node.params["blank"]), LOWEST=texts.number(-math.inf, d),
        EXP="exp" if wide else "expf", LOG="log" if wide else "logf", **sizes_of(node),
    )  # fmt: skip
    parts = (0, 3) if losses else range(5)
    operands = (*texts.places(node), *[(SHARED, at[k]) for k in parts])
    return [Launch(c, operands, (x.shape[1], 1, 1), (THREADS, 1, 1), scratch=at[-1])]
