"""Steps that change tensors: writes, flags, hooks, backward."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tests.fuzz import makers_values  # noqa: F401  (registers first: seeds mean that order)
from tests.fuzz.growth import Draft, Maker, maker
from tests.fuzz.program import Array

UNARY_IN_PLACE = ["sin_", "tanh_", "sigmoid_", "relu_", "abs_", "neg_", "exp_", "square_", "round_"]


# ---- writes ----------------------------------------------------------------------------


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


# ---- autograd --------------------------------------------------------------------------


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
