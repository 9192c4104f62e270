"""Recurrent layers: a block goes through all steps of a few sequences, whose state is in shared
memory.

Sequences do not depend on each other. A thread has an element of the state, of all of the block's
sequences: the weight, which each step reads whole, is read once for these, and lies so that
neighbouring threads read neighbours. Later steps may have fewer rows, see ops/recurrent.py.
"""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any

from rushlight.compiler.backends.cuda import texts
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
    kinds = {v.dtype for v in values}
    if len(kinds) != 1 or any([0 in v.shape for v in values]):
        return False
    d = kinds.pop()
    return d.kind == "f" and d.itemsize >= 4 and rows_for(node) > 0


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
    room = MEMORY // (weight.dtype.itemsize * (wide if is_grad(node) else 2 * hidden))
    return min(room, ROWS, math.ceil(many / PROCESSORS))


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
  __shared__ W state[2][ROWS][H];
  int t = threadIdx.x, first = blockIdx.x * ROWS, side = 0;
  for (int r = 0; r < ROWS; r++)
    for (int j = t; j < H; j += THREADS) {
      bool there = first + r < ALL;
      I own = (I)(first + r) * H + j;
      state[0][r][j] = there ? load(h0[own]) : (W)0;
      if (there) { START }
    }
  __syncthreads();
  for (int n = 0; n < STEPS; n++) {
    int step = REVERSE ? STEPS - 1 - n : n, count = rows_at(step, first);
    if (!count) continue;
    for (int j = t; j < H; j += THREADS) {
      W z[ROWS][GATES];
      for (int r = 0; r < ROWS; r++)
        for (int g = 0; g < GATES; g++) z[r][g] = BIAS;
      #pragma unroll 4
      for (int k = 0; k < H; k++)
        for (int g = 0; g < GATES; g++) {
          W w = load(turned[k * (I)WIDE + g * H + j]);
          for (int r = 0; r < ROWS; r++) z[r][g] += w * state[side][r][k];
        }
      for (int r = 0; r < ROWS; r++) {
        W h = state[side][r][j];
        if (r < count) {
          I row = (I)BEGIN_AT + first + r, own = (I)(first + r) * H + j;
          const T* given = x + row * WIDE + j;
          I wide = row * WIDE + j, narrow = row * H + j;
          before[narrow] = store(h);
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
    for (int j = t; j < H; j += THREADS) last[(I)(first + r) * H + j] = store(state[side][r][j]);
}
"""
)
FORWARDS = {
    "RNNTanh": "h = TANH(load(given[0]) + z[r][0]);",
    "RNNRelu": "h = larger(load(given[0]) + z[r][0], (W)0);",
    "GRU": """
          W reset = sigmoid(load(given[0]) + z[r][0]), u = sigmoid(load(given[H]) + z[r][1]);
          W n = TANH(load(given[2 * H]) + reset * z[r][2]);
          h = n + u * (h - n);
          gates[wide] = store(reset); gates[wide + H] = store(u); gates[wide + 2 * H] = store(n);
          fresh[narrow] = store(z[r][2]);
    """,
    "LSTM": """
          W i = sigmoid(load(given[0]) + z[r][0]), f = sigmoid(load(given[H]) + z[r][1]);
          W n = TANH(load(given[2 * H]) + z[r][2]), o = sigmoid(load(given[3 * H]) + z[r][3]);
          W c = load(last_c[own]);
          cells[narrow] = store(c);
          c = f * c + i * n;
          W s = TANH(c);
          h = o * s;
          last_c[own] = store(c);
          gates[wide] = store(i); gates[wide + H] = store(f);
          gates[wide + 2 * H] = store(n); gates[wide + 3 * H] = store(o);
          fresh[narrow] = store(s);
    """,
}
BACKWARD = (
    COMMON
    + """
extern "C" __global__ void __launch_bounds__(THREADS) kernel(OPERANDS) {
  __shared__ W inner[ROWS][WIDE];  // gradients of what the state contributes to the gates
  int t = threadIdx.x, first = blockIdx.x * ROWS;
  for (int r = 0; r < ROWS && first + r < ALL; r++)
    for (int j = t; j < H; j += THREADS) {
      I own = (I)(first + r) * H + j;
      dh[own] = g_last[own];
      START
    }
  for (int n = 0; n < STEPS; n++) {
    int step = REVERSE ? n : STEPS - 1 - n, count = rows_at(step, first);
    if (!count) continue;
    for (int j = t; j < H; j += THREADS)
      for (int r = 0; r < count; r++) {
        I row = (I)BEGIN_AT + first + r, own = (I)(first + r) * H + j;
        I wide = row * WIDE + j, narrow = row * H + j;
        W now = load(dh[own]) + load(g_out[narrow]), rest = 0;
        CELL
        dh[own] = store(rest);
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
        if (r < count) {
          I own = (I)(first + r) * H + j;
          dh[own] = store(load(dh[own]) + sum[r]);
        }
    }
    __syncthreads();
  }
}
"""
)
BACKWARDS = {
    "RNNTanh": """
        W h = load(out[narrow]), a = (1 - h * h) * now;
        dz[wide] = store(a); inner[r][j] = a;
    """,
    "RNNRelu": """
        W a = (load(out[narrow]) > 0 ? (W)1 : (W)0) * now;
        dz[wide] = store(a); inner[r][j] = a;
    """,
    "GRU": """
        W reset = load(gates[wide]), u = load(gates[wide + H]), v = load(gates[wide + 2 * H]);
        W a = (1 - u) * (1 - v * v) * now;
        W b = (load(before[narrow]) - v) * u * (1 - u) * now;
        W c = a * load(fresh[narrow]) * reset * (1 - reset);
        dz[wide] = store(c); dz[wide + H] = store(b); dz[wide + 2 * H] = store(a);
        inner[r][j] = c; inner[r][H + j] = b; inner[r][2 * H + j] = a * reset;
        for (int g = 0; g < 3; g++) kept[wide + g * H] = store(inner[r][g * H + j]);
        rest = now * u;
    """,
    "LSTM": """
        W i = load(gates[wide]), f = load(gates[wide + H]);
        W v = load(gates[wide + 2 * H]), o = load(gates[wide + 3 * H]), s = load(fresh[narrow]);
        W cell = load(dc[own]) + now * o * (1 - s * s);
        inner[r][j] = i * (1 - i) * v * cell;
        inner[r][H + j] = f * (1 - f) * load(cells[narrow]) * cell;
        inner[r][2 * H + j] = i * (1 - v * v) * cell;
        inner[r][3 * H + j] = o * (1 - o) * s * now;
        for (int g = 0; g < 4; g++) dz[wide + g * H] = store(inner[r][g * H + j]);
        dc[own] = store(cell * f);
    """,
}
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


def constants(node: Node) -> dict[str, Any]:
    """Sizes, tables of steps, and the operands' declarations."""
    wide, hidden = weight_of(node).shape
    sizes, d = tuple(node.params["sizes"]), weight_of(node).dtype
    cell, everyone = cell_of(node), max(sizes)
    inputs, outputs = [part.split() for part in NAMES[type(node.op).__name__].split("|")]
    values = [*node.inputs, *node.outputs]
    declared = [
        f"{'const ' if name in inputs else ''}T* __restrict__ {name}"
        for name, v in zip([*inputs, *outputs], values, strict=True)
        if v is not None and (name != "weight" or is_grad(node))
    ]
    made: dict[str, Any] = {
        "H": hidden, "WIDE": wide, "GATES": GATES[cell], "ALL": everyone, "STEPS": len(sizes),
        "REVERSE": bool(node.params["reverse"]), "ROWS": rows_for(node), "SIZES": "",
        "THREADS": min(THREADS, 32 * math.ceil(hidden / 32)), "SIZE_AT": "ALL",
        "BEGIN_AT": "step * (I)ALL", "EXP": "exp" if d.itemsize == 8 else "expf",
        "TANH": "tanh" if d.itemsize == 8 else "tanhf",
    }  # fmt: skip
    if len(set(sizes)) > 1:
        begins = list(accumulate(sizes, initial=0))[:-1]
        tables = [
            f"__device__ const int {name}[] = {{{', '.join(map(str, numbers))}}};"
            for name, numbers in (("sizes", sizes), ("begins", begins))
        ]
        made |= {"SIZES": " ".join(tables), "SIZE_AT": "sizes[step]", "BEGIN_AT": "begins[step]"}
    start = ""
    if cell == "LSTM":
        start = "dc[own] = g_cell[own];" if is_grad(node) else "last_c[own] = c0[own];"
    return made | {"START": start, "OPERANDS": ", ".join(declared)}


def grid(given: dict[str, Any]) -> texts.Grid:
    """A block for each few sequences."""
    return (math.ceil(given["ALL"] / given["ROWS"]), 1, 1), (given["THREADS"], 1, 1)


def forward(node: Node) -> list[Launch]:
    """A layer; operands are those of the op."""
    weight, bias, d = node.inputs[1], node.inputs[2], node.inputs[1].dtype
    given, index = constants(node), texts.index_type(*node.inputs, *node.outputs)
    given["CELL"] = FORWARDS[cell_of(node)].replace("\n", " ")
    given["BIAS"] = "(W)0" if bias is None else "load(bias[g * H + j])"
    given["OPERANDS"] = "const T* __restrict__ turned, " + given["OPERANDS"]
    count = math.prod(weight.shape)
    room = count * d.itemsize
    sizes = {"H": given["H"], "WIDE": given["WIDE"]}
    c = texts.text(TURN, d, texts.index_type(weight), COUNT=count, **sizes)
    turn = Launch(c, ((1, 0), (SHARED, 0)), *texts.over(count), scratch=room)
    operands = [(k, n) for k, n in texts.places(node) if k != 1]
    c = texts.text(FORWARD, d, index, **given)
    return [turn, Launch(c, ((SHARED, 0), *operands), *grid(given), scratch=room)]


def backward(node: Node) -> list[Launch]:
    """A layer's gradient; operands are those of the op."""
    given = constants(node)
    given["CELL"] = BACKWARDS[cell_of(node)].replace("\n", " ")
    index = texts.index_type(*node.inputs, *node.outputs)
    return texts.alone(
        texts.text(BACKWARD, weight_of(node).dtype, index, **given), node, grid(given)
    )
