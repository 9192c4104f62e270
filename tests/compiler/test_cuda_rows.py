"""CUDA C of what goes through rows: writes by index, running values, orders."""

import ml_dtypes
import numpy as np
import pytest

from rushlight.compiler.backends.cuda import scans, sorts
from rushlight.compiler.primitives import PlaceRows, Ranked
from rushlight.ops.embedding import BagMaxima
from rushlight.ops.order import Cummax, Cummin
from rushlight.ops.scan import Cumprod, Cumsum, Logcumsumexp, Recurrence
from tests.compiler.cuda_emulator import needs_compiler
from tests.compiler.cuda_nodes import check

pytestmark = needs_compiler
rng = np.random.default_rng(0)


def numbers(shape, d):
    if np.dtype(d).kind in "iub":
        return rng.integers(0, 2 if d is np.bool_ else 9, shape).astype(d)
    return rng.standard_normal(shape).astype(d)


@pytest.mark.parametrize(
    "how, d, base, m",
    [
        ("write", np.bool_, True, 7), ("write", ml_dtypes.bfloat16, False, 300),
        ("add", np.float32, False, 331), ("add", np.int64, True, 1), ("mul", np.float64, True, 17),
        ("max", np.float32, True, 40),
    ],
)  # fmt: skip
def test_rows_are_placed(how, d, base, m):
    a, r, columns = 2, 13, 5
    where = rng.integers(-2, r + 2, m).astype(np.int32 if m == 7 else np.int64)  # some are too far
    source, old = numbers((a, m, columns), d), numbers((a, r, columns), d)
    if how == "max":
        source[0, 3, 1] = np.nan
    check(PlaceRows, old if base else None, where, source, shape=(a, r, columns), how=how)


def test_many_rows_are_sorted_first():
    m, r = 4201, 70
    where, source = rng.integers(0, r, m), numbers((1, m, 1), np.float32)
    where[where > 50] = 60  # more than many threads have
    check(PlaceRows, None, where, source, shape=(1, r, 1), how="add", tolerance=1e-5)


@pytest.mark.parametrize("d", [np.float32, np.float16])
def test_the_greatest_rows_of_bags(d):
    rows = rng.integers(0, 3, (29, 7)).astype(d)
    rows[3, 2] = rows[5, 2] = np.nan
    bag = np.sort(rng.integers(0, 9, 29))
    absent = None if d is np.float16 else rng.random((29, 1)) < 0.3
    check(BagMaxima, rows, bag, absent, bags=11)


RUNNING = [
    (Cumsum, (3, 31, 4), 1, np.int64, {}), (Cumsum, (2, 1500), 1, np.float32, {}),
    (Cumsum, (4500, 1), 0, np.float16, {"reverse": True}), (Cumprod, (5, 67, 2), 1, np.float64, {}),
    (Cummax, (3, 1031), 1, np.float32, {}), (Cummin, (6, 7), 0, ml_dtypes.bfloat16, {}),
    (Cummax, (4300,), 0, np.int64, {}), (Logcumsumexp, (2, 1100), 1, np.float32, {}),
    (Logcumsumexp, (9, 20), 1, np.float64, {}),
]  # fmt: skip


@pytest.mark.parametrize("op, shape, dim, d, params", RUNNING)
def test_running_values(op, shape, dim, d, params):
    x = numbers(shape, d)
    if op in (Cummax, Cummin):
        x = (x * 2).round().astype(d) if x.dtype.kind != "i" else x  # equal ones
    if op is Cummax and x.dtype.kind == "f":
        x[1, 700] = np.nan
        x[2] = -np.inf
    if op is Logcumsumexp:
        x[0, :9], x[1, 12:14] = -np.inf, (np.inf, 3)
    tolerance = 1e-5 if op is Cumprod else 2e-6
    check(op, x, dim=dim, tolerance=tolerance, **params)


def test_a_long_sum_keeps_its_digits():
    x = np.full((1, 9000), 0.1, np.float32)
    (y,) = check(Cumsum, x, dim=1)
    assert abs(y[0, -1] - 900) < 1e-3
    assert scans.FULL > 1


@pytest.mark.parametrize("d", [np.float32, np.float64])
def test_recurrences(d):
    x, factor = numbers((3, 41, 5), d), numbers((3, 40, 5), d)
    check(Recurrence, x, factor, dim=1, tolerance=1e-5)
    check(Recurrence, x[:, :1], factor[:, :0], dim=1)


def special(x):
    """With equal elements, and all that is not finite."""
    x = (x * 4).round() if x.dtype.kind == "f" else x
    if x.dtype.kind not in "iub":
        flat = x.reshape(-1)
        flat[::5], flat[1::13], flat[2::17] = np.nan, np.inf, -np.inf
        flat[3::19], flat[4::23] = 0.0, -0.0
    return x


SHORT = [
    (np.float32, 37, 37, False), (np.float16, 1, 1, True), (ml_dtypes.bfloat16, 130, 5, True),
    (np.float64, 64, 64, True), (np.int8, 23, 23, True), (np.uint64, 9, 4, False),
    (np.bool_, 3, 3, False), (np.int64, 5, 5, False), (np.uint16, 19, 19, True),
]  # fmt: skip


@pytest.mark.parametrize("d, n, k, descending", SHORT)
def test_short_rows_in_order(d, n, k, descending):
    x = special(numbers((11, n), d))
    if x.dtype.kind == "i":
        x = x - x.dtype.type(4)
    if d is ml_dtypes.bfloat16:  # NumPy puts its NaN anywhere
        x[x != x] = 7
    check(Ranked, x, k=k, descending=descending)


@pytest.mark.parametrize("d, descending", [(np.float32, True), (np.float64, False)])
def test_the_first_few_of_long_rows(d, descending):
    n = 1 + 2 * sorts.SHORT[4]
    x = special(numbers((2, n), d))
    x[1] = np.sort(x[1])  # each better than those before, or none
    check(Ranked, x, k=70, descending=descending)


def test_blocks_share_a_long_row():
    x = special(numbers((2, 3 * sorts.SHARE - 1), np.float32))
    check(Ranked, x, k=9, descending=False)


@pytest.mark.parametrize("d, descending", [(np.float32, False), (np.int16, True)])
def test_long_rows_in_order(d, descending):
    x = special(numbers((2, 5003), d))
    check(Ranked, x, k=sorts.FEW + 1 if d is np.int16 else 5003, descending=descending)
