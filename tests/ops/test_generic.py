"""Every function with samples, against torch: values, dtypes, aliasing, variants, gradients."""

import numpy as np
import pytest
import torch

import rushlight
from rushlight.autograd.gradcheck import gradcheck, gradgradcheck
from tests.ops.calls import (
    Call,
    aliases,
    array_of,
    builtin,
    check_same,
    check_tensor,
    find,
    finish,
    perform,
    quiet,
    rounding,
)
from tests.ops.samples import load

OPS = load()
KERNEL = (
    "not implemented for",
    "not supported",
    "does not support",
    "isn't implemented",
    "not yet implemented",
    "not resizable",  # memory of NumPy's, which rushlight replaces
)


def there(name):
    """Skip what has not been written yet."""
    if find(rushlight, name) is None:
        pytest.skip(f"rushlight has no {name} yet")
    return OPS[name]


@pytest.mark.parametrize("name", OPS)
def test_values(name):
    op = there(name)
    for sample in op.samples:
        expected = perform(torch, name, sample, op.base)
        assert expected.error is None, f"a bad sample: {name}{sample}: {expected.error!r}"
        got = perform(rushlight, name, sample, op.base)
        check_same(got, expected, f"{name}{sample}", op.rtol)
        assert aliases(got) == aliases(expected), f"{name}{sample}: shares memory differently"


@pytest.mark.parametrize("name", [name for name in OPS if OPS[name].dtypes])
def test_dtypes(name):
    """The first sample in the other dtypes. rushlight may take more than torch has kernels for."""
    op = there(name)
    for dtype in op.dtypes:
        expected = perform(torch, name, op.samples[0], dtype)
        got = perform(rushlight, name, op.samples[0], dtype)
        what = f"{name}{op.samples[0]} as {dtype}"
        if expected.error is None:
            check_same(got, expected, what, op.rtol)
        elif got.error is None:
            assert any(word in str(expected.error) for word in KERNEL), f"{what}: {expected.error}"


@pytest.mark.parametrize("name", [name for name in OPS if OPS[name].errors])
def test_errors(name):
    op = there(name)
    for sample in op.errors:
        expected = perform(torch, name, sample, op.base)
        assert expected.error is not None, f"a bad sample: torch accepts {name}{sample}"
        got = perform(rushlight, name, sample, op.base)
        assert got.error is not None, f"{name}{sample}: torch raises {expected.error!r}, we do not"
        kinds = builtin(got.error), builtin(expected.error)
        assert kinds[0] is kinds[1], f"{name}{sample}: {got.error!r} against {expected.error!r}"


@pytest.mark.parametrize("name", [n for n in OPS if "." not in n and hasattr(torch.Tensor, n)])
def test_method(name):
    op = there(name)
    for sample in op.samples:
        method = getattr(torch.Tensor, name)
        expected = perform(torch, name, sample, op.base, method)
        if expected.error is None:
            got = perform(rushlight, name, sample, op.base, getattr(rushlight.Tensor, name))
            check_same(got, expected, f"Tensor.{name}{sample}", op.rtol)


@pytest.mark.parametrize(
    "name", [n for n in OPS if OPS[n].inplace and "." not in n and hasattr(torch.Tensor, n + "_")]
)
def test_in_place(name):
    """The method with an underscore: the same value, in the same memory, and the same refusals."""
    op = there(name)
    for sample in op.samples:
        what = f"Tensor.{name}_{sample}"
        expected = perform(torch, name, sample, op.base, getattr(torch.Tensor, name + "_"))
        got = perform(rushlight, name, sample, op.base, getattr(rushlight.Tensor, name + "_"))
        if expected.error is not None:
            if not any(word in str(expected.error) for word in KERNEL):
                assert got.error is not None, f"{what}: torch raises {expected.error!r}"
            continue
        check_same(got, expected, what, op.rtol)
        if got.values and isinstance(got.values[0], rushlight.Tensor):
            assert got.values[0] is got.call.tensors[0], what
            assert got.values[0]._version == 1, what


class WithArray(Call):
    """The first tensor is given as an array of NumPy's."""

    def _tensor(self, spec):
        t = super()._tensor(spec)
        return t if len(self.specs) > 1 else t.numpy()


@pytest.mark.parametrize(
    "name", [n for n in OPS if not n.startswith(("Tensor.", "masked.")) and OPS[n].samples]
)
def test_arrays_are_no_tensors(name):
    """Functions say what they expected; PyTorch's own, where they are in Python, say what an array
    lacks.
    """
    op = there(name)
    for sample in op.samples:
        if not sample.args or isinstance(sample.args[0], (int, float, complex)):
            continue  # the second operand
        errors = []
        for lib in (torch, rushlight):
            call = WithArray.new(lib, op.base)
            args, kwargs = call.arguments(sample)
            errors.append(finish(call, find(lib, name), args, kwargs).error)
        if call.specs and errors[0] is not None:
            assert isinstance(errors[1], TypeError), f"{name}{sample}: {errors}"
            assert "Tensor" in str(errors[1]) and "ndarray" in str(errors[1]), errors


def call_with_out(lib, name, sample, base):
    """The function with an `out` of the result's dtype and shape."""
    plain = perform(lib, name, sample, base)
    call = Call.new(lib, base)
    args, kwargs = call.arguments(sample)
    tensors = plain.tensors()
    if plain.error is not None or not tensors or len(tensors) != len(plain.values):
        return None
    outs = tuple(lib.zeros_like(t) for t in tensors)
    return finish(
        call, find(lib, name), args, {**kwargs, "out": outs if len(outs) > 1 else outs[0]}
    )


@pytest.mark.parametrize("name", [name for name in OPS if OPS[name].out])
def test_out(name):
    op = there(name)
    for sample in op.samples[:3]:
        expected = call_with_out(torch, name, sample, op.base)
        if expected is None or expected.error is not None:
            continue
        got = call_with_out(rushlight, name, sample, op.base)
        check_same(got, expected, f"{name}{sample} with out=", op.rtol)


# ---- gradients ---------------------------------------------------------------------------------


def weights(tensors):
    """Numbers to weigh the results with, the same in both libraries."""
    r = np.random.default_rng(0)
    return [r.uniform(0.5, 1.5, tuple(t.shape)) for t in tensors]


def differentiate(lib, name, sample, base, second):
    """Gradients of a weighted sum of the results, and of a weighted sum of those."""
    with quiet():
        result = perform(lib, name, sample, base, track=True)
        if result.error is not None:
            return None
        inputs = [t for t in result.call.tensors if t.requires_grad]
        first = grad_of(lib, [t for t in result.tensors() if t.requires_grad], inputs, second)
        if first is None or not second:
            return result, [first]
        present = [g for g in first if g is not None and g.requires_grad]
        return result, [first, grad_of(lib, present, inputs, False)]


def grad_of(lib, outputs, inputs, create_graph):
    if not outputs or not inputs:
        return None
    vectors = [
        lib.from_numpy(np.asarray(w)).to(t.dtype)
        for w, t in zip(weights(outputs), outputs, strict=True)
    ]
    return lib.autograd.grad(outputs, inputs, vectors, create_graph=create_graph, allow_unused=True)


def check_gradients(name, op, sample, base):
    expected = differentiate(torch, name, sample, base, op.second)
    if expected is None:
        return
    got = differentiate(rushlight, name, sample, base, op.second)
    for order, (a, b) in enumerate(zip(got[1], expected[1], strict=True), 1):
        what = f"gradient {order} of {name}{sample} as {base}"
        if a is None or b is None:  # recorded or not, it is zero
            assert all(g is None or not array_of(g).any() for g in a or b or ()), what
            continue
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            if (x is None) != (y is None):  # nothing arrives, or zero does: both are right
                assert not array_of(x if y is None else y).any(), f"{what}, input {i}"
            elif x is not None:
                check_tensor(x, y, f"{what}, input {i}", rounding(expected[0]) * 10 * op.rtol)


def differentiable(complex_too=False):
    chosen = {n: op for n, op in OPS.items() if op.grad and op.oracle}
    return [n for n, op in chosen.items() if op.complex_grad or not complex_too]


@pytest.mark.parametrize("name", differentiable())
def test_gradients(name):
    op = there(name)
    for sample in op.samples:
        check_gradients(name, op, sample, "float64")


@pytest.mark.parametrize("name", differentiable(complex_too=True))
def test_complex_gradients(name):
    op = there(name)
    if "complex128" in op.dtypes:
        check_gradients(name, op, op.samples[0], "complex128")


@pytest.mark.parametrize("name", [n for n, op in OPS.items() if op.grad and op.differences])
def test_finite_differences(name):
    """Gradients of both orders in a random direction, without asking torch."""
    op = there(name)
    sample = op.samples[0]
    call = Call.new(rushlight, "float64")
    args, kwargs = call.arguments(sample)
    inputs = call.track()
    if not inputs or not any(
        t.requires_grad for t in finish(call, find(rushlight, name), args, kwargs).tensors()
    ):
        return

    def function(*tensors):
        return [
            t
            for t in finish(call, find(rushlight, name), args, kwargs).tensors()
            if t.is_floating_point() or t.is_complex()
        ]

    with quiet():
        assert gradcheck(function, inputs, fast_mode=True)
        if op.second:
            assert gradgradcheck(function, inputs, fast_mode=True)
