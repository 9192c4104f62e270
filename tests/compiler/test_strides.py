"""Arguments and state that do not lie row by row: read and written to where they lie."""

import numpy as np
import pytest
import torch

import rushlight as rl
from rushlight.compiler.parts import Part, laid, part_of, same_strides
from tests.compiler.operands import values

LAYOUTS = {
    "rows": lambda x: x,
    "turned": lambda x: x.permute(2, 0, 1),
    "last": lambda x: x.transpose(0, 2),
    "steps": lambda x: x[:, ::2],
    "corner": lambda x: x[:4, 1:5, :3],
    "corner turned": lambda x: x[1:, :4].transpose(1, 2),
    "expanded": lambda x: x[:, :1].expand(-1, 8, -1),
    "across": lambda x: x.unfold(1, 4, 2),  # whose rows lie across each other: a copy
    "one": lambda x: x[:, 2:3].transpose(0, 1),
}
SHAPE = (6, 10, 8)


def without(names):
    """The other layouts."""
    return [name for name in LAYOUTS if name not in names]


def both(layout, seed=0, shape=SHAPE):
    """The same tensor here and in PyTorch."""
    a = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return [LAYOUTS[layout](m.from_numpy(a.copy())) for m in (rl, torch)]


def compiled(f, *args, calls=4):
    """The last result of some calls of a compiled function, which all were right."""
    run = rl.compile(f)
    for _ in range(calls):
        out = run(*args)
    assert run._compiled.eager is None
    return run, out


@pytest.mark.parametrize("layout", LAYOUTS)
def test_elements_products_and_sums_are_those_of_pytorch(layout):
    x, y = both(layout)

    def f(m, x):
        return m.relu(x) * 2 + 1, x @ x.transpose(-1, -2), x.sum(1), m.softmax(x, 0)

    expected = f(torch, y)
    _, found = compiled(lambda x: f(rl, x), x)
    for a, b, e in zip(found, expected, f(rl, x), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-5)
        assert a.stride() == e.stride()


@pytest.mark.parametrize("layout", without({"across"}))
def test_calls_are_entered_directly(layout):
    run, _ = compiled(lambda x, y: x * y, both(layout)[0], both(layout, 1)[0])
    assert run._compiled.last is not None
    x, y = both(layout, 2)[0], both(layout, 3)[0]
    assert run._compiled.last.enter((x, y)) is not NotImplemented
    assert rl.equal(run(x, y), x * y)
    other = x.contiguous() if not x.is_contiguous() else x.transpose(0, 2)
    if other.shape == x.shape:
        assert run._compiled.last.enter((other, y)) is NotImplemented
        assert rl.equal(run(other, y), other * y)


@pytest.mark.parametrize("layout", without({"across", "expanded"}))
def test_writes_to_arguments(layout):
    (x, y), (a, b) = both(layout), both(layout, 1)

    def f(x, a):
        x.mul_(2).add_(a)
        x[0] = 7
        return x.sum()

    run, _ = compiled(f, x, a, calls=1)
    f(y, b)
    for _ in range(4):
        out, expected = run(x, a), f(y, b)
        np.testing.assert_allclose(out.item(), expected.item(), rtol=1e-4)
        np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=1e-5)
        assert x.stride() == y.stride()
    assert run._compiled.eager is None


@pytest.mark.parametrize("layout", ["rows", "turned", "last"])
def test_steps_on_parameters(layout):
    (w, v), (x, y) = both(layout), both(layout, 1)
    w, v = w.requires_grad_(), v.requires_grad_()
    ours = rl.optim.Adam([w], lr=0.1)
    theirs = torch.optim.Adam([v], lr=0.1)

    def step(optimizer, w, x):
        optimizer.zero_grad()
        loss = ((w * x).sum(0) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    run = rl.compile(lambda x: step(ours, w, x))
    for _ in range(6):
        np.testing.assert_allclose(run(x).item(), step(theirs, v, y).item(), rtol=1e-4)
    assert run._compiled.eager is None
    np.testing.assert_allclose(w.detach().numpy(), v.detach().numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(w.grad.numpy(), v.grad.numpy(), rtol=1e-3, atol=1e-6)
    assert (w.stride(), w.grad.stride()) == (v.stride(), v.grad.stride())


def test_gradients_that_somebody_holds_stay_as_they_are():
    w = rl.ones(4, 6).t().requires_grad_()

    def step(x):
        w.grad = None
        (w * x).sum().backward()

    run, held = rl.compile(step), []
    for k in range(8):
        run(rl.full((6, 4), float(k)))
        assert w.grad.stride() == (1, 6)
        held.append(w.grad[0] if k % 2 else w.grad.numpy())
    assert run._compiled.eager is None
    for k, g in enumerate(held):
        assert (g == k).all()


def test_a_network_with_channels_last():
    found = []
    for m in (rl, torch):
        m.manual_seed(0)
        net = m.nn.Sequential(
            m.nn.Conv2d(3, 8, 3), m.nn.BatchNorm2d(8), m.nn.ReLU(), m.nn.Conv2d(8, 4, 2)
        )
        net = net.to(memory_format=m.channels_last)
        optimizer = m.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        x = m.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 9, 9)).astype(np.float32))

        def step(x, net=net, optimizer=optimizer):
            optimizer.zero_grad()
            loss = net(x).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        run = rl.compile(step) if m is rl else step
        losses = [run(x.contiguous(memory_format=m.channels_last)).item() for _ in range(6)]
        found.append((losses, [(p.stride(), p.grad.stride()) for p in net.parameters()]))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-3)
    assert found[0][1] == found[1][1]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients_outside(layout):
    (x, y), (w, v) = both(layout), both(layout, 1)
    x, y = x.detach().requires_grad_(), y.detach().requires_grad_()

    def f(m, x, w):
        return m.tanh(x * w).sum(1)

    run = rl.compile(lambda x, w: f(rl, x, w))
    for _ in range(4):
        x.grad = y.grad = None
        run(x, w).square().sum().backward()
        f(torch, y, v).square().sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-3, atol=1e-5)
        assert x.grad.stride() == y.grad.stride()
    assert run._compiled.eager is None


def test_memory_that_moves_to_another_layout():
    w = rl.nn.Parameter(rl.ones(4, 6))
    run = rl.compile(lambda x: x @ w)
    x = rl.ones(2, 4)
    for k in range(1, 8):
        w.data = (rl.ones(6, 4) * k).t() if k % 2 else rl.ones(4, 6) * k
        assert run(x)[0, 0].item() == 4 * k


def test_numpy_arrays_that_do_not_lie_row_by_row():
    run = rl.compile(lambda a: rl.from_numpy(a) * 2)
    for k in range(5):
        a = values((6, 8), np.float32, k)
        for x in (a, a.T, a[:, ::2], np.asfortranarray(a)):
            np.testing.assert_allclose(run(x).numpy(), x * 2)
    assert run._compiled.eager is None


@pytest.mark.parametrize("layout", without({"rows"}))
def test_where_elements_lie(layout):
    a = both(layout)[0].numpy()
    part = part_of(a)
    assert (part is None) == (layout == "across")
    assert same_strides(laid(a, a.strides), a.strides)
    np.testing.assert_array_equal(laid(a, a.strides), a)
    assert part is None or part.all_of(a.shape) == (layout in ("turned", "last"))


def test_gaps_of_as_many_elements_as_are_repeated_are_no_whole():
    assert not Part.of((3, 2), (8, 0), 4).all_of((3, 2))
