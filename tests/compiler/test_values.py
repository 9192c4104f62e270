"""What looks at values while a function is captured: it runs eagerly, unless shapes stay."""

from __future__ import annotations

import warnings

import pytest

import rushlight as torch
import rushlight.nn.functional as F
from rushlight.errors import GraphError

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
pytestmark = pytest.mark.usefixtures("own_cache")


def counts(x):
    return (x[:, 0] > 0).long() + 1


LOOKS = {
    "repr": lambda x, i: repr(x),
    "storage": lambda x, i: x.untyped_storage().tolist(),
    "tensor of tensors": lambda x, i: torch.tensor([x[0, 0], x[1, 1]]),
    "unique": lambda x, i: torch.unique(x > 0),
    "histc": lambda x, i: torch.histc(x, 4),
}

CONDITIONS = {
    "repeat_interleave": lambda x, i: x.repeat_interleave(counts(x), 0),
    "repeat_interleave of counts": lambda x, i: torch.repeat_interleave(counts(x)),
    "nonzero": lambda x, i: torch.nonzero(x > 0),
    "mask": lambda x, i: x[x > 0],
    "bincount": lambda x, i: torch.bincount(i),
    "one_hot": lambda x, i: F.one_hot(i),
    "slice": lambda x, i: x[: i[0] + 1],
    "row": lambda x, i: x[i[0]] * 2,
    "equal": lambda x, i: torch.equal(x, x.abs()),
    "allclose": lambda x, i: torch.allclose(x, x.abs()),
}


def same(a, b):
    """Whether two results are equal."""
    if isinstance(a, torch.Tensor):
        return a.shape == b.shape and torch.equal(a, b)
    return a == b


@pytest.mark.parametrize("name", LOOKS)
def test_what_looks_at_values_runs_eagerly(name):
    """The first calls' answers are not given again, and the reason says what it was."""
    run = torch.compile(LOOKS[name])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(3):
            run(torch.ones(4, 5), torch.tensor([2, 1]))
        x, i = torch.randn(4, 5), torch.tensor([0, 3])
        assert same(run(x, i), LOOKS[name](x, i))
    assert "needs a value while tracing" in run._compiled.eager


@pytest.mark.parametrize("name", CONDITIONS)
def test_values_that_decide_shapes_and_answers_are_conditions(name):
    """The first calls' answers are not given again."""
    run = torch.compile(CONDITIONS[name])
    for _ in range(3):
        run(torch.ones(4, 5), torch.tensor([2, 1]))
    for _ in range(3):
        x, i = torch.randn(4, 5), torch.tensor([0, 3])
        assert same(run(x, i), CONDITIONS[name](x, i))
    assert run._compiled.eager is None


def test_what_is_printed_is_not_captured():
    run = torch.compile(lambda x: str(x), fullgraph=True)
    run(torch.ones(2))
    with pytest.raises(GraphError, match="printing a tensor"):
        run(torch.ones(2))


STAYS = {
    "isclose": lambda x, i: torch.isclose(x, x + 1e-9 * x.abs()),
    "histc": lambda x, i: torch.histc(x, 4, -1, 1),
    "bincount": lambda x, i: torch.bincount(i, minlength=5),
    "bincount with weights": lambda x, i: torch.bincount(i, x[0, :2], minlength=5),
    "quantile": lambda x, i: torch.quantile(x, x[0].sigmoid(), 1),
    "nanquantile": lambda x, i: torch.nanquantile(x, x[0, 0].sigmoid()),
    "repeat_interleave": lambda x, i: x[:2].repeat_interleave(4 - i, 0, output_size=5),
    "tensor of a tensor": lambda x, i: x.detach().clone() + i[0],
    "combinations": lambda x, i: torch.combinations(x[0], 2),
    "gradient": lambda x, i: torch.gradient(x, spacing=0.5)[0],
}


@pytest.mark.parametrize("name", STAYS)
def test_what_has_one_shape_is_captured(name):
    function = STAYS[name]

    def step(x, i):
        x = x.detach().requires_grad_()
        out = function(x, i)
        if out.requires_grad:
            (out * out).sum().backward()
        return out.detach(), x.grad

    run = torch.compile(step, fullgraph=True)
    for i in ([0, 3], [0, 3], [3, 0], [1, 2]):
        x, i = torch.randn(4, 5), torch.tensor(i)
        for a, b in zip(run(x, i), step(x, i), strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                torch.testing.assert_close(a, b)
    assert len(run._compiled.variants) == 1


def test_more_bins_than_expected():
    """Then the call is done by eager code."""
    run = torch.compile(lambda i: torch.bincount(i, minlength=3))
    for values in ([0, 2], [0, 2], [1, 1], [0, 5]):
        i = torch.tensor(values)
        assert torch.equal(run(i), torch.bincount(i, minlength=3))


def test_quantiles_outside_of_the_range():
    run = torch.compile(lambda x, q: torch.quantile(x, q))
    for _ in range(3):
        run(torch.rand(7), torch.tensor(0.5))
    for q in (-0.1, 1.1):
        with pytest.raises(RuntimeError, match=r"range \[0, 1\]"):
            run(torch.rand(7), torch.tensor(q))


@pytest.mark.parametrize("rank", [2, 3])
def test_fractional_pooling_draws_what_eager_code_draws(rank):
    pool = F.fractional_max_pool2d if rank == 2 else F.fractional_max_pool3d
    run = torch.compile(lambda x: pool(x, 2, output_ratio=0.6), fullgraph=True)
    x = torch.randn(2, 3, *[8, 7, 6][:rank])
    for seed in range(4):
        torch.manual_seed(seed)
        expected = pool(x, 2, output_ratio=0.6), torch.get_rng_state()
        torch.manual_seed(seed)
        assert torch.equal(run(x), expected[0])
        assert torch.equal(torch.get_rng_state(), expected[1])


def test_roundings_to_float32_and_then_to_float16_stay_two():
    """LLVM would join them, wrongly, in a function that there is not."""

    def step(x):
        return (x * x).neg().half().var(0).double(), x.half()

    edge = 1 + 2**-11 + 2.0**-30  # up to float16 at once, but down by way of float32
    x = torch.tensor([[edge, 0.5, 2.0]] * 4 + [[1.0, -3.0, edge]], dtype=torch.float64)
    run = torch.compile(step)
    assert x.half()[0].tolist() == [1.0, 0.5, 2.0]
    for _ in range(3):
        for a, b in zip(run(x), step(x), strict=True):
            assert torch.equal(a, b)
