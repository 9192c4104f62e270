"""Every function with samples gives, compiled, what it gives as it is: values and gradients.

Some samples of a function are one compiled step: it calls the function on each, differentiates
weighted sums of what that returns, and leaves the gradients with the inputs. What cannot be
captured runs eagerly and is counted; what is captured must agree.
"""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import rushlight
from tests.ops.calls import Call, array_of, find, quiet
from tests.ops.samples import load

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
pytestmark = pytest.mark.filterwarnings("ignore:compile")  # what is not captured runs eagerly
OPS = load()
CALLS = 3  # as it is, captured, compiled
SAMPLES = 3  # of each function
OTHER = "float32"  # where the function takes it, the first sample runs in this dtype too
# what reads values, or makes arrays behind the trace's back, with some sample: runs eagerly
EAGER = frozenset(
    [
        "argwhere",
        "as_tensor",
        "asarray",
        "bincount",
        "histc",
        "histogram",
        "histogramdd",
        "index_fill",
        "istft",
        "linalg.cholesky_ex",
        "linalg.inv_ex",
        "linalg.lstsq",
        "linalg.lu",
        "linalg.lu_factor_ex",
        "linalg.matrix_power",
        "linalg.matrix_rank",
        "linalg.solve_ex",
        "linalg.vander",
        "lu_solve",
        "lu_unpack",
        "Tensor.lu_solve",
        "masked_select",
        "nn.functional.one_hot",
        "nonzero",
        "nonzero_static",
        "repeat_interleave",
        "segment_reduce",
        "unique",
        "unique_consecutive",
        "where",
    ]
)
SORTED = ("bucketize", "searchsorted")  # need boundaries in order
ERRORS = (RuntimeError, IndexError, ValueError, TypeError, NotImplementedError, AttributeError)


@pytest.fixture(scope="module", autouse=True)
def few_objects():
    """Captures look through all objects, of which there are many beside torch."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


class Case:
    """One sample: its arguments are made anew for each call of the step, the same each time."""

    def __init__(self, name: str, sample: Any, base: str, grad: bool) -> None:
        self.name, self.sample, self.base, self.grad = name, sample, base, grad

    def make(self, turned: bool = False) -> tuple[Call, list[Any], dict[str, Any]]:
        """New arguments; ``turned`` has their elements in reverse."""
        call = Call.new(rushlight, self.base)
        args, kwargs = call.arguments(self.sample)
        for t in call.tensors if turned else ():
            t._array[...] = t._array.reshape(-1)[::-1].reshape(t._array.shape).copy()
        if self.grad:
            call.track()
        return call, args, kwargs

    def __str__(self) -> str:
        return f"{self.name}{self.sample} as {self.base}"


def cases(name: str) -> list[Case]:
    """A few samples of a function, first those that differ most."""
    op = OPS[name]
    step = max(1, len(op.samples) // SAMPLES)
    found = [Case(name, s, op.base, op.grad) for s in op.samples[::step][:SAMPLES]]
    if OTHER in op.dtypes and op.base != OTHER:
        found.append(Case(name, op.samples[0], OTHER, op.grad))
    return [c for c in found if runs(c)]


def runs(case: Case) -> bool:
    """Whether the sample may be called as it is, and gives tensors."""
    with quiet():
        try:
            return bool(tensors_in(call_of(case, case.make())))
        except ERRORS:
            return False


def call_of(case: Case, made: Any) -> Any:
    """Call the function with what ``make`` made."""
    _, args, kwargs = made
    return find(rushlight, case.name)(*args, **kwargs)


def tensors_in(value: Any) -> list[Any]:
    """Tensors of a result, in order."""
    if isinstance(value, rushlight.Tensor):
        return [value]
    if isinstance(value, (tuple, list)):
        return [t for v in value for t in tensors_in(v)]
    return []


def step_of(case: Case, weights: dict[int, Any]) -> Any:
    """A function of the sample's tensors that a user could have written."""

    def step(args: Any, kwargs: Any) -> Any:
        results = tensors_in(find(rushlight, case.name)(*args, **kwargs))
        sums = [
            (t * weights[k]).sum()
            for k, t in enumerate(results)
            if t.requires_grad and k in weights
        ]
        if sums:
            total = sums[0]
            for s in sums[1:]:
                total = total + s
            total.backward()
        return [t.detach() for t in results]

    return step


def weights_for(case: Case) -> dict[int, Any]:
    """Factors of each result that can be differentiated."""
    if not case.grad:
        return {}
    with quiet():
        results = tensors_in(call_of(case, case.make()))
    r, found = np.random.default_rng(0), {}
    for k, t in enumerate(results):
        if t.requires_grad and not t.is_complex():
            found[k] = rushlight.from_numpy(np.asarray(r.uniform(0.5, 1.5, t.shape))).to(t.dtype)
    return found


def observed(case: Case, step: Any, turned: bool = False) -> list[Any]:
    """Results, the order of their dims in memory, arguments and gradients after one call."""
    rushlight.manual_seed(0)
    call, args, kwargs = case.make(turned)
    with quiet():
        results = step(args, kwargs)
    found = [array_of(t) for t in results]
    found += [np.asarray(rushlight.empty_like(t).stride()) for t in results]
    found += [array_of(t) for t in call.tensors]
    found += [None if t.grad is None else array_of(t.grad) for t in call.tensors if t.is_leaf]
    return found


@pytest.mark.parametrize("name", OPS)
def test_compiled_equals_eager(name):
    if find(rushlight, name) is None:
        pytest.skip(f"rushlight has no {name} yet")
    for case in cases(name):
        step = step_of(case, weights_for(case))
        try:
            expected = observed(case, step)
        except ERRORS:
            continue  # nothing to differentiate, or no gradient: test_generic.py looks at these
        run = rushlight.compile(step)
        for k in range(CALLS):
            got = observed(case, run)
            compare(case, k, expected, got)
        if name in SORTED:
            continue
        try:
            expected = observed(case, step, turned=True)
        except ERRORS:
            continue  # not values that the function takes
        compare(case, CALLS, expected, observed(case, run, turned=True))
        why = run._compiled.eager
        assert why is None or name in EAGER, f"{case}: {why}"
        assert why is None or "compiler failed" not in why, f"{case}: {why}"
    rushlight.compiler.reset()


def compare(case: Case, k: int, expected: list[Any], got: list[Any]) -> None:
    """Equal up to rounding."""
    assert len(expected) == len(got), f"{case}, call {k}"
    names = f"{case.base} {case.sample}"  # a dtype may also be an argument
    rtol = 2e-5 if "float32" in names or "complex64" in names else 1e-9
    rtol *= OPS[case.name].rtol
    for i, (x, y) in enumerate(zip(expected, got, strict=True)):
        what = f"{case}, call {k}, value {i}"
        assert (x is None) == (y is None), what
        if x is None:
            continue
        assert (x.dtype, x.shape) == (y.dtype, y.shape), what
        if x.dtype.kind in "fc":
            coarse = max(rtol, {"e": 2e-3, "f": 2e-5, "F": 2e-5}.get(x.dtype.char, 0.0))
            np.testing.assert_allclose(y, x, coarse, coarse, err_msg=what)
        else:
            np.testing.assert_array_equal(y, x, err_msg=what)
