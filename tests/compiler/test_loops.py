"""The loop IR: what its interpreter computes, and what its verifier rejects."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.compiler import memory
from rushlight.compiler.backends.loops_reference import run_kernel
from rushlight.compiler.graph import Value
from rushlight.compiler.loops import Affine, Kernel, Store, Table, axis_index
from rushlight.compiler.lower import Lowering
from rushlight.compiler.verify import verify_lowering, verify_plan
from rushlight.ops.arithmetic import Add, Mul
from rushlight.ops.math import Exp
from rushlight.ops.reduce import Sum
from rushlight.ops.view import T

from .graphs import Builder

F32, I64 = np.dtype(np.float32), np.dtype(np.int64)
X = np.arange(6, dtype=np.float32).reshape(2, 3)


def run(kernel, **memory):
    """The kernel on flat arrays by the names of their numbers: v1, v2 ..."""
    arrays = {int(name[1:]): np.asarray(a) for name, a in memory.items()}
    run_kernel(kernel, arrays.__getitem__)
    return arrays


def test_an_element_wise_kernel_reads_through_its_affines():
    t = Table()
    reverse = t.make("load", F32, (), (1, Affine(5, ((0, -3), (1, -1)))))
    total = t.make("add", F32, (reverse, t.make("const", F32, (), 1.0)))
    kernel = Kernel({0: 2, 1: 3}, [0, 1], [], [])
    kernel.stores = [Store(Value(2, (2, 3), F32), Affine(0, ((0, 3), (1, 1))), total)]
    assert run(kernel, v1=X.ravel(), v2=np.zeros(6, "f"))[2].tolist() == [6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    "kind, expected",
    [("sum", [3, 12]), ("prod", [0, 60]), ("max", [2, 5]), ("min", [0, 3])],
)
def test_reductions_run_over_all_columns(kind, expected):
    t = Table()
    x = t.make("load", F32, (), (1, Affine(0, ((0, 3), (1, 1)))))
    kernel = Kernel({0: 2, 1: 3}, [0], [1], [])
    kernel.stores = [Store(Value(2, (2,), F32), axis_index(0), t.make("reduce", F32, (x,), kind))]
    assert run(kernel, v1=X.ravel(), v2=np.zeros(2, "f"))[2].tolist() == expected


def test_what_does_not_depend_on_columns_is_still_reduced_over_them():
    t = Table()
    one = t.make("const", F32, (), 1.0)
    kernel = Kernel({0: 2, 1: 3}, [0], [1], [])
    kernel.stores = [
        Store(Value(2, (2,), F32), axis_index(0), t.make("reduce", F32, (one,), "sum"))
    ]
    assert run(kernel, v2=np.zeros(2, "f"))[2].tolist() == [3, 3]


def test_indices_numbers_and_casts():
    t = Table()
    index = t.make("axis", I64, (), axis_index(0))
    number = t.make("number", np.float64, (), 1)
    both = t.make("mul", F32, (t.make("cast", F32, (index,)), t.make("cast", F32, (number,))))
    kernel = Kernel({0: 3}, [0], [], [Store(Value(2, (3,), F32), axis_index(0), both)])
    assert run(kernel, v1=[0.5], v2=np.zeros(3, "f"))[2].tolist() == [0, 0.5, 1]
    down = t.make("cast", I64, (t.make("const", F32, (), -1.5),))
    kernel.stores = [Store(Value(2, (3,), I64), axis_index(0), down)]
    assert run(kernel, v2=np.zeros(3, int))[2].tolist() == [-1, -1, -1]


def test_loads_see_memory_as_it_was_before():
    t = Table()
    other = t.make("load", F32, (), (1, Affine(2, ((0, -1),))))
    kernel = Kernel({0: 3}, [0], [], [Store(Value(1, (3,), F32), axis_index(0), other)])
    assert run(kernel, v1=np.arange(3, dtype="f"))[1].tolist() == [2, 1, 0]


# What the verifier rejects


def lowered():
    """Two kernels: exp with its row sums, and the sums times 2."""
    b = Builder()
    e = b.op(Exp, b.input(X))
    s = b.op(Sum, e, dim=(1,), keepdim=False)
    b.returns(e, b.op(Mul, b.op(T, e), s))
    low = Lowering(b.graph)
    verify_lowering(low)
    return low


def broken(change, match):
    low = lowered()
    change(low)
    with pytest.raises(AssertionError, match=match):
        verify_lowering(low)


def first_store(low):
    return low.steps[0].kernel.stores[0]


def load_of(low):
    return next(e for e in expressions(low) if e.op == "load")


def expressions(low):
    from rushlight.compiler.verify import all_expressions

    return all_expressions(low.steps[0].kernel)


def test_loads_out_of_bounds():
    def change(low):
        load = load_of(low)
        load.data = (load.data[0], load.data[1].plus(Affine(1)))

    broken(change, r"loads \[1, 6\] of %1: float32\(2, 3\)")


def test_stores_out_of_bounds():
    def change(low):
        first_store(low).where = first_store(low).where.plus(Affine(-1))

    broken(change, r"is written at \[-1, 4\]")


def test_stores_that_leave_something_out():
    def change(low):
        first_store(low).where = Affine(0, ((0, 1), (1, 1)))

    broken(change, "is not written once in each place")


def test_stores_of_another_dtype():
    def change(low):
        first_store(low).buffer.dtype = np.dtype(np.float64)

    broken(change, "gets float32")


def test_rows_that_differ_by_column():
    def change(low):
        kernel = low.steps[0].kernel
        row = next(s for s in kernel.stores if not s.where.of(1))
        row.expr = row.expr.args[0]

    broken(change, "stored per row, but differs by column")


def test_mixed_dtypes():
    def change(low):
        e = next(e for e in expressions(low) if e.op == "exp")
        table = Table()
        e.op, e.args = "add", (e.args[0], table.make("const", np.float64, (), 1.0))

    broken(change, "add of")


def test_reads_before_writes():
    broken(lambda low: low.steps.reverse(), "which nothing wrote")


def test_lost_steps():
    broken(lambda low: low.steps.pop(), "the end %.* is never written")


def test_writes_twice():
    broken(lambda low: low.steps.append(low.steps[-1]), "writes .* again")


def update(write):
    """A graph whose state becomes what ``write`` makes of it, lowered."""
    b = Builder()
    p = b.input(np.ones((3, 3), "f"), "state")
    write(b, p)
    return Lowering(b.graph)


def test_inputs_overwritten_too_early():
    def write(b, p):
        b.returns(b.op(Sum, p, dim=(0,), keepdim=False), b.op(Add, p, b.op(T, p)))
        b.graph.updates = [(b.graph.inputs[0], b.op(Mul, p, 2.0))]

    low = update(write)
    verify_lowering(low)
    low.steps.sort(key=lambda s: not any(v.number in low.written for v in s.writes))
    with pytest.raises(AssertionError, match="after it was overwritten"):
        verify_lowering(low)


def test_inputs_read_elsewhere_while_overwritten():
    def write(b, p):
        b.graph.updates = [(b.graph.inputs[0], b.op(Mul, p, 2.0))]

    low = update(write)
    verify_lowering(low)
    low.steps[0].kernel.stores[0].where = Affine(0, ((0, 1), (1, 3)))
    with pytest.raises(AssertionError, match="read elsewhere while it is overwritten"):
        verify_lowering(low)


def test_memory_shared_while_both_are_needed():
    b = Builder()
    x = b.input(X)
    e = b.op(Exp, x)
    turned = b.op(T, e)
    for _ in range(2):
        e = b.op(Add, e, 1.0)
    big = b.op(Mul, b.op(T, e), turned)
    low = Lowering(b.returns(b.op(Add, big, b.op(Sum, big, dim=(0,), keepdim=True))).graph)
    own = {i.value.number for i in low.graph.inputs} | {v.number for v in low.graph.ends()}
    offsets, size = memory.plan(low.steps, own)
    verify_plan(low, offsets, size)
    assert len(offsets) > 1
    with pytest.raises(AssertionError, match="share memory while both are needed"):
        verify_plan(low, dict.fromkeys(offsets, 0), size)
    with pytest.raises(AssertionError, match="ends behind the arena"):
        verify_plan(low, offsets, size - 64)
