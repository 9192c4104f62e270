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
