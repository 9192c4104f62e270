"""Numbers among the arguments that are others at each call, in lists, dicts and objects, too; and
calls that are unlike all others.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections import OrderedDict, deque, namedtuple

import numpy as np
import pytest

import rushlight as rl
from rushlight.compiler import compiled

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
Pair = namedtuple("Pair", "x by")
X = rl.arange(4.0)


@dataclasses.dataclass
class Batch:
    x: object
    by: float


class Sample:
    """Of which each call has one of its own."""

    def __init__(self, x, by):
        self.x, self.by = x, by


def discounted(x, rewards):
    """As REINFORCE sums rewards: the last first."""
    total, returns = 0.0, deque()
    for r in rewards[::-1]:
        total = r + 0.9 * total
        returns.appendleft(total)
    return x * rl.tensor(returns)


GIVEN = {
    "a dict": (lambda b: b["x"] * b["by"], lambda k: ({"x": X, "by": k / 7},)),
    "a list": (lambda b: b[0] * b[1], lambda k: ([X, k / 7],)),
    "a tuple": (lambda b: b[0] * b[1][0], lambda k: ((X, (k, "one")),)),
    "a dataclass": (lambda b: b.x * b.by, lambda k: (Batch(X, k / 7),)),
    "an object": (lambda b: b.x * b.by, lambda k: (Sample(X, k / 7),)),
    "a list in a dict": (
        lambda b: b["x"] * b["by"][1] + b["by"][0]["a"],
        lambda k: ({"x": X, "by": [{"a": k}, k / 7]},),
    ),
    "one of NumPy's": (lambda b: b["x"] * b["by"], lambda k: ({"x": X, "by": np.float32(k / 7)},)),
    "in a deque": (discounted, lambda k: (X, [k / 7, 1.0, k / 3, 2.0])),
    "nobody reads": (lambda b: b["x"] * 2, lambda k: ({"x": X, "id": k},)),
    "it decides": (lambda b: b["x"] * 2 if b["by"] > 3 else b["x"], lambda k: ({"x": X, "by": k},)),
    "returned": (lambda b: {**b, "x": b["x"] + 1}, lambda k: ({"x": X, "by": k / 7},)),
}
LOOKED_AT = {
    "a named tuple": (lambda b: b.x * b.by, lambda k: (Pair(X, k),)),
    "an OrderedDict": (lambda b: b["x"] * b["by"], lambda k: (OrderedDict(x=X, by=k),)),
}


def plain(out):
    return {k: plain(v) for k, v in out.items()} if isinstance(out, dict) else rl.as_tensor(out)


@pytest.mark.parametrize("name", [*GIVEN, *LOOKED_AT])
def test_numbers_in_what_is_given_are_inputs(name, monkeypatch):
    function, given = {**GIVEN, **LOOKED_AT}[name]
    run = rl.compile(function)
    for k in range(8):
        rl.testing.assert_close(plain(run(*given(k))), plain(function(*given(k))))
    assert run._compiled.traces <= 3 and run._compiled.eager is None
    if name in GIVEN:
        monkeypatch.setattr(compiled, "signature", None)  # calls go straight to the program
    for k in range(8, 12):
        rl.testing.assert_close(plain(run(*given(k))), plain(function(*given(k))))


def test_numbers_given_by_name_are_inputs(monkeypatch):
    run = rl.compile(lambda x, by=1.0, **options: x * by + options.get("more", 0))
    for k in range(8):
        assert run(X, by=k / 7, more=k).tolist() == (X * (k / 7) + k).tolist()
    monkeypatch.setattr(compiled, "signature", None)
    assert run(X, by=2.5, more=9).tolist() == (X * 2.5 + 9).tolist()


def test_one_dict_that_is_given_twice_is_not_always_one():
    def step(x, a, b):
        return x * a["by"] + b["by"]

    run = rl.compile(step)
    for k in range(6):
        both = {"by": k / 7}
        assert run(X, both, both).tolist() == step(X, both, both).tolist()
    assert run(X, {"by": 2.0}, {"by": 5.0}).tolist() == (X * 2 + 5).tolist()


def test_numbers_in_a_list_that_are_sizes_or_many():
    pad = rl.compile(lambda x, sizes: x[: sizes[0]])
    many = rl.compile(lambda x, ids: x + sum(ids), recompile_limit=2)
    for k in range(3):
        assert pad(X, [k % 3 + 1]).tolist() == X[: k % 3 + 1].tolist()
        assert many(X, [*range(k, k + 200)]).tolist() == (X + sum(range(k, k + 200))).tolist()
    assert not many._compiled.given.places


@pytest.mark.filterwarnings("ignore:compile")
@pytest.mark.parametrize("kind", ["an argument", "an attribute"])
def test_calls_that_all_differ_are_seldom_looked_at(kind, monkeypatch):
    """After many of them, looking takes longer than small functions do."""
    holder, looked = Sample(X, ""), []
    run = rl.compile(lambda x, name: (x + len(name), holder.by))
    real = compiled.signature
    monkeypatch.setattr(compiled, "signature", lambda *a, **o: looked.append(1) or real(*a, **o))
    for k in range(300):
        name = f"sample {k}"
        holder.by = name if kind == "an attribute" else ""
        given = "" if kind == "an attribute" else name
        out, by = run(X, given)
        assert out.tolist() == (X + len(given)).tolist() and by == holder.by
        if k == 150:
            looked.clear()
    assert 2 < len(looked) < 40
    for _ in range(40):  # once they are alike, they are captured again
        holder.by = ""
        run(X, "")
    assert run._compiled.last is not None or kind == "an attribute"


# a function of a tensor and a number, the tensor's dtype, and numbers, of which one is unlike the
# others
UNLIKE = {
    "a zero of another sign": (lambda x, n: x * n, rl.float16, [0.5, 0.25, 0.0, 0.0, -0.0]),
    "a whole number beyond float64": (lambda x, n: x + n, rl.int64, [1, 2, 3, 4, 2**62 + 3]),
    "a size beyond float64": (
        lambda x, n: rl.full((2,), n), rl.int64, [1, 2, 3, 4, 2**53 + 1],
    ),
    "more than 64 bits": (lambda x, n: x + n, rl.int64, [1, 2, 3, 4, 2**70]),
    "a negative power": (lambda x, n: x**n, rl.int64, [1, 2, 3, 4, -1]),
    "a negative power in place": (lambda x, n: x.clone().pow_(n), rl.int64, [1, 2, 3, 4, -1]),
    "filled out of range": (
        lambda x, n: x.clone().fill_(n), rl.float32, [1.0, 2.0, 3.0, 4.0, 1e300],
    ),
    "filled with infinity": (
        lambda x, n: x.clone().fill_(n), rl.float32, [1.0, 2.0, 3.0, 4.0, math.inf],
    ),
    "masked out of range": (
        lambda x, n: x.masked_fill(x > 0, n), rl.float32, [1.0, 2.0, 3.0, 4.0, -1e300],
    ),
    "made out of range": (
        lambda x, n: rl.full((2,), n) * x, rl.float32, [1.0, 2.0, 3.0, 4.0, 1e300],
    ),
    "made like one out of range": (
        rl.full_like, rl.float32, [1.0, 2.0, 3.0, 4.0, 1e300],
    ),
    "a bound that is nan": (
        lambda x, n: x.clamp(-n, n), rl.float32, [1.0, 2.0, 3.0, 4.0, math.nan],
    ),
    "bools filled with a float": (
        lambda x, n: x.clone().fill_(n), rl.bool, [1.0, 2.0, 3.0, 4.0, 0.0],
    ),
    "bools masked": (lambda x, n: x.masked_fill(x, n), rl.bool, [1.0, 2.0, 3.0, 4.0, 0.0]),
    "floats filled with a large int": (
        lambda x, n: x.clone().fill_(n), rl.float32, [2**60, 2**61, 2**62, 1, 2],
    ),
    "a division by zero in Python": (
        rl.nn.functional.celu, rl.float32, [1.0, 2.0, 3.0, 4.0, 0.0],
    ),
    "a float as a place": (lambda x, n: x[:n], rl.float32, [2.0, 2.5, 3.0, 4.0, 5.0]),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:compile")
@pytest.mark.parametrize("given", ["argument", "attribute"])
@pytest.mark.parametrize("name", UNLIKE)
def test_numbers_that_a_program_cannot_take(name, given):
    """They are computed with as in eager code, and so is what follows."""
    function, dtype, numbers = UNLIKE[name]
    x, options = rl.tensor([3, -2, 1, 0]).to(dtype), types.SimpleNamespace(n=0)
    if given == "argument":
        run = rl.compile(function)
    else:
        step = rl.compile(lambda x: function(x, options.n))
        run = lambda x, n: step(x)  # noqa: E731
    for n in [*numbers, *numbers]:
        options.n = n
        outcomes = []
        for f in (function, run):
            try:
                outcomes.append(f(x, n).tolist())
            except Exception as error:
                outcomes.append((type(error), str(error)))
        assert repr(outcomes[0]) == repr(outcomes[1]), n
