"""Under autocast every operation has the dtype that torch's lists give it."""

import numpy as np
import pytest
import torch

import rushlight as rl

RS = np.random.RandomState(0)
VECTOR, SQUARE = RS.rand(4).astype("f"), (RS.rand(4, 4) + 4 * np.eye(4)).astype("f")
BATCH, IMAGE = RS.rand(2, 4, 4).astype("f"), RS.rand(1, 2, 6, 6).astype("f")
VOLUME = RS.rand(1, 2, 4, 4, 4).astype("f")

CALLS = {  # of a vector v, a square matrix m, a batch b of them, an image i and classes o
    "matmul": "m @ m",
    "vectors": "v @ v",
    "linear": "F.linear(m, m, v)",
    "conv2d": "F.conv2d(i, i)",
    "conv_transpose2d": "F.conv_transpose2d(i, i[:, :1].expand(2, 1, 6, 6))",
    "mm": "t.mm(m, m)",
    "bmm": "t.bmm(b, b)",
    "einsum": 't.einsum("bij,bjk->bik", b, b)',
    "addmm": "t.addmm(m, m, m)",
    "addmm method": "m.addmm(m, m, beta=0.5)",
    "addbmm": "t.addbmm(m, b, b)",
    "baddbmm": "t.baddbmm(b, b, b)",
    "dot": "t.dot(v, v)",
    "vdot": "t.vdot(v, v)",
    "mv": "t.mv(m, v)",
    "addmv": "t.addmv(v, m, v)",
    "vecdot": "t.linalg.vecdot(m, m)",
    "prelu": "F.prelu(m, v)",
    "attention": "F.scaled_dot_product_attention(b, b, b)",
    "softmax": "m.softmax(0)",
    "layer_norm": "F.layer_norm(m, (4,))",
    "sum": "m.sum()",
    "relu": "m.relu()",
    "exp": "m.exp()",
    "prod": "m.prod()",
    "trace": "m.trace()",
    "norm": "m.norm()",
    "cumsum": "m.cumsum(0)",
    "mse_loss": "F.mse_loss(m, m)",
    "l1_loss": "F.l1_loss(m, m)",
    "cross_entropy": "F.cross_entropy(m, o)",
    "smoothed": "F.cross_entropy(m, o, label_smoothing=0.1)",
    "soft targets": "F.cross_entropy(m, m.softmax(1))",
    "nll_loss": "F.nll_loss(m, o)",
    "logits": "F.binary_cross_entropy_with_logits(m, m)",
    "hinge": "F.hinge_embedding_loss(m, m)",
    "ranking": "F.margin_ranking_loss(v, v, v)",
    "triplet": "F.triplet_margin_loss(m, m, m)",
    "cosine": "F.cosine_embedding_loss(m, m, v)",
    "poisson": "F.poisson_nll_loss(m, m)",
    "huber": "F.huber_loss(m, m)",
    "soft margin": "F.soft_margin_loss(m, m)",
    "multi margin": "F.multi_margin_loss(m, o)",
    "multilabel margin": "F.multilabel_margin_loss(m, o.expand(4, 4))",
    "quantile": "t.quantile(m, 0.5)",
    "nanquantile": "t.nanquantile(m, 0.5)",
    "rfft": "t.fft.rfft(m)",
    "fft2": "t.fft.fft2(m)",
    "irfft": "t.fft.irfft(m)",
    "prelu of a slope": "F.prelu(m, v.float())",
    "LSTM": "t.nn.LSTM(4, 3)(b)[0]",
    "RNN": "t.nn.RNN(4, 3)(b)[0]",
    "GRU": "t.nn.GRU(4, 3)(b)[0]",
    "GRU with a state": "t.nn.GRU(4, 3)(b, t.zeros(1, 4, 3))[0]",
    "LSTMCell": "t.nn.LSTMCell(4, 3)(m)[1]",
    "GRUCell": "t.nn.GRUCell(4, 3)(m)",
    "RNNCell": "t.nn.RNNCell(4, 3)(m)",
    "grid_sample": "F.grid_sample(i, i.permute(0, 2, 3, 1), align_corners=False)",
    "avg_pool2d": "F.avg_pool2d(i, 2)",
    "max_pool2d": "F.max_pool2d(i, 2)",
    "reflect": 'F.pad(i, (1, 1, 1, 1), mode="reflect")',
    "replicate": 'F.pad(i, (1, 1, 1, 1), mode="replicate")',
    "circular": 'F.pad(i, (1, 1, 1, 1), mode="circular")',
    "constant": "F.pad(i, (1, 1))",
    "inv": "t.linalg.inv(m)",
    "svdvals": "t.linalg.svdvals(m)",
    "lstsq": "t.linalg.lstsq(m, m).solution",
    "cat": "t.cat([m, m.double()])",
    "stack": "t.stack([m, m])",
}  # fmt: skip

POOLS = {
    "avg_pool3d": lambda t, x: t.nn.functional.avg_pool3d(x, 2),
    "max_pool3d": lambda t, x: t.nn.functional.max_pool3d(x, 2),
    "adaptive_avg_pool3d": lambda t, x: t.nn.functional.adaptive_avg_pool3d(x, 2),
    "adaptive_max_pool3d": lambda t, x: t.nn.functional.adaptive_max_pool3d(x, 2),
    "fractional_max_pool3d": lambda t, x: t.nn.functional.fractional_max_pool3d(x, 2, 2),
}


def dtype_of(t, call, arrays, dtype):
    inputs = [t.from_numpy(a).to(getattr(t, dtype)) for a in arrays]
    with t.autocast("cpu", dtype=t.bfloat16):
        return str(call(t, *inputs).dtype).rpartition(".")[2]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("name", CALLS)
def test_dtypes(name, dtype):
    def call(t, *inputs):
        values = dict(zip("vmbi", inputs, strict=True), t=t, F=t.nn.functional)
        return eval(CALLS[name], values, {"o": t.tensor([0, 1, 2, 3])})

    arrays = VECTOR, SQUARE, BATCH, IMAGE
    try:
        expected = dtype_of(torch, call, arrays, dtype)
    except RuntimeError:  # no kernel for that mixture
        assert dtype != "float32"
        return
    assert dtype_of(rl, call, arrays, dtype) == expected


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", POOLS)
def test_pools_of_volumes(name, dtype):
    expected = dtype_of(torch, POOLS[name], [VOLUME], dtype)
    assert dtype_of(rl, POOLS[name], [VOLUME], dtype) == expected


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("weights", ["float32", "float16"])
@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_recurrent_layers(kind, weights, dtype):
    seen = []
    for t in (torch, rl):
        t.manual_seed(0)
        layer = getattr(t.nn, kind)(3, 4, 2).to(getattr(t, weights))
        x = t.randn(5, 2, 3).to(getattr(t, dtype))
        with t.autocast("cpu", dtype=t.bfloat16):
            out, last = layer(x)
        last = last if isinstance(last, tuple) else (last,)
        seen.append([str(v.dtype).rpartition(".")[2] for v in (out, *last)])
        seen.append(out.detach().float().numpy())
    assert seen[0] == seen[2]
    np.testing.assert_allclose(seen[1], seen[3], atol=0.02)


def test_gradients_have_the_parameters_dtype():
    for t in (torch, rl):
        layer = t.nn.Linear(4, 3)
        with t.autocast("cpu"):
            out = layer(t.from_numpy(SQUARE))
            loss = t.nn.functional.cross_entropy(out, t.tensor([0, 1, 2, 0]))
            with t.autocast("cpu", enabled=False):
                assert (t.from_numpy(SQUARE) @ t.from_numpy(SQUARE)).dtype == t.float32
        loss.backward()
        assert out.dtype == t.bfloat16 and loss.dtype == t.float32
        assert layer.weight.grad.dtype == t.float32


@pytest.mark.filterwarnings("ignore:In CPU autocast")
@pytest.mark.parametrize("name", ["float32", "int64"])
def test_other_dtypes_change_nothing(name):
    for t in (torch, rl):
        with t.autocast("cpu", dtype=getattr(t, name)):
            assert not t.is_autocast_enabled("cpu")
            assert (t.from_numpy(SQUARE) @ t.from_numpy(SQUARE)).dtype == t.float32


@pytest.mark.parametrize("lib", [torch, rl], ids=["torch", "rushlight"])
def test_blocks_that_a_program_opens_by_itself_are_counted(lib):
    assert [lib.autocast_increment_nesting(), lib.autocast_increment_nesting()] == [1, 2]
    assert [lib.autocast_decrement_nesting(), lib.autocast_decrement_nesting()] == [1, 0]
