"""Losses: every reduction and option, to second order."""

import warnings

import numpy as np
import pytest
import torch

import rushlight

REDUCTIONS = ("mean", "sum", "none")


def scores(*shape):
    return np.random.default_rng(0).standard_normal(shape)


def classes(n, *shape):
    return np.random.default_rng(1).integers(0, n, shape)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("ignore", [-100, 1, 4])
@pytest.mark.parametrize("shape", [(5,), (6, 5), (3, 5, 4), (2, 5, 3, 2)])
def test_cross_entropy(same, reduction, weighted, smoothing, ignore, shape):
    x, y = scores(*shape), classes(5, *shape[:1], *shape[2:]) if len(shape) > 1 else np.array(2)
    weight = np.random.default_rng(2).uniform(0.5, 2, 5) if weighted else None

    def function(F, lib, x, y):
        w = None if weight is None else lib.from_numpy(weight)
        return F.cross_entropy(
            x, y, w, ignore_index=ignore, reduction=reduction, label_smoothing=smoothing
        )

    same(function, x, y)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", [(6, 5), (3, 5, 4)])
def test_cross_entropy_with_probabilities(same, reduction, smoothing, shape):
    x, y = scores(*shape), np.abs(scores(*shape))
    y /= y.sum(1, keepdims=True)
    w = np.random.default_rng(2).uniform(0.5, 2, 5)

    def function(F, lib, x, y):
        return F.cross_entropy(
            x, y, lib.from_numpy(w), reduction=reduction, label_smoothing=smoothing
        )

    same(function, x, y)


def test_cross_entropy_of_large_scores(same):
    x = np.array([[1e4, -1e4, 0.0], [300.0, 301.0, -np.inf]])
    same(lambda F, lib, x, y: F.cross_entropy(x, y), x, np.array([0, 0]), orders=1)


def test_writing_to_the_scores_after_the_loss(same):
    def function(F, lib, x, y):
        z = x * 2
        loss = F.cross_entropy(z, y)
        z.detach().zero_()
        return loss

    same(function, scores(4, 3), classes(3, 4), orders=1)


def test_targets_out_of_range(raises_alike):
    for bad in (5, -1):
        raises_alike(lambda F, lib, x, y: F.cross_entropy(x, y), scores(2, 5), np.array([0, bad]))
    raises_alike(lambda F, lib, x, y: F.cross_entropy(x, y), scores(2, 5), classes(5, 3))
    raises_alike(lambda F, lib, x, y: F.cross_entropy(x, y.float()), scores(2, 5), classes(5, 2))
    raises_alike(
        lambda F, lib, x, y: F.nll_loss(x, y, reduction="all"), scores(2, 5), classes(5, 2)
    )


PAIRS = {
    "mse_loss": {},
    "l1_loss": {},
    "smooth_l1_loss": {"beta": 0.5},
    "huber_loss": {"delta": 0.7},
    "soft_margin_loss": {},
    "hinge_embedding_loss": {"margin": 0.6},
    "poisson_nll_loss": {"full": True},
    "multilabel_soft_margin_loss": {},
    "binary_cross_entropy_with_logits": {},
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", PAIRS)
def test_of_pairs(same, name, reduction):
    y = np.sign(scores(4, 3)) if "margin" in name or "hinge" in name else np.abs(scores(3, 4)).T
    same(
        lambda F, lib, x, y: getattr(F, name)(x, y.detach(), reduction=reduction, **PAIRS[name]),
        np.random.default_rng(3).standard_normal((4, 3)),
        y,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
def test_weighted(same, name, reduction):
    weight = np.random.default_rng(4).uniform(0.1, 2, (4, 3))

    def function(F, lib, x, y):
        return getattr(F, name)(x, y, reduction=reduction, weight=lib.from_numpy(weight))

    same(function, scores(4, 3), np.random.default_rng(5).standard_normal((4, 3)))


def test_bce(same):
    r = np.random.default_rng(0)
    x, y, w = r.uniform(0.05, 0.95, (4, 3)), r.uniform(0, 1, (4, 3)), r.uniform(0.5, 2, 3)
    same(lambda F, lib, x, y, w: F.binary_cross_entropy(x, y, w.detach()), x, y, w)
    same(
        lambda F, lib, x, y, w: F.binary_cross_entropy_with_logits(x, y, pos_weight=w.detach()),
        scores(4, 3),
        y,
        w,
    )


def test_bce_at_the_ends(same):
    x, y = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 0.0, 1.0, 1.0])
    same(lambda F, lib, x, y: F.binary_cross_entropy(x, y.detach()), x, y, orders=1)


@pytest.mark.parametrize(("input", "target"), [((3,), (2, 3)), ((3, 1), (2, 3, 4)), ((2, 3), (3,))])
def test_kl_div_counts_the_batch_of_scores_that_are_broadcast(same, input, target):
    y = np.random.default_rng(0).uniform(0.1, 1, target)
    same(lambda F, lib, x, y: F.kl_div(x, y, reduction="batchmean"), scores(*input), y)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "batchmean"])
@pytest.mark.parametrize("log_target", [False, True])
@pytest.mark.filterwarnings("ignore:.*batchmean")
def test_kl_div(same, reduction, log_target):
    y = np.random.default_rng(0).uniform(0.1, 1, (4, 3))
    same(
        lambda F, lib, x, y: F.kl_div(x, y, reduction=reduction, log_target=log_target),
        scores(4, 3),
        y,
    )


def test_margins(same):
    r = np.random.default_rng(0)
    a, b, c = r.standard_normal((3, 6, 4))
    y = np.sign(r.standard_normal(6))
    same(lambda F, lib, a, b, c: F.triplet_margin_loss(a, b, c, swap=True), a, b, c)
    same(lambda F, lib, a, b, y: F.cosine_embedding_loss(a, b, y.detach(), 0.1), a, b, y)
    same(lambda F, lib, a, b, y: F.margin_ranking_loss(a[:, 0], b[:, 0], y.detach(), 0.3), a, b, y)
    for p in (1, 2):
        same(lambda F, lib, a, t, p=p: F.multi_margin_loss(a, t, p), a, classes(4, 6), orders=1)
    t = np.array([[1, 2, -1, 0], [3, -1, 1, 1], [0, 1, 2, 3], [2, 0, -1, -1], [1, 3, 0, -1]])
    same(lambda F, lib, a, t: F.multilabel_margin_loss(a[:5], t), a, t, orders=1)


def test_gaussian_nll(same):
    r = np.random.default_rng(0)
    x, y, v = r.standard_normal((5, 3)), r.standard_normal((5, 3)), r.uniform(0.1, 2, (5, 1))
    same(lambda F, lib, x, y, v: F.gaussian_nll_loss(x, y, v, full=True), x, y, v)


@pytest.mark.parametrize("seed", range(8))
def test_ctc(same, seed):
    r = np.random.default_rng(seed)
    steps, n, c, longest = 12, 4, 5, 4
    x, y = r.standard_normal((steps, n, c)), r.integers(1, c, (n, longest))
    lengths, targets = r.integers(9, steps + 1, n), r.integers(0, longest + 1, n)
    reduction = REDUCTIONS[seed % 3]

    def function(F, lib, x, y):
        return F.ctc_loss(
            F.log_softmax(x, -1),
            y,
            lib.from_numpy(lengths),
            lib.from_numpy(targets),
            reduction=reduction,
        )

    same(function, x, y, orders=1)


@pytest.mark.parametrize("seed", range(4))
def test_ctc_of_many_samples(same, seed):
    """By a loop: labels in rows or joined, inputs of any length, paths that do not exist."""
    r = np.random.default_rng(seed)
    steps, n, c, longest = 40, 9, 30, 12
    x, blank = r.standard_normal((steps, n, c)), (c - 1) * (seed % 2)
    y = np.setdiff1d(np.arange(c), blank)[r.integers(0, 5, (n, longest))]
    lengths, targets = r.integers(0, steps + 1, n), r.integers(0, longest + 1, n)
    lengths[:2] = 0
    if seed < 2:
        y = np.concatenate([row[:k] for row, k in zip(y, targets, strict=True)])

    def function(F, lib, x, y):
        options = {"blank": blank, "reduction": "none", "zero_infinity": True}
        given = lib.from_numpy(lengths), lib.from_numpy(targets)
        return F.ctc_loss(F.log_softmax(x, -1), y, *given, **options)

    same(function, x, y, orders=1)


def test_ctc_of_targets_that_do_not_fit(same):
    x, y = scores(2, 2, 4), np.array([[1, 1, 2], [1, 2, 3]])

    def function(F, lib, x, y):
        return F.ctc_loss(x.log_softmax(-1), y, (2, 2), (3, 1), zero_infinity=True)

    same(function, x, y, orders=1)


def test_old_flags_warn():
    for lib in (torch, rushlight):
        with pytest.warns(UserWarning, match="reduction='sum'"):
            lib.nn.functional.mse_loss(lib.ones(2), lib.zeros(2), size_average=False)


def test_broadcasting_warns():
    for lib in (torch, rushlight):
        with pytest.warns(UserWarning, match="broadcasting"):
            lib.nn.functional.mse_loss(lib.ones(2, 1), lib.zeros(2))


@pytest.mark.parametrize("target", [2, 3])
@pytest.mark.parametrize("shape", [(5,), (2, 5), (2, 5, 2)])
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_means_over_a_total_weight_of_zero(name, shape, target):
    """Targets that are ignored get no gradient; those of weight zero get NaN, as in torch."""

    def gradient(lib, compiled):
        x = lib.zeros(*shape, requires_grad=True)
        t = lib.full((*shape[:1], *shape[2:]) if len(shape) > 1 else (), target)
        weight = lib.tensor([1.0, 1.0, 1.0, 0.0, 1.0])

        def step():
            x.grad = None
            loss = getattr(lib.nn.functional, name)(x, t, weight, ignore_index=2)
            loss.backward()
            return loss

        step = lib.compile(step) if compiled else step
        for _ in range(3):
            loss = step()
        return loss.item(), x.grad.numpy()

    want = gradient(torch, False)
    for compiled in (False, True):
        loss, got = gradient(rushlight, compiled)
        np.testing.assert_equal(loss, want[0])
        np.testing.assert_array_equal(got, want[1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_certain_predictions_lose_zero(dtype):
    """Not almost zero, nor a zero that prints as ``-0.``."""
    d = getattr(rushlight, dtype)
    one = rushlight.tensor([[-0.44], [1.7], [2.3]], dtype=d)
    assert one.log_softmax(1).tolist() == [[0.0]] * 3
    sure = rushlight.tensor([[60.0, -30.0], [80.0, 0.0]], dtype=d)
    target = rushlight.tensor([0, 0])
    for reduction in ("mean", "sum"):
        loss = rushlight.nn.functional.cross_entropy(sure, target, reduction=reduction)
        assert repr(loss.item()) == "0.0"


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize(
    "scores, targets", [((4, 3), (5,)), ((4, 3), (5, 3)), ((4, 3), (4,)), ((3,), (2,))]
)
def test_sizes_of_targets_come_before_their_dtype(name, scores, targets):
    """Floats are no classes, but first there has to be one target for each row of a batch."""
    kinds = []
    for lib in (rushlight, torch):
        with pytest.raises((ValueError, RuntimeError)) as caught:
            getattr(lib.nn.functional, name)(lib.ones(*scores), lib.ones(*targets))
        kinds.append(isinstance(caught.value, ValueError))
    assert kinds[0] == kinds[1] == (scores[0] == 4 != targets[0])


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_a_label_alone_is_no_batch(name):
    for lib in (rushlight, torch):
        with pytest.raises(ValueError, match=r"batch_size \(4\) .* batch_size \(0\)"):
            getattr(lib.nn.functional, name)(lib.ones(4, 3), lib.tensor(1))


def test_probabilities_that_are_no_floats_are_told_so():
    x, chosen = rushlight.zeros(2, 3), rushlight.tensor([[1, 0, 0], [0, 1, 0]])
    with pytest.raises(RuntimeError, match=r"have \(2, 3\)\. Probabilities of classes are floats"):
        rushlight.nn.functional.cross_entropy(x, chosen)
    assert rushlight.nn.functional.cross_entropy(x, chosen.float()).item() > 1


@pytest.mark.parametrize("name", ["mse_loss", "cosine_similarity"])
def test_shapes_that_do_not_broadcast_are_told_apart(name):
    for lib in (rushlight, torch):
        size = r"size of tensor a \(3\) must match the size of tensor b \(4\) at non-singleton "
        with warnings.catch_warnings(), pytest.raises(RuntimeError, match=size + "dimension 1"):
            warnings.simplefilter("ignore")  # of sizes that differ
            getattr(lib.nn.functional, name)(lib.ones(2, 3), lib.ones(2, 4))
