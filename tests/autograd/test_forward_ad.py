"""Forward-mode derivatives against torch's."""

import pytest
import torch

import rushlight

# torch scripts its own decompositions when a level is entered
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")


def functions(fw):
    return {
        "product": lambda x, y: (x * y).sin(),
        "reduction": lambda x, y: (x * y.exp()).sum(0),
        "matmul": lambda x, y: x @ y.t(),
        "one input": lambda x, y: x.relu() * 2 + x.sigmoid().cumsum(1),
        "in place": lambda x, y: (x + y).mul_(x).tanh_(),
        "index": lambda x, y: fw.cat([x[1:], y[:, :]])[fw.tensor([0, 2])],
        "constant": lambda x, y: x.detach() + 1,
        "integer": lambda x, y: x.argmax(1),
    }


@pytest.mark.parametrize("name", list(functions(torch)))
def test_tangents(name):
    """Also through a graph, so that a tangent can be differentiated."""
    results = []
    for fw in (rushlight, torch):
        fw.manual_seed(0)
        x, y, dx, dy = (fw.randn(3, 4, dtype=fw.float64) for _ in range(4))
        ad = fw.autograd.forward_ad
        for wants in (False, True):
            x.requires_grad_(wants)
            with ad.dual_level():
                a, b = ad.make_dual(x, dx), ad.make_dual(y, dy)
                primal, tangent = ad.unpack_dual(functions(fw)[name](a, b))
                shown = [primal.detach().numpy()]
                if tangent is not None:
                    shown.append(tangent.detach().numpy())
                    if wants and tangent.requires_grad:
                        (g,) = fw.autograd.grad(tangent.sum(), x)
                        shown.append(g.numpy())
            results.append(shown)
    for ours, theirs in zip(results[:2], results[2:], strict=True):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b)


def test_parameters_of_a_module():
    results = []
    for fw in (rushlight, torch):
        fw.manual_seed(0)
        model = fw.nn.Sequential(fw.nn.Linear(3, 4), fw.nn.Tanh(), fw.nn.Linear(4, 2))
        x = fw.randn(5, 3)
        ad = fw.autograd.forward_ad
        with ad.dual_level():
            for layer in (model[0], model[2]):
                for name, p in list(layer.named_parameters()):
                    delattr(layer, name)
                    setattr(layer, name, ad.make_dual(p, fw.ones_like(p)))
            results.append(ad.unpack_dual(model(x)).tangent.detach().numpy())
    torch.testing.assert_close(*results)


def test_levels_and_errors():
    for fw in (rushlight, torch):
        ad = fw.autograd.forward_ad
        x = fw.ones(2)
        assert ad.unpack_dual(x) == (x, None) if fw is rushlight else True
        with pytest.raises(RuntimeError):
            ad.make_dual(x, x)
        with ad.dual_level():
            with pytest.raises(ValueError):
                ad.make_dual(fw.ones(2, dtype=fw.int64), x)
            with pytest.raises(RuntimeError):
                ad.make_dual(x, fw.ones(3))
            assert ad.unpack_dual(x).tangent is None
            with pytest.raises(RuntimeError):
                ad.enter_dual_level()
        with pytest.raises(RuntimeError):
            ad.exit_dual_level()


@pytest.mark.parametrize("lib", [torch, rushlight])
def test_functions_with_a_jvp_of_their_own(lib):
    class Exp(lib.autograd.Function):
        @staticmethod
        def forward(x, y):
            return x.exp() * y, y.sin()

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.saved = (*inputs, output[0])

        @staticmethod
        def jvp(ctx, dx, dy):
            x, y, out = ctx.saved
            return dx * out + dy * x.exp(), dy * y.cos()

    x, y = lib.tensor([0.5, 1.0], dtype=lib.float64), lib.tensor([2.0, 3.0], dtype=lib.float64)
    dx, dy = lib.ones_like(x), lib.full_like(y, 0.5)
    fwAD = lib.autograd.forward_ad
    with fwAD.dual_level():
        outs = Exp.apply(fwAD.make_dual(x, dx), fwAD.make_dual(y, dy))
        found = [fwAD.unpack_dual(o).tangent for o in outs]
    expected = (x.exp() * y * dx + x.exp() * dy, y.cos() * dy)
    assert all(lib.allclose(a, b) for a, b in zip(found, expected, strict=True))
    _, found = lib.func.jvp(Exp.apply, (x, y), (dx, dy))
    assert all(lib.allclose(a, b) for a, b in zip(found, expected, strict=True))
    with pytest.raises(NotImplementedError):
        Exp.apply(x.requires_grad_(), y)[0].sum().backward()


@pytest.mark.parametrize("lib", [torch, rushlight])
def test_duals_may_be_written_to(lib):
    fwAD = lib.autograd.forward_ad
    with fwAD.dual_level():
        dual = fwAD.make_dual(lib.ones(2), lib.tensor([1.0, 2.0]))
        view = dual.view(2, 1)
        dual.mul_(3)
        assert fwAD.unpack_dual(view).tangent.flatten().tolist() == [3.0, 6.0]
        assert fwAD.unpack_dual(dual * 2).tangent.tolist() == [6.0, 12.0]


@pytest.mark.parametrize("lib", [torch, rushlight])
def test_duals_of_what_requires_grad_may_be_written_to_but_of_leaves(lib):
    fwAD = lib.autograd.forward_ad
    leaf = lib.ones(2, requires_grad=True)
    with fwAD.dual_level():
        dual = fwAD.make_dual(leaf * 2, lib.tensor([1.0, 2.0]))
        dual.mul_(3)
        assert fwAD.unpack_dual(dual * dual).tangent.tolist() == [36.0, 72.0]
        with pytest.raises(RuntimeError):
            fwAD.make_dual(leaf, lib.ones(2)).mul_(3)


@pytest.mark.parametrize("lib", [torch, rushlight])
def test_a_function_s_own_derivative_may_write_to_the_direction(lib):
    class Twice(lib.autograd.Function):
        @staticmethod
        def forward(x):
            return x * 2

        @staticmethod
        def setup_context(ctx, inputs, output):
            pass

        @staticmethod
        def jvp(ctx, dx):
            return dx.mul_(2)

    fwAD = lib.autograd.forward_ad
    with fwAD.dual_level():
        out = Twice.apply(fwAD.make_dual(lib.ones(2), lib.tensor([1.0, 3.0])))
        assert fwAD.unpack_dual(out).tangent.tolist() == [2.0, 6.0]


@pytest.mark.parametrize("lib", [torch, rushlight])
def test_what_forward_saved_for_a_jvp(lib):
    class Cube(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_forward(x, None)
            ctx.save_for_backward(x * 1)
            return x**3

        @staticmethod
        def jvp(ctx, dx):
            x, nothing = ctx.saved_tensors
            assert nothing is None
            return 3 * x**2 * dx

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 3 * x**2 * g

    fw, x = lib.autograd.forward_ad, lib.tensor([1.0, 2.0])
    with fw.dual_level():
        out = fw.unpack_dual(Cube.apply(fw.make_dual(x, lib.tensor([1.0, 10.0]))))
        assert out.tangent.tolist() == [3.0, 120.0]
    leaf = x.clone().requires_grad_()
    Cube.apply(leaf).sum().backward()
    assert leaf.grad.tolist() == [3.0, 12.0]
