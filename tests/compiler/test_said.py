"""What captured calls print, each anew."""

from __future__ import annotations

import sys

import pytest

import rushlight as rl

pytest.importorskip("llvmlite", reason="native programs need llvmlite")


class Run:
    """What steps keep."""

    def __init__(self) -> None:
        self.n, self.total = 0, 0.0
        self.w = rl.ones(3, requires_grad=True)
        self.optimizer = rl.optim.SGD([self.w], lr=0.1)


def numbers(o, x):
    loss = (o.w * x).sum()
    o.optimizer.zero_grad()
    loss.backward()
    o.optimizer.step()
    o.n += 1
    lr = o.optimizer.param_groups[0]["lr"]
    print(
        f"step {o.n:>4d}: loss {loss.item():.4f}, {loss:10.3e}, lr={lr:.2g}",
        round(loss.item(), 3),
        end=";",
    )
    return loss.item()


def forms(o, x):
    v = x.sum().item()
    print(f"{v:{8}.{2}f}", f"{v + 1:>10.3f} and {100 * v / 7:.1f}%", "text", None, sep=" | ")
    print()
    print(f"{v:+.2f}", file=sys.stderr)
    print(x.shape, x.dtype, f"{x.max():.1f}")


def words(o, x):
    v, name = x.sum().item(), "sum"
    o.n += 1
    print("{} {:>8.3f} {s:.1e}".format(o.n, v + 1, s=100 * v), "text", end=";")  # noqa: UP032
    print("sum: " + str(round(v, 2)), "more")
    print(str(round(v, 3)) + " of " + name, str(o.n), str(x.shape), f"{name}" + f"{v:.2f}")


def tensors(o, x):
    y = x * 2
    print("before", y, y.sum())
    y.add_(1)
    print("after", y)
    return y


def now_and_then(o, x):
    o.n, o.total = o.n + 1, o.total + x.mean().item()
    if o.n % 3 == 0:
        print(f"mean of three {o.total / 3:.3f}")
        o.total = 0.0
    if x.sum() > 0:
        print(f"positive, {x.sum():.3f}")
    return o.total


@pytest.mark.parametrize("f", [numbers, forms, words, tensors, now_and_then])
def test_printed_anew(f, capsys):
    def texts(compiled):
        o = Run()
        step = rl.compile(lambda x: f(o, x), fullgraph=True) if compiled else lambda x: f(o, x)
        found = []
        for k in range(9):
            o.optimizer.param_groups[0]["lr"] = 0.5 / (k + 1)
            step(rl.randn(3, generator=rl.Generator().manual_seed(k)))
            found.append(capsys.readouterr())
        assert not compiled or step._compiled.traces <= 4
        return found

    assert texts(True) == texts(False)


def test_text_that_is_more_than_printed(capsys):
    """Its length, say, or what another function makes of it."""

    def step(x):
        line = f"{x.sum().item():.3f}"
        print(line)
        return len(line)

    run = rl.compile(step)
    with pytest.warns(UserWarning, match="text"):
        found = [run(rl.ones(1) * 10**k) for k in range(6)]
    assert found == [5, 6, 7, 8, 9, 10] and len(capsys.readouterr().out.split()) == 6


@pytest.mark.parametrize(
    "text",
    [
        lambda v: "{:>9}".format(str(v)),  # noqa: UP032
        lambda v: (str(v) + "0")[:4],
        lambda v: str(v).zfill(9),
        lambda v: "{}".format(v) * 2,  # noqa: UP032
        lambda v: "%.3f" % v,  # noqa: UP031
    ],
)
def test_text_of_text(text, capsys):
    """What more is done to it is not followed."""
    step = lambda x: print(text(x.sum().item()))  # noqa: E731
    run = rl.compile(step)
    with pytest.warns(UserWarning, match="text"):
        for k in range(5):
            run(rl.full((1,), float(k)))
    assert capsys.readouterr().out.splitlines() == [text(float(k)) for k in range(5)]


def test_a_print_of_ones_own():
    said = []

    def step(x):
        print(x.sum().item())
        return x + 1

    step.__globals__["print"] = said.append
    try:
        run = rl.compile(step)
        with pytest.warns(UserWarning, match="not reached by a name alone"):
            for k in range(5):
                run(rl.full((1,), float(k)))
    finally:
        del step.__globals__["print"]
    assert said == [0.0, 1.0, 2.0, 3.0, 4.0]
