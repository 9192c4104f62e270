"""Arguments of unusual kinds: what torch takes is taken, what it refuses is refused."""

import numpy as np
import pytest
import torch

import rushlight as rl
from tests.ops.calls import builtin

LIBRARIES = (rl, torch)


def outcome(call, lib):
    """Shapes, dtypes and values, or the built-in type of the error."""
    try:
        out = call(lib)
    except Exception as error:
        assert error.args and str(error), error
        return builtin(error)
    parts = out if isinstance(out, (tuple, list)) else [out]
    return [(tuple(p.shape), str(p.dtype), p.tolist()) for p in parts]


def same(call):
    ours, theirs = [outcome(call, lib) for lib in LIBRARIES]
    assert ours == theirs
    return theirs


def x(lib, *shape):
    return lib.arange(float(np.prod(shape))).reshape(shape)


@pytest.mark.parametrize(
    "dim", [np.int64(1), np.int32(-1), "tensor", "a", 1.0, None, True, [0, "a"]]
)
@pytest.mark.parametrize("name", ["sum", "amax", "any", "softmax", "unsqueeze", "flip", "std"])
def test_dims_of_any_kind(name, dim):
    def call(lib):
        d = lib.tensor(1) if isinstance(dim, str) and dim == "tensor" else dim
        return getattr(x(lib, 2, 3), name)(d)

    theirs, ours = outcome(call, torch), outcome(call, rl)
    if dim is not None or theirs is TypeError:
        assert isinstance(theirs, list) == isinstance(ours, list), (ours, theirs)
        assert isinstance(theirs, list) or ours is theirs
        assert not isinstance(theirs, list) or ours[0][:2] == theirs[0][:2]


@pytest.mark.parametrize("name", ["sum", "softmax", "argmax", "cumsum", "median"])
@pytest.mark.parametrize("value", [None, 1.5, "a", [1.0], np.ones(2)], ids=str)
def test_what_is_no_tensor(name, value):
    for lib in LIBRARIES:
        with pytest.raises(TypeError):
            getattr(lib, name)(value, dim=0)


def test_a_message_says_which_argument_is_no_tensor():
    with pytest.raises(
        TypeError, match=r"index_add\(\): argument 'index' \(position 3\).*not list"
    ):
        rl.index_add(rl.ones(2), 0, [1], rl.ones(1))
    with pytest.raises(TypeError, match="argument 'dim' must be an int, not str, but is 'a'"):
        rl.ones(2).cumsum("a")


@pytest.mark.parametrize("kind", [np.int64, np.int32])
def test_numbers_of_numpy(kind):
    for call in (
        lambda lib: lib.add(x(lib, 3), x(lib, 3), alpha=kind(2)),
        lambda lib: lib.tensor_split(x(lib, 6), kind(2)),
        lambda lib: lib.hsplit(x(lib, 6), kind(2)),
        lambda lib: lib.chunk(x(lib, 6), kind(2)),
        lambda lib: lib.roll(x(lib, 2, 3), 1, kind(1)),
        lambda lib: lib.fft.fftfreq(kind(4), kind(2)),
        lambda lib: lib.nn.functional.threshold(x(lib, 3), 0.5, kind(7)),
        lambda lib: lib.nn.functional.nll_loss(
            -x(lib, 2, 3), lib.tensor([1, 2]), ignore_index=kind(1)
        ),
    ):
        assert isinstance(same(call), list)
    for lib in LIBRARIES:
        assert len(list(lib.nn.GRU(2, 3, kind(2)).parameters())) == 8


@pytest.mark.filterwarnings("ignore:torch.range:UserWarning")
def test_numbers_in_tensors():
    for call in (
        lambda lib: lib.chunk(x(lib, 6), lib.tensor(2)),
        lambda lib: lib.range(lib.tensor(1), lib.tensor(3)),
        lambda lib: lib.fft.rfftfreq(4, lib.tensor(0.5)),
        lambda lib: lib.nn.functional.max_pool1d(x(lib, 1, 1, 6), lib.tensor(2), lib.tensor(2)),
        lambda lib: lib.nn.functional.adaptive_avg_pool1d(x(lib, 1, 1, 6), lib.tensor(2)),
        lambda lib: lib.kaiser_window(1, True, beta=lib.tensor(12.0)),
    ):
        assert isinstance(same(call), list)


@pytest.mark.parametrize("kind", [float, np.float32, np.float64])
def test_options_do_not_widen(kind):
    for name in ("softshrink", "softplus", "leaky_relu", "elu", "celu"):
        assert getattr(rl.nn.functional, name)(rl.ones(3), kind(0.5)).dtype is rl.float32


@pytest.mark.parametrize("value", [1.5, "a", None, 2**70, [1]], ids=str)
def test_what_kernels_need_as_an_integer(value):
    """These once reached a kernel as something else, and it read what lay elsewhere."""
    F, scores = rl.nn.functional, rl.zeros(4, 2, 3)
    lengths = rl.tensor([4, 4]), rl.tensor([1, 1])
    with pytest.raises((TypeError, OverflowError, RuntimeError)):
        F.ctc_loss(scores.log_softmax(-1), rl.ones(2, 1).long(), *lengths, blank=value)
    with pytest.raises((TypeError, OverflowError)):
        F.cross_entropy(scores[0], rl.tensor([1, 2]), ignore_index=value)


@pytest.mark.parametrize("size_average", [None, True, False, 0, {}, 1])
@pytest.mark.parametrize("reduce", [None, True, False, 0, {}, 1])
@pytest.mark.filterwarnings("ignore:size_average")
def test_flags_of_losses(size_average, reduce):
    def call(lib):
        loss = lib.nn.functional.mse_loss
        return loss(x(lib, 4), lib.zeros(4), size_average=size_average, reduce=reduce)

    same(call)


@pytest.mark.parametrize(
    "name", ["huber_loss", "soft_margin_loss", "binary_cross_entropy_with_logits", "mse_loss"]
)
@pytest.mark.parametrize(
    "kinds", [("float32", "float64"), ("float64", "float32"), ("int64", "float32")]
)
def test_dtypes_of_losses(name, kinds):
    def call(lib):
        a, b = [lib.ones(3).to(getattr(lib, k)) for k in kinds]
        out = getattr(lib.nn.functional, name)(a, b)
        return out.new_zeros(())

    if (name, kinds[0]) != ("binary_cross_entropy_with_logits", "int64"):
        same(call)


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "amax", "amin", "var", "std"])
def test_masked_reductions_over_no_dims(name):
    def call(lib):
        return getattr(lib.masked, name)(x(lib, 2, 3), (), mask=x(lib, 2, 3) > 1)

    ours, theirs = [call(lib).numpy() for lib in LIBRARIES]
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("value", [1.0, 1.5, "1", None, True], ids=str)
def test_sizes_are_integers(value):
    """They are not rounded: what is no integer is refused, as by torch."""
    for call in (
        lambda lib: lib.nn.functional.max_pool2d(x(lib, 1, 1, 4, 4), (value, 2)),
        lambda lib: lib.nn.functional.avg_pool1d(x(lib, 1, 1, 4), value),
        lambda lib: lib.nn.functional.conv1d(x(lib, 1, 1, 4), x(lib, 1, 1, 2), stride=(value,)),
        lambda lib: lib.nn.functional.pad(x(lib, 2, 2), (value, 1)),
        lambda lib: x(lib, 4).roll(value),
        lambda lib: x(lib, 3, 3).tril(value),
        lambda lib: x(lib, 4).topk(value),
        lambda lib: x(lib, 4).kthvalue(value),
        lambda lib: x(lib, 4).narrow(0, value, 1),
    ):
        assert same(call) is TypeError


def test_only_the_first_size_is_never_bool():
    for call in (lambda lib: lib.zeros(True, 2), lambda lib: x(lib, 2).reshape(True, 2)):
        assert same(call) is TypeError
    assert isinstance(same(lambda lib: lib.zeros(2, True)), list)


@pytest.mark.parametrize("kind", ["int64", "bool"])
@pytest.mark.parametrize("name", ["addcdiv", "addcdiv_"])
def test_addcdiv_divides_no_integers(kind, name):
    x, k = rl.ones(3), rl.ones(3, dtype=getattr(rl, kind))
    with pytest.raises(RuntimeError, match="integer division"):
        getattr(x, name)(k, k)
    assert x.tolist() == [1.0] * 3
    assert x.addcdiv(k, x).tolist() == x.addcdiv(x, k).tolist() == [2.0] * 3


OF_TENSORS = """
    abs_(X); exp_(X); floor_(X); adjoint(X); argwhere(X); nonzero(X); combinations(X); conj(X)
    cross(X, T); cross(T, X); diag(X); diag_embed(X); diagonal(X); dsplit(X, 2); fill(X, 1)
    flatten(X); fliplr(X); inner(X, T); inner(T, X); is_same_size(X, T); kron(X, T); kron(T, X)
    lerp(X, T, T); logdet(X); matrix_power(X, 2); movedim(X, 0, 1); msort(X); permute(X, (1, 0))
    ravel(X); real(X); roll(X, 1); rot90(X); slice_scatter(X, T); split_with_sizes(X, [1, 2])
    tensordot(X, T); transpose(X, 0, 1); tril(X); triu(X); vander(X)
    cholesky(X); cholesky_solve(X, T); cholesky_solve(T, X); clone(X); cov(X); geqrf(X); lu(X)
    masked_fill(X, T > 0, 1); masked_select(X, T > 0); masked_scatter(X, T > 0, T); matrix_exp(X)
    masked_scatter(T, X, T)
    zeros_like(X); full_like(X, 1); nn.functional.pad(X, (1, 1)); nn.functional.interpolate(X, 4)
"""


@pytest.mark.parametrize("given", [np.ones((3, 3), np.float32), [[1.0]], 2.5, "text", None])
@pytest.mark.parametrize(
    "call", [c.strip() for c in OF_TENSORS.replace("\n", ";").split(";") if c.strip()]
)
def test_what_is_no_tensor_for_a_function(call, given):
    function = call.partition("(")[0].rpartition(".")[2].rstrip("_")
    with pytest.raises(TypeError, match=function):
        eval(f"rl.{call}", {"rl": rl, "X": given, "T": rl.ones(3, 3)})
    with pytest.raises((TypeError, AttributeError)):
        eval(f"torch.{call}", {"torch": torch, "X": given, "T": torch.ones(3, 3)})


ALONE = """
    chain_matmul(A); linalg.multi_dot(A); is_conj(A); is_neg(A); is_inference(A); dsmm(A, T)
    feature_dropout(A, 0.5, True); feature_dropout_(A, 0.5, True); dropout_(A, 0.5, True)
    alpha_dropout_(A, 0.5, True); feature_alpha_dropout_(A, 0.5, True); polygamma(A, T)
    embedding_renorm_(A, T.long(), 1.0, 2.0); nonzero_static(A.sum(), size=2); eye(A); eye(2, A)
    linspace(A, 2, 3); linspace(0, A[0], 3); logspace(A, 1, 3); arange(A[0]); range(A)
    hann_window(A); kaiser_window(4, beta=A[0]); tril_indices(A, 2); triu_indices(2.0, 2)
    fft.fftfreq(4, A[0]); polygamma(1.0, T); polygamma(True, T); eye(True); hann_window(True)
"""


@pytest.mark.parametrize(
    "call", [c.strip() for c in ALONE.replace("\n", ";").split(";") if c.strip()]
)
def test_arrays_are_neither_tensors_nor_numbers(call):
    array = np.ones((3, 3), np.float32)
    assert same(lambda lib: eval(f"lib.{call}", {"lib": lib, "A": array, "T": lib.ones(3, 3)})) is (
        TypeError
    )


class Answering(rl.Tensor):
    """Whose first instance has all functions ask their arguments."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return super().__torch_function__(function, types, args, kwargs or {})


@pytest.mark.parametrize("call", ["matrix_power(X, 2)", "inner(X, T)", "msort(X)"])
def test_functions_that_ask_say_the_same(call):
    assert Answering(rl.ones(1)).sum() == 1 and rl.linalg.inv is not None
    function = call.partition("(")[0]
    with pytest.raises(
        TypeError, match=rf"{function}\(\): argument 'input' \(position 1\) must be"
    ):
        eval(f"rl.{call}", {"rl": rl, "X": np.ones((3, 3)), "T": rl.ones(3, 3)})


WRONG = """
    max(T, 0, keepdin=True); min(T, dim=0, foo=1); T.max(T, dim=0); T.min(0, True, None)
    T.max(0, a=1); max(T, None, True); T.min(other=3); zeros(2, device=T.sum())
    arange(2, device=T); device(T[0, 0])
    T.masked_fill(T > 0, "1"); T.masked_fill_(T > 0, ()); T.index_fill(0, T[0].long(), None)
    broadcast_tensors(T, (1.0, 2.0)); cartesian_prod([1.0], T[0]); meshgrid([T[0]], ())
    cov(T, fweights=[1]); cov(T, aweights=2.5)
    full((2,), None); full((2,), [1.0]); full_like(T, None); T.new_full((2,), "1")
    T.expand_as(None); T.view_as(None); T.reshape_as(2); take(T, None)
    nn.functional.nll_loss(T, T[0].long(), ignore_index=lib.tensor(1.0))
"""


@pytest.mark.parametrize(
    "call", [c.strip() for c in WRONG.replace("\n", ";").split(";") if c.strip()]
)
def test_calls_of_no_form(call):
    call = call if call.startswith("T.") else f"lib.{call}"
    assert same(lambda lib: eval(call, {"lib": lib, "T": lib.ones(3, 3)})) is TypeError


@pytest.mark.parametrize(
    "call, kind",
    [
        ("isclose(T, T, rtol=float('nan'))", RuntimeError),
        ("allclose(T, T, atol=float('nan'))", RuntimeError),
        ("cholesky_inverse(T.sum())", RuntimeError),
        ("cholesky_inverse(T[:2])", RuntimeError),
        ("nn.utils.rnn.pad_sequence([T, 2])", TypeError),
        ("tensordot(T, T, dims=None)", RuntimeError),
        ("nn.functional.linear(T, T[:1], T[0])", RuntimeError),
        ("nn.functional.linear(T[:1], T, T)", RuntimeError),
        ("nn.functional.multi_margin_loss(T, T[:, :1].long())", RuntimeError),
        ("nn.functional.ctc_loss(T.view(3, 1, 3), T[:2].long(), [3], [2])", RuntimeError),
        ("histogram(T, T[0, :0])", RuntimeError),
        ("histogram(T, 3, weight=T[0])", RuntimeError),
        ("histogramdd(T, [2, 2, 2], weight=T)", RuntimeError),
        ("unflatten(T.sum(), 0, (1, 1))", RuntimeError),
    ],
)
def test_values_that_are_refused(call, kind):
    for lib in LIBRARIES:
        with pytest.raises(kind):
            eval(f"lib.{call}", {"lib": lib, "T": lib.ones(3, 3), "float": float})


@pytest.mark.parametrize(
    "call",
    [
        "trapezoid(T[0], T[:2])",
        "trapezoid(T[:, :1], T[0])",
        "trapezoid(T.view(3, 3, 1) + T, T * T[:1])",
        "trapezoid(T, T[:, :1] * 2, dim=0)",
        "cumulative_trapezoid(T, T * 2, dim=0)",
        "trapezoid(T.view(1, 3, 3), T, dim=0)",
        "searchsorted(lib.tensor([1.0, 2.0, lib.nan]), T)",
        "searchsorted(lib.tensor([1.0, 2.0, lib.nan, lib.nan]), T, right=True)",
        "searchsorted(lib.stack([T[0], T[1] / lib.tensor([1.0, 1.0, 0.0]) * 0]), T[:2])",
        "nn.functional.nll_loss(T[0], lib.tensor([1]))",
        "nn.functional.nll_loss(T[0], lib.tensor([1]), reduction='none')",
        "nn.functional.cross_entropy(T[0], lib.tensor([1]))",
    ],
)
def test_shapes_that_are_taken(call):
    def one(lib):
        out = eval(f"lib.{call}", {"lib": lib, "T": x(lib, 3, 3)})
        return out.mul(1024).round()

    same(one)


@pytest.mark.parametrize("name", ["quantile", "nanquantile"])
def test_quantiles_have_the_bits_of_pytorch(name):
    r = np.random.default_rng(0)
    for i in range(60):
        values = r.standard_normal((1 + i % 3, 2 + i)).astype(["float32", "float64"][i % 2])
        values = values[0] if i % 5 == 0 else values
        q = r.random(3).astype(values.dtype) if i % 4 else 0.37
        found = [
            getattr(lib, name)(
                lib.from_numpy(values), q if isinstance(q, float) else lib.from_numpy(q), dim=-1
            )
            for lib in LIBRARIES
        ]
        assert found[0].tolist() == found[1].tolist()


def test_sizes_to_broadcast_to_one_by_one():
    for lib in LIBRARIES:
        t = lib.ones(1, 3, 1)
        views = t.broadcast_to(2, 3, 1), t.broadcast_to((2, 3, 1)), t.broadcast_to(size=[2, 3, 1])
        for found in views:
            assert tuple(found.shape) == (2, 3, 1) and found.stride() == (0, 1, 1)
        with pytest.raises(RuntimeError):
            t.broadcast_to(2, 2)
        with pytest.raises(TypeError):
            t.broadcast_to()
