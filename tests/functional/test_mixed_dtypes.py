"""Operands of several dtypes: what torch refuses is refused, with the same type of exception, and
what it takes has its result's dtype.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch

import rushlight

NAMES = ["float64", "float32", "bfloat16", "int64", None]


def outcome(module: Any, call: Callable[..., Any], names: Any) -> Any:
    """The result's dtype, or the exception."""
    try:
        result = call(module, *[None if n is None else getattr(module, n) for n in names])
    except Exception as error:
        return error
    return str(result.dtype).split(".")[-1]


def ones(module: Any, dtype: Any, *shape: int) -> Any:
    return None if dtype is None else module.ones(shape, dtype=dtype)


def batch_norm(m: Any, training: bool, x: Any, w: Any, mean: Any, var: Any) -> Any:
    running = ones(m, mean, 4), ones(m, var, 4)
    scale = ones(m, w, 4)
    return m.nn.functional.batch_norm(ones(m, x, 2, 4, 3), *running, scale, scale, training)


def recurrent(kind: str) -> Any:
    def call(m: Any, x: Any, h: Any) -> Any:
        state = ones(m, h, 1, 2, 3)
        layer = getattr(m.nn, kind)(4, 3, dtype=x)
        return layer(ones(m, x, 2, 2, 4), (state, state) if kind == "LSTM" else state)[0]

    return call


def loss(name: str, reduction: str = "mean") -> Any:
    def call(m: Any, x: Any, y: Any) -> Any:
        return getattr(m.nn.functional, name)(ones(m, x, 2), ones(m, y, 2), reduction=reduction)

    return call


CALLS: dict[str, tuple[str, Callable[..., Any]]] = {  # how many dtypes; a "?" may be None
    "layer_norm": (
        "x??",
        lambda m, x, w, b: m.nn.functional.layer_norm(
            ones(m, x, 2, 4), (4,), ones(m, w, 4), ones(m, b, 4)
        ),
    ),
    "group_norm": (
        "x??",
        lambda m, x, w, b: m.nn.functional.group_norm(
            ones(m, x, 2, 4, 3), 2, ones(m, w, 4), ones(m, b, 4)
        ),
    ),
    "rms_norm": (
        "x?",
        lambda m, x, w: m.nn.functional.rms_norm(ones(m, x, 2, 4), (4,), ones(m, w, 4)),
    ),
    "instance_norm": (
        "x??",
        lambda m, x, w, b: m.nn.functional.instance_norm(
            ones(m, x, 2, 4, 3), None, None, ones(m, w, 4), ones(m, b, 4)
        ),
    ),
    "batch_norm": ("x???", lambda m, *ds: batch_norm(m, True, *ds)),
    "batch_norm eval": ("x?xx", lambda m, *ds: batch_norm(m, False, *ds)),
    "bilinear": (
        "xxx?",
        lambda m, x, y, w, b: m.nn.functional.bilinear(
            ones(m, x, 2, 4), ones(m, y, 2, 3), ones(m, w, 2, 4, 3), ones(m, b, 2)
        ),
    ),
    "mse_loss": ("xx", loss("mse_loss")),
    "mse_loss none": ("xx", loss("mse_loss", "none")),
    "l1_loss": ("xx", loss("l1_loss")),
    "l1_loss sum": ("xx", loss("l1_loss", "sum")),
    "huber_loss": ("xx", loss("huber_loss")),
    "smooth_l1_loss": ("xx", loss("smooth_l1_loss", "none")),
    "soft_margin_loss": ("xx", loss("soft_margin_loss")),
    "with_logits": ("xx", loss("binary_cross_entropy_with_logits")),
    "binary_cross_entropy": (
        "xx?",
        lambda m, x, y, w: m.nn.functional.binary_cross_entropy(
            ones(m, x, 2), ones(m, y, 2), ones(m, w, 2)
        ),
    ),
    "nll_loss": (
        "x?",
        lambda m, x, w: m.nn.functional.nll_loss(
            ones(m, x, 2, 3), m.tensor([0, 1]), ones(m, w, 3)
        ),
    ),
    "cross_entropy": (
        "x?",
        lambda m, x, w: m.nn.functional.cross_entropy(
            ones(m, x, 2, 3), m.tensor([0, 1]), ones(m, w, 3)
        ),
    ),
    "multi_margin_loss": (
        "x?",
        lambda m, x, w: m.nn.functional.multi_margin_loss(
            ones(m, x, 2, 3), m.tensor([0, 1]), weight=ones(m, w, 3)
        ),
    ),
    "grid_sample": (
        "xx",
        lambda m, x, y: m.nn.functional.grid_sample(
            ones(m, x, 1, 1, 3, 3), ones(m, y, 1, 2, 2, 2), align_corners=False
        ),
    ),
    "lerp": ("xxx", lambda m, x, y, w: m.lerp(ones(m, x, 2), ones(m, y, 2), ones(m, w, 2))),
    "cross": ("xx", lambda m, x, y: m.linalg.cross(ones(m, x, 3), ones(m, y, 3))),
    "vecdot": ("xx", lambda m, x, y: m.linalg.vecdot(ones(m, x, 3), ones(m, y, 3))),
    "solve": ("xx", lambda m, x, y: m.linalg.solve(m.eye(2, dtype=x), ones(m, y, 2))),
    "cholesky_solve": (
        "xx",
        lambda m, x, y: m.cholesky_solve(ones(m, x, 2, 2), m.eye(2, dtype=y)),
    ),
    "lu_solve": (
        "xx",
        lambda m, x, y: m.linalg.lu_solve(
            m.eye(2, dtype=x), m.tensor([1, 2], dtype=m.int32), ones(m, y, 2, 2)
        ),
    ),
    "lu_solve pivots": (
        "x",
        lambda m, p: m.linalg.lu_solve(m.eye(2), m.tensor([1, 2], dtype=p), m.ones(2, 2)),
    ),
    "histogram": (
        "xx",
        lambda m, x, y: m.histogram(ones(m, x, 3), 3, weight=ones(m, y, 3))[0],
    ),
    "RNN": ("xx", recurrent("RNN")),
    "LSTM": ("xx", recurrent("LSTM")),
    "GRU": ("xx", recurrent("GRU")),
}  # fmt: skip
WIDER = {  # combinations that torch has no kernel for, and which are computed
    ("vecdot", "int64", "int64"),
    ("histogram", "bfloat16", "bfloat16"),
}


def builtin(error: Exception) -> type:
    """The type of exception to expect. What has no kernel may also be refused for mixed dtypes."""
    if isinstance(error, NotImplementedError):
        return RuntimeError
    return next(k for k in type(error).__mro__ if k.__module__ == "builtins")


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
@pytest.mark.parametrize("name", CALLS)
def test_as_in_torch(name):
    kinds, call = CALLS[name]
    for names in itertools.product(*[NAMES if k == "?" else NAMES[:-1] for k in kinds]):
        want, got = outcome(torch, call, names), outcome(rushlight, call, names)
        if (name, *names) in WIDER:
            continue
        if isinstance(want, Exception):
            assert isinstance(got, builtin(want)), (names, want, got)
        else:
            assert got == want, names


@pytest.mark.parametrize("dtype", ["int64", "int32", "int16", "uint8", "bool", "float32"])
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 2), (2, 3, 2, 2)])
def test_dtypes_of_targets(shape, dtype):
    def call(name: str, **options: Any) -> Any:
        target = shape[:1] + shape[2:] if len(shape) > 1 else ()
        return lambda m, d: getattr(m.nn.functional, name)(
            m.zeros(shape), m.zeros(target, dtype=d), **options
        )

    calls = [call("nll_loss"), call("cross_entropy"), call("cross_entropy", label_smoothing=0.1)]
    if len(shape) == 2:
        calls.append(call("multi_margin_loss"))
    for each in calls:
        want, got = outcome(torch, each, [dtype]), outcome(rushlight, each, [dtype])
        if isinstance(want, Exception):
            assert isinstance(got, RuntimeError), (want, got)
        else:
            assert got == want


def test_running_statistics_come_together():
    for m in (torch, rushlight):
        x = m.ones(2, 4, 3)
        with pytest.raises(ValueError, match="must either both be None or neither"):
            m.nn.functional.instance_norm(x, m.zeros(4))
        with pytest.raises(ValueError, match="must either both be None or neither"):
            m.nn.functional.batch_norm(x, None, m.zeros(4), training=True)
