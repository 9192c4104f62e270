"""The gradient checker itself: it has to find wrong gradients, of first and second order."""

import pytest
import torch

import rushlight as rl
from rushlight.autograd import gradcheck, gradgradcheck
from rushlight.autograd.gradcheck import GradcheckError


def scaled(factor):
    """``x ** 2`` whose gradient is wrong by `factor`, by as little as one part in a hundred."""

    class Scaled(rl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * x * 2 * factor

    return Scaled.apply


class WrongSecond(rl.autograd.Function):
    """``x ** 2`` with a right gradient that hides its dependence on x."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * x.detach() * 2


class Unsteady(rl.autograd.Function):
    """The second backward pass gives another gradient."""

    passes = 0

    @staticmethod
    def forward(ctx, x):
        return x * 1

    @staticmethod
    def backward(ctx, g):
        Unsteady.passes += 1
        return g * (1 + 1e-4 * Unsteady.passes)


def leaf(*values, dtype=rl.float64):
    return rl.tensor(values, dtype=dtype, requires_grad=True)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("factor", [0.0, 0.99, 1.01, -1.0])
def test_finds_wrong_gradients(factor, fast):
    x = leaf(0.3, -1.2, 2.0)
    assert gradcheck(scaled(1.0), x, fast_mode=fast)
    with pytest.raises(GradcheckError, match="output 0 with respect to input 0"):
        gradcheck(scaled(factor), x, fast_mode=fast)
    assert gradcheck(scaled(factor), x, fast_mode=fast, raise_exception=False) is False


@pytest.mark.parametrize("fast", [False, True])
def test_finds_wrong_second_derivatives(fast):
    x = leaf(0.3, -1.2)
    assert gradcheck(WrongSecond.apply, x, fast_mode=fast)
    assert gradgradcheck(lambda x: x**2, x, fast_mode=fast)
    with pytest.raises(GradcheckError):
        gradgradcheck(WrongSecond.apply, x, fast_mode=fast)


def test_finds_a_detach_too_many():
    with pytest.raises(GradcheckError):
        gradcheck(lambda x: x * 2 + (x * 3).detach(), leaf(1.0, 2.0))
    with pytest.raises(GradcheckError, match="expected to be zero"):
        gradcheck(lambda x: (x * 2).detach(), leaf(1.0, 2.0))
    assert gradcheck(lambda x: rl.ones(2), leaf(1.0, 2.0))


def test_finds_what_changes_between_passes():
    Unsteady.passes = 0
    with pytest.raises(GradcheckError, match="not reentrant"):
        gradcheck(Unsteady.apply, leaf(1.0))
    assert gradcheck(Unsteady.apply, leaf(1.0), nondet_tol=1e-2, rtol=1e-1)


@pytest.mark.parametrize("fast", [False, True])
def test_complex_functions(fast):
    z = leaf(0.5 + 1j, -0.3 + 0.2j, dtype=rl.complex128)
    functions = [
        lambda z: z * z,
        lambda z: z.conj() * z * (1 + 2j),
        lambda z: z.abs(),
        lambda z: z.real * z.imag,
        lambda z: z.exp(),
    ]
    for f in functions:
        assert gradcheck(f, z, fast_mode=fast)
        assert gradgradcheck(f, z, fast_mode=fast)
    with pytest.raises(GradcheckError):  # the gradient that forgets to conjugate
        gradcheck(lambda z: z * z + (z.conj() - z).detach(), z, fast_mode=fast)


def test_several_inputs_and_outputs():
    x, y = leaf(0.3, -1.2), leaf(0.7, 0.1)

    def f(x, y, factor):
        return x * y.sin(), (x + y).sum() * factor, (x * 2).long()

    assert gradcheck(f, (x, y, 3))
    assert gradgradcheck(f, (x, y, 3))
    assert gradcheck(f, (x, y.detach(), 3))
    assert gradgradcheck(f, (x, y, 3), gen_non_contig_grad_outputs=True)
    assert gradgradcheck(lambda x: x**3, x, leaf(0.5, 0.5))


def test_leaves_the_inputs_as_they_were():
    x = leaf(0.3, -1.2)
    before, version = x.tolist(), x._version
    gradcheck(rl.sin, x)
    assert (x.tolist(), x._version, x.grad) == (before, version, None)


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(ValueError, match="require"):
        gradcheck(rl.sin, rl.ones(2))
    with pytest.raises(RuntimeError, match="stride 0"):
        gradcheck(rl.sin, leaf(1.0).expand(3))
    with pytest.warns(UserWarning, match="float64"):
        gradcheck(rl.sin, leaf(1.0, dtype=rl.float32), eps=1e-2, atol=1e-2)


@pytest.mark.parametrize("options", [{}, {"check_batched_grad": True}])
def test_forward_mode_and_batches(options):
    x = rl.randn(2, 3, dtype=rl.float64, requires_grad=True)
    w = rl.randn(4, 3, dtype=rl.float64, requires_grad=True)
    z = rl.randn(2, dtype=rl.complex128, requires_grad=True)
    assert gradcheck(rl.nn.functional.linear, (x, w), check_forward_ad=True, **options)
    assert gradcheck(lambda x: (x.sin(), x.sum(0)), x, check_forward_ad=True, **options)
    assert gradcheck(rl.abs, z, check_forward_ad=True, **options)
    assert gradgradcheck(lambda x: (x**3).sum(), x, check_fwd_over_rev=True)


class Halved(rl.autograd.Function):
    """A sine with half of its gradient."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0].cos() / 2


def test_forward_mode_that_disagrees():
    with pytest.raises(GradcheckError, match="forward-mode derivatives of output 0"):
        gradcheck(Halved.apply, leaf(1.0), check_forward_ad=True, check_backward_ad=False)


@pytest.mark.parametrize(
    "name", ["sin", "exp", "abs", "relu", "cumsum", "prod", "softmax", "norm", "sort", "logsumexp"]
)
def test_verdicts_are_torchs(name):
    """Also near kinks, where differences say nothing and both libraries refuse."""
    for values in ([0.3, -1.2, 2.0], [0.0, 1.0, -1.0], [1e-7, 1e-7, 0.5]):
        verdicts = []
        for lib in (torch, rl):
            x = lib.tensor(values, dtype=lib.float64, requires_grad=True)
            arguments = (0,) if name in ("cumsum", "softmax", "logsumexp") else ()

            def f(x, lib=lib, arguments=arguments):
                return getattr(lib, name)(x, *arguments)

            verdicts.append(lib.autograd.gradcheck(f, x, raise_exception=False))
        assert verdicts[0] == verdicts[1], values


@pytest.mark.parametrize(
    ("check", "options"),
    [
        ("gradcheck", {"check_backward_ad": False}),
        ("gradcheck", {"check_batched_forward_grad": True}),
        (
            "gradcheck",
            {"check_backward_ad": False, "check_forward_ad": True, "check_batched_grad": True},
        ),
        ("gradgradcheck", {"check_rev_over_rev": False}),
        ("gradgradcheck", {"check_rev_over_rev": False, "check_fwd_over_rev": True}),
    ],
)
def test_checks_that_need_others(check, options):
    for package in (torch, rl):
        x = package.ones(2, dtype=package.float64, requires_grad=True)
        with pytest.raises(AssertionError):
            getattr(package.autograd, check)(package.sin, (x,), raise_exception=False, **options)


def test_what_cannot_be_checked():
    for package in (torch, rl):
        with pytest.raises(ValueError, match="at least one input tensor"):
            package.autograd.gradcheck(package.sin, 3.0)
        x = package.ones(2, dtype=package.float64, requires_grad=True)
        with pytest.raises(ValueError, match="Sparse output is not supported"):
            package.autograd.gradcheck(lambda x: x.to_sparse(), x)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_what_comes_in_from_above_is_drawn_as_in_torch(gaps, dtype):
    drawn = []
    for lib in (torch, rl):
        lib.manual_seed(3)
        x = lib.ones(2, 3, dtype=getattr(lib, dtype), requires_grad=True)
        check = lib.autograd.gradgradcheck
        assert check(lambda x: x * x, x, gen_non_contig_grad_outputs=gaps)
        drawn.append(lib.rand(3).tolist())
    assert drawn[0] == drawn[1]
