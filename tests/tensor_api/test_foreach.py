"""Functions of lists of tensors against torch's."""

import pytest
import torch

import rushlight as rl

NAMES = [n for n in dir(torch) if n.startswith("_foreach_")]
TWO = "add sub mul div pow maximum minimum clamp_max clamp_min copy lerp mm".split()  # noqa: SIM905


def arguments(lib, name):
    """What a function gets, by the number of its lists."""
    base = name.removeprefix("_foreach_").rstrip("_")
    lists = [[lib.tensor([[1.5, k], [2.0, 0.5]]) for k in (a, a + 1)] for a in (1.0, 2.0, 3.0)]
    if base in ("addcmul", "addcdiv"):
        return lists
    if base == "lerp":
        return [*lists[:2], 0.25]
    return lists[:2] if base in TWO else lists[:1]


@pytest.mark.parametrize("name", NAMES)
def test_lists(name):
    a, b = arguments(torch, name), arguments(rl, name)
    expected, got = getattr(torch, name)(*a), getattr(rl, name)(*b)
    assert (got is b[0]) == (expected is a[0])
    for x, y in zip(expected, got, strict=True):
        torch.testing.assert_close(torch.from_numpy(y.numpy()), x, equal_nan=True)


CALLS = {
    "a number": lambda lib, a, b: lib._foreach_add(a, 2),
    "numbers": lambda lib, a, b: lib._foreach_mul(a, [2.0, 3.0]),
    "alpha": lambda lib, a, b: lib._foreach_sub(a, b, alpha=0.5),
    "a tensor": lambda lib, a, b: lib._foreach_mul(a, lib.tensor(2.0)),
    "a power": lambda lib, a, b: lib._foreach_pow(2.0, a),
    "numbers to exceed": lambda lib, a, b: lib._foreach_maximum(a, [1.0, 2.5]),
    "in place": lambda lib, a, b: lib._foreach_minimum_(a, 1.5),
    "values": lambda lib, a, b: lib._foreach_addcmul(a, b, b, [1.0, 2.0]),
    "values in a tensor": lambda lib, a, b: lib._foreach_addcdiv(a, b, b, lib.tensor([1.0, 2.0])),
    "value": lambda lib, a, b: lib._foreach_addcmul_(a, b, b, value=3.0),
    "order": lambda lib, a, b: lib._foreach_norm(a, float("inf")),
    "weights": lambda lib, a, b: lib._foreach_lerp(a, b, b),
}


@pytest.mark.parametrize("name", CALLS)
def test_forms(name):
    results = []
    for lib in (torch, rl):
        a, b = [[lib.tensor([1.0, k]), lib.tensor([2.0])] for k in (2.0, 3.0)]
        out = CALLS[name](lib, a, b)
        results.append(torch.tensor([v for x in out for v in x.view(-1).tolist()]))
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("lib", [torch, rl])
def test_errors(lib):
    x = [lib.ones(2), lib.ones(3)]
    for bad in ([1.0], x[:1]):
        with pytest.raises(RuntimeError):
            lib._foreach_add(x, bad)
    with pytest.raises(RuntimeError):
        lib._foreach_add([], 1.0)
    with pytest.raises(TypeError):
        lib._foreach_add(lib.ones(2), 1.0)


def test_gradients():
    x = [rl.ones(2, requires_grad=True), rl.ones(1, requires_grad=True)]
    sum(t.sum() for t in rl._foreach_mul(x, [2.0, 3.0])).backward()
    assert [t.grad.tolist() for t in x] == [[2.0, 2.0], [3.0]]
