"""What Python reads of tensors while a function is captured, and what it decides by that."""

from __future__ import annotations

import collections
import math
import queue
import warnings
from typing import NamedTuple

import numpy as np
import pytest

import rushlight as torch
from rushlight import nn
from rushlight.errors import GraphError

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
pytestmark = pytest.mark.usefixtures("own_cache")
CALLS = 7


class Score(NamedTuple):
    loss: float
    right: int


def gradient_step(o, x, y):
    """A step, its loss."""
    loss = ((o.model(x) - y) ** 2).mean()
    o.optimizer.zero_grad()
    loss.backward()
    o.optimizer.step()
    return loss


def early_exit(o, x, y):
    loss = ((o.model(x) - y) ** 2).mean()
    if loss.item() > 1.2:
        return "too large", loss.item()
    return gradient_step(o, x, y).item()


def not_finite(o, x, y):
    loss = gradient_step(o, x, y)
    if torch.isnan(loss) or not torch.isfinite(loss):
        return None
    return loss.detach()


def clipped_by_hand(o, x, y):
    loss = ((o.model(x) - y) ** 2).mean()
    o.optimizer.zero_grad()
    loss.backward()
    norm = sum([(p.grad**2).sum() for p in o.model.parameters()]).sqrt().item()
    scale = 0.5 / (norm + 1e-6)
    if scale < 1:
        for p in o.model.parameters():
            p.grad.mul_(scale)
    o.optimizer.step()
    return loss.item(), norm, scale


def branch(o, x, y):
    return gradient_step(o, x, y) * (1 if x.mean() > 0 else -1)


def loop(o, x, y):
    count = 0
    while x.norm().item() > 3:
        x, count = x / 2, count + 1
    return x.sum(), count


def before_the_write(o, x, y):
    w = o.model[0].weight
    before = w.sum().item()
    first = w[0, 0].item()
    gradient_step(o, x, y)
    return before, first, w[0, 0].item()


def whole(o, x, y):
    n = (x > 0).sum().item()
    return n, n + 1, 2 - n, n * 3, n // 4, n % 5, n / 7, -n, abs(-n), n**2, n > 3, 20 // (n + 1)


def real(o, x, y):
    v = x.mean().item()
    rounded = round(v, 3), round(v), v // 0.1
    return v, v + 1, 1 - v, v / 3, 2.0 / v, v**2, 2**v, abs(v), rounded, min(v, 0.1), max(v, 0.0)


def truths(o, x, y):
    ok = (x > -9).all().item()
    if not ok:
        return "small"
    return ok, ok is True, bool((y > 0).any())


def flows_back(o, x, y):
    n = (y > 0).sum().item()
    loss = (o.model(x) * (y > 0)).sum() / n + x.mean().item() * o.model[0].weight.sum()
    loss.backward()
    return loss.detach(), [p.grad.clone() for p in o.model.parameters()]


def kinds(o, x, y):
    v, n = x.mean().item(), (x > 0).sum().item()
    return isinstance(v, float), isinstance(n, int), isinstance(v, int), isinstance(n, float)


def listed(o, x, y):
    return x.mean().tolist(), x[0].tolist(), (x > 0)[:2].sum(0, keepdim=True).tolist()


def structured(o, x, y):
    loss = gradient_step(o, x, y)
    return {"score": Score(loss.item(), (x > 0).sum().item()), "list": [loss.item(), (loss, 2)]}


def total(o, x, y):
    return sum([v.item() for v in (x.mean(), y.mean(), x.std())])


def beside_the_rate(o, x, y):
    loss = gradient_step(o, x, y).item()
    rate = o.optimizer.param_groups[0]["lr"]
    return loss * rate, loss > rate, rate


def raises(o, x, y):
    if x.mean() > 0.1:
        raise ValueError("mean")
    return gradient_step(o, x, y).item()


def divides(o, x, y):
    return 1 / int(torch.tensor(1)) / (x.mean() > -0.1).long().item()


STEPS = [
    early_exit, not_finite, clipped_by_hand, branch, loop, before_the_write, whole, real, truths,
    flows_back, kinds, listed, structured, total, beside_the_rate, raises, divides,
]  # fmt: skip


class Objects:
    """A model with dropout and its optimizer."""

    def __init__(self):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Linear(8, 1))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01)


def seen(x):
    """What can be compared of a result: its structure, and numbers in it."""
    if isinstance(x, torch.Tensor):
        return ["tensor", list(x.shape)], x.double().flatten().tolist()
    if isinstance(x, dict):
        x = list(x.items())
    if type(x) is float:
        return ["float"], [x]
    if not isinstance(x, (list, tuple)):
        return [type(x).__name__, x], []
    inner = [seen(v) for v in x]
    return [type(x).__name__, [s for s, _ in inner]], [n for _, some in inner for n in some]


def calls(step, compile, count=CALLS):
    """What some calls return, or raise, and what they leave behind."""
    o, found = Objects(), []
    run = compile(lambda x, y: step(o, x, y))
    stream = torch.Generator().manual_seed(1)
    for _ in range(count):
        x, y = torch.randn(8, 4, generator=stream), torch.randn(8, 1, generator=stream)
        try:
            out = run(x, y)
        except (ValueError, ZeroDivisionError) as error:
            out = repr(error)
        gradients = [None if p.grad is None else p.grad.clone() for p in o.model.parameters()]
        rest = [p.detach().clone() for p in o.model.parameters()]
        found.append(seen([out, gradients, rest, torch.get_rng_state()[:32].tolist()]))
    return found, run


def check_same(found, expected):
    """Calls did the same."""
    for (ours, our_numbers), (theirs, their_numbers) in zip(found, expected, strict=True):
        assert ours == theirs
        np.testing.assert_allclose(our_numbers, their_numbers, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("step", STEPS, ids=lambda s: s.__name__)
def test_what_is_read_is_captured(step):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, run = calls(step, torch.compile)
    assert run._compiled.variants
    check_same(found, calls(step, lambda f: f)[0])


KEPT = {
    "a list": (list, lambda o, v: o.append(v)),
    "a list of tuples": (list, lambda o, v: o.append((1, (v, "a")))),
    "a named tuple": (list, lambda o, v: o.append(Score(v, 1))),
    "a dict": (dict, lambda o, v: o.update(v=v)),
    "an attribute": (nn.Identity, lambda o, v: setattr(o, "v", v)),
    "a deque": (collections.deque, lambda o, v: o.append(v)),
    "a queue": (queue.Queue, lambda o, v: o.put(v)),
}


def plain(x):
    """Whether there are only Python's own numbers in x."""
    if isinstance(x, queue.Queue):
        x = x.queue
    if isinstance(x, nn.Module):
        return type(x.v) is float
    inner = x.values() if isinstance(x, dict) else x
    return all([plain(v) if isinstance(v, tuple) else type(v) in (float, int, str) for v in inner])


@pytest.mark.filterwarnings("ignore:compile")
@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept_is_a_number_of_pythons_own(name):
    make, keep = KEPT[name]
    kept = make()

    def step(x):
        loss = x.mean()
        keep(kept, loss.item())
        return loss

    run = torch.compile(step)
    for _ in range(4):
        run(torch.rand(3))
        assert plain(kept)


def test_numbers_returned_while_captured_are_pythons_own():
    run = torch.compile(
        lambda x: (x.sum().item(), [x.sum().item() * 2, {"n": (x > 0).sum().item()}])
    )
    for _ in range(3):
        first, (second, third) = run(torch.ones(3))
        assert type(first) is type(second) is float and type(third["n"]) is int


NEEDS = {
    "float(tensor), passed on": lambda x: [*map(float, [x.sum()])],
    "format": lambda x: f"{x.sum().item():.3f}",
    "a function of math that decides": lambda x: x if math.gamma(x.sum().item()) > 4 else -x,
    "a long list": lambda x: x.repeat(1000).tolist(),
    "a power in a tensor": lambda x: x * 2 ** x.sum().item(),
}


@pytest.mark.parametrize("name", NEEDS)
def test_what_needs_a_value_at_once_is_not_captured(name):
    run = torch.compile(NEEDS[name])
    run(torch.ones(3))
    with pytest.warns(UserWarning, match=r"test_reads.py:\d+ needs a value while tracing"):
        run(torch.ones(3))
    for n in (1.0, 3.0, 2.0):
        x = torch.full((3,), n)
        assert str(run(x)) == str(NEEDS[name](x))
    raising = torch.compile(NEEDS[name], fullgraph=True)
    raising(torch.ones(3))
    with pytest.raises(GraphError, match="needs a value"):
        raising(torch.ones(3))


def counts_into(x, i):
    counts = torch.zeros(3)
    counts[i[0]] += 1
    return counts


AT_ONCE = {  # of a vector, and three small integers
    "an index of 0 dims": lambda x, i: x[i[0]] * 2,
    "a row and a part": lambda x, i: x.reshape(1, 6)[:, i[0] :] * 2,
    "an index that is read": lambda x, i: x[i[0].item()] * 2,
    "an item of a list": lambda x, i: [3.0, 4.0, 5.0][int(i[0])] * x,
    "a range": lambda x, i: torch.arange(int(i.max()) + 1) * 2,
    "a rounded size": lambda x, i: x[: 3 + int(i.sum() * 0.5)] * 2,
    "a rounded number": lambda x, i: x if round(i.sum().item() * 0.7) > 1 else -x,
    "a size": lambda x, i: torch.zeros(int(i.max()) + 1) + x[0],
    "a bound": lambda x, i: sum([x * k for k in range(i[0].item())], x),
    "a count": counts_into,
    "a whole number beside whole numbers": lambda x, i: i * i.sum().item(),
    "truncated": lambda x, i: int(i[0] + 0.5) * x,
    "classes": lambda x, i: nn.functional.one_hot(i),
    "classes that are counted": lambda x, i: torch.bincount(i, x[:3]),
    "repeats": lambda x, i: x[:3].repeat_interleave(i),
    "a mask": lambda x, i: x[x > 0] * 2,
    "a mask of two dims": lambda x, i: x.reshape(2, 3)[x.reshape(2, 3) > 0] * 2,
    "a mask of rows": lambda x, i: x.reshape(3, 2)[x[:3] > 0, 1:].sum(0),
    "masked_select": lambda x, i: x.masked_select(x > 0).mean(),
    "a count of a mask": lambda x, i: x * x[x > 0].numel(),
    "nonzero": lambda x, i: (x > 0).nonzero(),
    "where": lambda x, i: torch.where(x.reshape(2, 3) > 0),
    "a mask that is always the same": lambda x, i: x[torch.arange(6) > 2] * 2,
    "nothing": lambda x, i: x[x > 100].sum(),
}


@pytest.mark.parametrize("name", AT_ONCE)
def test_integers_that_are_needed_at_once_take_a_capture_for_each(name):
    f = AT_ONCE[name]
    run = torch.compile(f)
    torch.manual_seed(0)
    data = [(torch.randn(6), torch.randint(0, 3, (3,))) for _ in range(2)]
    for k in (0, 0, 0, 1, 1, 1, 0, 1):
        assert str(run(*data[k])) == str(f(*data[k]))
    assert run._compiled.traces <= 2 and run._compiled.eager is None


def test_float_and_int_of_tensors_are_numbers_of_the_program():
    def states(compile):
        torch.manual_seed(0)
        model, total = nn.Linear(4, 1), {"loss": 0.0, "count": 0}

        @compile
        def step(x):
            loss = model(x).pow(2).mean().detach()
            total["loss"] += float(loss)
            total["count"] += int(x.size(0))
            text = float("1.5"), int(2.7), int("11", 2), int("11", base=2), float(3), 0
            return int(x.argmax()), int(x.sum() * 3), text, total["count"] / 2, x * float(loss)

        found = [step(torch.randn(n, 4)) for n in (3, 3, 3, 3, 4, 4, 4, 3)]
        return step, [f[:-1] for f in found], [total["loss"], *[f[-1].sum().item() for f in found]]

    (step, found, floats), (_, expected, others) = states(torch.compile), states(lambda f: f)
    assert found == expected and floats == pytest.approx(others, rel=1e-4)
    assert step._compiled.eager is None and step._compiled.traces <= 3


def test_float_as_a_class_is_left_as_it_is():
    def f(x):
        return x * float(x.sum()), isinstance(1.5, float), float is float

    run = torch.compile(f)
    run(torch.ones(2))
    with pytest.warns(UserWarning, match=r"float\(tensor\), other than item"):
        run(torch.ones(2))
    assert str(run(torch.full((2,), 3.0))) == str(f(torch.full((2,), 3.0)))


def views_at_places(x, i, j):
    x = x * 1
    row = x[i]
    part = row[1:3]
    x += 1
    seen = row * 2
    row *= 3
    part.zero_()
    x[i] += 2
    x[:, j] -= row[0].clone()
    x.t()[j] *= 2
    row[j].fill_(7.0)
    return seen, x, row * 1, part + 0


def writes_at_places(x, i, j):
    x[i] = 1.0
    x[:, j] = x[0, 0]
    x[i, j] = 5
    x[i, :2] = torch.arange(2.0)
    return x.sum()


def reads_at_places(x, i, j):
    return x[i] * 2, x[:, j] + 1, x[i, j] * 1, x[..., j, None] * 3, x[None, i.int(), 1:3] * 2


def gradients_of_what_is_put(x, i, j):
    w = torch.ones(5, requires_grad=True)
    z = x.clone()
    z[i] = w * 2
    z.sum().backward()
    return w.grad, z.detach()


@pytest.mark.parametrize(
    "f",
    [views_at_places, writes_at_places, reads_at_places, gradients_of_what_is_put],
)
def test_places_that_tensors_say_need_one_capture(f):
    run = torch.compile(f)
    torch.manual_seed(0)
    for k in range(9):
        x, i, j = torch.randn(4, 5), torch.tensor(k * 7 % 4), torch.tensor(-(k * 3 % 5) - 1)
        mine, other = x.clone(), x.clone()
        assert str(run(mine, i, j)) == str(f(other, i, j))
        assert mine.tolist() == other.tolist()
    assert run._compiled.eager is None and run._compiled.traces <= 2


def test_state_is_written_at_places_that_tensors_say():
    def states(compile):
        table = torch.zeros(4, 5)

        @compile
        def step(x, i):
            table[i] = x
            table[i, 0] += 1
            return table[i] * 2

        torch.manual_seed(0)
        found = [str(step(torch.randn(5), torch.tensor(k % 4))) for k in range(9)]
        return [*found, str(table)]

    assert states(torch.compile) == states(lambda f: f)


def test_a_model_of_nodes_that_a_mask_selects():
    def states(compile):
        torch.manual_seed(0)
        model, mask = nn.Linear(3, 4), torch.rand(10) < 0.5
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

        @compile
        def step(x, y):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x)[mask], y[mask])
            loss.backward()
            optimizer.step()
            return loss.item()

        data = [(torch.randn(10, 3), torch.randint(0, 4, (10,))) for _ in range(5)]
        return [step(*d) for d in data], model.weight.tolist()

    (losses, weight), (expected, w) = states(torch.compile), states(lambda f: f)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    np.testing.assert_allclose(weight, w, rtol=1e-5)


def test_counts_that_are_always_others_end_in_eager_calls():
    run = torch.compile(lambda x: x[x > 0] * 2)
    with pytest.warns(UserWarning, match=r"each value of the number of elements that a mask sel"):
        for n in range(20):
            assert run(torch.arange(20) - n).tolist() == [2 * k for k in range(1, 20 - n)]
    assert run._compiled.traces == 4


def test_gradients_are_not_touched_by_a_call_that_is_left_early():
    def states(compile):
        w = torch.ones(3, requires_grad=True)

        def step(x):
            loss = (w * x).sum()
            if loss > 5:
                return loss.detach()
            w.grad = None
            loss.backward()
            return loss.detach()

        run, found = compile(step), []
        for n in (1.0, 1.0, 1.5, 3.0, 1.0):
            found.append((run(torch.full((3,), n)).item(), w.grad.tolist()))
        return found

    assert states(torch.compile) == states(lambda f: f)


def test_steps_whose_scale_is_computed_from_gradients():
    """Gradients that a condition needs are written once it is known to hold."""

    def states(compile):
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

        def step(x):
            optimizer.zero_grad()
            (model(x) ** 2).sum().backward()
            for p in model.parameters():
                p.grad.mul_(0.5)
            if not all([torch.isfinite(p.grad).all() for p in model.parameters()]):
                return False
            optimizer.step()
            return True

        run, found = compile(step), []
        for n in (1.0, 2.0, 1.0, math.inf, 2.0, math.nan, 1.0):
            found.append(run(torch.full((2, 3), n)))
            found += [str(p.grad) for p in model.parameters()]
            found += [str(p.detach()) for p in model.parameters()]
        return found

    assert states(torch.compile) == states(lambda f: f)


def test_a_branch_that_comes_and_goes_ends_in_eager_calls():
    def step(x):
        count = 0
        while count < x.sum():
            count += 1
        return count

    run = torch.compile(step)
    with pytest.warns(UserWarning) as caught:
        for n in range(80):
            assert run(torch.tensor([float(n * 7 % 61)])) == n * 7 % 61
    texts = [str(w.message) for w in caught]
    assert any(["decides what follows, at test_reads.py:" in text for text in texts])
    assert len(texts) <= 2
