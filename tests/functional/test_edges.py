"""Layers at the edges: no samples, no channels, empty results, dtypes that have no kernel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import rushlight

LIBRARIES = pytest.mark.parametrize("lib", [torch, rushlight], ids=["torch", "rushlight"])


def outcome(lib, make):
    """Shapes, values and gradients of what ``make`` gives, or the type of error."""
    try:
        out, leaf = make(lib)
        out.sum().backward()
    except (RuntimeError, ValueError, IndexError) as error:
        return [kind for kind in (NotImplementedError, IndexError) if isinstance(error, kind)]
    return [(tuple(t.shape), t.tolist()) for t in (out, leaf.grad)]


def pooled(layer, size, *arguments, **options):
    def make(lib):
        x = lib.ones(size, requires_grad=True)
        return getattr(lib.nn, layer)(*arguments, **options)(x), x

    return make


POOLS = {
    f"{layer}{rank}d of {lead} to {out}": pooled(
        f"{layer}{rank}d", (*lead, *[4] * rank), *([2] if layer[0] == "F" else []), out
    )
    for layer in ("AdaptiveAvgPool", "AdaptiveMaxPool", "FractionalMaxPool")
    for rank in (1, 2, 3)
    for lead in ((0, 2), (2, 0), (0,), (1, 1))
    for out in (0, 2, 3)
    if (layer[0] != "F" or rank > 1) and (layer[:11], out) != ("AdaptiveAvg", 0)
}


@pytest.mark.parametrize("make", POOLS.values(), ids=POOLS)
def test_pools(make):
    torch.manual_seed(0), rushlight.manual_seed(0)
    assert outcome(rushlight, make) == outcome(torch, make)


@pytest.mark.parametrize("rank", [1, 2, 3])
@LIBRARIES
def test_unpooling_nothing(lib, rank):
    x = lib.ones(0, 2, *[4] * rank)
    found = getattr(lib.nn, f"MaxPool{rank}d")(2, return_indices=True)(x)
    assert getattr(lib.nn, f"MaxUnpool{rank}d")(2)(*found).shape == x.shape


def test_unpooling_keeps_channels_last():
    x = rushlight.rand(2, 4, 6, 6).to(memory_format=rushlight.channels_last)
    found = rushlight.nn.functional.max_pool2d(x, 2, return_indices=True)
    out = rushlight.nn.functional.max_unpool2d(*found, 2)
    assert out.is_contiguous(memory_format=rushlight.channels_last)


@LIBRARIES
def test_an_output_without_a_place_in_memory(lib):
    with pytest.raises(RuntimeError):
        lib.nn.AdaptiveMaxPool1d(1 << 62)(lib.ones(2, 2, 2))


@LIBRARIES
@pytest.mark.parametrize("sizes", [((2, 0, 4), (3, 0, 4)), ((0, 2, 4), (3, 2, 4))])
@pytest.mark.parametrize("weights", [True, False])
def test_attention_of_nothing(lib, sizes, weights):
    q, k = map(lib.rand, sizes)
    out = lib.nn.MultiheadAttention(4, 2)(q, k, k, need_weights=weights)[0]
    assert out.shape == q.shape


RESAMPLED = [
    (mode, rank)
    for rank, modes in ((1, ["linear"]), (2, ["bilinear", "bicubic"]), (3, ["trilinear"]))
    for mode in [*modes, "nearest", "nearest-exact", "area"]
]


@pytest.mark.parametrize(("mode", "rank"), RESAMPLED)
@pytest.mark.parametrize("dtype", ["float64", "uint8", "int32", "int64", "bool"])
def test_dtypes_of_resampling(mode, rank, dtype):
    def resample(lib):
        x = lib.ones(1, 1, *[3] * rank).to(getattr(lib, dtype))
        return lib.nn.functional.interpolate(x, scale_factor=2, mode=mode).tolist()

    try:
        expected = resample(torch)
    except NotImplementedError:
        with pytest.raises(NotImplementedError, match="not implemented for"):
            resample(rushlight)
    else:
        assert resample(rushlight) == expected


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("name", ["avg_pool", "adaptive_avg_pool", "adaptive_max_pool"])
@LIBRARIES
def test_pools_take_floating_points(lib, name, rank):
    pool = getattr(lib.nn.functional, f"{name}{rank}d")
    with pytest.raises(NotImplementedError, match="not implemented for"):
        pool(lib.ones(1, 1, *[4] * rank).int(), 2)


def bags(index, offsets, mode, **options):
    def make(lib):
        table = lib.arange(12.0).reshape(4, 3).requires_grad_()
        where = None if offsets is None else lib.tensor(offsets)
        call = lib.nn.functional.embedding_bag
        return call(lib.tensor(index), table, where, mode=mode, **options), table

    return make


BAGS = [
    (index, offsets, options)
    for index, offsets in (([0, 1, 2], [0, 3, 3]), ([0, 1, 2, 3], [0, 2, 4]), ([0, 1], [0, 2]))
    for options in ({}, {"padding_idx": 1})
]


@pytest.mark.parametrize(("index", "offsets", "options"), BAGS)
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_with_the_last_offset(index, offsets, mode, options):
    make = bags(index, offsets, mode, include_last_offset=True, **options)
    assert outcome(rushlight, make) == outcome(torch, make)


def test_what_follows_the_last_offset_is_in_no_bag():
    for mode in ("sum", "mean", "max"):
        make = bags([0, 1, 2, 3], [0, 2, 3], mode, include_last_offset=True)
        assert outcome(rushlight, make)[0] == outcome(rushlight, bags([0, 1, 2], [0, 2], mode))[0]


@LIBRARIES
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_of_rows_that_are_not_there(lib, mode):
    for index, options in (([0, 7], {}), ([0, -1], {}), ([0, 1], {"padding_idx": 7})):
        with pytest.raises(RuntimeError):
            bags(index, [0], mode, **options)(lib)
    with pytest.raises(IndexError):
        lib.nn.functional.embedding(lib.tensor([7]), lib.ones(4, 2))


@LIBRARIES
def test_factors_of_rows_have_their_dtype(lib):
    with pytest.raises(RuntimeError, match="same type as"):
        bags([0, 1], [0], "sum", per_sample_weights=lib.ones(2, dtype=lib.float64))(lib)


@LIBRARIES
@pytest.mark.parametrize("rows", [0, 3])
def test_sparse_gradient_of_no_columns(lib, rows):
    table = lib.nn.Embedding(rows, 0, sparse=True)
    table(lib.zeros(rows, dtype=lib.int64)).sum().backward()
    assert table.weight.grad.is_sparse and table.weight.grad.shape == (rows, 0)


@LIBRARIES
def test_grids_of_one_place(lib):
    with pytest.warns(UserWarning, match="documentation of affine_grid"):
        lib.nn.functional.affine_grid(lib.ones(1, 2, 3), (1, 1, 1, 2), align_corners=True)


@pytest.mark.parametrize("name", ["Embedding", "EmbeddingBag"])
def test_indices_of_rows_with_a_largest_norm(name):
    def result(lib):
        lib.manual_seed(0)
        table = getattr(lib.nn, name)(4, 3, max_norm=1.0)
        return table(lib.tensor([[0, 1]], dtype=lib.int32)).tolist()

    assert np.allclose(result(rushlight), result(torch))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_averages_of_integers_are_whole(rank):
    found = []
    for lib in (torch, rushlight):
        x = lib.arange(-8, 4**rank * 2 - 8).reshape(1, 2, *[4] * rank)
        found.append(getattr(lib.nn.functional, f"avg_pool{rank}d")(x, 2).tolist())
    assert found[0] == found[1]


NOTHING = [
    ("LayerNorm", (4,), (0, 4)),
    ("RMSNorm", (4,), (0, 4)),
    ("GroupNorm", (2, 4), (0, 4, 3)),
    ("BatchNorm1d", (4,), (0, 4, 3)),
]


@LIBRARIES
@pytest.mark.parametrize(("name", "arguments", "size"), NOTHING)
def test_gradients_of_what_normalises_nothing(lib, name, arguments, size):
    layer = getattr(lib.nn, name)(*arguments)
    layer(lib.ones(size)).sum().backward()
    assert all((p.grad == 0).all() for p in layer.parameters())


@LIBRARIES
def test_gradients_of_empty_bags(lib):
    bag = lib.nn.EmbeddingBag(4, 2, mode="max")
    bag(lib.zeros(0, dtype=lib.int64), lib.zeros(3, dtype=lib.int64)).sum().backward()
    assert (bag.weight.grad == 0).all()


def test_normalize_makes_room_in_what_it_writes_to():
    x, out = rushlight.ones(2, 2), rushlight.empty(0)
    assert rushlight.nn.functional.normalize(x, out=out) is out
    assert rushlight.equal(out, rushlight.nn.functional.normalize(x))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_by_nothing_is_a_copy(mode):
    x = rushlight.ones(1, 2, 3, requires_grad=True)
    out = rushlight.nn.functional.pad(x, (0, 0), mode=mode)
    assert out.data_ptr() != x.data_ptr() and out.requires_grad


def refused(name, dtype):
    """A call of a loss, pool or solver on a dtype that PyTorch does not take."""
    shape, *rest = {"max_pool1d": ((1, 4, 4), 2), "max_pool2d": ((1, 4, 4), 2)}.get(name, ((2, 2),))

    def call(lib):
        x = lib.ones(shape, dtype=getattr(lib, dtype))
        if name == "ctc_loss":
            one = lib.tensor([[1], [1]])
            return lib.nn.functional.ctc_loss(x[:, None].expand(2, 2, 2), one, [2, 2], [1, 1])
        if name == "nll_loss":
            return lib.nn.functional.nll_loss(x, lib.tensor([0, 1]))
        if name in ("lstsq", "histogram"):
            function = lib.linalg.lstsq if name == "lstsq" else lib.histogram
            return function(x, x if name == "lstsq" else 3)
        function = getattr(lib.nn.functional, name)
        return function(x, *(rest or (x,) * (name != "pdist")))

    return call


REFUSED = {
    "bool": (
        "mse_loss l1_loss smooth_l1_loss huber_loss soft_margin_loss binary_cross_entropy "
        "binary_cross_entropy_with_logits kl_div nll_loss ctc_loss max_pool1d max_pool2d pdist "
        "lstsq"
    ),
    "int64": "kl_div ctc_loss lstsq",
    "bfloat16": "lstsq",
    "complex64": "binary_cross_entropy kl_div ctc_loss max_pool1d max_pool2d histogram",
}


@LIBRARIES
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@pytest.mark.parametrize(
    "dtype, name", [(dtype, name) for dtype, names in REFUSED.items() for name in names.split()]
)
def test_a_dtype_without_a_kernel_is_a_runtime_error(lib, dtype, name):
    with pytest.raises(RuntimeError) as refusal:
        refused(name, dtype)(lib)
    if lib is rushlight:
        assert dtype in str(refusal.value)


IMAGE, ROWS, CLASSES = (1, 2, 4, 4), (3, 4), (3,)
FUNCTIONS = {
    "conv2d": (IMAGE, (1, 2, 2, 2)), "conv_transpose1d": ((1, 2, 4), (2, 1, 2)),
    "linear": (ROWS, (2, 4), (2,)), "bilinear": (ROWS, ROWS, (2, 4, 4)), "prelu": (ROWS, (1,)),
    "batch_norm": (ROWS, (4,), (4,)), "group_norm": (IMAGE, 2), "layer_norm": (ROWS, (4,)),
    "max_pool2d": (IMAGE, 2), "avg_pool2d": (IMAGE, 2), "fractional_max_pool2d": (IMAGE, 2, 1),
    "mse_loss": (ROWS, ROWS), "l1_loss": (ROWS, ROWS), "smooth_l1_loss": (ROWS, ROWS),
    "binary_cross_entropy": (ROWS, ROWS), "cross_entropy": (ROWS, ROWS),
    "poisson_nll_loss": (ROWS, ROWS), "hinge_embedding_loss": (ROWS, ROWS),
    "triplet_margin_loss": (ROWS, ROWS, ROWS), "cosine_embedding_loss": (ROWS, ROWS, CLASSES),
    "cosine_similarity": (ROWS, ROWS), "pairwise_distance": (ROWS, ROWS), "pdist": (ROWS,),
    "unfold": (IMAGE, 2), "pixel_shuffle": (IMAGE, 1),
    "pixel_unshuffle": (IMAGE, 2), "scaled_dot_product_attention": (ROWS, ROWS, ROWS),
    "relu": (ROWS,), "gelu": (ROWS,), "elu": (ROWS,), "hardtanh": (ROWS,), "rrelu": (ROWS,),
    "softplus": (ROWS,), "logsigmoid": (ROWS,), "one_hot": (CLASSES,),
    "multilabel_margin_loss": (ROWS, ROWS),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_no_tensor(name):
    """An array or a list in the place of each tensor is a TypeError, which says so."""
    given = FUNCTIONS[name]
    shape = 1 if name == "layer_norm" else None  # the argument that is a shape
    tensors = [
        a if a.__class__ is int or i == shape else rushlight.ones(a) for i, a in enumerate(given)
    ]
    for i, t in enumerate(tensors):
        for other in (np.ones(3), [1.0, 2.0]) if isinstance(t, rushlight.Tensor) else ():
            arguments = [*tensors[:i], other, *tensors[i + 1 :]]
            with pytest.raises(TypeError, match=r"expected a Tensor, but got (ndarray|list)"):
                getattr(rushlight.nn.functional, name)(*arguments)


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("output_size", [1, (1, 1), (1, 1, 1), 2, (1, None)], ids=str)
@pytest.mark.parametrize("dims", [1, 2, 3, 4, 5, 6])
def test_means_of_whole_images_take_any_dims_before_them(rank, output_size, dims):
    shape = (1, 2, 2, 3, 4, 5)[-dims:]

    def mean(lib):
        x = lib.arange(float(np.prod(shape))).view(shape).requires_grad_()
        try:
            out = getattr(lib.nn.functional, f"adaptive_avg_pool{rank}d")(x, output_size)
        except (RuntimeError, IndexError, ValueError):
            return None
        out.sum().backward()
        return out.detach().numpy(), x.grad.numpy()

    want, got = mean(torch), mean(rushlight)
    assert (want is None) == (got is None)
    for a, b in zip(want or (), got or (), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("lib", [torch, rushlight])
def test_means_of_whole_images_without_channels(lib):
    assert lib.nn.functional.adaptive_avg_pool2d(lib.zeros(2, 0, 3, 3), 1).shape == (2, 0, 1, 1)
