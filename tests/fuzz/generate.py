"""Random steps that mostly fit what exists, grown while they run on torch.

Each maker returns ``(kind, name, args, kwargs)`` for the tensor it is offered, or None if it has no
use for it. About one step in nine is wrong in shape, dtype or state: both libraries must refuse.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from tests.fuzz.footguns import KERNEL, avoided
from tests.fuzz.observe import Observation, attempt, look, quiet
from tests.fuzz.program import Array, DType, Machine, Ref, Step
from tests.fuzz.watch import Watch

Draft = tuple[str, str, list[Any], dict[str, Any]] | None
UNARY = [
    "sin",
    "cos",
    "tanh",
    "sigmoid",
    "relu",
    "abs",
    "neg",
    "square",
    "exp",
    "sign",
    "floor",
    "round",
    "log1p",
]
UNARY_IN_PLACE = ["sin_", "tanh_", "sigmoid_", "relu_", "abs_", "neg_", "exp_", "square_", "round_"]
COMPARISONS = ["lt", "le", "gt", "ge", "eq", "ne"]
OPERATORS = ["add", "sub", "mul", "mul", "truediv"]
ARGUMENTS = re.compile(
    "does not require grad|can't retain_grad|appears to not have been used|implicitly"
)
CASTS = [
    "float32",
    "float64",
    "float32",
    "float64",
    "int64",
    "int32",
    "bool",
    "float16",
    "bfloat16",
]
makers: list[tuple[float, Callable[[Maker], Draft]]] = []


def maker(weight: float) -> Callable[[Any], Any]:
    """Register a function as a source of steps, drawn in proportion to `weight`."""

    def register(function: Callable[[Maker], Draft]) -> Callable[[Maker], Draft]:
        makers.append((weight, function))
        return function

    return register


class Maker:
    """The random source, and the tensor in hand: `x`, its reference `X`, its `shape` and `ndim`."""

    def __init__(self, seed: int, lib: Any = torch) -> None:
        self.lib = lib
        self.missing: set[str] = set()
        self.done = False
        self.r = np.random.default_rng(seed)
        self.machine, self.watch = Machine(torch), Watch()
        self.steps: list[Step] = []
        self.seen = Observation()

    # -- choosing ----------------------------------------------------------------------------

    def chance(self, p: float) -> bool:
        return bool(self.r.random() < p)

    def pick(self, options: Any) -> Any:
        return options[int(self.r.integers(len(options)))]

    def whole(self, low: int, high: int) -> int:
        return int(self.r.integers(low, high))

    def take(self) -> None:
        """Choose a tensor, more likely a recent one."""
        refs = list(self.machine.tensors)
        self.X = self.pick(refs[-4:]) if self.chance(0.5) else self.pick(refs)
        self.x = self.machine.tensors[self.X]
        self.shape, self.ndim = tuple(self.x.shape), self.x.ndim

    def take_tracked(self) -> None:
        """Choose again until the tensor requires grad; usually, and not for ever."""
        tries = 6 if self.chance(0.85) else 0
        while tries and not self.x.requires_grad:
            self.take()
            tries -= 1

    def tracked(self, count: int) -> list[Ref]:
        """Tensors, nearly all of which require grad."""
        every = list(self.machine.tensors)
        usual = [ref for ref in every if self.machine.tensors[ref].requires_grad] or every
        return [self.pick(every if self.chance(0.1) else usual) for _ in range(count)]

    def dim(self) -> int:
        return self.whole(-self.ndim, self.ndim) if self.ndim else self.pick([0, -1, 0, 1])

    def number(self) -> float | int:
        return self.whole(-2, 3) if self.chance(0.25) else float(np.round(self.r.uniform(-2, 2), 1))

    def array(self, shape: tuple[int, ...], like: Any = None) -> Array:
        """New values; of x's dtype unless said otherwise."""
        dtype = str((self.x if like is None else like).dtype).removeprefix("torch.")
        values = np.asarray(np.round(self.r.uniform(-1.5, 1.5, shape), 2))
        if dtype == "bool":
            return Array(np.asarray(values > 0))
        if dtype in ("int64", "int32"):
            return Array(np.asarray(np.round(values * 2)).astype(dtype))
        if dtype == "bfloat16":
            dtype = "float32"
        return Array(values.astype(dtype))

    def alike(self, shape: tuple[int, ...] | None = None) -> list[Ref]:
        shape = self.shape if shape is None else shape
        return [
            ref
            for ref, t in self.machine.tensors.items()
            if tuple(t.shape) == shape and t.dtype == self.x.dtype
        ]

    def other(self, wrong: float = 0.2) -> Any:
        """An operand that usually fits x: a tensor of its shape, one that broadcasts, or any."""
        if self.chance(0.5):
            return self.pick(self.alike())
        if self.chance(wrong):
            return self.pick(list(self.machine.tensors))
        if self.chance(0.5):
            return self.array(self.shape[self.whole(0, self.ndim + 1) :])
        return self.array(tuple(1 if self.chance(0.3) else n for n in self.shape))

    def index(self) -> Any:
        """A basic index into x."""
        items: list[Any] = []
        d, n_left, ellipsis = 0, self.ndim, False
        while d < n_left and not (items and self.chance(0.15)):
            n, choice = self.shape[d], self.whole(0, 7)
            if choice == 0:
                items.append(None)
                continue
            if choice == 1 and not ellipsis:
                items.append(...)
                ellipsis = True
                d += self.whole(0, n_left - d + 1)
                continue
            items.append(self._slice(choice, n))
            d += 1
        if len(items) == 1 and self.chance(0.5):
            return items[0]
        return tuple(items) if items else ...

    def _slice(self, choice: int, n: int) -> Any:
        if choice in (1, 2):
            return self.whole(-n, n) if n and self.chance(0.95) else self.whole(-3, 4)
        if choice == 3:
            start, stop = sorted((self.whole(0, n + 1), self.whole(0, n + 1)))
            return slice(start, stop)
        if choice == 4:
            return slice(None, None, self.whole(1, 3))
        if choice == 5:
            return slice(self.whole(-n - 1, n + 1), None)
        return slice(None)

    def unique_rows(self, n: int) -> Array:
        return Array(self.r.permutation(n)[: self.whole(1, n + 1)])

    # -- growing -----------------------------------------------------------------------------

    def append(self, draft: Any, recording: bool = True) -> bool:
        """Run a step on torch and keep it, unless it is one to avoid."""
        kind, name, args, kwargs = draft
        step = Step(len(self.steps), kind, name, tuple(args), kwargs, recording)
        if not has(self.lib, step):
            self.missing.add(step.label)
            return False
        if avoided(step, self.machine, self.watch):
            return False
        outcome = attempt(self.machine, step)
        if outcome.error is not None:
            text = str(outcome.error)
            if "INTERNAL ASSERT" in text or (KERNEL.search(text) and self.chance(0.9)):
                return False
        if any(dtype == "torch.complex32" for dtype, _ in outcome.kinds):  # rushlight has none
            for index in range(outcome.made):
                del self.machine.tensors[Ref(step.id, index)]
            return False
        self.watch.after(step, self.machine, outcome)
        if step.kind in ("backward", "grad") and partial(outcome.error):
            self.done = self.watch.partial = True
        self.steps.append(step)
        self.seen.outcomes.append(outcome)
        return True

    def grow(self) -> None:
        """One more random step."""
        while True:
            self.take()
            draft = self.pick_maker()(self)
            if draft is None or self._explodes():
                continue
            recording = draft[0] in ("backward", "grad") or not self.chance(0.12)
            if self.append(draft, recording):
                return

    def pick_maker(self) -> Callable[[Maker], Draft]:
        return makers[int(np.searchsorted(_edges, self.r.random()))][1]

    def _explodes(self) -> bool:
        """Large numbers tell rounding from mistakes badly; they are left alone."""
        x = self.x.detach()
        if not x.numel() or not x.dtype.is_floating_point:
            return False
        largest = float(x.abs().max())
        if 0 < largest < 1e-10:  # what is left of numbers that cancel
            return True
        return not largest <= 1e4  # nor nan, which as an integer is undefined


# ---- makers: new tensors -----------------------------------------------------------------------


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
        return "operator", m.pick(COMPARISONS), args, {}
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


# ---- makers: views -----------------------------------------------------------------------------


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


# ---- makers: gathering -------------------------------------------------------------------------


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


# ---- makers: writes ----------------------------------------------------------------------------


@maker(0.08)
def write_arithmetic(m: Maker) -> Draft:
    o = m.other() if m.chance(0.8) else m.number()
    if m.chance(0.4):
        return "operator", m.pick(["iadd", "isub", "imul", "itruediv"]), [m.X, o], {}
    name = m.pick(["add_", "sub_", "mul_", "mul_", "div_", "pow_"])
    if name == "pow_":
        o = m.pick([2, 3, 0.5])
    kwargs = {"alpha": m.number()} if name in ("add_", "sub_") and m.chance(0.3) else {}
    return "method", name, [m.X, o], kwargs


@maker(0.04)
def write_copy(m: Maker) -> Draft:
    return "method", "copy_", [m.X, m.other()], {}


@maker(0.06)
def write_simple(m: Maker) -> Draft:
    choice = m.whole(0, 8)
    if choice <= 1:
        return "method", "zero_", [m.X], {}
    if choice == 2:
        return (
            "method",
            "fill_",
            [m.X, m.number() if m.chance(0.7) else m.pick(list(m.machine.tensors))],
            {},
        )
    if choice == 3:
        return "method", "clamp_", [m.X, -0.5, 0.5], {}
    if choice == 4:
        name = m.pick(["addcmul_", "lerp_"])
        return "method", name, [m.X, m.other(), m.other() if name == "addcmul_" else 0.3], {}
    return "method", m.pick(UNARY_IN_PLACE), [m.X], {}


@maker(0.04)
def write_places(m: Maker) -> Draft:
    choice = m.whole(0, 6)
    mask = Array(np.asarray(m.r.random(m.shape) < 0.5))
    if choice <= 1 or not m.ndim or 0 in m.shape:
        return "method", "masked_fill_", [m.X, mask, m.number()], {}
    n = m.shape[0]
    rows = m.unique_rows(n)
    source = m.array((len(rows.values), *m.shape[1:]))
    if choice == 2:
        rows = Array(m.r.integers(0, n, 2))
        return (
            "method",
            "index_add_",
            [m.X, 0, rows, m.X if n == 2 and m.chance(0.4) else m.array((2, *m.shape[1:]))],
            {},
        )
    if choice == 3:
        return "method", m.pick(["index_copy_", "index_add_"]), [m.X, 0, rows, source], {}
    if choice == 4:
        return "method", "index_fill_", [m.X, 0, rows, m.number()], {}
    d = m.whole(0, m.ndim)
    places = Array(np.argsort(m.r.random(m.shape), axis=d))
    others = [ref for ref in m.alike() if ref != m.X]
    source = m.pick(others) if others and m.chance(0.7) else m.array(m.shape)
    return "method", m.pick(["scatter_", "scatter_add_"]), [m.X, d, places, source], {}


@maker(0.07)
def write_index(m: Maker) -> Draft:
    n = m.shape[0] if m.ndim else 0
    if m.chance(0.15):
        return (
            "operator",
            "setitem",
            [m.X, Array(np.asarray(m.r.random(m.shape) < 0.5)), m.number()],
            {},
        )
    if n and m.chance(0.25):
        value = m.array(m.shape[1:]) if m.chance(0.6) else m.number()
        return "operator", "setitem", [m.X, m.unique_rows(n), value], {}
    index = m.index()
    try:
        shape = tuple(m.x.detach()[index].shape)
    except (RuntimeError, IndexError):
        shape = ()
    same = m.alike(shape)
    if same and m.chance(0.6):
        return "operator", "setitem", [m.X, index, m.pick(same)], {}
    return "operator", "setitem", [m.X, index, m.array(shape) if m.chance(0.7) else m.number()], {}


@maker(0.02)
def write_out(m: Maker) -> Draft:
    """An `out` of another shape would be resized, which torch deprecates."""
    name = m.pick(["add", "mul", "sub", "matmul", "sin", "exp"])
    args = [m.X] if name in ("sin", "exp") else [m.X, m.other()]
    try:
        result = getattr(torch, name)(*[m.machine.resolve(a).detach() for a in args])
    except RuntimeError:
        return None
    like = result.shape, result.dtype  # of another dtype, torch would compute in that
    fitting = [ref for ref, t in m.machine.tensors.items() if (t.shape, t.dtype) == like]
    return ("function", name, args, {"out": m.pick(fitting)}) if fitting else None


# ---- makers: autograd --------------------------------------------------------------------------


@maker(0.05)
def flag(m: Maker) -> Draft:
    choice = m.r.random()
    if choice >= 0.42:
        m.take_tracked()
    if choice < 0.35:
        return "method", "requires_grad_", [m.X] if m.chance(0.85) else [m.X, False], {}
    if choice < 0.42:
        return "method", "detach_", [m.X], {}
    if choice < 0.7:
        return "method", "retain_grad", [m.X], {}
    if choice < 0.78:
        return "set", "data", [m.X, m.pick(m.alike())], {}
    if choice < 0.9:
        return "get", "grad", [m.X], {}
    return "set", "grad", [m.X, None], {}


@maker(0.03)
def hook(m: Maker) -> Draft:
    m.take_tracked()
    if m.chance(0.2):
        keys = list(m.machine.handles)
        return ("unhook", "", [m.pick(keys)], {}) if keys else None
    if m.chance(0.2):
        return "hook", "register_post_accumulate_grad_hook", [m.X], {}
    return "hook", "register_hook", [m.X], {"doubles": m.chance(0.5)}


@maker(0.09)
def backward(m: Maker) -> Draft:
    m.take_tracked()
    kwargs: dict[str, Any] = {"retain_graph": True} if m.chance(0.7) else {}
    if m.chance(0.1):
        kwargs["create_graph"] = True
    if m.chance(0.1):
        kwargs["inputs"] = m.tracked(m.whole(1, 3))
    return "backward", m.pick(["weighted", "weighted", "given"]), [m.X, m.array(m.shape)], kwargs


@maker(0.04)
def grad(m: Maker) -> Draft:
    m.take_tracked()
    inputs = m.tracked(m.whole(1, 3))
    kwargs = {"create_graph": m.chance(0.7), "allow_unused": m.chance(0.85)}
    return "grad", "", [m.X, inputs], kwargs


_total = sum(weight for weight, _ in makers)
_edges = np.cumsum([weight / _total for weight, _ in makers])[:-1]


def partial(error: BaseException | None) -> bool:
    """Whether a backward pass failed on its way, so that it has done some of its work."""
    return error is not None and not ARGUMENTS.search(str(error))


def has(lib: Any, step: Step) -> bool:
    """Whether the library has what the step uses at all; what is missing is counted apart."""
    if step.kind == "function":
        return hasattr(lib, step.name)
    if step.kind == "operator":
        plain = f"__{step.name}__"
        return any(
            getattr(lib.Tensor, name, None) is not getattr(object, name, None)
            for name in (plain, plain.replace("__i", "__", 1))
        )
    if step.kind == "grad":
        return hasattr(lib, "autograd") and hasattr(lib.autograd, "grad")
    return step.kind != "method" or hasattr(lib.Tensor, step.name)


def generate(seed: int, length: int = 28, lib: Any = torch) -> Maker:
    """A random program with what torch made of it: `.steps`, `.seen` and `.watch`.

    It uses nothing that `lib` lacks; the same seed gives the same program once it lacks nothing.
    """
    m = Maker(seed, lib)
    with quiet():
        for i in range(3):
            shape = tuple(m.r.integers(1, 4, m.whole(1, 4)).tolist())
            values = np.round(m.r.uniform(-1.5, 1.5, shape), 2)
            m.append(("create", "", [Array(values)], {"requires_grad": i < 2}))
        for _ in range(length):
            if not m.done:
                m.grow()
        look(m.machine, m.seen)
    return m
