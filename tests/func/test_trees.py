"""Transforms of functions that take and return what is registered as a tree."""

import dataclasses
import importlib
from collections import deque
from typing import Any

import numpy as np
import pytest
import torch

import rushlight
from rushlight.func.trees import describe, flatten

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")


@dataclasses.dataclass
class Pair:
    a: Any
    b: Any


@pytest.fixture(autouse=True, scope="module")
def registered():
    tables = []
    for lib in (torch, rushlight):
        trees = importlib.import_module(f"{lib.__name__}.utils._pytree")
        trees.register_pytree_node(
            Pair, lambda p: ([p.a, p.b], "pair"), lambda values, context: Pair(*values)
        )
        tables.append(trees.SUPPORTED_NODES)
    yield
    for table in tables:
        del table[Pair]


def product(p):
    return p.a * p.b


CALLS = {
    "vmap of one": lambda t, x: t.vmap(product)(Pair(x, x)),
    "vmap to one": lambda t, x: t.vmap(lambda y: Pair(y, [y * 2]))(x),
    "in_dims": lambda t, x: t.vmap(product, (Pair(1, None),))(Pair(x, x[:, 0])),
    "out_dims": lambda t, x: t.vmap(lambda y: Pair(y, y * 2), out_dims=Pair(0, 1))(x),
    "deque": lambda t, x: t.vmap(lambda d: d[0] - d[1])(deque([x, x.cos()])),
    "values and indices": lambda t, x: t.vmap(lambda y: y.max(0))(x),
    "grad": lambda t, x: t.func.grad(lambda p: product(p).sum())(Pair(x, x.cos())),
    "vjp": lambda t, x: t.func.vjp(lambda y: Pair(y, y * 2), x)[1](Pair(x, x.cos())),
    "jvp": lambda t, x: t.func.jvp(
        lambda p: Pair(product(p), p.a), (Pair(x, x),), (Pair(x, x.cos()),)
    ),
    "jacrev": lambda t, x: t.func.jacrev(product)(Pair(x, x.cos())),
    "jacfwd": lambda t, x: t.func.jacfwd(product)(Pair(x, x.cos())),
}


def same(found, expected):
    """Equal trees of tensors; what is registered and what is named has its parts in order."""
    if isinstance(expected, torch.Tensor):
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)
        return
    assert type(found).__name__ == type(expected).__name__
    parts = [vars(x).values() if isinstance(x, Pair) else x for x in (found, expected)]
    for x, y in zip(*parts, strict=True):
        same(x, y)


@pytest.mark.parametrize("call", CALLS)
def test_against_torch(call):
    x = np.sin(np.arange(6.0)).reshape(2, 3)
    same(CALLS[call](rushlight, rushlight.tensor(x)), CALLS[call](torch, torch.tensor(x)))


def test_prefixes_of_another_class_are_refused():
    for lib in (torch, rushlight):
        x = lib.ones(2)
        with pytest.raises(ValueError, match="in_dims is not compatible"):
            lib.vmap(product, ([0, 0],))(Pair(x, x))


def test_they_are_described_by_their_name():
    _, structure = flatten([Pair(1, {"x": (2, 3)}), (4,)])
    assert describe(structure) == "[Pair(*, {'x': (*, *)}), (*)]"
