"""An operation without a gradient rule for an input says so, as an error that torch raises."""

import pytest

import rushlight as rl


def test_only_the_input_that_lacks_a_rule_is_refused():
    x = rl.tensor([1.5, 2.0], dtype=rl.float64)
    q = rl.tensor([1.0, 2.0], dtype=rl.float64, requires_grad=True)
    rl.special.zeta(x, q).sum().backward()
    assert q.grad is not None
    with pytest.raises(RuntimeError, match="derivative for 'zeta: input' is not implemented"):
        rl.special.zeta(x.requires_grad_(), q).sum().backward()
    assert x.grad is None


def test_torch_raises_the_same_type():
    torch = pytest.importorskip("torch")
    x = torch.tensor([1.5, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="derivative for 'zeta' is not implemented"):
        torch.special.zeta(x, x).sum().backward()


def second_derivative(lib, name):
    """What a second derivative goes through that only has a first one."""
    x = lib.full((4, 1, 3), 1.5, dtype=lib.float64, requires_grad=True)
    if name == "ctc_loss":
        loss = lib.nn.functional.ctc_loss(x.log_softmax(-1), lib.tensor([[1, 2]]), (4,), (2,))
    else:
        loss = getattr(lib.distributions, name)(x, x.detach() if name == "Gamma" else x).rsample()
    (g,) = lib.autograd.grad(loss.square().sum(), x, create_graph=True)
    lib.autograd.grad(g.square().sum(), x)


@pytest.mark.parametrize("name", ["ctc_loss", "Gamma", "Beta"])
@pytest.mark.parametrize("lib", ["torch", "rushlight"])
def test_a_second_derivative_that_is_not_there_is_no_zero(lib, name):
    with pytest.raises(RuntimeError):
        second_derivative(pytest.importorskip(lib), name)


def test_forward_derivatives_that_are_not_there_are_no_zeros():
    def loss(x):
        return rl.nn.functional.ctc_loss(x, rl.tensor([[1, 2]]), (4,), (2,))

    x = rl.zeros(4, 1, 3).log_softmax(-1)
    with pytest.raises(NotImplementedError, match="derivative for 'ctclossgrad"):
        rl.func.jvp(loss, (x,), (rl.ones_like(x),))
