"""Recurrent layers: a block goes through all steps of a few sequences, whose state is in shared
memory.

Sequences do not depend on each other. A thread has an element of the state, of all of the block's
sequences: the weight, which each step reads whole, is read once for these, and lies so that
neighbouring threads read neighbours. Later steps may have fewer rows, see ops/recurrent.py: a block
without any goes through them all the same, as ptxas of CUDA 13.0 makes code that reads elsewhere of
barriers that some blocks pass by.
"""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any

import numpy as np

from rushlight.compiler.backends.cuda import clusters, texts
from rushlight.compiler.backends.cuda.launch import SHARED, Launch
from rushlight.compiler.graph import Node, Value

GATES = {"RNNTanh": 1, "RNNRelu": 1, "GRU": 3, "LSTM": 4}
THREADS = 512  # at most
ROWS = 4  # sequences of a block, at most
PROCESSORS = 132  # of a large GPU: with fewer sequences, each has a block
MEMORY = 48 * 1024  # bytes of a block's shared memory


def fits(node: Node) -> bool:
    """Whether a layer, or its gradient, is of floats of one dtype, and a state fits."""
    values = [v for v in (*node.inputs, *node.outputs) if isinstance(v, Value)]
    d = weight_of(node).dtype
    if not texts.is_float(d) or any([0 in v.shape for v in values]):
        return False
    names = names_of(node)
    kinds = [kept_of(d) if name in KEPT else d for name in names]
    given = zip((*node.inputs, *node.outputs), kinds, strict=True)
    return all([v is None or v.dtype == kind for v, kind in given]) and rows_for(node) > 0


def cell_of(node: Node) -> str:
    """The name of a layer."""
    return type(node.op).__name__.removesuffix("Grad")


def is_grad(node: Node) -> bool:
    """Whether a node is a layer's gradient."""
    return type(node.op).__name__.endswith("Grad")


def weight_of(node: Node) -> Any:
    """The weight of a layer or gradient: (gates H, H)."""
    states = 2 if cell_of(node) == "LSTM" else 1
    return node.inputs[1 + states if is_grad(node) else 1]


def rows_for(node: Node) -> int:
    """Sequences of a block, 0 if there is no room for one."""
    weight, many = weight_of(node), max(node.params["sizes"])
    wide, hidden = weight.shape
    state = 3 * hidden if cell_of(node) == "LSTM" else 2 * hidden
    room = MEMORY // (kept_of(weight.dtype).itemsize * (wide if is_grad(node) else state))
    return min(room, ROWS, math.ceil(many / PROCESSORS))


def kept_of(d: Any) -> Any:
    """What layers of a dtype are computed in, and what they keep is."""
    return np.dtype(np.float32) if texts.is_half(d) else d


# the rows of a step, and the first of them
COMMON = """
SIZES
__device__ __forceinline__ W sigmoid(W x) { return 1 / (1 + EXP(-x)); }
__device__ __forceinline__ int rows_at(int step, int first) {
  int n = SIZE_AT - first;
  return n < 0 ? 0 : n < ROWS ? n : ROWS;
}
"""
# the weight (gates H, H) becomes (H, gates H)
TURN = f"""
extern "C" __global__ void kernel(const T* __restrict__ weight, T* __restrict__ turned) {{
  {texts.each()}
  turned[i] = weight[i % WIDE * (I)H + i / WIDE];
}}
"""
FORWARD = (
    COMMON
    + """
extern "C" __global__ void __launch_bounds__(THREADS) kernel(OPERANDS) {
  __shared__ W state[2][ROWS][H], states[LSTM ? ROWS : 1][LSTM ? H : 1];
  int t = threadIdx.x, first = blockIdx.x * ROWS, side = 0;
  for (int r = 0; r < ROWS; r++)
    for (int j = t; j < H; j += THREADS) {
      bool there = first + r < ALL;
      I own = (I)(first + r) * H + j;
      state[0][r][j] = there ? load(h0[own]) : (W)0;
      W& cell = states[LSTM ? r : 0][LSTM ? j : 0];
      if (there) { START }
    }
  __syncthreads();
  for (int n = 0; n < STEPS; n++) {
    int step = BACKWARDS ? STEPS - 1 - n : n, count = rows_at(step, first);
    for (int j = t; j < H; j += THREADS) {
      W sums[ROWS][GATES];
      for (int r = 0; r < ROWS; r++)
        for (int g = 0; g < GATES; g++) sums[r][g] = BIAS;
      #pragma unroll 4
      for (int k = 0; k < H; k++)
        for (int g = 0; g < GATES; g++) {
          W w = load(turned[k * (I)WIDE + g * H + j]);
          for (int r = 0; r < ROWS; r++) sums[r][g] += w * state[side][r][k];
        }
      for (int r = 0; r < ROWS; r++) {
        W h = state[side][r][j];
        if (r < count) {
          I row = (I)BEGIN_AT + first + r, wide = row * WIDE + j, narrow = row * H + j;
          W given[GATES], *z = sums[r], &cell = states[LSTM ? r : 0][LSTM ? j : 0];
          READ
          before[narrow] = h;
          CELL
          out[narrow] = store(h);
        }
        state[side ^ 1][r][j] = h;
      }
    }
    side ^= 1;
    __syncthreads();
  }
  for (int r = 0; r < ROWS && first + r < ALL; r++)
    for (int j = t; j < H; j += THREADS) {
      I own = (I)(first + r) * H + j;
      W& cell = states[LSTM ? r : 0][LSTM ? j : 0];
      last[own] = store(state[side][r][j]);
      END
    }
}
"""
)
BACKWARD = (
    COMMON
    + """
extern "C" __global__ void __launch_bounds__(THREADS) kernel(OPERANDS) {
  __shared__ W inner[ROWS][WIDE];
  int t = threadIdx.x, first = blockIdx.x * ROWS;
  for (int r = 0; r < ROWS && first + r < ALL; r++)
    for (int j = t; j < H; j += THREADS) {
      I own = (I)(first + r) * H + j;
      W by_cell = 0;
      dh[own] = load(g_last[own]);
      START END
    }
  for (int n = 0; n < STEPS; n++) {
    int step = BACKWARDS ? STEPS - 1 - n : n, count = rows_at(step, first);
    for (int j = t; j < H; j += THREADS)
      for (int r = 0; r < count; r++) {
        I row = (I)BEGIN_AT + first + r, own = (I)(first + r) * H + j;
        I wide = row * WIDE + j, narrow = row * H + j;
        W d[GATES], rest = 0, given, by_cell = OLD, FIELDS;
        READ
        W now = dh[own] + given;
        CELL
        for (int g = 0; g < GATES; g++) inner[r][g * H + j] = d[g];
        dh[own] = rest;
        END
      }
    __syncthreads();
    for (int j = t; j < H; j += THREADS) {
      W sum[ROWS];
      for (int r = 0; r < ROWS; r++) sum[r] = 0;
      #pragma unroll 4
      for (int k = 0; k < WIDE; k++) {
        W w = load(weight[k * (I)H + j]);
        for (int r = 0; r < ROWS; r++) sum[r] += w * inner[r][k];
      }
      for (int r = 0; r < ROWS; r++)
        if (r < count) dh[(I)(first + r) * H + j] += sum[r];
    }
    __syncthreads();
  }
}
"""
)
# A step of one element of the state, h, with that of the cell: ``given`` is what the input gives
# to its gates, ``z`` what the state does.
READ = "for (int g = 0; g < GATES; g++) given[g] = load(x[wide + g * H]);"
CELLS = {
    "RNNTanh": "h = TANH(given[0] + z[0]);",
    "RNNRelu": "h = larger(given[0] + z[0], (W)0);",
    "GRU": """
        W reset = sigmoid(given[0] + z[0]), u = sigmoid(given[1] + z[1]);
        W n = TANH(given[2] + reset * z[2]);
        h = n + u * (h - n);
        gates[wide] = reset; gates[wide + H] = u; gates[wide + 2 * H] = n;
        fresh[narrow] = z[2];
    """,
    "LSTM": """
        W i = sigmoid(given[0] + z[0]), f = sigmoid(given[1] + z[1]);
        W n = TANH(given[2] + z[2]), o = sigmoid(given[3] + z[3]);
        cells[narrow] = cell;
        cell = f * cell + i * n;
        W s = TANH(cell);
        h = o * s;
        gates[wide] = i; gates[wide + H] = f; gates[wide + 2 * H] = n; gates[wide + 3 * H] = o;
        fresh[narrow] = s;
    """,
}
# Its gradients: ``d``, of what the state gives to the gates, and ``rest``, of the state itself,
# for ``now`` and ``by_cell``, those of the new state and cell. What is read for it, by names.
READS = {
    "RNNTanh": {"y": "load(out[narrow])"},
    "RNNRelu": {"y": "load(out[narrow])"},
    "GRU": {
        "reset": "gates[wide]", "u": "gates[wide + H]", "v": "gates[wide + 2 * H]",
        "old": "before[narrow]", "product": "fresh[narrow]",
    },
    "LSTM": {
        "i": "gates[wide]", "f": "gates[wide + H]", "v": "gates[wide + 2 * H]",
        "o": "gates[wide + 3 * H]", "old": "cells[narrow]", "s": "fresh[narrow]",
    },
}  # fmt: skip
SLOPES = {
    "RNNTanh": "dz[wide] = d[0] = (1 - y * y) * now;",
    "RNNRelu": "dz[wide] = d[0] = (y > 0 ? (W)1 : (W)0) * now;",
    "GRU": """
        W a = (1 - u) * (1 - v * v) * now;
        d[0] = a * product * reset * (1 - reset);
        d[1] = (old - v) * u * (1 - u) * now;
        d[2] = a * reset;
        dz[wide] = d[0]; dz[wide + H] = d[1]; dz[wide + 2 * H] = a;
        for (int g = 0; g < 3; g++) kept[wide + g * H] = d[g];
        rest = now * u;
    """,
    "LSTM": """
        W cell = by_cell + now * o * (1 - s * s);
        d[0] = i * (1 - i) * v * cell;
        d[1] = f * (1 - f) * old * cell;
        d[2] = i * (1 - v * v) * cell;
        d[3] = o * (1 - o) * s * now;
        for (int g = 0; g < 4; g++) dz[wide + g * H] = d[g];
        by_cell = cell * f;
    """,
}
# what layers keep, and make of it, is in the dtype that they are computed in
KEPT = ("before", "cells", "gates", "fresh", "dz", "kept", "dh", "dc")
# operands in order, those that are written behind a bar
NAMES = {
    "RNNTanh": "x weight bias h0 | out last before",
    "RNNRelu": "x weight bias h0 | out last before",
    "GRU": "x weight bias h0 | out last before gates fresh",
    "LSTM": "x weight bias h0 c0 | out last last_c before cells gates fresh",
    "RNNTanhGrad": "g_out g_last weight out | dz dh",
    "RNNReluGrad": "g_out g_last weight out | dz dh",
    "GRUGrad": "g_out g_last weight before gates fresh | dz kept dh",
    "LSTMGrad": "g_out g_last g_cell weight cells gates fresh | dz dh dc",
}


def names_of(node: Node) -> list[str]:
    """The operands' names."""
    return NAMES[type(node.op).__name__].replace("|", "").split()


def constants(node: Node) -> dict[str, Any]:
    """Sizes, tables of steps, formulas, and the operands' declarations."""
    wide, hidden = weight_of(node).shape
    sizes, d = tuple(node.params["sizes"]), weight_of(node).dtype
    cell, back = cell_of(node), is_grad(node)
    values, read = [*node.inputs, *node.outputs], len(node.inputs)
    declared = [
        f"{'const ' if k < read else ''}{'W' if name in KEPT else 'T'}* __restrict__ {name}"
        for k, (name, v) in enumerate(zip(names_of(node), values, strict=True))
        if v is not None
    ]
    made: dict[str, Any] = {
        "H": hidden, "WIDE": wide, "GATES": GATES[cell], "ALL": max(sizes), "STEPS": len(sizes),
        "BACKWARDS": bool(node.params["reverse"]) != back, "LSTM": cell == "LSTM", "SIZES": "",
        "SIZE_AT": "ALL", "BEGIN_AT": "step * (I)ALL", "EXP": "exp" if d.itemsize == 8 else "expf",
        "TANH": "tanh" if d.itemsize == 8 else "tanhf", "OPERANDS": ", ".join(declared),
        "CELL": (SLOPES if back else CELLS)[cell].replace("\n", " "),
    }  # fmt: skip
    if len(set(sizes)) > 1:
        begins = list(accumulate(sizes, initial=0))[:-1]
        tables = [
            f"__device__ const int {name}[] = {{{', '.join(map(str, numbers))}}};"
            for name, numbers in (("sizes", sizes), ("begins", begins))
        ]
        made |= {"SIZES": " ".join(tables), "SIZE_AT": "sizes[step]", "BEGIN_AT": "begins[step]"}
    start = end = ""
    if back:
        fields = {"given": "load(g_out[narrow])", **READS[cell]}
        made["READ"] = " ".join([f"{name} = {place};" for name, place in fields.items()])
        made["FIELDS"] = ", ".join(READS[cell])
        if cell == "LSTM":
            start, end = "by_cell = load(g_cell[own]);", "dc[own] = by_cell;"
        made["OLD"] = "dc[own]" if cell == "LSTM" else "(W)0"
    else:
        bias = node.inputs[2]
        made |= {"READ": READ, "BIAS": "(W)0" if bias is None else "load(bias[g * H + j])"}
        if cell == "LSTM":
            start, end = "cell = load(c0[own]);", "last_c[own] = store(cell);"
    return made | {"START": start, "END": end}


def alone(node: Node) -> dict[str, Any]:
    """The constants of a layer whose blocks do not know of each other."""
    given = constants(node)
    threads = min(THREADS, 32 * math.ceil(given["H"] / 32))
    return given | {"ROWS": rows_for(node), "THREADS": threads}


def grid(given: dict[str, Any]) -> texts.Grid:
    """A block for each few sequences."""
    return (math.ceil(given["ALL"] / given["ROWS"]), 1, 1), (given["THREADS"], 1, 1)


def by_clusters(node: Node) -> list[Launch] | None:
    """A layer, or its gradient, by clusters of blocks; None where they cannot."""
    d, back = weight_of(node).dtype, is_grad(node)
    given = constants(node)
    hidden, gates, everyone = given["H"], given["GATES"], given["ALL"]
    plan = clusters.plan(hidden, gates, everyone, back, d, kept_of(d), PROCESSORS)
    if plan is None:
        return None
    memory, more = plan
    body = COMMON + (clusters.BACKWARD if back else clusters.FORWARD)
    index = texts.index_type(*node.inputs, *node.outputs)
    c = texts.text(body, d, index, **given, **more)
    return texts.alone(c, node, clusters.grid(given | more), shared=memory)


def forward(node: Node) -> list[Launch]:
    """A layer; operands are those of the op."""
    found = by_clusters(node)
    if found is not None:
        return found
    weight, d = node.inputs[1], node.inputs[1].dtype
    given, index = alone(node), texts.index_type(*node.inputs, *node.outputs)
    given["OPERANDS"] = given["OPERANDS"].replace("weight", "turned")
    count = math.prod(weight.shape)
    room = count * d.itemsize
    sizes = {"H": given["H"], "WIDE": given["WIDE"]}
    c = texts.text(TURN, d, texts.index_type(weight), COUNT=count, **sizes)
    turn = Launch(c, ((1, 0), (SHARED, 0)), *texts.over(count), scratch=room)
    operands = [(SHARED, 0) if k == 1 else (k, n) for k, n in texts.places(node)]
    c = texts.text(FORWARD, d, index, **given)
    return [turn, Launch(c, tuple(operands), *grid(given), scratch=room)]


def backward(node: Node) -> list[Launch]:
    """A layer's gradient; operands are those of the op."""
    found = by_clusters(node)
    if found is not None:
        return found
    given = alone(node)
    index = texts.index_type(*node.inputs, *node.outputs)
    return texts.alone(
        texts.text(BACKWARD, weight_of(node).dtype, index, **given), node, grid(given)
    )
