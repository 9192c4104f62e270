"""Printed tensors equal PyTorch's, character by character."""

import math

import ml_dtypes
import numpy as np
import pytest
import torch

import rushlight as rl
from rushlight.config import PrintOptions
from rushlight.tensor_api import printing

DTYPES = [
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16,
    torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128,
]  # fmt: skip
SPECIAL = [math.inf, -math.inf, math.nan, -0.0, 0.0, 1e30, 1e-30, 5e-324, 1000, 1001, 1e8, 1e-4]


@pytest.fixture(autouse=True)
def _restore_torch():
    yield
    torch.set_printoptions(profile="default")
    torch.set_default_dtype(torch.float32)


def as_array(t):
    """The same values as an array, sharing memory."""
    if t.dtype == torch.bfloat16:
        return t.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return t.numpy()


def reals(r, n):
    """`n` numbers of one of the kinds that the format tells apart."""
    v = r.standard_normal(n)
    kinds = [
        v, np.round(v * 10), v * 10.0 ** r.integers(-12, 12), v * 10.0 ** r.integers(-6, 6, n),
        np.round(v) * 10.0 ** r.integers(0, 12), v * 0, np.round(v, 1), np.round(v * 500),
    ]  # fmt: skip
    v = np.array(kinds[r.integers(len(kinds))])
    if r.random() < 0.4:
        chosen = r.random(n) < 0.2
        v[chosen] = r.choice(SPECIAL, chosen.sum())
    return torch.from_numpy(v)


def random_tensor(r):
    ndim = int(r.choice([0, 1, 1, 1, 2, 2, 3, 4]))
    longest = [1, 60, 12, 6, 4][ndim] if r.random() < 0.9 else [1, 3000, 70, 14, 8][ndim]
    shape = tuple(r.integers(0 if r.random() < 0.2 else 1, longest + 1, ndim).tolist())
    n, dtype = math.prod(shape), DTYPES[r.integers(len(DTYPES))]
    if dtype.is_complex:
        t = torch.complex(reals(r, n), reals(r, n)).to(dtype)
    elif dtype.is_floating_point:
        t = reals(r, n).to(dtype)
    else:
        high = 2 if dtype == torch.bool else 10 ** int(r.integers(1, 18))
        t = torch.from_numpy(r.integers(-high if high > 2 else 0, high, n)).to(dtype)
    t = t.reshape(shape)
    return t.transpose(0, 1) if ndim > 1 and r.random() < 0.3 else t


def random_options(r):
    if r.random() < 0.7:
        return {}
    return {
        "precision": int(r.integers(0, 9)),
        "threshold": int(r.integers(0, 60)),
        "edgeitems": int(r.integers(0, 5)),
        "linewidth": int(r.integers(10, 130)),
        "sci_mode": [None, None, True, False][r.integers(4)],
    }


def with_history(r, t):
    """A tensor of the same values that also says something about gradients, and what it says."""
    if not (t.is_floating_point() or t.is_complex()) or r.random() < 0.6:
        return t, None
    t = t.clone().requires_grad_()
    if r.random() < 0.5:
        return t, "requires_grad=True"
    return t.view_as(t), "grad_fn=<ViewBackward0>"


@pytest.mark.parametrize("block", range(12))
def test_random_arrays(block):
    for seed in range(50 * block, 50 * (block + 1)):
        r = np.random.default_rng(seed)
        t, given = random_tensor(r), random_options(r)
        array = as_array(t)
        t, history = with_history(r, t)
        torch.set_printoptions(profile="default")
        torch.set_printoptions(**given)
        if r.random() < 0.15:
            torch.set_default_dtype(torch.float64)
        default = np.dtype(str(torch.get_default_dtype())[6:])
        expected = repr(t)
        torch.set_default_dtype(torch.float32)
        got = printing.format_array(
            array, default=default, history=history, options=PrintOptions(**given)
        )
        assert got == expected, f"seed {seed}"


def test_long_suffixes_move_to_the_next_line():
    got = printing.format_array(
        np.zeros(12, np.float64), device="cuda:0", history="grad_fn=<AddBackward0>"
    )
    assert got.splitlines() == [
        "tensor([0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0.], device='cuda:0',",
        "       dtype=torch.float64, grad_fn=<AddBackward0>)",
    ]


def test_only_what_is_shown_is_read():
    """An array of terabytes prints at once (it repeats one number)."""
    array = np.broadcast_to(np.float32(1.5), (10**6, 10**6))
    text = printing.format_array(array)
    assert text.count("1.5000") == 36


def test_profiles_and_sci_mode():
    """Every call settles sci_mode; the rest stays unless it is given."""
    try:
        printing.set_printoptions(precision=2, sci_mode=True)
        assert printing.get_printoptions()["sci_mode"] is True
        printing.set_printoptions(profile="full")
        expected = PrintOptions(threshold=math.inf)
        assert PrintOptions(**printing.get_printoptions()) == expected
        printing.set_printoptions(profile="short", edgeitems=1)
        assert printing.get_printoptions()["edgeitems"] == 1
    finally:
        printing.set_printoptions(profile="default")


@pytest.mark.parametrize("args", [
    (-1, 1, 0.1), (-8.0, 8.0, 0.1), (-2.5, 2.5, 0.1), (1, -1, -0.1), (-0.3, 0.4, 0.1),
    (-3, 3, 0.3), (-0.7, 5, 0.07), (0, 1, 0.1), (-1.5, 1.5, 0.5),
])  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ranges_have_the_zeros_of_torchs(args, dtype):
    expected, got = [lib.arange(*args, dtype=getattr(lib, dtype)) for lib in (torch, rl)]
    zero = expected.abs().argmin().item()
    assert str(got) == str(expected) and got[zero].item() == expected[zero].item()


def test_what_the_last_line_of_a_cell_shows():
    for made in (
        lambda lib: lib.set_grad_enabled(True),
        lambda lib: type(lib.no_grad()),
        lambda lib: type(lib.manual_seed(0)),
    ):
        assert repr(made(rl)).replace("rushlight", "torch") == repr(made(torch))


def test_subclasses_are_shown_by_their_own_name_whatever_it_is():
    def shown(lib):
        def made(cls, x):
            return lib.Tensor._make_subclass(cls, x, True)

        own = type("Parameter", (lib.Tensor,), {"__new__": made})
        scale = type("Scale", (lib.nn.Parameter,), {})
        x = lib.tensor([1.0, 2.0])
        return [repr(cls(x)) for cls in (own, scale, lib.nn.Parameter)]

    assert shown(rl) == shown(torch)


def test_options_within_a_block():
    for t in (torch, rl):
        kept = str(t.tensor([1.12345]))
        with pytest.raises(ZeroDivisionError), t._tensor_str.printoptions(precision=2):
            assert str(t.tensor([1.12345])) == "tensor([1.12])"
            1 / 0
        assert str(t.tensor([1.12345])) == kept
