"""Steps that run without a call of Python: kernels only, which give what eager code gives."""

from __future__ import annotations

import warnings

import pytest

import rushlight as torch
import rushlight.nn.functional as F
from rushlight.compiler.steps import Call

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
pytestmark = pytest.mark.usefixtures("own_cache")


def step_of(function):
    """A function's result and its gradients by floating arguments."""

    def step(*tensors):
        inputs = [t.detach().requires_grad_(t.is_floating_point()) for t in tensors]
        out = function(*inputs)
        if out.requires_grad:
            (out * (out.detach() * 0.3 + 1)).sum().backward()
        return out.detach(), *[t.grad for t in inputs if t.requires_grad and t.grad is not None]

    return step


def calls_of(run):
    """The ops that the programs of a compiled function call."""
    assert run._compiled.eager is None, run._compiled.eager
    programs = [v.program for many in run._compiled.variants.values() for v in many]
    return [str(s.nodes[0]) for p in programs for s in p.lowering.steps if isinstance(s, Call)]


def check(function, *tensors, rtol=1e-5, native=True):
    """Compiled equals eager, in every call, and the random state after it; no op is called."""
    step = step_of(function)
    run = torch.compile(step)
    for _ in range(4):
        state = torch.get_rng_state()
        expected, after = step(*tensors), torch.get_rng_state()
        torch.set_rng_state(state)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="compile")
            got = run(*tensors)
        assert torch.equal(torch.get_rng_state(), after)
        for x, y in zip(got, expected, strict=True):
            torch.testing.assert_close(x, y, rtol=rtol, atol=rtol, equal_nan=True)
    assert not native or not calls_of(run), calls_of(run)


HALVES = {
    "sum": lambda x: x.sum(-1),
    "mean": lambda x: x.mean(-1),
    "std": lambda x: x.std(0),
    "logsumexp": lambda x: x.logsumexp(-1),
    "softmax": lambda x: x.softmax(-1),
    "log_softmax": lambda x: x.log_softmax(-1),
    "layer_norm": lambda x: F.layer_norm(x, x.shape[-1:]),
    "rms_norm": lambda x: F.rms_norm(x, x.shape[-1:]),
    "batch_norm": lambda x: F.batch_norm(x, None, None, training=True),
    "cross_entropy": lambda x: F.cross_entropy(x, torch.zeros(len(x), dtype=torch.int64)),
    "mse_loss": lambda x: F.mse_loss(x, x * 0.5),
    "gelu": F.gelu,
    "glu": F.glu,
    "product": lambda x: x @ x.mT,
    "vectors": lambda x: (x @ x[0]) @ x,
    "linear": lambda x: F.linear(x, x * 0.5, x[:, 0]),
    "convolution": lambda x: F.conv1d(x.reshape(1, 2, -1), x[:2, :6].reshape(2, 2, 3)),
    "max_pool": lambda x: F.max_pool1d(x, 2),
    "avg_pool": lambda x: F.avg_pool1d(x, 2),
    "attention": lambda x: F.scaled_dot_product_attention(
        *[x.reshape(1, 2, -1, x.shape[-1]) for _ in range(3)]
    ),
}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", HALVES)
def test_halves_are_computed_in_float32(name, dtype):
    x = torch.randn(6, 12).to(dtype)
    check(HALVES[name], x, rtol=4e-2 if dtype == torch.bfloat16 else 4e-3)


def test_steps_under_autocast():
    w = torch.randn(16, 12)

    def loss(x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            h = F.gelu(F.linear(F.layer_norm(x, (12,)), w))
            return F.cross_entropy(h, torch.zeros(len(x), dtype=torch.int64))

    check(loss, torch.randn(6, 12), rtol=2e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "shapes", [((5,), (5,)), ((5,), (5, 3)), ((5,), (2, 5, 3)), ((2, 4, 5), (5,))]
)
def test_products_of_vectors(shapes, dtype):
    a, b = (torch.randn(s, dtype=dtype) for s in shapes)
    check(torch.matmul, a, b)


# Masks


def written(mask_of, value_of):
    """A function that writes where a mask says."""

    def function(x):
        y = x * 1.5
        y[mask_of(x)] = value_of(x)
        return y

    return function


MASKS = {
    "number": written(lambda x: x > 0, lambda x: 0.5),
    "element": written(lambda x: x > 0, lambda x: x[0, 0]),
    "vector of one": written(lambda x: x > 0, lambda x: x[0, :1]),
    "rows": written(lambda x: x[:, 0] > 0, lambda x: x[1]),
    "rows, kept dim": written(lambda x: x[:, 0] > 0, lambda x: x[1:2]),
    "columns": written(lambda x: (slice(None), x[0] > 0), lambda x: 2.0),
    "part of a column": written(lambda x: (x[:, 0] > 0, 1), lambda x: 2.0),
    "none": written(lambda x: x > 100, lambda x: 0.5),
    "masked_scatter": lambda x: x.masked_scatter(x > 0, x.flip(0) * 2),
    "masked_scatter of rows": lambda x: x.masked_scatter(x[:, :1] > 0, x * 3),
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_that_decide_no_shape(name):
    check(MASKS[name], torch.randn(5, 7))


def test_a_mask_selects_more_than_there_is():
    def function(x, mask):
        return torch.zeros(4).masked_scatter(mask, x)

    run = torch.compile(function)
    for _ in range(4):
        run(torch.ones(2), torch.tensor([True, False, True, False]))
    with pytest.raises(RuntimeError, match="3 elements, but source has only 2"):
        run(torch.ones(2), torch.tensor([True, True, True, False]))


@pytest.mark.parametrize(
    "select", [lambda x: x[x > 0], lambda x: x.masked_select(x > 0), lambda x: x[:, 0][x[:, 0] > 0]]
)
def test_results_of_too_many_sizes_are_not_captured(select):
    run = torch.compile(lambda x: select(x).sum())
    with pytest.warns(UserWarning, match="each value of the number"):
        for count in range(1, 14):
            x = torch.cat([torch.ones(count), torch.zeros(14 - count)])[:, None]
            assert run(x) == select(x).sum()


def test_fixed_masks_are_captured():
    check(lambda x: x[[True, False, True]] * 2, torch.randn(3, 4), native=False)


def test_numbers_written_by_index():
    def function(x):
        y = x * 1
        y[torch.tensor([0, 2])] = 0.25
        y[[1, 1], [0, 2]] = 3
        return y

    check(function, torch.randn(4, 3))


# What is read, written or summed at places that values decide


def bags(mode, **options):
    """A sum, mean or maxima of bags."""

    def function(table, *index):
        return F.embedding_bag(index[0], table, *index[1:], mode=mode, **options)

    return function


def whole(high, *shape):
    return torch.randint(0, high, shape)


PLACES = {
    "embedding_bag": (bags("sum"), (9, 4), whole(9, 5, 3)),
    "embedding_bag, padded": (bags("mean", padding_idx=2), (9, 4), whole(9, 5, 3)),
    "embedding_bag of offsets": (bags("mean"), (9, 4), whole(9, 11), torch.tensor([0, 3, 3, 8])),
    "embedding_bag of all offsets": (
        bags("sum", include_last_offset=True), (9, 4), whole(9, 11), torch.tensor([0, 3, 8, 11])),
    "grid_sample": (lambda x, g: F.grid_sample(x, g, align_corners=False),
                    (2, 3, 5, 6), torch.rand(2, 4, 3, 2) * 2.4 - 1.2),
    "grid_sample, border": (lambda x, g: F.grid_sample(x, g, padding_mode="border",
                            align_corners=True), (2, 3, 5, 6), torch.rand(2, 4, 3, 2) * 3 - 1.5),
    "grid_sample, nearest": (lambda x, g: F.grid_sample(x, g, "nearest", "reflection",
                             align_corners=False), (1, 2, 5, 6), torch.rand(1, 4, 3, 2) * 3 - 1.5),
    "adaptive_max_pool2d": (lambda x: F.adaptive_max_pool2d(x, (3, 2)), (2, 3, 7, 6)),
    "adaptive_max_pool1d": (lambda x: F.adaptive_max_pool1d(x, 3), (2, 3, 6)),
    "adaptive_max_pool2d, indices": (
        lambda x: F.adaptive_max_pool2d(x, 2, return_indices=True)[1] * 1.0, (2, 3, 5, 5)),
    "max_unpool2d": (lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),
                     (2, 3, 6, 6)),
    "max_pool2d, indices": (
        lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True)[1] * 1.0, (2, 3, 7, 6)),
    "fold": (lambda x: F.fold(x, (5, 6), (2, 3), stride=(2, 1), padding=1), (2, 12, 18)),
    "fold, dilated": (lambda x: F.fold(x, (7, 7), 2, dilation=3, padding=2), (1, 8, 64)),
    "unfold": (lambda x: F.unfold(x, (2, 3), stride=2, padding=1), (2, 3, 5, 6)),
    "cdist": (lambda x, y: torch.cdist(x, y), (5, 4), torch.randn(3, 4)),
    "cdist, products": (lambda x, y: torch.cdist(x, y), (2, 30, 4), torch.randn(2, 26, 4)),
    "cdist, absolute": (lambda x, y: torch.cdist(x, y, 1.0), (2, 5, 4), torch.randn(2, 3, 4)),
    "cdist, largest": (lambda x, y: torch.cdist(x, y, float("inf")), (5, 4), torch.randn(3, 4)),
    "diag_embed": (lambda x: torch.diag_embed(x, 1), (3, 4)),
    "diag_embed of dims": (lambda x: torch.diag_embed(x, -1, 0, 2), (3, 4)),
    "searchsorted": (lambda x, e: torch.searchsorted(e, x) * 1.0, (4, 6),
                     torch.tensor([-1.0, 0.0, 0.5, float("nan")])),
    "searchsorted of many": (lambda x, e: torch.searchsorted(e, x, right=True) * 1.0, (4, 6),
                             torch.randn(100).sort()[0]),
    "bucketize": (lambda x, e: torch.bucketize(x, e, right=True) * 1.0, (4, 6),
                  torch.tensor([-1.0, 0.0, 0.5])),
    "isin": (lambda x, i: torch.isin(i, torch.tensor([1, 4]), invert=True) * 1.0, (1,),
             whole(6, 9)),
    "gaussian_nll_loss": (lambda x, v: F.gaussian_nll_loss(x, x.detach() * 0.3, v),
                          (4, 6), torch.rand(4, 6)),
}  # fmt: skip


@pytest.mark.parametrize("name", PLACES)
def test_places(name):
    function, shape, *others = PLACES[name]
    check(function, torch.randn(*shape), *others)


def test_rows_that_are_too_long_are_shortened():
    table = torch.randn(9, 4)
    tables = [table.clone().requires_grad_() for _ in range(2)]

    def step(table):
        def run(i):
            table.grad = None
            out = F.embedding(i, table, max_norm=0.9)
            out.pow(2).sum().backward()
            return out.detach()

        return run

    eager, run = step(tables[0]), torch.compile(step(tables[1]))
    for _ in range(4):
        i = whole(9, 3, 2)
        torch.testing.assert_close(run(i), eager(i))
        torch.testing.assert_close(tables[0].detach(), tables[1].detach())
        torch.testing.assert_close(tables[0].grad, tables[1].grad)
    assert not calls_of(run)


def test_errors_of_values_are_those_of_eager_code():
    x = torch.randn(3)
    run = torch.compile(lambda v: F.gaussian_nll_loss(x, x, v))
    for _ in range(4):
        run(torch.ones(3))
    with pytest.raises(ValueError, match="var has negative"):
        run(-torch.ones(3))
    table, run = torch.randn(4, 2), torch.compile(F.embedding_bag)
    for _ in range(4):
        run(whole(4, 5), table, torch.tensor([0, 2]))
    with pytest.raises(RuntimeError, match=r"offsets\[0\] has to be 0"):
        run(whole(4, 5), table, torch.tensor([1, 2]))


OTHERS = {
    "ctc_loss": (lambda x, *y: F.ctc_loss(x.log_softmax(-1), *y), (12, 3, 5), whole(4, 3, 4) + 1,
                 torch.tensor([12, 10, 9]), torch.tensor([4, 3, 0])),
    "ctc_loss, lengths": (lambda x, y: F.ctc_loss(x.log_softmax(-1), y, (12, 9, 12), (2, 4, 3)),
                          (12, 3, 5), whole(4, 9) + 1),
    "ctc_loss, paths that do not exist": (
        lambda x, y: F.ctc_loss(x.log_softmax(-1), y, (2, 0, 3), (2, 4, 3), blank=4,
                                reduction="none", zero_infinity=True), (12, 3, 5), whole(4, 9)),
    "embedding_bag, max": (bags("max"), (9, 4), whole(9, 5, 3)),
    "embedding_bag, max, padding": (bags("max", padding_idx=1), (9, 4), whole(9, 5, 3)),
    "embedding_bag, max, offsets": (bags("max", padding_idx=1), (9, 4), whole(9, 8),
                                    torch.tensor([0, 3, 3, 7])),
    "rrelu": (lambda x: F.rrelu(x, training=True), (4, 6)),
    "quantile": (lambda x: torch.quantile(x, 0.3, dim=1), (4, 7)),
    "nanquantile": (lambda x: torch.nanquantile(x.masked_fill(x > 0.5, float("nan")), 0.3, dim=1),
                    (4, 7)),
    "logcumsumexp": (lambda x: x.logcumsumexp(1), (4, 7)),
    "cummax": (lambda x: x.cummax(0)[0] + x.cummin(1)[0], (4, 7)),
    "mode": (lambda x: x.mul(2).round().mode(1)[0] + x, (4, 4)),
    "cumprod": (lambda x: x.cumprod(1), (4, 7)),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_loops_whose_steps_depend_on_each_other(name):
    function, shape, *others = OTHERS[name]
    check(function, torch.randn(*shape), *others)


def test_errors_of_labels_are_those_of_eager_code():
    x, lengths = torch.randn(6, 2, 5).log_softmax(-1), torch.tensor([6, 6])
    run = torch.compile(lambda *given: F.ctc_loss(x, *given))
    for _ in range(4):
        run(torch.tensor([[1, 2], [3, 4]]), lengths, torch.tensor([2, 2]))
    with pytest.raises(RuntimeError, match="input_lengths"):
        run(torch.tensor([[1, 2], [3, 4]]), lengths + 1, torch.tensor([2, 2]))
    with pytest.raises(IndexError):
        run(torch.tensor([[1, 2], [3, 5]]), lengths, torch.tensor([2, 2]))
    run(torch.tensor([[1, 2], [3, 5]]), lengths, torch.tensor([2, 1]))  # which nobody reads


@pytest.mark.parametrize("shape", [(64, 4096), (512, 17, 33), (2, 3, 50_000), (300_000,)])
def test_long_sums_are_shared_by_threads(shape):
    x = torch.randn(shape)
    run = torch.compile(lambda x: (x.tanh().sum(), (x * x).mean(), F.mse_loss(x, x * 0.5)))
    found = []
    before = torch.get_num_threads()
    for threads in (1, 1, 1, 3):
        torch.set_num_threads(threads)
        found.append([t.item() for t in run(x)])
    torch.set_num_threads(before)
    assert found[2] == found[3]
    want = x.double().tanh().sum(), (x.double() ** 2).mean(), (x.double() ** 2 / 4).mean()
    assert found[2] == pytest.approx([t.item() for t in want], rel=1e-5, abs=1e-2)
    (variant,) = next(iter(run._compiled.variants.values()))
    shared = [launch.units > 1 for _, launch in variant.program.launches]
    assert any(shared) == (shape[0] < 1000)


@pytest.mark.parametrize("n", [17, 33, 40])
def test_products_that_become_halves_keep_to_their_columns(n):
    x, y = torch.randn(4, 4, 5), torch.randn(4, 5, n)
    check(lambda x, y: x.bfloat16() @ y.bfloat16(), x, y, rtol=2e-2)


def test_halves_that_are_not_zero():
    check(lambda x: x.half().count_nonzero(0) * 1.0 + x.half().any(0), torch.tensor([[0.0, 1.0]]))


@pytest.mark.parametrize("n", [33, 65])
def test_a_single_lane_at_the_end_of_rows_is_stored_alone(n):
    """Nothing is written behind it, where the next row begins."""

    def f(x):
        y = x.cos().bfloat16()
        return y, y.mean(0)

    run = torch.compile(f)
    x = torch.rand(6, n, dtype=torch.float64) + 1
    for _ in range(3):
        torch.testing.assert_close(run(x), f(x))


def test_a_part_of_two_values_lies_beneath_another_in_one_of_them():
    def step(x):
        y = x * 2
        both = torch.cat([x, y, x])
        torch.tensor_split(y, [2])[1].add_(1)
        return both, y[:2].clone()

    run = torch.compile(step, fullgraph=True)
    for k in range(4):
        x = torch.arange(7.0) + k
        for a, b in zip(run(x), step(x), strict=True):
            assert torch.equal(a, b)


def kernels_of(function, *tensors):
    """The code of a program's launches, whose results are those of eager code."""
    run = torch.compile(function)
    for _ in range(3):
        torch.testing.assert_close(run(*tensors), function(*tensors), rtol=1e-4, atol=1e-5)
    ((variant,),) = run._compiled.variants.values()
    return {launch.ir for _, launch in variant.program.launches if launch is not None}


def test_layers_of_other_widths_share_their_kernels():
    def norms(*images):
        return [F.batch_norm(x, None, None, training=True).relu() for x in images]

    images = [torch.randn(2, channels, 8, 8) for channels in (32, 48, 80)]
    assert kernels_of(norms, *images) == kernels_of(norms, images[0])
