"""Elementwise functions at their edges, against torch: special values, rounding, large arrays."""

import operator

import numpy as np
import pytest
import torch

import rushlight as rl
from rushlight.tensor_api import _common

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1e-30, 3e8, float("inf"), -float("inf"), float("nan")]
UNARY = """
    abs acos acosh angle asin asinh atan atanh ceil cos cosh deg2rad digamma erf erfc erfinv exp
    exp2 expm1 floor frac i0 isfinite isinf isnan isneginf isposinf lgamma log log10 log1p log2
    logit neg nan_to_num rad2deg reciprocal relu round rsqrt sgn sigmoid sign signbit sin sinc
    sinh sqrt square tan tanh trunc
"""
BINARY = """
    add atan2 copysign div eq floor_divide fmax fmin fmod ge gt hypot ldexp le logaddexp
    logaddexp2 lt maximum minimum mul ne pow remainder sub xlogy
"""


def pair(values, dtype="float32"):
    """The same numbers in both libraries."""
    return torch.tensor(values, dtype=getattr(torch, dtype)), rl.tensor(
        values, dtype=getattr(rl, dtype)
    )


def same(ours, theirs, rtol=1e-5):
    assert str(ours.dtype) == str(theirs.dtype)
    x, y = ours.detach().numpy(), theirs.detach().numpy()
    np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-6)


@pytest.mark.parametrize("name", UNARY.split())
def test_special_values(name):
    for dtype in ("float32", "float64"):
        t, r = pair(SPECIAL, dtype)
        same(getattr(rl, name)(r), getattr(torch, name)(t))


@pytest.mark.parametrize("name", BINARY.split())
def test_pairs_of_special_values(name):
    t, r = pair(SPECIAL)
    same(getattr(rl, name)(r[:, None], r), getattr(torch, name)(t[:, None], t))


@pytest.mark.parametrize("name", ["fmod", "remainder", "floor_divide", "erf", "where", "sigmoid"])
def test_large_arrays_agree_with_small_ones(name):
    """What is computed by other means when there is much of it."""
    a = np.random.default_rng(0).normal(0, 30, 5000).astype(np.float32)
    t, r = torch.from_numpy(a), rl.from_numpy(a)
    if name in ("erf", "sigmoid"):
        same(getattr(rl, name)(r), getattr(torch, name)(t))
    elif name == "where":
        for x, y in ((1.5, 0), (0, 1.5)):
            same(rl.where(r > 0, r, y), torch.where(t > 0, t, y))
            same(rl.where(r > 0, x, r), torch.where(t > 0, x, t))
        same(rl.where(r > 0, r, r * 2), torch.where(t > 0, t, t * 2))
        same(rl.where(r > r[0], r, r[0]), torch.where(t > t[0], t, t[0]))
    else:
        for divisor in (0.3, -7.0, 1e-9, float("inf")):
            same(getattr(rl, name)(r, divisor), getattr(torch, name)(t, divisor))
        same(getattr(rl, name)(r, r.flip(0)), getattr(torch, name)(t, t.flip(0)))


@pytest.mark.parametrize("exponent", [2, 3, 0.5, -1, -2, 4, 5.0, 2.5, 0, 1])
def test_powers(exponent):
    for n in (5, 3000):
        a = np.linspace(-3, 3, n)
        t, r = torch.tensor(a, requires_grad=True), rl.tensor(a, requires_grad=True)
        same(r**exponent, t**exponent)
        (t**exponent).sum().backward()
        (r**exponent).sum().backward()
        same(r.grad, t.grad)


@pytest.mark.parametrize("shapes", [((), ()), ((3,), ()), ((3,), (2, 1)), ((3,), (3,))])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_the_power_of_a_half_is_no_root_where_it_is_a_tensor(shapes, dtype):
    found = []
    for fw in (rl, torch):
        d = getattr(fw, dtype)
        x = fw.tensor([-0.0, -float("inf"), -4.0], dtype=d)
        x = x if shapes[0] else x[1]
        found.append(
            [
                fw.pow(x, fw.full(shapes[1], 0.5, dtype=d)).tolist(),
                (x**0.5).tolist(),
                (x**-0.5).tolist(),
            ]
        )
    assert str(found[0]) == str(found[1])


def test_results_of_expanded_inputs_lie_in_rows_whatever_came_before():
    x = rl.tensor([-0.62, 1.07], dtype=rl.float64).expand(2, 2)
    for _ in range(2):
        assert x.sigmoid().stride() == (2, 1)
        assert rl.ones(2, 2, dtype=rl.float64).t().sigmoid().stride() == (1, 2)


def test_integer_division():
    a, b = [7, -7, 7, -7, 0], [2, 2, -2, -2, 3]
    for name in ("floor_divide", "remainder", "fmod"):
        same(
            getattr(rl, name)(*map(rl.tensor, (a, b))),
            getattr(torch, name)(*map(torch.tensor, (a, b))),
        )
    for mode in (None, "trunc", "floor"):
        same(
            rl.div(rl.tensor(a), rl.tensor(b), rounding_mode=mode),
            torch.div(torch.tensor(a), torch.tensor(b), rounding_mode=mode),
        )
    for zero in (lambda x: x // 0, lambda x: x % 0, lambda x: rl.fmod(x, 0)):
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            zero(rl.tensor([1]))


def test_operators():
    x = rl.tensor([5, 3, -2])
    assert (7 // x).tolist() == [1, 2, -4] and (7 % x).tolist() == [2, 1, -1]
    assert (
        (x & 1).tolist() == [1, 1, 0]
        and (4 | x).tolist() == [5, 7, -2]
        and (~x).tolist() == [-6, -4, 1]
    )
    assert (x << 1).tolist() == [10, 6, -4] and (2 << rl.tensor([1, 2])).tolist() == [4, 8]
    assert (x == None).__class__ is bool and (x != "a") is True  # noqa: E711
    y = x
    y &= 1
    assert y is x and x.tolist() == [1, 1, 0]
    assert len({x, y}) == 1  # hashable by identity


def test_where_with_the_condition_alone():
    mask = rl.tensor([[True, False], [True, True]])
    assert [i.tolist() for i in rl.where(mask)] == [[0, 1, 1], [0, 0, 1]]


def test_masks_take_no_gradient_from_what_they_hide():
    """A hidden infinity or NaN must not reach the gradient as 0 * inf."""
    x = rl.tensor([0.0, 4.0], requires_grad=True)
    rl.where(x > 0, x.log(), 0.0).sum().backward()
    assert x.grad[1].item() == 0.25
    y = rl.tensor([1.0, 2.0], requires_grad=True)
    g = rl.tensor([float("inf"), 1.0])
    y.clamp(max=1.5).backward(g)
    assert y.grad.tolist() == [float("inf"), 0.0]


def test_clamp_forms():
    t, r = pair([-2.0, -0.5, 0.5, 2.0, float("nan")])
    lows, highs = [-1.0, 0.0, 1.0, -1.0, 0.0], [1.0, 1.0, 0.0, 1.0, 1.0]
    for low, high in ((-1, 1), (None, 1), (-1.0, None), (1, -1)):
        same(r.clamp(low, high), t.clamp(low, high))
    same(r.clamp(rl.tensor(lows)), t.clamp(torch.tensor(lows)))
    same(
        r.clamp(rl.tensor(lows), rl.tensor(highs)), t.clamp(torch.tensor(lows), torch.tensor(highs))
    )
    same(rl.tensor([1, 5]).clamp(0.5, 2.5), torch.tensor([1, 5]).clamp(0.5, 2.5))
    with pytest.raises(RuntimeError):
        r.clamp()
    for error, bound in ((RuntimeError, 1j), (TypeError, "0.5"), (TypeError, [0.5])):
        for x in (r, t):
            with pytest.raises(error):
                x.clamp(bound)
            with pytest.raises(error):
                x.clone().clamp_(max=bound)


def test_in_place_updates_of_optimizers():
    """The quick paths of lerp_, addcmul_ and addcdiv_ against the general ones."""
    r = np.random.default_rng(0)
    a, b, c = (r.random((3, 4)).astype(np.float32) + 0.5 for _ in range(3))
    calls = [
        lambda x, y, z: x.lerp_(y, 0.1),
        lambda x, y, z: x.lerp_(y, 0.9),
        lambda x, y, z: x.lerp_(y, z),
        lambda x, y, z: x.addcmul_(y, z, value=-0.5),
        lambda x, y, z: x.addcdiv_(y, z, value=2),
        lambda x, y, z: x.addcmul_(y[:1], z),
        lambda x, y, z: x.addcdiv_(x, x),
        lambda x, y, z: x.t().lerp_(y.t(), 0.3),
    ]
    for call in calls:
        t, o = [torch.tensor(v) for v in (a, b, c)], [rl.tensor(v) for v in (a, b, c)]
        call(*t), call(*o)
        same(o[0], t[0])
        assert o[0]._version == t[0]._version == 1


WEIGHTED = {
    "add": lambda t, x, y, z: t.add(x, y, alpha=0.371),
    "lerp": lambda t, x, y, z: t.lerp(x, y, 0.1),
    "lerp beyond the middle": lambda t, x, y, z: t.lerp(x, y, 0.9),
    "lerp by a tensor": lambda t, x, y, z: t.lerp(x, y, z),
    "addcmul": lambda t, x, y, z: t.addcmul(x, y, z, value=0.371),
    "addcmul in place": lambda t, x, y, z: x.clone().addcmul_(y, y, value=-0.371),
    "addcmul of 1": lambda t, x, y, z: t.addcmul(x, y, z),
    "addcdiv": lambda t, x, y, z: t.addcdiv(x, y, z, value=0.371),
    "addcdiv in place": lambda t, x, y, z: x.clone().addcdiv_(y, z, value=-0.371),
}


@pytest.mark.parametrize("name", WEIGHTED)
@pytest.mark.parametrize("size", [7, 1000, 50000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weighted_sums_have_the_bits_of_torch(name, size, dtype):
    r = np.random.default_rng(size)
    arrays = [r.standard_normal(size).astype(dtype) for _ in range(3)]
    ours, theirs = (
        WEIGHTED[name](lib, *map(lib.from_numpy, arrays)).numpy() for lib in (rl, torch)
    )
    assert ours.tobytes() == theirs.tobytes()


def test_gradients_where_operands_are_equal():
    for name in ("maximum", "minimum", "fmax", "fmin"):
        grads = []
        for lib in (torch, rl):
            x = lib.tensor([1.0, 2.0, 3.0], requires_grad=True)
            y = lib.tensor([1.0, 3.0, 2.0], requires_grad=True)
            getattr(lib, name)(x, y).sum().backward()
            grads.append([x.grad.tolist(), y.grad.tolist()])
        assert grads[0] == grads[1], name


def test_no_bits_and_no_order():
    with pytest.raises(NotImplementedError, match="not implemented for 'Float'"):
        rl.ones(2) & rl.ones(2)
    with pytest.raises(NotImplementedError, match="not implemented for 'ComplexFloat'"):
        _ = rl.ones(2, dtype=rl.complex64) < 1


@pytest.mark.parametrize("name", ["add", "mul", "and", "or", "xor"])
def test_reversed_operators_are_methods_of_tensors(name):
    with pytest.raises(TypeError):
        getattr(torch.Tensor, f"__r{name}__")(2, torch.tensor([1, 2]))
    with pytest.raises(TypeError):
        getattr(rl.Tensor, f"__r{name}__")(2, rl.tensor([1, 2]))
    assert getattr(rl.Tensor, f"__r{name}__")(rl.tensor(3), 2).item() == {
        "add": 5, "mul": 6, "and": 2, "or": 3, "xor": 1
    }[name]  # fmt: skip


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64"])
def test_floats_out_of_an_integers_range(dtype):
    t, r = pair([float("nan"), float("inf"), -float("inf"), 1e20, -1e20, -1.5, 300.7, 3e9] * 16)
    same(r.to(getattr(rl, dtype)), t.to(getattr(torch, dtype)))


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_not_of_numbers_is_a_type_error(dtype):
    for t in (torch, rl):
        with pytest.raises(TypeError, match="integer"):
            ~t.ones(2, dtype=getattr(t, dtype))
    assert (~rl.tensor([True, False])).tolist() == [False, True]


def grids(t):
    a = t.arange(1.0, 5.0).reshape(2, 2)
    return a.clone(), a * 2, a + 3, t.ones(2)


OLDER = {
    "add": lambda t, a, x, y, v: [t.add(a, 0.5, x), a.add(2, x), a.add_(0.5, x)],
    "sub": lambda t, a, x, y, v: [t.sub(a, 0.5, x), a.sub(2, x), a.sub_(0.5, x)],
    "addcmul": lambda t, a, x, y, v: [t.addcmul(a, 0.5, x, y), a.addcmul_(2, x, y)],
    "addcdiv": lambda t, a, x, y, v: [t.addcdiv(a, 0.5, x, y), a.addcdiv_(-2, x, y)],
    "addmm": lambda t, a, x, y, v: [
        t.addmm(0.5, a, 2, x, y), a.addmm(0.5, x, y), a.addmm_(0.5, 2, x, y)
    ],
    "addmv": lambda t, a, x, y, v: [t.addmv(0.5, v, 2, x, v), v.clone().addmv_(0.5, x, v)],
    "addr": lambda t, a, x, y, v: [t.addr(0.5, a, 2, v, v), a.addr(0.5, v, v)],
    "baddbmm": lambda t, a, x, y, v: [t.baddbmm(0.5, a[None], 2, x[None], y[None])],
    "addbmm": lambda t, a, x, y, v: [a.addbmm(0.5, 2, x[None], y[None])],
}  # fmt: skip


ADDED = {
    "addmm": lambda t, a, x, y, v: t.addmm(a, x, y, beta=-2.3, alpha=1.7),
    "addmm of a row": lambda t, a, x, y, v: t.addmm(v, x, y),
    "addmv": lambda t, a, x, y, v: t.addmv(v, x, v),
    "baddbmm": lambda t, a, x, y, v: t.baddbmm(a, x[None], y[None], beta=-2.3, alpha=1.7),
    "addbmm": lambda t, a, x, y, v: t.addbmm(a, x[None], y[None], beta=0.5),
}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ADDED)
def test_added_products_of_halves_are_rounded_once(name, dtype):
    """Newton's iterations for orthogonal matrices are sums that nearly cancel."""
    draw = np.random.default_rng(0).standard_normal
    arrays = [draw((8, 8)), draw((8, 8)), draw((8, 8)), draw(8)]
    found = []
    for t in (torch, rl):
        leaves = [t.tensor(a).to(getattr(t, dtype)).requires_grad_() for a in arrays]
        out = ADDED[name](t, *leaves)
        grads = t.autograd.grad(out.float().sum(), leaves, allow_unused=True)
        found.append([out.tolist(), *[None if g is None else g.float().numpy() for g in grads]])
    exact = ADDED[name](rl, *[x.detach().float() for x in leaves]).to(getattr(rl, dtype))
    assert found[0][0] == found[1][0] == exact.tolist()
    for a, b in zip(found[0][1:], found[1][1:], strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=2e-2, atol=2e-2)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", OLDER)
def test_numbers_before_the_tensors(name):
    expected, got = [OLDER[name](t, *grids(t)) for t in (torch, rl)]
    assert [x.tolist() for x in got] == [x.tolist() for x in expected]


def test_numbers_before_the_tensors_are_deprecated():
    a = rl.ones(2)
    _common.once.said.clear()
    with pytest.warns(UserWarning, match="add_ with alpha before the tensors is deprecated"):
        a.add_(2, a)
    a.add_(2, a)  # warns once


@pytest.mark.parametrize("call", [
    lambda t, a: t.add(a, a, a), lambda t, a: a.add_(a, 2), lambda t, a: a.sub(1, 2, a),
    lambda t, a: a.addcmul_(1, 2, a, a), lambda t, a: t.addmm(1, a, 2, 3, a, a),
])  # fmt: skip
def test_other_orders_are_type_errors(call):
    for t in (torch, rl):
        with pytest.raises(TypeError):
            call(t, t.ones(2, 2))


@pytest.mark.parametrize("name", ["igamma", "igammac"])
def test_incomplete_gamma_functions_of_special_values(name):
    numbers = [0.0, 1.0, 2.5, -1.0, 100.0, float("inf"), float("nan")]
    for dtype in ("float32", "float64"):
        t, r = pair(numbers, dtype)
        same(getattr(rl, name)(r[:, None], r), getattr(torch, name)(t[:, None], t))


def test_a_number_is_no_tensor_to_subtract_from():
    assert torch.Tensor.__rsub__(5.0, torch.ones(2)) is NotImplemented
    assert rl.Tensor.__rsub__(5.0, rl.ones(2)) is NotImplemented


@pytest.mark.parametrize("number", [2, -1, 300, 2**40, 0.5, True, 1])
@pytest.mark.parametrize("name", ["lt", "le", "eq", "ne", "ge", "gt", "add", "mul"])
def test_truths_and_numbers(name, number):
    """Truths are 0 and 1 beside a number, which is none."""
    found = [
        getattr(operator, name)(lib.tensor([True, False]), number).tolist() for lib in (torch, rl)
    ]
    assert found[0] == found[1]


@pytest.mark.filterwarnings("ignore:An output with one or more elements was resized")  # of torch
@pytest.mark.parametrize("sizes", [((2,), (2,)), ((), (2,)), ((2,), ()), ((), ())], ids=str)
def test_dtypes_of_ldexp(sizes):
    """That of the input where the exponent is whole: the power is computed in no smaller one."""
    kinds = ["int32", "float16", "bfloat16", "float32", "float64"]
    for kind in kinds:
        for exponent in ["uint8", "int64", *kinds]:
            results = [
                lib.ldexp(
                    lib.ones(sizes[0], dtype=getattr(lib, kind)),
                    lib.full(sizes[1], 3, dtype=getattr(lib, exponent)),
                )
                for lib in (rl, torch)
            ]
            ours, theirs = [(str(y.dtype).split(".")[1], y.tolist()) for y in results]
            assert ours == theirs, (kind, exponent)
    assert rl.ldexp(rl.tensor(1e-200, dtype=rl.float64), rl.tensor([600])).item() > 1e-20
