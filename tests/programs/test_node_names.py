"""The names of graph nodes as tensors print them."""

import pytest
import torch

import rushlight as rl


def unpacked(t, x, batch_first):
    """A batch of sequences in no order of lengths that was packed and is padded again."""
    rnn = t.nn.utils.rnn
    packed = rnn.pack_padded_sequence(x[..., None], [2, 3, 1], enforce_sorted=False)
    return rnn.pad_packed_sequence(packed, batch_first)[0]


EXPRESSIONS = {
    "1 - x": lambda t, x: 1 - x,
    "tensor - x": lambda t, x: t.ones(3, 3) - x,
    "2 / x": lambda t, x: 2 / x,
    "2 ** x": lambda t, x: 2**x,
    "vectors": lambda t, x: x[0] @ x[1],
    "matrix by vector": lambda t, x: x @ x[0],
    "matrices": lambda t, x: x @ x,
    "batch by matrix": lambda t, x: t.ones(2, 3, 3) @ x,
    "batches": lambda t, x: t.ones(2, 3, 3) @ x.expand(2, 3, 3),
    "bmm": lambda t, x: t.ones(2, 3, 3).bmm(x.expand(2, 3, 3)),
    "slogdet": lambda t, x: t.linalg.slogdet(x)[1],
    "rfft": lambda t, x: t.fft.rfft(x),
    "linear": lambda t, x: t.nn.functional.linear(t.ones(2, 3), x, t.ones(3, requires_grad=True)),
    "squeeze": lambda t, x: x[:1].squeeze(),
    "squeeze one": lambda t, x: x[:1].squeeze(0),
    "squeeze a long dim": lambda t, x: x.squeeze(-1),
    "squeeze some": lambda t, x: x[:1].squeeze((0, 1)),
    "log_prob of a class": lambda t, x: t.distributions.Categorical(x[0].exp()).log_prob(
        t.tensor(1)
    ),
    "log_prob of a coin": lambda t, x: t.distributions.Bernoulli(logits=x).log_prob(t.eye(3)),
    "entropy of a coin": lambda t, x: t.distributions.Bernoulli(logits=x).entropy(),
    "log_prob of log-normal": lambda t, x: t.distributions.LogNormal(x, 1.0).log_prob(t.ones(3)),
    "rsample of Laplace": lambda t, x: t.distributions.Laplace(x, 1.0).rsample(),
    "clamp": lambda t, x: x.clamp(0, 1),
    "clamp from below": lambda t, x: x.clamp(min=0),
    "log1p": lambda t, x: x.log1p(),
    **{
        f"{kind}_pool{n}d": lambda t, x, kind=kind, n=n: getattr(
            t.nn.functional, f"{kind}_pool{n}d"
        )(x[0].view(1, 1, *[1] * (n - 1), 3).expand(1, 1, *[3] * n), 2)
        for kind in ("max", "avg")
        for n in (1, 2, 3)
    },
    **{
        f"nearest, {n} dims": lambda t, x, n=n: t.nn.functional.interpolate(
            x[0].view(1, 1, *[1] * (n - 1), 3), scale_factor=2
        )
        for n in (1, 2, 3)
    },
    "linear of a row": lambda t, x: t.nn.functional.linear(
        t.ones(3), x, t.ones(3, requires_grad=True)
    ),
    "linear of a batch": lambda t, x: t.nn.functional.linear(
        t.ones(2, 2, 3), x, t.ones(3, requires_grad=True)
    ),
    **{
        f"{loss} {reduction}": lambda t, x, loss=loss, reduction=reduction: getattr(
            t.nn.functional, loss
        )(x, t.ones(3, 3), reduction=reduction)
        for loss in ("l1_loss", "kl_div", "mse_loss")
        for reduction in ("mean", "sum", "none")
    },
    **{
        f"nll_loss of {shape} {how}": lambda t, x, shape=shape, how=how: t.nn.functional.nll_loss(
            x[0].view(1, 3, *[1] * len(shape)).expand(2, 3, *shape),
            t.zeros(2, *shape, dtype=t.int64),
            reduction=how,
        )
        for shape in ((), (2,), (2, 2), (2, 2, 2))
        for how in ("mean", "none")
    },
    "cross_entropy of images": lambda t, x: t.nn.functional.cross_entropy(
        x.view(1, 3, 3, 1), t.zeros(1, 3, 1, dtype=t.int64)
    ),
    "unpacked batch first": lambda t, x: unpacked(t, x, batch_first=True),
    "unpacked steps first": lambda t, x: unpacked(t, x, batch_first=False),
    "matrix_exp": lambda t, x: t.matrix_exp(x),
    "linear without bias": lambda t, x: t.nn.functional.linear(t.ones(2, 2, 3), x),
}


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_grad_fn_is_named_as_in_torch(name):
    names = [
        EXPRESSIONS[name](t, t.full((3, 3), 2.0, requires_grad=True)).grad_fn.name()
        for t in (rl, torch)
    ]
    assert names[0] == names[1]
