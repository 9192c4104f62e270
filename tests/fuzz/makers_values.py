"""Steps that make tensors: from numbers, from others, as views, by gathering."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from tests.fuzz.growth import Draft, Maker, maker
from tests.fuzz.program import Array, DType

# fmt: off
UNARY = [
    "sin", "cos", "tanh", "sigmoid", "relu", "abs", "neg", "square", "exp", "sign", "floor",
    "round", "log1p",
]
CASTS = [
    "float32", "float64", "float32", "float64", "int64", "int32", "bool", "float16", "bfloat16",
]
# fmt: on
COMPARISONS = ["lt", "le", "gt", "ge", "eq", "ne"]
OPERATORS = ["add", "sub", "mul", "mul", "truediv"]


# ---- new tensors -----------------------------------------------------------------------


@maker(0.06)
def create(m: Maker) -> Draft:
    shape = tuple(m.whole(0 if m.chance(0.05) else 1, 4) for _ in range(m.whole(0, 4)))
    values = np.asarray(np.round(m.r.uniform(-1.5, 1.5, shape), 2))
    kind = m.r.random()
    if kind < 0.08:
        return "create", "", [Array(np.asarray(np.round(values * 2)).astype(np.int64))], {}
    if kind < 0.11:
        return "create", "", [Array(np.asarray(values > 0))], {}
    kwargs: dict[str, Any] = {"requires_grad": m.chance(0.4)}
    if kind < 0.25:
        values = values.astype(np.float32)
    elif kind < 0.26:
        kwargs["dtype"] = DType(m.pick(["float16", "bfloat16"]))
    elif kind < 0.29:
        values = values + 1j * np.round(m.r.uniform(-1, 1, shape), 2)
    return "create", "", [Array(np.asarray(values))], kwargs


@maker(0.02)
def create_like(m: Maker) -> Draft:
    name = m.pick(["zeros_like", "ones_like", "full_like", "new_zeros", "new_ones"])
    if name.startswith("new"):
        return "method", name, [m.X, m.shape], {}
    args = [m.X, m.number()] if name == "full_like" else [m.X]
    return "function", name, args, {"requires_grad": True} if m.chance(0.2) else {}


@maker(0.07)
def unary(m: Maker) -> Draft:
    if m.chance(0.5):
        return "function", m.pick(UNARY), [m.X], {}
    return "method", m.pick([*UNARY, "clone", "clone", "contiguous", "contiguous"]), [m.X], {}


@maker(0.03)
def cast(m: Maker) -> Draft:
    if m.chance(0.5):
        return "method", m.pick(["double", "float", "long", "bool"]), [m.X], {}
    kwargs = {"copy": True} if m.chance(0.2) else {}
    return "method", "to", [m.X, DType(m.pick(CASTS))], kwargs


@maker(0.11)
def binary(m: Maker) -> Draft:
    o = m.number() if m.chance(0.2) else m.other()
    args = [m.X, o] if m.chance(0.7) or isinstance(o, Array) else [o, m.X]
    choice = m.r.random()
    if choice < 0.65:
        return "operator", m.pick(OPERATORS), args, {}
    if choice < 0.75:
        exact = 6 if not m.x.is_floating_point() else 4  # equality after rounding means nothing
        return "operator", m.pick(COMPARISONS[:exact]), args, {}
    if choice < 0.85 or isinstance(o, (int, float)):
        return "function", m.pick(["add", "sub"]), [m.X, o], {"alpha": m.number()}
    return "function", m.pick(["maximum", "minimum", "mul", "hypot"]), args, {}


@maker(0.02)
def power_and_remainder(m: Maker) -> Draft:
    if m.chance(0.5) or m.x.requires_grad:  # floor_divide has no gradient in torch
        return "operator", "pow", [m.X, m.pick([2, 3, 0.5, -1, 2.0, 0, 1])], {}
    o = m.pick([2, 0.7, -1.5])
    return "operator", m.pick(["mod", "floordiv"]), [m.X, o], {}


@maker(0.03)
def ternary(m: Maker) -> Draft:
    choice = m.whole(0, 4)
    if choice == 0:
        condition = Array(np.asarray(m.r.random(m.shape) < 0.5))
        return "function", "where", [condition, m.X, m.other()], {}
    if choice == 1:
        return "function", "lerp", [m.X, m.other(), m.number() if m.chance(0.5) else m.other()], {}
    if choice == 2:
        return (
            "function",
            m.pick(["addcmul", "addcdiv"]),
            [m.X, m.other(), m.other()],
            {"value": m.number() if m.x.is_floating_point() else 2},
        )
    low = m.pick([None, -0.5, -0.25])
    return "method", "clamp", [m.X, low, m.pick([None, 0.5, 0.75]) if low else 0.5], {}


@maker(0.03)
def product(m: Maker) -> Draft:
    if m.x.dtype == torch.bool:
        return None
    if m.ndim == 2:
        name = m.pick(["matmul", "mm", "addmm", "mv", "einsum"])
        if name == "einsum" and m.x.dtype == torch.bfloat16:
            return None
        right: Any = m.array((m.shape[1], m.whole(1, 4)))
        if m.chance(0.3) and name != "einsum":  # whether it promotes depends on its path
            right = m.pick(list(m.machine.tensors))
        if name == "addmm":
            return "function", name, [m.array((1,)), m.X, right], {"beta": 2}
        if name == "mv":
            return "function", name, [m.X, m.array(m.shape[1:])], {}
        if name == "einsum":
            return "function", name, ["ij,jk->ki", m.X, right], {}
        return ("operator" if name == "matmul" else "function"), name, [m.X, right], {}
    if m.ndim == 3 and m.chance(0.5):
        return "function", "bmm", [m.X, m.array((m.shape[0], m.shape[2], 2))], {}
    if m.ndim == 1 and m.chance(0.5):
        return "function", m.pick(["dot", "outer"]), [m.X, m.pick(m.alike())], {}
    return ("operator", "matmul", [m.X, m.other()], {}) if m.ndim or m.chance(0.1) else None


@maker(0.06)
def reduce(m: Maker) -> Draft:
    choice = m.r.random()
    keep = {"keepdim": True} if m.chance(0.4) else {}
    if choice < 0.3:
        return "method", m.pick(["sum", "mean"]), [m.X], {}
    if choice < 0.6:
        return "method", m.pick(["sum", "mean", "amax", "amin", "logsumexp"]), [m.X, m.dim()], keep
    if choice < 0.7:
        name = m.pick(["prod", "max", "min", "sort", "std", "var"])
        kwargs = {"dim": m.dim(), "stable": True} if name == "sort" else {"dim": m.dim()}
        return "method", name, [m.X], kwargs
    if choice < 0.75:
        return "method", m.pick(["argmax", "any", "all", "argmin"]), [m.X, m.dim()], keep
    if choice < 0.85:
        return "method", m.pick(["cumsum", "cumprod", "softmax", "log_softmax"]), [m.X, m.dim()], {}
    if choice < 0.92:
        return "method", m.pick(["max", "min", "prod", "norm", "count_nonzero"]), [m.X], {}
    return "method", "sum", [m.X, tuple({m.dim(), m.dim()})], keep


# ---- views -----------------------------------------------------------------------------


@maker(0.05)
def reshape(m: Maker) -> Draft:
    n = math.prod(m.shape)
    parts = [q for q in (1, 2, 3, 4, 6) if n % q == 0]
    shape = (m.pick(parts), -1) if m.chance(0.6) else (-1,)
    if n == 0:
        shape = m.shape
    if m.chance(0.05):
        shape = (m.whole(1, 5), m.whole(1, 5))
    if m.chance(0.15):
        return "method", m.pick(["flatten", "ravel"]), [m.X], {}
    return "method", m.pick(["view", "view", "reshape"]), [m.X, shape], {}


@maker(0.08)
def rearrange(m: Maker) -> Draft:
    n = m.ndim
    choice = m.whole(0, 6)
    if choice == 0:
        return "method", m.pick(["transpose", "swapaxes"]), [m.X, m.dim(), m.dim()], {}
    if choice == 1:
        return "method", "permute", [m.X, tuple(m.r.permutation(n).tolist())], {}
    if choice == 2 and n < 5:
        return "method", "unsqueeze", [m.X, m.whole(-n - 1, n + 1)], {}
    if choice == 3:
        return "method", "squeeze", [m.X, m.dim()] if m.chance(0.5) else [m.X], {}
    if choice == 4 and n < 4:
        more = (m.whole(1, 3),) * m.whole(0, 2)
        return (
            "method",
            "expand",
            [m.X, more + tuple(3 if s == 1 and m.chance(0.7) else s for s in m.shape)],
            {},
        )
    if choice == 5:
        return ("get", m.pick(["T", "mT"]) if n == 2 else "mT", [m.X], {}) if n > 1 else None
    return "method", m.pick(["view_as", "expand_as"]), [m.X, m.pick(m.alike())], {}


@maker(0.07)
def part(m: Maker) -> Draft:
    n, choice = m.ndim, m.whole(0, 7)
    if not n:
        return "method", "unsqueeze", [m.X, 0], {}
    d = m.dim()
    size = m.shape[d]
    if choice <= 1:
        a, b = sorted((m.whole(0, size + 1), m.whole(0, size + 1)))
        return "method", "narrow", [m.X, d, a, b - a + m.chance(0.05)], {}
    if choice == 2 and size:
        return "method", "select", [m.X, d, m.whole(-size, size)], {}
    if choice == 3 and n > 1:
        first, second = m.r.permutation(n)[:2].tolist()
        return "method", "diagonal", [m.X, m.whole(-1, 2), first, second], {}
    if choice == 4 and size and n < 5:
        return "method", "unfold", [m.X, d, m.whole(1, size + 1), m.whole(1, 3)], {}
    if choice == 5:
        return "method", "unbind", [m.X, d], {}
    sizes = [1] * size if m.chance(0.3) else m.whole(1, 3)
    return (
        "method",
        m.pick(["split", "chunk"]) if isinstance(sizes, int) else "split",
        [m.X, sizes, d],
        {},
    )


@maker(0.01)
def strided(m: Maker) -> Draft:
    size, stride = (m.whole(1, 3), m.whole(1, 3)), (m.whole(0, 4), 1)
    return "method", "as_strided", [m.X, size, stride, m.whole(0, 2)], {}


@maker(0.06)
def basic_index(m: Maker) -> Draft:
    return "operator", "getitem", [m.X, m.index()], {}


@maker(0.03)
def alias(m: Maker) -> Draft:
    return ("get", "data", [m.X], {}) if m.chance(0.4) else ("method", "detach", [m.X], {})


@maker(0.01)
def complex_parts(m: Maker) -> Draft:
    if not m.x.is_complex():
        return None
    return m.pick(
        [
            ("get", "real", [m.X], {}),
            ("get", "imag", [m.X], {}),
            ("function", "view_as_real", [m.X], {}),
        ]
    )


# ---- gathering -------------------------------------------------------------------------


@maker(0.04)
def advanced_index(m: Maker) -> Draft:
    n = m.shape[0] if m.ndim else 0
    if m.chance(0.3):
        return "operator", "getitem", [m.X, Array(np.asarray(m.r.random(m.shape) < 0.5))], {}
    if not n:
        return None
    rows = Array(m.r.integers(-n, n, m.whole(1, 4)))
    if m.chance(0.4) and m.ndim > 1 and m.shape[1]:
        index = m.pick(
            [(slice(None), rows), (rows, 0), (rows, ...), (..., rows), (rows, None), (rows, rows)]
        )
        return "operator", "getitem", [m.X, index], {}
    return "operator", "getitem", [m.X, rows], {}


@maker(0.03)
def gather(m: Maker) -> Draft:
    if not m.ndim or 0 in m.shape:
        return None
    d = m.dim()
    n = m.shape[d]
    choice = m.whole(0, 5)
    if choice == 0:
        return "method", "index_select", [m.X, d, Array(m.r.integers(0, n, m.whole(1, 4)))], {}
    if choice == 1:
        return "method", "gather", [m.X, d, Array(m.r.integers(0, n, m.shape))], {}
    if choice == 2:
        return "method", "masked_select", [m.X, Array(np.asarray(m.r.random(m.shape) < 0.5))], {}
    if choice == 3:
        return "method", *m.pick([("flip", [m.X, d]), ("roll", [m.X, 1, d])]), {}
    return ("method", m.pick(["tril", "triu"]), [m.X], {}) if m.ndim > 1 else None


@maker(0.03)
def join(m: Maker) -> Draft:
    parts = [m.X] + [
        m.pick(m.alike()) if m.chance(0.85) else m.other() for _ in range(m.whole(0, 3))
    ]
    return "function", m.pick(["cat", "cat", "stack"]), [parts, m.dim()], {}
