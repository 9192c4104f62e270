"""Where a layer differs from torch on purpose, and the helpers beside the layers."""

import pytest
import torch

import rushlight as rl


def test_cross_map_lrn_has_the_gradient_of_its_forward():
    """torch's values, but not its gradient, which is not that of what it computes."""
    x = torch.randn(2, 6, 2, 2, dtype=torch.float64)
    ours, theirs = (nn.CrossMapLRN2d(3, alpha=0.1) for nn in (rl.nn, torch.nn))
    mine = rl.from_numpy(x.numpy()).requires_grad_()
    assert abs(ours(mine).detach().numpy() - theirs(x).numpy()).max() < 1e-12
    assert rl.autograd.gradcheck(ours, mine)
    assert not torch.autograd.gradcheck(theirs, x.requires_grad_(), raise_exception=False)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"groups": 2}], ids=str)
def test_gradients_of_convolutions(twin, dims, options):
    def program(t, nn):
        x, w = t.randn(2, 4, *(5,) * dims), t.randn(6, 4 // options.get("groups", 1), *(3,) * dims)
        g = t.randn(getattr(nn.functional, f"conv{dims}d")(x, w, **options).shape)
        grad = nn.grad
        return (
            getattr(grad, f"conv{dims}d_input")(x.shape, w, g, **options),
            getattr(grad, f"conv{dims}d_weight")(x, w.shape, g, **options),
        )

    twin(program, rtol=1e-4, atol=1e-4)


def test_a_module_needs_a_dict_of_its_own():
    """`_parameters` given away as a plain dict stays what it is."""
    layer = rl.nn.Linear(1, 1)
    kept = dict(layer._parameters)
    layer._parameters.clear()
    assert list(kept) == ["weight", "bias"]
    assert list(layer.parameters()) == []


def test_copies_of_decoder_layers_keep_an_activation_that_is_a_module():
    """torch's have ReLU instead, and so have the layers of its TransformerDecoder."""
    ours, theirs = (
        nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 1, 8, activation=nn.Tanh()), 1)
        for nn in (rl.nn, torch.nn)
    )
    assert isinstance(ours.layers[0].activation, rl.nn.Tanh)
    assert theirs.layers[0].activation is torch.nn.functional.relu
